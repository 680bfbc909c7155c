"""Who is to blame where a catalogue fails at something else than the writing of an entity: one run, or the catalogue.

A portion at which it fails is halved until the run is alone that brings it about, as long as the catalogue takes others meanwhile.
What was found is remembered: a send with little time goes on where the one before was cut off, after it has sent the others.
"""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from airflow_provider_mlgov.delivery.batch import in_order, without_dependents
from airflow_provider_mlgov.delivery.deadline import BudgetSpentError
from airflow_provider_mlgov.delivery.renames import told_times
from airflow_provider_mlgov.delivery.turn import TurnLostError
from airflow_provider_mlgov.errors import (
    CatalogError,
    CatalogUnavailableError,
    ForeignAnswerError,
    asks_for_time,
    names_one,
)
from airflow_provider_mlgov.model.entity import Ref
from airflow_provider_mlgov.translate.events import application_of

if TYPE_CHECKING:
    from airflow_provider_mlgov.delivery.runs import Run, RunReader
    from airflow_provider_mlgov.delivery.state import SenderState

_PROBES, _FEW_PROBES = 8, 2
"""So many runs are sent alone to see whether the catalogue takes any; few where it asks for a pause, or is not seen at all."""
_WITNESSES = 3
_STRIKES = 3
"""So often a run fails alone, while the catalogue takes others, until it is set aside: it may have been the trouble of a moment.

Or every second call fails, as where one of two servers behind a proxy is broken: so one other or two are sent between, by lot.
"""
_TAKEN_FACT, _FAILING_FACT = "taken", "failing"

T = TypeVar("T")
Tried = Callable[["list[Run]", bool], "CatalogError | None"]
"""Sends runs; what the catalogue fails at, that may be the fault of one of them. The flag: they are only sent again, to see whether
it takes any, so nothing comes to be, or goes, or is remembered by it."""


class UnexpectedFailureError(CatalogUnavailableError):
    """A bug, or a machine in trouble: whether one run brings it about shows when another is taken."""

    def __init__(self, error: Exception) -> None:
        self.reason = f"unexpected {type(error).__name__}: {error}"
        super().__init__(
            f"{self.reason}; no run was taken after that, so everything waits (the trace is in the debug log)"
        )


class TooLittleMemoryError(CatalogUnavailableError):
    """This process, or this machine, ran out of memory: a run that is alone with that waits for a larger one."""


