"""Datasets that got another name: what is told of the old name, however late, is told of the new one.

A run's entities name datasets as the run knew them. Those that were renamed since get the names that they have now, with all that
is named after them (columns, what is in a directory), before they are delivered.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import groupby
from typing import TYPE_CHECKING, Any

from airflow_provider_mlgov.delivery.parts import is_part, renamed
from airflow_provider_mlgov.model.entity import Change, Entity, Ref, renamed_process
from airflow_provider_mlgov.model.identity import token
from airflow_provider_mlgov.translate.quality import moved as moved_result
from airflow_provider_mlgov.translate.settle import merge

if TYPE_CHECKING:
    from airflow_provider_mlgov.delivery.state import SenderState

Json = dict[str, Any]
Relations = Mapping[str, Ref | tuple[Ref, ...]]


@dataclass(frozen=True, order=True)
class Rename:
    """A dataset that got another name at ``time``, in epoch milliseconds."""

    time: int
    old: Ref
    chain: tuple[Entity, ...] = field(compare=False)
    """The dataset under its new name, last, after its parents."""

    @property
    def to(self) -> Ref:
        """The new name."""
        return self.chain[-1].ref


class Renames:
    """The renames that are known: those that ``state`` remembers, and those that are told now."""

    def __init__(self, state: SenderState) -> None:
        self._state = state
        self._by_old: dict[Ref, list[Rename]] = defaultdict(list)
        self._new: list[Rename] = []
        for old, time, chain in state.renamed():
            self._by_old[old].append(Rename(time, old, tuple(_from_json(item) for item in chain)))
        self._dropped_now: dict[Ref, set[int]] = defaultdict(set)
        """When datasets were dropped, by what is told now."""

    def __bool__(self) -> bool:
        """Whether any are known."""
        return bool(self._by_old)

    def learn(self, changes: Iterable[Change]) -> None:
        """Take in what a run renamed or dropped. To be kept by `remember` when it is delivered."""
        for change in changes:
            if change.kind == "drop":
                self._dropped_now[change.ref].add(change.time)
            if change.kind == "rename":
                rename = Rename(change.time, change.ref, change.chain)
                if rename not in self._by_old[rename.old]:
                    self._by_old[rename.old].append(rename)
                    self._new.append(rename)

    def remember(self) -> None:
        """Keep what was learned; inside a transaction of the state."""
        for rename in self._new:
            self._state.remember_renamed(rename.old, rename.time, [_to_json(entity) for entity in rename.chain])
        self._new = []

    def of_entities(self, entities: tuple[Entity, ...]) -> tuple[Entity, ...]:
        """``entities`` of one run by the names that their datasets have now.

        Who wrote what was dropped before its name was given up did not write what has the later name. But where it did the same
        as a run that wrote that name again, or was renamed before the drop was told, its process has been renamed, and is known
        by a claim. Then its data is named so, too, with when it was dropped.
        """
        moved = self._moved(entities, past_drops=True)
        processes = [entity.ref for entity in moved if entity.is_process]
        if moved is entities or (processes and all(self._state.is_claimed(ref) for ref in processes)):
            return moved
        return self._moved(entities, past_drops=False)

    def _moved(self, entities: tuple[Entity, ...], *, past_drops: bool) -> tuple[Entity, ...]:
        times = told_times(entities) if self._by_old else {}
        if not times:
            return entities
        by_ref = {entity.ref: entity for entity in entities}
        last = max(times.values())
        now: dict[Ref, list[Entity]] = {}
        for entity in entities:
            chain = [] if entity.is_process else entity.about or [*_up(entity, by_ref)][::-1]
            if names := self._names(chain, times.get(entity.ref, last) - 1, past_drops=past_drops):
                now[entity.ref] = [moved_result(entity, tuple(reversed(names[-1])))] if entity.about else names[-1]
        if not now:
            return entities
        moved = {ref: chain[0].ref for ref, chain in now.items()}
        found: list[Entity] = []
        processes: dict[str, str] = {}
        for entity in entities:
            if entity.ref in now:
                found += reversed(now[entity.ref])
                continue
            relations = {name: _moved(value, moved) for name, value in entity.relations.items()}
            if entity.is_process:
                processes[entity.qualified_name] = renamed_process(
                    entity.qualified_name, _ends(entity.relations), _ends(relations)
                )
            found.append(replace(entity, relations=relations))
        return merge(_with_processes(entity, processes) for entity in found)

    def of_changes(self, changes: Iterable[Change]) -> tuple[Change, ...]:
        """``changes`` by the names that the datasets have now, and what was renamed after them, once more.

        What gets a name late may be among what lost that name since.
        """
        found: dict[Change, None] = {}
        for change in changes:
            found |= dict.fromkeys(self._of_change(change))
            if change.to is not None:
                found |= dict.fromkeys(self._later(change.to, change.time))
        return tuple(found)

    def _of_change(self, change: Change) -> Iterator[Change]:
        """A dataset may have been moved with what contains it, before this was known: its entity may have any name since."""
        now = next(iter(self._names(change.chain, change.time)[-1:]), None)
        if change.to is None:
            yield change
            if now is not None:
                yield replace(change, ref=now[0].ref)
            return
        if now is not None:
            change = replace(change, to=now[0].ref, name=now[0].attributes["name"])
        yield change
        for was in self._names(change.before, change.time):
            yield replace(change, ref=was[0].ref)

    def _later(self, ref: Ref, time: int) -> Iterator[Change]:
        """What was renamed after ``time`` of what is called ``ref``, and of what is in it."""
        names = {ref}
        for rename in sorted(one for known in self._by_old.values() for one in known if one.time > time):
            if any(is_part(rename.old, name) for name in names):
                names.add(rename.to)
                name = rename.chain[-1].attributes["name"]
                yield from self._of_change(Change("rename", rename.old, rename.time, rename.to, name, rename.chain))

    def _names(self, chain: Sequence[Entity], after: int, *, past_drops: bool = False) -> list[list[Entity]]:
        """What a dataset and what contains it were called since ``after``, name by name, each from the inside out.

        ``chain`` is what they were called then, from the outside in. What was dropped before a name was given up had it no more;
        ``past_drops`` it is named so nevertheless, with when it was dropped.
        """
        names: list[list[Entity]] = []
        now = list(reversed(chain))
        while True:
            later = [
                (rename, place)
                for place, entity in enumerate(now)
                for rename in self._by_old.get(entity.ref, ())
                if rename.time > after and (past_drops or not self._dropped_between(now, after, rename.time))
            ]
            if not later:
                return names
            rename, place = min(later, key=lambda found: found[0])
            new = [_as(now[place], rename), *reversed(rename.chain[:-1])]
            for entity in reversed(now[:place]):
                new.insert(0, _inside(entity, rename, new[0].ref))
            for inside in range(place + 1 if past_drops else 0):
                if dropped := self._dropped_between(now[inside:], after, rename.time):
                    new[inside] = replace(new[inside], dropped=dropped)
            now, after = new, rename.time
            names.append(now)

    def _dropped_between(self, chain: Sequence[Entity], after: int, before: int) -> int:
        """When a dataset was dropped last in this time, itself or with what contains it; 0 if it was not."""
        times = ((*self._dropped.get(entity.ref, ()), *self._dropped_now.get(entity.ref, ())) for entity in chain)
        return max((time for known in times for time in known if after < time < before), default=0)

    @cached_property
    def _dropped(self) -> dict[Ref, set[int]]:
        """When datasets were dropped, by what was told before: the last time; read where a rename makes that matter."""
        found = defaultdict(set)
        for ref, time in self._state.dropped():
            found[ref].add(time)
        return found


def in_order(changes: Iterable[Change]) -> tuple[Change, ...]:
    """Each once, oldest first. Of those that one run told at one time, who gives a name up comes before who gets it."""
    found: dict[Change, None] = {}
    by_age = sorted(dict.fromkeys(changes), key=lambda change: (change.time, change.ref))
    for _, told in groupby(by_age, key=lambda change: change.time):
        left = dict.fromkeys(told)
        by_name = defaultdict(list)
        for change in left:
            by_name[change.ref].append(change)
        while left:
            path = [left.popitem()[0]]
            while path:
                before = next((one for one in by_name.get(path[-1].to or path[-1].ref, ()) if one in left), None)
                if before is None:
                    found[path.pop()] = None
                else:
                    del left[before]
                    path.append(before)
    return tuple(found)


def told_times(entities: Iterable[Entity]) -> dict[Ref, int]:
    """When data was read or written, in epoch milliseconds; of what contains data, when the latest of it was."""
    entities = tuple(entities)
    by_ref = {entity.ref: entity for entity in entities}
    times: dict[Ref, int] = {}
    for entity in entities:
        if (time := _told(entity)) is not None:
            for home in _up(entity, by_ref):
                times[home.ref] = max(time, times.get(home.ref, 0))
    return times


def homes(entities: Iterable[Entity]) -> dict[Ref, dict[Ref, int]]:
    """Each entity's own reference, then those of what it is about and of what contains it, each with `Entity.named`."""
    by_ref = {entity.ref: entity for entity in entities}
    found = {}
    for ref, entity in by_ref.items():
        found[ref] = {home.ref: home.named for home in (*_up(entity, by_ref), *entity.about)}
        if entity.about:  # which it is named after
            found[ref][ref] = entity.about[-1].named
    return found


