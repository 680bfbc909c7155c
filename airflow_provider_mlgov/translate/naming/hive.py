"""Hive: ``hive://host:port`` ⟂ ``db.table`` → ``hive_db`` → ``hive_table`` → ``hive_column``.

Everything is lower case, as Hive is (a rule can keep case), and the same as what Atlas's Hive hook writes, so that both speak
of one table.
A table of a metastore catalog other than ``hive`` (``catalog.db.table``) has it in the name of its database only.
"""

from __future__ import annotations

from typing import Any

from airflow_provider_mlgov.model.entity import Entity, Ref
from airflow_provider_mlgov.translate.naming.family import Family
from airflow_provider_mlgov.translate.naming.fields import Field
from airflow_provider_mlgov.translate.options import TranslateOptions

UNKNOWN = "unknown"
"""The type of a column that only lineage named, until something tells it."""


def entities(namespace: str, name: str, options: TranslateOptions) -> tuple[Entity, ...] | None:  # noqa: ARG001 - no host in names
    """Database and table."""
    parts = name.split(".")
    if not 2 <= len(parts) <= 3 or not all(parts):
        return None
    database, table = parts[-2:]
    at = options.platform_namespace
    prefix = f"{parts[0]}:" if len(parts) == 3 and parts[0] != "hive" else ""
    home = Entity("hive_db", f"{prefix}{database}@{at}", {"name": f"{prefix}{database}", "clusterName": at})
    return home, Entity("hive_table", f"{database}.{table}@{at}", {"name": table}, relations={"db": home.ref})


def column(table: Entity, field: Field) -> Entity:
    """``db.table.column``.

    What the hook knows better (Spark's ``string`` may be a ``varchar(20)``) is only written when the column is made. ``type`` is
    required, so a column without one is made as `UNKNOWN`.
    """
    head, _, at = table.qualified_name.rpartition("@")
    name = field.name
    create_only: dict[str, Any] = {"type": field.type or UNKNOWN}
    if field.position is not None:
        create_only["position"] = field.position - 1
    if field.description:
        create_only["comment"] = field.description
    return Entity(
        "hive_column",
        f"{head}.{name}@{at}",
        {"name": name},
        create_only=create_only,
        relations={"table": Ref(table.type_name, table.qualified_name, "hive_table_columns")},
    )


FAMILY = Family(
    ("hive",), entities, column, "tableType", is_catalog=True, case="lower", is_hooked=True, has_nested_columns=False
)
