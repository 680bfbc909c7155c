"""SQL Server: ``mssql://host:port`` ⟂ ``db.schema.table``, and ``sqlserver://`` as Spark names the same server.

Synapse's ``sqlserver://host:port`` ⟂ ``schema.table`` says no database: such a table is taken by the fallback.
"""

from __future__ import annotations

from airflow_provider_mlgov.translate.naming.rdbms import family

FAMILY = family("mssql", ("mssql", "sqlserver", "fabric-warehouse"), 1433, has_schemas=True)