def named_after(attributes: Mapping[str, Any], old: str, new: str) -> Json:
    """Those of ``attributes`` that repeat the qualifiedName, ``old``, as they are with the ``new`` one."""
    found: Json = {}
    if "objectPrefix" in attributes:
        found["objectPrefix"] = new.rpartition("@")[0]
    if (attributes.get("namespace"), attributes.get("datasetName")) == _parts(old):
        namespace, name = _parts(new)
        found |= {"namespace": namespace, "datasetName": name, "datasetKey": token(new)}
    return found


def _parts(name: str) -> tuple[str, str]:
    """OpenLineage's namespace and name of ``scheme://authority/name@ns``."""
    scheme, _, path = name.rpartition("@")[0].partition("://")
    authority, _, path = path.partition("/")
    return f"{scheme}://{authority}", path


def _up(entity: Entity, by_ref: Mapping[Ref, Entity]) -> Iterator[Entity]:
    """``entity``, then what contains it."""
    seen: set[Ref] = set()
    found: Entity | None = entity
    while found is not None and found.ref not in seen:
        seen.add(found.ref)
        yield found
        refs = (Ref(ref.type_name, ref.qualified_name) for ref in found.relations.values() if isinstance(ref, Ref))
        found = next((by_ref[ref] for ref in refs if ref in by_ref), None)


