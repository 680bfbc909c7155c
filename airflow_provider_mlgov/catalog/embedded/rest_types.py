"""Atlas v2's paths for types and administration."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from airflow_provider_mlgov.catalog.catalog import Json
from airflow_provider_mlgov.catalog.embedded import typedefs
from airflow_provider_mlgov.catalog.embedded.faults import invalid_parameters, refused
from airflow_provider_mlgov.catalog.embedded.rest import NO_CONTENT, Call, Handler, Route
from airflow_provider_mlgov.catalog.types.definitions import CATEGORIES

VERSION = {
    "Description": "Metadata Management and Data Governance Platform over Hadoop",
    "Revision": "embedded",
    "Version": "2.1.0",
    "Name": "apache-atlas",
}
_KINDS = {
    "enumdef": "ENUM",
    "structdef": "STRUCT",
    "classificationdef": "CLASSIFICATION",
    "entitydef": "ENTITY",
    "relationshipdef": "RELATIONSHIP",
    "businessmetadatadef": "BUSINESS_METADATA",
    "typedef": None,
}


def routes() -> list[Route]:
    """Paths and what is behind them."""
    found: list[Route] = [
        ("GET", "/admin/status", _status),
        ("GET", "/admin/version", lambda _: VERSION),
        ("PUT", "/admin/purge", _purge),
        ("GET", "/v2/types/typedefs", _definitions),
        ("POST", "/v2/types/typedefs", lambda call: call.catalog.create_types(dict(call.object()))),
        ("PUT", "/v2/types/typedefs", lambda call: call.catalog.update_types(dict(call.object()))),
        ("DELETE", "/v2/types/typedefs", _delete_document),
        ("GET", "/v2/types/typedefs/headers", _headers),
        ("DELETE", "/v2/types/typedef/name/{name}", _delete_one),
    ]
    for path, category in _KINDS.items():
        found.append(("GET", f"/v2/types/{path}/name/{{name}}", _by_name(category)))
        found.append(("GET", f"/v2/types/{path}/guid/{{guid}}", _by_guid(category)))
    return found


def _status(call: Call) -> Json:
    return {"Status": call.catalog.status()["Status"]}


def _purge(call: Call) -> Json:
    guids = [str(guid) for guid in call.list()]
    if not guids:
        raise invalid_parameters("Guid(s) not specified")
    return call.catalog.purge(guids)


def _selected(call: Call) -> Iterator[Json]:
    wanted, parent = call.text("type"), call.text("supertype")
    with call.catalog.reading() as work:
        for definition in work.types.definitions.values():
            if wanted and definition["category"] != wanted.upper():
                continue
            if parent and not (
                definition["category"] == "ENTITY"
                and parent in work.types.entity_type(definition["name"]).supers
                and parent != definition["name"]
            ):
                continue
            yield definition


def _definitions(call: Call) -> Json:
    chosen = list(_selected(call))
    with call.catalog.reading() as work:
        return work.types.document(chosen)


def _headers(call: Call) -> list[Json]:
    keys = ("guid", "name", "serviceType", "category")
    return [
        {key: definition[key] for key in keys if key in definition}
        for definition in _selected(call)
        if definition["category"] != "BUSINESS_METADATA"
    ]


def _delete_document(call: Call) -> Any:
    document = call.object()
    call.catalog.delete_types([definition["name"] for name in CATEGORIES for definition in document.get(name) or ()])
    return NO_CONTENT


def _delete_one(call: Call) -> Any:
    with call.catalog.writing() as work:
        typedefs.delete(work, [call.path["name"]])
    return NO_CONTENT


def _by_name(category: str | None) -> Handler:
    def handler(call: Call) -> Json:
        found = call.catalog.type_definition(call.path["name"])
        if found is None or category not in (None, found["category"]):
            raise refused("404-00-001", f"Given typename {call.path['name']} was invalid")
        return found

    return handler


def _by_guid(category: str | None) -> Handler:
    def handler(call: Call) -> Json:
        guid = call.path["guid"]
        with call.catalog.reading() as work:
            for definition in work.types.definitions.values():
                if definition["guid"] == guid and category in (None, definition["category"]):
                    return work.types.shown(definition)
        raise refused("404-00-002", f"Given type guid {guid} was invalid")

    return handler
