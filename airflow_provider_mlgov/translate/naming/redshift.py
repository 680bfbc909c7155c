"""Redshift: ``redshift://cluster.region:port`` ⟂ ``db.schema.table``, in lower case."""

from __future__ import annotations

from airflow_provider_mlgov.translate.naming.rdbms import family

FAMILY = family("redshift", ("redshift",), 5439, has_schemas=True, schema="public", case="lower")
