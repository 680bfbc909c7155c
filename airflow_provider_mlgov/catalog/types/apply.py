"""Bringing our types onto a catalogue: what is missing is added; what Atlas cannot change is refused first.

Safe when several processes do it at once: Atlas makes all types of a call or none, and says 409 to all but the first.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from airflow_provider_mlgov.catalog.atlas_errors import ATTRIBUTE_LEFT_OUT, SUPER_TYPE_LEFT_OUT, TYPE_EXISTS
from airflow_provider_mlgov.catalog.catalog import Catalog, Json
from airflow_provider_mlgov.catalog.types.definitions import CATEGORIES, SERVICE_TYPE, our_types
from airflow_provider_mlgov.errors import CatalogBusyError, CatalogRefusedError, TypesConflictError

_ROUNDS = 10
"""How often another process may be quicker before we give up."""
_OVERTAKEN = {TYPE_EXISTS, ATTRIBUTE_LEFT_OUT, SUPER_TYPE_LEFT_OUT}
"""What Atlas says when another process was quicker: it made our types, or added to one that we were about to extend."""
_FIXED = (("typeName", None), ("cardinality", "SINGLE"), ("isUnique", False), ("isIndexable", False))
"""What an attribute keeps for ever, and what it is when a definition does not say."""
_FIXED_OF_END = ("type", "name", "isContainer", "cardinality")

_done: set[str] = set()
_doing = threading.Lock()


def _after_fork() -> None:
    global _doing
    _doing = threading.Lock()  # another thread may have held it


os.register_at_fork(after_in_child=_after_fork)


@dataclass(frozen=True)
class Plan:
    """What stands between a catalogue and our types."""

    missing: tuple[str, ...] = ()
    """Types that the catalogue does not have."""
    incomplete: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Types that lack something, and the attributes, enum values and super types that they lack."""
    beyond: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Types of ours that have attributes which this version of the package does not know: a later one has been there. They stay."""
    conflicts: tuple[str, ...] = ()
    """Differences that Atlas lets nobody change, one sentence each."""
    create: Json = field(default_factory=dict, repr=False)
    """The typedefs document to POST."""
    update: Json = field(default_factory=dict, repr=False)
    """The typedefs document to PUT."""

    @property
    def is_empty(self) -> bool:
        """Whether the catalogue has everything."""
        return not (self.missing or self.incomplete or self.conflicts)


def plan(catalog: Catalog, types: Json | None = None) -> Plan:
    """Compare ``types`` (ours, if not given) with the catalogue's, in one call; nothing is changed."""
    wanted = our_types() if types is None else types
    held = _by_name(catalog.type_definitions())
    known = set(held) | set(_by_name(wanted))
    comparison = _Comparison()
    for category in CATEGORIES:
        for definition in wanted.get(category) or ():
            comparison.add(category, definition, held.get(definition["name"]), known)
    return comparison.plan()


def apply(catalog: Catalog, types: Json | None = None) -> Plan:
    """Add what the catalogue lacks of ``types`` (ours, if not given) and return what there was to do.

    Raises `TypesConflictError`, before anything is changed, if something cannot be made right.
    """
    first = todo = plan(catalog, types)
    for _ in range(_ROUNDS):
        if todo.conflicts:
            raise TypesConflictError(
                f"The types of {catalog.identity} cannot become ours: {'; '.join(todo.conflicts)}. Atlas cannot change"
                " this: purge what is of these types and delete them there, or use another Atlas"
            )
        if todo.is_empty:
            return first
        try:
            if todo.missing:
                catalog.create_types(todo.create)
            if todo.incomplete:
                catalog.update_types(todo.update)
        except CatalogRefusedError as error:
            if error.error_code not in _OVERTAKEN:
                raise
            time.sleep(0.05 * (1 + os.getpid() % 4))  # not all at the same moment again
            todo = plan(catalog, types)
        else:
            return first
    raise CatalogBusyError(f"Others keep changing the types of {catalog.identity}; try again later")


def ensure_types(catalog: Catalog) -> None:
    """Apply our types unless this process has seen them on this catalogue."""
    if catalog.identity in _done:
        return
    with _doing:
        if catalog.identity not in _done:
            apply(catalog)
            _done.add(catalog.identity)


def _by_name(definitions: Json) -> dict[str, Json]:
    return {
        each["name"]: {"category": kind, **each}
        for part, kind in CATEGORIES.items()
        for each in definitions.get(part) or ()
    }


