"""Atlas v2's paths for relationships, lineage and search."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, get_args

from airflow_provider_mlgov.catalog.catalog import Direction, Json
from airflow_provider_mlgov.catalog.embedded import edges, lineage, searching
from airflow_provider_mlgov.catalog.embedded.faults import refused
from airflow_provider_mlgov.catalog.embedded.rest import NO_CONTENT, Call, MalformedCallError, Route


def routes() -> list[Route]:
    """Paths and what is behind them."""
    return [
        ("POST", "/v2/relationship", _relate),
        ("PUT", "/v2/relationship", _change),
        ("GET", "/v2/relationship/guid/{guid}", _get_relationship),
        ("DELETE", "/v2/relationship/guid/{guid}", _delete_relationship),
        ("GET", "/v2/lineage/uniqueAttribute/type/{type}", _lineage),
        ("GET", "/v2/lineage/{guid}", _lineage),
        ("GET", "/v2/search/basic", _search_by_query),
        ("POST", "/v2/search/basic", lambda call: _search(call, call.object())),
    ]


def _relate(call: Call) -> Json:
    body = call.object()
    has_ends = all(isinstance(body.get(end), Mapping) for end in ("end1", "end2"))
    if body.get("typeName") and not has_ends:
        raise MalformedCallError("a relationship needs end1 and end2")
    attributes = body.get("attributes")
    with call.catalog.writing() as work:
        edge = edges.relate(
            work,
            body.get("typeName"),
            body.get("end1"),
            body.get("end2"),
            attributes if isinstance(attributes, Mapping) else None,
        )
        return edges.describe(work, edge)


def _change(call: Call) -> Json:
    body = call.object()
    guid = body.get("guid")
    if not isinstance(guid, str):
        raise refused("404-00-00C", f"Given relationship guid {guid} is invalid/not found")
    with call.catalog.writing() as work:
        edge = edges.by_guid(work, guid)
        propagate = body.get("propagateTags") or edge.propagate
        if propagate not in ("NONE", "ONE_TO_TWO", "TWO_TO_ONE", "BOTH"):
            raise MalformedCallError(f"propagateTags={propagate}")
        blocked = body.get("blockedPropagatedClassifications")
        attributes = body.get("attributes")
        edge = edges.change(
            work,
            edge,
            propagate,
            list(blocked) if isinstance(blocked, list) else edge.blocked,
            attributes if isinstance(attributes, Mapping) else edge.attributes,
        )
        return edges.describe(work, edge)


def _get_relationship(call: Call) -> Json:
    with call.catalog.reading() as work:
        return {"relationship": edges.describe(work, edges.by_guid(work, call.path["guid"]))}


def _delete_relationship(call: Call) -> Any:
    call.catalog.delete_relationship(call.path["guid"])
    return NO_CONTENT


def _lineage(call: Call) -> Json:
    direction = call.text("direction") or "BOTH"
    if direction not in get_args(Direction):
        raise MalformedCallError(f"direction={direction}")
    depth = call.number("depth", 3)
    with call.catalog.reading() as work:
        row = work.by_guid(call.path["guid"]) if "guid" in call.path else work.by_name(call.path["type"], call.unique())
        return lineage.lineage(work, row, direction, depth)  # type: ignore[arg-type]


def _search_by_query(call: Call) -> Json:
    parameters: dict[str, Any] = {
        name: call.text(name) for name in ("query", "typeName", "classification") if call.text(name) is not None
    }
    parameters["excludeDeletedEntities"] = call.flag("excludeDeletedEntities")
    parameters |= {"limit": call.number("limit", 100), "offset": call.number("offset", 0)}
    return _search(call, parameters)


_PARAMETERS: Json = {
    "excludeDeletedEntities": False,
    "includeClassificationAttributes": False,
    "includeSubTypes": True,
    "includeSubClassifications": True,
    "limit": 100,
    "offset": 0,
}


def _search(call: Call, body: Mapping[str, Any]) -> Json:
    limit, offset = body.get("limit"), body.get("offset")
    filters = body.get("entityFilters")
    if not all(value is None or isinstance(value, int) for value in (limit, offset)):
        raise MalformedCallError("limit and offset are numbers")
    query = searching.Query(
        type_name=body.get("typeName"),
        classification=body.get("classification"),
        filters=filters if isinstance(filters, Mapping) else None,
        text=body.get("query"),
        attributes=[str(name) for name in body.get("attributes") or ()],
        limit=limit or 100,
        offset=offset or 0,
        include_deleted=not body.get("excludeDeletedEntities", False),
        sub_types=body.get("includeSubTypes", True) is not False,
    )
    with call.catalog.reading() as work:
        found = searching.search(work, query)
    answer: Json = {"queryType": "BASIC", "searchParameters": _PARAMETERS | dict(body) | {"limit": query.limit}}
    if found.entities:
        answer["entities"] = found.entities
    if found.referred:
        answer["referredEntities"] = found.referred
    return answer | {"approximateCount": found.count}
