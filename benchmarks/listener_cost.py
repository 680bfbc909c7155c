"""What our listener adds to a task run, beside the OpenLineage provider and DataHub's plugin. Goal: less, and at most 20 ms.

All are loaded in one process and take turns, one DAG run each: nobody, ours, the OpenLineage provider, DataHub's plugin. Ours
records in the embedded catalogue to the end: it collects, cleans, writes the event ahead, translates and writes the entities.
The others build what they send and post it to one server on this machine that answers at once. The time of every hook call is
taken around the listener's own function; the time of a whole task run, as ``dag.test`` runs it, is shown beside it.

The first run of a process pays for imports (a worker's task process is often new); the others do not. Both are shown.
DataHub's plugin is measured where it is installed: ``make bench`` does that in an environment of its own.
"""

from __future__ import annotations

import importlib.util
import json
import logging
import os
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections import defaultdict
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

import airflow_here
from table import heading, table

TASKS = 5
ROUNDS = int(os.environ.get("ROUNDS", "6"))
"""Runs of each; the first of a process is counted apart. ``dag.test`` of Airflow 3.1 takes seconds a task: fewer do."""
HOOKS = ("on_task_instance_running", "on_task_instance_success")
NOBODY, OURS = "nobody", "ours"
PACKAGES = {
    "airflow_provider_mlgov": OURS,
    "airflow.providers.openlineage": "OpenLineage",
    "datahub_airflow_plugin": "DataHub",
}
GOAL_MS = 20.0

SINK = """
import http.server
class Sink(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def answer(self):
        self.rfile.read(int(self.headers.get("content-length") or 0))
        body = CONFIG if self.path == "/config" else b"{}"
        self.send_response(200); self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body))); self.end_headers(); self.wfile.write(body)
    do_GET = do_POST = answer
    def log_message(self, *_): pass
# What DataHub's client asks a server for before it sends.
CONFIG = b'{"noCode": "true", "statefulIngestionCapable": true, "versions": {"acryldata/datahub": {"version": "v1.4.0"}}}'
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Sink)
print(server.server_port, flush=True)
server.serve_forever()
"""


class Turn:
    """Who listens now, and the times that were taken: by hook call, and by task run as a whole."""

    def __init__(self) -> None:
        self.who = NOBODY
        self.calls: dict[tuple[str, str], list[float]] = defaultdict(list)
        self.runs: dict[str, list[float]] = defaultdict(list)

    def timed(self, function: Callable[..., Any], owner: str, hook: str) -> Callable[..., Any]:
        """Put a clock around a listener's function, and let it be called in its owner's turn only."""

        @wraps(function)
        def call(*arguments: Any) -> Any:
            if owner != self.who:
                return None
            start = time.perf_counter()
            try:
                return function(*arguments)
            finally:
                self.calls[owner, hook].append(time.perf_counter() - start)

        call.timed = True  # type: ignore[attr-defined]
        return call

    def added(self, owner: str, part: slice) -> float:
        """What the hooks of one task run took, in milliseconds: the median of each."""
        return sum(statistics.median(self.calls[owner, hook][part]) for hook in HOOKS) * 1000


