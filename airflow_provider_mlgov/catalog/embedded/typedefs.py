"""Creating, changing and removing types, with Atlas's rules."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from airflow_provider_mlgov.catalog.catalog import Json
from airflow_provider_mlgov.catalog.embedded.faults import refused
from airflow_provider_mlgov.catalog.embedded.registry import PRIMITIVES, Registry, applicable
from airflow_provider_mlgov.catalog.embedded.work import Work
from airflow_provider_mlgov.catalog.types.definitions import CATEGORIES

_NAME = re.compile(r"[a-zA-Z][a-zA-Z0-9_ ]*")
_UNBOUNDED = 2**31 - 1


def create(work: Work, document: Mapping[str, Any]) -> Json:
    """POST typedefs: all types of the document, or none."""
    new = [_completed(work, category, definition) for category, definition in _listed(document)]
    for definition in new:
        if definition["name"] in work.types.definitions:
            raise refused("409-00-001", f"Given type {definition['name']} already exists")
    return _checked_and_stored(work, new)


def update(work: Work, document: Mapping[str, Any]) -> Json:
    """PUT typedefs: what may be added is added; the rest is refused, and then nothing changes."""
    new = []
    for category, definition in _listed(document):
        old = work.types.find(definition.get("name"), category)
        if old is None:
            raise refused("404-00-001", f"Given typename {definition.get('name')} was invalid")
        changed = {**old, **_completed(work, category, definition)}
        kept = {key: old.get(key) for key in ("guid", "createdBy", "createTime")}
        changed |= {**kept, "version": int(old.get("version") or 1) + 1}
        _check_change(old, changed)
        new.append(changed)
    return _checked_and_stored(work, new)


def delete(work: Work, names: Sequence[str]) -> None:
    """DELETE typedefs: types that nothing uses."""
    for name in names:
        definition = work.types.definitions.get(name)
        if definition is None:
            raise refused("404-00-001", f"Given typename {name} was invalid")
        if _used(work, name, definition, leaving=set(names)):
            raise refused("409-00-002", f"Given type {name} has references")
        work.connection.execute("DELETE FROM type WHERE name = ?", (name,))
    _bump(work)


def _listed(document: Mapping[str, Any]) -> Iterator[tuple[str, Json]]:
    for name, category in CATEGORIES.items():
        for definition in document.get(name) or ():
            yield category, definition


def _completed(work: Work, category: str, definition: Json) -> Json:
    name = definition.get("name")
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise refused(
            "400-00-019",
            f"{name or ''}: invalid name for {category}.  Names must consist of a letter followed by a sequence of letter, "
            "number, space, or _ characters",
        )
    given = {key: value for key, value in definition.items() if value is not None and key not in _DERIVED}
    completed: Json = {
        "category": category,
        "guid": str(uuid.uuid4()),
        "createdBy": work.user,
        "updatedBy": work.user,
        "createTime": work.now,
        "updateTime": work.now,
        "version": 1,
        "description": name,
        "typeVersion": "1.0",
    }
    completed |= {
        key: value for key, value in given.items() if key not in completed or key in ("description", "typeVersion")
    }
    if category == "ENUM":
        completed.setdefault("elementDefs", [])
        return completed
    completed["attributeDefs"] = [_completed_attribute(item) for item in given.get("attributeDefs") or ()]
    if category in ("ENTITY", "CLASSIFICATION"):
        completed.setdefault("superTypes", [])
    for end in ("endDef1", "endDef2"):
        if isinstance(completed.get(end), Mapping):
            completed[end] = {
                "isContainer": False,
                "cardinality": "SINGLE",
                "isLegacyAttribute": False,
                **completed[end],
            }
    if category == "CLASSIFICATION":
        completed.setdefault("entityTypes", [])
    return completed


_DERIVED = ("subTypes", "relationshipAttributeDefs", "businessAttributeDefs")


def _completed_attribute(item: Json) -> Json:
    optional = bool(item.get("isOptional", False))
    cardinality = item.get("cardinality") or "SINGLE"
    completed = {
        "isOptional": optional,
        "cardinality": cardinality,
        "valuesMinCount": 0 if optional else 1,
        "valuesMaxCount": 1 if cardinality == "SINGLE" else _UNBOUNDED,
        "isUnique": False,
        "isIndexable": False,
        "includeInNotification": False,
        "searchWeight": -1,
    }
    return completed | {key: value for key, value in item.items() if value is not None}


def _check_change(old: Json, new: Json) -> None:
    name = new["name"]
    before = {item["name"]: item for item in old.get("attributeDefs") or ()}
    after = {item["name"]: item for item in new.get("attributeDefs") or ()}
    for attribute in before:
        if attribute not in after:
            raise refused("400-00-00D", f"{name}.{attribute} : attribute delete not supported")
        if before[attribute]["typeName"] != after[attribute]["typeName"]:
            raise refused("400-00-029", "Data type update for attribute is not supported")
    for attribute, item in after.items():
        if attribute not in before and not item["isOptional"]:
            raise refused("400-00-00C", f"{name}.{attribute} : can not add mandatory attribute")
    if not set(old.get("superTypes") or ()) <= set(new.get("superTypes") or ()):
        raise refused("400-00-00E", "superType remove not supported")
    for end in ("endDef1", "endDef2"):
        if old.get(end) and {**old[end], **new[end]}["type"] != old[end]["type"]:
            raise refused("400-00-02F", f"{name}: the type of {end} cannot be changed")


def _checked_and_stored(work: Work, new: list[Json]) -> Json:
    own = {name: json.loads(text) for name, text in work.connection.execute("SELECT name, definition FROM type")}
    types = Registry({**own, **{definition["name"]: definition for definition in new}})
    for definition in new:
        _check(types, definition)
    work.connection.executemany(
        "INSERT OR REPLACE INTO type VALUES (?, ?)", [(item["name"], json.dumps(item)) for item in new]
    )
    if new:
        _bump(work)
    return types.document(new)


def _check(types: Registry, definition: Json) -> None:
    for parent in definition.get("superTypes") or ():
        if types.find(parent, definition["category"]) is None:
            raise refused("400-00-029", f"Given typename {parent} was invalid")
    _check_no_cycle(types, definition)
    if definition["category"] == "RELATIONSHIP":
        _check_relationship(types, definition)
    for item in definition.get("attributeDefs") or ():
        for name in re.split(r"[<>,\s]+", item["typeName"]):
            if name and name not in PRIMITIVES and name not in ("array", "map") and name not in types.definitions:
                raise refused("400-00-029", f"Given typename {name} was invalid")
        if definition["category"] == "BUSINESS_METADATA":
            _check_business(types, item)


def _check_no_cycle(types: Registry, definition: Json) -> None:
    waiting, seen = list(definition.get("superTypes") or ()), set()
    while waiting:
        name = waiting.pop()
        if name == definition["name"]:
            raise refused("400-00-00F", f"{name}: a type cannot be its own super type")
        if name not in seen:
            seen.add(name)
            waiting += types.definitions.get(name, {}).get("superTypes") or ()


def _check_relationship(types: Registry, definition: Json) -> None:
    for number in (1, 2):
        end = definition.get(f"endDef{number}")
        if not isinstance(end, Mapping) or not end.get("name") or not end.get("type"):
            raise refused("400-00-02E", f"RelationshipDef {definition['name']}: endDef{number} is not complete")
        if types.find(end["type"], "ENTITY") is None:
            raise refused("400-00-029", f"Given typename {end['type']} was invalid")
    if any(definition[f"endDef{number}"].get("cardinality") == "LIST" for number in (1, 2)):
        raise refused("400-00-034", f"relationshipDef {definition['name']} cannot have a LIST cardinality on an end")
    containers = [bool(definition[f"endDef{number}"].get("isContainer")) for number in (1, 2)]
    kind, name = definition.get("relationshipCategory") or "ASSOCIATION", definition["name"]
    if all(containers):
        raise refused("400-00-02D", f"relationshipDef {name} creation attempted with both ends as containers")
    if kind == "ASSOCIATION" and any(containers):
        raise refused(
            "400-00-030", f"ASSOCIATION relationshipDef {name} creation attempted with an end specifying isContainer"
        )
    if kind != "ASSOCIATION" and not any(containers):
        code = "400-00-031" if kind == "COMPOSITION" else "400-00-032"
        raise refused(code, f"{kind} relationshipDef {name} creation attempted without an end specifying isContainer")
    child = definition[f"endDef{2 if containers[0] else 1}"]
    if kind == "COMPOSITION" and child.get("cardinality", "SINGLE") != "SINGLE":
        raise refused(
            "400-00-033",
            f"COMPOSITION relationshipDef {name} can only have one parent; so cannot have SET cardinality on children",
        )


def _check_business(types: Registry, item: Json) -> None:
    options: Mapping[str, Any] = item.get("options") or {}
    if not options.get("applicableEntityTypes"):
        raise refused(
            "400-00-02B", f"Mandatory field {item['name']}.options.applicableEntityTypes has empty/null value"
        )
    if item["typeName"] in ("string", "array<string>") and not options.get("maxStrLength"):
        raise refused("400-00-02B", f"Mandatory field {item['name']}.options.maxStrLength has empty/null value")
    for name in applicable(item):
        if types.find(name, "ENTITY") is None:
            raise refused("400-00-029", f"Given typename {name} was invalid")


def _used(work: Work, name: str, definition: Json, leaving: set[str]) -> bool:
    table = {"ENTITY": "entity", "CLASSIFICATION": "tag", "RELATIONSHIP": "edge"}.get(definition["category"])
    query = f"SELECT 1 FROM {table} WHERE type = ? LIMIT 1"  # noqa: S608 - one of three constant names
    if table and work.connection.execute(query, (name,)).fetchone():
        return True
    for other in work.types.definitions.values():
        if other["name"] in leaving:
            continue
        named = {word for item in other.get("attributeDefs") or () for word in re.split(r"[<>,\s]+", item["typeName"])}
        named |= set(other.get("superTypes") or ())
        named |= {other[end]["type"] for end in ("endDef1", "endDef2") if other.get(end)}
        if name in named:
            return True
    return False


def _bump(work: Work) -> None:
    work.connection.execute("UPDATE meta SET value = value + 1 WHERE key = 'types'")
