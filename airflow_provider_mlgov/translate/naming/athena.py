"""Amazon Athena: ``awsathena://athena.region.amazonaws.com`` ⟂ ``catalog.database.table``, in lower case."""

from __future__ import annotations

from airflow_provider_mlgov.translate.naming.containers import family

FAMILY = family("mlgov_athena_table", "athena", ("awsathena",), ("catalog", "database"), case="lower", is_catalog=True)
