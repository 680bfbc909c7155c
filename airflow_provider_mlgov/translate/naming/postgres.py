"""PostgreSQL.

``postgres://host:port`` ⟂ ``db.schema.table``. Case is kept: producers report names as the server folds them.
"""

from __future__ import annotations

from airflow_provider_mlgov.translate.naming.rdbms import family

FAMILY = family("postgres", ("postgres", "postgresql"), 5432, has_schemas=True)
