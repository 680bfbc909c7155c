"""Milvus: ``milvus://host:port`` ⟂ ``database.collection``."""

from __future__ import annotations

from airflow_provider_mlgov.translate.naming.containers import family

FAMILY = family("mlgov_milvus_collection", "milvus", ("milvus",), ("database",))