class Culprits:
    """Delivers runs by ``tried``, and gives those at which the catalogue alone fails to ``set_aside``, with the reason."""

    def __init__(
        self, state: SenderState, reader: RunReader, tried: Tried, set_aside: Callable[[list[tuple[Run, str]]], None]
    ) -> None:
        self._state = state
        self._reader = reader
        self._tried = tried
        self._set_aside = set_aside
        self._taken: list[str] = _remembered(state, _TAKEN_FACT, [])
        """The keys of the last runs that the catalogue took, newest first: sent again they show that it takes any."""
        self._failing: dict[str, int] = _remembered(state, _FAILING_FACT, {})
        """The keys of runs among which there is one that it fails at, and how often each did so alone."""
        self._wrote = False
        """Whether something was written by the last delivery: one without entities shows nothing."""
        self._passed_over: tuple[Run, CatalogError | None] | None = None
        """A run that failed where nothing else was there to be sent, and its failure; that is None once another was taken."""
        self._was_passed_over = False
        self._read: Sequence[Run] = ()
        self._settled: set[str] = set()
        """The keys of those that were delivered or set aside, some of them before their turn, to see whether any is taken."""

    def begin(self, runs: Sequence[Run]) -> None:
        """These were read and are delivered next, portion by portion."""
        self._read, self._settled = runs, set()

    def took(self, runs: Sequence[Run], written: int, *, again: bool) -> None:
        """The catalogue took these runs (or took them ``again``), and wrote so many entities of theirs."""
        self._wrote = written > 0
        if self._wrote and self._passed_over is not None:
            self._passed_over = (self._passed_over[0], None)
        if again:
            return
        if self._wrote:
            self._taken = [*dict.fromkeys((runs[-1].key, *self._taken))][:_WITNESSES]
        self._settled.update(run.key for run in runs if run.events)
        if self._failing:
            for run in runs:
                self._failing.pop(run.key, None)
            self._keep_failing()

    @property
    def passed_over(self) -> frozenset[Path]:
        """The events that are gone past for now."""
        return frozenset(self._passed_over[0].paths) if self._passed_over is not None else frozenset()

    def turn_of_passed_over(self) -> None:
        """Nothing else waits, or there is no more time; raises what failed if no other was taken."""
        error = self._passed_over[1] if self._passed_over is not None else None
        self._passed_over = None
        if error is not None:
            raise error

    def remember_taken(self) -> None:
        """Keep for the next send which runs were taken last."""
        if (taken := json.dumps(self._taken)) != self._state.fact("", _TAKEN_FACT):
            self._state.set_fact("", _TAKEN_FACT, taken)

    def forget_suspects(self) -> None:
        """Nothing waits any more; or a write was not answered: the sink finds which entity that is, if it gets all again."""
        self._failing = {}
        self._keep_failing()

    def deliver(self, portion: list[Run]) -> None:
        """Deliver a portion: those last among which an earlier send found a culprit, so that each send brings others on."""
        left = self._without_settled(portion)
        suspects = [run for run in left if run.key in self._failing]
        if not suspects:
            if self._are_to_blame(left):
                self._in_halves(left)
            return
        others = [run for run in left if run.key not in self._failing]
        if self._are_to_blame(self._as_part(others)):
            self._in_halves(others)
        self._in_halves(suspects)

    def _in_halves(self, runs: list[Run]) -> None:
        """Deliver what is known to hold a culprit, or is one."""
        runs = [run for run in self._without_settled(runs) if not run.heir]
        middle = len(runs) // 2
        first, second = runs[:middle], runs[middle:]
        to_blame = [first] if self._are_to_blame(self._as_part(first), untried=second) else []
        to_blame += [second] if self._are_to_blame(self._as_part(second)) else []
        for half in to_blame:
            self._in_halves(half)

    def _as_part(self, runs: list[Run]) -> list[Run]:
        """``runs`` without the rest of their portion: who is told again with them is told after whoever gave up what it did."""
        own = [run for run in self._without_settled(runs) if not run.heir]
        return self._reader.anew(own) if own else []

    def _are_to_blame(self, runs: list[Run], untried: Sequence[Run] = ()) -> bool:
        """Deliver ``runs``; whether one that is left of them is to blame for what the catalogue failed at, as far as is known.

        ``untried`` are others that were suspected together with these.
        """
        own = [run for run in runs if not run.heir]
        if len(own) == 1:
            return self._is_to_blame(own[0], runs, untried)
        if not own or (error := self._tried(runs, False)) is None:
            return False
        self._suspect(own, untried)
        if not names_one(error):
            taken, failure = self._takes_others(own, error)
            if not taken:
                raise failure or error
        return bool(self._without_settled(own))

    def _is_to_blame(self, run: Run, runs: list[Run], untried: Sequence[Run]) -> bool:
        """The same of one run, with its heirs among ``runs``: it is set aside after its strikes.

        Where it is known for failing, it is looked first whether others are taken: there may be no time left for that after.
        """
        shown, failure = self._takes_others([run], None) if run.key in self._failing else (False, None)
        if (error := self._tried(runs, False)) is None:
            return False
        if failure is not None:
            raise failure
        self._suspect([run], untried)
        if not (shown or names_one(error)):
            shown, failure = self._takes_others([run], error)
            if not shown:
                self._pass_over(run, failure, error)
                return False
        strikes = self._failing[run.key] = self._failing.get(run.key, 0) + 1
        if isinstance(error, TooLittleMemoryError):
            self._reader.leave(run)
            self._settled.add(run.key)
            self._failing.pop(run.key)
        elif names_one(error) or strikes >= _STRIKES:
            self._set_aside([(run, f"the catalogue takes others but not this run: {_reason(error)}")])
            self._settled.add(run.key)
            self._failing.pop(run.key)
        self._keep_failing()
        return run.key in self._failing

    def _pass_over(self, run: Run, failure: CatalogError | None, error: CatalogError) -> None:
        """Go past a run that fails where nothing else was there to be sent, once: what is read after it may show why.

        Not past one that gives names, since others use them, nor past one that is told again, since nothing that waits tells of it.
        """
        if failure is not None or self._was_passed_over or run.changes or not run.events:
            raise failure or error
        self._passed_over, self._was_passed_over = (run, error), True
        self._settled.add(run.key)

    def _takes_others(self, runs: list[Run], error: CatalogError | None) -> tuple[bool, CatalogError | None]:
        """Send others, one by one, until the catalogue takes one; else what it fails at, or None where there is none to send."""
        wanted, taken, has_failed = random.choice((1, 2)), 0, False  # noqa: S311 - no secret
        try:
            for portion, is_witness in self._others(runs, error):
                failure = self._tried(portion, is_witness)
                taken += failure is None and self._wrote
                if taken == wanted or (taken and failure is not None):
                    break
                has_failed = has_failed or failure is not None
                if failure is not None and (error is None or not is_witness):
                    error = failure
        except TurnLostError:
            raise
        except BudgetSpentError:
            if not taken:
                if error is None:
                    raise
                raise error from None
        return taken > 0, error if has_failed and not taken else None

    def _others(self, runs: list[Run], error: CatalogError | None) -> Iterator[tuple[list[Run], bool]]:
        """What was taken before and is told again (True); then one of ``runs`` alone, or one that may come before them.

        The latter are chosen by lot: what many have in common may be the trouble, and each send is to have a new chance.
        """
        few = isinstance(error, ForeignAnswerError) or asks_for_time(error)
        own, changed = {run.key for run in runs}, _changed(runs)
        for key in self._taken[: 1 if few else None]:
            witness = [] if key in own else self._reader.told_again(key)
            # What is to be renamed is left out of it: it would make the new name, which the old one is to get.
            kept = [cut for run in witness if (cut := _without(run, changed)).entities]
            if kept:
                yield kept, True
        inside = self._without_settled(runs) if len(runs) > 1 else []
        probes = inside or self._independent_of(runs)
        for probe in random.sample(probes, min(_FEW_PROBES if few else _PROBES, len(probes))):
            if portion := self._as_part([probe]):
                yield portion, False

    def _independent_of(self, runs: list[Run]) -> list[Run]:
        """Runs that were read, too, and may come before all that waits: they use no names that others change, and the reverse.

        Nor are they steps of the application of what is only told again: of that one knows by the events that wait.
        """
        waiting = self._without_settled(self._read)
        everyone = {run.key: run for run in (*waiting, *runs)}
        changes = {key: _changed([run]) for key, run in everyone.items()}
        changed = _changed(everyone.values())
        users = Counter(ref for key, run in everyone.items() for ref in {*told_times(run.entities), *changes[key]})
        applications = {application_of(run.state) for run in runs if run.state is not None and not run.events} - {None}
        own = {run.key for run in runs}
        return [
            run
            for run in waiting
            if run.events
            and run.key not in own
            and all(users[ref] == 1 for ref in changes[run.key])
            and changed.isdisjoint(told_times(run.entities).keys() - changes[run.key])
            and (run.state is None or application_of(run.state) not in applications)
        ]

    def _without_settled(self, runs: Sequence[Run]) -> list[Run]:
        return [run for run in runs if not (run.events and run.key in self._settled)]

    def _suspect(self, runs: Sequence[Run], untried: Sequence[Run]) -> None:
        """One of ``runs`` may be to blame; kept at once, since the time of this send, or its process, may end any moment."""
        for run in untried:
            self._failing.pop(run.key, None)
        for run in runs:
            self._failing.setdefault(run.key, 0)
        self._keep_failing()

    def _keep_failing(self) -> None:
        failing = json.dumps(self._failing) if self._failing else None
        if failing != self._state.fact("", _FAILING_FACT):
            self._state.set_fact("", _FAILING_FACT, failing)


def _remembered(state: SenderState, name: str, empty: T) -> T:
    found: object = json.loads(state.fact("", name) or "null")
    return found if isinstance(found, type(empty)) else empty


def _without(run: Run, refs: set[Ref]) -> Run:
    """A run without what it says of these, and of what is in them."""
    named = {ref: "" for ref in told_times(run.entities) if ref in refs}
    return replace(run, entities=tuple(without_dependents(in_order(run.entities), named)[0])) if named else run


def _changed(runs: Iterable[Run]) -> set[Ref]:
    """The names that these runs give up, and those that are given by that."""
    return {ref for run in runs for change in run.changes for ref in (change.ref, change.to) if ref is not None}


def _reason(error: CatalogError) -> str:
    return error.reason if isinstance(error, UnexpectedFailureError) else str(error)
