"""References in a batch: by guid to its members or to what is stored, by unique attributes to what was stored before it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow_provider_mlgov.catalog.embedded.edges import wrong_ends
from airflow_provider_mlgov.catalog.embedded.faults import (
    invalid_instance,
    no_such_reference,
    refused,
)
from airflow_provider_mlgov.catalog.embedded.registry import End, EntityType
from airflow_provider_mlgov.catalog.embedded.values import InvalidValueError
from airflow_provider_mlgov.catalog.embedded.work import Row, Work

Target = str | int
"""Where a reference leads: the guid of a member of the batch, or the id of what is stored."""


class References:
    """Resolves the references of one batch."""

    def __init__(self, work: Work, members: Mapping[str, EntityType]) -> None:
        self._work = work
        self._members = members

    def end(self, entity_type: EntityType, name: str, value: Any) -> tuple[End, list[Target]]:
        """The targets of a relationship attribute, and the end that it is."""
        by_type = entity_type.ends[name]
        many = next(iter(by_type.values())).many
        listed = value if many else [value]
        if value is None:
            listed = []
        shown = "array<objectid>" if many else next(iter(by_type.values())).other_type
        if not isinstance(listed, (list, tuple)) or not all(isinstance(item, Mapping) for item in listed):
            raise invalid_instance([str(InvalidValueError(f"{entity_type.name}.{name}", value, shown))])
        resolved = [self._resolve(item) for item in listed]
        end = self._choose(by_type, listed, [found for _, found in resolved])
        for _, found in resolved:
            if not found.is_a(end.other_type):
                raise wrong_ends(self._work.types.definitions[end.relationship], end.other_type, entity_type.name)
        return end, [target for target, _ in resolved]

    def attribute(self, _type_name: str, value: Mapping[str, Any]) -> dict[str, Any]:
        """A reference in an ordinary attribute, as it is stored."""
        target, found = self._resolve(value)
        if isinstance(target, int):
            return {"guid": self._work.rows((target,))[0].guid, "typeName": found.name}
        return {"guid": target, "typeName": found.name}

    def _resolve(self, reference: Mapping[str, Any]) -> tuple[Target, EntityType]:
        guid = reference.get("guid")
        if guid is not None:
            if guid in self._members:
                return guid, self._members[guid]
            row = self._work.find_guid(guid)
            if row is None:
                raise no_such_reference(str(guid))
        else:
            row = self._by_unique(reference)
        return row.id, self._work.types.entity_type(row.type_name)

    def _by_unique(self, reference: Mapping[str, Any]) -> Row:
        entity_type = self._work.entity_type(reference.get("typeName"))
        unique = reference.get("uniqueAttributes")
        if not isinstance(unique, Mapping):
            unique = {}
        shown = ", ".join(f"{name}:{value}" for name, value in unique.items())
        what = f"AtlasObjectId{{guid='null', typeName='{entity_type.name}', uniqueAttributes={{{shown}}}}}"
        known = [(entity_type.attributes.get(name), value) for name, value in unique.items()]
        usable = [(attribute, value) for attribute, value in known if attribute is not None and attribute.unique]
        if not usable:
            raise refused("400-00-021", f"ObjectId is not valid {what}")
        for attribute, value in usable:
            row = self._work.find_name(entity_type, attribute, value)
            if row is not None:
                return row
        raise no_such_reference(what)

    def _choose(self, by_type: Mapping[str, End], listed: Any, found: list[EntityType]) -> End:
        """Which relationship is meant where several share the attribute's name."""
        for item in listed:
            named = by_type.get(item.get("relationshipType"))
            if named is not None:
                return named
        fitting = [end for end in by_type.values() if all(one.is_a(end.other_type) for one in found)]
        return (fitting or list(by_type.values()))[0]
