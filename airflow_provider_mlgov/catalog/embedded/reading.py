"""Stored entities as Atlas's JSON: whole, and as headers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from airflow_provider_mlgov.catalog.catalog import Json
from airflow_provider_mlgov.catalog.embedded import edges, tags
from airflow_provider_mlgov.catalog.embedded.registry import End, EntityType
from airflow_provider_mlgov.catalog.embedded.work import ACTIVE, Row, Work

_HEADER_ATTRIBUTES = ("name", "description", "owner", "createTime", "displayName")


def describe(work: Work, rows: Sequence[Row], *, relationships: bool) -> list[Json]:
    """Entities with all their attributes, in the order of ``rows``."""
    classifications = tags.of_entities(work, [row.id for row in rows])
    at = _edges_by_entity(work, rows, relationships=relationships)
    return [
        _described(work, row, classifications.get(row.id), at.get(row.id, []), relationships=relationships)
        for row in rows
    ]


def owned(work: Work, rows: Sequence[Row]) -> dict[str, Json]:
    """What these entities own, and what that owns: Atlas's ``referredEntities`` of a whole answer."""
    found: dict[str, Json] = {}
    seen = {row.id for row in rows}
    waiting = list(rows)
    while waiting:
        children: dict[int, None] = {}
        for row in waiting:
            ends = work.types.entity_type(row.type_name).ends
            owning = [end for by_type in ends.values() for end in by_type.values() if end.owns]
            if owning:
                for edge in edges.of_entities(work, [row.id], [end.relationship for end in owning]):
                    side = 1 if edge.end1 == row.id else 2
                    if any(end.relationship == edge.type_name and end.number == side for end in owning):
                        children[edge.end2 if side == 1 else edge.end1] = None
        waiting = work.rows(child for child in children if child not in seen)
        seen |= children.keys()
        found |= {entity["guid"]: entity for entity in describe(work, waiting, relationships=True)}
    return found


def headers(
    work: Work, rows: Sequence[Row], *, attributes: Sequence[str] = (), classifications: bool = False
) -> list[Json]:
    """Headers of entities; ``attributes`` names more to show, ``classifications`` shows these whole."""
    found = tags.of_entities(work, [row.id for row in rows])
    return [_header(work, row, found.get(row.id, []), attributes, with_classifications=classifications) for row in rows]


def related(work: Work, rows: Sequence[Row], name: str) -> dict[int, Any]:
    """A relationship attribute of entities as references, by entity."""
    found: dict[int, Any] = {}
    for row in rows:
        by_type = work.types.entity_type(row.type_name).ends.get(name)
        if by_type is None:
            continue
        found[row.id] = _references(work, row, by_type, edges.of_entities(work, [row.id], by_type))
    return found


def _described(
    work: Work, row: Row, classifications: list[Json] | None, at: list[edges.Edge], *, relationships: bool
) -> Json:
    entity_type = work.types.entity_type(row.type_name)
    attributes: Json = {name: row.attributes.get(name) for name in entity_type.attributes}
    described: Json = {
        "typeName": row.type_name,
        "attributes": attributes,
        "guid": row.guid,
        "isIncomplete": False,
        "status": row.status,
        "createdBy": row.created_by,
        "updatedBy": row.updated_by,
        "createTime": row.create_time,
        "updateTime": row.update_time,
        "version": 0,
        "labels": row.labels,
    }
    _add_legacy(work, row, entity_type, at, attributes, declared_only=not relationships)
    if relationships:
        described["relationshipAttributes"] = _relationship_attributes(work, row, entity_type, at)
    if classifications:
        described["classifications"] = classifications
    if row.custom is not None:
        described["customAttributes"] = row.custom
    if row.business:
        described["businessAttributes"] = row.business
    return described


def _add_legacy(
    work: Work, row: Row, entity_type: EntityType, at: list[edges.Edge], attributes: Json, *, declared_only: bool
) -> None:
    for name, by_type in entity_type.ends.items():
        legacy = {kind: end for kind, end in by_type.items() if end.legacy}
        if not legacy or (declared_only and name not in entity_type.declared_ends):
            continue
        value = _references(work, row, legacy, at)
        if value is not None:
            attributes[name] = value


