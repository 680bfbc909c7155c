"""Where one run fails before any other was taken, or a catalogue fails at every second call: nobody else is blamed, or blocked."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_mlgov.catalog.embedded import EmbeddedCatalog
from airflow_provider_mlgov.delivery.outbox import Outbox
from airflow_provider_mlgov.delivery.sender import Sender
from airflow_provider_mlgov.delivery.spool import Spool
from airflow_provider_mlgov.errors import CatalogBusyError, CatalogRefusedError, ForeignAnswerError
from delivery_events import dataset, task_run
from hostile_hosts import OPTIONS

Fault = Callable[[str, str], Exception | None]
"""From the name of a call and what it is about to what it fails with."""


def no_fault(call: str, about: str) -> Exception | None:
    return None


class Faulty:
    """A catalogue of this process whose calls fail as a test wants."""

    linger = 0.0

    def __init__(self, catalog: EmbeddedCatalog) -> None:
        self.catalog, self.identity, self.fault = catalog, catalog.identity, no_fault

    def __getattr__(self, name: str) -> Any:
        found = getattr(self.catalog, name)
        if name not in ("get", "get_many", "search", "write", "update"):
            return found

        def call(*args: Any, **more: Any) -> Any:
            if (error := self.fault(name, repr((args, more)))) is not None:
                raise error
            return found(*args, **more)

        return call

    def close(self) -> None:
        """It is used for several sends."""


ERRORS: dict[str, Callable[[], Exception]] = {
    "busy": lambda: CatalogBusyError("500"),
    "page": lambda: ForeignAnswerError("a page"),
    "forbidden": lambda: CatalogRefusedError("no right", error_code="ATLAS-403-00-001", status=403),
    "bug": lambda: RuntimeError("a bug"),
}
any_error = pytest.mark.parametrize("error", ERRORS.values(), ids=ERRORS)


def poisonous(call: str, error: Callable[[], Exception]) -> Fault:
    return lambda name, about: error() if name == call and "poison" in about else None


@pytest.fixture
def catalog(tmp_path: Path) -> Any:
    embedded = EmbeddedCatalog(tmp_path / "catalog.db")
    yield Faulty(embedded)
    embedded.close()


class Sending:
    """A host that never delivered anything."""

    def __init__(self, folder: Path, catalog: Any) -> None:
        self.spool = Spool(folder / "spool")
        self._catalog = catalog

    def put(self, *runs: tuple[str, int]) -> None:
        """Runs, each of a task that writes a table of its name with so many columns."""
        for number, (name, columns) in enumerate(runs):
            table = dataset(f"db.s.{name}", columns=columns)
            for event in task_run(task=name, dag="d", seconds=10 * number, outputs=[table]):
                Outbox(self.spool).put(event)

    def send(self) -> tuple[str, int, int]:
        """The outcome; how many events wait, and how many dead letters there are."""
        sender = Sender(self.spool, lambda: self._catalog, OPTIONS, sleep=lambda _: None)
        outcome = sender.send(despite_breaker=True).outcome
        counts = self.spool.counts()
        return outcome, counts.waiting, counts.dead


@any_error
@pytest.mark.parametrize("call", ["get_many", "write"])
def test_a_wide_run_that_is_the_first_of_a_host_blocks_nothing(
    tmp_path: Path, catalog: Any, error: Callable[[], Exception], call: str
) -> None:
    """One reading holds nothing but it, and no run was ever taken."""
    host = Sending(tmp_path, catalog)
    host.put(("poison", 120), *((f"t{number}", 2) for number in range(5)))
    catalog.fault = poisonous(call, error)
    assert host.send() == ("done", 0, 1)


@any_error
def test_a_host_whose_first_runs_all_fail_waits(tmp_path: Path, catalog: Any, error: Callable[[], Exception]) -> None:
    host = Sending(tmp_path, catalog)
    host.put(("a", 120), ("b", 120), ("c", 2))
    catalog.fault = lambda name, about: error() if name == "get_many" else None
    assert [host.send()[1:] for _ in range(3)] == [(6, 0)] * 3
    catalog.fault = no_fault
    assert host.send() == ("done", 0, 0)


@any_error
def test_one_run_that_nothing_can_be_compared_with_waits(
    tmp_path: Path, catalog: Any, error: Callable[[], Exception]
) -> None:
    host = Sending(tmp_path, catalog)
    host.put(("poison", 2))
    catalog.fault = poisonous("get_many", error)
    assert [host.send()[1:] for _ in range(3)] == [(2, 0)] * 3
    host.put(("a", 2))
    assert host.send() == ("done", 0, 1)


@any_error
def test_who_is_read_with_nothing_but_poison_after_an_outage_is_delivered(
    tmp_path: Path, catalog: Any, error: Callable[[], Exception]
) -> None:
    host = Sending(tmp_path, catalog)
    host.put(("a", 60), ("poison", 60), ("b", 2), ("c", 2))
    catalog.fault = lambda name, about: ERRORS["forbidden"]() if name == "get_many" else None
    assert [host.send() for _ in range(2)] == [("unavailable", 8, 0)] * 2
    catalog.fault = poisonous("get_many", error)
    assert host.send() == ("done", 0, 1)


@pytest.mark.parametrize("error", ["page", "forbidden"])
def test_a_catalogue_that_fails_at_every_second_write_gets_all(tmp_path: Path, catalog: Any, error: str) -> None:
    """As where one of two servers behind a proxy is broken."""
    host, turn = Sending(tmp_path, catalog), itertools.count()
    host.put(("first", 2))
    assert host.send() == ("done", 0, 0)
    host.put(*((f"t{number}", 40) for number in range(6)))
    catalog.fault = lambda name, about: ERRORS[error]() if name == "write" and next(turn) % 2 == 0 else None
    assert host.send() == ("done", 0, 0)
