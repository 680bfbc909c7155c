"""The catalogue protocol: what the package asks of a place where entities live, in Atlas v2's own JSON.

Implementations: `airflow_provider_mlgov.catalog.atlas.AtlasCatalog` (HTTP: a real Atlas, or the served embedded catalogue)
and `airflow_provider_mlgov.catalog.embedded.EmbeddedCatalog` (one SQLite file). Where they differ Atlas is right, except for
its defects (lost edges, duplicates). One conformance suite, ``tests/catalog/conformance/``, runs against all.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, Protocol

Json = dict[str, Any]
"""A JSON object in the shape that Atlas v2 documents for it."""

Direction = Literal["INPUT", "OUTPUT", "BOTH"]
"""Of a lineage walk: INPUT goes upstream, OUTPUT downstream."""


class Catalog(Protocol):
    """A place where entities live.

    All methods raise `CatalogUnavailableError` (the catalogue as a whole is not usable), `CatalogBusyError` (try again) or
    `CatalogRefusedError` (this call is wrong; carries Atlas's error code and status). All may be called from several threads.
    """

    @property
    def identity(self) -> str:
        """What tells this catalogue from others: its URL or path, without credentials."""
        ...

    def status(self) -> Json:
        """``{"Status": "ACTIVE"}`` when usable, plus ``"Version"`` where known."""
        ...

    # --- types -------------------------------------------------------------------------------------------------------
    def type_definitions(self) -> Json:
        """All definitions, as lists: ``{"enumDefs": […], "structDefs": […], "entityDefs": […], …}`` with all six categories."""
        ...

    def type_definition(self, name: str) -> Json | None:
        """The definition of one type of any category, or None."""
        ...

    def create_types(self, definitions: Json) -> Json:
        """POST typedefs: all are made or none. 409 ``ATLAS-409-00-001`` if one exists."""
        ...

    def update_types(self, definitions: Json) -> Json:
        """PUT typedefs: optional attributes and enum values may be added; 404 ``ATLAS-404-00-001`` if one is absent."""
        ...

    # --- entities ----------------------------------------------------------------------------------------------------
    def write(self, entities: Sequence[Json], *, referred: Mapping[str, Json] | None = None) -> Json:
        """POST entity/bulk: create or update all or none, in one transaction.

        Keys that are absent are kept; relationship lists that are present replace. Members of the batch are referred to by
        negative guids, others by guid or unique attributes. Returns ``{"mutatedEntities": {"CREATE": […], "UPDATE": […]},
        "guidAssignments": {…}}``.
        """
        ...

    def update(self, type_name: str, qualified_name: str, attributes: Mapping[str, Any]) -> Json:
        """PUT entity/uniqueAttribute: change these attributes of an existing entity and leave the rest."""
        ...

    def update_attribute(self, guid: str, name: str, value: Any) -> Json:
        """PUT entity/guid: change one attribute (a text, a number, a reference) of the entity with this guid, its name included."""
        ...

    def get(self, type_name: str, qualified_name: str, *, relationships: bool = False) -> Json | None:
        """The active entity with this name (of this type or a subtype), or None. Cheap without ``relationships``."""
        ...

    def get_by_guid(self, guid: str, *, relationships: bool = False) -> Json | None:
        """The entity with this guid, active or deleted, or None."""
        ...

    def get_many(self, type_name: str, qualified_names: Iterable[str]) -> dict[str, Json]:
        """The active entities among these names, by qualifiedName, without relationships; in as few calls as possible."""
        ...

    def get_many_by_guid(self, guids: Iterable[str], *, relationships: bool = False) -> dict[str, Json]:
        """The entities with these guids, active or deleted, by guid; in as few calls as possible."""
        ...

    # --- reading -----------------------------------------------------------------------------------------------------
    def lineage(self, type_name: str, qualified_name: str, *, direction: Direction = "BOTH", depth: int = 3) -> Json:
        """Atlas's lineage answer (``guidEntityMap``, ``relations`` …). Depth counts dataset hops; 0 has no limit.

        Contains soft-deleted entities and edges. `EntityNotFoundError` if there is no such entity.
        """
        ...

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
        """Basic search: entity headers of this type and its subtypes whose attributes equal all ``filters``.

        Numbers and dates (epoch milliseconds) may also be asked to be ``below`` a value. ``attributes`` names those that the
        headers shall carry. Filter by plain tokens: anything else is a scan in Atlas.
        A write may take up to about a second to become visible.
        """
        ...

    # --- relationships and classifications ---------------------------------------------------------------------------
    def relate(
        self, type_name: str, end1: Json, end2: Json, *, attributes: Mapping[str, Any] | None = None
    ) -> Json | None:
        """POST relationship between two references; None if the edge is already there."""
        ...

    def delete_relationship(self, guid: str) -> None:
        """Soft-delete one relationship."""
        ...

    def classify(self, guid: str, classifications: Sequence[Json]) -> None:
        """Add classifications; each must say ``propagate``. 400 ``ATLAS-400-00-01A`` if one is already there."""
        ...

    def classifications(self, guid: str) -> list[Json]:
        """Own and propagated classifications of an entity."""
        ...

    def declassify(self, guid: str, classification: str) -> None:
        """Remove one classification and what it propagated."""
        ...

    def add_labels(self, guid: str, labels: Sequence[str]) -> None:
        """Add labels to those that are there: letters, digits, ``_`` and ``-``, at most 50 of them each."""
        ...

    def set_business_metadata(
        self, guid: str, attributes: Mapping[str, Mapping[str, Any]], *, overwrite: bool = False
    ) -> None:
        """Set business attributes: ``{business metadata: {attribute: value}}``."""
        ...

    # --- deleting ----------------------------------------------------------------------------------------------------
    def delete(self, type_name: str, qualified_name: str) -> Json:
        """Soft-delete, with what it owns. Deleting what is absent is no error."""
        ...

    def delete_by_guid(self, guids: Sequence[str]) -> Json:
        """Soft-delete several, with what they own."""
        ...

    def purge(self, guids: Sequence[str]) -> Json:
        """Remove deleted entities for good; active ones are left alone."""
        ...

    def close(self) -> None:
        """Release connections."""
        ...
