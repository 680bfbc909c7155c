"""Relationships between entities: the rows, and the rules of their ends."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from airflow_provider_mlgov.catalog.catalog import Json
from airflow_provider_mlgov.catalog.embedded import tags
from airflow_provider_mlgov.catalog.embedded.faults import refused
from airflow_provider_mlgov.catalog.embedded.registry import End
from airflow_provider_mlgov.catalog.embedded.work import ACTIVE, DELETED, Row, Work

_COLUMNS = "id, guid, type, end1, end2, status, attributes, propagate, blocked, created_by, updated_by, create_time, update_time"
_JSON_COLUMNS = (6, 8)


@dataclass
class Edge:
    """A relationship as it is stored."""

    id: int
    guid: str
    type_name: str
    end1: int
    end2: int
    status: str
    attributes: dict[str, Any]
    propagate: str
    blocked: list[Json]
    created_by: str
    updated_by: str
    create_time: int
    update_time: int


@dataclass
class Replaced:
    """What replacing a relationship attribute came to."""

    added: list[int]
    """Entities at the other ends of new edges."""
    removed: list[int]
    """Entities at the other ends of edges that are gone."""


def select(work: Work, where: str, parameters: tuple[Any, ...]) -> list[Edge]:
    """Edges in the order in which they were made; ``where`` is a constant of the caller."""
    query = f"SELECT {_COLUMNS} FROM edge WHERE {where} ORDER BY id"  # noqa: S608 - constant conditions
    return [Edge(*_decoded(record)) for record in work.connection.execute(query, parameters)]


def _decoded(record: tuple[Any, ...]) -> Iterator[Any]:
    for column, value in enumerate(record):
        yield json.loads(value) if column in _JSON_COLUMNS else value


def by_guid(work: Work, guid: str) -> Edge:
    """The edge with this guid, or the error that there is none."""
    found = select(work, "guid = ?", (guid,))
    if not found:
        raise refused("404-00-00C", f"Given relationship guid {guid} is invalid/not found")
    return found[0]


def of_entities(work: Work, ids: Iterable[int], types: Iterable[str] | None = None) -> list[Edge]:
    """All edges, deleted ones too, at these entities; of these relationship types only, if given."""
    listed = json.dumps(list(ids))
    at = "(end1 IN (SELECT value FROM json_each(?)) OR end2 IN (SELECT value FROM json_each(?)))"
    if types is None:
        return select(work, at, (listed, listed))
    of_types = at + " AND type IN (SELECT value FROM json_each(?))"  # noqa: S608 - constants
    return select(work, of_types, (listed, listed, json.dumps(list(types))))


def replace(work: Work, entity: int, end: End, others: list[int], *, new: bool) -> Replaced:
    """Make the active edges of a relationship attribute exactly those to ``others``."""
    wanted = list(dict.fromkeys(others))
    present = {} if new else _active(work, entity, end)
    gone = {other: edge for other, edge in present.items() if other not in wanted}
    _delete(work, list(gone.values()))
    added = [other for other in wanted if other not in present]
    for other in added:
        if not end.other_many:
            _delete(work, list(_active(work, other, _opposite(end)).values()))
        ends = (entity, other) if end.number == 1 else (other, entity)
        create(work, end.relationship, *ends)
    return Replaced(added, list(gone))


def create(work: Work, type_name: str, end1: int, end2: int, attributes: Mapping[str, Any] | None = None) -> str:
    """Add an edge and pass on what propagates along it; returns its guid."""
    guid = str(uuid.uuid4())
    propagate = _propagation(work, type_name, end1)
    work.connection.execute(
        "INSERT INTO edge (guid, type, end1, end2, status, attributes, propagate, created_by, updated_by, create_time,"
        " update_time) VALUES (?, ?, ?, ?, 'ACTIVE', ?, ?, ?, ?, ?, ?)",
        (
            guid,
            type_name,
            end1,
            end2,
            json.dumps(attributes or {}),
            propagate,
            work.user,
            work.user,
            work.now,
            work.now,
        ),
    )
    if propagate in ("ONE_TO_TWO", "BOTH"):
        tags.pass_on(work, end1, end2)
    if propagate in ("TWO_TO_ONE", "BOTH"):
        tags.pass_on(work, end2, end1)
    return guid


def relate(
    work: Work, type_name: object, end1: object, end2: object, attributes: Mapping[str, Any] | None = None
) -> Edge:
    """POST relationship: add one edge between existing entities."""
    definition = work.types.find(type_name, "RELATIONSHIP")
    if definition is None:
        raise refused("400-00-028", f"invalid value: unknown relationship type'{type_name}'")
    rows = [
        _end_row(work, reference, definition[f"endDef{number}"]["type"]) for number, reference in ((1, end1), (2, end2))
    ]
    _check_ends(work, definition, rows)
    name, first, second = definition["name"], rows[0].id, rows[1].id
    if select(work, "type = ? AND end1 = ? AND end2 = ? AND status = 'ACTIVE'", (name, first, second)):
        raise refused(
            "409-00-004", f"relationship {name} already exists between entities {rows[0].guid} and {rows[1].guid}"
        )
    guid = create(work, name, first, second, attributes)
    work.touch(rows)
    return by_guid(work, guid)


def delete(work: Work, guid: str) -> None:
    """DELETE relationship: soft-delete one edge."""
    edge = by_guid(work, guid)
    if edge.status == DELETED:
        raise refused("404-00-00F", f"Attempting to delete a relationship which is already deleted : {guid}")
    _delete(work, [edge.id])  # what it propagated stays, as in Atlas


def delete_all(work: Work, entity: int) -> None:
    """Soft-delete all edges of an entity that is deleted."""
    work.connection.execute(
        "UPDATE edge SET status = 'DELETED', updated_by = ?, update_time = ?"
        " WHERE status = 'ACTIVE' AND (end1 = ? OR end2 = ?)",
        (work.user, work.now, entity, entity),
    )


def change(work: Work, edge: Edge, propagate: str, blocked: list[Json], attributes: Mapping[str, Any]) -> Edge:
    """PUT relationship: what propagates along an edge, and its attributes."""
    work.connection.execute(
        "UPDATE edge SET propagate = ?, blocked = ?, attributes = ?, updated_by = ?, update_time = ? WHERE id = ?",
        (propagate, json.dumps(blocked), json.dumps(dict(attributes)), work.user, work.now, edge.id),
    )
    tags.recompute(work, (edge.end1, edge.end2))
    return by_guid(work, edge.guid)


def describe(work: Work, edge: Edge) -> Json:
    """An edge as Atlas's relationship JSON."""
    end1, end2 = work.rows((edge.end1, edge.end2))
    definition = work.types.definitions[edge.type_name]
    described: Json = {
        "typeName": edge.type_name,
        "guid": edge.guid,
        "provenanceType": 0,
        "end1": reference_to(work, end1),
        "end2": reference_to(work, end2),
        "label": definition.get("relationshipLabel") or _label(definition),
        "propagateTags": edge.propagate,
        "status": edge.status,
        "createdBy": edge.created_by,
        "updatedBy": edge.updated_by,
        "createTime": edge.create_time,
        "updateTime": edge.update_time,
        "version": 0,
        "propagatedClassifications": tags.along(work, edge.end1, edge.end2) if edge.status == ACTIVE else [],
        "blockedPropagatedClassifications": edge.blocked,
    }
    return described | ({"attributes": edge.attributes} if edge.attributes else {})


