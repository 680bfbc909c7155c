"""SQLite: ``sqlite:///abs/path/shop.db`` ⟂ ``table`` (or ``schema.table``; ``main`` is implied).

OpenLineage has no rule for SQLite; this form is ours, and ``sqlite:/abs/path/shop.db`` is Spark's.
The file is the instance. It means something on its own hosts
only, so all names end in the Airflow's namespace: ``sqlite:///abs/path/shop.db/main.orders@default``.
"""

from __future__ import annotations

from airflow_provider_mlgov.model.entity import Entity
from airflow_provider_mlgov.translate.naming.family import Family, segments
from airflow_provider_mlgov.translate.naming.rdbms import column, table
from airflow_provider_mlgov.translate.options import TranslateOptions


def entities(namespace: str, name: str, options: TranslateOptions) -> tuple[Entity, ...] | None:
    """Instance (the file), database (``main`` or what is attached) and table."""
    place = namespace.partition(":")[2]
    host, slash, path = place[2:].partition("/") if place.startswith("//") else ("", "/", place)
    parts = segments(path)
    schema, _, inner = name.rpartition(".") if name.count(".") == 1 else ("main", "", name)
    if not slash or not parts or not schema or not inner:
        return None
    file = "/" + "/".join(parts)
    attributes = {"name": parts[-1], "rdbms_type": "sqlite", "platform": "sqlite", "protocol": "sqlite"}
    if host:
        attributes["hostname"] = host
    instance = Entity("rdbms_instance", f"sqlite://{host}{file}@{options.airflow_namespace}", attributes)
    return table(instance, schema, "", inner, options)


FAMILY = Family(schemes=("sqlite",), entities=entities, column=column, kind_attribute="type")
