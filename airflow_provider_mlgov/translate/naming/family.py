"""What one family of platforms has to say: how its datasets are named in Atlas."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from airflow_provider_mlgov.model.entity import Entity
from airflow_provider_mlgov.translate.options import TranslateOptions


@dataclass(frozen=True)
class Field:
    """A column as the schema facet tells it; a nested field has its path as name (``address.city``)."""

    name: str
    type: str | None
    description: str | None
    position: int
    """From 1."""


@dataclass(frozen=True)
class Family:
    """A family of platforms: one module beside this one, named in `airflow_provider_mlgov.translate.naming`."""

    schemes: tuple[str, ...]
    """Schemes of OpenLineage namespaces (``s3`` of ``s3://bucket``, or the whole namespace: ``bigquery``)."""
    entities: Callable[[str, str, TranslateOptions], tuple[Entity, ...] | None]
    """Namespace and name to entities: parents first, the dataset itself last. It must be a DataSet of Atlas's, since it
    becomes the end of processes. None where the name has another form: the fallback takes it."""
    column: Callable[[Entity, Field], Entity] | None = None
    """A column of the dataset, with the reference to it; None where Atlas has no columns for the family."""
    kind_attribute: str | None = None
    """The attribute that takes OpenLineage's datasetType (TABLE, VIEW …)."""
    is_catalog: bool = False
    """A TABLE symlink into this family is preferred to a physical path."""


def authority(namespace: str) -> str | None:
    """``host:port`` of ``scheme://user@host:port``, without what tells who logs in.

    None if there is a path or nothing.
    """
    _, separator, rest = namespace.partition("://")
    host = rest.rpartition("@")[2].rstrip("/")
    return host.lower() if separator and host and not set(host) & set("/?#") else None


def segments(path: str) -> list[str]:
    """The parts of a path, without empty ones and ``.``."""
    return [part for part in path.split("/") if part not in ("", ".")]