def _as(entity: Entity, rename: Rename) -> Entity:
    """What is told of ``entity``, told of what it is called since."""
    new = rename.chain[-1]
    attributes = {**entity.attributes, **new.attributes}
    return replace(
        entity,
        qualified_name=new.qualified_name,
        attributes=attributes,
        create_only={**entity.create_only, **new.create_only},
        relations=new.relations,
        named=rename.time,
    )


def _inside(entity: Entity, rename: Rename, parent: Ref) -> Entity:
    """What is in a dataset that got another name, ``parent`` being the new reference of where it is."""
    name = renamed(entity.qualified_name, rename.old.qualified_name, rename.to.qualified_name) or entity.qualified_name
    relations = {
        key: replace(value, qualified_name=parent.qualified_name)
        if isinstance(value, Ref) and value.type_name == parent.type_name
        else value
        for key, value in entity.relations.items()
    }
    return replace(
        entity,
        qualified_name=name,
        attributes={**entity.attributes, **named_after(entity.attributes, entity.qualified_name, name)},
        create_only={**entity.create_only, **named_after(entity.create_only, entity.qualified_name, name)},
        relations=relations,
        named=rename.time,
    )


def _moved(value: Ref | tuple[Ref, ...], moved: Mapping[Ref, Ref]) -> Ref | tuple[Ref, ...]:
    if isinstance(value, tuple):
        return tuple(dict.fromkeys(moved.get(ref, ref) for ref in value))
    new = moved.get(Ref(value.type_name, value.qualified_name))
    return value if new is None else replace(value, qualified_name=new.qualified_name)


def _ends(relations: Relations) -> dict[str, tuple[Ref, ...]]:
    return {name: refs for name, refs in relations.items() if isinstance(refs, tuple)}


def _with_processes(entity: Entity, names: Mapping[str, str]) -> Entity:
    """``entity`` by the new ``names`` of processes: one of them, one of columns that belongs to it, or a run that did it.

    The ``io`` of a run stays as it is, with its data as the run called that.
    """
    name = names.get(entity.qualified_name, entity.qualified_name)
    attributes, latest = dict(entity.attributes), dict(entity.latest)
    if name != entity.qualified_name and "processKey" in attributes:
        attributes["processKey"] = token(name)
    if (parent := names.get(latest.get("parentProcess") or "")) is not None:
        latest |= {"parentProcess": parent, "parentKey": token(parent)}
    if keys := str(latest.get("processKey") or "").split():
        new = {token(old): token(new) for old, new in names.items()}
        latest["processKey"] = " ".join(new.get(key, key) for key in keys)
    return replace(entity, qualified_name=name, attributes=attributes, latest=latest)


def _told(entity: Entity) -> int | None:
    """When a dataset was read or written, or something was found out about it.

    None if it only comes along because it contains one, and of runs and processes.
    """
    return None if entity.is_process or (entity.latest and not entity.about) else entity.as_of


def _to_json(entity: Entity) -> Json:
    relations = {
        name: [ref.type_name, ref.qualified_name, ref.relationship_type]
        for name, ref in entity.relations.items()
        if isinstance(ref, Ref)
    }
    return {
        "typeName": entity.type_name,
        "qualifiedName": entity.qualified_name,
        "attributes": dict(entity.attributes),
        "create_only": dict(entity.create_only),
        "relations": relations,
    }


def _from_json(document: Any) -> Entity:
    return Entity(
        document["typeName"],
        document["qualifiedName"],
        document["attributes"],
        create_only=document["create_only"],
        relations={name: Ref(*ref) for name, ref in document["relations"].items()},
    )
