"""What one family of platforms has to say: how its datasets are named in Atlas."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from airflow_provider_mlgov.model.entity import Entity
from airflow_provider_mlgov.translate.naming import fields
from airflow_provider_mlgov.translate.naming.fields import Field
from airflow_provider_mlgov.translate.options import TranslateOptions
from airflow_provider_mlgov.translate.rules import Case

Chain = tuple[Entity, ...]
"""Parents first, the dataset itself last."""


@dataclass(frozen=True)
class Family:
    """A family of platforms: one module beside this one, named in `airflow_provider_mlgov.translate.naming`."""

    schemes: tuple[str, ...]
    """Schemes of OpenLineage namespaces (``s3`` of ``s3://bucket``, or the whole namespace: ``bigquery``)."""
    entities: Callable[[str, str, TranslateOptions], Chain | None]
    """Namespace and name to entities. The last must be a DataSet of Atlas's, since it becomes the end of processes.
    None where the name has another form: the fallback takes it."""
    column: Callable[[Entity, Field], Entity] | None = fields.column
    """A column of the dataset, with the reference to it; None where it has none."""
    kind_attribute: str | None = None
    """The attribute that takes OpenLineage's datasetType (TABLE, VIEW …)."""
    is_catalog: bool = False
    """A TABLE symlink into this family is preferred to a physical path."""
    levels: int = 0
    """How many parts a name has, where they may come from a hierarchy facet: database, schema and table are 3."""
    parts: Callable[[str, tuple[str, ...], TranslateOptions], Chain | None] | None = None
    """As `entities`, from the ``levels`` parts of the name."""
    is_hooked: bool = False
    """Atlas's own hook writes the same entities and knows them better: what is stored already stays."""
    has_nested_columns: bool = True
    """The parts of a column (``address.city``) are columns too."""
    case: Case = "keep"
    """How the platform folds names that are not quoted."""
    has_paths: bool = False
    """Names are paths, in which ``key=value`` begins a partition."""
    default_port: int | None = None
    """The port of a server that names none."""
    schema_of: Callable[[str], str] | None = None
    """The schema of tables of a namespace whose names have none, empty where it is not known; None where there are no schemas."""
    is_durable: bool = True
    """The data outlives the run that made it."""


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


def fold(text: str, case: Case) -> str:
    """``text`` as a platform of this case would have it."""
    return text if case == "keep" else text.lower() if case == "lower" else text.upper()
