"""`EmbeddedCatalog`: the catalogue protocol on one SQLite file."""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from airflow_provider_mlgov.catalog.catalog import Direction, Json
from airflow_provider_mlgov.catalog.embedded import (
    deleting,
    edges,
    extras,
    lineage,
    reading,
    searching,
    tags,
    typedefs,
    writing,
)
from airflow_provider_mlgov.catalog.embedded.faults import invalid_parameters
from airflow_provider_mlgov.catalog.embedded.registry import Registry
from airflow_provider_mlgov.catalog.embedded.store import Store
from airflow_provider_mlgov.catalog.embedded.work import Work
from airflow_provider_mlgov.errors import CatalogRefusedError

VERSION = "2.1.0"
"""The Atlas whose behaviour is followed."""


class EmbeddedCatalog:
    """Atlas's semantics in the SQLite file at ``path``, made at first use.

    May be shared by threads and inherited over a fork, and any number of processes may open the same file.
    """

    linger = 0.0
    """Seconds that a call may go on after its caller is gone: none, since it is a transaction of the caller's process."""

    def __init__(self, path: str | os.PathLike[str], *, user: str = "admin", timeout: float = 30.0) -> None:
        self._path = Path(path).absolute()
        self._store = Store(self._path, timeout)
        self._user = user
        self._types: tuple[int, Registry] | None = None

    @property
    def identity(self) -> str:
        """The path of the file."""
        return str(self._path)

    def status(self) -> Json:
        """``ACTIVE`` if the file can be used."""
        with self.reading():
            return {"Status": "ACTIVE", "Version": VERSION}

    def close(self) -> None:
        """Close this process's connections."""
        self._store.close()

    @contextlib.contextmanager
    def reading(self) -> Iterator[Work]:
        """A transaction that reads."""
        with self._store.reading() as connection:
            yield self._work(connection)

    @contextlib.contextmanager
    def writing(self) -> Iterator[Work]:
        """A transaction that writes all or nothing."""
        with self._store.writing() as connection:
            yield self._work(connection)

    def _work(self, connection: Any) -> Work:
        (version,) = connection.execute("SELECT value FROM meta WHERE key = 'types'").fetchone()
        known = self._types
        if known is None or known[0] != version:
            rows = connection.execute("SELECT name, definition FROM type")
            # Kept in one assignment: other threads see the old registry or the new one.
            known = self._types = (version, Registry({name: json.loads(text) for name, text in rows}))
        return Work(connection, known[1], time.time_ns() // 1_000_000, self._user)

    # --- types -------------------------------------------------------------------------------------------------------
    def type_definitions(self) -> Json:
        """All definitions, the built-in ones included."""
        with self.reading() as work:
            return work.types.document(work.types.definitions.values())

    def type_definition(self, name: str) -> Json | None:
        """The definition of one type of any category, or None."""
        with self.reading() as work:
            found = work.types.definitions.get(name)
            return None if found is None else work.types.shown(found)

    def create_types(self, definitions: Json) -> Json:
        """Create all these types or none."""
        with self.writing() as work:
            return typedefs.create(work, definitions)

    def update_types(self, definitions: Json) -> Json:
        """Add attributes, enum values and super types to existing types."""
        with self.writing() as work:
            return typedefs.update(work, definitions)

    def delete_types(self, names: Sequence[str]) -> None:
        """Remove types that nothing uses; 409 ``ATLAS-409-00-002`` otherwise."""
        with self.writing() as work:
            typedefs.delete(work, names)

    # --- entities ----------------------------------------------------------------------------------------------------
    def write(self, entities: Sequence[Json], *, referred: Mapping[str, Json] | None = None) -> Json:
        """Create or update all or none."""
        with self.writing() as work:
            return writing.Batch(work, entities, referred or {}).write()

    def update(self, type_name: str, qualified_name: str, attributes: Mapping[str, Any]) -> Json:
        """Change these attributes of an existing entity."""
        with self.writing() as work:
            row = work.by_name(type_name, {"qualifiedName": qualified_name})
            entity = {"typeName": row.type_name, "guid": row.guid, "attributes": dict(attributes)}
            return writing.Batch(work, [entity], {}, partial=True).write()

    def update_attribute(self, guid: str, name: str, value: Any) -> Json:
        """Change one attribute of the entity with this guid."""
        with self.writing() as work:
            row = work.by_guid(guid)
            entity = {"typeName": row.type_name, "guid": row.guid, "attributes": {name: value}}
            return writing.Batch(work, [entity], {}, partial=True).write()

    def get(self, type_name: str, qualified_name: str, *, relationships: bool = False) -> Json | None:
        """The active entity with this name, or None."""
        return self._named(type_name, [qualified_name], relationships=relationships).get(qualified_name)

    def get_by_guid(self, guid: str, *, relationships: bool = False) -> Json | None:
        """The entity with this guid, active or deleted, or None."""
        with self.reading() as work:
            row = work.find_guid(guid)
            return None if row is None else reading.describe(work, [row], relationships=relationships)[0]

    def get_many(self, type_name: str, qualified_names: Iterable[str]) -> dict[str, Json]:
        """The active entities among these names, by qualifiedName."""
        return self._named(type_name, list(dict.fromkeys(qualified_names)), relationships=False)

    def get_many_by_guid(self, guids: Iterable[str], *, relationships: bool = False) -> dict[str, Json]:
        """The entities with these guids, active or deleted, by guid."""
        with self.reading() as work:
            rows = [row for guid in dict.fromkeys(guids) if (row := work.find_guid(guid)) is not None]
            return {each["guid"]: each for each in reading.describe(work, rows, relationships=relationships)}

    def _named(self, type_name: str, names: Sequence[str], *, relationships: bool) -> dict[str, Json]:
        with self.reading() as work:
            entity_type = work.entity_type(type_name)
            rows = work.find_names(entity_type, entity_type.attributes["qualifiedName"], names)
            described = reading.describe(work, list(rows.values()), relationships=relationships)
            return dict(zip(rows, described, strict=True))

    # --- reading -----------------------------------------------------------------------------------------------------
    def lineage(self, type_name: str, qualified_name: str, *, direction: Direction = "BOTH", depth: int = 3) -> Json:
        """Atlas's lineage answer."""
        with self.reading() as work:
            row = work.by_name(type_name, {"qualifiedName": qualified_name})
            return lineage.lineage(work, row, direction, depth)

    def search(
        self,
        type_name: str,
        filters: Mapping[str, Any] | None = None,
        *,
        below: Mapping[str, int] | None = None,
        classification: str | None = None,
        attributes: Sequence[str] = (),
        limit: int = 100,
        offset: int = 0,
        include_deleted: bool = False,
    ) -> list[Json]:
        """Headers of the entities of this type and its subtypes whose attributes equal all ``filters`` and are ``below``."""
        query = searching.Query(
            type_name=type_name,
            classification=classification,
            filters=searching.criteria(filters or {}, below or {}),
            attributes=attributes,
            limit=limit,
            offset=offset,
            include_deleted=include_deleted,
        )
        with self.reading() as work:
            return searching.search(work, query).entities

    # --- relationships and classifications ---------------------------------------------------------------------------
    def relate(
        self, type_name: str, end1: Json, end2: Json, *, attributes: Mapping[str, Any] | None = None
    ) -> Json | None:
        """Add one relationship; None if it is already there."""
        try:
            with self.writing() as work:
                return edges.describe(work, edges.relate(work, type_name, end1, end2, attributes))
        except CatalogRefusedError as error:
            if error.error_code == "ATLAS-409-00-004":
                return None
            raise

    def delete_relationship(self, guid: str) -> None:
        """Soft-delete one relationship."""
        with self.writing() as work:
            edges.delete(work, guid)

    def classify(self, guid: str, classifications: Sequence[Json]) -> None:
        """Add classifications; each must say ``propagate``."""
        for classification in classifications:
            if "propagate" not in classification:
                raise invalid_parameters(f"classification {classification.get('typeName')} does not say propagate")
        with self.writing() as work:
            tags.add(work, work.by_guid(guid), classifications)

    def classifications(self, guid: str) -> list[Json]:
        """Own and propagated classifications."""
        with self.reading() as work:
            row = work.by_guid(guid)
            return tags.of_entities(work, [row.id]).get(row.id, [])

    def declassify(self, guid: str, classification: str) -> None:
        """Remove one classification and what it propagated."""
        with self.writing() as work:
            tags.remove(work, work.by_guid(guid), classification)

    def add_labels(self, guid: str, labels: Sequence[str]) -> None:
        """Add labels to those that are there."""
        with self.writing() as work:
            row = work.by_guid(guid)
            extras.set_labels(work, row, [*row.labels, *labels])

    def set_business_metadata(
        self, guid: str, attributes: Mapping[str, Mapping[str, Any]], *, overwrite: bool = False
    ) -> None:
        """Set business attributes."""
        with self.writing() as work:
            extras.set_business(work, work.by_guid(guid), attributes, overwrite=overwrite)

    # --- deleting ----------------------------------------------------------------------------------------------------
    def delete(self, type_name: str, qualified_name: str) -> Json:
        """Soft-delete, with what it owns."""
        with self.writing() as work:
            entity_type = work.entity_type(type_name)
            row = work.find_name(entity_type, entity_type.attributes["qualifiedName"], qualified_name)
            return deleting.delete(work, [] if row is None else [row])

    def delete_by_guid(self, guids: Sequence[str]) -> Json:
        """Soft-delete several, with what they own."""
        with self.writing() as work:
            return deleting.delete(work, [row for guid in guids if (row := work.find_guid(guid)) is not None])

    def purge(self, guids: Sequence[str]) -> Json:
        """Remove deleted entities for good."""
        with self.writing() as work:
            return deleting.purge(work, guids)
