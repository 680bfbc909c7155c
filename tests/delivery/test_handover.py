"""Handing over: events of a host that will end reach the host that sends, whole, and whatever happens in between."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_mlgov.delivery.draining import Draining, SendReport
from airflow_provider_mlgov.delivery.forward import Forwarder
from airflow_provider_mlgov.delivery.handover import FolderObjects, Handover, Objects, collect, counts
from airflow_provider_mlgov.delivery.outbox import Outbox
from airflow_provider_mlgov.delivery.packing import packed
from airflow_provider_mlgov.delivery.spool import Spool
from airflow_provider_mlgov.errors import CatalogUnavailableError, SpoolError
from delivery_events import task_event


class Faulty:
    """Objects whose calls fail where ``fail`` says so."""

    def __init__(self, objects: Objects, fail: str) -> None:
        self._objects, self._fail = objects, fail

    def __repr__(self) -> str:
        """What is remembered of a place goes by this: an address in memory may be that of another test's."""
        return repr(self._objects)

    def __getattr__(self, name: str) -> Any:
        if name == self._fail:
            raise OSError(f"no {name} today")
        return getattr(self._objects, name)


class World:
    """A worker, a host that sends, and what lies between them."""

    def __init__(self, folder: Path) -> None:
        self.worker, self.host = Spool(folder / "worker"), Spool(folder / "host")
        self.root = folder / "between"
        self.objects = FolderObjects(self.root)

    def handover(self, objects: Any = None, **more: Any) -> Handover:
        return Handover(self.worker, lambda: objects or self.objects, **{"breaker_interval": 0.0, **more})

    def collect(self, objects: Any = None, **more: Any) -> Any:
        return collect(objects or self.objects, Outbox(self.host), **more)

    def put(self, count: int) -> None:
        for number in range(count):
            Outbox(self.worker).put(task_event("COMPLETE", task=f"t{number}"))


def tasks(spool: Spool) -> list[str]:
    found = (spool.read(path) for path in spool.waiting())
    return [event["run"]["facets"]["mlgov_airflow"]["taskId"] for event in found if event]


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_events_go_from_spool_to_spool(world: World) -> None:
    world.put(450)
    report = world.handover().send(60)
    assert (report.outcome, report.events) == ("done", 450)
    assert not world.worker.has_waiting()
    assert counts(world.objects) == (3, 0)
    collected = world.collect()
    assert (collected.events, collected.dead, collected.odd, collected.more) == (450, 0, 0, False)
    assert tasks(world.host) == [f"t{number}" for number in range(450)]
    assert counts(world.objects) == (0, 0)
    assert world.collect().events == 0
    assert all(path.stat().st_mode & 0o077 == 0 for path in world.root.rglob("*"))


def test_what_is_handed_over_outlives_a_loss_of_power(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[Path] = []
    monkeypatch.setattr("airflow_provider_mlgov.delivery.handover.sync", synced.append)
    world.objects.put("new/a", b"a")
    assert synced == [world.root / "new"]


def test_nothing_is_there_yet(world: World) -> None:
    assert world.collect().events == 0
    assert counts(world.objects) == (0, 0)


def test_a_round_takes_so_many_and_the_oldest_first(world: World) -> None:
    for number in range(5):
        Outbox(world.worker).put(task_event("COMPLETE", task=f"t{number}"))
        world.handover().send()
    assert world.collect(most=2).more
    assert tasks(world.host) == ["t0", "t1"]
    assert world.collect(budget=0).more
    assert not world.collect().more
    assert tasks(world.host) == [f"t{number}" for number in range(5)]


def test_what_cannot_be_handed_over_stays_and_is_said(world: World, caplog: pytest.LogCaptureFixture) -> None:
    world.put(3)
    report = world.handover(Faulty(world.objects, "put")).send(5)
    assert report.outcome == "unavailable"
    assert "OSError: no put today" in str(report.reason)
    assert "events wait in" in caplog.text
    assert len(world.worker.waiting()) == 3
    assert (world.worker.root / "handover.json").exists()
    assert world.handover().send().outcome == "done"


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("00000000000000000001-0123456789abcdef.json", b"", "its first line is no JSON"),
        ("00000000000000000001-0123456789abcdef.json", packed({}, [{"a": 1}])[:-4], "its checksum does not fit"),
        ("notes.txt", b"hello", "its name is not one that mlgov gives"),
    ],
)
def test_what_is_damaged_or_foreign_is_set_aside(world: World, name: str, content: bytes, reason: str) -> None:
    world.objects.put(f"new/{name}", content)
    world.put(1)
    world.handover().send()
    collected = world.collect()
    assert (collected.events, collected.odd) == (1, 1)
    assert counts(world.objects) == (0, 1)
    (aside,) = (path for path in (world.root / "odd").iterdir() if path.suffix != ".reason")
    assert aside.read_bytes() == content
    assert reason in aside.with_name(f"{aside.name}.reason").read_text()


