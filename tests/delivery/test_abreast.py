"""Several sinks at once: each has its own place, and none holds the others."""

from __future__ import annotations

import json
import os
import stat
import threading
import time
from functools import partial
from pathlib import Path

import pytest

from airflow_provider_mlgov.delivery.abreast import Abreast
from airflow_provider_mlgov.delivery.deadline import Deadline
from airflow_provider_mlgov.delivery.draining import Draining
from airflow_provider_mlgov.delivery.outbox import Outbox
from airflow_provider_mlgov.delivery.sender import Sender
from airflow_provider_mlgov.delivery.sinks.file import FileSink
from airflow_provider_mlgov.delivery.sinks.recording import RecordingSink
from airflow_provider_mlgov.delivery.sinks.sink import Delivered, Parcel
from airflow_provider_mlgov.delivery.spool import Spool
from airflow_provider_mlgov.errors import CatalogUnavailableError, ConfigurationError
from airflow_provider_mlgov.translate.options import TranslateOptions
from delivery_events import dataset, task_event

OPTIONS = TranslateOptions(airflow_namespace="test")


class Hanging:
    """A sink that does not come back until it is told to."""

    def __init__(self) -> None:
        self.go = threading.Event()

    def deliver(self, parcel: Parcel, deadline: Deadline) -> Delivered:
        assert self.go.wait(60)
        return Delivered(written=len(parcel.entities))

    def close(self) -> None:
        pass


class World:
    def __init__(self, folder: Path, *names: str) -> None:
        self.spools = {name: Spool(folder / name) for name in names}
        first, *further = self.spools.values()
        self.outbox = Outbox(first, also=further)
        self.sinks: dict[str, object] = {name: RecordingSink() for name in names}
        self.left = 0

    def abreast(self) -> Abreast:
        def leave() -> None:
            self.left += 1

        return Abreast({name: partial(self.make, name) for name in self.spools}, leave=leave)

    def make(self, name: str) -> Draining:
        return Sender(self.spools[name], lambda: self.sinks[name], OPTIONS)  # type: ignore[arg-type,return-value]

    def waiting(self) -> dict[str, int]:
        return {name: spool.counts().waiting for name, spool in self.spools.items()}


def put(world: World, count: int = 3) -> None:
    for number in range(count):
        world.outbox.put(task_event("COMPLETE", task=f"t{number}", outputs=[dataset("shop.public.t")]))


def test_each_sink_gets_every_event_from_one_file_on_disk(tmp_path: Path) -> None:
    world = World(tmp_path, "a", "b", "c")
    put(world)
    for paths in zip(*(spool.waiting() for spool in world.spools.values()), strict=True):
        assert len({path.stat().st_ino for path in paths}) == 1
        assert paths[0].stat().st_nlink == 3
        assert stat.S_IMODE(paths[1].stat().st_mode) == 0o600
    report = world.abreast().send(60)
    assert (report.outcome, report.events, report.dead) == ("done", 9, 0)
    assert world.waiting() == {"a": 0, "b": 0, "c": 0}
    assert world.left == 3
    found = [set(sink.entities) for sink in world.sinks.values()]  # type: ignore[attr-defined]
    assert found[0]
    assert found[0] == found[1] == found[2]