def _references(work: Work, row: Row, by_type: Mapping[str, End], at: list[edges.Edge]) -> Any:
    found = [edges.reference_to(work, other) for _, other in _others(work, row, by_type, at)]
    if any(end.many for end in by_type.values()):
        return found
    return found[0] if found else None


def _relationship_attributes(work: Work, row: Row, entity_type: EntityType, at: list[edges.Edge]) -> Json:
    found: Json = {}
    for name, by_type in entity_type.ends.items():
        related_to = [_related(edge, other) for edge, other in _others(work, row, by_type, at)]
        if any(end.many for end in by_type.values()):
            found[name] = related_to
        elif related_to:
            found[name] = related_to[0]
    return found


def _others(work: Work, row: Row, by_type: Mapping[str, End], at: list[edges.Edge]) -> list[tuple[edges.Edge, Row]]:
    """The edges of a relationship attribute with the entities at their other ends, active ones first where only one is shown."""
    found = []
    for edge in at:
        end = by_type.get(edge.type_name)
        if end is not None and (edge.end1 if end.number == 1 else edge.end2) == row.id:
            found.append((edge, edge.end2 if end.number == 1 else edge.end1))
    if not any(end.many for end in by_type.values()):
        found.sort(key=lambda pair: (pair[0].status != ACTIVE, -pair[0].id))
    return [(edge, work.rows((other,))[0]) for edge, other in found]


def _related(edge: edges.Edge, other: Row) -> Json:
    own: Json = {"typeName": edge.type_name}
    return {
        "guid": other.guid,
        "typeName": other.type_name,
        "entityStatus": other.status,
        "displayText": other.display_text,
        "relationshipType": edge.type_name,
        "relationshipGuid": edge.guid,
        "relationshipStatus": edge.status,
        "relationshipAttributes": own | ({"attributes": edge.attributes} if edge.attributes else {}),
    }


def _edges_by_entity(work: Work, rows: Sequence[Row], *, relationships: bool) -> dict[int, list[edges.Edge]]:
    if relationships:
        found = edges.of_entities(work, [row.id for row in rows])
    else:
        types: set[str] = set()
        wanted = []
        for row in rows:
            entity_type = work.types.entity_type(row.type_name)
            if entity_type.declared_ends:
                wanted.append(row.id)
                types.update(kind for name in entity_type.declared_ends for kind in entity_type.ends[name])
        found = edges.of_entities(work, wanted, types) if wanted else []
    ids = {row.id for row in rows}
    at: dict[int, list[edges.Edge]] = {}
    for edge in found:
        for entity in {edge.end1, edge.end2} & ids:
            at.setdefault(entity, []).append(edge)
    work.rows({end for edge in found for end in (edge.end1, edge.end2)})  # fetched at once, then taken one by one
    return at


def _header(
    work: Work, row: Row, classifications: list[Json], attributes: Iterable[str], *, with_classifications: bool
) -> Json:
    entity_type = work.types.entity_type(row.type_name)
    shown = {attribute.name: row.attributes.get(attribute.name) for attribute in entity_type.unique}
    for name in _HEADER_ATTRIBUTES:
        if row.attributes.get(name) is not None:
            shown[name] = row.attributes[name]
    shown = {name: value for name, value in shown.items() if value is not None}
    for name in attributes:
        if name in entity_type.attributes:
            shown[name] = row.attributes.get(name)
        metadata, _, attribute = name.partition(".")
        if attribute in row.business.get(metadata, {}):
            shown[name] = row.business[metadata][attribute]
    header: Json = {
        "typeName": row.type_name,
        "attributes": shown,
        "guid": row.guid,
        "status": row.status,
        "displayText": row.display_text,
        "classificationNames": list(dict.fromkeys(tag["typeName"] for tag in classifications)),
        "meaningNames": [],
        "meanings": [],
        "isIncomplete": False,
        "labels": row.labels,
    }
    return header | ({"classifications": classifications} if with_classifications else {})
