"""Oracle: ``oracle://host:port`` ⟂ ``service.schema.table``; the service name or SID is the database.

Names that are not quoted are upper case.
"""

from __future__ import annotations

from airflow_provider_mlgov.translate.naming.rdbms import family

FAMILY = family("oracle", ("oracle",), 1521, has_schemas=True, case="upper")
