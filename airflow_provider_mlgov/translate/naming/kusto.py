"""Azure Data Explorer: ``azurekusto://cluster.kusto.windows.net`` ⟂ ``db/table``."""

from __future__ import annotations

from airflow_provider_mlgov.model.entity import Entity
from airflow_provider_mlgov.translate.naming.family import Family
from airflow_provider_mlgov.translate.naming.rdbms import account, column, table
from airflow_provider_mlgov.translate.options import TranslateOptions


def entities(namespace: str, name: str, options: TranslateOptions) -> tuple[Entity, ...] | None:
    """Cluster, database and table."""
    instance = account(namespace, "azurekusto", options)
    database, _, inner = name.partition("/")
    if instance is None or not database or not inner:
        return None
    return table(instance, database, "", inner, options)


FAMILY = Family(schemes=("azurekusto",), entities=entities, column=column, kind_attribute="type")
