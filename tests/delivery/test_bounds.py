"""How much may wait: the oldest become dead letters, which can be sent again."""

from __future__ import annotations

import logging
import time
from math import inf

import pytest

from airflow_provider_mlgov.catalog.embedded import EmbeddedCatalog
from airflow_provider_mlgov.delivery import draining
from airflow_provider_mlgov.delivery.bounds import NO_BOUNDS, Bounds, is_due, trim
from airflow_provider_mlgov.delivery.deadline import Deadline
from airflow_provider_mlgov.delivery.sender import Sender
from airflow_provider_mlgov.delivery.spool import Spool
from airflow_provider_mlgov.errors import CatalogUnavailableError
from translate_events import OPTIONS

DAY = 86400.0


@pytest.fixture
def spool(tmp_path):
    return Spool(tmp_path / "spool")


def event(number, size=0):
    return {
        "eventType": "COMPLETE",
        "eventTime": "2026-11-23T10:00:00Z",
        "run": {"runId": str(number)},
        "job": {"namespace": "n", "name": "j", "facets": {"documentation": {"description": "x" * size}}},
    }


def numbers(events):
    return [int(found["run"]["runId"]) for found in events]


def waiting(spool):
    return numbers(spool.read(path) for path in spool.waiting())


def dead(spool):
    return numbers(found for letter in spool.dead_letters() for found in letter.events)


def test_the_oldest_beyond_the_size_become_dead_letters(spool, caplog):
    for number in range(10):
        spool.append(event(number, 10_000))
    with caplog.at_level(logging.WARNING):
        assert trim(spool, Bounds(size=60_000)) == 5
    assert waiting(spool) == [5, 6, 7, 8, 9]
    assert dead(spool) == [0, 1, 2, 3, 4]
    (letter,) = spool.dead_letters()
    assert "more than 0.06 MB waited" in letter.reason
    assert "5 events became dead letters" in caplog.text
    assert trim(spool, Bounds(size=60_000)) == 0
    spool.retry()
    assert sorted(waiting(spool)) == list(range(10))


def test_the_aged_become_dead_letters(spool):
    for number in range(3):
        spool.append(event(number))
    assert trim(spool, Bounds(age=DAY), clock=lambda: time.time() + 0.9 * DAY) == 0
    assert trim(spool, Bounds(age=DAY), clock=lambda: time.time() + 1.1 * DAY) == 3
    assert "more than 1 days" in spool.dead_letters()[0].reason
    assert not waiting(spool)


def test_many_go_into_few_letters(spool):
    for number in range(1_001):
        spool.append(event(number))
    assert trim(spool, Bounds(size=1)) == 1_001
    assert [len(letter.events) for letter in spool.dead_letters()] == [500, 500, 1]


class Ticking(Deadline):
    """Each look at the clock takes a second."""

    def __init__(self, budget):
        self.now = 0.0
        super().__init__(budget, self.tick)

    def tick(self):
        self.now += 1
        return self.now


def test_it_ends_with_its_time_and_the_next_goes_on(spool):
    for number in range(50):
        spool.append(event(number))
    assert trim(spool, Bounds(size=1), deadline=Ticking(5.0)) == 23
    assert waiting(spool) == list(range(23, 50))
    assert trim(spool, Bounds(size=1), deadline=Ticking(1.5)) == 20, "it comes to an end however slow it is"
    assert trim(spool, Bounds(size=1)) == 7
    assert dead(spool) == list(range(50))


def test_more_than_can_be_looked_through_stays_and_is_said(spool, caplog):
    spool.append(event(1))
    assert trim(spool, Bounds(size=1), deadline=Deadline(0.0)) == 0
    assert waiting(spool) == [1]
    assert "`mlgov spool drain`" in caplog.text


def test_what_is_no_event_is_not_counted(spool):
    spool.append(event(1, 10_000))
    name = spool.waiting()[0].name
    (spool.root / "new" / f"{0:020d}{name[20:]}").mkdir()
    (spool.root / "new" / "huge").write_text("x" * 100_000)
    assert trim(spool, Bounds(size=60_000)) == 0


@pytest.mark.parametrize("way", ["open", "unavailable"])
def test_a_tasks_end_keeps_its_time(spool, monkeypatch, way):
    """Whoever has a budget trims in a part of it, so with a breaker that is open, and with a catalogue that just failed."""
    parts = []

    def noted(spool, bounds, *, deadline):
        parts.append(deadline.left())
        return 0

    monkeypatch.setattr(draining, "trim", noted)

    def away():
        raise CatalogUnavailableError("away")

    sender = Sender(spool, away, OPTIONS, bounds=Bounds(size=1))
    spool.append(event(1))
    for budget in (5.0, 60.0, None):
        if way == "open":
            sender.breaker.failed("away")
        assert sender.send(budget, despite_breaker=way != "open").outcome == way
    of_task, of_process, without_limit = parts
    assert 0 < of_task <= 1.25
    assert of_process <= 15
    assert without_limit == inf


def test_delivering_leaves_some_time_for_the_bounds(spool):
    """Else a spool that is sent from for as long as there is time would never be held against its bounds."""
    sender = Sender(spool, lambda: EmbeddedCatalog(":memory:"), OPTIONS, bounds=Bounds(size=1))
    assert 40 < sender._for_delivery(Deadline(50.0)).left() <= 45
    trim(spool, Bounds(size=1))
    assert 45 < sender._for_delivery(Deadline(50.0)).left() <= 50


def test_it_is_looked_at_once_a_minute_whatever_the_clock_does(spool):
    bounds = Bounds(size=1)
    assert is_due(spool, bounds)
    assert not is_due(spool, NO_BOUNDS)
    trim(spool, bounds)
    assert not is_due(spool, bounds)
    for jump in (100, -100):
        assert is_due(spool, bounds, lambda jump=jump: time.time() + jump)


def test_bounds_hold_while_the_catalogue_is_away_and_nothing_is_lost(spool, tmp_path):
    """The first sender meets a dead catalogue, the next an open breaker."""

    def away():
        raise CatalogUnavailableError("away")

    sender = Sender(spool, away, OPTIONS, bounds=Bounds(size=1_000))
    for number in range(10):
        spool.append(event(number, 200))
    assert sender.send().outcome == "unavailable"
    assert (len(waiting(spool)), len(dead(spool))) == (2, 8)
    for number in range(10, 15):
        spool.append(event(number, 200))
    (spool.root / "bounds").unlink()
    assert sender.send().outcome == "open"
    assert (len(waiting(spool)), len(dead(spool))) == (2, 13)
    catalog = EmbeddedCatalog(tmp_path / "catalog.db")
    spool.retry()
    assert Sender(spool, lambda: catalog, OPTIONS).send(despite_breaker=True).events == 15
    runs = {str(number) for number in range(15)}
    assert all(catalog.get("mlgov_job_run", f"jobs/n/j/runs/{run}@{OPTIONS.catalog_namespace}") for run in runs)
