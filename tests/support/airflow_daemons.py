"""A real Airflow with its daemons, in a home of its own: scheduler with LocalExecutor, and what else its version needs."""

from __future__ import annotations

import base64
import contextlib
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from airflow_env import environment, new_database
from airflow_provider_mlgov._compat import is_airflow_3


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


class Airflow:
    """An Airflow under ``home``; ``options`` are those of ``[mlgov]``, ``more`` goes into the environment."""

    def __init__(self, home: Path, dags: dict[str, str], *, more: dict[str, str] | None = None, **options: str) -> None:
        self.home = home
        self.port = free_port()
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.env = {
            **os.environ,
            **environment(home, **{"delivery_process": "True", **options}),
            "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
            "PYTHONWARNINGS": "ignore",
            "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
            "_AIRFLOW__SKIP_DATABASE_EXECUTOR_COMPATIBILITY_CHECK": "1",
            "AIRFLOW__CORE__PARALLELISM": "2",
            "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"http://127.0.0.1:{self.port}/execution/",
            "AIRFLOW__API__BASE_URL": f"http://127.0.0.1:{self.port}",
            "AIRFLOW__API_AUTH__JWT_SECRET": "a secret of this test that is long enough for its algorithm",
            # Else daemons that start at once make one each, and a trigger cannot be read by who has the other.
            "AIRFLOW__CORE__FERNET_KEY": base64.urlsafe_b64encode(bytes(32)).decode(),
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
            "AIRFLOW__SCHEDULER__MIN_FILE_PROCESS_INTERVAL": "2",
            "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": "2",
            "AIRFLOW__SCHEDULER__ENABLE_HEALTH_CHECK": "False",
            "AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT": str(free_port()),
            "AIRFLOW__LOGGING__TRIGGER_LOG_SERVER_PORT": str(free_port()),
            "AIRFLOW__WORKERS__EXECUTION_API_TIMEOUT": "60",
            "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "20",
            "AIRFLOW__SCHEDULER__SCHEDULER_ZOMBIE_TASK_THRESHOLD": "20",
            "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "5",
            "AIRFLOW__SCHEDULER__ZOMBIE_DETECTION_INTERVAL": "5",
            **(more or {}),
        }
        for name, text in dags.items():
            (home / "dags" / name).write_text(text)

    @contextmanager
    def running(self, *, triggerer: bool = False) -> Iterator[Airflow]:
        """Its daemons run, and are ended afterwards."""
        new_database(self.home)
        daemons = [["scheduler"], *([["triggerer"]] if triggerer else [])]
        if is_airflow_3():
            daemons = [["api-server", "--host", "127.0.0.1", "--port", str(self.port)], ["dag-processor"], *daemons]
        try:
            for command in daemons:
                self.start(*command)
            yield self
        finally:
            self.stop()

    def start(self, *command: str) -> None:
        """Start one daemon; what it says goes to ``<name>.log``."""
        with (self.home / f"{command[0]}.log").open("ab") as out:
            self.processes[command[0]] = subprocess.Popen(
                [sys.executable, "-m", "airflow", *command],
                env=self.env,
                stdout=out,
                stderr=out,
                start_new_session=True,
            )

    def stop(self) -> None:
        """End all daemons, by force where SIGTERM is not enough."""
        for process in self.processes.values():
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
        end = time.monotonic() + 15
        for process in self.processes.values():
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(max(0.1, end - time.monotonic()))
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        self.processes.clear()

    def __call__(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a command of Airflow's."""
        command = [sys.executable, "-m", "airflow", *arguments]
        return subprocess.run(command, env=self.env, capture_output=True, text=True, timeout=240)

    def script(self, text: str) -> str:
        """Run Python in this Airflow; what it printed."""
        done = subprocess.run(
            [sys.executable, "-c", text], env=self.env, capture_output=True, text=True, timeout=120, check=False
        )
        assert done.returncode == 0, done.stderr[-2000:]
        return done.stdout

    def trigger(self, dag_id: str, run_id: str) -> None:
        """Start a DAG run, as soon as the DAG is known."""
        known = "select 1 from serialized_dag where dag_id = ?"
        until("the DAG", 240, lambda: self.query(known, dag_id))
        done = self("dags", "trigger", dag_id, "-r", run_id)
        assert done.returncode == 0, done.stderr[-2000:]

    def call(self, method: str, path: str, body: dict[str, Any]) -> None:
        """Call the API of Airflow 3."""
        import requests

        base = f"http://127.0.0.1:{self.port}"
        token = requests.get(f"{base}/auth/token", timeout=30).json()["access_token"]
        headers = {"Authorization": f"Bearer {token}"}
        requests.request(
            method, f"{base}/api/v2/dags/{path}", json=body, headers=headers, timeout=30
        ).raise_for_status()

    def attempts(self, run_id: str) -> dict[tuple[str, int, int], str | None]:
        """The state of each attempt in Airflow's database, by task, map index and try."""
        found: dict[tuple[str, int, int], str | None] = {}
        for table in ("task_instance_history", "task_instance"):
            query = f"select task_id, map_index, try_number, state from {table} where run_id = ?"
            found |= {(task, index, number): state for task, index, number, state in self.query(query, run_id)}
        return found

    def query(self, query: str, *values: object) -> list[Any]:
        """Rows of Airflow's database."""
        with contextlib.closing(sqlite3.connect(f"file:{self.home / 'airflow.db'}?mode=ro", uri=True)) as database:
            return database.execute(query, values).fetchall()


def until(what: str, seconds: float, call: Callable[[], Any]) -> Any:
    """What ``call`` returns once it is true."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = call()
        if found:
            return found
        time.sleep(1)
    raise AssertionError(f"waited {seconds:.0f} s for {what}")