def test_a_copy_is_made_where_links_are_impossible(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", refuse)
    world = World(tmp_path, "a", "b")
    put(world, 1)
    (one,), (other,) = (spool.waiting() for spool in world.spools.values())
    assert one.read_bytes() == other.read_bytes()
    assert one.stat().st_ino != other.stat().st_ino


def test_a_sink_that_is_down_keeps_its_events_and_only_them(tmp_path: Path) -> None:
    world = World(tmp_path, "up", "down")
    world.sinks["down"] = RecordingSink(failures=[CatalogUnavailableError("it is away")] * 9)
    put(world)
    report = world.abreast().send(60)
    assert (report.outcome, report.reason) == ("unavailable", "down: it is away")
    assert world.waiting() == {"up": 0, "down": 3}
    assert world.make("down").breaker.opening() is not None
    assert world.make("up").breaker.opening() is None
    put(world)
    assert world.abreast().send(60).outcome == "open"
    assert world.waiting() == {"up": 0, "down": 6}
    world.sinks["down"] = RecordingSink()
    report = world.abreast().send(60, despite_breaker=True)
    assert (report.outcome, report.events) == ("done", 6)


def test_a_sink_that_hangs_does_not_hold_the_others(tmp_path: Path) -> None:
    world = World(tmp_path, "hangs", "works")
    hanging = world.sinks["hangs"] = Hanging()
    put(world)
    several = world.abreast()
    while world.waiting()["works"]:
        several.send(60, wait=0.05)
    assert world.waiting() == {"hangs": 3, "works": 0}
    put(world)  # while it still hangs
    while world.waiting()["works"]:
        several.send(60, wait=0.05)
    assert world.waiting() == {"hangs": 6, "works": 0}
    assert sum(thread.name == "mlgov sink hangs" for thread in threading.enumerate()) == 1
    hanging.go.set()
    while world.waiting()["hangs"]:
        several.send(60, wait=0.05)
    assert world.waiting() == {"hangs": 0, "works": 0}


def test_the_time_of_a_task_is_over_for_all_at_once(tmp_path: Path) -> None:
    world = World(tmp_path, "hangs", "works")
    hanging = world.sinks["hangs"] = Hanging()
    put(world)
    report = world.abreast().send(0.5)
    assert (report.outcome, report.reason) == ("budget", "hangs: it is still at work")
    assert world.waiting()["hangs"] == 3
    hanging.go.set()
    while world.waiting()["hangs"]:
        time.sleep(0.02)


def test_a_sink_that_cannot_be_made_is_said_and_holds_nothing(tmp_path: Path) -> None:
    world = World(tmp_path, "works", "wrong", "broken")

    def wrong() -> Draining:
        raise ConfigurationError("connection 'x' does not exist")

    def broken() -> Draining:
        raise RuntimeError("a bug")

    put(world)
    several = Abreast({"works": partial(world.make, "works"), "wrong": wrong, "broken": broken})
    report = several.send(60)
    assert report.outcome == "unavailable"
    assert report.reason == "wrong: connection 'x' does not exist; broken: unexpected RuntimeError: a bug"
    assert world.waiting() == {"works": 0, "wrong": 3, "broken": 3}


def test_a_further_spool_that_cannot_be_written_is_said_and_costs_the_others_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    world = World(tmp_path, "a", "b", "c")
    (tmp_path / "b").write_text("no folder")
    put(world, 3)
    assert world.spools["a"].counts().waiting == world.spools["c"].counts().waiting == 3
    assert caplog.text.count(f"not for the sink of {tmp_path / 'b'}") == 1
    (tmp_path / "b").unlink()
    put(world, 1)
    assert "gets events again; it lacks 3" in caplog.text
    assert world.waiting() == {"a": 4, "b": 1, "c": 4}


def test_a_dead_letter_of_one_sink_is_sent_again_to_that_one_only(tmp_path: Path) -> None:
    world = World(tmp_path, "a", "b")
    world.sinks["b"] = RecordingSink(refuse=lambda entity: "no tables" if "table" in entity.type_name else None)
    put(world, 1)
    assert world.abreast().send(60).dead == 1
    assert [spool.counts().dead for spool in world.spools.values()] == [0, 1]
    world.spools["b"].retry()
    assert world.waiting() == {"a": 0, "b": 1}


class TestFile:
    def lines(self, path: Path) -> list[dict]:
        return [json.loads(line) for line in path.read_text().splitlines()]

    def send(self, world: World, path: Path) -> str:
        world.sinks["file"] = FileSink(path)
        return world.make("file").send(60, despite_breaker=True).outcome

    def test_what_a_killed_writer_left_of_a_line_goes(self, tmp_path: Path) -> None:
        world, path = World(tmp_path, "file"), tmp_path / "out" / "entities.ndjson"
        put(world, 1)
        assert self.send(world, path) == "done"
        whole = self.lines(path)
        with path.open("a") as file:
            file.write('{"typeName": "cut o')
        put(world, 1)
        assert self.send(world, path) == "done"
        assert self.lines(path) == [*whole, *whole]

    def test_a_full_disk_leaves_whole_lines_and_the_events(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        world, path = World(tmp_path, "file"), tmp_path / "entities.ndjson"
        put(world, 1)
        assert self.send(world, path) == "done"
        before = path.read_bytes()
        put(world, 1)
        write, fsync = os.write, os.fsync
        full = [path]

        def no_room(handle: int) -> None:
            if full and Path(f"/proc/self/fd/{handle}").readlink() == path:
                raise OSError(28, "No space left on device")
            fsync(handle)

        def half(handle: int, content: bytes) -> int:
            if full and Path(f"/proc/self/fd/{handle}").readlink() == path:
                return write(handle, bytes(content)[: len(content) // 2 + 1])
            return write(handle, content)

        monkeypatch.setattr(os, "fsync", no_room)
        monkeypatch.setattr(os, "write", half)
        assert self.send(world, path) == "unavailable"
        assert path.read_bytes() == before
        assert world.waiting() == {"file": 1}
        full.clear()
        assert self.send(world, path) == "done"
        assert len(self.lines(path)) == 2 * len(before.splitlines())


def test_a_moment_without_threads_costs_one_sending_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(tmp_path, "one", "two")
    world.outbox.put(task_event("COMPLETE", outputs=(dataset("a.b.c"),)))
    abreast, start = world.abreast(), threading.Thread.start

    def refused(thread: threading.Thread) -> None:
        if thread.name == "mlgov sink one":
            raise RuntimeError("can't start new thread")
        start(thread)

    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", refused)
        report = abreast.send()
    assert (report.outcome, "more threads" in str(report.reason)) == ("unavailable", True)
    assert [spool.has_waiting() for spool in world.spools.values()] == [True, False]
    assert abreast.send().outcome == "done"
