"""One holding of the sender's lock: what waits is delivered, parcel by parcel, oldest events first."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from airflow_provider_mlgov.delivery.culprits import Culprits, TooLittleMemoryError, UnexpectedFailureError
from airflow_provider_mlgov.delivery.deadline import BudgetSpentError, Deadline
from airflow_provider_mlgov.delivery.draining import SendReport
from airflow_provider_mlgov.delivery.machine import lacking, lacks_threads
from airflow_provider_mlgov.delivery.runs import Run, RunReader, parcel_of
from airflow_provider_mlgov.delivery.sinks.catalog_work import UnansweredError
from airflow_provider_mlgov.delivery.sinks.sink import Delivered, Sink
from airflow_provider_mlgov.delivery.state import SenderState
from airflow_provider_mlgov.errors import (
    CatalogBusyError,
    CatalogError,
    CatalogRefusedError,
    CatalogUnavailableError,
    ConfigurationError,
    ForeignAnswerError,
    SpoolError,
    TypesConflictError,
)
from airflow_provider_mlgov.masking import shown, trace_of

if TYPE_CHECKING:
    from airflow_provider_mlgov.delivery.spool import Spool
    from airflow_provider_mlgov.translate.options import TranslateOptions

log = logging.getLogger(__name__)

_EVENTS_PER_PARCEL = 500
_EXPECTED = (CatalogError, BudgetSpentError, SpoolError, ConfigurationError, TypesConflictError)
_PATHS_AT_ONCE = 10_000
"""So many are kept in memory, however many wait."""


class Drain:
    """One holding of the lock: parcel by parcel, oldest events first."""

    def __init__(
        self,
        spool: Spool,
        state: SenderState,
        sink: Sink,
        options: TranslateOptions,
        batch_size: int,
        report: SendReport,
        deadline: Deadline,
    ) -> None:
        self._spool = spool
        self._state = state
        self._sink = sink
        self._reader = RunReader(spool, state, options)
        self._at = options.catalog_namespace
        self._batch_size = batch_size
        self._report = report
        self._deadline = deadline
        self._culprits = Culprits(state, self._reader, self._tried, self._settle_dead)
        self._paths: list[Path] = []
        """What waited when it was last looked, oldest first."""

    def step(self) -> bool:
        """Deliver the oldest events that make about one batch; False if nothing waits."""
        self._paths = self._paths or self._waiting()
        if not self._paths:
            return False
        runs = self._reader.read(self._paths[:_EVENTS_PER_PARCEL], self._batch_size, self._deadline)
        self._paths[:_EVENTS_PER_PARCEL] = self._reader.left
        self._settle_dead(self._reader.take_dead())
        self._culprits.begin(runs)
        for portion in self._reader.in_turn(runs):
            self._culprits.deliver(portion)
        self._settle_dead(self._reader.take_dead())
        return True

    def _waiting(self) -> list[Path]:
        """What waits, the oldest; what was gone past comes after all else."""
        past = self._culprits.passed_over
        found = [path for path in self._spool.waiting(_PATHS_AT_ONCE) if path not in past]
        if past and not found:
            self._culprits.turn_of_passed_over()
            return self._spool.waiting(_PATHS_AT_ONCE)
        return found

    def cut_off(self) -> None:
        """The time is over: raises what the catalogue failed at, where that is all that is known of it."""
        self._culprits.turn_of_passed_over()

    def finish(self) -> None:
        """Nothing waits any more: tidy up."""
        with self._state.transaction():
            self._state.expire()
        self._culprits.forget_suspects()
        self._spool.tidy()

    def remember_taken(self) -> None:
        """Keep for the next send which runs were taken last."""
        self._culprits.remember_taken()

    def _tried(self, runs: list[Run], again: bool) -> CatalogError | None:
        """What the catalogue fails at, that may be the fault of one of ``runs``; None if they are delivered."""
        try:
            parcel = parcel_of(runs, self._at)
            if again:
                parcel = replace(parcel, runs=(), changes=(), again=True)
            delivered = self._sink.deliver(parcel, self._deadline)
        except UnansweredError:  # it may be at work still: nothing else may be sent
            self._culprits.forget_suspects()
            raise
        except (CatalogBusyError, CatalogRefusedError, ForeignAnswerError) as error:
            return error
        except _EXPECTED:
            raise
        except Exception as error:
            # A bug, in the sink or brought about by one event: it must not block the others for ever.
            if isinstance(error, MemoryError):
                return TooLittleMemoryError(lacking(error, "memory"))
            if lacks_threads(error):
                raise CatalogUnavailableError(lacking(error, "threads")) from error
            log.debug("Where %d runs failed, %s the first:\n%s", len(runs), runs[0].key, trace_of(error))
            return UnexpectedFailureError(error)
        if not again:
            for run in runs:
                self._close(run, delivered)
        self._culprits.took(runs, delivered.written, again=again)
        self._report.entities += delivered.written
        self._report.warnings += delivered.warnings
        return None

    def _close(self, run: Run, delivered: Delivered) -> None:
        """Keep the run's state, bury what was refused, then let its events go."""
        refused = {ref: delivered.refused[ref] for ref in run.refs if ref in delivered.refused}
        if refused and run.events:
            parts = [f"{ref.type_name} {ref.qualified_name}" for ref in sorted(refused)]
            reasons = list(dict.fromkeys(refused.values()))
            self._spool.bury(run.events, "; ".join(reasons[:5])[:2_000], parts=parts, first=run.paths[0])
            self._report.dead += 1
            log.warning(
                "Run %s: %d of %d entities were refused, see the dead letters: %s",
                run.key,
                len(refused),
                len(run.refs),
                shown(reasons[0]),
            )
        with self._state.transaction():
            after = run.after(refused.keys())
            self._state.save_run(run.key, after, ended=run.ended)
            self._reader.applications.remember(run.key, after.state)
            self._reader.renames.remember()
        self._acknowledge(run)

    def _settle_dead(self, dead: list[tuple[Run, str]]) -> None:
        for run, reason in dead:
            if (
                not run.events
            ):  # it was only told again, since another run said more of its data: that is lost, no event
                log.warning("Run %s stays as it was sent before: %s", run.key, shown(reason))
                with self._state.transaction():
                    self._reader.applications.pass_over(run.key)
                continue
            self._spool.bury(run.events, reason, first=run.paths[0])
            self._report.dead += 1
            log.warning("Events of run %s became a dead letter: %s", run.key, shown(reason))
            self._acknowledge(run)

    def _acknowledge(self, run: Run) -> None:
        self._spool.acknowledge(run.paths)
        self._report.events += len(run.paths)
        self._report.warnings += run.warnings
