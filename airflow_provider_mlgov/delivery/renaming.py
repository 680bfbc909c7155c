"""The renaming of an entity in a catalogue, with what is named after it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from airflow_provider_mlgov.delivery.parts import renamed
from airflow_provider_mlgov.delivery.patient import PatientCatalog, guidref_of, is_active, items, ref_of
from airflow_provider_mlgov.delivery.renamed_processes import ENDS, RenamedProcesses
from airflow_provider_mlgov.delivery.renames import named_after
from airflow_provider_mlgov.model.entity import Ref

if TYPE_CHECKING:
    from airflow_provider_mlgov.catalog.catalog import Catalog
    from airflow_provider_mlgov.delivery.state import SenderState

Json = dict[str, Any]
_Parents = tuple[Json, Json]
"""What a part was in, and what it is to be in: there was one of that name."""

OWNED = ("columns", "partitionKeys", "sd", "mlgov_fields")
"""Relationships to what is a part of the entity, and goes with it."""
_INSIDE = ("contained", "children", "buckets")
"""Relationships to data that is in the entity."""


@dataclass
class _Part:
    """An entity that gets another name, with its parts and what is in it."""

    entity: Json
    to: Ref | None
    """None: it is not named after what contains it, as keys of Ozone are not after their bucket."""
    owned: list[_Part] = field(default_factory=list)
    inside: list[_Part] = field(default_factory=list)

    def all(self) -> Iterator[tuple[Json, Ref]]:
        """All that get other names, each with the new one."""
        if self.to is not None:
            yield self.entity, self.to
            for part in (*self.owned, *self.inside):
                yield from part.all()


class Renaming:
    """Renames what was called otherwise at ``time`` (epoch milliseconds). ``patiently`` makes a call, again where that helps."""

    def __init__(
        self,
        catalog: Catalog,
        name: str,
        state: SenderState,
        patiently: Callable[[Callable[[], Any]], Any],
        time: int,
    ) -> None:
        self._calls = PatientCatalog(catalog, patiently)
        self._processes = RenamedProcesses(self._calls, name, state, time)
        self._touched: list[tuple[Ref, Ref]] = []

    def rename(self, entity: Json, to: Ref, name: str) -> list[tuple[Ref, Ref]]:
        """Give ``entity`` (with relationships) its new name. Returns the names that have changed, each with the new one.

        Where there is an entity of that name, it takes over what is around this one: the processes, labels, classifications, and
        the columns that it has not. This one is deleted then, unless something is in it that has no name after the new one.
        """
        whole = self._whole(entity, to)
        # First: while the names of their ends are as they were, it is known which processes are named after them.
        self._processes.rename(whole.all())
        self._move(whole, to, {"name": name})
        return self._touched

    def go_on(self, there: Json, old: Ref) -> list[tuple[Ref, Ref]]:
        """What is in ``there``, which was called ``old``, gets its new name where it has not. Returns all that have new names.

        A renaming may have been cut off after ``there`` itself had its name; its processes had theirs before.
        """
        new, left = ref_of(there), []
        for child in self._children(there, (*OWNED, *_INSIDE)):
            ref = ref_of(child)
            if (name := _called_after(old, ref, new)) is not None:
                left.append(self._whole(child, Ref(ref.type_name, name)))
            elif (name := _called_after(new, ref, old)) is not None:
                before = Ref(ref.type_name, name)
                self._touched.append((before, ref))
                self.go_on(child, before)
        self._processes.rename(named for part in left for named in part.all())
        self._move_all(left, None)
        return self._touched

    def _whole(self, entity: Json, to: Ref) -> _Part:
        whole, old = _Part(entity, to), ref_of(entity)
        for relations, parts in ((OWNED, whole.owned), (_INSIDE, whole.inside)):
            for child in self._children(entity, relations):
                ref = ref_of(child)
                name = renamed(ref.qualified_name, old.qualified_name, to.qualified_name)
                parts.append(_Part(child, None) if name is None else self._whole(child, Ref(ref.type_name, name)))
        return whole

    def _move(self, part: _Part, to: Ref, attributes: Json, parents: _Parents | None = None) -> bool:
        """Whether the entity stays beside the one that has its new name."""
        entity, old = part.entity, ref_of(part.entity)
        there = self._calls.get(to)
        self._touched.append((old, to))
        if there is None:
            if not self._calls.update(old, {**attributes, **_moved(entity, to, parents)}):
                return True
        else:
            self._take_over(entity, there)
        parents = (entity, there) if there else None
        self._move_all(part.owned, parents)
        stays = self._move_all(part.inside, parents)
        if there is not None and not stays:
            self._calls.delete(entity)
        return there is not None and stays

    def _move_all(self, parts: Iterable[_Part], parents: _Parents | None) -> bool:
        """Whether one of ``parts`` stays where it is. Those that consist of nothing else get their names many at once."""
        stays = False
        simple: dict[str, dict[str, _Part]] = defaultdict(dict)
        for part in parts:
            if part.to is None:
                stays = True
            elif part.owned or part.inside or part.to.qualified_name in simple[part.to.type_name]:  # twins are united
                stays |= self._move(part, part.to, {}, parents)
            else:
                simple[part.to.type_name][part.to.qualified_name] = part
        for type_name, by_name in simple.items():
            taken = self._calls.get_many(type_name, by_name)
            changes = []
            for name, part in by_name.items():
                to = Ref(type_name, name)
                if name in taken:
                    stays |= self._move(part, to, {}, parents)
                else:
                    self._touched.append((ref_of(part.entity), to))
                    changes.append((part.entity, _moved(part.entity, to, parents)))
            stays |= not self._calls.update_many(changes)
        return stays

    def _children(self, entity: Json, relations: Iterable[str]) -> list[Json]:
        return [*self._calls.by_guids(item["guid"] for item in items(entity, relations)).values()]

    def _take_over(self, entity: Json, there: Json) -> None:
        """Put ``there`` where ``entity`` was an end of processes, and give it what people said of it."""
        for relation, end in ENDS.items():
            for process in self._children(entity, (relation,)):
                if is_active(process):
                    refs = {one["guid"]: guidref_of(one) for one in items(process, (end,))}
                    refs[entity["guid"]] = guidref_of(there)
                    ends = {ref["guid"]: ref for ref in refs.values()}
                    self._calls.update(ref_of(process), {end: list(ends.values())})
        self._calls.hand_over(entity, there)


def _moved(entity: Json, to: Ref, parents: _Parents | None) -> Json:
    """The attributes that ``entity`` gets with its new name, and with the new one of the ``parents`` where there are any."""
    named = named_after(entity["attributes"], entity["attributes"]["qualifiedName"], to.qualified_name)
    return {**named, **(_to_parent(entity, *parents) if parents else {}), "qualifiedName": to.qualified_name}


def _to_parent(child: Json, old: Json, new: Json) -> Json:
    """The attribute that takes ``child`` from one parent to another."""
    for name, value in (child.get("relationshipAttributes") or {}).items():
        if isinstance(value, dict) and value.get("guid") == old["guid"]:
            return {name: {**guidref_of(new), "relationshipType": value.get("relationshipType")}}
    return {}


def _called_after(whole: Ref, part: Ref, other: Ref) -> str | None:
    """The name of ``part`` if ``whole`` were called like the ``other``; None if it is not called after it.

    The longer name counts: what is called after `orders_old` begins with `orders`, too.
    """
    if len(other.qualified_name) > len(whole.qualified_name) and _called_after(other, part, whole) is not None:
        return None
    return renamed(part.qualified_name, whole.qualified_name, other.qualified_name)
