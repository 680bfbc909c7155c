"""Classifications: put on entities, and passed on along relationships."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from airflow_provider_mlgov.catalog.catalog import Json
from airflow_provider_mlgov.catalog.embedded.faults import (
    invalid_instance,
    invalid_parameters,
    no_such_type,
    refused,
)
from airflow_provider_mlgov.catalog.embedded.values import InvalidValueError, Normaliser
from airflow_provider_mlgov.catalog.embedded.work import Row, Work

_ALONG = """
SELECT CASE WHEN end1 = :at THEN end2 ELSE end1 END, blocked FROM edge
WHERE status = 'ACTIVE' AND (
  (end1 = :at AND propagate IN ('ONE_TO_TWO', 'BOTH')) OR (end2 = :at AND propagate IN ('TWO_TO_ONE', 'BOTH')))
"""


def add(work: Work, row: Row, classifications: Sequence[Mapping[str, Any]]) -> None:
    """Put classifications on an entity and pass them on."""
    if not classifications:
        raise invalid_parameters("classifications(s) not specified")
    for classification in classifications:
        name = _checked(work, classification, row)
        if _own(work, row, name) is not None:
            raise invalid_parameters(f"entity: {row.guid}, already associated with classification: {name}")
        _store(work, row, name, classification, {})
    work.touch([row])


def change(work: Work, row: Row, classifications: Sequence[Mapping[str, Any]]) -> None:
    """PUT classifications: change those that are there."""
    if not classifications:
        raise invalid_parameters("classifications(s) not specified")
    for classification in classifications:
        name = _checked(work, classification, row)
        old = _own(work, row, name)
        if old is None:
            raise refused("400-00-06D", f"Classification {name} is not associated with entity")
        work.connection.execute("DELETE FROM tag WHERE source = ? AND type = ?", (row.id, name))
        _store(work, row, name, classification, old)
    work.touch([row])


def remove(work: Work, row: Row, name: str) -> None:
    """Take a classification off the entity that it was put on, and what it propagated with it."""
    if work.types.find(name, "CLASSIFICATION") is None:
        raise no_such_type("CLASSIFICATION", name)
    if _own(work, row, name) is None:
        raise refused("404-00-003", f"No classifications associated with entity: {row.guid}")
    work.connection.execute("DELETE FROM tag WHERE source = ? AND type = ?", (row.id, name))
    work.touch([row])


def of_entities(work: Work, ids: Iterable[int]) -> dict[int, list[Json]]:
    """Own and propagated classifications by entity."""
    found: dict[int, list[Json]] = {}
    query = (
        "SELECT tag.entity, tag.type, tag.attributes, tag.propagate, tag.remove_on_delete, tag.validity, entity.guid,"
        " entity.status FROM tag JOIN entity ON entity.id = tag.source"
        " WHERE tag.entity IN (SELECT value FROM json_each(?)) ORDER BY tag.entity, tag.source != tag.entity, tag.type"
    )
    for entity, name, attributes, propagate, removed, validity, guid, status in work.connection.execute(
        query, (json.dumps(list(ids)),)
    ):
        described: Json = {"typeName": name}
        values = json.loads(attributes)
        if values:
            described["attributes"] = values
        described |= {"entityGuid": guid, "entityStatus": status, "propagate": bool(propagate)}
        periods = json.loads(validity)
        if periods:
            described["validityPeriods"] = periods
        found.setdefault(entity, []).append(described | {"removePropagationsOnEntityDelete": bool(removed)})
    return found


def along(work: Work, end1: int, end2: int) -> list[Json]:
    """The classifications that both ends of an edge have from the same source."""
    found = of_entities(work, (end1, end2))
    return [tag for tag in found.get(end1, []) if tag["propagate"] and tag in found.get(end2, [])]


def pass_on(work: Work, source_side: int, other_side: int) -> None:
    """Pass what propagates at one end of a new edge on to the other end and beyond."""
    query = "SELECT type, source, attributes, remove_on_delete, validity FROM tag WHERE entity = ? AND propagate"
    for name, source, *rest in work.connection.execute(query, (source_side,)).fetchall():
        reached = _reach(work, other_side, name, source) | {other_side}
        _propagate(work, name, source, reached, rest)


def recompute(work: Work, entities: Iterable[int]) -> None:
    """Make what is propagated through these entities agree with the edges as they are now."""
    query = (
        "SELECT DISTINCT type, source, attributes, remove_on_delete, validity FROM tag"
        " WHERE propagate AND entity IN (SELECT value FROM json_each(?))"
    )
    for name, source, *rest in work.connection.execute(query, (json.dumps(list(entities)),)).fetchall():
        reached = _reach(work, source, name, source)
        work.connection.execute(
            "DELETE FROM tag WHERE type = ? AND source = ? AND entity != source"
            " AND entity NOT IN (SELECT value FROM json_each(?))",
            (name, source, json.dumps(list(reached))),
        )
        _propagate(work, name, source, reached, rest)


def entity_deleted(work: Work, row: Row) -> None:
    """Take back what a deleted entity propagated, where its classification says so."""
    work.connection.execute("DELETE FROM tag WHERE source = ? AND entity != ? AND remove_on_delete", (row.id, row.id))


def _checked(work: Work, classification: Mapping[str, Any], row: Row) -> str:
    name = classification.get("typeName") if isinstance(classification, Mapping) else None
    definition = work.types.find(name, "CLASSIFICATION")
    if definition is None or not isinstance(name, str):
        raise refused("404-00-008", f"Given classification {name} was invalid")
    allowed = definition.get("entityTypes") or ()
    if allowed and not set(allowed) & set(work.types.entity_type(row.type_name).supers):
        raise invalid_parameters(
            f"entity: {row.guid}, classification {name} cannot be applied to entities of type {row.type_name}"
        )
    return name


def _own(work: Work, row: Row, name: str) -> Mapping[str, Any] | None:
    query = (
        "SELECT attributes, propagate, remove_on_delete, validity FROM tag WHERE entity = ? AND type = ? AND source = ?"
    )
    found = work.connection.execute(query, (row.id, name, row.id)).fetchone()
    if found is None:
        return None
    return {
        "attributes": json.loads(found[0]),
        "propagate": bool(found[1]),
        "removePropagationsOnEntityDelete": bool(found[2]),
        "validityPeriods": json.loads(found[3]),
    }


def _store(work: Work, row: Row, name: str, given: Mapping[str, Any], old: Mapping[str, Any]) -> None:
    def setting(key: str, otherwise: Any) -> Any:
        value = given.get(key)
        return old.get(key, otherwise) if value is None else value

    propagate = bool(setting("propagate", True))
    values = (
        json.dumps(_attributes(work, name, given.get("attributes"), old.get("attributes") or {})),
        bool(setting("removePropagationsOnEntityDelete", False)),
        json.dumps(setting("validityPeriods", [])),
    )
    work.connection.execute(
        "INSERT INTO tag VALUES (?, ?, ?, ?, ?, ?, ?)", (row.id, name, row.id, values[0], propagate, *values[1:])
    )
    if propagate:
        _propagate(work, name, row.id, _reach(work, row.id, name, row.id), values)


def _attributes(work: Work, name: str, given: object, old: Mapping[str, Any]) -> dict[str, Any]:
    normaliser = Normaliser(work.types, lambda _type, value: dict(value))
    values = given if isinstance(given, Mapping) else {}
    stored, problems = {}, []
    for attribute in work.types.all_attributes(name).values():
        if attribute.name not in values and attribute.name in old:
            stored[attribute.name] = old[attribute.name]
            continue
        try:
            stored[attribute.name] = normaliser.attribute(
                attribute, values.get(attribute.name), f"{name}.{attribute.name}"
            )
        except InvalidValueError as error:
            problems.append(str(error))
        if not attribute.optional and stored.get(attribute.name) is None:
            problems.append(f"{name}.{attribute.name}: mandatory attribute value missing in type {attribute.owner}")
    if problems:
        raise invalid_instance(problems)
    return stored


def _propagate(work: Work, name: str, source: int, reached: Iterable[int], rest: Sequence[Any]) -> None:
    attributes, removed, validity = rest
    work.connection.executemany(
        "INSERT OR IGNORE INTO tag VALUES (?, ?, ?, ?, 1, ?, ?)",
        [(entity, name, source, attributes, removed, validity) for entity in reached],
    )


def _reach(work: Work, start: int, name: str, source: int) -> set[int]:
    (guid,) = work.connection.execute("SELECT guid FROM entity WHERE id = ?", (source,)).fetchone()
    seen, waiting = {start}, [start]
    while waiting:
        for other, blocked in work.connection.execute(_ALONG, {"at": waiting.pop()}).fetchall():
            if other not in seen and not _blocks(blocked, name, guid):
                seen.add(other)
                waiting.append(other)
    return seen - {start}


def _blocks(blocked: str, name: str, guid: str) -> bool:
    return blocked != "[]" and any(
        entry.get("typeName") == name and entry.get("entityGuid") in (None, guid) for entry in json.loads(blocked)
    )
