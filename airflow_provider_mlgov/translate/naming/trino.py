"""Trino and Presto: ``trino://host:port`` ⟂ ``catalog.schema.table``. Both fold names to lower case."""

from __future__ import annotations

from airflow_provider_mlgov.translate.naming.containers import family

FAMILY = family("mlgov_trino_table", "trino", ("trino", "presto"), ("catalog", "schema"), case="lower", is_catalog=True)
