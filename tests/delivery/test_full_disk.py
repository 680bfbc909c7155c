"""A disk that is full or read-only: tasks go on with one line, what was accepted is kept, and with room again all is delivered."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_mlgov.catalog.embedded import EmbeddedCatalog
from airflow_provider_mlgov.delivery.bounds import Bounds
from airflow_provider_mlgov.delivery.outbox import Outbox
from airflow_provider_mlgov.delivery.sender import Sender
from airflow_provider_mlgov.delivery.spool import Spool
from airflow_provider_mlgov.errors import CatalogRefusedError, CatalogUnavailableError, SpoolError
from airflow_provider_mlgov.translate.options import TranslateOptions
from catalog_content import content, difference
from delivery_events import dataset, task_run
from full_disks import SmallDisk, small_disk

OPTIONS = TranslateOptions(airflow_namespace="test")


class Catalog(EmbeddedCatalog):
    """The spool's disk is full, the catalogue's is not; calls have their note, as with a real Atlas."""

    linger = 60.0
    refusing = False

    def write(self, entities: Any, **more: Any) -> Any:
        if self.refusing:
            raise CatalogRefusedError("a bad value", error_code="ATLAS-404-00-007", status=404)
        return super().write(entities, **more)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    with small_disk(tmp_path / "disk", "64m") as mounted:
        yield mounted


@pytest.fixture
def catalog(tmp_path: Path) -> Iterator[Catalog]:
    opened = Catalog(tmp_path / "catalog.db")
    yield opened
    opened.close()


def sender(spool: Spool, catalog: Any, **more: Any) -> Sender:
    return Sender(spool, lambda: catalog, OPTIONS, breaker_interval=0.0, sleep=lambda seconds: None, **more)


def events(number: int) -> list[dict[str, Any]]:
    return task_run(task=f"t{number}", outputs=[dataset(f"db.s.t{number}", columns=3)])


def put_until_full(spool: Spool) -> list[dict[str, Any]]:
    """Put events until one is refused; those that were accepted."""
    accepted: list[dict[str, Any]] = []
    for number in range(10_000):
        for event in events(number):
            try:
                Outbox(spool).put(event)
            except SpoolError:
                return accepted
            accepted.append(event)
    raise AssertionError("the disk is not full")


def arrives(spool: Spool, catalog: Catalog, accepted: list[dict[str, Any]], folder: Path) -> None:
    """All that was accepted is in the catalogue, as without trouble."""
    report = sender(spool, catalog).send()
    assert report.outcome in ("done", "nothing"), report.reason
    counts = spool.counts()
    assert (counts.waiting, counts.dead, counts.odd) == (0, 0, 0)
    calm = EmbeddedCatalog(folder / "calm.db")
    for event in accepted:
        Outbox(Spool(folder / "calm")).put(event)
    assert sender(Spool(folder / "calm"), calm).send().outcome == "done"
    assert not difference(content(catalog), content(calm))
    calm.close()


def test_what_was_accepted_is_kept_and_a_refused_event_leaves_nothing(
    tmp_path: Path, disk: SmallDisk, catalog: Catalog
) -> None:
    spool = Spool(disk.folder / "spool")
    disk.fill(leave=64 * 2**20 // 8 + 400_000)  # the eighth that is kept for sending, and a little
    accepted = put_until_full(spool)
    assert len(accepted) > 20
    assert spool.counts().waiting == len(accepted)
    assert not list((spool.root / "tmp").iterdir())
    for event in events(0):  # and again: refused, not harmed
        with pytest.raises(SpoolError):
            Outbox(spool).put(event)
    assert spool.counts().waiting == len(accepted)
    arrives(spool, catalog, accepted, tmp_path)  # without any room made: the spool empties itself


@pytest.mark.parametrize("leave", [0, 8_192, 65_536])
def test_a_sender_without_room_for_its_state(
    tmp_path: Path, disk: SmallDisk, catalog: Catalog, caplog: pytest.LogCaptureFixture, leave: int
) -> None:
    spool = Spool(disk.folder / "spool")
    accepted = [event for number in range(20) for event in events(number)]
    for event in accepted:
        Outbox(spool).put(event)
    disk.fill(leave)
    report = sender(spool, catalog).send()
    if report.outcome != "done":
        assert report.outcome == "spool"
        assert len([each for each in caplog.records if each.levelname == "WARNING"]) == 1
    assert spool.counts().waiting == len(accepted) - report.events
    disk.make_room()
    arrives(spool, catalog, accepted, tmp_path)


def test_a_disk_that_fills_while_the_state_is_there(tmp_path: Path, disk: SmallDisk, catalog: Catalog) -> None:
    spool = Spool(disk.folder / "spool")
    accepted = events(0)
    for event in accepted:
        Outbox(spool).put(event)
    assert sender(spool, catalog).send().outcome == "done"
    late = [event for number in range(1, 60) for event in events(number)]
    for event in late:
        Outbox(spool).put(event)
    disk.fill()
    report = sender(spool, catalog).send()
    assert report.outcome in ("spool", "done")
    disk.make_room()
    arrives(spool, catalog, accepted + late, tmp_path)


def test_dead_letters_without_room(tmp_path: Path, disk: SmallDisk, catalog: Catalog) -> None:
    """What is refused waits until there is room to say so."""
    spool = Spool(disk.folder / "spool")
    Outbox(spool).put(events(0)[0])
    assert sender(spool, catalog).send().outcome == "done"
    accepted = [event for number in range(6) for event in events(number)]
    for event in accepted:
        Outbox(spool).put(event)
    spool.append({"neither": "run nor job"})
    disk.fill()
    catalog.refusing = True
    report = sender(spool, catalog).send()
    assert report.outcome in ("spool", "unavailable")
    assert spool.counts().dead == 0
    assert spool.counts().waiting == len(accepted) + 1
    disk.make_room()
    catalog.refusing = False
    assert sender(spool, catalog).send().outcome == "done"
    (letter,) = spool.dead_letters()
    assert letter.events == ({"neither": "run nor job"},)
    spool.drop([letter.name])
    arrives(spool, catalog, accepted, tmp_path)


def test_bounds_without_room(tmp_path: Path, disk: SmallDisk, catalog: Catalog) -> None:
    spool = Spool(disk.folder / "spool")
    accepted = [event for number in range(10) for event in events(number)]
    for event in accepted:
        Outbox(spool).put(event)

    def down() -> Any:
        raise CatalogUnavailableError("down")

    disk.fill()
    bounded = Sender(spool, down, OPTIONS, bounds=Bounds(size=1), breaker_interval=0.0)
    assert bounded.send().outcome in ("spool", "unavailable")
    assert (spool.counts().waiting, spool.counts().dead) == (len(accepted), 0)
    disk.make_room()
    arrives(spool, catalog, accepted, tmp_path)


def test_a_read_only_spool(tmp_path: Path, disk: SmallDisk, catalog: Catalog, caplog: pytest.LogCaptureFixture) -> None:
    spool = Spool(disk.folder / "spool")
    accepted = [event for number in range(3) for event in events(number)]
    for event in accepted[:4]:
        Outbox(spool).put(event)
    disk.read_only(True)
    with pytest.raises(SpoolError, match="Read-only"):
        Outbox(spool).put(accepted[4])
    report = sender(spool, catalog).send()
    assert report.outcome == "spool"
    assert "Read-only" in str(report.reason)
    assert len(caplog.records) == 1
    assert spool.counts().waiting == 4
    assert catalog.type_definition("mlgov_task_run") is None  # nothing is sent that could not be acknowledged
    disk.read_only(False)
    for event in accepted[4:]:
        Outbox(spool).put(event)
    arrives(spool, catalog, accepted, tmp_path)


def test_a_read_only_disk_on_which_no_spool_was_made(disk: SmallDisk, catalog: Catalog) -> None:
    disk.read_only(True)
    spool = Spool(disk.folder / "spool")
    with pytest.raises(SpoolError, match="Read-only"):
        Outbox(spool).put(events(0)[0])
    assert sender(spool, catalog).send().outcome == "nothing"


def test_the_catalogue_s_own_disk_is_full(tmp_path: Path, disk: SmallDisk) -> None:
    """The embedded catalogue on a full disk is not usable, and says so."""
    spool = Spool(tmp_path / "spool")
    accepted = [event for number in range(5) for event in events(number)]
    for event in accepted:
        Outbox(spool).put(event)
    catalog = Catalog(disk.folder / "catalog.db")
    disk.fill()
    report = sender(spool, catalog).send()
    assert report.outcome == "unavailable"
    assert "check disk space" in str(report.reason)
    assert spool.counts().waiting == len(accepted)
    catalog.close()
    disk.make_room()
    with small_disk(tmp_path / "larger", "64m") as larger:
        arrives(spool, Catalog(larger.folder / "catalog.db"), accepted, tmp_path)


def test_the_state_of_a_full_disk_is_no_damaged_state(disk: SmallDisk, catalog: Catalog) -> None:
    spool = Spool(disk.folder / "spool")
    for number in range(30):
        for event in events(number):
            Outbox(spool).put(event)
    for _ in range(3):
        disk.fill()
        sender(spool, catalog).send()
        disk.make_room()
    assert sender(spool, catalog).send().outcome in ("done", "nothing")
    assert not list(spool.root.glob("sender.db.damaged-*"))
    with sqlite3.connect(spool.root / "sender.db") as state:
        assert state.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    state.close()
