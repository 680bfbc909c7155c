"""Assets and URIs as OpenLineage datasets (JSON): the ones of ours, those of installed providers, and the common ones."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import SplitResult, unquote, urlsplit

from airflow_provider_mlgov.lineage.plain import plain
from airflow_provider_mlgov.masking import strip_url

Json = dict[str, Any]
_PORTS = {
    "postgresql": 5432,
    "postgres": 5432,
    "mysql": 3306,
    "mariadb": 3306,
    "hive": 10000,
    "kafka": 9092,
    "mssql": 1433,
}
_FILE = re.compile(r"\.(db|db3|sqlite|sqlite3)$")


def dataset(namespace: str, name: str, facets: Json | None = None) -> Json:
    """An OpenLineage dataset."""
    return {"namespace": namespace, "name": name, "facets": facets or {}}


def from_uri(uri: str) -> Json | None:
    """The dataset that a URI names, by OpenLineage's naming rules; None for what is no URI."""
    parts = urlsplit(strip_url(uri))  # as `clean` does with the names of events: one name through both doors
    if not parts.scheme:
        return None
    rule = _RULES.get(parts.scheme.lower())
    found = rule(parts) if rule else _general(parts)
    return found if found["name"] and found["namespace"] else None


def from_asset(uri: str, extra: Mapping[str, Any] | None) -> Json | None:
    """The dataset of an asset that is not ours: by the converter that a provider registered for the scheme, else by `from_uri`."""
    from airflow_provider_mlgov._compat import Asset, converters

    converter = converters().get(urlsplit(uri).scheme.lower())
    if converter is not None:
        found = plain(converter(Asset(uri=uri, extra=dict(extra or {})), None))
        if isinstance(found, dict) and found.get("namespace") and found.get("name"):
            return dataset(found["namespace"], found["name"], found.get("facets"))
    return from_uri(uri)


def to_openlineage(asset: Any, lineage_context: Any) -> Any:  # noqa: ARG001 - the signature is Airflow's
    """Our converter for Airflow's own OpenLineage provider: a build or deployment that the extra names.

    Where nothing names it, that provider could only speak of the model, which beside what our listener says would be a second
    output: so it does that only where the listener is off.
    """
    from openlineage.client.event_v2 import Dataset

    from airflow_provider_mlgov.lineage.ml_assets import parse
    from airflow_provider_mlgov.model.ml import Model
    from airflow_provider_mlgov.settings import is_enabled

    thing = parse(asset.uri, asset.extra or {})
    if thing is None or (isinstance(thing, Model) and is_enabled()):
        return None
    found = thing.to_dataset()
    return Dataset(namespace=found["namespace"], name=found["name"])


def _host(parts: SplitResult) -> str:
    """``host:port`` of a server, without the user."""
    host = parts.netloc.rpartition("@")[2]
    port = _PORTS.get(parts.scheme.lower())
    return f"{host}:{port}" if host and port and ":" not in host.rpartition("]")[2] else host


def _segments(parts: SplitResult) -> list[str]:
    return [unquote(part) for part in parts.path.split("/") if part]


def _file(parts: SplitResult) -> Json:
    host = "" if parts.netloc == "localhost" else parts.netloc
    return dataset(f"file://{host}" if host else "file", unquote(parts.path))


def _bucket(scheme: str) -> Callable[[SplitResult], Json]:
    def rule(parts: SplitResult) -> Json:
        return dataset(f"{scheme}://{parts.netloc}", unquote(parts.path).strip("/") or "/")

    return rule


def _path(parts: SplitResult) -> Json:
    return dataset(f"{parts.scheme.lower()}://{parts.netloc}", unquote(parts.path) or "/")


def _table(scheme: str) -> Callable[[SplitResult], Json]:
    """``scheme://host:port/database[/schema]/table`` is table ``database.schema.table`` of ``scheme://host:port``."""

    def rule(parts: SplitResult) -> Json:
        return dataset(f"{scheme}://{_host(parts)}", ".".join(_segments(parts)))

    return rule


def _sqlite(parts: SplitResult) -> Json:
    """``sqlite:////folder/file.db/table``: the file has no server, so it stands for the namespace."""
    file, _, table = unquote(parts.path).rpartition("/")
    if not _FILE.search(file):
        file, table = unquote(parts.path), ""
    return dataset(f"sqlite://{'/' + file.lstrip('/')}", table or "main")


def _kafka(parts: SplitResult) -> Json:
    return dataset(f"kafka://{_host(parts)}", ".".join(_segments(parts)))


def _general(parts: SplitResult) -> Json:
    """OpenLineage's general form: scheme and authority, then the path."""
    query = f"?{parts.query}" if parts.query else ""
    path = unquote(parts.path).lstrip("/") + query
    host = parts.netloc  # with the container of abfss://container@account
    return dataset(f"{parts.scheme.lower()}://{host}" if host else parts.scheme.lower(), path or "/")


_RULES: Mapping[str, Callable[[SplitResult], Json]] = {
    "file": _file,
    "s3": _bucket("s3"),
    "s3a": _bucket("s3"),
    "s3n": _bucket("s3"),
    "gs": _bucket("gs"),
    "gcs": _bucket("gs"),
    "hdfs": _path,
    "viewfs": _path,
    "hive": _table("hive"),
    "postgres": _table("postgres"),
    "postgresql": _table("postgres"),
    "mysql": _table("mysql"),
    "mariadb": _table("mysql"),
    "mssql": _table("mssql"),
    "sqlite": _sqlite,
    "kafka": _kafka,
}
