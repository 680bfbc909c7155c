"""The sender: the one process at a time that takes events from a spool, translates them and writes to the catalogue.

Whoever calls `Sender.send` becomes it, unless somebody else is. Events leave the spool when all that came of them was taken by
the catalogue or put among the dead letters; whatever happens before, the next send does it again, to the same end.
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_provider_mlgov.delivery.deadline import BudgetSpentError, Deadline
from airflow_provider_mlgov.delivery.draining import Draining, SendReport
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
_MOST_HELD = 3
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
            except BudgetSpentError:
                drain.complain()
                raise
            finally:
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
        self._taken: Run | None = None
        """The last of the runs being sent that the catalogue took."""
        self._held: list[tuple[list[Run], CatalogError]] = []
        """What was not taken, while nothing showed that the catalogue takes others."""
        self._held_paths: set[Path] = set()
        self._paths: list[Path] = []
        """What waited when it was last looked, oldest first."""

    @property
    def _takes_some(self) -> bool:
        return self._taken is not None

    def step(self) -> bool:
        """Deliver the oldest events that make about one batch; False if nothing waits."""
        self._paths = self._paths or [
            path for path in self._spool.waiting(_PATHS_AT_ONCE) if path not in self._held_paths
        ]
        if not self._paths:
            return False
        runs = self._reader.read(self._paths[:_EVENTS_PER_PARCEL], self._batch_size)
        self._paths[:_EVENTS_PER_PARCEL] = self._reader.left
        self._settle_dead(self._reader.take_dead())
        self._deliver_in_turn(runs)
        self._settle_dead(self._reader.take_dead())
        return True

    def finish(self) -> None:
        """Nothing waits any more: tidy up."""
        self.complain()
        with self._state.transaction():
            self._state.expire()
        self._spool.tidy()

    def complain(self) -> None:
        """Nothing showed that the catalogue takes anything: raise why it does not."""
        for _, error in self._held:
            raise error

    def _deliver_in_turn(self, runs: list[Run]) -> None:
        """Portion by portion. One that is not taken waits until another is, which shows that it is not the catalogue's fault."""
        for portion in self._reader.in_turn(runs):
            self._taken = None
            try:
                self._deliver(portion)
            except UnansweredError:
                raise
            except (CatalogBusyError, CatalogRefusedError, UnexpectedFailureError) as error:
                if len(self._held) == _MOST_HELD:
                    raise
                self._hold(portion, error)
            else:
                held, self._held = self._held, []
                for portion_before, _ in held:
                    self._deliver(self._reader.anew(portion_before))

    def _hold(self, portion: list[Run], error: CatalogError) -> None:
        self._held.append((portion, error))
        self._held_paths.update(path for run in portion for path in run.paths)
        self._reader.pass_by(run.key for run in portion if not run.events)

    def _deliver(self, runs: list[Run]) -> None:
        try:
            delivered = self._sink.deliver(parcel_of(runs, self._at), self._deadline)
        except UnansweredError:
            raise
        except (CatalogBusyError, CatalogRefusedError) as error:
            self._find_culprit(runs, error)
            return
        except _EXPECTED:
            raise
        except Exception as error:
            # A bug, in the sink or brought about by one event: it must not block the others for ever.
            if _is_of_this_machine(error):
                raise CatalogUnavailableError(
                    f"this machine lacks what sending needs ({type(error).__name__}: {error}), so everything waits: give"
                    " the process more memory or threads"
                ) from error
            self._one_by_one(runs, error)
            return
        self._taken = runs[-1]
        for run in runs:
            self._close(run, delivered)
        self._report.entities += delivered.written
        self._report.warnings += delivered.warnings

    def _one_by_one(self, runs: list[Run], error: Exception) -> None:
        """Something unexpected came up: it is the fault of those runs after which the catalogue took another."""
        if len(runs) == 1:
            self._blame(runs[0], error)
            return
        failed: list[tuple[Run, UnexpectedFailureError]] = []
        for run in runs:
            try:
                self._deliver([run])
            except UnexpectedFailureError as failure:
                failed.append((run, failure))
        if failed and not self._takes_some:
            raise failed[-1][1]
        self._settle_dead([(run, failure.reason) for run, failure in failed])

    def _blame(self, run: Run, error: Exception) -> None:
        # The warning has the reason; no trace in task logs.
        log.debug("Where run %s failed:\n%s", run.key, trace_of(error))
        failure = UnexpectedFailureError(error)
        self._check_that_it_takes(failure)
        self._settle_dead([(run, failure.reason)])

    def _check_that_it_takes(self, failure: Exception) -> None:
        """Send what was taken before again, to see: the catalogue may have gone away since, and then it is no run's fault."""
        if self._taken is None:
            raise failure
        try:
            self._sink.deliver(parcel_of([self._taken], self._at), self._deadline)
        except UnansweredError:
            raise
        except (CatalogBusyError, CatalogRefusedError) as again:
            raise CatalogUnavailableError(f"{failure}; what was taken before is not taken now: {again}") from again
        except _EXPECTED:
            raise
        except Exception as again:
            raise CatalogUnavailableError(str(failure)) from again

    def _find_culprit(self, runs: list[Run], error: CatalogBusyError | CatalogRefusedError) -> None:
        """The catalogue fails at something else than the writing of an entity: set the run aside that brings it about.

        Where it takes no other run either it is not the run's fault, and everything waits.
        """
        named = isinstance(error, CatalogRefusedError) and error.status != 403
        if len(runs) == 1:
            if not named:
                self._check_that_it_takes(error)
            self._settle_dead([(runs[0], f"the catalogue takes others but not this run: {error}")])
            return
        rest = list(runs)
        if not (named or self._takes_some):
            rest.remove(self._taken_of(runs, error))
        middle = len(rest) // 2
        for half in (rest[:middle], rest[middle:]):
            if half:
                self._deliver(half)

    def _taken_of(self, runs: list[Run], error: CatalogBusyError | CatalogRefusedError) -> Run:
        """One of ``runs`` that the catalogue takes, which shows that it takes some; ``error`` where none is found.

        Chosen by lot: what many of them have in common may be the trouble, and each send is to have a new chance.
        """
        retry_after = error.retry_after if isinstance(error, CatalogBusyError) else None
        most = _PROBES if retry_after is None else _PROBES_WHILE_OVERLOADED
        for probe in random.sample(runs, min(most, len(runs))):
            try:
                self._deliver([probe])
            except UnansweredError:
                raise
            except (CatalogBusyError, CatalogRefusedError, UnexpectedFailureError):
                continue
            except BudgetSpentError:
                raise error from None
            return probe
        raise error

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