def main() -> None:
    """Measure and print."""
    logging.disable(logging.WARNING)
    warnings.simplefilter("ignore")
    with (
        tempfile.TemporaryDirectory() as folder,
        subprocess.Popen([sys.executable, "-c", SINK], stdout=subprocess.PIPE, text=True) as sink,
    ):
        try:
            assert sink.stdout is not None
            port = int(sink.stdout.readline())
            # What is done once for a catalogue (the file, the types) is no task's cost: another process does it before.
            before = [sys.executable, __file__, folder, str(port)]
            subprocess.run(before, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            turn = measure(Path(folder), port, ROUNDS)
            recorded = airflow_here.entities_in(Path(folder) / "catalog.db")
        finally:
            sink.terminate()
    heading(
        f"Time added to one task run, start and end hooks; {TASKS} tasks, {ROUNDS} runs each; {recorded} rows recorded"
    )
    first, later = slice(0, 1), slice(TASKS, None)
    others = owners()[1:]
    rows: list[list[object]] = []
    for name, part in (("first task of a process", first), ("every other (median)", later)):
        ours = turn.added(OURS, part)
        theirs = [turn.added(other, part) for other in others]
        rows.append([name, ours, *(figure for other in theirs for figure in (other, ours / other))])
    table(("", "ours ms", *(word for other in others for word in (f"{other} ms", "ratio"))), rows)
    met = "met" if turn.added(OURS, later) <= GOAL_MS else "MISSED"
    print(f"\nGoal: at most {GOAL_MS:.0f} ms for every other, and a ratio below 1: {met}")
    print("\nby hook, every other (median)\n")
    table(
        ("hook", *(f"{owner} ms" for owner in owners())),
        [(hook, *(statistics.median(turn.calls[owner, hook][later]) * 1000 for owner in owners())) for hook in HOOKS],
    )
    print("\na whole task run as dag.test runs it, ms (median, without the first run)\n")
    medians = {who: statistics.median(turn.runs[who][1:]) * 1000 / TASKS for who in (NOBODY, *owners())}
    table(
        ("who listens", "task run ms", "more than nobody"),
        [(who, median, median - medians[NOBODY]) for who, median in medians.items()],
    )


def owners() -> list[str]:
    """Those that are installed."""
    return [owner for package, owner in PACKAGES.items() if importlib.util.find_spec(package) is not None]


def measure(home: Path, port: int, rounds: int, first_day: int = 0) -> Turn:
    """Run the DAG once for nobody and once for each listener, again and again."""
    sink = f"http://127.0.0.1:{port}"
    airflow_here.prepare(
        home / "airflow",
        {
            "AIRFLOW__MLGOV__ENABLED": "True",
            "AIRFLOW__MLGOV__EMBEDDED_PATH": str(home / "catalog.db"),
            "AIRFLOW__MLGOV__SPOOL_FOLDER": str(home / "spool"),
            "AIRFLOW__OPENLINEAGE__TRANSPORT": json.dumps({"type": "http", "url": sink}),
            "AIRFLOW__OPENLINEAGE__EXECUTE_IN_THREAD": os.environ.get("EXECUTE_IN_THREAD", "False"),
            # Otherwise DataHub's plugin takes the OpenLineage provider's listener away.
            "AIRFLOW__DATAHUB__DISABLE_OPENLINEAGE_PLUGIN": "False",
            "AIRFLOW_CONN_DATAHUB_REST_DEFAULT": json.dumps({"conn_type": "datahub_rest", "host": sink}),
            "DATAHUB_TELEMETRY_ENABLED": "false",
        },
    )
    turn = Turn()
    take_times(turn)
    dag = airflow_here.make_dag("listener_cost", TASKS)
    everyone = (NOBODY, *owners())
    for number in range(rounds * len(everyone)):
        turn.who = everyone[number % len(everyone)]
        begun = time.perf_counter()
        state = str(airflow_here.run(dag, first_day + number).state).rpartition(".")[2].lower()
        turn.runs[turn.who].append(time.perf_counter() - begun)
        assert state == "success", state
    for owner in owners():
        for hook in HOOKS:
            assert len(turn.calls[owner, hook]) == TASKS * rounds, f"{owner}: {len(turn.calls[owner, hook])} of {hook}"
    return turn


def take_times(turn: Turn) -> None:
    """Put a clock around the task hooks of all listeners, wherever Airflow has registered them."""
    for manager in airflow_here.listener_managers():
        for hook in HOOKS:
            for implementation in getattr(manager.hook, hook).get_hookimpls():
                module = implementation.function.__module__
                owner = next((word for package, word in PACKAGES.items() if module.startswith(package)), None)
                if owner and not hasattr(implementation.function, "timed"):
                    implementation.function = turn.timed(implementation.function, owner, hook)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        measure(Path(sys.argv[1]), int(sys.argv[2]), 1, first_day=1000)
    else:
        main()
