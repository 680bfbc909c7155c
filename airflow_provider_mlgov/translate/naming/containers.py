"""Platforms that Atlas has no types for: what their families have in common.

What a dataset is in (instance, catalog, schema, project) is an ``mlgov_container``, an Asset that is never the end of a
process; the dataset is a subtype of ``mlgov_dataset``, one per family. Names are those of OpenLineage::

    trino://host:port@ns    trino://host:port/catalog@ns    trino://host:port/catalog.schema@ns
    trino://host:port/catalog.schema.table@ns
"""

from __future__ import annotations

from collections.abc import Sequence

from airflow_provider_mlgov.model.entity import Entity, Ref
from airflow_provider_mlgov.model.identity import token
from airflow_provider_mlgov.translate.naming.fallback import column
from airflow_provider_mlgov.translate.naming.family import Chain, Family, authority
from airflow_provider_mlgov.translate.options import TranslateOptions
from airflow_provider_mlgov.translate.rules import Case


def container(platform: str, kind: str, name: str, qualified_name: str, inside: Entity | None = None) -> Entity:
    """What datasets, or other containers, are in."""
    attributes = {"name": name, "platform": platform, "containerType": kind}
    return Entity(
        "mlgov_container", qualified_name, attributes, relations={} if inside is None else {"parent": inside.ref}
    )


def dataset(
    type_name: str,
    platform: str,
    namespace: str,
    name: str,
    qualified_name: str,
    relations: dict[str, Ref],
    shown: str | None = None,
) -> Entity:
    """The dataset itself; ``namespace`` and ``name`` are OpenLineage's, ``shown`` is what people see."""
    attributes = {
        "name": shown or name.rpartition(".")[2] or name,
        "namespace": namespace,
        "datasetName": name,
        "datasetKey": token(qualified_name),
        "platform": platform,
    }
    return Entity(type_name, qualified_name, attributes, relations=relations)


def nested(
    type_name: str, platform: str, root: str, kinds: Sequence[str], names: Sequence[str], options: TranslateOptions
) -> Chain:
    """The containers below ``root`` (``scheme://host:port``), one per kind, and the dataset, which has the last name."""
    at = options.platform_namespace
    chain = [container(platform, "instance", root.partition("://")[2] or root, f"{root}@{at}")]
    for level, kind in enumerate(kinds, 1):
        path = ".".join(names[:level])
        chain.append(container(platform, kind, names[level - 1], f"{root}/{path}@{at}", chain[-1]))
    name = ".".join(names)
    relations = {"container": chain[-1].ref}
    return (*chain, dataset(type_name, platform, root, name, f"{root}/{name}@{at}", relations))


def family(
    type_name: str,
    platform: str,
    schemes: tuple[str, ...],
    kinds: tuple[str, ...],
    *,
    case: Case = "keep",
    is_catalog: bool = False,
) -> Family:
    """The family of a server ``scheme://host:port`` whose tables are named by ``kinds`` and their own name, with dots."""
    levels = len(kinds) + 1

    def parts(namespace: str, names: tuple[str, ...], options: TranslateOptions) -> Chain | None:
        host = authority(namespace)
        if host is None or len(names) != levels or not all(names):
            return None
        return nested(type_name, platform, f"{namespace.partition(':')[0].lower()}://{host}", kinds, names, options)

    def entities(namespace: str, name: str, options: TranslateOptions) -> Chain | None:
        return parts(namespace, tuple(name.split(".", levels - 1)), options)

    return Family(
        schemes, entities, column, "datasetType", levels=levels, parts=parts, case=case, is_catalog=is_catalog
    )
