"""The sender: the one process at a time that takes events from a spool, translates them and writes to the catalogue.

Whoever calls `Sender.send` becomes it, unless somebody else is. Events leave the spool when all that came of them was taken by
the catalogue or put among the dead letters; whatever happens before, the next send does it again, to the same end.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_provider_mlgov.delivery.deadline import BudgetSpentError, Deadline
from airflow_provider_mlgov.delivery.drain import Drain
from airflow_provider_mlgov.delivery.draining import Draining, SendReport
from airflow_provider_mlgov.delivery.sinks.sink import Sink
from airflow_provider_mlgov.delivery.state import SenderState
from airflow_provider_mlgov.delivery.turn import TurnLostError, released
from airflow_provider_mlgov.errors import CatalogBusyError

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from airflow_provider_mlgov.catalog.catalog import Catalog
    from airflow_provider_mlgov.delivery.draining import DrainingOptions
    from airflow_provider_mlgov.delivery.spool import Spool
    from airflow_provider_mlgov.translate.options import TranslateOptions


class Sender(Draining):
    """Drains a spool into a catalogue.

    ``sink_factory`` is called when something is to be sent, under the lock: it returns a catalogue, or another `Sink`.
    """

    destination = "catalogue"

    def __init__(
        self,
        spool: Spool,
        sink_factory: Callable[[], Catalog | Sink],
        options: TranslateOptions,
        *,
        batch_size: int = 100,
        apply_types: bool = True,
        keep_hours: float = 24.0,
        sleep: Callable[[float], None] = time.sleep,
        **more: Unpack[DrainingOptions],
    ) -> None:
        super().__init__(spool, **more)
        self._sink_factory = sink_factory
        self._options = options
        self._batch_size = batch_size
        self._apply_types = apply_types
        self._keep_hours = keep_hours
        self._sleep = sleep

    def _deliver_all(self, report: SendReport, deadline: Deadline) -> None:
        with self._state(deadline.guard) as state, self._sink(state) as sink:
            drain = Drain(self._spool, state, sink, self._options, self._batch_size, report, deadline)
            try:
                while drain.step():
                    deadline.check()
                drain.finish()
            except TurnLostError:
                raise
            except BudgetSpentError:
                drain.cut_off()
                raise
            finally:
                drain.remember_taken()
                report.retries += getattr(sink, "retries", 0)

    @contextmanager
    def exclusive(self, timeout: float = 30.0) -> Iterator[Sink]:
        """The sink, with nobody else sending: for operators that act on the catalogue. `CatalogBusyError` after ``timeout``."""
        self._spool.prepare()
        turn = self._turn()
        if not turn.acquire(timeout):
            raise CatalogBusyError(f"{turn.holder}, for more than {timeout:g} s; try again later")
        with released(turn), self._state(turn.check) as state, self._sink(state) as sink:
            yield sink

    @contextmanager
    def _state(self, guard: Callable[[], None]) -> Iterator[SenderState]:
        path = Path(self._spool.root, "sender.db")
        state = SenderState(path, keep_hours=self._keep_hours, shared=self._shared, guard=guard)
        try:
            yield state
        finally:
            state.close()

    @contextmanager
    def _sink(self, state: SenderState) -> Iterator[Sink]:
        made: Any = self._sink_factory()
        if hasattr(made, "deliver"):
            sink: Sink = made
        else:
            from airflow_provider_mlgov.delivery.sinks.catalog import CatalogSink

            sink = CatalogSink(
                made, state, batch_size=self._batch_size, apply_types=self._apply_types, sleep=self._sleep
            )
        try:
            yield sink
        finally:
            sink.close()
