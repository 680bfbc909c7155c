"""Soft delete with what an entity owns, and purge."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from airflow_provider_mlgov.catalog.catalog import Json
from airflow_provider_mlgov.catalog.embedded import edges, reading, tags
from airflow_provider_mlgov.catalog.embedded.work import ACTIVE, DELETED, Row, Work


def delete(work: Work, rows: Sequence[Row]) -> Json:
    """Soft-delete these entities and all they own; what is deleted already is left alone."""
    going = [row for row in _with_owned(work, rows) if row.status == ACTIVE]
    if not going:
        return {}
    described = reading.headers(work, going)
    for row in going:
        edges.delete_all(work, row.id)
        tags.entity_deleted(work, row)
        work.delete_row(row)
    return {"mutatedEntities": {"DELETE": described}}


def purge(work: Work, guids: Iterable[str]) -> Json:
    """Remove deleted entities, and the deleted ones they own, for good."""
    found = [row for guid in guids if (row := work.find_guid(guid)) is not None and row.status == DELETED]
    going = [row for row in _with_owned(work, found) if row.status == DELETED]
    if not going:
        return {}
    described = reading.headers(work, going, classifications=True)
    for row in going:
        work.purge_row(row)
    return {"mutatedEntities": {"PURGE": described}}


def _with_owned(work: Work, rows: Iterable[Row]) -> list[Row]:
    """The entities after what they own, so that children go first."""
    ordered: dict[int, Row] = {}
    seen: set[int] = set()

    def visit(row: Row) -> None:
        if row.id in seen:
            return
        seen.add(row.id)
        for child in _children(work, row):
            visit(child)
        ordered[row.id] = row

    for row in rows:
        visit(row)
    return list(ordered.values())


def _children(work: Work, row: Row) -> list[Row]:
    ends = [
        end for by_type in work.types.entity_type(row.type_name).ends.values() for end in by_type.values() if end.owns
    ]
    if not ends:
        return []
    sides = {(end.relationship, end.number) for end in ends}
    children = []
    for edge in edges.of_entities(work, [row.id], {end.relationship for end in ends}):
        side = 1 if edge.end1 == row.id else 2
        current = edge.status == ACTIVE or row.status == DELETED
        if current and (edge.type_name, side) in sides:
            children.append(edge.end2 if side == 1 else edge.end1)
    return work.rows(children)
