"""Relational databases, and others that are named like them: what their families have in common.

Atlas has types (``rdbms_instance`` → ``rdbms_db`` → ``rdbms_table`` → ``rdbms_column``) but no convention of names.
Ours follows the one hint in its sources, that a table's name ends in ``.<name>@`` after the name of its database. Who has
scanned databases into Atlas already has a convention of their own, which a rule (``rdbms_names``) can choose:

| ``rdbms_names`` | instance | database | table |
|---|---|---|---|
| default | ``host:port@ns`` | ``host:port/db@ns`` | ``host:port/db.schema.table@ns`` |
| scheme | ``scheme://host:port@ns`` | ``scheme://host:port/db@ns`` | ``scheme://host:port/db.schema.table@ns`` |
| plain | ``host:port@ns`` | ``db@ns`` | ``db.schema.table@ns`` |
| sac | ``host:port@ns`` | ``db`` | ``db.table``, all in lower case |
"""

from __future__ import annotations

from airflow_provider_mlgov.model.entity import Entity
from airflow_provider_mlgov.translate.naming.family import Chain, Family, authority
from airflow_provider_mlgov.translate.naming.fields import Field, described
from airflow_provider_mlgov.translate.options import TranslateOptions
from airflow_provider_mlgov.translate.rules import Case


def server(namespace: str, kind: str, default_port: int, options: TranslateOptions) -> Entity | None:
    """The instance at ``scheme://host[:port]``; the port is always part of its name."""
    address = authority(namespace)
    if address is None:
        return None
    host, separator, port = address.rpartition(":")
    if not separator or not port.isdecimal():
        if address.endswith(":") or (":" in address and not address.endswith("]")):
            return None
        host, port = address, str(default_port)
    if len(port) > 5:
        return None
    attributes = {
        "name": f"{host}:{port}",
        "rdbms_type": kind,
        "platform": kind,
        "protocol": kind,
        "hostname": host,
        "port": int(port),
    }
    prefix = f"{kind}://" if options.rdbms_names == "scheme" else ""
    return Entity("rdbms_instance", f"{prefix}{host}:{port}@{options.platform_namespace}", attributes)


def account(namespace: str, kind: str, options: TranslateOptions) -> Entity | None:
    """The instance at ``scheme://account``, of a service that has accounts in place of servers."""
    _, separator, name = namespace.rstrip("/").partition("://")
    if not separator or not name or set(name) & set("/?#@"):
        return None
    attributes = {"name": name.lower(), "rdbms_type": kind, "platform": kind, "protocol": kind}
    return Entity("rdbms_instance", f"{kind}://{name.lower()}@{options.platform_namespace}", attributes)


def table(instance: Entity, database: str, schema: str, name: str, options: TranslateOptions) -> Chain:
    """Instance, database and table; ``schema`` is empty where the platform has none."""
    head, _, at = instance.qualified_name.rpartition("@")
    inner = f"{schema}.{name}" if schema else name
    if options.rdbms_names == "sac":
        names = database.lower(), f"{database}.{name}".lower()
    else:
        prefix = "" if options.rdbms_names == "plain" else f"{head}/"
        names = f"{prefix}{database}@{at}", f"{prefix}{database}.{inner}@{at}"
    home = Entity("rdbms_db", names[0], {"name": database}, relations={"instance": instance.ref})
    attributes = {"name": inner} | ({"name_path": schema} if schema else {})
    return instance, home, Entity("rdbms_table", names[1], attributes, relations={"db": home.ref})


SYSTEM_SCHEMAS = frozenset({"information_schema", "pg_catalog", "sys"})
"""What no database is called, since each has a schema of that name."""


def column(parent: Entity, field: Field) -> Entity:
    """A column, named after its table."""
    head, separator, at = parent.qualified_name.rpartition("@")
    if not separator:
        head, at = parent.qualified_name, ""
    name = f"{head}.{field.name}{separator}{at}"
    facts = described(field, data_type=field.type, comment=field.description)
    return Entity("rdbms_column", name, {"name": field.name}, facts, relations={"table": parent.ref})


def family(
    kind: str, schemes: tuple[str, ...], default_port: int, *, has_schemas: bool, schema: str = "", case: Case = "keep"
) -> Family:
    """The family of a server whose tables are named ``db.schema.table``, or ``db.table`` where it has no schemas.

    ``schema`` is where a table is that names none, if that is the same for all users.
    """
    levels = 3 if has_schemas else 2

    def parts(namespace: str, names: tuple[str, ...], options: TranslateOptions) -> Chain | None:
        instance = server(namespace, kind, default_port, options)
        if instance is None or len(names) != levels or not all(names):
            return None
        return table(instance, names[0], names[1] if has_schemas else "", names[-1], options)

    def entities(namespace: str, name: str, options: TranslateOptions) -> Chain | None:
        return parts(namespace, tuple(name.split(".", levels - 1)), options)

    return Family(
        schemes,
        entities,
        column,
        "type",
        levels=levels,
        parts=parts,
        case=case,
        default_port=default_port,
        schema_of=(lambda _: schema) if has_schemas else None,
    )
