"""What an Atlas that is away costs the end of a task, whatever waits. Goal: at most 20 ms from the second task on.

Settings, Connection, breaker and metrics are those of a real Airflow; the server refuses connections, or takes them and never
answers. A task's two events are put into the spool and sent within the budget of a task's end. The first task of a host finds
out that Atlas is away, and then one a minute (``breaker_interval``) tries again: it is shown on its own.
"""

from __future__ import annotations

import logging
import os
import socket
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import airflow_here
from table import heading, table
from task_run_events import task_run

WAITING = (0, 10_000, 100_000)
TASKS = 50
GOAL = 20.0
BUDGET = 5.0


def main() -> None:
    """Measure and print."""
    logging.disable(logging.WARNING)
    warnings.simplefilter("ignore")
    rows = []
    with (
        tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder,
        socket.create_server(("127.0.0.1", 0)) as silent,
    ):
        home = Path(folder)
        airflow_here.prepare(
            home / "airflow",
            {
                "AIRFLOW__MLGOV__ENABLED": "True",
                "AIRFLOW__MLGOV__NAMESPACE": "bench",
                "AIRFLOW__MLGOV__ATLAS_CONN_ID": "atlas_away",
            },
        )
        for what, port in (("refuses", 1), ("never answers", silent.getsockname()[1])):
            os.environ["AIRFLOW_CONN_ATLAS_AWAY"] = f"atlas://admin:admin@127.0.0.1:{port}"
            for waiting in WAITING:
                spool = home / f"spool-{port}-{waiting}"
                first, others = measure(spool, waiting)
                rows.append((what, waiting, first, statistics.median(others), max(others)))
    heading(f"Time that the end of a task takes while Atlas is away; {TASKS} tasks each")
    table(("Atlas", "events waiting", "first ms", "second and later, median ms", "longest ms"), rows)
    print(
        f"\ngoal: at most {GOAL:g} ms from the second on: {'met' if all(row[3] <= GOAL for row in rows) else 'MISSED'}"
    )


def measure(folder: Path, waiting: int) -> tuple[float, list[float]]:
    """Milliseconds of the first task's end, and of the others'."""
    from airflow_provider_mlgov.assembly import open_outbox, open_sender
    from airflow_provider_mlgov.settings import Settings

    os.environ["AIRFLOW__MLGOV__SPOOL_FOLDER"] = str(folder)
    settings = Settings.load()
    outbox = open_outbox(settings)
    fill(folder / "new", waiting, lambda: outbox.put(task_run(0)[0]))
    times = []
    for number in range(TASKS + 1):
        begun = time.perf_counter()
        for event in task_run(number):
            outbox.put(event)
        report = open_sender(settings).send(BUDGET)
        times.append((time.perf_counter() - begun) * 1000)
        assert report.events == 0, report
    return times[0], times[1:]


def fill(folder: Path, count: int, put: Callable[[], object]) -> None:
    """So many events that wait, copies of one that is real."""
    if not count:
        return
    put()
    (one,) = folder.iterdir()
    content = one.read_bytes()
    for number in range(1, count):
        (folder / f"{int(one.name[:20]) + number:020d}{one.name[20:]}").write_bytes(content)


if __name__ == "__main__":
    main()
