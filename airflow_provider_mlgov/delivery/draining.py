"""Draining a spool: one process at a time, never while the breaker is open, within a budget, and never an exception."""

from __future__ import annotations

import logging
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, TypedDict

from airflow_provider_mlgov.delivery.bounds import NO_BOUNDS, Bounds, is_due, trim
from airflow_provider_mlgov.delivery.breaker import Breaker
from airflow_provider_mlgov.delivery.deadline import BudgetSpentError, Deadline
from airflow_provider_mlgov.delivery.machine import lacking, lacks_threads
from airflow_provider_mlgov.delivery.results import Results
from airflow_provider_mlgov.delivery.turn import HostTurn, Turn, TurnLostError, released
from airflow_provider_mlgov.errors import (
    CatalogBusyError,
    CatalogError,
    CatalogPendingError,
    ConfigurationError,
    SpoolError,
    TypesConflictError,
)
from airflow_provider_mlgov.masking import shown

if TYPE_CHECKING:
    from pathlib import Path

    from typing_extensions import Unpack

    from airflow_provider_mlgov.delivery.spool import Spool

log = logging.getLogger(__name__)

_TRIM_SECONDS = 1.0
"""What the bounds of a spool are given of the time of a send, or a quarter of that."""

Outcome = Literal["done", "nothing", "locked", "open", "unavailable", "busy", "budget", "spool"]


@dataclass
class SendReport:
    """What a send did."""

    outcome: Outcome = "nothing"
    """``done``: everything that waited was delivered. ``nothing``: nothing waited. ``locked``: another process is sending.
    ``open``: the breaker is open. ``unavailable``, ``busy``: the catalogue failed. ``budget``: the time was over.
    ``spool``: the spool failed, if only at one file. Except for the first two, events wait on."""
    events: int = 0
    """Events acknowledged."""
    entities: int = 0
    """Entities written."""
    dead: int = 0
    """Dead letters made."""
    retries: int = 0
    """Calls that were made again, since the catalogue was busy."""
    warnings: list[str] = field(default_factory=list)
    reason: str | None = None
    """Why events wait on, where they do."""


Measure = Callable[[SendReport, float], None]
"""Told what a send did and how many seconds it took; must not raise."""


class DrainingOptions(TypedDict, total=False):
    """What all that drain a spool can be told."""

    bounds: Bounds
    """Beyond these the oldest that waits becomes a dead letter. Default: no bounds."""
    measure: Measure | None
    """Told of each send that found something to do."""
    breaker_interval: float
    """Seconds between two tries of what is not usable, at first. Default 60."""
    breaker_cap: float
    """The same, at most. Default 600."""
    shared: bool
    """Whether other hosts use this spool too. Default no."""


