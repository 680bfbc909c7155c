"""Datasets that were dropped or renamed: what happens to their entities, whatever the order in which it is told.

An entity is deleted, or gets its new name, only where nothing is known of it that is newer. What is told later of an earlier time
does not bring it back.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from airflow_provider_mlgov.delivery.batch import references
from airflow_provider_mlgov.errors import CatalogRefusedError
from airflow_provider_mlgov.model.entity import Change, Entity, Ref

if TYPE_CHECKING:
    from airflow_provider_mlgov.catalog.catalog import Catalog
    from airflow_provider_mlgov.delivery.sinks.sink import Parcel
    from airflow_provider_mlgov.delivery.state import SenderState

log = logging.getLogger(__name__)

Json = dict[str, Any]

_OWNED = ("columns", "partitionKeys", "sd", "mlgov_fields")
"""What is named after its dataset."""


class History:
    """Brings the changes of a parcel into a catalogue. ``patiently`` makes a call, again where that helps."""

    def __init__(
        self, catalog: Catalog, name: str, state: SenderState, patiently: Callable[[Callable[[], Any]], Any]
    ) -> None:
        self._catalog = catalog
        self._name = name
        self._state = state
        self._patiently = patiently

    def rename(self, parcel: Parcel) -> None:
        """Give the entities of renamed datasets their new names, before the new ones are written."""
        for change in parcel.changes:
            if change.kind == "rename" and change.to is not None:
                self._rename(change, change.to)

    def without_gone(self, parcel: Parcel, entities: Sequence[Entity], stored: Collection[Ref]) -> tuple[Entity, ...]:
        """``entities`` without what is gone since, so that nothing told again brings it back only to be deleted again.

        A process that is stored has its ends; one that is not needs them, so they are made, and deleted after.
        """
        gone = set(self._gone(parcel))
        if not gone:
            return tuple(entities)
        by_ref = {entity.ref: entity for entity in entities}
        needed: set[Ref] = set()
        wanted = [
            ref for entity in entities if entity.ref not in stored and _is_process(entity) for ref in references(entity)
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
            if entity.ref in left_out or (lacks and not _is_process(entity)):
                left_out.add(entity.ref)
            else:
                kept.append(replace(entity, relations={}) if lacks else entity)
        return tuple(kept)

    def _gone(self, parcel: Parcel) -> dict[Ref, int]:
        """What of a parcel is known to be gone since it was told of, and when."""
        told = {entity.ref: entity.as_of for entity in parcel.entities if entity.as_of is not None}
        return {ref: time for ref, time in self._state.gone(self._name, told).items() if told[ref] <= time}

    def drop(self, parcel: Parcel) -> None:
        """Delete what was dropped, after all was written."""
        times = self._gone(parcel)
        for change in parcel.changes:
            times[change.ref] = max(change.time, times.get(change.ref, 0))
        for ref, time in times.items():
            entity = self._get(ref)
            if entity is not None and not self._is_newer(ref, entity, time):
                self._patiently(lambda ref=ref: self._catalog.delete(ref.type_name, ref.qualified_name))  # type: ignore[misc]
        with self._state.transaction():
            self._state.remember_gone(self._name, times)
            self._state.forget(self._name, times)

    def _rename(self, change: Change, to: Ref) -> None:
        entity = self._get(change.ref, relationships=True)
        if entity is None or self._is_newer(change.ref, entity, change.time) or self._get(to) is not None:
            return
        self._call(change.ref, {"qualifiedName": to.qualified_name, "name": change.name})
        for child in self._owned(entity):
            name = child["attributes"].get("qualifiedName", "")
            new = _renamed(name, change.ref.qualified_name, to.qualified_name)
            if new is not None:
                self._call(Ref(child["typeName"], name), {"qualifiedName": new})
        with self._state.transaction():
            self._state.forget(self._name, [change.ref, to])

    def _owned(self, entity: Json) -> Iterator[Json]:
        relations: Mapping[str, Any] = entity.get("relationshipAttributes") or {}
        for name in _OWNED:
            found = relations.get(name) or []
            for item in found if isinstance(found, list) else [found]:
                if item.get("entityStatus") == "ACTIVE" and item.get("relationshipStatus", "ACTIVE") == "ACTIVE":
                    child = self._patiently(lambda item=item: self._catalog.get_by_guid(item["guid"]))  # type: ignore[misc]
                    if child is not None:
                        yield child

    def _get(self, ref: Ref, *, relationships: bool = False) -> Json | None:
        found: Json | None = self._patiently(
            lambda: self._catalog.get(ref.type_name, ref.qualified_name, relationships=relationships)
        )
        return found

    def _is_newer(self, ref: Ref, entity: Json, time: int) -> bool:
        """Whether something is known of it that is newer: by an event, or by the catalogue where no event is remembered."""
        told = self._state.told(self._name, ref)
        return int(told if told is not None else entity.get("updateTime") or 0) > time

    def _call(self, ref: Ref, attributes: Json) -> None:
        try:
            self._patiently(lambda: self._catalog.update(ref.type_name, ref.qualified_name, attributes))
        except CatalogRefusedError as error:
            log.warning("%s keeps its name: %s", ref.qualified_name, error)


def _is_process(entity: Entity) -> bool:
    return bool(entity.relations.keys() & {"inputs", "outputs"})


def _renamed(name: str, old: str, new: str) -> str | None:
    """The name of a column or storage descriptor after its dataset got a new name, or None if it has nothing of the old one."""
    if name.startswith(old):
        return new + name[len(old) :]
    (old_head, _, at), (new_head, _, _) = old.rpartition("@"), new.rpartition("@")
    if old_head and name.startswith(old_head) and name.endswith(f"@{at}"):
        return new_head + name[len(old_head) : len(name) - len(at)] + new.rpartition("@")[2]
    return None
