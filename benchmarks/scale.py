"""Does it get slower, or larger, with history? 100,000 task runs by one sender into the embedded catalogue.

A million task runs a day are 12 a second. Goals: three times that, 36 a second, held to the end by one sender; memory that stays;
and the write and the view of the 10,000th run within 20 % of the 100th's. With MLGOV_TEST_ATLAS a shorter form of the last into a
real Atlas too (the 100th and the 2,000th). ``COUNT=20000`` in the environment makes it shorter.
"""

from __future__ import annotations

import os
import resource
import statistics
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from airflow_provider_mlgov.catalog.atlas import AtlasCatalog
from airflow_provider_mlgov.catalog.catalog import Catalog
from airflow_provider_mlgov.catalog.embedded import EmbeddedCatalog
from airflow_provider_mlgov.catalog.types.apply import ensure_types
from airflow_provider_mlgov.delivery.outbox import Outbox
from airflow_provider_mlgov.delivery.sender import Sender
from airflow_provider_mlgov.delivery.spool import Spool
from airflow_provider_mlgov.translate.options import TranslateOptions
from airflow_provider_mlgov.view.graph import run_graph
from real_atlas import place_of
from table import heading, table
from task_run_events import run_name, task_run

COUNT = int(os.environ.get("COUNT", "100000"))
CHUNK = 1_000
GOAL_RATE, GOAL_RATIO = 36.0, 1.2
EARLY, LATE, LATE_ATLAS = 100, 10_000, 2_000
TIMES = 15
"""Measurements of one run's write and view; the median counts."""


def main() -> None:
    """Measure and print."""
    heading(f"{COUNT} task runs by one sender into the embedded catalogue")
    with tempfile.TemporaryDirectory() as folder:
        embedded = EmbeddedCatalog(Path(folder) / "catalog.db")
        early, late = grow(World(embedded, Path(folder) / "spool"))
        embedded.close()
    compare("embedded catalogue", early, late, LATE)
    url = os.environ.get("MLGOV_TEST_ATLAS")
    if url:
        with tempfile.TemporaryDirectory() as folder:
            atlas = AtlasCatalog(*place_of(url))
            world = World(atlas, Path(folder) / "spool")
            world.write_up_to(EARLY)
            early = world.measure()
            world.write_up_to(LATE_ATLAS)
            compare("real Atlas", early, world.measure(), LATE_ATLAS)
            atlas.close()


class World:
    """A spool, a sender and a catalogue, and how many task runs it has seen."""

    def __init__(self, catalog: Catalog, folder: Path) -> None:
        self.catalog = catalog
        self.at = f"b{uuid.uuid4().hex[:8]}"
        self.outbox = Outbox(Spool(folder))
        self.sender = Sender(
            self.outbox.spool,
            lambda: kept_open(catalog),
            TranslateOptions(self.at, self.at, self.at),
            breaker_interval=0.0,
        )
        self.seen = 0
        ensure_types(catalog)

    def write_up_to(self, count: int) -> None:
        """Append the events of the next task runs, then send them."""
        while self.seen < count:
            until = min(count, self.seen + CHUNK)
            for number in range(self.seen, until):
                for event in task_run(number, self.at):
                    self.outbox.put(event)
            self.send()
            self.seen = until

    def send(self) -> None:
        """Send all."""
        while self.outbox.spool.has_waiting():
            report = self.sender.send()
            assert report.outcome in ("done", "nothing"), report
        assert not self.outbox.spool.counts().dead

    def measure(self) -> dict[str, float]:
        """Milliseconds that one more task run takes to be written, and a DAG run of ten tasks to be looked at."""
        writes, views = [], []
        dag_id, run_id = run_name(self.seen - 1)
        for _ in range(TIMES):
            with timed(writes):
                for event in task_run(self.seen, self.at):
                    self.outbox.put(event)
                self.send()
            self.seen += 1
            with timed(views):
                graph = run_graph(self.catalog, dag_id, run_id, self.at)
            assert len(graph.attempts) == 10, len(graph.attempts)
        return {"write": statistics.median(writes), "view": statistics.median(views)}


class kept_open:  # noqa: N801 - a catalogue whose sender does not close it
    """A catalogue that stays open when its sender is done."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog

    def __getattr__(self, name: str) -> object:
        """Everything else is the catalogue's."""
        return getattr(self._catalog, name)

    def close(self) -> None:
        """Not yet."""


@contextmanager
def timed(into: list[float]) -> Iterator[None]:
    """Put the milliseconds that a block takes into a list."""
    begun = time.perf_counter()
    yield
    into.append((time.perf_counter() - begun) * 1000)


def grow(world: World) -> tuple[dict[str, float], dict[str, float]]:
    """Write all task runs; print the rate and the memory of each tenth; give the times at the marks."""
    world.write_up_to(EARLY)
    early = world.measure()
    late: dict[str, float] = {}
    rows: list[list[object]] = []
    for tenth in range(1, 11):
        begun, before = time.perf_counter(), world.seen
        world.write_up_to(COUNT * tenth // 10)
        seconds = time.perf_counter() - begun
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        rows.append([world.seen, (world.seen - before) / seconds, memory])
        if not late and world.seen >= LATE:
            late = world.measure()
    table(["task runs", "task runs/s of this tenth", "peak MB"], rows)
    slowest = min(float(str(row[1])) for row in rows)
    growth = float(str(rows[-1][2])) - float(str(rows[1][2]))
    print(f"\nSlowest tenth: {slowest:.0f} a second; goal {GOAL_RATE:g}: {'met' if slowest >= GOAL_RATE else 'MISSED'}")
    print(f"Peak memory grew by {growth:.0f} MB from the second tenth to the last")
    return early, late or world.measure()


def compare(what: str, early: dict[str, float], late: dict[str, float], number: int) -> None:
    """Print both, and whether the goal is met."""
    print(f"\n{what}: one run's time, ms (median of {TIMES})\n")
    rows = [[name, early[name], late[name], late[name] / early[name]] for name in early]
    table(["", f"after {EARLY}", f"after {number}", "ratio"], rows)
    met = all(late[name] <= early[name] * GOAL_RATIO for name in early)
    print(f"\nGoal: a ratio of at most {GOAL_RATIO:g}: {'met' if met else 'MISSED'}")


if __name__ == "__main__":
    main()
