"""DB2: ``db2://host:port`` ⟂ ``db.schema.table``. Names that are not quoted are upper case."""

from __future__ import annotations

from airflow_provider_mlgov.translate.naming.rdbms import family

FAMILY = family("db2", ("db2",), 50000, has_schemas=True, case="upper")
