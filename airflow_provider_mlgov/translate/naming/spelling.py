"""One spelling for namespaces that are written in several ways: what rules are compared with, beside what an event says."""

from __future__ import annotations

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
    scheme = scheme.partition("+")[0].lower()
    scheme = _SAME_SCHEME.get(scheme, scheme)
    host, slash, path = rest.rstrip("/").partition("/")
    host = host.lower()
    port = FAMILIES[family_of(f"{scheme}:")].default_port
    if port is not None and host and ":" not in host and not _WILD & set(host):
        host = f"{host}:{port}"
    return f"{scheme}://{host}{slash}{path}"
