"""The types of one catalogue, with what follows from them: inheritance, attributes, ends of relationships."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

from airflow_provider_mlgov.catalog.catalog import Json
from airflow_provider_mlgov.catalog.types.definitions import CATEGORIES, atlas_types

PRIMITIVES = frozenset(
    {"string", "boolean", "date", "byte", "short", "int", "long", "float", "double", "biginteger", "bigdecimal"}
)
_LIST_OF = {category: name for name, category in CATEGORIES.items()}


@dataclass(frozen=True)
class Attribute:
    """An attribute of an entity type, a struct or a classification."""

    name: str
    type_name: str
    owner: str
    """The type that defines it."""
    optional: bool
    unique: bool
    indexed: bool
    default: Any
    appends: bool
    """A map whose keys a partial update adds to."""


@dataclass(frozen=True)
class End:
    """One end of a relationship type, as a relationship attribute of the entities at it."""

    relationship: str
    number: int
    """1 or 2: which end the entity is that has this attribute."""
    name: str
    other_type: str
    many: bool
    other_many: bool
    owns: bool
    """What is at the other end belongs to this one (composition)."""
    owned: bool
    """This end belongs to the other one, which must therefore be given."""
    legacy: bool
    """Also shown among the ordinary attributes, as ``inputs`` and ``outputs`` are."""


class EntityType:
    """An entity type, its supers and subs resolved."""

    def __init__(self, registry: Registry, name: str) -> None:
        self.name = name
        self._registry = registry

    @cached_property
    def supers(self) -> tuple[str, ...]:
        """All super types and itself, itself first."""
        found: dict[str, None] = {self.name: None}
        for name in _definition(self._registry, self.name).get("superTypes") or ():
            found |= dict.fromkeys(self._registry.entity_type(name).supers)
        return tuple(found)

    @cached_property
    def subs(self) -> frozenset[str]:
        """All subtypes and itself."""
        return frozenset({self.name}).union(
            *(self._registry.entity_type(sub).subs for sub in self._registry.direct_subs.get(self.name, ()))
        )

    @cached_property
    def attributes(self) -> Mapping[str, Attribute]:
        """Attributes, inherited ones included, without those that are ends of relationships."""
        found: dict[str, Attribute] = {}
        for name in reversed(self.supers):
            found |= self._registry.own_attributes(name)
        return {name: attribute for name, attribute in found.items() if name not in self.ends}

    @cached_property
    def declared_ends(self) -> frozenset[str]:
        """Ends that are declared as attributes too: Atlas shows them even where relationships are left out."""
        names = {
            str(attribute["name"])
            for super_type in self.supers
            for attribute in _definition(self._registry, super_type).get("attributeDefs") or ()
        }
        return frozenset(names & self.ends.keys())

    @cached_property
    def ends(self) -> Mapping[str, Mapping[str, End]]:
        """Relationship attributes: name, then relationship type (several may share a name)."""
        found: dict[str, dict[str, End]] = {}
        for name in self.supers:
            for end in self._registry.ends_of.get(name, ()):
                found.setdefault(end.name, {})[end.relationship] = end
        return found

    @cached_property
    def unique(self) -> tuple[Attribute, ...]:
        """Attributes whose values are unique."""
        return tuple(attribute for attribute in self.attributes.values() if attribute.unique)

    def is_a(self, name: str) -> bool:
        """Whether it is this type or a subtype of it."""
        return name in self.supers


class Registry:
    """All types: the built-in ones, and over them those of the file."""

    def __init__(self, own: Mapping[str, Json]) -> None:
        self.definitions: Mapping[str, Json] = {**_built_in(), **own}
        self._entity_types: dict[str, EntityType] = {}
        self._attributes: dict[str, Mapping[str, Attribute]] = {}

    def find(self, name: object, category: str) -> Json | None:
        """The definition of this name and category (``ENTITY`` …), or None."""
        found = self.definitions.get(name) if isinstance(name, str) else None
        return found if found is not None and found["category"] == category else None

    def of_category(self, category: str) -> list[Json]:
        """All definitions of a category."""
        return [definition for definition in self.definitions.values() if definition["category"] == category]

    def is_entity(self, name: object) -> bool:
        """Whether an entity type has this name."""
        return self.find(name, "ENTITY") is not None

    def entity_type(self, name: str) -> EntityType:
        """The resolved entity type; the name must exist."""
        found = self._entity_types.get(name)
        if found is None:
            found = self._entity_types[name] = EntityType(self, name)
        return found

    def own_attributes(self, name: str) -> Mapping[str, Attribute]:
        """What the type itself defines, of any category with attributes."""
        found = self._attributes.get(name)
        if found is None:
            definitions = _definition(self, name).get("attributeDefs") or ()
            found = self._attributes[name] = {item["name"]: _attribute(name, item) for item in definitions}
        return found

    def all_attributes(self, name: str) -> Mapping[str, Attribute]:
        """Attributes of a struct or classification with the inherited ones."""
        found: dict[str, Attribute] = {}
        for parent in _definition(self, name).get("superTypes") or ():
            found |= self.all_attributes(parent)
        return {**found, **self.own_attributes(name)}

    def classification_subs(self, name: str) -> set[str]:
        """A classification and all its subtypes."""
        found = {name}
        for sub in self.direct_subs.get(name, ()):
            found |= self.classification_subs(sub)
        return found

    @cached_property
    def direct_subs(self) -> Mapping[str, list[str]]:
        """Direct subtypes by name of the super type."""
        found: dict[str, list[str]] = {}
        for name, definition in self.definitions.items():
            for parent in definition.get("superTypes") or ():
                found.setdefault(parent, []).append(name)
        return found

    @cached_property
    def ends_of(self) -> Mapping[str, list[End]]:
        """Ends of relationships by the entity type that they are declared for."""
        found: dict[str, list[End]] = {}
        for definition in self.of_category("RELATIONSHIP"):
            for number in (1, 2):
                end = end_of(definition, number)
                found.setdefault(definition[f"endDef{number}"]["type"], []).append(end)
        return found

    def shown(self, definition: Json) -> Json:
        """A definition as Atlas answers it: with subtypes and relationship attributes."""
        if definition["category"] == "CLASSIFICATION":
            return {"entityTypes": [], **definition, "subTypes": self.direct_subs.get(definition["name"], [])}
        if definition["category"] != "ENTITY":
            return definition
        ends = self.entity_type(definition["name"]).ends
        return {
            **definition,
            "subTypes": self.direct_subs.get(definition["name"], []),
            "relationshipAttributeDefs": [
                _end_definition(end) for by_type in ends.values() for end in by_type.values()
            ],
            "businessAttributeDefs": self._business(definition["name"]),
        }

    def document(self, definitions: Iterable[Json]) -> Json:
        """A typedefs document of these definitions."""
        lists: dict[str, list[Json]] = {name: [] for name in CATEGORIES}
        for definition in definitions:
            lists[_LIST_OF[definition["category"]]].append(self.shown(definition))
        return dict(lists)

    def _business(self, name: str) -> Json:
        supers = self.entity_type(name).supers
        found: Json = {}
        for definition in self.of_category("BUSINESS_METADATA"):
            own = [item for item in definition["attributeDefs"] if applicable(item) & set(supers)]
            if own:
                found[definition["name"]] = own
        return found


def applicable(business_attribute: Json) -> set[str]:
    """The entity types that a business attribute may be set on, without their subtypes."""
    listed = (business_attribute.get("options") or {}).get("applicableEntityTypes") or "[]"
    return set(json.loads(listed)) if isinstance(listed, str) else set(listed)


def end_of(definition: Json, number: int) -> End:
    """One end of a relationship definition."""
    this, other = definition[f"endDef{number}"], definition[f"endDef{3 - number}"]
    composition = definition.get("relationshipCategory") == "COMPOSITION"
    return End(
        relationship=definition["name"],
        number=number,
        name=this["name"],
        other_type=other["type"],
        many=this.get("cardinality", "SINGLE") != "SINGLE",
        other_many=other.get("cardinality", "SINGLE") != "SINGLE",
        owns=composition and bool(this.get("isContainer")),
        owned=composition and bool(other.get("isContainer")),
        legacy=bool(this.get("isLegacyAttribute")),
    )


def _definition(registry: Registry, name: str) -> Json:
    return registry.definitions[name]


def _attribute(owner: str, item: Json) -> Attribute:
    return Attribute(
        name=item["name"],
        type_name=item["typeName"],
        owner=owner,
        optional=bool(item.get("isOptional", False)),
        unique=bool(item.get("isUnique", False)),
        indexed=bool(item.get("isIndexable", False)),
        default=item.get("defaultValue"),
        appends=(item.get("options") or {}).get("isAppendOnPartialUpdate") == "true",
    )


def _end_definition(end: End) -> Json:
    return {
        "name": end.name,
        "typeName": f"array<{end.other_type}>" if end.many else end.other_type,
        "isOptional": not end.owned,
        "cardinality": "SET" if end.many else "SINGLE",
        "valuesMinCount": -1,
        "valuesMaxCount": -1,
        "isUnique": False,
        "isIndexable": False,
        "includeInNotification": False,
        "searchWeight": -1,
        **({"constraints": [{"type": "ownedRef"}]} if end.owns else {}),
        "relationshipTypeName": end.relationship,
        "isLegacyAttribute": end.legacy,
    }


@cache
def _built_in() -> Mapping[str, Json]:
    found: dict[str, Json] = {}
    document = atlas_types()
    for name, category in CATEGORIES.items():
        for definition in document.get(name, ()):
            found[definition["name"]] = {
                "category": category,
                "guid": str(uuid.uuid5(uuid.NAMESPACE_OID, definition["name"])),
                "createdBy": "root",
                "updatedBy": "root",
                "createTime": 0,
                "updateTime": 0,
                "version": 1,
                "description": definition["name"],
                **definition,
            }
    return found
