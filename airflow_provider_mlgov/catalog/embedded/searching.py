"""Basic search: entities by type, classification and filters."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from airflow_provider_mlgov.catalog.catalog import Json
from airflow_provider_mlgov.catalog.embedded import reading
from airflow_provider_mlgov.catalog.embedded.faults import invalid_parameters, refused
from airflow_provider_mlgov.catalog.embedded.registry import EntityType
from airflow_provider_mlgov.catalog.embedded.values import InvalidValueError, Normaliser
from airflow_provider_mlgov.catalog.embedded.work import Row, Work, index_texts

_CHUNK = 500
_OPERATORS: Mapping[str, str] = {
    "=": "eq", "eq": "eq", "EQ": "eq", "!=": "neq", "neq": "neq", "NEQ": "neq", "<": "lt", "lt": "lt", "LT": "lt",
    "<=": "lte", "lte": "lte", "LTE": "lte", ">": "gt", "gt": "gt", "GT": "gt", ">=": "gte", "gte": "gte", "GTE": "gte",
    "startsWith": "startsWith", "begins_with": "startsWith", "STARTSWITH": "startsWith", "endsWith": "endsWith",
    "ends_with": "endsWith", "ENDSWITH": "endsWith", "contains": "contains", "CONTAINS": "contains", "like": "contains",
    "LIKE": "contains", "is_null": "isNull", "isNull": "isNull", "not_null": "notNull", "notNull": "notNull",
}  # fmt: skip
_TESTS: Mapping[str, Callable[[Any, Any], bool]] = {
    "eq": lambda stored, wanted: stored == wanted,
    "neq": lambda stored, wanted: stored != wanted,
    "lt": lambda stored, wanted: stored is not None and stored < wanted,
    "lte": lambda stored, wanted: stored is not None and stored <= wanted,
    "gt": lambda stored, wanted: stored is not None and stored > wanted,
    "gte": lambda stored, wanted: stored is not None and stored >= wanted,
    "startsWith": lambda stored, wanted: isinstance(stored, str) and stored.startswith(str(wanted)),
    "endsWith": lambda stored, wanted: isinstance(stored, str) and stored.endswith(str(wanted)),
    "contains": lambda stored, wanted: isinstance(stored, (str, list)) and wanted in stored,
    "isNull": lambda stored, _: stored is None,
    "notNull": lambda stored, _: stored is not None,
}
_SYSTEM: Mapping[str, Callable[[Row], Any]] = {
    "__guid": lambda row: row.guid,
    "__typeName": lambda row: row.type_name,
    "__state": lambda row: row.status,
    "__createdBy": lambda row: row.created_by,
    "__modifiedBy": lambda row: row.updated_by,
    "__timestamp": lambda row: row.create_time,
    "__modificationTimestamp": lambda row: row.update_time,
    "__labels": lambda row: row.labels,
    "__customAttributes": lambda row: json.dumps(row.custom or {}),
}


@dataclass(frozen=True)
class Query:
    """What is searched for."""

    type_name: str | None = None
    classification: str | None = None
    filters: Mapping[str, Any] | None = None
    """Atlas's filter criteria: one, or a tree of ``condition`` and ``criterion``."""
    text: str | None = None
    attributes: Sequence[str] = ()
    limit: int = 100
    offset: int = 0
    include_deleted: bool = False
    sub_types: bool = True


@dataclass(frozen=True)
class Found:
    """What a search found: Atlas's headers and the entities that they refer to."""

    entities: list[Json]
    referred: dict[str, Json]
    count: int


def search(work: Work, query: Query) -> Found:
    """Run a basic search."""
    if query.limit < 0 or query.offset < 0:
        raise refused("400-00-029", "Limit/offset should be non-negative")
    if query.type_name is None and query.classification is None and query.text is None:
        raise refused(
            "400-00-047",
            "No search parameter was found. One of the following MUST be specified in the request; typeName, "
            "classification, termName or queryText",
        )
    entity_type = _type(work, query.type_name)
    test = _compile(work, entity_type, query.filters)
    rows = [
        row
        for row in _candidates(work, query, entity_type)
        if test(row) and (query.text is None or _has_text(row, query.text))
    ]
    page = rows[query.offset : query.offset + query.limit]
    shown = list(query.attributes) + list(_names(query.filters))
    headers = reading.headers(work, page, attributes=shown)
    referred = _add_related(work, page, headers, shown)
    return Found(headers, referred, len(rows))


def criteria(equal: Mapping[str, Any], below: Mapping[str, int]) -> Json | None:
    """The criteria for attributes that equal values, or are below them."""
    found = [
        {"attributeName": name, "operator": operator, "attributeValue": value}
        for operator, values in (("eq", equal), ("lt", below))
        for name, value in values.items()
    ]
    return {"condition": "AND", "criterion": found} if found else None


def _type(work: Work, name: str | None) -> EntityType | None:
    if name is None or name == "_ALL_ENTITY_TYPES":
        return None
    if not work.types.is_entity(name):
        raise refused("400-00-00A", f"{name}: Unknown/invalid typename")
    return work.types.entity_type(name)


