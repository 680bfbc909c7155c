"""HBase: ``hbase://host:port`` ⟂ ``namespace:table`` → ``hbase_namespace`` → ``hbase_table``.

OpenLineage has no rule for HBase. Case is kept, as Atlas's HBase hook and bridge do; ``default`` is the namespace of a bare name.
"""

from __future__ import annotations

from airflow_provider_mlgov.model.entity import Entity
from airflow_provider_mlgov.translate.naming.family import Family
from airflow_provider_mlgov.translate.options import TranslateOptions


def entities(namespace: str, name: str, options: TranslateOptions) -> tuple[Entity, ...] | None:  # noqa: ARG001 - no host in names
    """Namespace and table."""
    group, _, table = name.rpartition(":")
    group = group or "default"
    if not table:
        return None
    at = options.platform_namespace
    home = Entity("hbase_namespace", f"{group}@{at}", {"name": group, "clusterName": at})
    attributes = {"name": table, "uri": f"{group}:{table}"}
    return home, Entity("hbase_table", f"{group}:{table}@{at}", attributes, relations={"namespace": home.ref})


FAMILY = Family(schemes=("hbase",), entities=entities)
