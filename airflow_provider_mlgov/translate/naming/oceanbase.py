"""OceanBase: ``oceanbase://host:port`` ⟂ ``db.table``."""

from __future__ import annotations

from airflow_provider_mlgov.translate.naming.rdbms import family

FAMILY = family("oceanbase", ("oceanbase",), 2881, has_schemas=False)
