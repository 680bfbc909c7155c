"""Teradata: ``teradata://host:port`` ⟂ ``db.table``. It does not tell case apart; ours is lower."""

from __future__ import annotations

from airflow_provider_mlgov.translate.naming.rdbms import family

FAMILY = family("teradata", ("teradata",), 1025, has_schemas=False, case="lower")
