"""Eight processes that record and send, killed at random: no event is lost, no twin made, all ends as without the kills."""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import os
import random
import signal
import sqlite3
import sys
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_mlgov.catalog.atlas import AtlasCatalog
from airflow_provider_mlgov.catalog.embedded import EmbeddedCatalog
from airflow_provider_mlgov.delivery.outbox import Outbox
from airflow_provider_mlgov.delivery.sender import Sender
from airflow_provider_mlgov.delivery.spool import Spool
from airflow_provider_mlgov.translate.options import TranslateOptions
from catalog_content import content, difference, names_of
from delivery_events import dataset, task_event

OPTIONS = TranslateOptions(airflow_namespace="test")
WORKERS = 8
MOST_WAITING = 60
LINGER = 10.0
"""So long the real Atlas of the tests may be at work for somebody who is gone: some three times the longest call seen."""


class World:
    """A spool, a catalogue, and workers that may be killed. ``name`` is in every name, for a catalogue that others use too."""

    def __init__(self, folder: Path, make_catalog: Callable[[], Any], name: str) -> None:
        self.folder = folder
        self.name = name
        self.spool = Spool(folder / "spool")
        self.make_catalog = make_catalog
        self.stop = folder / "stop"

    def event(self, worker: int, number: int) -> dict[str, Any]:
        """The ``number``-th event of a worker: START and COMPLETE of its task runs in turn. Workers share tables."""
        run, ended = divmod(number, 2)
        host = f"postgres://{self.name}.test:5432"
        ends: dict[str, Any] = {}
        if ended:
            ends["inputs"] = (dataset(f"{self.name}.s.t{run % 5}", host, columns=1),)
            ends["outputs"] = (dataset(f"{self.name}.s.t{(run + worker) % 5 + 5}", host, columns=1),)
        return task_event(
            "COMPLETE" if ended else "START",
            dag=self.name,
            run=f"r{run}",
            task=f"w{worker}",
            seconds=number,
            **ends,
        )

    def sender(self) -> Sender:
        return Sender(self.spool, self.make_catalog, OPTIONS, batch_size=40)

    def ledger(self, worker: int) -> Path:
        return self.folder / f"worker{worker}"

    def accepted(self, worker: int) -> int:
        """How many of its events were put: that is, `put` returned."""
        path = self.ledger(worker)
        return path.stat().st_size if path.exists() else 0

    def work(self, worker: int) -> None:
        """Go on where the last life ended. An event that was on disk when it died, before it knew, is put twice."""
        while not self.stop.exists():
            if (
                self.spool.counts().waiting < MOST_WAITING
            ):  # or those who are killed while they send would lag behind for ever
                self._put(worker)
                self._put(worker)
            self.sender().send(30.0)
        if self.accepted(worker) % 2:
            self._put(worker)

    def _put(self, worker: int) -> None:
        Outbox(self.spool).put(self.event(worker, self.accepted(worker)))
        with self.ledger(worker).open("ab") as ledger:
            ledger.write(b".")

    def in_flight(self) -> bool:
        """Whether a call was begun and did not end."""
        with contextlib.closing(sqlite3.connect(self.spool.root / "sender.db", timeout=5)) as state:
            try:
                return bool(state.execute("SELECT count(*) FROM note").fetchone()[0])
            except sqlite3.OperationalError:
                return False


