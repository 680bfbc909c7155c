"""What saturates first on a real Atlas? Typical task runs by one sender and by several, and who is busy meanwhile.

A sender that sends what waits makes large batches; one that is called after each task run makes small ones. Senders of Airflows
whose namespaces differ share no name, so they may write at once. The processor time of the senders and of Atlas (where it runs
on this machine) is given in cores: a sender at 1 is the limit itself, an Atlas near the number of cores is.

The real Atlas is the one that MLGOV_TEST_ATLAS names, its broker that of MLGOV_TEST_ATLAS_KAFKA. ``COUNT=200`` makes it shorter.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import psutil

from airflow_provider_mlgov.catalog.atlas import AtlasCatalog
from airflow_provider_mlgov.catalog.kafka import KafkaChannel
from airflow_provider_mlgov.catalog.messaged import MessagedAtlas
from airflow_provider_mlgov.catalog.types.apply import ensure_types
from airflow_provider_mlgov.delivery.outbox import Outbox
from airflow_provider_mlgov.delivery.sender import Sender
from airflow_provider_mlgov.delivery.spool import Spool
from airflow_provider_mlgov.translate.options import TranslateOptions
from real_atlas import place_of
from table import heading, table
from task_run_events import task_run

Json = dict[str, Any]

COUNT = int(os.environ.get("COUNT", "1000"))


class Case(NamedTuple):
    """What is measured."""

    name: str
    senders: int = 1
    one_by_one: bool = False
    new_tables: bool = False
    kafka: str = ""


class Result(NamedTuple):
    """What one sender did."""

    seconds: float
    processor: float
    entities: int
    calls: int


def main() -> None:
    """Measure and print."""
    url, kafka = os.environ.get("MLGOV_TEST_ATLAS"), os.environ.get("MLGOV_TEST_ATLAS_KAFKA")
    if not url:
        sys.exit("MLGOV_TEST_ATLAS is not set: name a real Atlas, such as http://admin:admin@localhost:21000")
    heading(f"{COUNT} task runs of each sender into a real Atlas")
    catalog = AtlasCatalog(*place_of(url))
    ensure_types(catalog)
    catalog.close()
    cases = [
        Case("what waits, shared tables"),
        Case("what waits, each writes a new table", new_tables=True),
        Case("each task run by itself", one_by_one=True),
        Case("two namespaces at once", senders=2),
        Case("four namespaces at once", senders=4),
    ]
    if kafka:
        cases.append(Case("what waits, by Kafka", kafka=kafka))
    rows = [list(row(case, url)) for case in cases]
    header = ("what", "senders", "task runs/s", "entities/s", "entities a call", "senders' cores", "Atlas' cores")
    table(header, rows)


def row(case: Case, url: str) -> Iterator[object]:
    """Measure one case."""
    context = multiprocessing.get_context("spawn")
    with context.Manager() as manager, ProcessPoolExecutor(case.senders, mp_context=context) as pool:
        ready = manager.Barrier(case.senders)
        server = atlas_process(url)
        before = processor_of(server)
        results = list(pool.map(send_all, [case] * case.senders, [url] * case.senders, [ready] * case.senders))
        seconds = max(result.seconds for result in results)
        yield case.name
        yield case.senders
        yield COUNT * case.senders / seconds
        yield sum(result.entities for result in results) / seconds
        yield sum(result.entities for result in results) / sum(result.calls for result in results)
        yield sum(result.processor for result in results) / seconds
        yield (processor_of(server) - before) / seconds if server else "elsewhere"


def send_all(case: Case, url: str, ready: Any) -> Result:
    """The task runs of one sender, under a namespace of its own; from an untouched spool until it is empty."""
    at = f"b{uuid.uuid4().hex[:8]}"
    events = [list(events_of(number, at, new_tables=case.new_tables)) for number in range(COUNT)]
    with tempfile.TemporaryDirectory() as folder:
        catalog = Counted(catalog_of(case, url, Path(folder)))
        outbox = Outbox(Spool(Path(folder) / "spool"))
        sender = Sender(outbox.spool, lambda: catalog, TranslateOptions(at, at, at), breaker_interval=0.0)
        portions: Sequence[Sequence[list[Json]]] = [[each] for each in events] if case.one_by_one else [events]
        seconds = processor = 0.0
        ready.wait()
        for portion in portions:
            for both in portion:
                for event in both:
                    outbox.put(event)
            begun, used = time.perf_counter(), time.process_time()
            while outbox.spool.has_waiting():
                report = sender.send()
                assert report.outcome in ("done", "nothing"), report
            seconds += time.perf_counter() - begun
            processor += time.process_time() - used
        assert not outbox.spool.dead_letters()
        catalog.really_close()
    return Result(seconds, processor, catalog.entities, catalog.calls)


def events_of(number: int, at: str, *, new_tables: bool) -> Iterator[Json]:
    """The events of a task run; where wanted, with an output that no other task run has."""
    for event in task_run(number, at):
        if new_tables:
            event["outputs"] = [{**each, "name": f"shop.public.new_{number}"} for each in event["outputs"]]
        yield event


def catalog_of(case: Case, url: str, folder: Path) -> AtlasCatalog:
    """The real Atlas, by the way that is measured."""
    if not case.kafka:
        return AtlasCatalog(*place_of(url))
    return MessagedAtlas(*place_of(url)).by(KafkaChannel({"bootstrap.servers": case.kafka}, folder / "kafka.json"))


class Counted:
    """A catalogue that counts what is written, and stays open when its sender is done."""

    def __init__(self, catalog: AtlasCatalog) -> None:
        self._catalog = catalog
        self.entities = self.calls = 0

    def __getattr__(self, name: str) -> Any:
        """Everything else is the catalogue's."""
        return getattr(self._catalog, name)

    def write(self, entities: Sequence[Json], *, referred: Mapping[str, Json] | None = None) -> Json:
        """Count, and write."""
        self.entities += len(entities)
        self.calls += 1
        return self._catalog.write(entities, referred=referred)

    def close(self) -> None:
        """Not yet."""

    def really_close(self) -> None:
        """Close it."""
        self._catalog.close()


def atlas_process(url: str) -> psutil.Process | None:
    """The process on this machine that listens on the port of Atlas."""
    port = urlsplit(url).port
    for connection in psutil.net_connections("tcp"):
        if connection.status == psutil.CONN_LISTEN and connection.laddr.port == port and connection.pid:
            return psutil.Process(connection.pid)
    return None


def processor_of(process: psutil.Process | None) -> float:
    """The processor time that it has used so far, seconds."""
    times = process.cpu_times() if process else None
    return times.user + times.system if times else 0.0


if __name__ == "__main__":
    main()