def test_what_is_too_large_is_not_read(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("airflow_provider_mlgov.delivery.handover._BYTES_LIMIT", 10)
    world.put(1)
    world.handover().send()
    assert world.collect(Faulty(world.objects, "get")).odd == 1


ODD = "00000000000000000001-0123456789abcdef.json"


@pytest.mark.parametrize("make", [lambda path: path.symlink_to("/etc/passwd"), Path.mkdir, os.mkfifo])
def test_what_is_no_file_is_set_aside_and_holds_nothing(world: World, make: Callable[[Path], None]) -> None:
    """A link is not followed, and a pipe is not waited for."""
    world.put(1)
    world.handover().send()
    make(world.root / "new" / ODD)
    rounds: list[Any] = []
    thread = threading.Thread(target=lambda: rounds.append(world.collect()), daemon=True)
    thread.start()
    thread.join(30)
    (collected,) = rounds
    assert (collected.events, collected.odd) == (1, 1)
    (reason,) = (world.root / "odd").glob("*.reason")
    assert reason.read_text() == "it is no ordinary file\n"
    assert counts(world.objects) == (0, 1)


class OfAnotherUser(Faulty):
    """One object of them cannot be read, or not moved."""

    def __getattr__(self, name: str) -> Any:
        def call(path: str, *more: Any) -> Any:
            if ODD in path and ".reason" not in path:
                raise PermissionError(13, "Permission denied")
            return getattr(self._objects, name)(path, *more)

        return call if name == self._fail else getattr(self._objects, name)


@pytest.mark.parametrize(("fail", "content"), [("get", packed({}, [{"a": 1}])), ("move", b"odd")])
def test_what_cannot_be_taken_stays_and_is_said_once(
    world: World, caplog: pytest.LogCaptureFixture, fail: str, content: bytes
) -> None:
    world.objects.put(f"new/{ODD}", content)
    objects = OfAnotherUser(world.objects, fail)
    for number in range(3):
        world.put(1)
        world.handover().send()
        assert world.collect(objects, most=2).more is False
        assert len(tasks(world.host)) == number + 1
    assert caplog.text.count(f"{ODD} stays in") == 1
    assert counts(world.objects) == (1, 0)
    assert not list((world.root / "odd").glob("*"))


def test_what_a_later_version_handed_over_waits_for_it(world: World, caplog: pytest.LogCaptureFixture) -> None:
    content = packed({"v": 9}, [{"a": 1}])
    world.objects.put(f"new/{ODD}", content)
    world.put(1)
    world.handover().send()
    for _ in range(2):
        assert world.collect().odd == 0
    assert len(tasks(world.host)) == 1
    assert world.objects.get(f"new/{ODD}") == content
    assert caplog.text.count("written by a later version") == 1


def test_what_is_no_event_becomes_a_dead_letter_of_the_host_that_sends(world: World) -> None:
    event = task_event("COMPLETE", task="good")
    world.objects.put("new/00000000000000000001-0123456789abcdef.json", packed({}, [{"a": 1}, event]))
    collected = world.collect()
    assert (collected.events, collected.dead, collected.odd) == (1, 1, 0)
    assert "it was handed over, and is no event: eventTime" in world.host.dead_letters()[0].reason
    assert tasks(world.host) == ["good"]


def test_what_was_received_from_somebody_else_stays_his(world: World) -> None:
    Outbox(world.worker).put(task_event("COMPLETE"), foreign=True)
    world.handover().send()
    world.collect()
    found = world.host.read(world.host.waiting()[0])
    assert found is not None
    assert found["foreign"] is True


@pytest.mark.parametrize("fail", ["list", "get", "remove"])
def test_a_place_that_fails_loses_nothing(world: World, fail: str) -> None:
    world.put(2)
    world.handover().send()
    with pytest.raises(CatalogUnavailableError, match=f"no {fail} today"):
        world.collect(Faulty(world.objects, fail))
    world.collect()
    assert set(tasks(world.host)) == {"t0", "t1"}
    assert counts(world.objects) == (0, 0)


def test_a_full_disk_leaves_the_objects_where_they_are(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.put(2)
    world.handover().send()

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("airflow_provider_mlgov.delivery.spool.write", full)
        with pytest.raises(SpoolError, match="No space left"):
            world.collect()
    assert counts(world.objects) == (1, 0)
    assert world.collect().events == 2


class Away(Draining):
    """A forwarder whose receiver is away."""

    outcome: Any = "unavailable"

    def send(self, budget: float | None = None, *, despite_breaker: bool = False) -> SendReport:
        self.budget = budget
        return SendReport(self.outcome, reason="away")

    def _deliver_all(self, *_: Any) -> None:
        raise AssertionError


def test_where_the_receiver_is_away_events_are_handed_over(world: World) -> None:
    world.put(2)
    first = Away(world.worker)
    report = world.handover(first=first).send(5.0)
    assert (report.outcome, report.events) == ("done", 2)
    assert first.budget == pytest.approx(3.0)
    first.outcome = "done"
    world.put(1)
    assert world.handover(first=first).send(5.0).outcome == "done"
    assert len(world.worker.waiting()) == 1  # it was the forwarder's to take
    assert counts(world.objects) == (1, 0)


def test_a_receiver_that_cannot_be_reached_keeps_the_handover_from_nothing(world: World) -> None:
    world.put(1)
    first = Forwarder(world.worker, "http://127.0.0.1:9", "token")
    for _ in range(2):  # the second time its breaker is open, and that of the handover is not
        assert world.handover(first=first).send(5.0).outcome == "done"
        world.put(1)
    assert counts(world.objects) == (2, 0)


def killed(world: World, side: str, calls: int) -> None:
    """Hand over or collect, and die by SIGKILL at the given step."""
    count = 0

    def dying(original: Any) -> Any:
        def step(*args: Any, **more: Any) -> Any:
            nonlocal count
            count += 1
            if count == calls:
                os.kill(os.getpid(), signal.SIGKILL)
            return original(*args, **more)

        return step

    for owner, names in ((FolderObjects, ("put", "get", "remove")), (Spool, ("append", "acknowledge"))):
        for name in names:
            setattr(owner, name, dying(getattr(owner, name)))
    if side == "worker":
        world.handover().send()
    else:
        world.collect()


def test_what_is_no_event_makes_no_endless_work(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.objects.put(f"new/{1:020d}-{'0' * 16}.json", packed({}, [None, task_event("COMPLETE", task="good")]))  # type: ignore[list-item]
    collected = world.collect()
    assert (collected.events, collected.dead, tasks(world.host)) == (1, 1, ["good"])
    world.host.retry()
    assert Handover(world.host, lambda: world.objects).send(5.0).outcome == "done"
    assert (world.host.counts().waiting, world.host.counts().odd) == (0, 1)
    world.put(1)
    monkeypatch.setattr(Spool, "read", lambda *_: None)
    assert world.handover().send(0.2).outcome == "budget"


@pytest.mark.parametrize("side", ["worker", "host"])
@pytest.mark.parametrize("calls", [1, 2, 3, 4])
def test_a_kill_at_any_step_loses_nothing(world: World, side: str, calls: int) -> None:
    world.put(3)
    if side == "host":
        world.handover().send()
    process = multiprocessing.get_context("fork").Process(target=killed, args=(world, side, calls))
    process.start()
    process.join(60)
    assert process.exitcode in (0, -signal.SIGKILL)
    world.handover().send()
    world.collect()
    assert set(tasks(world.host)) == {"t0", "t1", "t2"}
    assert not world.worker.has_waiting()
    assert counts(world.objects) == (0, 0)
