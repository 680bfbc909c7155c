"""Datasets that were dropped or renamed: what happens to their entities, whatever the order in which it is told.

An entity is deleted, or gets its new name, only where nothing is known of it that is newer: neither an event, nor that somebody
else made it since. What is told later of an earlier time does not bring it back.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from airflow_provider_mlgov.delivery.batch import references
from airflow_provider_mlgov.delivery.letting_go import let_go
from airflow_provider_mlgov.delivery.parts import around, is_part
from airflow_provider_mlgov.delivery.patient import PatientCatalog, items, ref_of
from airflow_provider_mlgov.delivery.quality import QualityResults
from airflow_provider_mlgov.delivery.renames import homes, told_times
from airflow_provider_mlgov.delivery.renaming import Renaming
from airflow_provider_mlgov.delivery.uses import CONTENTS, Uses
from airflow_provider_mlgov.model.entity import Change, Entity, Ref
from airflow_provider_mlgov.translate.runs import last_told

if TYPE_CHECKING:
    from airflow_provider_mlgov.catalog.catalog import Catalog
    from airflow_provider_mlgov.delivery.sinks.sink import Parcel
    from airflow_provider_mlgov.delivery.state import SenderState

Json = dict[str, Any]


class History:
    """Brings the changes of a parcel into a catalogue. ``patiently`` makes a call, again where that helps."""

    def __init__(
        self,
        parcel: Parcel,
        catalog: Catalog,
        name: str,
        state: SenderState,
        patiently: Callable[[Callable[[], Any]], Any],
    ) -> None:
        self._parcel = parcel
        self._told = told_times(parcel.entities)
        self._catalog = catalog
        self._name = name
        self._state = state
        self._patiently = patiently
        self._calls = PatientCatalog(catalog, patiently)
        self._uses = Uses(self._calls, name, state)
        self.warnings: list[str] = []
        """What the catalogue did not let go."""
        self._results = QualityResults(catalog, name, parcel.at, state, patiently, self._let_go)
        self._begun: set[Ref] = set()
        """Names that may come to be by this delivery."""
        self._cut_off: dict[Ref, int] = {}
        """Those of them that an earlier delivery was about to write, and since when."""
        self._made: set[str] = set()
        """The guids of what came to be by this delivery."""
        self._renamed: dict[Ref, int] = {}
        """Names that were given or given up, and since when."""
        self._left: dict[Ref, int] = {}
        """Names that were given up, whatever is called so since, and when."""
        self._told_by_run: dict[str, int | None] = {}
        self._taken_back: set[Ref] = set()
        """What runs of the parcel give up, and was dropped at some time."""

    # --- what was made here ------------------------------------------------------------------------------------------
    def begin(self) -> None:
        """Remember that the data of the parcel is about to be written."""
        new = {ref for ref in self._told if self._state.told(self._name, ref) is None}
        self._cut_off = self._state.making(self._name, new)
        self._begun = new
        if new:
            with self._state.transaction():
                self._state.begin_making(self._name, new)

    def end(self, created: Iterable[str]) -> None:
        """Remember when the data was read or written, and what came to be, also by an earlier delivery that was cut off."""
        by_type: dict[str, list[Ref]] = defaultdict(list)
        for ref in self._cut_off:
            by_type[ref.type_name].append(ref)
        self._made = {*created}
        made = set(self._made)
        for type_name, refs in by_type.items():
            found = self._calls.get_many(type_name, [ref.qualified_name for ref in refs])
            made |= {
                entity["guid"]
                for name, entity in found.items()
                if int(entity.get("createTime") or 0) >= self._cut_off[Ref(type_name, name)]
            }
        with self._state.transaction():
            self._state.remember_told(self._name, self._told)
            self._state.end_making(self._name, self._begun, made)

    # --- renaming ----------------------------------------------------------------------------------------------------
    def rename(self) -> list[Entity]:
        """Give the entities of renamed datasets their new names, before the new ones are written.

        Gives what was found out about them, to be written under the new names: `drop` deletes it under the old ones.
        """
        told_again: list[Entity] = []
        for change in self._parcel.changes:
            if change.to is not None:
                touched = self._rename(change, change.to)
                names = {name for pair in touched for name in pair}
                self._renamed |= dict.fromkeys(names, change.time)
                with self._state.transaction():
                    self._state.forget(self._name, names)
                now: dict[Ref, tuple[Ref, str | None]] = {old: (new, None) for old, new in touched}
                now[change.ref] = (change.to, change.name)
                now = {old: new for old, new in now.items() if self._given.get(old, 0) <= change.time}
                told_again += self._results.told_again(now, change.time)
                self._left |= dict.fromkeys(now, change.time)
        return told_again

    def _rename(self, change: Change, to: Ref) -> list[tuple[Ref, Ref]]:
        """The names that changed, each with the new one; also those that a delivery that was cut off has changed."""
        renaming = Renaming(self._catalog, self._name, self._state, self._patiently, change.time)
        if (entity := self._calls.get(change.ref)) is not None:
            if self._is_newer(change.ref, entity, change.time):
                return []
            if self._state.was_made_here(self._name, entity):  # where that was cut off it is known by its old name
                with self._state.transaction():
                    self._state.end_making(self._name, (), [entity["guid"]])
            touched = renaming.rename(entity, to, change.name)
        elif (there := self._calls.get(to)) is not None:
            touched = renaming.go_on(there, change.ref)
        else:
            return []
        with self._state.transaction():
            self._state.rename_data(self._name, {change.ref: to, **dict(touched)}, change.time)
        return touched

    @cached_property
    def _given(self) -> dict[Ref, int]:
        """The names that a dataset got which had another before, and when: what is known by them since is of that."""
        given = dict(self._state.given())
        for change in self._parcel.changes:
            if change.to is not None:
                given[change.to] = max(change.time, given.get(change.to, 0))
        return given

    def _given_with(self, ref: Ref) -> int:
        """When this name was given last, to a dataset or to what contains it; 0 if it never was."""
        return max((time for given, time in self._given.items() if is_part(ref, given)), default=0)

    # --- giving up ---------------------------------------------------------------------------------------------------
    def take_back(self) -> None:
        """Forget when runs told what they give up now: what others told of it counts again, whenever that was.

        So what was dropped before a run that failed used its name again is gone.
        """
        self._take_back_described()
        givers: dict[Ref, set[str]] = defaultdict(set)
        for share in self._parcel.runs:
            for ref in share.given_up:
                if not ref.is_process:
                    givers[ref].add(share.key)
        self._taken_back = set(self._state.gone(self._name, givers))
        names = {ref: {*around(ref)} for ref in givers}
        gone = self._state.gone_names(self._name, set().union(*names.values()))
        if not gone:
            return
        with self._state.transaction():
            for share in self._parcel.runs:
                for ref in share.given_up & givers.keys():
                    told = self._state.told(self._name, ref)
                    if told == share.told and not gone.isdisjoint(names[ref]):
                        self._state.correct_told(self._name, ref, self._claimed(ref, givers[ref]))

    def _take_back_described(self) -> None:
        given_up = [(share, ref) for share in self._parcel.runs for ref in share.given_up]
        described = self._state.described(self._name, {ref for _, ref in given_up})
        left = dict(described)
        for share, ref in given_up:
            if ref in left:
                left[ref] = {name: time for name, time in left[ref].items() if time != share.told}
        changed = {ref: times for ref, times in left.items() if times != described[ref]}
        if changed:
            with self._state.transaction():
                self._state.remember_described(self._name, changed)

    def _claimed(self, ref: Ref, besides: Collection[str]) -> int | None:
        """When runs other than those of the keys ``besides`` last told of this data."""
        known = (self._told_by(key) for key in self._state.claimants(ref) if key not in besides)
        return max((time for time in known if time is not None), default=None)

    def _told_by(self, key: str) -> int | None:
        """When a run told last; many of what is given up together may have the same runs."""
        if key not in self._told_by_run:
            run = self._state.run(key)
            self._told_by_run[key] = None if run is None else last_told(run.state)
        return self._told_by_run[key]

    # --- dropping ----------------------------------------------------------------------------------------------------
    def without_gone(self, entities: Sequence[Entity], stored: Collection[Ref]) -> tuple[Entity, ...]:
        """``entities`` without what is gone since, so that nothing told again brings it back only to be deleted again.

        A process that is stored has its ends; one that is not needs them, so they are made, and deleted after.
        """
        gone = set(self._gone)
        if not gone:
            return tuple(entities)
        by_ref = {entity.ref: entity for entity in entities}
        needed: set[Ref] = set()
        wanted = [
            ref for entity in entities if entity.ref not in stored and entity.is_process for ref in references(entity)
        ]
        while wanted:
            ref = wanted.pop()
            if ref not in needed and ref in by_ref:
                needed.add(ref)
                wanted += references(by_ref[ref])
        left_out = gone - needed
        kept = []
        for entity in entities:
            lacks = not left_out.isdisjoint(references(entity))
            if entity.ref in left_out or (lacks and not entity.is_process):
                left_out.add(entity.ref)
            else:
                kept.append(replace(entity, relations={}) if lacks else entity)
        return tuple(kept)

    @cached_property
    def _ours(self) -> frozenset[Ref]:
        """What runs of the parcel do, or give up."""
        return frozenset().union(*(share.given_up | share.processes for share in self._parcel.runs))

    @cached_property
    def _gone(self) -> dict[Ref, int]:
        """What of the parcel is known to be gone since it was told of, itself or with what contains it, and when.

        What was gone before it got its name is another dataset that had that. To be asked for after `rename`.
        """
        around = {ref: inside for ref, inside in homes(self._parcel.entities).items() if ref in self._told}
        times = self._state.gone(self._name, {home for inside in around.values() for home in inside})
        if not (times or self._dropped):
            return {}
        found = {
            ref: max(
                0, self._dropped.get(ref, 0), *(times[home] for home in inside if times.get(home, 0) > inside[home])
            )
            for ref, inside in around.items()
        }
        return {ref: time for ref, time in found.items() if self._told[ref] <= time}

    @cached_property
    def _dropped(self) -> dict[Ref, int]:
        """What of the parcel was dropped by another name than it has now, and when."""
        whole = ((entity.ref, entity.about[-1] if entity.about else entity) for entity in self._parcel.entities)
        return {ref: entity.dropped for ref, entity in whole if entity.dropped and ref in self._told}

    def drop(self) -> None:
        """Delete what was dropped, after all was written."""
        # What was given a name since is another dataset than what was dropped by that, but for what a process just needed.
        times = {
            ref: time
            for ref, time in self._gone.items()
            if time == self._dropped.get(ref) or time > self._given_with(ref) or self._was_made_now(ref)
        }
        for change in self._parcel.changes:
            if change.kind == "drop":
                times[change.ref] = max(change.time, times.get(change.ref, 0))
        gone = self._state.gone(self._name, self._taken_back).items()
        taken_back = {ref: time for ref, time in gone if time > self._given_with(ref)}
        times |= {ref: max(time, times.get(ref, 0)) for ref, time in taken_back.items()}
        gone = self._state.gone(self._name, self._renamed).items()
        times |= {ref: max(time, times.get(ref, 0)) for ref, time in gone if time > self._renamed[ref]}
        results = {**self._left, **times}
        self._results.drop({ref: time for ref, time in results.items() if self._given.get(ref, -1) < time})
        for ref, time in times.items():
            entity = self._calls.get(ref)
            if entity is not None:
                self._delete(entity, time, if_ours=taken_back.get(ref) == time)
        if times:
            with self._state.transaction():
                by_this_name = {ref: time for ref, time in times.items() if time != self._dropped.get(ref)}
                self._state.remember_gone(self._name, by_this_name)
                self._state.forget(self._name, times)

    def _was_made_now(self, ref: Ref) -> bool:
        """Whether it came to be by this delivery: a process that was not stored needed it as an end."""
        entity = self._calls.get(ref) if self._made else None
        return entity is not None and entity["guid"] in self._made

    def _delete(self, entity: Json, time: int, *, if_ours: bool) -> bool:
        """Delete what is in it, then itself. What is newer stays, with what contains it: False.

        ``if_ours``: the same of what was made again since it was dropped, and others use though its run gave it up.
        """
        ref = ref_of(entity)
        cleared = True
        for item in items(entity, CONTENTS):
            inside = self._calls.by_guid(item["guid"])
            if inside is not None and inside.get("status", "ACTIVE") == "ACTIVE":
                self._results.drop({ref_of(inside): time})
                cleared = self._delete(inside, time, if_ours=if_ours) and cleared
        if not cleared or self._is_newer(ref, entity, time):
            return False
        if if_ours and not self._uses.are_ours(entity, self._ours):
            with self._state.transaction():
                self._state.end_own(self._name, entity["guid"])
            return False
        return self._let_go(ref)

    def _let_go(self, ref: Ref) -> bool:
        error = let_go(self._catalog, self._name, self._state, self._patiently, ref)
        if error is not None:
            self.warnings.append(f"{ref.qualified_name} stays, though it is gone: {error}")
        return error is None

    # --- what is known of an entity ----------------------------------------------------------------------------------
    def _is_newer(self, ref: Ref, entity: Json, time: int) -> bool:
        """Whether something is known of it that is newer.

        By an event; or by the catalogue, where somebody else made the entity, or nothing is remembered of it here.
        """
        told = self._state.told(self._name, ref)
        # Of a result that got another name no more is known than this.
        described = self._state.described(self._name, [ref]).get(ref, {})
        if max(told or 0, *described.values(), 0) > time:
            return True
        if self._state.was_made_here(self._name, entity):
            return False
        return int(entity.get("createTime" if told is not None else "updateTime") or 0) > time
