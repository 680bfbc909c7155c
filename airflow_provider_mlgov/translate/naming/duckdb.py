"""DuckDB: ``duckdb://path/shop.duckdb`` ⟂ ``database.schema.table``, as dbt names it.

The file is the instance. It means something on its own hosts only, so all names end in the Airflow's namespace.
"""

from __future__ import annotations

from airflow_provider_mlgov.model.entity import Entity
from airflow_provider_mlgov.translate.naming.family import Chain, Family
from airflow_provider_mlgov.translate.naming.rdbms import column, table
from airflow_provider_mlgov.translate.options import TranslateOptions


def parts(namespace: str, names: tuple[str, ...], options: TranslateOptions) -> Chain | None:
    """Instance (the file), database and table."""
    file = namespace.partition("://")[2]
    if not file or len(names) != 3 or not all(names):
        return None
    attributes = {"name": file.rpartition("/")[2] or file, "rdbms_type": "duckdb", "platform": "duckdb"}
    instance = Entity("rdbms_instance", f"duckdb://{file}@{options.airflow_namespace}", attributes)
    return table(instance, names[0], names[1], names[2], options)


def entities(namespace: str, name: str, options: TranslateOptions) -> Chain | None:
    """Instance, database and table."""
    return parts(namespace, tuple(name.split(".", 2)), options)


FAMILY = Family(("duckdb",), entities, column, "type", levels=3, parts=parts)
