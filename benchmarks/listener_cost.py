"""What our listener adds to a task run, beside what the OpenLineage provider adds with its HTTP transport. Goal: less.

Both listen to the same task runs in one process. Ours records in the embedded catalogue to the end: it collects,
cleans, writes the event ahead, translates and writes the entities. The other builds its event and posts it to a server
on this machine that answers 200 at once. The time of every hook call is taken around the listener's own function.

The first run of a process pays for imports (a worker's task process is often new); the others do not. Both are shown.
"""

from __future__ import annotations

import logging
import os
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections import defaultdict
from collections.abc import Callable, Sequence
from functools import wraps
from pathlib import Path
from typing import Any

import airflow_here
from table import heading, table

TASKS = 5
RUNS = 5
HOOKS = ("on_task_instance_running", "on_task_instance_success")
OWNERS = {"airflow_provider_mlgov": "ours", "airflow.providers.openlineage": "OpenLineage"}
Times = dict[tuple[str, str], list[float]]

SINK = """
import http.server
class Sink(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_POST(self):
        self.rfile.read(int(self.headers.get("content-length") or 0))
        self.send_response(200); self.send_header("content-length", "0"); self.end_headers()
    def log_message(self, *_): pass
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Sink)
print(server.server_port, flush=True)
server.serve_forever()
"""


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
            first, later = measure(Path(folder), port, range(RUNS))
            recorded = airflow_here.entities_in(Path(folder) / "catalog.db")
        finally:
            sink.terminate()
    heading(f"Time added to one task run, start and end hooks; {TASKS} tasks, {RUNS} runs; {recorded} rows recorded")
    rows = []
    for name, times in (("first task of a process", first), ("every other (median)", later)):
        ours, other = (sum(statistics.median(times[owner, hook]) for hook in HOOKS) * 1000 for owner in OWNERS.values())
        rows.append((name, ours, other, ours / other))
    table(("", "ours ms", "OpenLineage ms", "ratio"), rows)
    print("\nby hook, every other (median)\n")
    table(
        ("hook", "ours ms", "OpenLineage ms"),
        [(hook, *(statistics.median(later[owner, hook]) * 1000 for owner in OWNERS.values())) for hook in HOOKS],
    )


def measure(home: Path, port: int, days: Sequence[int]) -> tuple[Times, Times]:
    """Run the DAG several times; give the times of the first task run and of all others."""
    airflow_here.prepare(
        home / "airflow",
        {
            "AIRFLOW__MLGOV__ENABLED": "True",
            "AIRFLOW__MLGOV__EMBEDDED_PATH": str(home / "catalog.db"),
            "AIRFLOW__MLGOV__SPOOL_FOLDER": str(home / "spool"),
            "AIRFLOW__OPENLINEAGE__TRANSPORT": f'{{"type": "http", "url": "http://127.0.0.1:{port}"}}',
            "AIRFLOW__OPENLINEAGE__EXECUTE_IN_THREAD": os.environ.get("EXECUTE_IN_THREAD", "False"),
        },
    )
    times: Times = defaultdict(list)
    take_times(times)
    dag = airflow_here.make_dag("listener_cost", TASKS)
    for day in days:
        state = str(airflow_here.run(dag, day).state).rpartition(".")[2].lower()
        assert state == "success", state
    for owner in OWNERS.values():
        for hook in HOOKS:
            assert len(times[owner, hook]) == TASKS * len(days), f"{owner}: {len(times[owner, hook])} calls of {hook}"
    return {key: each[:1] for key, each in times.items()}, {key: each[1:] for key, each in times.items()}


def take_times(times: Times) -> None:
    """Put a clock around the task hooks of both listeners, wherever Airflow has registered them."""
    for manager in airflow_here.listener_managers():
        for hook in HOOKS:
            for implementation in getattr(manager.hook, hook).get_hookimpls():
                module = implementation.function.__module__
                owner = next((word for package, word in OWNERS.items() if module.startswith(package)), None)
                if owner and not hasattr(implementation.function, "timed"):
                    implementation.function = timed(implementation.function, times[owner, hook])


def timed(function: Callable[..., Any], into: list[float]) -> Callable[..., Any]:
    """Put a clock around a function."""

    @wraps(function)
    def call(*arguments: Any) -> Any:
        start = time.perf_counter()
        try:
            return function(*arguments)
        finally:
            into.append(time.perf_counter() - start)

    call.timed = True  # type: ignore[attr-defined]
    return call


if __name__ == "__main__":
    if len(sys.argv) > 1:
        measure(Path(sys.argv[1]), int(sys.argv[2]), [RUNS])
    else:
        main()
