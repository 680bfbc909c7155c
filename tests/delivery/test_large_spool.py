"""A spool after an outage is emptied with bounded memory at one speed, and by two at once nothing is sent twice or skipped."""

from __future__ import annotations

import itertools
import json
import multiprocessing
import subprocess
import sys
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_mlgov.catalog.embedded import EmbeddedCatalog
from airflow_provider_mlgov.delivery.deadline import BudgetSpentError, Deadline
from airflow_provider_mlgov.delivery.outbox import Outbox
from airflow_provider_mlgov.delivery.runs import RunReader
from airflow_provider_mlgov.delivery.sender import Sender
from airflow_provider_mlgov.delivery.spool import Spool
from airflow_provider_mlgov.delivery.state import SenderState
from airflow_provider_mlgov.translate.options import TranslateOptions
from delivery_events import dataset, task_event

OPTIONS = TranslateOptions(airflow_namespace="test")

DRAIN = """
import json, re, sys, time
from pathlib import Path
from airflow_provider_mlgov.catalog.embedded import EmbeddedCatalog
from airflow_provider_mlgov.delivery.sender import Sender
from airflow_provider_mlgov.delivery.spool import Spool
from airflow_provider_mlgov.delivery.state import SenderState
from airflow_provider_mlgov.translate.options import TranslateOptions

folder = Path(sys.argv[1])
times, sent, acknowledge = [time.process_time()], 0, Spool.acknowledge

def counting(self, paths):
    global sent
    paths = list(paths)
    acknowledge(self, paths)
    before, sent = sent, sent + len(paths)
    if sent // 1000 > before // 1000:
        times.append(time.process_time())

Spool.acknowledge = counting
began = time.monotonic()
report = Sender(Spool(folder / "spool"), lambda: EmbeddedCatalog(folder / "catalog.db"),
                TranslateOptions(airflow_namespace="test")).send()
print(json.dumps({"outcome": report.outcome, "events": report.events, "entities": report.entities, "dead": report.dead,
                  "seconds": time.monotonic() - began, "times": times,
                  "megabytes": int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) / 1024}))
"""


def event(number: int) -> dict[str, Any]:
    """One task run each, of few tasks and tables."""
    task, run = number % 10, number // 10
    return task_event(
        "COMPLETE",
        task=f"t{task}",
        run=f"r{run}",
        seconds=number % 80_000,
        inputs=(dataset(f"db.s.t{task}"),),
        outputs=(dataset(f"db.s.t{task + 1}"),),
    )


def drained(folder: Path, events: int) -> dict[str, Any]:
    """Let so many wait, then drain them in a process of its own; what that took."""
    outbox = Outbox(Spool(folder / "spool"))
    for number in range(events):
        outbox.put(event(number))
    done = subprocess.run([sys.executable, "-c", DRAIN, str(folder)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    assert (found["outcome"], found["events"], found["dead"]) == ("done", events, 0)
    assert not Spool(folder / "spool").has_waiting()
    times = found.pop("times")
    found["cpu_of_thousands"] = [round(after - before, 3) for before, after in itertools.pairwise(times)]
    catalog = EmbeddedCatalog(folder / "catalog.db")
    last = event(events - 1)["run"]["facets"]["mlgov_airflow"]
    name = f"dags/shop/runs/{last['runId']}/tasks/{last['taskId']}/-1/1@test"
    assert catalog.get("mlgov_task_run", name) is not None
    catalog.close()
    return found


def test_a_thousand_events(tmp_path: Path) -> None:
    (tmp_path / "few").mkdir()
    few = drained(tmp_path / "few", 100)
    many = drained(tmp_path, 1_000)
    assert many["megabytes"] < few["megabytes"] + 25


def wide(number: int) -> dict[str, Any]:
    """A table of 200 columns, each made of eight: 126 kB."""
    table = dataset("db.s.wide", columns=200)
    sources = [{"namespace": table["namespace"], "name": "db.s.in", "field": f"c{column}"} for column in range(207)]
    lineage = {f"c{column}": {"inputFields": sources[column : column + 8]} for column in range(200)}
    table["facets"]["columnLineage"] = {"fields": lineage}
    return task_event("COMPLETE", task="wide", run=f"r{number}", seconds=number, outputs=(table,))


def test_large_events_are_read_a_few_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spool = Spool(tmp_path / "spool")
    paths = [spool.append(wide(number)) for number in range(100)]
    opened: list[Path] = []
    read = Spool.read
    monkeypatch.setattr(Spool, "read", lambda self, path: (opened.append(path), read(self, path))[1])
    with closing(SenderState(spool.root / "sender.db")) as state:
        reader = RunReader(spool, state, OPTIONS)
        (run,) = reader.read(paths, 100)
        assert (run.paths, reader.left) == (paths[:1], paths[1:])
        assert sum(path.stat().st_size for path in opened) < 9_000_000 < sum(path.stat().st_size for path in paths)
        reader.read(reader.left, 100)
        assert len(opened) <= len({*opened}) < 100  # none of them twice
        with pytest.raises(BudgetSpentError):
            reader.read(paths, 100, Deadline(0))


@pytest.mark.long
@pytest.mark.timeout(7200)
def test_a_hundred_thousand_events(tmp_path: Path) -> None:
    (tmp_path / "few").mkdir()
    few = drained(tmp_path / "few", 3_000)
    many = drained(tmp_path, 100_000)
    thousands = many.pop("cpu_of_thousands")
    tenth, last = thousands[9], min(thousands[-3:])
    sys.stdout.write(
        f"100,000 events: {json.dumps(many)}; 3,000 take {few['megabytes']:.0f} MB; "
        f"CPU seconds of the 10th thousand {tenth}, of the last {last}\n"
    )
    assert many["megabytes"] < few["megabytes"] + 60
    assert last < tenth * 1.5


class Counting:
    """A sink that writes down what it is given, one line a run, for all processes."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def deliver(self, parcel: Any, deadline: Any) -> Any:
        from airflow_provider_mlgov.delivery.sinks.sink import Delivered

        with self._path.open("a") as log:
            log.write("".join(f"{share.key}\n" for share in parcel.runs))
        return Delivered(written=len(parcel.entities))

    def close(self) -> None:
        pass


def test_two_drainers_at_once_send_nothing_twice_and_skip_nothing(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool")
    context = multiprocessing.get_context("fork")
    barrier = context.Barrier(4)

    def work(number: int) -> None:
        barrier.wait(60)
        for each in range(60):
            Outbox(spool).put(event(number * 60 + each))
            Sender(spool, lambda: Counting(tmp_path / "sent"), OPTIONS, batch_size=5).send()

    processes = [context.Process(target=work, args=(number,)) for number in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(120)
        assert process.exitcode == 0
    sent = Counter((tmp_path / "sent").read_text().split())
    assert len(sent) == 240
    assert set(sent.values()) == {1}
    counts = spool.counts()
    assert (counts.waiting, counts.dead, counts.odd) == (0, 0, 0)  # the last one to send looks once more
