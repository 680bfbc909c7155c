"""An Airflow of their own for the tests: a home in a temporary folder, recording switched on, nothing of the user's read.

Loaded as a pytest plugin before any test module, because Airflow reads its environment when it is imported.
"""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

import pytest

NAMESPACE = "test-air"
CACHE = Path(__file__).resolve().parents[2] / ".cache" / "databases"


def environment(home: Path, **options: str) -> dict[str, str]:
    """The environment of an Airflow under ``home``; ``options`` are those of ``[mlgov]``."""
    (home / "dags").mkdir(parents=True, exist_ok=True)
    values = {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home / 'airflow.db'}",
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        # Their password is "airflow", which 2.11 would then mask wherever it stands.
        "AIRFLOW__DATABASE__LOAD_DEFAULT_CONNECTIONS": "False",
        "AIRFLOW__CORE__DAGS_FOLDER": str(home / "dags"),
        "AIRFLOW__CORE__UNIT_TEST_MODE": "False",
        "AIRFLOW__MLGOV__ENABLED": "True",
        "AIRFLOW__MLGOV__NAMESPACE": NAMESPACE,
        "AIRFLOW__MLGOV__DELIVERY_PROCESS": "False",
    }
    return {**values, **{f"AIRFLOW__MLGOV__{name.upper()}": value for name, value in options.items()}}


class _Home:
    """The home of this test process."""

    path = Path()


def pytest_configure() -> None:
    """Make the home, and let nothing of the user's Airflow in."""
    _Home.path = Path(tempfile.mkdtemp(prefix="mlgov-airflow-"))
    for name in [name for name in os.environ if name.startswith(("AIRFLOW_", "OPENLINEAGE"))]:
        del os.environ[name]
    os.environ.update(environment(_Home.path))


def pytest_unconfigure() -> None:
    """Remove the home."""
    shutil.rmtree(_Home.path, ignore_errors=True)


def new_database(home: Path) -> None:
    """Give a home a new database of Airflow's: a copy, since Airflow needs many seconds to make one."""
    shutil.copyfile(_template(), home / "airflow.db")


@cache
def _template() -> Path:
    """A new database as this Airflow makes it, kept for as long as nothing else is installed."""
    installed = sorted(f"{each.metadata['Name']} {each.version}" for each in distributions())
    template = CACHE / f"{hashlib.sha256(repr(installed).encode()).hexdigest()[:16]}.db"
    if not template.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=CACHE) as folder:
            home = Path(folder)
            subprocess.run(
                [sys.executable, "-m", "airflow", "db", "migrate"],
                env={**os.environ, **environment(home), "PYTHONWARNINGS": "ignore"},
                stdout=subprocess.DEVNULL,
                check=True,
            )
            with closing(sqlite3.connect(home / "airflow.db")) as made, closing(sqlite3.connect(home / "one")) as one:
                made.backup(one)
            (home / "one").replace(template)
    return template


@pytest.fixture(scope="session")
def airflow_home() -> Path:
    """The home, with a database."""
    new_database(_Home.path)
    return _Home.path


