"""Twins become one entity: what only the others have goes to the one that is kept, then they are deleted.

Atlas finds an entity by its name through an index, whose entry goes with whichever twin is deleted: the other is then found no
more. So the one that is kept has another name while they are deleted, and gets its own back after. Whatever moves is added before
anything is taken away; a repair that is cut off is found again by that other name, and done again to the same end.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from airflow_provider_mlgov.catalog.catalog import Catalog, Json
from airflow_provider_mlgov.catalog.twins import TEMPORARY, Twins, edges, members, own_classifications
from airflow_provider_mlgov.errors import CatalogRefusedError
from airflow_provider_mlgov.model.entity import Ref

Patiently = Callable[[Callable[[], Any]], Any]
"""Makes a call, again where that helps."""

_BY_PEOPLE = frozenset({"owner", "description", "userDescription", "displayName"})
_FACTS_TIME = "factsTime"
_REPLICAS = frozenset({"qualifiedName", "replicatedFrom", "replicatedTo"})
_ROUNDS = 3
_ALREADY_CLASSIFIED = "ATLAS-400-00-01A"
_CLASSIFICATION = ("typeName", "attributes", "propagate", "removePropagationsOnEntityDelete", "validityPeriods")


@dataclass
class Merged:
    """What became of twins."""

    ref: Ref
    keeper: str = ""
    """The guid of the entity that stays; empty where nothing was left to do."""
    removed: tuple[str, ...] = ()
    moved: dict[str, int] = field(default_factory=dict)
    """How much of what went to it."""
    failure: str | None = None
    """Why they are still twins."""


class Merger:
    """Merges twins. To be used where nobody else writes to the catalogue: under the sender's lock."""

    def __init__(self, catalog: Catalog, patiently: Patiently) -> None:
        self._catalog = catalog
        self._patiently = patiently
        self._types: dict[str, Json] = {}

    def merge(self, twins: Twins) -> Merged:
        """Make one of ``twins``; what the catalogue refuses is in the answer, and then all of them stay."""
        merged = Merged(twins.ref)
        named = self._patiently(lambda: self._catalog.get(twins.ref.type_name, twins.ref.qualified_name))
        found = named["guid"] if named is not None and named["typeName"] == twins.ref.type_name else None
        guids = dict.fromkeys(guid for guid in (twins.found, *twins.others) if guid and guid != found)
        keeper, *others = self._patiently(lambda: members(self._catalog, Twins(twins.ref, found, tuple(guids)))) or [{}]
        if not keeper or (keeper["guid"] == found and not others):
            return merged  # somebody else has mended it
        merged.keeper = keeper["guid"]
        try:
            for other in others:
                self._carry_over(other["guid"], keeper["guid"], merged)
            self._replace(twins.ref, keeper, [other["guid"] for other in others])
            self._verify(twins.ref, keeper)
        except CatalogRefusedError as error:
            merged.failure = str(error)
        else:
            merged.removed = tuple(other["guid"] for other in others)
        return merged

    # --- what the others have ----------------------------------------------------------------------------------------
    def _carry_over(self, other_guid: str, guid: str, merged: Merged) -> None:
        """Give the kept one what another has, until that one owns nothing: what it owns would be deleted with it."""
        for _ in range(_ROUNDS):
            other, keeper = (
                self._patiently(lambda each=each: self._catalog.get_by_guid(each, relationships=True))  # type: ignore[misc]
                for each in (other_guid, guid)
            )
            self._add(other, keeper, merged)
            owned = [item["relationshipGuid"] for name, item in edges(other) if self._is_owner(name, item)]
            for relationship in owned:
                self._patiently(lambda each=relationship: self._catalog.delete_relationship(each))  # type: ignore[misc]
            if not owned:
                return
        raise CatalogRefusedError(
            f"{other_guid} gets new children all the time: somebody else writes to it; repair it when that is over",
            error_code="ATLAS-409-00-000",
            status=409,
        )

    def _add(self, other: Json, keeper: Json, merged: Merged) -> None:
        guid = keeper["guid"]

        def count(what: str, number: int = 1) -> None:
            if number:
                merged.moved[what] = merged.moved.get(what, 0) + number

        count("attributes", self._attributes(other, keeper))
        if labels := sorted(set(other.get("labels") or ()) - set(keeper.get("labels") or ())):
            self._patiently(lambda: self._catalog.add_labels(guid, labels))
            count("labels", len(labels))
        has = {item["typeName"] for item in own_classifications(keeper)}
        for item in own_classifications(other):
            if item["typeName"] not in has:
                self._classify(guid, {key: item[key] for key in _CLASSIFICATION if item.get(key) is not None})
                count("classifications")
        if business := _lacking(other.get("businessAttributes") or {}, keeper.get("businessAttributes") or {}):
            self._patiently(lambda: self._catalog.set_business_metadata(guid, business))
            count("business attributes", sum(map(len, business.values())))
        count("edges", self._edges(other, keeper))

    def _classify(self, guid: str, item: Json) -> None:
        try:
            self._patiently(lambda: self._catalog.classify(guid, [{"propagate": False, **item}]))
        except CatalogRefusedError as error:
            if error.error_code != _ALREADY_CLASSIFIED:
                raise

    def _attributes(self, other: Json, keeper: Json) -> int:
        """Write what the kept one lacks, or what is told of a later time; how many attributes that were."""
        plain, custom = self._told(other, keeper), dict(other.get("customAttributes") or {})
        custom = {key: value for key, value in custom.items() if key not in (keeper.get("customAttributes") or {})}
        if not (plain or custom):
            return 0
        ends = {name: item for name, item in edges(keeper) if isinstance(keeper["relationshipAttributes"][name], dict)}
        needed = {name: keeper["attributes"].get(name) for name in (*self._required(keeper["typeName"]), "name")}
        document: Json = {
            "typeName": keeper["typeName"],
            "guid": keeper["guid"],
            "attributes": {
                **{name: value for name, value in needed.items() if value is not None and name not in ends},
                **plain,
                "qualifiedName": keeper["attributes"]["qualifiedName"],
            },
            "relationshipAttributes": {name: _reference(item) for name, item in ends.items()},
        }
        if custom:
            document["customAttributes"] = {**(keeper.get("customAttributes") or {}), **custom}
        self._patiently(lambda: self._catalog.write([document]))
        return len(plain) + len(custom)

    def _told(self, other: Json, keeper: Json) -> Json:
        """The attributes that change: what people wrote is kept; of facts those that are told of a later time count."""
        mine, theirs = keeper["attributes"], other["attributes"]
        dates = self._of_kind(keeper["typeName"], "date")
        ends = keeper.get("relationshipAttributes") or {}
        is_later = int(theirs.get(_FACTS_TIME) or 0) > int(mine.get(_FACTS_TIME) or 0)
        changed: Json = {}
        for name, value in theirs.items():
            if name in ends or name in _REPLICAS or _is_empty(value, name in dates):
                continue
            own = mine.get(name)
            is_kept = not _is_empty(own, name in dates) and (not is_later or name in _BY_PEOPLE)
            new = own if is_kept else value
            if isinstance(value, dict) and isinstance(own, dict) and "typeName" not in value:  # a map, and no struct
                new = {**value, **own} if is_kept else {**own, **value}
            if new != own:
                changed[name] = new
        return changed

    def _edges(self, other: Json, keeper: Json) -> int:
        """Give the kept one the edges of another; how many it lacked."""
        has = {(name, item["guid"]) for name, item in edges(keeper)}
        single = {name for name, _ in edges(keeper) if isinstance(keeper["relationshipAttributes"][name], dict)}
        added = 0
        for name, item in edges(other):
            if (name, item["guid"]) in has or name in single:
                continue
            ends = [_reference(keeper), _reference(item)]
            if self._end(name, item) == 2:
                ends.reverse()
            told = (item.get("relationshipAttributes") or {}).get("attributes") or {}
            attributes = {key: value for key, value in told.items() if value is not None}
            relate = partial(self._catalog.relate, item["relationshipType"], *ends, attributes=attributes)
            added += self._patiently(relate) is not None
        return added

    def _end(self, name: str, item: Json) -> int:
        """Which end of a relationship the entity is that has it as its attribute ``name``."""
        return 1 if self._type(item["relationshipType"])["endDef1"]["name"] == name else 2

    def _is_owner(self, name: str, item: Json) -> bool:
        definition = self._type(item["relationshipType"])
        is_container: bool = definition[f"endDef{self._end(name, item)}"].get("isContainer", False)
        return is_container and definition["relationshipCategory"] == "COMPOSITION"

    # --- one entity of the name --------------------------------------------------------------------------------------
    def _replace(self, ref: Ref, keeper: Json, others: Sequence[str]) -> None:
        """Delete the others while the kept one has another name."""
        guid = keeper["guid"]
        temporary = f"{TEMPORARY}{ref.qualified_name}"
        if keeper["attributes"]["qualifiedName"] != temporary:
            self._patiently(lambda: self._catalog.update_attribute(guid, "qualifiedName", temporary))
        try:
            if others:
                self._patiently(lambda: self._catalog.delete_by_guid(others))
        finally:
            self._patiently(lambda: self._catalog.update_attribute(guid, "qualifiedName", ref.qualified_name))

    def _verify(self, ref: Ref, keeper: Json) -> None:
        """A look by name and a write by name find the kept one."""
        name = {"name": keeper["attributes"]["name"]}
        self._patiently(lambda: self._catalog.update(ref.type_name, ref.qualified_name, name))
        answer = self._patiently(lambda: self._catalog.get(ref.type_name, ref.qualified_name))
        if answer is None or answer["guid"] != keeper["guid"]:
            found = "nothing" if answer is None else answer["guid"]
            raise CatalogRefusedError(
                f"after the repair a look by name finds {found}, and not {keeper['guid']}; wanted the one that was kept: look "
                "again with `mlgov doctor --duplicates`",
                error_code="ATLAS-404-00-009",
                status=404,
            )

    # --- types -------------------------------------------------------------------------------------------------------
    def _type(self, name: str) -> Json:
        if name not in self._types:
            found: Json | None = self._patiently(lambda: self._catalog.type_definition(name))
            if found is None:
                raise CatalogRefusedError(f"there is no type {name}", error_code="ATLAS-404-00-001", status=404)
            self._types[name] = found
        return self._types[name]

    def _definitions(self, type_name: str) -> Iterator[Json]:
        """The attributes of a type and of what it inherits from."""
        definition = self._type(type_name)
        yield from definition.get("attributeDefs") or ()
        for parent in definition.get("superTypes") or ():
            yield from self._definitions(parent)

    def _required(self, type_name: str) -> list[str]:
        return [each["name"] for each in self._definitions(type_name) if not each.get("isOptional", True)]

    def _of_kind(self, type_name: str, kind: str) -> set[str]:
        return {each["name"] for each in self._definitions(type_name) if each["typeName"] == kind}


def _is_empty(value: Any, is_date: bool) -> bool:
    return value in (None, "", [], {}) or (is_date and value == 0)


def _lacking(other: Mapping[str, Mapping[str, Any]], keeper: Mapping[str, Mapping[str, Any]]) -> dict[str, Json]:
    """The attributes of business metadata that only ``other`` has."""
    found = {
        group: {
            name: value for name, value in values.items() if value is not None and name not in keeper.get(group, {})
        }
        for group, values in other.items()
    }
    return {group: values for group, values in found.items() if values}


def _reference(item: Json) -> Json:
    return {
        "guid": item["guid"],
        "typeName": item["typeName"],
        **({"relationshipType": item["relationshipType"]} if item.get("relationshipType") else {}),
    }