class _Comparison:
    """Collects a plan, type by type."""

    def __init__(self) -> None:
        self.missing: list[str] = []
        self.incomplete: dict[str, tuple[str, ...]] = {}
        self.beyond: dict[str, tuple[str, ...]] = {}
        self.conflicts: list[str] = []
        self.create: Json = {category: [] for category in CATEGORIES}
        self.update: Json = {category: [] for category in CATEGORIES}

    def add(self, category: str, wanted: Json, held: Json | None, known: set[str]) -> None:
        """Compare one type."""
        self.conflicts += [
            f"{wanted['name']} needs the type {other}, which is not there"
            for other in _needs(wanted)
            if other not in known
        ]
        if held is None:
            self.missing.append(wanted["name"])
            self.create[category].append(wanted)
        elif held["category"] != CATEGORIES[category]:
            self.conflicts.append(
                f"{wanted['name']} is a type of category {held['category']}, not {CATEGORIES[category]}"
            )
        else:
            self.conflicts += _conflicts(wanted, held)
            merged, added = _merged(wanted, held)
            more = tuple(name for name in _attributes(held) if name not in _attributes(wanted))
            if more and wanted.get("serviceType") == SERVICE_TYPE:
                self.beyond[wanted["name"]] = more
            if added:
                self.incomplete[wanted["name"]] = tuple(added)
                self.update[category].append(merged)

    def plan(self) -> Plan:
        """What was found."""
        return Plan(tuple(self.missing), self.incomplete, self.beyond, tuple(self.conflicts), self.create, self.update)


def _needs(definition: Json) -> list[str]:
    ends = [definition[end]["type"] for end in ("endDef1", "endDef2") if end in definition]
    return [*(definition.get("superTypes") or ()), *ends]


def _conflicts(wanted: Json, held: Json) -> list[str]:
    found = []
    name = wanted["name"]
    ours = _attributes(wanted)
    for attribute, theirs in _attributes(held).items():
        if attribute in ours:
            found += _attribute_conflicts(f"{name}.{attribute}", ours[attribute], theirs)
        elif not theirs.get("isOptional", True):
            found.append(f"{name}.{attribute} is required there, and unknown to us")
    found += [
        f"{name} lacks {attribute}, and a required attribute cannot be added"
        for attribute, definition in ours.items()
        if attribute not in _attributes(held) and not definition.get("isOptional", True)
    ]
    return found + _relationship_conflicts(name, wanted, held)


def _attribute_conflicts(where: str, ours: Json, theirs: Json) -> list[str]:
    found = []
    for key, default in _FIXED:
        mine, other = ours.get(key, default), theirs.get(key, default)
        if mine != other:
            found.append(f"{where} has {key} {other}, not {mine}")
    if not theirs.get("isOptional", True) and ours.get("isOptional", True):
        found.append(f"{where} is required, not optional")
    return found


def _relationship_conflicts(name: str, wanted: Json, held: Json) -> list[str]:
    if wanted.get("category") != "RELATIONSHIP":
        return []
    pairs: list[tuple[str, Any, Any]] = [
        (key, wanted.get(key), held.get(key)) for key in ("relationshipCategory", "propagateTags")
    ]
    pairs += [
        (f"{key} of {end}", wanted[end].get(key), held[end].get(key))
        for end in ("endDef1", "endDef2")
        for key in _FIXED_OF_END
    ]
    return [f"{name} has {key} {theirs}, not {ours}" for key, ours, theirs in pairs if ours != theirs]


def _merged(wanted: Json, held: Json) -> tuple[Json, list[str]]:
    """The catalogue's definition with what it lacks. What it has beyond ours stays: it may be from a newer version."""
    merged = {key: value for key, value in held.items() if key not in ("relationshipAttributeDefs", "subTypes")}
    added: list[str] = []
    for key, identity in (("attributeDefs", "name"), ("elementDefs", "value")):
        there = {each[identity] for each in held.get(key) or ()}
        lacking = [each for each in wanted.get(key) or () if each[identity] not in there]
        if lacking:
            merged[key] = [*(held.get(key) or ()), *lacking]
            added += [each[identity] for each in lacking]
    super_types = [each for each in wanted.get("superTypes") or () if each not in (held.get("superTypes") or ())]
    if super_types:
        merged["superTypes"] = [*(held.get("superTypes") or ()), *super_types]
        added += super_types
    return merged, added


def _attributes(definition: Json) -> dict[str, Json]:
    return {each["name"]: each for each in definition.get("attributeDefs") or ()}
