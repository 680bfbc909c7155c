r"""SQL Server: ``mssql://host:port`` ⟂ ``db.schema.table``, and ``sqlserver://`` as Spark names the same server.

Spark may add the name of an instance (``sqlserver://host:port/instance``): a port already says which it is, without one the name
is a part of the host, as in ``mssql://host\instance``. Synapse's ``sqlserver://host:port`` ⟂ ``schema.table`` says no database:
such a table is taken by the fallback, where no facet says it. Of other servers ``db.table`` is in ``dbo``.
"""

from __future__ import annotations

import re
from dataclasses import replace

from airflow_provider_mlgov.translate.naming.family import Chain
from airflow_provider_mlgov.translate.naming.rdbms import family
from airflow_provider_mlgov.translate.options import TranslateOptions

_INSTANCE = re.compile(r"(?P<host>\w+://[^/]+?(?P<port>:\d+)?)/(?P<instance>[\w$-]+)/?")
_SERVER = family("mssql", ("mssql", "sqlserver", "fabric-warehouse"), 1433, has_schemas=True)


def entities(namespace: str, name: str, options: TranslateOptions) -> Chain | None:
    """Instance, database and table."""
    return _SERVER.entities(_server(namespace), name, options)


def parts(namespace: str, names: tuple[str, ...], options: TranslateOptions) -> Chain | None:
    """The same from the parts of the name."""
    return _SERVER.parts(_server(namespace), names, options) if _SERVER.parts else None


def _server(namespace: str) -> str:
    found = _INSTANCE.fullmatch(namespace)
    if found and found["port"]:
        return found["host"]
    is_spark = namespace.lower().startswith("sqlserver:")
    return f"{found['host']}\\{found['instance']}" if found and is_spark else namespace


def schema_of(namespace: str) -> str:
    """Names of Synapse's begin at the schema, so the first part of two is no database."""
    return "" if ".azuresynapse." in namespace.lower() else "dbo"


FAMILY = replace(_SERVER, entities=entities, parts=parts, schema_of=schema_of)
