"""The sender: the one process at a time that takes events from a spool, translates them and writes to the catalogue.

Whoever calls `Sender.send` becomes it, unless somebody else is. Events leave the spool when all that came of them was taken by
the catalogue or put among the dead letters; whatever happens before, the next send does it again, to the same end.
"""

from __future__ import annotations

import json
import logging
import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_provider_mlgov.delivery.deadline import BudgetSpentError, Deadline
from airflow_provider_mlgov.delivery.draining import Draining, SendReport
from airflow_provider_mlgov.delivery.renames import told_times
from airflow_provider_mlgov.delivery.runs import Run, RunReader, parcel_of
from airflow_provider_mlgov.delivery.sinks.catalog_work import UnansweredError
from airflow_provider_mlgov.delivery.sinks.sink import Delivered, Sink
from airflow_provider_mlgov.delivery.state import SenderState
from airflow_provider_mlgov.delivery.turn import released
from airflow_provider_mlgov.errors import (
    CatalogBusyError,
    CatalogError,
    CatalogRefusedError,
    CatalogUnavailableError,
    ConfigurationError,
    SpoolError,
    TypesConflictError,
)
from airflow_provider_mlgov.masking import shown, trace_of
from airflow_provider_mlgov.model.entity import Ref
from airflow_provider_mlgov.translate.events import application_of

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from airflow_provider_mlgov.catalog.catalog import Catalog
    from airflow_provider_mlgov.delivery.draining import DrainingOptions
    from airflow_provider_mlgov.delivery.spool import Spool
    from airflow_provider_mlgov.translate.options import TranslateOptions

log = logging.getLogger(__name__)

_EVENTS_PER_PARCEL = 500
_EXPECTED = (CatalogError, BudgetSpentError, SpoolError, ConfigurationError, TypesConflictError)
_PROBES, _PROBES_WHILE_OVERLOADED = 8, 2
"""So many runs are sent alone to see whether the catalogue takes any; it is to be spared where it asks for a pause."""
_WITNESSES = 3
_TAKEN_FACT = "taken"
_PATHS_AT_ONCE = 10_000
"""So many are kept in memory, however many wait."""


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
            drain = _Drain(self._spool, state, sink, self._options, self._batch_size, report, deadline)
            try:
                while drain.step():
                    deadline.check()
                drain.finish()
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


class UnexpectedFailureError(CatalogUnavailableError):
    """A bug, or a machine in trouble: whether one run brings it about shows when another is taken."""

    def __init__(self, error: Exception) -> None:
        self.reason = f"unexpected {type(error).__name__}: {error}"
        super().__init__(
            f"{self.reason}; no run was taken after that, so everything waits (the trace is in the debug log)"
        )


def _changed(runs: list[Run]) -> set[Ref | None]:
    """The names that these runs give up, and those that are given by that."""
    return {ref for run in runs for change in run.changes for ref in (change.ref, change.to)}


def _reason(error: CatalogError) -> str:
    return error.reason if isinstance(error, UnexpectedFailureError) else str(error)


def _is_of_this_machine(error: Exception) -> bool:
    """Whether memory or threads ran out, which is no run's fault."""
    return isinstance(error, MemoryError) or (isinstance(error, RuntimeError) and "start new thread" in str(error))