class Log(logging.Handler):
    """What the package logs."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        if record.levelno >= logging.WARNING:
            self.lines.append(record.getMessage())


@dataclass
class Recording:
    """A recording Airflow whose catalogue, spool and options belong to one test."""

    home: Path
    log: Log
    _set: Callable[[str, str], None] = field(repr=False)

    def options(self, **options: str) -> None:
        """Set options of ``[mlgov]``."""
        from airflow_provider_mlgov.plugin import MlgovPlugin

        for name, value in options.items():
            self._set(f"AIRFLOW__MLGOV__{name.upper()}", value)
        for listener in MlgovPlugin.listeners:
            for name in ("settings", "_outbox"):
                listener.__dict__.pop(name, None)

    @property
    def settings(self) -> Any:
        from airflow_provider_mlgov.settings import Settings

        return Settings.load()

    def run(self, dag: Any, **kwargs: Any) -> Any:
        """Run a DAG to its end; returns the DAG run."""
        return run_dag(dag, **kwargs)

    def drain(self) -> Any:
        """Send what waits, follow up on what ended, and send what came of that."""
        from airflow_provider_mlgov.assembly import open_sender
        from airflow_provider_mlgov.lineage.reconcile import reconcile

        sender = open_sender(self.settings)
        sender.send()
        reconcile(self.settings)
        return sender.send()

    def events(self) -> list[dict[str, Any]]:
        """The events that wait, oldest first."""
        from airflow_provider_mlgov.assembly import open_spool

        spool = open_spool(self.settings)
        return [event for path in spool.waiting() if (event := spool.read(path)) is not None]

    def find(self, type_name: str) -> list[dict[str, Any]]:
        """The attributes of all entities of a type."""
        from airflow_provider_mlgov.assembly import open_catalog

        catalog = open_catalog(self.settings)
        try:
            headers = catalog.search(type_name, limit=1000)
            names = [header["attributes"]["qualifiedName"] for header in headers]
            return [
                {"typeName": entity["typeName"], **entity["attributes"]}
                for entity in catalog.get_many(type_name, names).values()
            ]
        finally:
            catalog.close()

    def attempts(self) -> dict[tuple[str, int, int], str | None]:
        """The state of each attempt, by task, map index and try."""
        return {
            (run["taskId"], run["mapIndex"], run["tryNumber"]): run.get("state") for run in self.find("mlgov_task_run")
        }

    def process_ends(self, type_name: str = "Process") -> list[tuple[str, list[str], list[str]]]:
        """Each process with the sorted qualifiedNames of its inputs and outputs."""
        from airflow_provider_mlgov.assembly import open_catalog

        catalog = open_catalog(self.settings)
        try:
            found = []
            for header in catalog.search(type_name, limit=1000):
                entity = catalog.get_by_guid(header["guid"], relationships=True)
                assert entity is not None
                ends = [
                    sorted(
                        catalog.get_by_guid(ref["guid"])["attributes"]["qualifiedName"]  # type: ignore[index]
                        for ref in entity["attributes"].get(way) or ()
                    )
                    for way in ("inputs", "outputs")
                ]
                found.append((header["typeName"], *ends))
            return sorted(found)
        finally:
            catalog.close()


@pytest.fixture
def recording(airflow_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Recording]:
    """A recording Airflow with a catalogue and spool of this test's own."""
    from airflow_provider_mlgov.lineage import declared

    log = Log()
    logger = logging.getLogger("airflow_provider_mlgov")
    logger.addHandler(log)
    declared._warned.clear()
    made = Recording(tmp_path, log, monkeypatch.setenv)
    made.options(embedded_path=str(tmp_path / "catalog.db"), spool_folder=str(tmp_path / "spool"))
    yield made
    logger.removeHandler(log)
    monkeypatch.undo()
    made.options()


def run_dag(dag: Any, **kwargs: Any) -> Any:
    """Run an in-memory DAG to its end, in this process; a failed task does not raise."""
    from airflow_provider_mlgov._compat import is_airflow_3
    from airflow_provider_mlgov.lineage.aside import ASIDE

    if is_airflow_3():
        from airflow.dag_processing.bundles.manager import DagBundlesManager
        from airflow.dag_processing.dagbag import DagBag, sync_bag_to_db
        from airflow.utils.session import create_session

        with create_session() as session:
            DagBundlesManager().sync_bundles_to_db(session=session)
        bag = DagBag(dag_folder=os.devnull, bundle_path=None, bundle_name="dags-folder")
        bag.bag_dag(dag)
        sync_bag_to_db(bag, "dags-folder", None)
    else:
        dag.sync_to_db()  # events of assets want the assets in the database
    run = dag.test(**kwargs)
    assert ASIDE.settle(60)  # what the hooks of the DAG run write beside the scheduler's loop
    return run


def new_dag(**kwargs: Any) -> Any:
    """A DAG with a name of its own, as a context manager."""
    import pendulum

    from airflow_provider_mlgov._compat import DAG

    name = kwargs.pop("dag_id", f"dag_{uuid.uuid4().hex[:8]}")
    return DAG(dag_id=name, schedule=None, start_date=pendulum.datetime(2026, 1, 1, tz="UTC"), **kwargs)