def reference_to(work: Work, row: Row) -> Json:
    """A reference that names an entity by guid and by its unique attributes."""
    unique = {
        attribute.name: row.attributes[attribute.name]
        for attribute in work.types.entity_type(row.type_name).unique
        if row.attributes.get(attribute.name) is not None
    }
    return {"guid": row.guid, "typeName": row.type_name, "uniqueAttributes": unique}


def _active(work: Work, entity: int, end: End) -> dict[int, int]:
    this, other = ("end1", "end2") if end.number == 1 else ("end2", "end1")
    query = f"SELECT {other}, id FROM edge WHERE {this} = ? AND type = ? AND status = ? ORDER BY id"  # noqa: S608 - constants
    return dict(work.connection.execute(query, (entity, end.relationship, ACTIVE)))


def _delete(work: Work, ids: list[int]) -> None:
    work.connection.executemany(
        "UPDATE edge SET status = 'DELETED', updated_by = ?, update_time = ? WHERE id = ?",
        [(work.user, work.now, one) for one in ids],
    )


def _opposite(end: End) -> End:
    return End(
        end.relationship,
        3 - end.number,
        "",
        "",
        many=end.other_many,
        other_many=end.many,
        owns=end.owned,
        owned=end.owns,
        legacy=False,
    )


def _end_row(work: Work, reference: object, wanted: str) -> Row:
    row = None
    if isinstance(reference, Mapping):
        if reference.get("guid") is not None:
            row = work.find_guid(reference["guid"])
        elif isinstance(reference.get("uniqueAttributes"), Mapping) and work.types.is_entity(reference.get("typeName")):
            entity_type = work.types.entity_type(reference["typeName"])
            for name, value in reference["uniqueAttributes"].items():
                attribute = entity_type.attributes.get(name)
                if row is None and attribute is not None and attribute.unique:
                    row = work.find_name(entity_type, attribute, value)
    if row is None:
        raise refused("400-00-07D", f"Relationship end is invalid. Expected {wanted} but is NULL")
    return row


def _check_ends(work: Work, definition: Json, rows: list[Row]) -> None:
    first, second = (work.types.entity_type(row.type_name) for row in rows)
    type1, type2 = definition["endDef1"]["type"], definition["endDef2"]["type"]
    # Atlas takes the ends in either order.
    if not ((first.is_a(type1) and second.is_a(type2)) or (first.is_a(type2) and second.is_a(type1))):
        raise wrong_ends(definition, type2, rows[0].type_name)


def wrong_ends(definition: Json, found: str, other: str) -> Exception:
    """The two entities are not of the types that the relationship joins."""
    return refused(
        "400-00-036", f"invalid relationshipDef: {definition['name']}: end type 1: {found}, end type 2: {other}"
    )


def _propagation(work: Work, type_name: str, end1: int) -> str:
    definition = work.types.definitions[type_name]
    propagate = str(definition.get("propagateTags") or "NONE")
    (row,) = work.rows((end1,))
    if not work.types.entity_type(row.type_name).is_a(definition["endDef1"]["type"]):
        return _TURNED.get(propagate, propagate)
    return propagate


_TURNED = {"ONE_TO_TWO": "TWO_TO_ONE", "TWO_TO_ONE": "ONE_TO_TWO"}


def _label(definition: Json) -> str:
    number = 1 if definition["endDef1"].get("isContainer") or not definition["endDef2"].get("isContainer") else 2
    end = definition[f"endDef{number}"]
    return f"__{end['type']}.{end['name']}" if end.get("isLegacyAttribute") else f"r:{definition['name']}"
