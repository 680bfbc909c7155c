"""Data as OpenLineage names it, for inlets and outlets: what no asset of Airflow says exactly enough."""

from __future__ import annotations

from pathlib import PurePath
from typing import Any, ClassVar
from urllib.parse import unquote, urlsplit

import attrs

from airflow_provider_mlgov.errors import InvalidInputError

Json = dict[str, Any]

# Scheme of a SQLAlchemy URL (without its driver) -> namespace scheme and default port in OpenLineage's naming table.
_SERVERS: dict[str, tuple[str, int]] = {
    "postgresql": ("postgres", 5432),
    "postgres": ("postgres", 5432),
    "redshift": ("redshift", 5439),
    "mysql": ("mysql", 3306),
    "mariadb": ("mysql", 3306),
    "mssql": ("mssql", 1433),
}
_WITH_DATABASE = frozenset({"postgres", "redshift", "mssql"})
"""Here a name is ``database.schema.table``; elsewhere ``database.table``."""
_DEFAULT_SCHEMA = {"postgres": "public", "redshift": "public", "mssql": "dbo"}


@attrs.define
class Data:
    """A dataset by its OpenLineage namespace and name; both are templates.

    For inlets and outlets of any operator, and for `airflow_provider_mlgov.lineage.read` and ``wrote``.
    """

    # Airflow renders these on the object itself (2.11) or on a copy that the listener makes (3.x).
    template_fields: ClassVar[tuple[str, ...]] = ("namespace", "name")

    namespace: str
    name: str
    facets: Json = attrs.field(factory=dict)
    """OpenLineage dataset facets that are always true of it, such as ``documentation``."""


def table(url: str, name: str) -> Data:
    """A table of a database, which is given as for SQLAlchemy: ``table("sqlite:////data/shop.db", "customers")``.

    ``name`` may begin with a schema. Login, driver and options of the URL are left out.
    """
    parts = urlsplit(url)
    scheme = parts.scheme.partition("+")[0]
    path = unquote(parts.path)
    if not name:
        raise InvalidInputError(
            f"the name of a table in {parts.scheme}://{parts.hostname or ''} is empty: name the table"
        )
    if scheme == "sqlite":
        if not path.startswith("//") or not path.strip("/"):
            raise InvalidInputError(
                "a SQLite table needs an absolute path: sqlite:////absolute/path.db, with four slashes"
            )
        return Data(f"sqlite://{path[1:]}", name)
    database = path.strip("/")
    if not scheme or not parts.hostname or not database:
        raise InvalidInputError(
            f"{_without_login(url)!r} names no database; wanted a URL as for SQLAlchemy: postgresql://host:5432/database"
        )
    scheme, port = _SERVERS.get(scheme, (scheme, 0))
    port = parts.port or port
    if scheme in _WITH_DATABASE and "." not in name:
        name = f"{_DEFAULT_SCHEMA[scheme]}.{name}"
    return Data(f"{scheme}://{parts.hostname}{f':{port}' if port else ''}", f"{database}.{name}")


def file(location: str | PurePath) -> Data:
    """A file or folder: an absolute path (``/data/a.csv``), or a URL such as ``s3://bucket/key``."""
    text = str(location)
    parts = urlsplit(text)
    if parts.scheme in ("", "file") and parts.path.startswith("/"):
        name = text if not parts.scheme else unquote(parts.path)
        return Data(f"file://{parts.netloc}" if parts.netloc else "file", name)
    if not parts.scheme or not parts.netloc or parts.scheme == "file":
        raise InvalidInputError(
            f"{text!r} is no place that others could find; wanted an absolute path or scheme://host/path"
        )
    return Data(f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}", parts.path.lstrip("/") or "/")


def _without_login(url: str) -> str:
    head, _, rest = url.partition("://")
    return f"{head}://{rest.rpartition('@')[2]}" if rest else url