def _candidates(work: Work, query: Query, entity_type: EntityType | None) -> Iterator[Row]:
    """The entities that may match, by whatever index says most, a chunk at a time."""
    where, parameters = ["1"], []
    for name, text in _indexable(work, entity_type, query.filters):
        where.append("id IN (SELECT entity FROM indexed WHERE attribute = ? AND value = ?)")
        parameters += [name, text]
    if query.classification is not None:
        found = _classifications(work, query.classification)
        where.append(_NOT_TAGGED if found is None else _TAGGED_AS if found else _TAGGED)
        parameters += [json.dumps(sorted(found))] if found else []
    if entity_type is not None:
        names = entity_type.subs if query.sub_types else {entity_type.name}
        # The plus keeps the type's index out of use where a better one serves.
        where.append(_TYPE if len(where) == 1 else "+" + _TYPE)
        parameters.append(json.dumps(sorted(names)))
    if not query.include_deleted:
        where.append("+status = 'ACTIVE'")
    statement = f"SELECT id FROM entity WHERE {' AND '.join(where)} ORDER BY id"  # noqa: S608 - constant conditions
    ids = [number for (number,) in work.connection.execute(statement, parameters)]
    for start in range(0, len(ids), _CHUNK):
        yield from work.rows(ids[start : start + _CHUNK])


_TYPE = "type IN (SELECT value FROM json_each(?))"
_TAGGED = "id IN (SELECT entity FROM tag)"
_TAGGED_AS = "id IN (SELECT entity FROM tag WHERE type IN (SELECT value FROM json_each(?)))"
_NOT_TAGGED = "id NOT IN (SELECT entity FROM tag)"


def _classifications(work: Work, name: str) -> set[str] | None:
    """The classifications meant: their names; empty for any, None for entities without one."""
    if name in ("*", "_CLASSIFIED", "_ALL_CLASSIFICATION_TYPES"):
        return set()
    if name == "_NOT_CLASSIFIED":
        return None
    if work.types.find(name, "CLASSIFICATION") is None:
        raise refused("400-00-046", f"{name}: Unknown/invalid classification")
    return work.types.classification_subs(name)


def _indexable(
    work: Work, entity_type: EntityType | None, filters: Mapping[str, Any] | None
) -> Iterator[tuple[str, str]]:
    """Filters that must hold and that the index can answer."""
    if not filters or entity_type is None:
        return
    if filters.get("criterion"):
        if str(filters.get("condition") or "AND").upper() == "AND":
            for one in filters["criterion"]:
                yield from _indexable(work, entity_type, one)
        return
    name, operator = filters.get("attributeName"), _OPERATORS.get(str(filters.get("operator")))
    attribute = entity_type.attributes.get(str(name))
    if operator == "eq" and attribute is not None and attribute.indexed:
        for text in index_texts(_value(work, attribute.type_name, filters.get("attributeValue"))):
            yield attribute.name, text


def _compile(work: Work, entity_type: EntityType | None, filters: Mapping[str, Any] | None) -> Callable[[Row], bool]:
    if not filters:
        return lambda _: True
    if filters.get("criterion"):
        tests = [_compile(work, entity_type, one) for one in filters["criterion"]]
        every = all if str(filters.get("condition") or "AND").upper() == "AND" else any
        return lambda row: every(test(row) for test in tests)
    name, operator = str(filters.get("attributeName")), _OPERATORS.get(str(filters.get("operator")))
    if operator is None:
        raise invalid_parameters(f"unknown operator {filters.get('operator')} for attribute {name}")
    read, type_name = _reader(work, entity_type, name)
    wanted, test = filters.get("attributeValue"), _TESTS[operator]
    if operator in ("eq", "neq", "lt", "lte", "gt", "gte"):
        wanted = _value(work, type_name, wanted)
    return lambda row: test(read(row), wanted)


def _reader(work: Work, entity_type: EntityType | None, name: str) -> tuple[Callable[[Row], Any], str]:
    if name in _SYSTEM:
        return _SYSTEM[name], "long" if name.endswith("imestamp") else "string"
    if entity_type is not None and name in entity_type.attributes:
        return lambda row: row.attributes.get(name), entity_type.attributes[name].type_name
    metadata, _, attribute = name.partition(".")
    if attribute and work.types.find(metadata, "BUSINESS_METADATA") is not None:
        known = work.types.own_attributes(metadata).get(attribute)
        if known is not None:
            return lambda row: row.business.get(metadata, {}).get(attribute), known.type_name
    shown = entity_type.name if entity_type is not None else "_ALL_ENTITY_TYPES"
    raise refused("400-00-023", f"Attribute {name} not found for type {shown}")


def _value(work: Work, type_name: str, value: Any) -> Any:
    if value is None or type_name.startswith(("array<", "map<")):
        return value
    try:
        return Normaliser(work.types, lambda _type, reference: dict(reference)).value(type_name, value, "filter")
    except InvalidValueError as error:
        raise invalid_parameters(str(error)) from error


def _names(filters: Mapping[str, Any] | None) -> Iterator[str]:
    if not filters:
        return
    for one in filters.get("criterion") or ():
        yield from _names(one)
    if filters.get("attributeName"):
        yield str(filters["attributeName"])


def _has_text(row: Row, text: str) -> bool:
    words = text.replace("*", " ").lower().split()
    content = json.dumps(list(row.attributes.values()), ensure_ascii=False).lower()
    return all(word in content for word in words)


def _add_related(work: Work, rows: Sequence[Row], headers: list[Json], names: Sequence[str]) -> dict[str, Json]:
    referred: dict[str, Json] = {}
    for name in names:
        for row_id, value in reading.related(work, rows, name).items():
            number = next(index for index, row in enumerate(rows) if row.id == row_id)
            headers[number]["attributes"][name] = value
            listed = value if isinstance(value, list) else [value] if value else []
            others = [work.by_guid(reference["guid"]) for reference in listed]
            referred |= {header["guid"]: header for header in reading.headers(work, others)}
    return referred
