"""ClickHouse: ``clickhouse://host:port`` ⟂ ``db.table``, as OpenLineage's JDBC extractors name it."""

from __future__ import annotations

from airflow_provider_mlgov.translate.naming.rdbms import family

FAMILY = family("clickhouse", ("clickhouse",), 8123, has_schemas=False)
