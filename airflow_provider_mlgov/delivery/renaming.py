"""The renaming of an entity in a catalogue, with what is named after it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from airflow_provider_mlgov.delivery.renames import named_after, renamed
from airflow_provider_mlgov.errors import CatalogRefusedError
from airflow_provider_mlgov.model.entity import Ref

if TYPE_CHECKING:
    from airflow_provider_mlgov.catalog.catalog import Catalog

log = logging.getLogger(__name__)

Json = dict[str, Any]

OWNED = ("columns", "partitionKeys", "sd", "mlgov_fields")
"""Relationships to what is a part of the entity, and goes with it."""
_INSIDE = ("contained", "children", "buckets")
"""Relationships to data that is in the entity."""
_BY_PEOPLE = ("owner", "description", "userDescription", "displayName")
_ENDS = {"inputToProcesses": "inputs", "outputFromProcesses": "outputs"}


class Renaming:
    """Renames entities. ``patiently`` makes a call, again where that helps."""

    def __init__(self, catalog: Catalog, patiently: Callable[[Callable[[], Any]], Any]) -> None:
        self._catalog = catalog
        self._patiently = patiently
        self._touched: list[tuple[Ref, Ref]] = []

    def rename(self, entity: Json, to: Ref, name: str) -> list[tuple[Ref, Ref]]:
        """Give ``entity`` (with relationships) its new name. Returns the names that have changed, each with the new one.

        Where there is an entity of that name, it takes over what is around this one: the processes, labels, classifications, and
        the columns that it has not. This one is deleted then, unless something is in it that has no name after the new one.
        """
        self._move(entity, to, {"name": name})
        return self._touched

    def go_on(self, there: Json, old: Ref) -> list[tuple[Ref, Ref]]:
        """What is in ``there``, which was called ``old``, gets its new name where it has not. Returns all that have new names.

        A renaming may have been cut off after ``there`` itself had its name.
        """
        new = ref_of(there)
        for child in (*self._children(there, OWNED), *self._children(there, _INSIDE)):
            ref = ref_of(child)
            if (name := _called_after(old, ref, new)) is not None:
                self._move(child, Ref(ref.type_name, name), {})
            elif (name := _called_after(new, ref, old)) is not None:
                before = Ref(ref.type_name, name)
                self._touched.append((before, ref))
                self.go_on(child, before)
        return self._touched

    def _move(self, entity: Json, to: Ref, attributes: Json, parents: tuple[Json, Json] | None = None) -> bool:
        """Whether ``entity`` stays beside the one that has its new name."""
        old = ref_of(entity)
        there = self._get(to)
        self._touched.append((old, to))
        parts, inside = self._children(entity, OWNED), self._children(entity, _INSIDE)
        if there is None:
            named = named_after(entity["attributes"], old.qualified_name, to.qualified_name)
            moved = _to_parent(entity, *parents) if parents else {}
            if not self._update(old, {**attributes, **named, **moved, "qualifiedName": to.qualified_name}):
                return True
        else:
            self._take_over(entity, there)
        stays = False
        for child in (*parts, *inside):
            ref = ref_of(child)
            if (new := renamed(ref.qualified_name, old.qualified_name, to.qualified_name)) is not None:
                child_stays = self._move(child, Ref(ref.type_name, new), {}, (entity, there) if there else None)
            else:
                child_stays = True  # it is not named after this one, as keys of Ozone are not after their bucket
            stays |= child_stays and child in inside
        if there is not None and not stays:
            self._tried(lambda: self._catalog.delete_by_guid([entity["guid"]]), old)
        return there is not None and stays

    def _children(self, entity: Json, relations: Iterable[str]) -> list[Json]:
        return [child for item in items(entity, relations) if (child := self._by_guid(item["guid"])) is not None]

    def _take_over(self, entity: Json, there: Json) -> None:
        """Put ``there`` where ``entity`` was an end of processes, and give it what people said of it."""
        for relation, end in _ENDS.items():
            for item in items(entity, (relation,)):
                process = self._by_guid(item["guid"])
                if process is not None:
                    refs = {one["guid"]: _guidref_of(one) for one in items(process, (end,))}
                    refs[entity["guid"]] = _guidref_of(there)
                    ends = {ref["guid"]: ref for ref in refs.values()}
                    self._update(ref_of(process), {end: list(ends.values())})
        guid, ref = there["guid"], ref_of(there)
        if labels := entity.get("labels"):
            self._tried(lambda: self._catalog.add_labels(guid, sorted(labels)), ref)
        known = {item["typeName"] for item in there.get("classifications") or ()}
        own = [
            {key: item[key] for key in ("typeName", "attributes", "propagate") if key in item}
            for item in entity.get("classifications") or ()
            if item.get("entityGuid") in (None, entity["guid"]) and item["typeName"] not in known
        ]
        if own:
            self._tried(lambda: self._catalog.classify(guid, own), ref)
        told = {name: entity["attributes"].get(name) for name in _BY_PEOPLE if not there["attributes"].get(name)}
        if told := {name: value for name, value in told.items() if value}:
            self._update(ref, told)

    def _get(self, ref: Ref) -> Json | None:
        found: Json | None = self._patiently(
            lambda: self._catalog.get(ref.type_name, ref.qualified_name, relationships=True)
        )
        return found

    def _by_guid(self, guid: str) -> Json | None:
        found: Json | None = self._patiently(lambda: self._catalog.get_by_guid(guid, relationships=True))
        return found

    def _update(self, ref: Ref, attributes: Mapping[str, Any]) -> bool:
        return self._tried(lambda: self._catalog.update(ref.type_name, ref.qualified_name, attributes), ref)

    def _tried(self, call: Callable[[], Any], ref: Ref) -> bool:
        try:
            self._patiently(call)
        except CatalogRefusedError as error:
            log.warning("%s stays as it is: %s", ref.qualified_name, error)
            return False
        return True


def items(entity: Json, relations: Iterable[str]) -> Iterator[Json]:
    """What an entity has now by these relationships."""
    found: Mapping[str, Any] = entity.get("relationshipAttributes") or {}
    for name in relations:
        value = found.get(name) or []
        for item in value if isinstance(value, list) else [value]:
            if item.get("entityStatus", "ACTIVE") == item.get("relationshipStatus", "ACTIVE") == "ACTIVE":
                yield item


def _to_parent(child: Json, old: Json, new: Json) -> Json:
    """The attribute that takes ``child`` from one parent to another."""
    for name, value in (child.get("relationshipAttributes") or {}).items():
        if isinstance(value, dict) and value.get("guid") == old["guid"]:
            return {name: {**_guidref_of(new), "relationshipType": value.get("relationshipType")}}
    return {}


def _guidref_of(entity: Json) -> Json:
    return {"guid": entity["guid"], "typeName": entity["typeName"]}


def _called_after(whole: Ref, part: Ref, other: Ref) -> str | None:
    """The name of ``part`` if ``whole`` were called like the ``other``; None if it is not called after it.

    The longer name counts: what is called after `orders_old` begins with `orders`, too.
    """
    if len(other.qualified_name) > len(whole.qualified_name) and _called_after(other, part, whole) is not None:
        return None
    return renamed(part.qualified_name, whole.qualified_name, other.qualified_name)


def ref_of(entity: Json) -> Ref:
    """The reference to an entity of the catalogue's."""
    return Ref(entity["typeName"], entity["attributes"]["qualifiedName"])
