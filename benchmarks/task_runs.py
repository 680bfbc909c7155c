"""1,000 typical task runs into a real Atlas, beside scripts that call it once per task run. Goal: at least 3 times the better one.

Each task run reads two tables and writes a third, of 40 that all share, so it comes to about 6 entities of its own and the same
parents again and again. Ours takes the events from the spool, unites, settles and coalesces them: one sender. Theirs send the very
same entities, one call of pyapacheatlas's ``upload_entities`` and of the ``apache-atlas`` client's ``create_entities`` per task
run, from one process and from four. Then a search counts the names: a twin is a name that is there more than once.

The real Atlas is the one that MLGOV_TEST_ATLAS names. ``COUNT=200`` in the environment makes it shorter.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
import uuid
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from airflow_provider_mlgov.catalog.atlas import AtlasCatalog
from airflow_provider_mlgov.catalog.types.apply import ensure_types
from airflow_provider_mlgov.delivery.batch import to_atlas
from airflow_provider_mlgov.delivery.clean import clean
from airflow_provider_mlgov.delivery.outbox import Outbox
from airflow_provider_mlgov.delivery.sender import Sender
from airflow_provider_mlgov.delivery.spool import Spool
from airflow_provider_mlgov.translate.events import unite
from airflow_provider_mlgov.translate.options import TranslateOptions
from airflow_provider_mlgov.translate.reading import read_event
from airflow_provider_mlgov.translate.settle import settle
from airflow_provider_mlgov.translate.translation import translate
from real_atlas import place_of
from table import heading, table
from task_run_events import task_run

COUNT = int(os.environ.get("COUNT", "1000"))
PROCESSES = 4
GOAL = 3.0
TYPES = ("rdbms_instance", "rdbms_db", "rdbms_table", "mlgov_dag", "mlgov_task", "mlgov_dag_run", "mlgov_task_run",
         "mlgov_task_process")  # fmt: skip


def main() -> None:
    """Measure and print."""
    url = os.environ.get("MLGOV_TEST_ATLAS")
    if not url:
        sys.exit("MLGOV_TEST_ATLAS is not set: name a real Atlas, such as http://admin:admin@localhost:21000")
    heading(f"{COUNT} task runs into a real Atlas")
    with opened(url) as catalog:
        ensure_types(catalog)
    mine = ours(url)
    rows: list[list[object]] = [["mlgov, one sender", *mine]]
    best = {}
    for processes in (1, PROCESSES):
        found = {name: theirs(url, name, processes) for name in ("pyapacheatlas", "apache-atlas")}
        rows += [[f"{name}, {processes} at once", *figures] for name, figures in found.items()]
        best[processes] = max(figures[0] for figures in found.values())
    table(["what", "task runs/s", "seconds", "failed calls", "twins"], rows)
    print()
    for processes, goal in ((1, GOAL), (PROCESSES, 1.0)):
        ratio = mine[0] / best[processes]
        met = "met" if ratio >= goal and not mine[2] and not mine[3] else "MISSED"
        print(
            f"Ours to the better of theirs, {processes} at once: {ratio:.2f}; goal {goal:g}, no failed call, no twin: {met}"
        )


class opened:  # noqa: N801 - used as a function
    """The catalogue at a URL, closed at the end."""

    def __init__(self, url: str) -> None:
        self._catalog = AtlasCatalog(*place_of(url))

    def __enter__(self) -> AtlasCatalog:
        """Give it."""
        return self._catalog

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self._catalog.close()


def ours(url: str) -> tuple[float, float, int, int]:
    """From the first event that is kept to an empty spool."""
    at = f"b{uuid.uuid4().hex[:8]}"
    with tempfile.TemporaryDirectory() as folder, opened(url) as catalog:
        outbox = Outbox(Spool(Path(folder)))
        sender = Sender(outbox.spool, lambda: catalog, TranslateOptions(at, at, at), breaker_interval=0.0)
        begun = time.perf_counter()
        for number in range(COUNT):
            for event in task_run(number, at):
                outbox.put(event)
        while outbox.spool.has_waiting():
            report = sender.send()
            assert report.outcome in ("done", "nothing"), report
        seconds = time.perf_counter() - begun
        assert not outbox.spool.dead_letters()
    return COUNT / seconds, seconds, 0, twins(url, at)


def theirs(url: str, client: str, processes: int) -> tuple[float, float, int, int]:
    """What is sent is made before the clock starts."""
    at = f"b{uuid.uuid4().hex[:8]}"
    commands = [[sys.executable, __file__, client, url, at, str(number), str(processes)] for number in range(processes)]
    running = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for command in commands
    ]
    for one in running:
        assert one.stdout is not None
        assert one.stdout.readline() == "ready\n"
    begun = time.perf_counter()
    for one in running:
        assert one.stdin is not None
        one.stdin.write("go\n")
        one.stdin.flush()
    failed = 0
    for one in running:
        assert one.stdout is not None
        failed += int(one.stdout.readline())
        assert one.wait() == 0
    seconds = time.perf_counter() - begun
    return (COUNT - failed) / seconds, seconds, failed, twins(url, at)


def work(client: str, url: str, at: str, number: int, processes: int) -> None:
    """One of their processes: says that it is ready, waits for the word, and says how many calls failed."""
    options = TranslateOptions(at, at, at)
    batches = []
    for index in range(number, COUNT, processes):
        state = None
        for event in task_run(index, at):
            state = unite(state, read_event(clean(read_event(event))))
        assert state is not None
        batches.append(to_atlas(settle(translate(state, options).entities, {}).entities))
    send = _sender(client, url)
    print("ready", flush=True)
    sys.stdin.readline()
    failed = 0
    for batch in batches:
        try:
            send(batch)
        except BaseException as error:  # pyapacheatlas's errors are no Exception
            if isinstance(error, KeyboardInterrupt):
                raise
            failed += 1
    print(failed, flush=True)


def _sender(client: str, url: str) -> Callable[[list[dict[str, Any]]], Any]:
    place, login = place_of(url)
    if client == "pyapacheatlas":
        from pyapacheatlas.auth import BasicAuthentication
        from pyapacheatlas.core import AtlasClient as Pyapacheatlas

        sends = Pyapacheatlas(endpoint_url=f"{place}/api/atlas/v2", authentication=BasicAuthentication(*login))
        return lambda batch: sends.upload_entities(batch)
    from apache_atlas.client.base_client import AtlasClient

    atlas = AtlasClient(place, login)
    return lambda batch: atlas.entity.create_entities({"entities": batch})


def twins(url: str, at: str) -> int:
    """How many names of this side are there more than once, once all is searchable."""
    time.sleep(3.0)
    names: Counter[tuple[str, str]] = Counter()
    with opened(url) as catalog:
        for type_name in TYPES:
            offset = 0
            while page := catalog.search(type_name, limit=1000, offset=offset):
                offset += len(page)
                for header in page:
                    name = str(header["attributes"].get("qualifiedName"))
                    if name.endswith(f"@{at}"):
                        names[type_name, name] += 1
    return sum(count > 1 for count in names.values())


if __name__ == "__main__":
    if len(sys.argv) > 1:
        work(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]), int(sys.argv[5]))
    else:
        main()
