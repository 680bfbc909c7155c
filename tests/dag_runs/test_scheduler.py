"""A real scheduler: what only it shows. Killed, skipped by a branch, upstream_failed, set by hand, cleared."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator

import pytest

from airflow_daemons import Airflow, until
from airflow_env import Log, Recording
from airflow_provider_mlgov._compat import is_airflow_3
from airflow_provider_mlgov.settings import BACKEND

pytestmark = [pytest.mark.scheduler, pytest.mark.filterwarnings("default")]

DAG = """
import os, time
import pendulum
from airflow.providers.common.compat.sdk import DAG
from airflow.providers.standard.operators.python import BranchPythonOperator, PythonOperator
from airflow.providers.common.compat.lineage.entities import File

HERE = os.path.dirname(__file__)

def sleeps():
    with open(os.path.join(HERE, "pid.txt"), "w") as out:
        out.write(str(os.getpid()))
    time.sleep(300)

def fails():
    raise ValueError("no")

with DAG(dag_id="real", schedule=None, start_date=pendulum.datetime(2026, 1, 1, tz="UTC"), catchup=False,
         is_paused_upon_creation=False) as dag:
    load = PythonOperator(task_id="load", python_callable=lambda: None,
                          inlets=[File(url="s3://lake/raw.csv")], outlets=[File(url="s3://lake/clean.csv")])
    branch = BranchPythonOperator(task_id="branch", python_callable=lambda: "left")
    load >> branch >> [PythonOperator(task_id="left", python_callable=lambda: None),
                       PythonOperator(task_id="right", python_callable=lambda: None)]
    PythonOperator(task_id="broken", python_callable=fails) >> PythonOperator(task_id="after", python_callable=lambda: None)
    PythonOperator(task_id="killed", python_callable=sleeps)
"""


@pytest.fixture(scope="module")
def airflow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Airflow]:
    switch = {
        "AIRFLOW__MLGOV__ENABLED": "False",
        "AIRFLOW__LINEAGE__BACKEND": BACKEND,
    }  # the line alone, as the README has it
    with Airflow(tmp_path_factory.mktemp("scheduler"), {"real.py": DAG}, more=switch).running() as found:
        yield found


def test_a_real_scheduler(airflow: Airflow, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in airflow.env.items():
        if name.startswith(("AIRFLOW__MLGOV__", "AIRFLOW__LINEAGE__")) or name == "AIRFLOW_HOME":
            monkeypatch.setenv(name, value)
    recording = Recording(airflow.home, Log(), monkeypatch.setenv)
    airflow.trigger("real", "one")
    until("the task to be killed", 120, lambda: (airflow.home / "dags" / "pid.txt").exists())
    time.sleep(1)
    pid = int((airflow.home / "dags" / "pid.txt").read_text())
    until("the other tasks", 90, lambda: "left" in states(recording))
    os.kill(pid, signal.SIGKILL)

    found = until("the end of all", 150, lambda: ended(recording))
    assert found["load"] == found["branch"] == found["left"] == "success"
    assert found["right"] == "skipped"
    assert found["broken"] == "failed"
    assert found["after"] == "upstream_failed"
    assert found["killed"] == "failed"
    [run] = recording.find("mlgov_dag_run")
    assert run["state"] == "failed"
    assert [kind for kind, _, _ in recording.process_ends()] == ["mlgov_task_process"]

    # Set by hand. 3.x tells its listeners in the API server; on 2.11 it shows when the DAG run ends again.
    set_by_hand(airflow)
    if is_airflow_3():
        until("what was set by hand", 60, lambda: states(recording)["left"] == "failed")

    # Cleared: another attempt of the same task, in the same run.
    clear(airflow)
    until(
        "the cleared task", 90, lambda: ("load", -1, 2) in recording.attempts() and recording.attempts()["load", -1, 2]
    )
    assert recording.attempts()["load", -1, 1] == "success"
    assert recording.attempts()["load", -1, 2] == "success"
    assert len(recording.find("mlgov_dag_run")) == 1
    until("what was set by hand", 60, lambda: states(recording)["left"] == "failed")
    (source,) = (run["stateSource"] for run in recording.find("mlgov_task_run") if run["taskId"] == "left")
    assert source == ("manual" if is_airflow_3() else "reconciled")


def set_by_hand(airflow: Airflow) -> None:
    """Set task ``left`` to failed, as a person would by the user interface."""
    if is_airflow_3():
        airflow.call("PATCH", "real/dagRuns/one/taskInstances/left", {"new_state": "failed"})
        return
    airflow.script(
        "from airflow.models import DagBag\n"
        f"dag = DagBag({str(airflow.home / 'dags')!r}).get_dag('real')\n"
        "dag.set_task_instance_state(task_id='left', run_id='one', state='failed', commit=True)\n"
    )


def clear(airflow: Airflow) -> None:
    """Clear task ``load``."""
    if is_airflow_3():
        body = {"dry_run": False, "task_ids": ["load"], "dag_run_id": "one", "only_failed": False}
        airflow.call("POST", "real/clearTaskInstances", body)
    else:
        assert airflow("tasks", "clear", "real", "-t", "^load$", "-y").returncode == 0


def attempts(recording: Recording) -> dict[tuple[str, int, int], str | None]:
    from airflow_provider_mlgov.errors import CatalogError

    try:
        return recording.attempts()
    except CatalogError:
        return {}  # nothing was written yet


def states(recording: Recording) -> dict[str, str | None]:
    return {task: state for (task, _, _), state in attempts(recording).items() if state}


def ended(recording: Recording) -> dict[str, str | None]:
    found = states(recording)
    runs = recording.find("mlgov_dag_run") if found else []
    over = len(found) == 7 and runs and runs[0].get("state")
    return found if over else {}
