"""Several hosts share one spool: a lease elects the one that sends, and who was paused past it writes no more.

The hosts are groups of processes with another machine's name, another clock of the wall (an hour apart) and another uptime.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sqlite3
import time
import uuid
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_mlgov.catalog.atlas import AtlasCatalog
from airflow_provider_mlgov.catalog.embedded import EmbeddedCatalog
from airflow_provider_mlgov.delivery import lease, machine
from airflow_provider_mlgov.delivery.outbox import Outbox
from airflow_provider_mlgov.delivery.sender import Sender
from airflow_provider_mlgov.delivery.spool import Spool
from airflow_provider_mlgov.delivery.state import SenderState
from airflow_provider_mlgov.model.entity import Ref
from airflow_provider_mlgov.translate.options import TranslateOptions
from delivery_events import dataset, task_event
from searching import names_of

OPTIONS = TranslateOptions(airflow_namespace="test")
FORK = multiprocessing.get_context("fork")
PUT = FORK.Value("i")
"""How many events the workers put."""
LEASE, LINGER = 3.0, 2.0
"""Seconds; the linger is that of the embedded catalogue here. A real Atlas has its minute: a slow one would make duplicates."""
OFFSETS = {"a": 0.0, "b": 3600.0, "c": -3600.0}
"""How wrong the clock of each host is."""


def become(host: str) -> None:
    """From now on this process is one of ``host``."""
    real = {name: getattr(time, name) for name in ("time", "time_ns")}
    uptime, offset = machine.uptime, OFFSETS[host]
    time.time = lambda: real["time"]() + offset
    time.time_ns = lambda: real["time_ns"]() + int(offset * 1e9)
    machine.uptime = lambda: uptime() + offset + 10_000
    machine.boot = lambda: host  # type: ignore[assignment]
    this = lease.Machine(host, host, host, machine.uptime)
    lease.Machine.this = lambda: this  # type: ignore[method-assign]
    lease.Lease.__init__.__kwdefaults__["seconds"] = LEASE


class Slow:
    """A catalogue that says when a write is under way, and takes its time for it, or kills the caller, where it is told to."""

    def __init__(self, catalog: Any, mark: Path | None = None, seconds: float = 0.0, killed: bool = False) -> None:
        self._catalog, self._mark, self._seconds, self._killed = catalog, mark, seconds, killed
        self.linger = LINGER if isinstance(catalog, EmbeddedCatalog) else getattr(catalog, "linger", 60.0)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._catalog, name)

    def write(self, entities: Any, **more: Any) -> Any:
        if self._mark is not None:
            self._mark.touch()
        time.sleep(self._seconds)
        answer = self._catalog.write(entities, **more)
        if self._killed:
            os.kill(os.getpid(), signal.SIGKILL)
        return answer


def sender(root: Path, make: Any, **more: Any) -> Sender:
    return Sender(Spool(root), lambda: Slow(make(), **more), OPTIONS, shared=True, batch_size=20)


def put(root: Path, name: str, task: str, index: int) -> None:
    table = dataset(f"{name}.s.t{index}", f"postgres://{name}.test:5432")
    Outbox(Spool(root)).put(task_event("COMPLETE", task=task, dag=name, outputs=[table]))


def drain(root: Path, make: Any, seconds: float) -> None:
    """As the delivery process does: again and again, until nothing waits."""
    end = time.monotonic() + seconds
    while Spool(root).has_waiting():
        assert time.monotonic() < end, sender(root, make).send(1.0)
        sender(root, make).send(20.0)
        time.sleep(0.1)


def hold(root: Path, make: Any, host: str, mark: Path, report: Any) -> None:
    """Begin to send, and be in the midst of a call when ``mark`` is there."""
    become(host)
    found = sender(root, make, mark=mark, seconds=1.0).send(60.0)
    report.put((found.outcome, str(found.reason)))


def work(root: Path, make: Any, host: str, name: str, part: range, killed: bool) -> None:
    become(host)
    for count, index in enumerate(part):
        put(root, name, f"{host}{os.getpid()}_{index}", index)
        with PUT.get_lock():
            PUT.value += 1
        sender(root, make, killed=killed and count > len(part) // 2).send(2.0)
    if killed:
        os.kill(os.getpid(), signal.SIGKILL)  # others sent all it had
    drain(root, make, 700)


def run_all(processes: list[Any], codes: list[int]) -> None:
    for process in processes:
        process.start()
    for process, code in zip(processes, codes, strict=True):
        process.join(800)
        assert process.exitcode == code


@pytest.fixture(params=["embedded", pytest.param("atlas", marks=(pytest.mark.atlas, pytest.mark.long))])
def catalog_of(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    if request.param == "atlas":
        request.getfixturevalue("atlas")  # its types
        url = request.getfixturevalue("atlas_url")
        return lambda: AtlasCatalog(url)
    return lambda: EmbeddedCatalog(tmp_path / "catalog.db")


def wait_for(path: Path) -> None:
    end = time.monotonic() + 120
    while not path.exists():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_who_is_paused_past_his_lease_makes_no_further_call(tmp_path: Path, catalog_of: Any) -> None:
    root, name, mark = tmp_path / "spool", f"d{uuid.uuid4().hex[:12]}", tmp_path / "in-call"
    for index in range(30):
        put(root, name, f"t{index}", index)
    reports = FORK.Queue()
    paused = FORK.Process(target=hold, args=(root, catalog_of, "b", mark, reports))
    paused.start()
    wait_for(mark)
    assert paused.pid is not None
    os.kill(paused.pid, signal.SIGSTOP)
    began = time.monotonic()
    try:
        other = FORK.Process(target=work, args=(root, catalog_of, "a", name, range(30, 32), False))
        run_all([other], [0])
        assert time.monotonic() - began > LEASE + LINGER  # it waited for the call under way, too
        mark.unlink()
    finally:
        os.kill(paused.pid, signal.SIGCONT)
    paused.join(200)
    assert paused.exitcode == 0
    outcome, reason = reports.get(timeout=10)
    assert outcome == "budget"
    assert "lease" in reason
    assert not mark.exists()
    catalog = catalog_of()
    assert set(names_of(catalog, "rdbms_table", name, 32).values()) == {1}
    assert len(names_of(catalog, "mlgov_task_run", f"dags/{name}/", 32)) == 32
    catalog.close()
    assert Spool(root).counts() == type(Spool(root).counts())(0, 0, 0)


def test_hosts_with_other_clocks_make_no_name_twice(tmp_path: Path, catalog_of: Any) -> None:
    """Every table is named by two hosts; of each host one process is killed by its own first call after half of its tasks."""
    root, name = tmp_path / "spool", f"d{uuid.uuid4().hex[:12]}"
    count, PUT.value = 200, 0
    workers = [(host, range(start, count, 2), False) for host in ("a", "b") for start in (0, 1)] + [
        ("a", range(20), True),
        ("b", range(20, 40), True),
    ]
    processes = [
        FORK.Process(target=work, args=(root, catalog_of, host, name, part, killed)) for host, part, killed in workers
    ]
    run_all(processes, [-signal.SIGKILL if killed else 0 for _, _, killed in workers])
    catalog = catalog_of()
    assert PUT.value > 2 * count
    for type_name, wanted in (("rdbms_table", count), ("mlgov_task_run", PUT.value), ("rdbms_instance", 1)):
        counted = names_of(catalog, type_name, name, wanted)
        assert (len(counted), set(counted.values())) == (wanted, {1})
    catalog.close()
    counts = Spool(root).counts()
    assert (counts.waiting, counts.dead, counts.odd) == (0, 0, 0)


def test_a_spool_that_becomes_shared_leaves_the_write_ahead_log(tmp_path: Path) -> None:
    path = tmp_path / "sender.db"
    alone = SenderState(path)
    alone.begin_call("c", [Ref("t", "n")])
    mode = "SELECT * FROM pragma_journal_mode"
    assert alone._rows(mode) == [("wal",)]
    alone._db.close()
    shared = SenderState(path, shared=True)
    assert shared._rows(mode) == [("truncate",)]
    note = shared.note("c")
    assert note is not None
    assert note.names == (Ref("t", "n"),)
    other = SenderState(path, shared=True)  # it is not held between transactions
    other.end_call("c")
    assert shared.note("c") is None
    other.close()
    shared.close()
    alone = SenderState(path)
    assert alone._rows(mode) == [("wal",)]
    alone.close()
    assert sqlite3.connect(path).execute("PRAGMA integrity_check").fetchall() == [("ok",)]


def test_a_note_of_another_machine_is_waited_for_from_when_it_was_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 100.0
    monkeypatch.setattr(machine, "uptime", lambda: now)
    state = SenderState(tmp_path / "sender.db", clock=lambda: 0.0)  # a clock of long ago
    monkeypatch.setattr(machine, "boot", lambda: "a")
    state.begin_call("c", [Ref("t", "n")])
    now = 130.0
    assert state.note("c").age == 30  # type: ignore[union-attr]
    monkeypatch.setattr(machine, "boot", lambda: "b")
    now = 5_000.0
    assert state.note("c").age == 0  # type: ignore[union-attr]
    now = 5_061.0
    assert state.note("c").age == 61  # type: ignore[union-attr]
    now = 3.0  # it began anew, under the same name
    assert state.note("c").age == 0  # type: ignore[union-attr]
    state.begin_call("c", [Ref("t", "m")])
    assert state.note("c").age == 0  # type: ignore[union-attr]
    state.close()


def test_who_lost_his_turn_does_not_touch_the_note_of_another(tmp_path: Path) -> None:
    from airflow_provider_mlgov.delivery.turn import TurnLostError

    lost = False

    def guard() -> None:
        if lost:
            raise TurnLostError("gone")

    paused, other = (SenderState(tmp_path / "sender.db", shared=True, guard=each) for each in (guard, lambda: None))
    paused.begin_call("c", [Ref("t", "n")])
    lost = True
    other.begin_call("c", [Ref("t", "m")])
    with pytest.raises(TurnLostError):
        paused.end_call("c")
    note = other.note("c")
    assert note is not None
    assert note.names == (Ref("t", "m"),)
    paused.close()
    other.close()
