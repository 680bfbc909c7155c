"""Calls to a catalogue while names change in it: made again where that helps, and where it refuses one, all else goes on."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from airflow_provider_mlgov.errors import CatalogRefusedError
from airflow_provider_mlgov.model.entity import Ref

if TYPE_CHECKING:
    from airflow_provider_mlgov.catalog.catalog import Catalog

log = logging.getLogger(__name__)

Json = dict[str, Any]

_SEARCH_PAGE, SEARCH_LIMIT = 500, 5_000
_WRITTEN_AT_ONCE = 50
BY_PEOPLE = ("owner", "description", "userDescription", "displayName")
"""What people say of an entity in a text."""


class PatientCatalog:
    """``patiently`` makes a call, again where that helps."""

    def __init__(self, catalog: Catalog, patiently: Callable[[Callable[[], Any]], Any]) -> None:
        self._catalog = catalog
        self._patiently = patiently

    # --- reading -----------------------------------------------------------------------------------------------------
    def get(self, ref: Ref, *, relationships: bool = True) -> Json | None:
        """The active entity of this name."""
        found: Json | None = self._patiently(
            lambda: self._catalog.get(ref.type_name, ref.qualified_name, relationships=relationships)
        )
        return found

    def get_many(self, type_name: str, names: Iterable[str]) -> dict[str, Json]:
        """The active entities of these names, without relationships."""
        found: dict[str, Json] = self._patiently(lambda: self._catalog.get_many(type_name, names))
        return found

    def by_guid(self, guid: str, *, relationships: bool = True) -> Json | None:
        """The entity, active or deleted."""
        found: Json | None = self._patiently(lambda: self._catalog.get_by_guid(guid, relationships=relationships))
        return found

    def search(self, type_name: str, filters: Mapping[str, Any], attributes: tuple[str, ...]) -> Iterator[Json]:
        """The headers of the first thousands of them."""
        for offset in range(0, SEARCH_LIMIT, _SEARCH_PAGE):
            page: list[Json] = self._patiently(
                lambda offset=offset: self._catalog.search(  # type: ignore[misc]
                    type_name, filters, attributes=attributes, limit=_SEARCH_PAGE, offset=offset
                )
            )
            yield from page
            if len(page) < _SEARCH_PAGE:
                return

    # --- writing -----------------------------------------------------------------------------------------------------
    def update(self, ref: Ref, attributes: Mapping[str, Any]) -> bool:
        """Change these attributes of an entity. Whether the catalogue took it."""
        return self._tried(lambda: self._catalog.update(ref.type_name, ref.qualified_name, attributes), ref)

    def update_many(self, changes: Iterable[tuple[Json, Mapping[str, Any]]]) -> None:
        """Change attributes of many entities that are there; each header has their ``name`` and ``qualifiedName``."""
        documents = [
            {
                "guid": header["guid"],
                "typeName": header["typeName"],
                "attributes": {
                    **{name: header["attributes"][name] for name in ("qualifiedName", "name")},
                    **attributes,
                },
            }
            for header, attributes in changes
        ]
        for start in range(0, len(documents), _WRITTEN_AT_ONCE):
            some = documents[start : start + _WRITTEN_AT_ONCE]
            self._tried(lambda some=some: self._catalog.write(some), ref_of(some[0]))  # type: ignore[misc]

    def delete(self, entity: Json) -> None:
        """Soft-delete it."""
        self._tried(lambda: self._catalog.delete_by_guid([entity["guid"]]), ref_of(entity))

    def hand_over(self, entity: Json, there: Json) -> None:
        """Give ``there`` what people said of ``entity``, which is about to go."""
        guid, ref = there["guid"], ref_of(there)
        if labels := entity.get("labels"):
            self._tried(lambda: self._catalog.add_labels(guid, sorted(labels)), ref)
        known = {item["typeName"] for item in there.get("classifications") or ()}
        own = [
            {key: item[key] for key in ("typeName", "attributes", "propagate") if key in item}
            for item in entity.get("classifications") or ()
            if item.get("entityGuid") in (None, entity["guid"]) and item["typeName"] not in known
        ]
        if own:
            self._tried(lambda: self._catalog.classify(guid, own), ref)
        told = {name: entity["attributes"].get(name) for name in BY_PEOPLE if not there["attributes"].get(name)}
        if told := {name: value for name, value in told.items() if value}:
            self.update(ref, told)

    def _tried(self, call: Callable[[], Any], ref: Ref) -> bool:
        try:
            self._patiently(call)
        except CatalogRefusedError as error:
            log.warning("%s stays as it is: %s", ref.qualified_name, error)
            return False
        return True


def items(entity: Json, relations: Iterable[str], *, active: bool = True) -> Iterator[Json]:
    """What an entity has now by these relationships; or, not ``active``, what it had."""
    found: Mapping[str, Any] = entity.get("relationshipAttributes") or {}
    for name in relations:
        value = found.get(name) or []
        for item in value if isinstance(value, list) else [value]:
            if (item.get("entityStatus", "ACTIVE") == item.get("relationshipStatus", "ACTIVE") == "ACTIVE") is active:
                yield item


def is_active(entity: Json) -> bool:
    """Whether it is not deleted."""
    return bool(entity.get("status", "ACTIVE") == "ACTIVE")


def ref_of(entity: Json) -> Ref:
    """The reference to an entity of the catalogue's."""
    return Ref(entity["typeName"], entity["attributes"]["qualifiedName"])


def guidref_of(entity: Json) -> Json:
    """How the catalogue refers to one."""
    return {"guid": entity["guid"], "typeName": entity["typeName"]}
