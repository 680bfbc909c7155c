"""Several sinks side by side: each has its own spool, lock, breaker and sender, and a thread, so that none holds the others."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Protocol

from airflow_provider_mlgov.delivery.draining import Outcome, SendReport
from airflow_provider_mlgov.delivery.machine import lacking
from airflow_provider_mlgov.errors import MlgovError

if TYPE_CHECKING:
    from airflow_provider_mlgov.delivery.draining import Draining

log = logging.getLogger(__name__)

_SPARE_SECONDS = 0.2
"""How long over its time a sink may take before it is not waited for."""
_WORST: tuple[Outcome, ...] = ("spool", "unavailable", "open", "busy", "budget", "locked", "done", "nothing")


class Sends(Protocol):
    """What sends events that wait: one sink, or several."""

    def send(self, budget: float | None = None, *, despite_breaker: bool = False) -> SendReport:
        """Deliver what waits, within ``budget`` seconds. Never raises for what a sink, an event or a spool does."""
        ...


class Abreast:
    """Sends to several sinks at once. They have one time together: it is over for all when it is over.

    ``makers`` make what drains a sink, each in its own thread; ``leave`` is called at the end of each thread.
    """

    def __init__(
        self, makers: Mapping[str, Callable[[], Draining]], *, leave: Callable[[], None] = lambda: None
    ) -> None:
        self._makers = dict(makers)
        self._leave = leave
        self._at_work: dict[str, threading.Thread] = {}
        self._reports: dict[str, SendReport] = {}

    def send(
        self, budget: float | None = None, *, despite_breaker: bool = False, wait: float | None = None
    ) -> SendReport:
        """Deliver what waits in all of them; see `Sends`.

        ``wait``: return after so many seconds, with what has ended by then. A sink that is still at work is left at that, also by
        the next call, which tells of it when it has ended.
        """
        told: dict[str, SendReport] = {}
        for name in self._makers:
            if name not in self._at_work:
                thread = threading.Thread(
                    target=self._work, args=(name, budget, despite_breaker), name=f"mlgov sink {name}", daemon=True
                )
                try:
                    thread.start()
                except RuntimeError as error:
                    told[name] = SendReport("unavailable", reason=lacking(error, "threads"))
                    log.warning("Events wait for sink %s: %s", name, told[name].reason)
                    continue
                self._at_work[name] = thread
        seconds = wait if wait is not None else None if budget is None else budget + _SPARE_SECONDS
        until = None if seconds is None else time.monotonic() + seconds
        for thread in list(self._at_work.values()):
            thread.join(None if until is None else max(0.0, until - time.monotonic()))
        ended = [name for name, thread in self._at_work.items() if not thread.is_alive()]
        for name in ended:
            del self._at_work[name]
        told |= {name: self._reports.pop(name) for name in ended}
        if wait is None:
            told |= {name: SendReport("budget", reason="it is still at work") for name in self._at_work}
        return united(told) if told else SendReport()

    def _work(self, name: str, budget: float | None, despite_breaker: bool) -> None:
        try:
            report = self._makers[name]().send(budget, despite_breaker=despite_breaker)
        except MlgovError as error:
            report = SendReport("unavailable", reason=str(error))
            log.warning("Events wait for sink %s: %s", name, error)
        except BaseException as error:  # a thread's end would be all that is seen of it
            report = SendReport("unavailable", reason=f"unexpected {type(error).__name__}: {error}")
            log.warning("Events wait for sink %s: unexpected %s: %s", name, type(error).__name__, error)
            log.debug("Details:", exc_info=True)
        finally:
            self._leave()
        self._reports[name] = report


def united(reports: Mapping[str, SendReport]) -> SendReport:
    """One report of several sinks: their sums, and the outcome of the one that fared worst."""
    worst = min(reports, key=lambda name: _WORST.index(reports[name].outcome))
    reasons = [f"{name}: {report.reason}" for name, report in reports.items() if report.reason]
    return SendReport(
        outcome=reports[worst].outcome,
        events=sum(report.events for report in reports.values()),
        entities=sum(report.entities for report in reports.values()),
        dead=sum(report.dead for report in reports.values()),
        warnings=[warning for report in reports.values() for warning in report.warnings],
        reason="; ".join(reasons) or None,
    )
