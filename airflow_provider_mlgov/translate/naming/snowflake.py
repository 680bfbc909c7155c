"""Snowflake: ``snowflake://org-account`` (or ``locator.region.cloud``) ⟂ ``DB.SCHEMA.TABLE``.

The account is the instance. Its two forms never match each other by themselves: a rule (``alias``) says which are one.
Names that are not quoted are upper case.
"""

from __future__ import annotations

from airflow_provider_mlgov.translate.naming.family import Chain, Family
from airflow_provider_mlgov.translate.naming.rdbms import account, column, table
from airflow_provider_mlgov.translate.options import TranslateOptions


def parts(namespace: str, names: tuple[str, ...], options: TranslateOptions) -> Chain | None:
    """Account, database and table."""
    instance = account(namespace, "snowflake", options)
    if instance is None or len(names) != 3 or not all(names):
        return None
    return table(instance, names[0], names[1], names[2], options)


def entities(namespace: str, name: str, options: TranslateOptions) -> Chain | None:
    """Account, database and table."""
    return parts(namespace, tuple(name.split(".", 2)), options)


FAMILY = Family(("snowflake",), entities, column, "type", levels=3, parts=parts, case="upper", schema_of=lambda _: "")
