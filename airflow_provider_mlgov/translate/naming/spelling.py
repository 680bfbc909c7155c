"""One spelling for namespaces that are written in several ways: what rules are compared with, beside what an event says."""

from __future__ import annotations

from airflow_provider_mlgov.translate.naming import rdbms
from airflow_provider_mlgov.translate.naming.families import FAMILIES, family_of

_SAME_SCHEME = {
    "postgresql": "postgres",
    "mariadb": "mysql",
    "sqlserver": "mssql",
    "s3a": "s3",
    "s3n": "s3",
    "abfs": "abfss",
    "wasb": "wasbs",
}
_WILD = frozenset("*?[")


def canonical(namespace: str) -> str:
    """``namespace`` with the scheme that OpenLineage writes, its host in lower case and with its port, and without a ``/`` behind.

    A pattern of a rule may be given too: where its host has wildcards, no port is added.
    """
    scheme, separator, rest = namespace.partition("://")
    if not separator:
        return namespace
    scheme = _SAME_SCHEME.get(scheme.lower(), scheme.lower())
    host, slash, path = rest.rstrip("/").partition("/")
    host = host.lower()
    port = FAMILIES[family_of(f"{scheme}:")].default_port
    if port is not None and host and ":" not in host and not _WILD & set(host):
        host = f"{host}:{port}"
    return f"{scheme}://{host}{slash}{path}"


def without_driver(namespace: str) -> str:
    """``namespace`` without what SQLAlchemy adds to the schemes of databases: `postgresql+psycopg2://db` is `postgresql://db`."""
    scheme, colon, rest = namespace.partition(":")
    platform, plus, _ = scheme.partition("+")
    family = FAMILIES[family_of(platform)]
    is_database = family.levels > 1 or family.column is rdbms.column
    return f"{platform}{colon}{rest}" if plus and is_database else namespace
