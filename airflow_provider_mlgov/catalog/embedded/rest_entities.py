"""Atlas v2's paths for entities, their classifications, labels and business metadata."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from airflow_provider_mlgov.catalog.catalog import Json
from airflow_provider_mlgov.catalog.embedded import deleting, extras, reading, tags, writing
from airflow_provider_mlgov.catalog.embedded.faults import invalid_parameters, refused
from airflow_provider_mlgov.catalog.embedded.rest import NO_CONTENT, Call, Handler, MalformedCallError, Route
from airflow_provider_mlgov.catalog.embedded.work import Row, Work
from airflow_provider_mlgov.errors import EntityNotFoundError

_BY_GUID, _BY_NAME = "/v2/entity/guid/{guid}", "/v2/entity/uniqueAttribute/type/{type}"


def routes() -> list[Route]:
    """Paths and what is behind them."""
    found: list[Route] = [
        ("POST", "/v2/entity", _write_one),
        ("GET", "/v2/entity/bulk", _get_bulk),
        ("POST", "/v2/entity/bulk", _write_bulk),
        ("DELETE", "/v2/entity/bulk", _delete_bulk),
        ("GET", "/v2/entity/bulk/uniqueAttribute/type/{type}", _get_bulk_by_name),
        ("POST", "/v2/entity/bulk/classification", _classify_bulk),
        ("PUT", _BY_GUID, _update_attribute),
        ("PUT", _BY_NAME, _update_entity),
    ]
    for path in (_BY_GUID, _BY_NAME):
        found += [
            ("GET", path, _get_one),
            ("GET", f"{path}/header", _get_header),
            ("DELETE", path, _delete_one),
            ("GET", f"{path}/classifications", _get_classifications),
            ("GET", f"{path}/classification/{{name}}", _get_classification),
            ("POST", f"{path}/classifications", _changing(_add_classifications)),
            ("PUT", f"{path}/classifications", _changing(_change_classifications)),
            ("DELETE", f"{path}/classification/{{name}}", _changing(_remove_classification)),
            ("POST", f"{path}/labels", _changing(lambda work, row, call: extras.set_labels(work, row, call.list()))),
            ("PUT", f"{path}/labels", _changing(_add_labels)),
            ("DELETE", f"{path}/labels", _changing(_remove_labels)),
            ("POST", f"{path}/businessmetadata", _changing(_set_business)),
            ("DELETE", f"{path}/businessmetadata", _changing(_remove_business)),
            ("POST", f"{path}/businessmetadata/{{name}}", _changing(_set_business)),
            ("DELETE", f"{path}/businessmetadata/{{name}}", _changing(_remove_business)),
        ]
    return found


def _row(work: Work, call: Call) -> Row:
    if "guid" in call.path:
        return work.by_guid(call.path["guid"])
    return work.by_name(call.path["type"], call.unique())


def _changing(change: Callable[[Work, Row, Call], None]) -> Handler:
    def handler(call: Call) -> Any:
        with call.catalog.writing() as work:
            change(work, _row(work, call), call)
        return NO_CONTENT

    return handler


# --- whole entities --------------------------------------------------------------------------------------------------
def _entities(work: Work, rows: Sequence[Row], call: Call) -> tuple[list[Json], dict[str, Json]]:
    relationships = not call.flag("ignoreRelationships")
    return reading.describe(work, rows, relationships=relationships), reading.owned(work, rows) if relationships else {}


def _get_one(call: Call) -> Json:
    with call.catalog.reading() as work:
        entities, referred = _entities(work, [_row(work, call)], call)
    return {"referredEntities": referred, "entity": entities[0]}


def _get_header(call: Call) -> Json:
    with call.catalog.reading() as work:
        return reading.headers(work, [_row(work, call)])[0]


def _get_bulk(call: Call) -> Json:
    guids = call.all("guid")
    if not guids:
        raise refused("404-00-005", "Given instance guid [] is invalid/not found")
    with call.catalog.reading() as work:
        entities, referred = _entities(work, [work.by_guid(guid) for guid in guids], call)
    return {"referredEntities": referred, "entities": entities}


def _get_bulk_by_name(call: Call) -> Json:
    sought = [(key.partition(":")[2], value) for key, value in call.query if key.startswith("attr_") and ":" in key]
    with call.catalog.reading() as work:
        entity_type = work.entity_type(call.path["type"])
        rows = []
        for name, value in sought:
            attribute = entity_type.attributes.get(name)
            row = work.find_name(entity_type, attribute, value) if attribute is not None and attribute.unique else None
            if row is not None:
                rows.append(row)
        entities, referred = _entities(work, rows, call)
    return {"referredEntities": referred, "entities": entities} if entities else {}


def _listed(value: object) -> Sequence[Any]:
    if not isinstance(value, list):
        raise MalformedCallError("entities is no list")
    return value


def _referred(call: Call) -> Mapping[str, Json]:
    referred = call.object().get("referredEntities") or {}
    if not isinstance(referred, Mapping):
        raise MalformedCallError("referredEntities is no object")
    return referred


def _write_bulk(call: Call) -> Json:
    return call.catalog.write(_listed(call.object().get("entities")), referred=_referred(call))


def _write_one(call: Call) -> Json:
    entity = call.object().get("entity")
    if not isinstance(entity, Mapping):
        raise invalid_parameters("found null entity")
    return call.catalog.write([dict(entity)], referred=_referred(call))


def _update(work: Work, row: Row, entity: Mapping[str, Any], referred: Mapping[str, Json]) -> Json:
    payload = {**entity, "typeName": row.type_name, "guid": row.guid}
    answer = writing.Batch(work, [payload], referred, partial=True).write()
    changed = answer.get("mutatedEntities", {}).get("PARTIAL_UPDATE")
    return answer | ({"partialUpdatedEntities": changed} if changed else {})


def _update_entity(call: Call) -> Json:
    entity = call.object().get("entity")
    if not isinstance(entity, Mapping):
        raise invalid_parameters("no entity to update.")
    with call.catalog.writing() as work:
        work.entity_type(entity.get("typeName"))
        return _update(work, _row(work, call), entity, _referred(call))


def _update_attribute(call: Call) -> Json:
    name = call.text("name")
    with call.catalog.writing() as work:
        row = _row(work, call)
        entity_type = work.types.entity_type(row.type_name)
        if name is None or (name not in entity_type.attributes and name not in entity_type.ends):
            raise refused("400-00-023", f"Attribute {name} not found for type {row.type_name}")
        return _update(work, row, {"attributes": {name: call.body}}, {})


def _delete_one(call: Call) -> Json:
    with call.catalog.writing() as work:
        try:
            row = _row(work, call)
        except EntityNotFoundError:
            return {}
        return deleting.delete(work, [row])


def _delete_bulk(call: Call) -> Json:
    guids = call.all("guid")
    if not guids:
        raise invalid_parameters("Guid(s) not specified")
    return call.catalog.delete_by_guid(guids)


# --- classifications -------------------------------------------------------------------------------------------------
def _get_classifications(call: Call) -> Json:
    with call.catalog.reading() as work:
        row = _row(work, call)
        found = tags.of_entities(work, [row.id]).get(row.id, [])
    return {"list": found, "startIndex": 0, "pageSize": len(found), "totalCount": len(found), "sortType": "NONE"}


def _get_classification(call: Call) -> Json:
    with call.catalog.reading() as work:
        row = _row(work, call)
        for tag in tags.of_entities(work, [row.id]).get(row.id, []):
            if tag["typeName"] == call.path["name"]:
                return tag
    raise refused("404-00-008", f"Given classification {call.path['name']} was invalid")


def _add_classifications(work: Work, row: Row, call: Call) -> None:
    tags.add(work, row, call.list_of(dict))


def _change_classifications(work: Work, row: Row, call: Call) -> None:
    tags.change(work, row, call.list_of(dict))


def _remove_classification(work: Work, row: Row, call: Call) -> None:
    tags.remove(work, row, call.path["name"])


def _classify_bulk(call: Call) -> Any:
    classification, guids = call.object().get("classification"), call.object().get("entityGuids")
    if not isinstance(classification, Mapping) or not isinstance(guids, list) or not guids:
        raise invalid_parameters("classification and entityGuids must be given")
    with call.catalog.writing() as work:
        for guid in guids:
            tags.add(work, work.by_guid(guid), [classification])
    return NO_CONTENT


# --- labels and business metadata ------------------------------------------------------------------------------------
def _add_labels(work: Work, row: Row, call: Call) -> None:
    extras.set_labels(work, row, [*row.labels, *call.list()])


def _remove_labels(work: Work, row: Row, call: Call) -> None:
    extras.set_labels(work, row, [label for label in row.labels if label not in call.list()])


def _business(call: Call) -> Mapping[str, Any]:
    name = call.path.get("name")
    return call.object() if name is None else {name: call.body}


def _set_business(work: Work, row: Row, call: Call) -> None:
    extras.set_business(work, row, _business(call), overwrite=call.flag("isOverwrite"))


def _remove_business(work: Work, row: Row, call: Call) -> None:
    extras.remove_business(work, row, _business(call))
