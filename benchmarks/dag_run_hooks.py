"""What our hooks for DAG runs hold the scheduler's loop for. Goal: below 5 ms each.

Called as the scheduler calls them, with objects of Airflow's database, a serialised DAG and the delivery process at work beside.
The first call of a process also starts the delivery process: shown on its own.
"""

from __future__ import annotations

import logging
import os
import statistics
import sys
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

import airflow_here
from table import heading, table

TASKS = 50
CALLS = 200
HOOKS = ("on_dag_run_running", "on_dag_run_success", "on_dag_run_failed")
GOAL = 5.0


def main() -> None:
    """Measure and print."""
    logging.disable(logging.WARNING)
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        home = Path(folder)
        airflow_here.prepare(
            home / "airflow",
            {
                "AIRFLOW__MLGOV__ENABLED": "True",
                "AIRFLOW__MLGOV__EMBEDDED_PATH": str(home / "catalog.db"),
                "AIRFLOW__MLGOV__SPOOL_FOLDER": str(home / "spool"),
            },
        )
        first, times = measure(serialized(airflow_here.make_dag("dag_run_hooks", TASKS)))
        probed = fsync(home)
    heading(f"Time that one hook of a DAG run takes; {CALLS} calls each, {TASKS} tasks in the DAG")
    rows = []
    for hook, each in times.items():
        wall = [taken for taken, _ in each]
        worked = statistics.median(processor for _, processor in each)
        rows.append((hook, statistics.median(wall), statistics.quantiles(wall, n=100)[98], max(wall), worked))
    table(("hook", "median ms", "p99 ms", "longest ms", "processor ms (median)"), rows)
    print(f"\nfirst call of a process, which also starts the delivery process: {first[0]:.1f} ms")
    print(f"goal: below {GOAL:g} ms: {'met' if all(row[1] < GOAL for row in rows) else 'MISSED'} by the medians")
    print(f"one fsync of a small file here, meanwhile: {probed:.1f} ms (median); load {os.getloadavg()[0]:.1f}")


def serialized(dag: Any) -> Any:
    """Give the DAG as the scheduler has it."""
    try:
        from airflow.serialization.serialized_objects import DagSerialization as Serialization
    except ImportError:  # Airflow 2.11
        from airflow.serialization.serialized_objects import SerializedDAG as Serialization

    return Serialization.from_dict(Serialization.to_dict(dag))


def dag_run(dag: Any, number: int) -> Any:
    """Give a DAG run as the database has it."""
    import pendulum
    from airflow.models.dagrun import DagRun

    begun = pendulum.datetime(2026, 1, 1, tz="UTC").add(minutes=number)
    found = DagRun(dag_id=dag.dag_id, run_id=f"scheduled__{number}", run_type="scheduled", start_date=begun)
    found.end_date = begun.add(seconds=30)
    found.clear_number = 0
    found.dag = dag
    return found


def measure(dag: Any) -> tuple[tuple[float, float], dict[str, list[tuple[float, float]]]]:
    """Call the hooks; give the milliseconds of the first call and of the others."""
    from airflow.jobs.job import Job

    from airflow_provider_mlgov.lineage import child
    from airflow_provider_mlgov.lineage.listener import AtlasListener

    listener = AtlasListener()
    listener.on_starting(Job())  # as Airflow says when a scheduler starts, before its loop begins
    try:
        first = timed(listener.on_dag_run_running, dag_run(dag, 0))
        time.sleep(5)  # the delivery process has begun to work
        times: dict[str, list[tuple[float, float]]] = {hook: [] for hook in HOOKS}
        for number in range(1, CALLS + 1):
            run = dag_run(dag, number)
            for hook, each in times.items():
                each.append(timed(getattr(listener, hook), run))
        return first, times
    finally:
        started = child._Started.process
        if started is None:
            sys.exit("error: no delivery process was started")
        started.terminate()
        started.wait()


def fsync(folder: Path) -> float:
    """Give the milliseconds that the disk takes for a small file: the hooks do not wait for more of it than 2 ms."""
    times = []
    for number in range(50):
        began = time.perf_counter()
        with (folder / f"probe-{number}").open("wb") as out:
            out.write(b"x" * 2000)
            out.flush()
            os.fsync(out.fileno())
        times.append((time.perf_counter() - began) * 1000)
    return statistics.median(times)


def timed(hook: Any, run: Any) -> tuple[float, float]:
    """Give the milliseconds of one call, and those of the processor in the scheduler's own thread."""
    began, worked = time.perf_counter(), time.thread_time()
    hook(run, "")
    return (time.perf_counter() - began) * 1000, (time.thread_time() - worked) * 1000


if __name__ == "__main__":
    main()
