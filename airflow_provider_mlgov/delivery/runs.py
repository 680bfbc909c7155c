"""From waiting events to runs, and from runs to a parcel: the sender's reading side."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_provider_mlgov.delivery.applications import Applications
from airflow_provider_mlgov.delivery.deadline import NO_DEADLINE, Deadline
from airflow_provider_mlgov.delivery.renames import Renames, in_order, told_times
from airflow_provider_mlgov.delivery.sinks.sink import Parcel, RunShare
from airflow_provider_mlgov.delivery.state import RunState, SenderState
from airflow_provider_mlgov.errors import InvalidEventError, SpoolError
from airflow_provider_mlgov.model.entity import Change, Entity, Ref
from airflow_provider_mlgov.translate.events import is_terminal, live, run_key
from airflow_provider_mlgov.translate.reading import read_event
from airflow_provider_mlgov.translate.runs import last_told, told_at
from airflow_provider_mlgov.translate.settle import merge
from airflow_provider_mlgov.translate.times import microseconds
from airflow_provider_mlgov.translate.translation import translate

if TYPE_CHECKING:
    from airflow_provider_mlgov.delivery.spool import Spool
    from airflow_provider_mlgov.translate.options import TranslateOptions

Json = dict[str, Any]

_OWN = frozenset({"mlgov_job", "mlgov_job_run"})
"""What is named after the job as its events call it: a later one may call it otherwise."""
_RUN_TYPES = frozenset({"mlgov_task_run", "mlgov_job_run", "mlgov_dag_run"})
_NEW_SECONDS = 600.0
_MOST_AHEAD = 86_400.0
_BYTES_PER_PARCEL = 8 << 20
"""So much of what waits is read at once, but one event at least: in memory it takes some six times as much."""


@dataclass
class Run:
    """The waiting events of one run, united with what is remembered of it."""

    key: str
    paths: list[Path] = field(default_factory=list)
    events: list[Json] = field(default_factory=list)
    before: RunState | None = None
    state: Json | None = None
    entities: tuple[Entity, ...] = ()
    warnings: tuple[str, ...] = ()
    changes: tuple[Change, ...] = ()
    failed: bool = False
    new: bool = False
    """It began a moment ago, and nothing of it was sent."""
    anew: bool = False
    """It was deleted and done again: what its first life did is over."""
    heir: bool = False
    """It did last what another run gives up: it is only told again, with that."""

    @property
    def refs(self) -> list[Ref]:
        """Its entities."""
        return [entity.ref for entity in self.entities]

    @property
    def ended(self) -> bool:
        """Whether it has ended. What a job event says stays until the job's next one."""
        return self.state is not None and self.state["kind"] != "job" and is_terminal(self.state)

    @property
    def time(self) -> int:
        """When what it says was so: when it dropped or renamed something, or how it ended was told; epoch milliseconds."""
        if self.changes:
            return max(change.time for change in self.changes)
        return 0 if self.state is None else last_told(self.state)

    @property
    def entity(self) -> Ref | None:
        """The entity of the run itself. A task's run comes with that of its DAG run, which is not meant."""
        found = [entity.ref for entity in self.entities if entity.type_name in _RUN_TYPES]
        return min(found, key=lambda ref: ref.type_name == "mlgov_dag_run", default=None)

    @property
    def processes(self) -> frozenset[Ref]:
        """Its processes: what has inputs or outputs."""
        return frozenset(entity.ref for entity in self.entities if entity.is_process)

    @property
    def claims(self) -> frozenset[Ref]:
        """What is there because of it: its processes, the data that it names or found something out about, a job and its run."""
        own = {entity.ref for entity in self.entities if entity.type_name in _OWN}
        return self.processes | told_times(self.entities).keys() | own

    def share(self) -> RunShare:
        """What the sink has to know of it."""
        return RunShare(
            key=self.key,
            run=self.entity,
            processes=self.processes,
            given_up=self.given_up,
            told=told_at(self.before.state) if self.before is not None else 0,
            new=self.new and self._has_own_entity(),
            forgotten=self.before is None and not self.new and self._has_own_entity(),
        )

    def after(self, refused: Collection[Ref]) -> RunState:
        """What to remember: what was refused was not written, and while something was, nothing was given up."""
        if self.state is None:
            raise ValueError(f"run {self.key} has no events")
        written = self.claims - set(refused)
        return RunState(self.state, written | self.given_up if written != self.claims else written)

    def _has_own_entity(self) -> bool:
        """A DAG run's entity comes with the events of its tasks too, so nothing follows from this run's own events."""
        return self.entity is not None and self.entity.type_name != "mlgov_dag_run"

    @property
    def given_up(self) -> frozenset[Ref]:
        """What was written for it earlier and is not said any more, once it is known what it did."""
        if self.before is None:
            return frozenset()
        given_up = self.before.claims - self.claims
        is_job = self.state is not None and self.state["kind"] == "job"
        if self.processes or self.failed or is_job or (self.anew and self.ended):
            return given_up
        return frozenset(ref for ref in given_up if ref.type_name in _OWN)


