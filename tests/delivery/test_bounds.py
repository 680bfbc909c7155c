"""How much may wait: the oldest become dead letters, which can be sent again."""

from __future__ import annotations

import logging
import time

import pytest

from airflow_provider_mlgov.catalog.embedded import EmbeddedCatalog
from airflow_provider_mlgov.delivery.bounds import NO_BOUNDS, Bounds, is_due, trim
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
