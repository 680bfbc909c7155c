"""PostgreSQL.

``postgres://host:port`` ⟂ ``db.schema.table``, in lower case, as the server folds names that are not quoted.
"""

from __future__ import annotations

from airflow_provider_mlgov.translate.naming.rdbms import family

FAMILY = family("postgres", ("postgres", "postgresql"), 5432, has_schemas=True, schema="public", case="lower")
