"""Sending from the command line: what waits, and what Airflow has to be asked for."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from airflow_provider_mlgov.cli.context import Context
from airflow_provider_mlgov.cli.output import remark
from airflow_provider_mlgov.errors import CatalogUnavailableError, ConfigurationError, SpoolError

if TYPE_CHECKING:
    from airflow_provider_mlgov.delivery.draining import SendReport
    from airflow_provider_mlgov.delivery.sender import Sender

_PAUSE = 0.3
_WARNINGS = 10
_STUCK = {"open": CatalogUnavailableError, "unavailable": CatalogUnavailableError, "spool": SpoolError}


class Drain:
    """Sends until nothing waits, and follows up on the DAG runs that ended."""

    def __init__(self, context: Context, budget: float | None, sink: str | None = None) -> None:
        self._context = context
        self._sink = sink
        self._until = None if budget is None else time.monotonic() + budget
        self.events = 0
        self.entities = 0
        self.dead = 0
        self.settled = 0
        self.warnings = 0
        self.warned: list[str] = []
        """The first of the warnings."""

    @property
    def left(self) -> float | None:
        """Seconds left; None without limit."""
        return None if self._until is None else max(0.0, self._until - time.monotonic())

    @property
    def is_over(self) -> bool:
        """Whether the time is used up."""
        return self.left == 0.0

    def run(self) -> bool:
        """True when nothing waits any more, False when the time was over. Raises what keeps events waiting."""
        while True:
            more = self._collect()
            report = self._send()
            if report.outcome in _STUCK:
                raise _STUCK[report.outcome](f"events wait: {report.reason}")
            if report.outcome in ("done", "nothing") and not self._followed_up() and not more:
                return True
            if self.is_over:
                return False
            time.sleep(_PAUSE)

    def _collect(self) -> bool:
        """Take what other hosts handed over; whether there is more."""
        return self._context.collect(self.left).more

    def _send(self) -> SendReport:
        report = self._context.sender(self._sink).send(self.left, despite_breaker=True)
        self.events += report.events
        self.entities += report.entities
        self.dead += report.dead
        self.warnings += len(report.warnings)
        self.warned += [warning for warning in dict.fromkeys(report.warnings) if warning not in self.warned]
        del self.warned[_WARNINGS:]
        return report

    def _followed_up(self) -> bool:
        """Whether there is something to do yet after asking Airflow about runs that ended."""
        from airflow_provider_mlgov.lineage import followup

        if not followup.waiting(self._context.settings):
            return False
        if self._context.url:
            remark("runs that ended are not followed up with a catalogue given by URL: use --conn-id")
            return False
        from airflow_provider_mlgov.lineage.child import GRACE_SECONDS
        from airflow_provider_mlgov.lineage.reconcile import reconcile

        self.settled += reconcile(self._context.settings, age=GRACE_SECONDS)
        return True


def writer(context: Context) -> Sender:
    """The sender, for commands that change the catalogue under its lock. `ConfigurationError` on a host that forwards."""
    from airflow_provider_mlgov.delivery.sender import Sender

    sender = context.sender()
    if not isinstance(sender, Sender):
        raise ConfigurationError(
            "this host does not write to the catalogue, by [mlgov] forward_conn_id: do it on the host of the receiver"
        )
    return sender


def waiting(context: Context) -> int:
    """How many events, for all sinks, and notes about runs wait on this host."""
    from airflow_provider_mlgov.assembly import open_spools
    from airflow_provider_mlgov.lineage import followup

    notes = sum(1 for _ in followup.notes(context.settings))
    return sum(spool.counts().waiting for spool in open_spools(context.settings).values()) + notes
