"""A catalogue of this process whose calls fail as a test wants, and a host that sends to it."""

from __future__ import annotations

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


class Sending:
    """A host that never delivered anything."""

    def __init__(self, folder: Path, catalog: Any) -> None:
        self.spool = Spool(folder / "spool")
        self.batch_size = 100
        self._catalog = catalog

    def put(self, *runs: tuple[str, int]) -> None:
        """Runs, each of a task that writes a table of its name with so many columns."""
        for number, (name, columns) in enumerate(runs):
            self.write(name, dataset(f"db.s.{name}", columns=columns), 10 * number)

    def write(self, task: str, table: dict[str, Any], seconds: float) -> None:
        """A run that writes a table, or changes what it is called, then."""
        for event in task_run(task=task, dag="d", seconds=seconds, outputs=[table]):
            Outbox(self.spool).put(event)

    def send(self, budget: float | None = None) -> tuple[str, int, int]:
        """The outcome; how many events wait, and how many dead letters there are."""
        sender = Sender(self.spool, lambda: self._catalog, OPTIONS, batch_size=self.batch_size, sleep=lambda _: None)
        report = sender.send(budget, despite_breaker=True)
        counts, self.reason = self.spool.counts(), str(report.reason)
        return report.outcome, counts.waiting, counts.dead


def changed(change: str, of: str = "db.s.new", **more: Any) -> dict[str, Any]:
    """A table that was dropped, or got its name from another."""
    state = {"lifecycleStateChange": change, **more}
    return {**dataset(of), "facets": {"lifecycleStateChange": state}}


RENAMED = changed("RENAME", previousIdentifier={"namespace": dataset("x")["namespace"], "name": "db.s.old"})
