"""Azure Cosmos DB: ``azurecosmos://host/dbs/db`` ⟂ ``colls/collection``; the collection is the table."""

from __future__ import annotations

from airflow_provider_mlgov.model.entity import Entity
from airflow_provider_mlgov.translate.naming.family import Family
from airflow_provider_mlgov.translate.naming.rdbms import account, column, table
from airflow_provider_mlgov.translate.options import TranslateOptions


def entities(namespace: str, name: str, options: TranslateOptions) -> tuple[Entity, ...] | None:
    """Account, database and collection."""
    server, _, database = namespace.partition("/dbs/")
    instance = account(server, "azurecosmos", options)
    collection = name.removeprefix("colls/")
    if instance is None or not database or "/" in database or not collection:
        return None
    return table(instance, database, "", collection, options)


FAMILY = Family(schemes=("azurecosmos",), entities=entities, column=column, kind_attribute="type")
