"""A real Airflow in this process, for measuring: its own home, a new database, DAGs run with ``dag.test()``."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def prepare(home: Path, options: Mapping[str, str]) -> None:
    """Set the environment up and make the database. Call it before anything imports Airflow."""
    (home / "dags").mkdir(parents=True, exist_ok=True)
    os.environ.update(
        {
            "AIRFLOW_HOME": str(home),
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home}/airflow.db",
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__DAGS_FOLDER": str(home / "dags"),
            "AIRFLOW__LOGGING__LOGGING_LEVEL": "ERROR",
            **options,
        }
    )
    from airflow.utils.db import initdb

    initdb()
    with contextlib.suppress(ImportError):  # Airflow 3 only
        from airflow.dag_processing.bundles.manager import DagBundlesManager
        from airflow.utils.session import create_session

        with create_session() as session:
            DagBundlesManager().sync_bundles_to_db(session=session)


def make_dag(dag_id: str, tasks: int) -> Any:
    """Make a DAG of ordinary tasks in a row, each of which reads two tables and writes a third."""
    import pendulum
    from airflow.providers.common.compat.sdk import DAG, Asset
    from airflow.providers.standard.operators.python import PythonOperator

    def asset(name: str) -> Any:
        return Asset(f"postgres://db.example.com:5432/shop/public/{name}")

    with DAG(dag_id, schedule=None, start_date=pendulum.datetime(2026, 1, 1, tz="UTC")) as dag:
        before = None
        for number in range(tasks):
            task = PythonOperator(
                task_id=f"step_{number}",
                python_callable=_work,
                inlets=[asset(f"{dag_id}_{number}"), asset(f"{dag_id}_common")],
                outlets=[asset(f"{dag_id}_{number + 1}")],
            )
            if before is not None:
                before >> task
            before = task
    return dag


def _work() -> None:
    """Stand for the user's own work."""


def run(dag: Any, day: int) -> Any:
    """Run a DAG once in this process."""
    import pendulum

    _serialize(dag)
    when = pendulum.datetime(2026, 1, 1, tz="UTC").add(days=day)
    try:
        return dag.test(logical_date=when)
    except TypeError:  # Airflow 2.11 has the older word
        return dag.test(execution_date=when)


def _serialize(dag: Any) -> None:
    """Let Airflow 3 know a DAG that is in no file."""
    try:
        from airflow.dag_processing.dagbag import DagBag, sync_bag_to_db
    except ImportError:
        try:
            from airflow.models.dagbag import DagBag, sync_bag_to_db  # until Airflow 3.1
        except ImportError:
            return
    bag = DagBag(dag_folder=os.devnull, bundle_path=None)
    bag.bag_dag(dag)
    sync_bag_to_db(bag, "dags-folder", None)


def listener_managers() -> list[Any]:
    """Give every pluggy manager that calls task listeners in this process."""
    managers = []
    with contextlib.suppress(ImportError):  # Airflow 3: the task's side has one of its own
        from airflow.sdk.listener import get_listener_manager as of_tasks

        managers.append(of_tasks())
    from airflow.listeners.listener import get_listener_manager

    managers.append(get_listener_manager())
    return managers


def entities_in(catalogue: Path) -> int:
    """Count the rows of the largest table of an embedded catalogue: a sign that something was recorded."""
    with sqlite3.connect(catalogue) as database:
        tables = [name for (name,) in database.execute("select name from sqlite_master where type = 'table'")]
        return max((database.execute(f'select count(*) from "{name}"').fetchone()[0] for name in tables), default=0)  # noqa: S608 - names of this very database