class RunReader:
    """Reads events and groups them by run. What cannot be read or translated is among the `take_dead`."""

    def __init__(
        self, spool: Spool, state: SenderState, options: TranslateOptions, *, clock: Callable[[], float] = time.time
    ) -> None:
        self._dead: list[tuple[Run, str]] = []
        self.left: list[Path] = []
        self.renames = Renames(state)
        self.applications = Applications(state, options)
        self._spool = spool
        self._state = state
        self._options = options
        self._clock = clock
        self._read: dict[Path, tuple[str, Json, int]] = {}
        """What was read for an earlier call and not taken then, since one call takes less than it looks at; with its bytes."""

    def read(self, paths: Sequence[Path], size: int, deadline: Deadline = NO_DEADLINE) -> list[Run]:
        """The runs of the oldest of ``paths``, until their entities are about ``size``, with all their events of what was read.

        What was not taken is `left`, for the next call.
        """
        runs: dict[str, Run] = {}
        self._read = {path: self._read[path] for path in paths if path in self._read}
        looked_at = read = 0
        for path in paths:
            if read >= _BYTES_PER_PARCEL:
                break
            if not deadline.left():
                deadline.check()
            read += self._add(path, runs)
            looked_at += 1
        runs = self._with_named(runs)
        taken = self._told_again(runs, size)
        entities = sum(len(run.entities) for run in taken)
        gone: set[Path] = set()
        for run in runs.values():
            if entities >= size:
                break
            gone.update(run.paths)
            if self._translate(run):
                taken.append(run)
                entities += len(run.entities)
        self.left = [path for path in paths[:looked_at] if path in self._read and path not in gone]
        self.left += paths[looked_at:]
        return taken

    def take_dead(self) -> list[tuple[Run, str]]:
        """What could not be read or translated since this was asked last, with the reason."""
        dead, self._dead = self._dead, []
        return dead

    def in_turn(self, runs: Sequence[Run]) -> Iterator[list[Run]]:
        """``runs`` as they are to be delivered, one portion after the other was.

        A run that dropped or renamed datasets is a portion of its own, in its time: so it finds them as they were then, and what
        is renamed next finds the name free. What is only told again comes first, since of it one knows by the events of others.
        """
        in_time = (
            sorted(runs, key=lambda run: (run.time, bool(run.changes))) if any(run.changes for run in runs) else runs
        )
        in_turn = sorted(in_time, key=lambda run: bool(run.events))
        for _, portion in groupby(in_turn, key=lambda run: (bool(run.events), run.key if run.changes else "")):
            yield self._by_present_names([*portion])

    def told_again(self, key: str) -> list[Run]:
        """A run that was sent, as it would be sent now; none if it is not known any more."""
        return self.anew([Run(key)]) if self._state.run(key) is not None else []

    def anew(self, runs: Sequence[Run]) -> list[Run]:
        """The same runs, by what is known of them now: others were sent since."""
        return self._by_present_names([run for run in runs if self._translate(run)])

    def _by_present_names(self, runs: Sequence[Run]) -> list[Run]:
        """``runs``, and those that are told again with them, by the names that all have now."""
        self._rename(runs)
        heirs = [run for run in self._heirs(runs) if self._translate(run)]
        self._rename(heirs)
        return [*runs, *heirs]

    def _rename(self, runs: Sequence[Run]) -> None:
        for run in runs:
            self.renames.learn(run.changes)
        for run in runs:
            if run.before is not None and self.renames:  # what was renamed since it was read took its claims along
                run.before = self._state.run(run.key)
            run.entities = self.renames.of_entities(run.entities)
            run.changes = self.renames.of_changes(run.changes)

    def _told_again(self, besides: Collection[str], size: int) -> list[Run]:
        """Steps of applications that are told again, until their entities are about ``size``.

        Where that is not all, nothing that waits goes with them: of the rest one knows by the event that tells the table.
        """
        taken: list[Run] = []
        entities = 0
        for key in self.applications.steps_to_tell_again(besides):
            if self._translate(run := Run(key)):
                taken.append(run)
                entities += len(run.entities)
            if entities >= size:
                break
        return taken

    def _heirs(self, taken: Sequence[Run]) -> list[Run]:
        """The runs that did last what a run of ``taken`` says now that it did not do: they are told again, so that it says so."""
        keys = {run.key for run in taken}
        heirs: dict[str, None] = {}
        for ref in {ref for run in taken for ref in run.given_up if ref.is_process}:
            # Who is to be told again anyway says then whether it did this; if none did, the heir is found with the last of them.
            others = [
                key for key in self._state.claimants(ref) if key not in keys and key not in self.applications.again
            ]
            states = {key: known.state for key in others if (known := self._state.run(key)) is not None}
            for of_job in (False, True):  # a job event names no run that did it last, however new it is
                times = {key: told_at(state) for key, state in states.items() if (state["kind"] == "job") is of_job}
                newest = max(times.values(), default=None)
                heirs |= dict.fromkeys(key for key, time in times.items() if time == newest)
        return [Run(key, heir=True) for key in sorted(heirs)]

    def _with_named(self, runs: dict[str, Run]) -> dict[str, Run]:
        """Put the events that do not say Airflow's run id to those of the same OpenLineage run that do."""
        named: dict[str, Run] = {}
        under: dict[str, str] = {}
        for key in runs:
            if "/" in key:
                under.setdefault(key.partition("/")[0], key)
        for key, run in runs.items():
            if "/" not in key:
                key = under.get(key) or next(iter(self._state.runs_under(key)), key)
            known = named.setdefault(key, Run(key))
            known.paths += run.paths
            known.events += run.events
        for run in named.values():  # the first names its dead letter, which another send is to find
            waits = sorted(zip(run.paths, run.events, strict=True), key=lambda pair: pair[0])
            run.paths, run.events = [path for path, _ in waits], [event for _, event in waits]
        return named

    def _add(self, path: Path, runs: dict[str, Run]) -> int:
        """Put an event to its run, unless it is among the dead; its bytes."""
        if path not in self._read:
            self._read_event(path)
        if path not in self._read:
            return 0
        key, event, size = self._read[path]
        run = runs.setdefault(key, Run(key))
        run.paths.append(path)
        run.events.append(event)
        return size

    def _read_event(self, path: Path) -> None:
        document = self._spool.read(path)
        if document is None:
            return
        try:
            event = read_event(document)
            self._check_time(event, path)
            self._read[path] = run_key(event), event, _size(path)
            self.applications.learn(event)
        except InvalidEventError as error:
            self._dead.append((Run("(unreadable)", [path], [document]), str(error)))
        except MemoryError:
            self._spool.leave(path)
        except Exception as error:  # noqa: BLE001 - whatever one event brings about must not stop the others
            self._dead.append((Run("(unreadable)", [path], [document]), _unexpected(error)))

    def leave(self, run: Run) -> None:
        """A later moment, or a larger process, has more memory; until then the others go past its events."""
        for path in run.paths:
            self._spool.leave(path)

    def _check_time(self, event: Json, path: Path) -> None:
        """An event of a far future would for ever be newer than what comes after it.

        What was right when it was written stays so: this machine's clock may have been set back since.
        """
        ahead = (microseconds(event["eventTime"]) or 0) / 1e6 - max(self._clock(), self._spool.written(path))
        if ahead > _MOST_AHEAD:
            raise InvalidEventError(
                f"eventTime {event['eventTime']} is {ahead / 86_400:,.0f} days ahead of this machine's clock; wanted at most 1: "
                "set the clocks right, then 'mlgov spool retry'"
            )

    def _translate(self, run: Run) -> bool:
        try:
            run.before = self._state.run(run.key)
            run.state, run.anew = live(run.before.state if run.before else None, run.events)
            started = (run.state or {}).get("started")
            run.new = run.before is None and started is not None and self._clock() - started / 1e6 < _NEW_SECONDS
            if run.state is not None:
                translation = translate(self.applications.known_to(run.state), self._options)
                run.entities, run.warnings = translation.entities, translation.warnings
                run.changes, run.failed = translation.changes, translation.failed
        except SpoolError:
            raise
        except MemoryError:
            self.leave(run)
            return False
        except Exception as error:  # noqa: BLE001 - whatever one run brings about must not stop the others
            self._dead.append((run, _unexpected(error)))
            return False
        return True


def parcel_of(runs: Sequence[Run], at: str) -> Parcel:
    """The entities of all ``runs``, each once, and who stands behind them. ``at`` is the catalogue's namespace."""
    entities = merge(entity for run in runs for entity in run.entities)
    changes = in_order(change for run in runs for change in run.changes)
    return Parcel(tuple(entities), tuple(run.share() for run in runs), changes, at)


def _size(path: Path) -> int:
    """Its bytes; 0 where it is gone by now."""
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _unexpected(error: Exception) -> str:
    return f"it cannot be translated: {type(error).__name__}: {error}"
