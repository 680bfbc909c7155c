"""Spanner: ``spanner://project:instance`` ⟂ ``db.schema.table``; its default schema has no name (``db..table``)."""

from __future__ import annotations

from airflow_provider_mlgov.model.entity import Entity
from airflow_provider_mlgov.translate.naming.family import Family
from airflow_provider_mlgov.translate.naming.rdbms import account, column, table
from airflow_provider_mlgov.translate.options import TranslateOptions


def entities(namespace: str, name: str, options: TranslateOptions) -> tuple[Entity, ...] | None:
    """Instance, database and table; ``db.table`` and ``db..table`` are the same."""
    instance = account(namespace, "spanner", options)
    database, *schema, inner = name.split(".", 2) if "." in name else ("", "")
    if instance is None or not database or not inner:
        return None
    return table(instance, database, "".join(schema), inner, options)


FAMILY = Family(schemes=("spanner",), entities=entities, column=column, kind_attribute="type")