def kill(world: World, kills: int, longest: float) -> dict[str, Any]:
    """Kill workers at random, and start others in their place; afterwards let all come to an end."""
    context = multiprocessing.get_context("fork")
    chance = random.Random(7)

    def start(worker: int) -> Any:
        process = context.Process(target=world.work, args=(worker,))
        process.start()
        return process

    began = time.monotonic()
    in_flight = 0
    processes = [start(worker) for worker in range(WORKERS)]
    for _ in range(kills):
        time.sleep(chance.uniform(0, longest))
        worker = chance.randrange(WORKERS)
        assert processes[worker].is_alive(), f"worker {worker} ended by itself: {processes[worker].exitcode}"
        os.kill(processes[worker].pid, signal.SIGKILL)
        processes[worker].join()
        assert processes[worker].exitcode == -signal.SIGKILL
        in_flight += (world.spool.root / "sender.db").exists() and world.in_flight()
        processes[worker] = start(worker)
    world.stop.touch()
    for process in processes:
        process.join(300)
        assert process.exitcode == 0
    report = world.sender().send()
    assert report.outcome in ("done", "nothing"), report.reason
    counts = world.spool.counts()
    assert (counts.waiting, counts.dead, counts.odd) == (0, 0, 0)
    events = sum(world.accepted(worker) for worker in range(WORKERS))
    return {"kills": kills, "events": events, "in_flight": in_flight, "seconds": round(time.monotonic() - began)}


def undisturbed(world: World, folder: Path) -> Any:
    """What a catalogue holds that had the same events from one process that nobody killed."""
    calm = World(folder, lambda: EmbeddedCatalog(folder / "catalog.db"), world.name)
    for worker in range(WORKERS):
        for number in range(world.accepted(worker)):
            Outbox(calm.spool).put(calm.event(worker, number))
    assert calm.sender().send().outcome == "done"
    catalog = calm.make_catalog()
    found = content(catalog)
    catalog.close()
    return found


def on_the_embedded_catalogue(folder: Path, kills: int) -> None:
    world = World(folder, lambda: EmbeddedCatalog(folder / "catalog.db"), "shop")
    figures = kill(world, kills, 0.5)
    catalog = world.make_catalog()
    found = content(catalog)  # which fails where there are twins
    catalog.close()
    (folder / "calm").mkdir()
    assert not difference(found, undisturbed(world, folder / "calm"))
    sys.stdout.write(f"embedded catalogue: {json.dumps(figures | {'entities': len(found)})}\n")


def test_a_few_kills(tmp_path: Path) -> None:
    on_the_embedded_catalogue(tmp_path, 15)


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_a_thousand_kills(tmp_path: Path) -> None:
    on_the_embedded_catalogue(tmp_path, 1_000)


@pytest.mark.long
@pytest.mark.atlas
@pytest.mark.timeout(3600)
def test_a_hundred_kills_on_a_real_atlas(tmp_path: Path, atlas: AtlasCatalog, atlas_url: str) -> None:
    class Atlas(AtlasCatalog):
        linger = LINGER

    world = World(tmp_path, lambda: Atlas(atlas_url), f"d{uuid.uuid4().hex[:12]}")
    figures = kill(world, 100, 3.0)
    assert figures["in_flight"], "no kill met a call: nothing was shown"
    (tmp_path / "calm").mkdir()
    wanted = undisturbed(world, tmp_path / "calm")
    by_type: dict[str, set[str]] = {}
    for type_name, name in wanted:
        by_type.setdefault(type_name, set()).add(name)
    for type_name, names in by_type.items():
        until = time.monotonic() + 20  # the index follows
        while (found := names_of(atlas, type_name, world.name)).keys() != names and time.monotonic() < until:
            time.sleep(0.5)
        assert found.keys() == names
        assert set(found.values()) == {1}, f"twins: {[name for name, count in found.items() if count > 1]}"
    for (type_name, name), (attributes, relations) in wanted.items():
        entity = atlas.get(type_name, name, relationships=True)
        assert entity is not None
        for attribute in ("state", "processKey", "io", "lastRun", "firstRun", "tryNumber", "operator"):
            if attribute in attributes:
                assert entity["attributes"].get(attribute) == attributes[attribute], (name, attribute)
        for role in ("inputs", "outputs"):
            if role in relations:
                ends = [
                    end["displayText"]
                    for end in entity["relationshipAttributes"][role]
                    if end["relationshipStatus"] == "ACTIVE"
                ]
                assert sorted(ends) == relations[role]
    sys.stdout.write(f"real Atlas: {json.dumps(figures | {'entities': len(wanted)})}\n")
