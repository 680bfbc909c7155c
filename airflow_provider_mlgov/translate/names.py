"""Which of several names of a dataset counts, over all events of a run.

OpenLineage names one dataset in several ways: Spark calls a Hive table by its path and says the table in a symlink, in one event of
the run or in another. A table in a catalogue says better what data is than the path where it lies, so that name counts.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

from airflow_provider_mlgov.errors import InvalidNameError
from airflow_provider_mlgov.model.entity import Ref
from airflow_provider_mlgov.translate.events import each, facet, join_registers
from airflow_provider_mlgov.translate.naming import FAMILIES, Hints, Named, family_of, is_catalog, name_entities
from airflow_provider_mlgov.translate.naming.spelling import without_driver
from airflow_provider_mlgov.translate.options import TranslateOptions

Json = Mapping[str, Any]
Name = tuple[str, str]
"""Namespace and name as OpenLineage has them."""

_LONGEST_URI = 2_000
_METASTORES = ("hive", "thrift")
_ORACLE_SERVICE = re.compile(r"oracle:\w+:[^@]{0,500}@(?://)?[^/:()]+:\d+[/:]([\w$#.-]+)", re.IGNORECASE)
_JDBC_DATABASE = re.compile(r"[;?&](?:database|databaseName|dbname)=([^;&]+)", re.IGNORECASE)


class Names:
    """The names of one state's datasets, and what they are in Atlas."""

    def __init__(self, state: Json, options: TranslateOptions) -> None:
        self._options = options
        self._aliases = [self._by_place(state[told]) for told in ("aliases", "applicationAliases") if state.get(told)]
        self._facets: dict[Name, dict[str, Any]] = {}
        for direction in ("inputs", "outputs"):
            for namespace, name, dataset in each(state[direction]):
                known = self._facets.get((namespace, name))
                facets = dataset["facets"]
                self._facets[namespace, name] = facets if known is None else join_registers(known, facets)

    def of(self, namespace: str, name: str) -> Named:
        """What is called so in Atlas; `InvalidNameError` if it has no name."""
        return self._of(namespace, name, hints(self.facets(namespace, name), namespace))

    def before(self, namespace: str, name: str, facets: Json) -> Named:
        """What was called so before it got the name that ``facets`` tell of: it is in the same database still."""
        own, now = hints(self.facets(namespace, name), namespace), hints(facets, namespace)
        outer = now.hierarchy[: -1 - name.count(".")]
        return self._of(namespace, name, replace(own, database=own.database or next(reversed(outer), now.database)))

    def _of(self, namespace: str, name: str, told: Hints) -> Named:
        meant = self.meant(namespace, name)
        named = name_entities(*meant, self._options, told)
        if meant == (namespace, name):
            return named
        place = self._place(namespace, name)
        if place is None or not place.entities or not place.family.has_paths:
            return named
        return replace(
            named,
            partition=named.partition or place.partition,
            is_part=named.is_part or place.is_part,
            location=place.entities[-1].qualified_name.rpartition("@")[0].rstrip("/"),
        )

    def facets(self, namespace: str, name: str) -> dict[str, Any]:
        """What is known of the dataset that an event calls so."""
        return self._facets.get((namespace, name), {})

    def _place(self, namespace: str, name: str) -> Named | None:
        """Where data is that another name counts for."""
        try:
            return name_entities(namespace, name, self._options)
        except InvalidNameError:
            return None

    def _by_place(self, aliases: Json) -> dict[Ref | Name, dict[str, dict[str, str]]]:
        """The aliases of each place: one path may be written in several ways."""
        found: dict[Ref | Name, dict[str, dict[str, str]]] = {}
        for namespace, names in aliases.items():
            for name, others in names.items():
                place = found.setdefault(self._key(namespace, name), {})
                for other, tables in others.items():
                    place.setdefault(other, {}).update(tables)
        return found

    def _key(self, namespace: str, name: str) -> Ref | Name:
        """What tells one place from another, however it is written."""
        place = self._place(namespace, name)
        return place.entities[-1].ref if place is not None and place.entities else (namespace, name)

    def meant(self, namespace: str, name: str) -> Name:
        """The name that counts: the table in a catalogue, if a symlink of any event of the run tells it.

        What other steps of its application tell counts where the run itself tells none: one path may be of several tables in turn.
        """
        if not self._aliases or is_catalog(namespace, name, self._options):
            return namespace, name
        place = self._key(namespace, name)
        metastore = _metastore(facet(self.facets(namespace, name), "catalog"))
        tables = (self._table(aliases.get(place, {}), metastore) for aliases in self._aliases)
        return next((table for table in tables if table is not None), (namespace, name))

    def _table(self, aliases: Json, metastore: str) -> Name | None:
        """The table in a catalogue, among the other names of a place."""
        tables = sorted(
            (other, table) for other in aliases for table, kind in aliases[other].items() if table and kind == "TABLE"
        )
        of_metastore = [(metastore, table) for _, table in tables if metastore]
        found = (name for name in (*tables, *of_metastore) if is_catalog(*name, self._options))
        return next(found, None)


def hints(facets: Json, namespace: str) -> Hints:
    """What the facets ``hierarchy`` and ``dataSource`` tell of a name in ``namespace``."""
    levels = facet(facets, "hierarchy").get("hierarchy")
    levels = levels if isinstance(levels, list) else []
    names = [level.get("name") for level in levels if isinstance(level, dict)]
    uri = facet(facets, "dataSource").get("uri")
    hierarchy = tuple(name for name in names if isinstance(name, str) and name)
    uri = uri if isinstance(uri, str) and len(uri) <= _LONGEST_URI else ""
    return Hints(hierarchy if len(hierarchy) == len(levels) else (), _database(uri, namespace))


def _database(uri: str, namespace: str) -> str:
    """The database that a connection URI names, or an empty text.

    Spark and dbt give the namespace as the URI, where the path may be an instance's name; and a web page's path names none.
    """
    if uri.rstrip("/").lower() == namespace.rstrip("/").lower() or not _is_connection(uri):
        return ""
    if found := _JDBC_DATABASE.search(uri) or _ORACLE_SERVICE.search(uri):
        return found[1]
    try:
        path = urlsplit(uri.removeprefix("jdbc:")).path
    except ValueError:
        return ""
    database = re.split("[:;]", path.strip("/"))[0]  # properties follow
    return database if path.startswith("/") and "/" not in database else ""


def _is_connection(uri: str) -> bool:
    """Whether it is of JDBC's, or has the scheme of a platform whose names begin at a database."""
    plain = without_driver(uri)
    return plain.lower().startswith("jdbc:") or FAMILIES[family_of(plain)].levels > 1


def _metastore(catalog: Json) -> str:
    """The OpenLineage namespace of the metastore that a ``catalog`` facet names, or an empty text."""
    uri = catalog.get("metadataUri")
    if str(catalog.get("type")).lower() != "hive" or not isinstance(uri, str):
        return ""
    first = uri.split(",")[0]
    scheme, _, host = first.partition("://")
    return f"hive://{host}" if scheme.lower() in _METASTORES and host else ""
