"""Datasets of an event: which Atlas entities they are, and what their facets say of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from airflow_provider_mlgov.errors import InvalidNameError
from airflow_provider_mlgov.model import ml
from airflow_provider_mlgov.model.entity import Entity, Ref
from airflow_provider_mlgov.model.identity import check_text
from airflow_provider_mlgov.translate.events import each, facet, join_registers
from airflow_provider_mlgov.translate.naming import Family, Field, name_entities, prefers
from airflow_provider_mlgov.translate.naming.ml import ENDPOINTS
from airflow_provider_mlgov.translate.options import TranslateOptions
from airflow_provider_mlgov.translate.texts import long, plain

Json = Mapping[str, Any]

_DEPTH = 20
"""Levels of nested columns that are followed."""


@dataclass(frozen=True)
class End:
    """A dataset that a run read or wrote."""

    family: Family
    entities: tuple[Entity, ...]
    """As its name tells them: parents first, the dataset itself last."""
    facets: dict[str, Any]
    role: dict[str, Any]
    """Facets of the dataset as an input or an output of this run."""
    thing: ml.Thing | None = None
    """What it is, if it is one of ours."""

    @property
    def ref(self) -> Ref:
        """The entity that becomes an end of processes."""
        return self.entities[-1].ref

    @property
    def split(self) -> str | None:
        """Which part of the data a task used it as (train, test …)."""
        split = plain(facet(self.role, "mlgov_io").get("split"), 100)
        return split.lower() if split else None


def read_ends(state: Json, direction: str, options: TranslateOptions, warnings: list[str]) -> list[End]:
    """The datasets of one direction, each once, sorted by type and name.

    What cannot be named is left out with a warning.
    """
    ends: dict[Ref, End] = {}
    for namespace, name, dataset in each(state[direction]):
        facets, role = dataset["facets"], dataset["roleFacets"]
        try:
            family, entities = name_entities(*_identity(state, namespace, name), options)
        except InvalidNameError as error:
            if not (namespace.startswith(f"{ml.SCHEME}://") and name.startswith(ENDPOINTS)):
                warnings.append(f"a dataset among the {direction} is left out: {error}")
            elif not _is_deployed(state[direction], namespace, name):
                warnings.append(
                    f"endpoint {name!r} among the {direction} is left out: no deployment says which build is behind it"
                )
            continue
        end = End(family, entities, facets, role)
        if (twin := ends.get(end.ref)) is not None:
            end = replace(twin, facets=join_registers(twin.facets, facets), role=join_registers(twin.role, role))
        if namespace.startswith(f"{ml.SCHEME}://"):
            end = replace(end, thing=ml.from_dataset(namespace, name, {ml.FACET: dict(facet(end.facets, ml.FACET))}))
        ends[end.ref] = end
    return [ends[ref] for ref in sorted(ends, key=lambda ref: (ref.type_name, ref.qualified_name))]


def _identity(state: Json, namespace: str, name: str) -> tuple[str, str]:
    """The name that says best what a dataset is.

    Its table in a catalogue, if a symlink of any event of the run tells it.
    """
    aliases = state["aliases"].get(namespace, {}).get(name)
    if aliases:
        for other in sorted(aliases):
            for table in sorted(aliases[other]):
                if other and table and prefers(other, aliases[other][table]):
                    return other, table
    return namespace, name


def _is_deployed(datasets: Json, namespace: str, name: str) -> bool:
    place = name.removeprefix(ENDPOINTS)
    return any(f"/deployments/{place}/" in other for other in datasets[namespace])


def data_entities(end: End) -> Iterator[Entity]:
    """Parents and the dataset itself, with what its facets say.

    Documentation and owner are written on creation only.
    """
    *parents, entity = end.entities
    yield from parents
    attributes, create_only = dict(entity.attributes), dict(entity.create_only)
    if end.family.kind_attribute and (kind := plain(facet(end.facets, "datasetType").get("datasetType"), 100)):
        attributes[end.family.kind_attribute] = kind
    if entity.type_name == "mlgov_dataset" and (uri := plain(facet(end.facets, "dataSource").get("uri"))):
        attributes["sourceUri"] = uri
    if description := long(facet(end.facets, "documentation").get("description")):
        create_only["description"] = description
    if owner := first_owner(facet(end.facets, "ownership")):
        create_only["owner"] = owner
    yield replace(entity, attributes=attributes, create_only=create_only)


def first_owner(ownership: Json) -> str | None:
    """Atlas has one owner: the first that is named (``***`` is what a masker left)."""
    owners = ownership.get("owners")
    for item in owners if isinstance(owners, list) else ():
        name = plain(item.get("name")) if isinstance(item, dict) else None
        if name and name.strip("*"):
            return name
    return None


def column_entities(end: End, warnings: list[str]) -> Iterator[Entity]:
    """The columns of the schema facet.

    They are only ever added: an input's schema may hold just the columns that were read.
    """
    fields = facet(end.facets, "schema").get("fields")
    if end.family.column is None or not isinstance(fields, list):
        return
    for field in _fields(fields):
        try:
            check_text(field.name, f"a column of {end.ref.qualified_name}")
        except InvalidNameError as error:
            warnings.append(f"the column is left out: {error}")
            continue
        yield end.family.column(end.entities[-1], field)


def _fields(fields: list[Any], prefix: str = "", depth: int = 0) -> Iterator[Field]:
    for index, item in enumerate(fields, start=1):
        if not isinstance(item, dict):
            continue
        name = item.get("name")
        position = item.get("ordinal_position")
        name = f"{prefix}{name}" if isinstance(name, str) and name else ""
        position = position if isinstance(position, int) and 0 < position < 2**31 else index
        yield Field(name, plain(item.get("type")), long(item.get("description")), int(position))
        inner = item.get("fields")
        if name and isinstance(inner, list) and depth < _DEPTH:
            yield from _fields(inner, f"{name}.", depth + 1)
