"""Unity Catalog: ``unitycatalog://host:port`` ⟂ ``catalog.schema.table``, in lower case."""

from __future__ import annotations

from airflow_provider_mlgov.translate.naming.containers import family

FAMILY = family("mlgov_unity_table", "unity", ("unitycatalog",), ("catalog", "schema"), case="lower", is_catalog=True)
