"""``mlgov spool``, and what other commands say of the events that wait."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from airflow_provider_mlgov.catalog.embedded import EmbeddedCatalog
from airflow_provider_mlgov.delivery.spool import Spool
from airflow_provider_mlgov.lineage import followup
from airflow_provider_mlgov.settings import Settings
from cli_runs import RUN, mlgov, one_line
from lineage_world import AIR, World


def event(task: str, run: str = "manual__1", kind: str = "COMPLETE") -> dict[str, object]:
    facet = {"dagId": "shop", "runId": run, "taskId": task, "mapIndex": -1, "tryNumber": 1, "namespace": AIR}
    if kind != "START":
        facet["state"] = "success"
    return {
        "eventType": kind,
        "eventTime": "2026-11-23T10:00:00Z",
        "producer": "https://example.org",
        "schemaURL": "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent",
        "run": {"runId": "0194b2f0-0000-7000-8000-000000000001", "facets": {"mlgov_airflow": facet}},
        "job": {"namespace": "default", "name": f"shop.{task}", "facets": {}},
        "inputs": [{"namespace": "postgres://db:5432", "name": "shop.public.a", "facets": {}}],
        "outputs": [{"namespace": "postgres://db:5432", "name": "shop.public.b", "facets": {}}],
    }


def test_what_waits_is_said_and_drained(home: Path, catalog: Path) -> None:
    spool = Spool(home / "mlgov" / "spool")
    spool.append(event("load"))
    shown = mlgov(home, *RUN)
    assert shown.returncode == 0
    assert "`mlgov spool drain` sends them" in shown.stderr
    assert "waiting       1, 0.0 MB, the oldest written" in mlgov(home, "spool", "status").stdout
    assert "COMPLETE shop.load" in mlgov(home, "spool", "list").stdout
    sent = mlgov(home, "spool", "drain")
    assert sent.returncode == 0, sent.stderr
    assert sent.stdout.startswith("sent 1 events")
    after = mlgov(home, *RUN)
    assert after.stderr == ""
    assert "load" in after.stdout
    assert catalog.exists()


@pytest.mark.usefixtures("catalog")
def test_wait_sends_first(home: Path) -> None:
    Spool(home / "mlgov" / "spool").append(event("load"))
    result = mlgov(home, *RUN, "--wait")
    assert result.returncode == 0, result.stderr
    assert "load" in result.stdout


def test_wait_for_a_run_that_does_not_end(home: Path, catalog: Path) -> None:
    World(EmbeddedCatalog(catalog)).dag_run("running")
    result = mlgov(home, "lineage", "--dag-id", "shop", "--run-id", "running", "--wait", "--timeout", "1")
    assert result.returncode == 1
    assert "has not ended" in result.stderr
    assert "DAG run shop" in result.stdout


def test_dead_letters(home: Path) -> None:
    spool = Spool(home / "mlgov" / "spool")
    spool.bury([event("load")], "Atlas refused it:\nATLAS-400-00-01A")
    status = mlgov(home, "spool", "status")
    assert status.returncode == 1
    assert "dead letters  1" in status.stdout
    listed = mlgov(home, "spool", "list", "--dead").stdout
    assert "Atlas refused it: ATLAS-400-00-01A" in listed
    name = listed.split()[0]
    assert mlgov(home, "spool", "retry", name).stdout.startswith("1 events wait again")
    assert mlgov(home, "spool", "status").returncode == 0


def test_one_file_is_shown_as_translate_reads_it(home: Path) -> None:
    spool = Spool(home / "mlgov" / "spool")
    path = spool.append(event("load"))
    letter = spool.bury([event("a"), event("b")], "Atlas refused it", parts=["hive_table d.t@cm"])
    shown = mlgov(home, "spool", "show", letter.name)
    assert [json.loads(line)["job"]["name"] for line in shown.stdout.splitlines()] == ["shop.a", "shop.b"]
    assert "dead letter: Atlas refused it" in shown.stderr
    assert "refused: hive_table d.t@cm" in shown.stderr
    (home / "shown.ndjson").write_text(mlgov(home, "spool", "show", path.name).stdout)
    assert "shop/tasks/load" in mlgov(home, "translate", str(home / "shown.ndjson")).stdout
    for name in ("nothing", "../dead/" + letter.name):
        assert one_line(mlgov(home, "spool", "show", name)).endswith("see `mlgov spool list`")


def test_what_is_dropped_is_said_first(home: Path) -> None:
    spool = Spool(home / "mlgov" / "spool")
    path = spool.append(event("load"))
    letter = spool.bury([event("a")], "Atlas refused it")
    one_line(mlgov(home, "spool", "drop"))
    one_line(mlgov(home, "spool", "drop", path.name, "--older-than", "1"))
    assert one_line(mlgov(home, "spool", "drop", path.name, "nothing", "--yes")).startswith(
        "mlgov: there is no file 'nothing';"
    )
    asked = mlgov(home, "spool", "drop", path.name, letter.name)
    assert (asked.returncode, asked.stdout) == (1, "2 files would be deleted for good: --yes does it\n")
    assert mlgov(home, "spool", "drop", "--older-than", "1", "--yes").stdout == "0 files deleted\n"
    assert mlgov(home, "spool", "drop", "--older-than", "0", "--yes").stdout == "1 files deleted\n"
    assert [found.name for found in spool.waiting()] == [path.name]
    assert mlgov(home, "spool", "drop", path.name, "--yes").stdout == "1 files deleted\n"
    assert not spool.waiting()


@pytest.mark.parametrize("odd", [5, [], None, "text"])
def test_what_is_no_event_is_listed_too(home: Path, odd: object) -> None:
    spool = Spool(home / "mlgov" / "spool")
    spool.append(odd)  # type: ignore[arg-type] # whatever another program put there
    spool.append(event("load"))
    spool.bury([odd], "no event")  # type: ignore[list-item]
    spool.bury([event("load")], "refused")
    dead = mlgov(home, "spool", "list", "--dead")
    assert dead.returncode == 0, dead.stderr
    assert f"no event: {odd!r}" in dead.stdout
    assert "COMPLETE shop.load" in dead.stdout
    wrong = mlgov(home, "spool", "list", "--limit", "-5")
    assert (wrong.returncode, "'-5' is no whole number" in wrong.stderr) == (2, True)
    assert "1 of 2: --limit shows more" in mlgov(home, "spool", "list", "--dead", "--limit", "1").stderr
    waiting = mlgov(home, "spool", "list")
    assert waiting.returncode == 0, waiting.stderr
    assert "COMPLETE shop.load" in waiting.stdout


@pytest.mark.usefixtures("catalog")
def test_doctor_says_what_nothing_will_take(home: Path) -> None:
    spool = Spool(home / "mlgov" / "spool")
    path = spool.append(event("load"))
    fresh = mlgov(home, "doctor", "--no-airflow", AIRFLOW__MLGOV__ENABLED="true")
    assert fresh.returncode == 0, fresh.stdout
    assert "note   spool" in fresh.stdout
    off = mlgov(
        home, "doctor", "--no-airflow", AIRFLOW__MLGOV__ENABLED="true", AIRFLOW__MLGOV__DELIVERY_PROCESS="false"
    )
    assert off.returncode == 1
    assert "delivery_process is off" in off.stdout
    assert "all well" not in off.stdout
    old = f"{time.time_ns() - 3_600_000_000_000:020d}"
    path.rename(path.with_name(old + path.name[20:]))
    forgotten = mlgov(home, "doctor", "--no-airflow", AIRFLOW__MLGOV__ENABLED="true")
    assert forgotten.returncode == 1
    assert "the oldest written 60 min ago" in forgotten.stdout
    assert "nothing takes them" in forgotten.stdout
    path.with_name(old + path.name[20:]).unlink()
    followup.note_run(Settings(spool_folder=spool.root, embedded_path=home / "x.db"), "d", "r")
    noted = mlgov(
        home, "doctor", "--no-airflow", AIRFLOW__MLGOV__ENABLED="true", AIRFLOW__MLGOV__DELIVERY_PROCESS="false"
    )
    assert noted.returncode == 1
    assert "1 notes about runs that ended" in noted.stdout


def test_drain_says_why_events_wait(home: Path) -> None:
    Spool(home / "mlgov" / "spool").append(event("load"))
    result = mlgov(home, "spool", "drain", "--catalog", "http://127.0.0.1:1")
    assert result.returncode == 3
    assert "cannot be reached" in one_line(result)
    assert "open since" in mlgov(home, "spool", "status").stdout
    assert "WRONG  breaker" in mlgov(home, "doctor", "--no-airflow").stdout
