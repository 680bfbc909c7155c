"""Snowflake: ``snowflake://org-account`` (or ``locator.region.cloud``) ⟂ ``DB.SCHEMA.TABLE``.

The account is the instance. Its two forms never match each other by themselves.
"""

from __future__ import annotations

from airflow_provider_mlgov.model.entity import Entity
from airflow_provider_mlgov.translate.naming.family import Family
from airflow_provider_mlgov.translate.naming.rdbms import account, column, table
from airflow_provider_mlgov.translate.options import TranslateOptions


def entities(namespace: str, name: str, options: TranslateOptions) -> tuple[Entity, ...] | None:
    """Account, database and table."""
    instance = account(namespace, "snowflake", options.platform_namespace)
    parts = name.split(".", 2)
    if instance is None or len(parts) != 3 or not all(parts):
        return None
    return table(instance, *parts)


FAMILY = Family(schemes=("snowflake",), entities=entities, column=column, kind_attribute="type")
