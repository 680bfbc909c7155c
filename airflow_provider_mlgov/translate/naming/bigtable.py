"""Bigtable: ``bigtable://project:instance`` ⟂ ``table``; OpenLineage has no rule for it."""

from __future__ import annotations

from airflow_provider_mlgov.translate.naming.containers import family

FAMILY = family("mlgov_bigtable_table", "bigtable", ("bigtable",), ())
