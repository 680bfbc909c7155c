"""AWS Glue: ``arn:aws:glue:region:account`` ⟂ ``table/db/table`` → ``hive_db`` → ``hive_table``.

The Glue catalogue of an account and region is one metastore, with its own namespace, ``glue-<region>-<account>`` if no rule
says under which name a hooked Hive writes the same tables.
"""

from __future__ import annotations

from dataclasses import replace

from airflow_provider_mlgov.model.entity import Entity
from airflow_provider_mlgov.translate.naming import hive
from airflow_provider_mlgov.translate.options import TranslateOptions


def entities(namespace: str, name: str, options: TranslateOptions) -> tuple[Entity, ...] | None:
    """Database and table, as Hive's."""
    arn = namespace.split(":")
    parts = name.split("/")
    if len(arn) != 5 or arn[2] != "glue" or not all(arn) or len(parts) != 3 or parts[0] != "table":
        return None
    at = options.cluster_namespace or f"glue-{arn[3]}-{arn[4]}"
    return hive.entities(namespace, ".".join(parts[1:]), replace(options, platform_namespace=at))


FAMILY = replace(hive.FAMILY, schemes=("arn",), entities=entities)
