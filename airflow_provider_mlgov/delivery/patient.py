"""Calls to a catalogue while names change in it: made again where that helps, and where it refuses one, all else goes on."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from airflow_provider_mlgov.errors import CatalogDroppedError, CatalogRefusedError
from airflow_provider_mlgov.model.entity import Ref

if TYPE_CHECKING:
    from airflow_provider_mlgov.catalog.catalog import Catalog

log = logging.getLogger(__name__)

Json = dict[str, Any]
_T = TypeVar("_T")

_SEARCH_PAGE, SEARCH_LIMIT = 500, 5_000
_AT_ONCE = 50
"""So many entities are read, or written, by one call."""
_MANDATORY = ("qualifiedName", "name", "type", "table", "compressed")
"""What Atlas wants in each whole write of an entity, where the entity has it: the last three of what Hive's tables consist of."""
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

    def by_guids(self, guids: Iterable[str], *, relationships: bool = True) -> dict[str, Json]:
        """The entities, active or deleted, by guid; those that were purged are left out."""
        found: dict[str, Json] = {}
        for some in _portions([*dict.fromkeys(guids)]):
            found |= self._patiently(
                lambda some=some: self._catalog.get_many_by_guid(some, relationships=relationships)  # type: ignore[misc]
            )
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

    def update_many(self, changes: Iterable[tuple[Json, Mapping[str, Any]]]) -> bool:
        """Change attributes of many entities. Whether the catalogue took all.

        Each entity, or its header, has at least ``name`` and ``qualifiedName``.
        """
        taken = True
        for some in _portions([*changes]):
            documents = [_changed(entity, attributes) for entity, attributes in some]
            try:
                self._patiently(lambda documents=documents: self._catalog.write(documents))  # type: ignore[misc]
            except (CatalogRefusedError, CatalogDroppedError):  # one that is refused fails all
                for entity, attributes in some:
                    taken &= self.update(ref_of(entity), attributes)
        return taken

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
            if error.status in (413, 414):  # a proxy's word, which may be about all
                raise
            log.warning("%s stays as it is: %s", ref.qualified_name, error)
            return False
        return True


def _portions(many: Sequence[_T]) -> Iterator[Sequence[_T]]:
    for start in range(0, len(many), _AT_ONCE):
        yield many[start : start + _AT_ONCE]


def _changed(entity: Json, attributes: Mapping[str, Any]) -> Json:
    """The document that changes ``attributes`` of an entity that is there, and nothing else."""
    known = {name: entity["attributes"].get(name) for name in _MANDATORY}
    mandatory = {
        name: guidref_of(value) if isinstance(value, dict) else value
        for name, value in known.items()
        if value is not None
    }
    return {"guid": entity["guid"], "typeName": entity["typeName"], "attributes": {**mandatory, **attributes}}


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
