"""Relational databases, and others that are named like them: what their families have in common.

Atlas has types (``rdbms_instance`` → ``rdbms_db`` → ``rdbms_table`` → ``rdbms_column``) but no convention of names.
Ours follows the one hint in its sources, that a table's name ends in ``.<name>@`` after the name of its database::

    host:port@ns    host:port/db@ns    host:port/db.schema.table@ns    host:port/db.schema.table.column@ns
"""

from __future__ import annotations

from typing import Any

from airflow_provider_mlgov.model.entity import Entity
from airflow_provider_mlgov.translate.naming.family import Family, Field, authority
from airflow_provider_mlgov.translate.options import TranslateOptions


def server(namespace: str, kind: str, default_port: int, at: str) -> Entity | None:
    """The instance at ``scheme://host[:port]``; the port is always part of its name."""
    address = authority(namespace)
    if address is None:
        return None
    host, separator, port = address.rpartition(":")
    if not separator or not port.isdecimal():
        if address.endswith(":") or (":" in address and not address.endswith("]")):
            return None
        host, port = address, str(default_port)
    attributes = {
        "name": f"{host}:{port}",
        "rdbms_type": kind,
        "platform": kind,
        "protocol": kind,
        "hostname": host,
        "port": int(port),
    }
    return Entity("rdbms_instance", f"{host}:{port}@{at}", attributes)


def account(namespace: str, kind: str, at: str) -> Entity | None:
    """The instance at ``scheme://account``, of a service that has accounts in place of servers."""
    _, separator, name = namespace.rstrip("/").partition("://")
    if not separator or not name or set(name) & set("/?#@"):
        return None
    attributes = {"name": name.lower(), "rdbms_type": kind, "platform": kind, "protocol": kind}
    return Entity("rdbms_instance", f"{kind}://{name.lower()}@{at}", attributes)


def table(instance: Entity, database: str, schema: str, name: str) -> tuple[Entity, ...]:
    """Instance, database and table; ``schema`` is empty where the platform has none."""
    head, _, at = instance.qualified_name.rpartition("@")
    home = Entity("rdbms_db", f"{head}/{database}@{at}", {"name": database}, relations={"instance": instance.ref})
    inner = f"{schema}.{name}" if schema else name
    attributes = {"name": inner} | ({"name_path": schema} if schema else {})
    return (
        instance,
        home,
        Entity("rdbms_table", f"{head}/{database}.{inner}@{at}", attributes, relations={"db": home.ref}),
    )


def column(parent: Entity, field: Field) -> Entity:
    """A column, named after its table."""
    head, _, at = parent.qualified_name.rpartition("@")
    attributes: dict[str, Any] = {"name": field.name}
    if field.type:
        attributes["data_type"] = field.type
    if field.description:
        attributes["comment"] = field.description
    return Entity("rdbms_column", f"{head}.{field.name}@{at}", attributes, relations={"table": parent.ref})


def family(kind: str, schemes: tuple[str, ...], default_port: int, *, has_schemas: bool) -> Family:
    """The family of a server whose tables are named ``db.schema.table``, or ``db.table`` where it has no schemas."""

    def entities(namespace: str, name: str, options: TranslateOptions) -> tuple[Entity, ...] | None:
        instance = server(namespace, kind, default_port, options.platform_namespace)
        parts = name.split(".", 2 if has_schemas else 1)
        if instance is None or len(parts) != (3 if has_schemas else 2) or not all(parts):
            return None
        return table(instance, parts[0], parts[1] if has_schemas else "", parts[-1])

    return Family(schemes=schemes, entities=entities, column=column, kind_attribute="type")
