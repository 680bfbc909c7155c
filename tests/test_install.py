"""The wheel, installed in an empty environment as a user does it: `pip install` with constraints, then `airflow`.

`make test` does it for both Airflows with the Python at hand; `make test-long` for every Python that is found.
"""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import environment

ROOT = Path(__file__).resolve().parent.parent
PYTHONS = {"3.3": ("3.10", "3.11", "3.12", "3.13"), "2.11": ("3.10", "3.11", "3.12")}
HERE = f"{sys.version_info[0]}.{sys.version_info[1]}"

SMALL_DAG = """
from datetime import datetime
from airflow_provider_mlgov import _compat
try:
    from airflow.sdk import DAG, Asset, task
except ImportError:
    from airflow import DAG
    from airflow.datasets import Dataset as Asset
    from airflow.decorators import task

with DAG("small", schedule=None, start_date=datetime(2026, 1, 1)):

    @task(inlets=[Asset("postgres://db:5432/shop/public/orders")], outlets=[Asset("postgres://db:5432/shop/public/daily")])
    def sum_up():
        return 1

    sum_up()
"""


class Installation:
    """An environment that holds the wheel, and an Airflow home of its own."""

    def __init__(self, folder: Path, home: Path) -> None:
        self.bin = folder / "bin"
        self.home = home

    def run(self, *command: str) -> str:
        """Run a program of the environment; give what it printed."""
        answer = subprocess.run(
            [str(self.bin / command[0]), *command[1:]],
            capture_output=True, text=True, check=False, env=self.variables(), cwd=self.home,
        )  # fmt: skip
        assert answer.returncode == 0, f"{' '.join(command)}\n{answer.stdout[-3000:]}\n{answer.stderr[-3000:]}"
        return answer.stdout

    def variables(self) -> dict[str, str]:
        """Give an environment without anything of the one that runs the tests."""
        kept = {
            name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "PYTHON", "VIRTUAL"))
        }
        return {
            **kept,
            "PATH": f"{self.bin}{os.pathsep}{os.environ['PATH']}",
            "AIRFLOW_HOME": str(self.home),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__DAGS_FOLDER": str(self.home / "dags"),
            "AIRFLOW__MLGOV__ENABLED": "True",
        }


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("wheel")
    uv = environment.find_uv(Path(sys.prefix).parent)
    if uv is not None:
        environment.run(uv, "build", "--quiet", "--wheel", "--out-dir", str(target), str(ROOT))
    else:
        environment.run(
            sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(target), str(ROOT)
        )
    (built,) = target.glob("*.whl")
    return built


def install(wheel: Path, airflow: str, python: str, folder: Path) -> Installation:
    """Install the wheel beside one Airflow on one Python."""
    pair = tuple(map(int, python.split(".")))
    found = sys.executable if python == HERE else environment.find_interpreter(pair, pair)
    if found is None:
        pytest.skip(f"no Python {python} on this machine")
    uv = environment.find_uv(Path(sys.prefix).parent)
    place, home = folder / "environment", folder / "home"
    environment.new_environment(found, place, uv)
    arguments = ["-c", str(ROOT / "constraints" / f"airflow-{airflow}.txt"), f"apache-airflow=={airflow}.*", str(wheel)]
    target = str(place / "bin" / "python")
    environment.run(
        *([uv, "pip", "install", "--quiet", "--python", target] if uv else [target, "-m", "pip", "install"]), *arguments
    )
    (home / "dags").mkdir(parents=True)
    return Installation(place, home)


def check_installed(installation: Installation) -> None:
    """The package imports, its command runs, and Airflow lists it as a provider with a plugin."""
    version = installation.run("python", "-c", "import airflow_provider_mlgov as it; print(it.__version__)").strip()
    assert version in installation.run("mlgov", "--version")
    providers = json.loads(installation.run("airflow", "providers", "list", "--output", "json"))
    ours = [row for row in providers if row["package_name"] == "airflow-provider-mlgov"]
    assert [row["version"] for row in ours] == [version]
    assert "mlgov" in installation.run("airflow", "plugins", "--output", "json")
    assert installation.run("airflow", "config", "get-value", "mlgov", "enabled").strip().splitlines()[-1] == "True"


def check_a_run_is_recorded(installation: Installation) -> None:
    """A small DAG of an ordinary user, run by Airflow's own command, is in the embedded catalogue afterwards."""
    (installation.home / "dags" / "small.py").write_text(SMALL_DAG)
    installation.run("airflow", "db", "migrate")
    installation.run("airflow", "dags", "test", "small", "2026-01-02")
    with sqlite3.connect(installation.home / "airflow.db") as database:
        (run_id,) = database.execute("select run_id from dag_run").fetchone()
    printed = installation.run("mlgov", "lineage", "--dag-id", "small", "--run-id", run_id)
    assert "sum_up" in printed
    assert "orders" in printed
    assert "daily" in printed


@pytest.mark.install
def test_the_wheel_holds_the_package_and_nothing_else(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert "airflow_provider_mlgov/catalog/types/mlgov.json" in names
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert {name.split("/")[0].split("-")[0] for name in names} == {"airflow_provider_mlgov"}


@pytest.mark.install
@pytest.mark.parametrize("airflow", sorted(PYTHONS))
def test_installs_in_an_empty_environment(wheel: Path, airflow: str, tmp_path: Path) -> None:
    if HERE not in PYTHONS[airflow]:
        pytest.skip(f"Airflow {airflow} does not run on Python {HERE}")
    check_installed(install(wheel, airflow, HERE, tmp_path))


@pytest.mark.install
@pytest.mark.long
@pytest.mark.parametrize(
    ("airflow", "python"), [(airflow, python) for airflow, pythons in PYTHONS.items() for python in pythons]
)
def test_installs_and_records_on_every_python(wheel: Path, airflow: str, python: str, tmp_path: Path) -> None:
    installation = install(wheel, airflow, python, tmp_path)
    check_installed(installation)
    check_a_run_is_recorded(installation)