class _Drain:
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
        self._taken: list[str] = json.loads(state.fact("", _TAKEN_FACT) or "[]")
        """The keys of the last runs that the catalogue took, newest first: sent again they show that it takes any."""
        self._wrote = False
        """Whether something was written by the last delivery: one without entities shows nothing."""
        self._read: list[Run] = []
        """The runs that were read last."""
        self._probed: set[str] = set()
        """The keys of those of them that were sent before their turn, to see whether the catalogue takes any."""
        self._paths: list[Path] = []
        """What waited when it was last looked, oldest first."""

    def step(self) -> bool:
        """Deliver the oldest events that make about one batch; False if nothing waits."""
        self._paths = self._paths or self._spool.waiting(_PATHS_AT_ONCE)
        if not self._paths:
            return False
        runs = self._reader.read(self._paths[:_EVENTS_PER_PARCEL], self._batch_size)
        self._paths[:_EVENTS_PER_PARCEL] = self._reader.left
        self._settle_dead(self._reader.take_dead())
        self._read, self._probed = runs, set()
        for portion in self._reader.in_turn(runs):
            if left := self._without_probed(portion):
                self._deliver(left)
        self._settle_dead(self._reader.take_dead())
        return True

    def finish(self) -> None:
        """Nothing waits any more: tidy up."""
        with self._state.transaction():
            self._state.expire()
        self._spool.tidy()

    def remember_taken(self) -> None:
        """Keep for the next send which runs were taken last."""
        if (taken := json.dumps(self._taken)) != self._state.fact("", _TAKEN_FACT):
            self._state.set_fact("", _TAKEN_FACT, taken)

    def _deliver(self, runs: list[Run]) -> None:
        if (error := self._tried(runs)) is not None:
            self._find_culprit(runs, error)

    def _tried(self, runs: list[Run]) -> CatalogError | None:
        """What the catalogue fails at, that may be the fault of one of ``runs``; None if they are delivered."""
        try:
            delivered = self._sink.deliver(parcel_of(runs, self._at), self._deadline)
        except UnansweredError:
            raise
        except (CatalogBusyError, CatalogRefusedError) as error:
            return error
        except _EXPECTED:
            raise
        except Exception as error:
            # A bug, in the sink or brought about by one event: it must not block the others for ever.
            if _is_of_this_machine(error):
                raise CatalogUnavailableError(
                    f"this machine lacks what sending needs ({type(error).__name__}: {error}), so everything waits: give"
                    " the process more memory or threads"
                ) from error
            log.debug("Where %d runs failed, %s the first:\n%s", len(runs), runs[0].key, trace_of(error))
            return UnexpectedFailureError(error)
        for run in runs:
            self._close(run, delivered)
        self._wrote = delivered.written > 0
        if self._wrote:
            self._taken = [*dict.fromkeys((runs[-1].key, *self._taken))][:_WITNESSES]
        self._report.entities += delivered.written
        self._report.warnings += delivered.warnings
        return None

    def _find_culprit(self, runs: list[Run], error: CatalogError) -> None:
        """The catalogue fails at something else than the writing of an entity: set the run aside that brings it about.

        Where it takes no other run either it is not the run's fault, and everything waits.
        """
        named = isinstance(error, CatalogRefusedError) and error.status != 403
        if not named:
            self._check_that_it_takes_others(runs, error)
        left = self._without_probed(runs)
        if len(left) > 1:
            for half in (left[: len(left) // 2], left[len(left) // 2 :]):
                if rest := self._without_probed(half):
                    self._deliver(rest)
        elif left:
            # Once more, since it may have been the trouble of a moment.
            again = error if named else self._tried(left)
            if again is not None:
                self._settle_dead([(left[0], f"the catalogue takes others but not this run: {_reason(again)}")])

    def _check_that_it_takes_others(self, runs: list[Run], error: CatalogError) -> None:
        """Send what was taken before again, one of ``runs`` alone, or one that may come before them; raises if none is taken.

        Chosen by lot: what many of them have in common may be the trouble, and each send is to have a new chance.
        """
        overloaded = isinstance(error, CatalogBusyError) and error.retry_after is not None
        own, changed = {run.key for run in runs}, _changed(runs)
        try:
            for key in self._taken[: 1 if overloaded else None]:
                witness = [] if key in own else self._reader.told_again(key)
                # Where it names what is to be renamed it would make the new name, which the old one is to get.
                fits = witness and all(changed.isdisjoint(told_times(run.entities)) for run in witness)
                if fits and self._tried(witness) is None and self._wrote:
                    return
            inside = self._without_probed(runs) if len(runs) > 1 else []
            probes = inside or self._independent_of(runs)
            for probe in random.sample(probes, min(_PROBES_WHILE_OVERLOADED if overloaded else _PROBES, len(probes))):
                portion = [probe] if inside else self._reader.anew([probe])
                failure = self._tried(portion) if portion else None
                if failure is not None:
                    error = failure
                elif portion:
                    self._probed.add(probe.key)
                    if self._wrote:
                        return
        except BudgetSpentError:
            raise error from None
        raise error

    def _independent_of(self, runs: list[Run]) -> list[Run]:
        """Runs that were read, too, and may come before these: they change no names, and use none that these change.

        Nor are they steps of the application of what is only told again: of that one knows by the events that wait.
        """
        changed = _changed(runs)
        applications = {application_of(run.state) for run in runs if run.state is not None and not run.events} - {None}
        own = {run.key for run in runs}
        return [
            run
            for run in self._without_probed(self._read)
            if run.events
            and run.key not in own
            and not run.changes
            and changed.isdisjoint(told_times(run.entities))
            and (run.state is None or application_of(run.state) not in applications)
        ]

    def _without_probed(self, runs: list[Run]) -> list[Run]:
        return [run for run in runs if not (run.events and run.key in self._probed)]

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
