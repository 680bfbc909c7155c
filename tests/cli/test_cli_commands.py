"""``mlgov`` as a user meets it: in a process of its own, by its output and its exit code."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from airflow_provider_mlgov import __version__
from airflow_provider_mlgov.catalog.embedded import EmbeddedCatalog
from airflow_provider_mlgov.model import identity
from cli_runs import RUN, environment, mlgov, one_line
from lineage_world import AIR


def test_version_and_help_load_nothing(home: Path) -> None:
    assert mlgov(home, "--version").stdout == f"mlgov {__version__}\n"
    shown = mlgov(home, "--help")
    assert shown.returncode == 0
    assert "exit codes" in shown.stdout
    script = "import sys; from airflow_provider_mlgov.cli.main import _parser; _parser(); print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.split()
    assert not {"airflow", "requests", "rich", "sqlite3", "json"} & set(loaded)


@pytest.mark.parametrize("arguments", [(), ("types",), ("spool",), ("catalog",)])
def test_a_group_without_command_shows_its_help(home: Path, arguments: tuple[str, ...]) -> None:
    result = mlgov(home, *arguments)
    assert result.returncode == 2
    assert result.stdout.startswith(" ".join(["usage: mlgov", *arguments]))


@pytest.mark.parametrize(
    "arguments",
    [
        ("nonsense",),
        ("lineage", "--depth", "-1"),
        ("lineage", "--format", "png"),
        ("catalog", "serve", "--port", "70000"),
    ],
)
def test_wrong_usage(home: Path, arguments: tuple[str, ...]) -> None:
    assert mlgov(home, *arguments).returncode == 2


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("lineage",), 2, "nothing says whose lineage"),
        (("lineage", "--dag-id", "shop"), 2, "give --dag-id and --run-id"),
        ((*RUN, "--entity", "mlgov_dataset", "x"), 2, "exclude each other"),
        (("lineage", "--dag-id", "shop", "--run-id", "manual_1"), 1, "'manual__1'"),
        (("lineage", "--entity", "mlgov_dataset", "features"), 1, "did you mean 'postgres"),
        (("lineage", "--entity", "mlgov_dag_run", f"dags/shop/runs/manual__1@{AIR}"), 2, "ask with --dag-id"),
        ((*RUN, "--catalog", "embedded:"), 2, "wanted embedded:PATH"),
        ((*RUN, "--catalog", "embedded:/nowhere/x.db"), 2, "no embedded catalogue at /nowhere/x.db"),
        ((*RUN, "--catalog", "ftp://x"), 2, "wanted embedded:PATH or http(s)"),
        ((*RUN, "--catalog", "http://user:secret@x"), 2, "MLGOV_ATLAS_USER"),
        ((*RUN, "--catalog", "embedded:x", "--conn-id", "y"), 2, "give one of them"),
        ((*RUN, "--catalog", "http://127.0.0.1:1"), 3, "cannot be reached"),
        (("types", "apply", "--check", "--catalog", "http://127.0.0.1:1"), 3, "cannot be reached"),
        (("types", "show", "mlgov_endpont"), 2, "did you mean mlgov_endpoint"),
        (("spool", "retry", "x"), 2, "there is no dead letter 'x'"),
        (("spool", "show", "../../etc/passwd"), 2, "is called '../../etc/passwd'; see"),
        (("purge", "--older-than", "1e300"), 2, "before 1970"),
        (("purge", "--older-than", "365", "--builds", "a/b", "--job-runs"), 2, "instead of runs"),
        (("catalog", "serve", "--catalog", "http://127.0.0.1:1"), 2, "only the embedded catalogue"),
    ],
)
@pytest.mark.usefixtures("catalog")
def test_errors_are_one_line(home: Path, arguments: tuple[str, ...], code: int, said: str) -> None:
    result = mlgov(home, *arguments)
    line = one_line(result)
    assert said in line
    assert "secret" not in line
    assert result.returncode == code


def test_a_corrupt_catalogue(home: Path) -> None:
    (home / "bad.db").write_bytes(b"this is no database" * 100)
    result = mlgov(home, *RUN, "--catalog", f"embedded:{home / 'bad.db'}")
    assert result.returncode == 3
    assert "bad.db" in one_line(result)


def test_a_wrong_option_is_named(home: Path) -> None:
    result = mlgov(home, "spool", "status", AIRFLOW__MLGOV__SEND_BUDGET="soon")
    assert result.returncode == 2
    assert "[mlgov] send_budget is 'soon'" in one_line(result)


@pytest.mark.usefixtures("catalog")
def test_debug_shows_where(home: Path) -> None:
    result = mlgov(home, "lineage", "--debug")
    assert "Traceback" in result.stderr
    assert result.returncode == 1


def test_lineage_of_a_run(home: Path, catalog: Path) -> None:
    result = mlgov(home, *RUN)
    assert result.returncode == 0
    assert result.stderr == ""
    assert "→ train[1]  training · success" in result.stdout
    elsewhere = mlgov(home / "none", *RUN, "--namespace", AIR, "--catalog", f"embedded:{catalog}")
    assert elsewhere.stdout == result.stdout
    document = json.loads(mlgov(home, *RUN, "--format", "json").stdout)
    assert document["schema"] == "mlgov-lineage/1"
    assert "â" not in result.stdout
    assert mlgov(home, *RUN, PYTHONIOENCODING="ascii").stdout.isascii()


@pytest.mark.usefixtures("catalog")
def test_lineage_of_an_entity(home: Path) -> None:
    table = "postgres:%2F%2Fdb:5432/shop.public.customers@primary"
    result = mlgov(home, "lineage", "--entity", "mlgov_dataset", table, "--direction", "down")
    assert result.returncode == 0
    assert "Endpoints  1 endpoint now, 1 ever" in result.stdout
    cut = mlgov(home, "lineage", "--entity", "mlgov_dataset", table, "--direction", "down", "--depth", "1")
    assert "stopped after 1 hop: there may be more" in cut.stdout
    assert "train" not in cut.stdout


@pytest.mark.usefixtures("catalog")
def test_reading_needs_no_airflow(home: Path) -> None:
    script = (
        "import sys; from airflow_provider_mlgov.cli.main import main; code = main(sys.argv[1:]);"
        "assert code == 0 and 'airflow' not in sys.modules and 'requests' not in sys.modules, code"
    )
    result = subprocess.run(
        [sys.executable, "-c", script, *RUN], env=environment(home), capture_output=True, text=True, timeout=60
    )
    assert result.returncode == 0, result.stderr


def test_options_come_from_airflow_cfg(home: Path, catalog: Path) -> None:
    (home / "airflow.cfg").write_text(
        f"[mlgov]\nembedded_path = {catalog.rename(home / 'moved.db')}\nnamespace = {AIR}\n"
    )
    result = subprocess.run(
        [sys.executable, "-m", "airflow_provider_mlgov", *RUN],
        env={key: value for key, value in environment(home).items() if key != "AIRFLOW__MLGOV__NAMESPACE"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert result.returncode == 0, result.stderr


def test_types(home: Path) -> None:
    new = ("--catalog", f"embedded:{home / 'new.db'}")
    missing = mlgov(home, "types", "apply", "--check", *new)
    assert missing.returncode == 1
    assert not (home / "new.db").exists()
    EmbeddedCatalog(home / "new.db").status()
    missing = mlgov(home, "types", "apply", "--check", *new)
    assert missing.returncode == 1
    assert "missing: mlgov_dag_run" in missing.stdout
    assert "created: mlgov_dag_run" in mlgov(home, "types", "apply", *new).stdout
    again = mlgov(home, "types", "apply", "--check", *new)
    assert again.returncode == 0
    assert "has all" in again.stdout
    assert "mlgov_endpoint " in mlgov(home, "types", "show").stdout
    assert "currentBuild" in mlgov(home, "types", "show", "mlgov_endpoint").stdout
    assert json.loads(mlgov(home, "types", "show", "--json").stdout)["entityDefs"]


@pytest.mark.usefixtures("catalog")
def test_catalog_status(home: Path) -> None:
    result = mlgov(home, "catalog", "status")
    assert result.returncode == 0
    assert "ACTIVE" in result.stdout
    assert "complete" in result.stdout


def test_catalog_serve(home: Path, catalog: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    server = subprocess.Popen(
        [sys.executable, "-m", "airflow_provider_mlgov", "catalog", "serve", "--port", port],
        env=environment(home),
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        wait_for(port)
        served = mlgov(home, *RUN, "--namespace", AIR, "--catalog", f"http://127.0.0.1:{port}")
        assert served.stdout == mlgov(home, *RUN).stdout
        taken = mlgov(home, "catalog", "serve", "--port", port)
        assert taken.returncode == 2
        assert "give another --port" in one_line(taken)
    finally:
        server.send_signal(signal.SIGINT)
        _, said = server.communicate(timeout=20)
    assert f"serving {catalog} at http://127.0.0.1:{port}" in said
    assert "Traceback" not in said


def wait_for(port: str) -> None:
    end = time.monotonic() + 30
    while True:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/atlas/admin/status", timeout=2):
                return
        except OSError:
            assert time.monotonic() < end
            time.sleep(0.1)


def test_serving_to_others_needs_a_login(home: Path) -> None:
    result = mlgov(home, "catalog", "serve", "--host", "0.0.0.0", "--port", "0" * 4 + "39999")  # noqa: S104 - refused
    assert result.returncode == 2
    assert "wanted a login" in one_line(result)


def test_doctor(home: Path, catalog: Path) -> None:
    off = mlgov(home, "doctor", "--no-airflow")
    assert off.returncode == 1
    assert "WRONG  listener" in off.stdout
    backend = "airflow_provider_mlgov.lineage.AtlasLineageBackend"
    transport = json.dumps({"type": "airflow_provider_mlgov.lineage.AtlasTransport"})
    assert "off: nothing is recorded" in off.stdout
    alone = mlgov(home, "doctor", "--no-airflow", AIRFLOW__OPENLINEAGE__TRANSPORT=transport)
    assert "off: only what the OpenLineage provider sees is recorded" in alone.stdout
    on = mlgov(
        home, "doctor", "--no-airflow", AIRFLOW__LINEAGE__BACKEND=backend, AIRFLOW__OPENLINEAGE__TRANSPORT=transport
    )
    assert on.returncode == 0, on.stdout
    assert "on, by [lineage] backend" in on.stdout
    assert "sends to us too" in on.stdout
    assert str(catalog) in on.stdout
    broken = mlgov(
        home, "doctor", "--no-airflow", AIRFLOW__LINEAGE__BACKEND=backend, AIRFLOW__OPENLINEAGE__TRANSPORT="{"
    )
    assert "is no JSON" in broken.stdout
    away = mlgov(home, "doctor", "--no-airflow", "--catalog", "http://127.0.0.1:1", AIRFLOW__MLGOV__ENABLED="true")
    assert away.returncode == 1
    assert "cannot be reached" in away.stdout


def test_a_reader_that_leaves_is_no_error(home: Path, catalog: Path) -> None:
    command = f"{sys.executable} -m airflow_provider_mlgov types show --json | head -1"
    result = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {command}"], env=environment(home), capture_output=True, text=True
    )
    assert result.returncode == 0
    assert result.stderr == ""


def test_keys_of_the_world_are_those_of_the_view() -> None:
    """The world writes run keys by itself; they must be those that delivery writes."""
    assert identity.DagRun(AIR, "shop", "r").key == identity.token(f"dags/shop/runs/r@{AIR}")
