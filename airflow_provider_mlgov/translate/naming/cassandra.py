"""Cassandra: ``cassandra://host:port`` ⟂ ``keyspace.table``; the keyspace is the database."""

from __future__ import annotations

from airflow_provider_mlgov.translate.naming.rdbms import family

FAMILY = family("cassandra", ("cassandra",), 9042, has_schemas=False)
