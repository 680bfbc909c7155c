"""The embedded catalogue: Atlas's semantics in one SQLite file that every process opens directly."""

from __future__ import annotations

from airflow_provider_mlgov.catalog.embedded.embedded import EmbeddedCatalog

__all__ = ["EmbeddedCatalog"]
