"""A real scheduler: what only it shows. Killed, skipped by a branch, upstream_failed, set by hand, cleared."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from airflow_env import Log, Recording, environment
from airflow_provider_mlgov._compat import is_airflow_3

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
PORT = "18371"


def daemons() -> list[list[str]]:
    if is_airflow_3():
        return [["api-server", "--port", PORT], ["dag-processor"], ["scheduler"]]
    return [["scheduler"]]


@pytest.fixture(scope="module")
def env(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    home = tmp_path_factory.mktemp("scheduler")
    values = {
        **os.environ,
        **environment(home, delivery_process="True"),
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
        "PYTHONWARNINGS": "ignore",
        "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
        "_AIRFLOW__SKIP_DATABASE_EXECUTOR_COMPATIBILITY_CHECK": "1",
        "AIRFLOW__CORE__PARALLELISM": "2",
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"http://127.0.0.1:{PORT}/execution/",
        "AIRFLOW__API__BASE_URL": f"http://127.0.0.1:{PORT}",
        "AIRFLOW__API_AUTH__JWT_SECRET": "a secret of this test that is long enough for its algorithm",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
        "AIRFLOW__SCHEDULER__MIN_FILE_PROCESS_INTERVAL": "2",
        "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": "2",
        "AIRFLOW__SCHEDULER__ENABLE_HEALTH_CHECK": "False",
        "AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT": "18372",
        "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "20",
        "AIRFLOW__SCHEDULER__SCHEDULER_ZOMBIE_TASK_THRESHOLD": "20",
        "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "5",
        "AIRFLOW__SCHEDULER__ZOMBIE_DETECTION_INTERVAL": "5",
    }
    (home / "dags" / "real.py").write_text(DAG)
    return values


def airflow(env: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "airflow", *arguments], env=env, capture_output=True, text=True, timeout=120
    )


@pytest.fixture(scope="module")
def running(env: dict[str, str]) -> Iterator[Path]:
    """The daemons; yields the home."""
    home = Path(env["AIRFLOW_HOME"])
    done = airflow(env, "db", "migrate")
    assert done.returncode == 0, done.stderr[-2000:]
    started = []
    for command in daemons():
        with (home / f"{command[0]}.log").open("wb") as out:
            started.append(
                subprocess.Popen(
                    [sys.executable, "-m", "airflow", *command], env=env, stdout=out, stderr=out, start_new_session=True
                )
            )
    yield home
    for process in started:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
    end = time.monotonic() + 15
    for process in started:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(max(0.1, end - time.monotonic()))
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def until(what: str, seconds: float, call: Callable[[], Any]) -> Any:
    """What ``call`` returns once it is true."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = call()
        if found:
            return found
        time.sleep(1)
    raise AssertionError(f"waited {seconds:.0f} s for {what}")


def test_a_real_scheduler(running: Path, env: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in env.items():
        if name.startswith("AIRFLOW__MLGOV__") or name == "AIRFLOW_HOME":
            monkeypatch.setenv(name, value)
    recording = Recording(running, Log(), monkeypatch.setenv)
    trigger = ("dags", "trigger", "real", "-r", "one")
    until("the DAG", 90, lambda: airflow(env, *trigger).returncode == 0)
    pid = until("the task to be killed", 120, lambda: (running / "dags" / "pid.txt").exists())
    time.sleep(1)
    pid = int((running / "dags" / "pid.txt").read_text())
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
    set_by_hand(env)
    if is_airflow_3():
        until("what was set by hand", 60, lambda: states(recording)["left"] == "failed")

    # Cleared: another attempt of the same task, in the same run.
    clear(env)
    until(
        "the cleared task", 90, lambda: ("load", -1, 2) in recording.attempts() and recording.attempts()["load", -1, 2]
    )
    assert recording.attempts()["load", -1, 1] == "success"
    assert recording.attempts()["load", -1, 2] == "success"
    assert len(recording.find("mlgov_dag_run")) == 1
    until("what was set by hand", 60, lambda: states(recording)["left"] == "failed")
    (source,) = (run["stateSource"] for run in recording.find("mlgov_task_run") if run["taskId"] == "left")
    assert source == ("manual" if is_airflow_3() else "reconciled")


def set_by_hand(env: dict[str, str]) -> None:
    """Set task ``left`` to failed, as a person would by the user interface."""
    if not is_airflow_3():
        script = (
            "from airflow.models import DagBag\n"
            f"dag = DagBag({env['AIRFLOW__CORE__DAGS_FOLDER']!r}).get_dag('real')\n"
            "dag.set_task_instance_state(task_id='left', run_id='one', state='failed', commit=True)\n"
        )
        subprocess.run([sys.executable, "-c", script], env=env, check=True, capture_output=True, timeout=60)
        return
    call("PATCH", "dagRuns/one/taskInstances/left", {"new_state": "failed"})


def clear(env: dict[str, str]) -> None:
    """Clear task ``load``."""
    if is_airflow_3():
        body = {"dry_run": False, "task_ids": ["load"], "dag_run_id": "one", "only_failed": False}
        call("POST", "clearTaskInstances", body)
    else:
        assert airflow(env, "tasks", "clear", "real", "-t", "^load$", "-y").returncode == 0


def call(method: str, path: str, body: dict[str, Any]) -> None:
    """Call the API of Airflow 3."""
    import requests

    base = f"http://127.0.0.1:{PORT}"
    token = requests.get(f"{base}/auth/token", timeout=30).json()["access_token"]
    headers = {"Authorization": f"Bearer {token}"}
    requests.request(
        method, f"{base}/api/v2/dags/real/{path}", json=body, headers=headers, timeout=30
    ).raise_for_status()


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