class Draining(ABC):
    """Takes what waits in a spool to where it goes: a catalogue (`Sender`), a receiver (`Forwarder`), or others (`Handover`)."""

    breaker_file = "breaker.json"
    """What keeps the state of the breaker, beside the spool."""

    destination: str
    """What it delivers to, in a word."""

    def __init__(self, spool: Spool, **options: Unpack[DrainingOptions]) -> None:
        self._spool = spool
        self._measure = options.get("measure")
        self._bounds = options.get("bounds", NO_BOUNDS)
        self._results = Results(spool.root)
        self._shared = options.get("shared", False)
        self.breaker = Breaker(
            spool.root / self.breaker_file,
            interval=options.get("breaker_interval", 60.0),
            cap=options.get("breaker_cap", 600.0),
        )

    def send(self, budget: float | None = None, *, despite_breaker: bool = False) -> SendReport:
        """Deliver what waits, within ``budget`` seconds (None: without limit), or return at once if somebody else does.

        ``despite_breaker``: somebody asks by hand, perhaps because the catalogue was mended a moment ago.
        Never raises for what a catalogue, an event or the spool does; the report and one log line say it.
        """
        report = SendReport()
        began = time.monotonic()
        self._send(report, Deadline(budget), despite_breaker=despite_breaker)
        if report.events:
            self._results.note(self.destination, "succeeded", report.outcome, report.events, None)
        if report.outcome in ("unavailable", "busy", "spool"):
            self._results.note(self.destination, "failed", report.outcome, report.events, report.reason)
        if self._measure is not None and report.outcome != "nothing":
            self._measure(report, time.monotonic() - began)
        return report

    def _send(self, report: SendReport, deadline: Deadline, *, despite_breaker: bool) -> None:
        try:
            while self._spool.has_waiting():
                if not (despite_breaker or self.breaker.allows()):
                    self._trim(deadline)
                    opening = self.breaker.opening()
                    report.outcome, report.reason = "open", opening.reason if opening else None
                    return
                turn = self._turn()
                if not turn.acquire(0.0):
                    report.outcome, report.reason = ("done", None) if report.events else ("locked", turn.holder)
                    return
                with released(turn):
                    delivery = self._for_delivery(deadline)
                    delivery.guard = turn.check
                    self._drain(report, delivery)
                self._trim(deadline)
                if report.outcome != "done":
                    return
            if report.outcome == "done" and (unread := self._spool.unread()):
                report.outcome, report.reason = "spool", _said(unread)
        except SpoolError as error:
            report.outcome, report.reason = "spool", str(error)
            log.warning("Events wait: %s", error)
        except MemoryError:
            report.outcome, report.reason = "unavailable", "this process has too little memory for sending"
            log.warning("Events wait: %s", report.reason)

    @abstractmethod
    def _deliver_all(self, report: SendReport, deadline: Deadline) -> None:
        """Deliver until nothing waits, under the lock; what it acknowledged stands in ``report``, also where it raises."""

    def _for_delivery(self, deadline: Deadline) -> Deadline:
        """The time of delivering: where the bounds are to be looked at it leaves a tenth for that."""
        return Deadline(deadline.left() * 0.9 if is_due(self._spool, self._bounds) else deadline.left())

    def _trim(self, deadline: Deadline) -> None:
        """Keep what could not be sent within its bounds, in a part of the time that is left: a task's end waits for this."""
        left = deadline.left()
        if left and is_due(self._spool, self._bounds):
            turn = self._turn()
            if turn.acquire(0.0):
                with released(turn):
                    part = Deadline(min(left, max(_TRIM_SECONDS, left / 4)))
                    trim(self._spool, self._bounds, deadline=part)

    def _turn(self) -> Turn:
        """What elects the one sender of this spool."""
        if not self._shared:
            return HostTurn(self._spool.root)
        from airflow_provider_mlgov.delivery.lease import Lease

        return Lease(self._spool.root)

    def _drain(self, report: SendReport, deadline: Deadline) -> None:
        """Deliver until nothing waits; the outcome says how it ended."""
        before, taken = report.events, (report.entities, report.events - report.dead)
        try:
            try:
                self._deliver_all(report, deadline)
            except TurnLostError:
                raise
            except Exception:
                # Where it took any, what failed before that does not count any more.
                if (report.entities, report.events - report.dead) > taken:
                    self.breaker.succeeded()
                raise
            report.outcome = "done"
            self.breaker.succeeded()
        except BudgetSpentError as error:
            report.outcome, report.reason = "budget", str(error)
        except (CatalogBusyError, CatalogPendingError) as error:
            report.outcome, report.reason = "busy", shown(error)
            wait = error.retry_after if isinstance(error, CatalogBusyError) else None
            if report.events == before or wait:
                self.breaker.failed(str(error), at_least=wait or 0.0)
        except (CatalogError, ConfigurationError, TypesConflictError) as error:
            report.outcome, report.reason = "unavailable", shown(error)
            self.breaker.failed(str(error))
        except RuntimeError as error:
            if not lacks_threads(error):
                raise
            report.outcome, report.reason = "unavailable", lacking(error, "threads")
            self.breaker.failed(report.reason)


def _said(unread: Mapping[Path, str]) -> str:
    path, why = min(unread.items())
    return f"{len(unread)} files cannot be read, {path} the first ({why}); see to that. All others are delivered"
