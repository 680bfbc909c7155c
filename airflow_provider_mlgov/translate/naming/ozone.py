"""Ozone: ``ofs://service`` ⟂ ``/volume/bucket/key`` and ``o3fs://bucket.volume.service`` ⟂ ``/key``.

``ozone_volume`` → ``ozone_bucket`` → one ``ozone_key`` per level, as Atlas's hooks write them. What came by one scheme never meets
what came by the other: the hooks keep them apart.
"""

from __future__ import annotations

from airflow_provider_mlgov.model.entity import Entity
from airflow_provider_mlgov.translate.naming.family import Family, authority, segments
from airflow_provider_mlgov.translate.options import TranslateOptions


def entities(namespace: str, name: str, options: TranslateOptions) -> tuple[Entity, ...] | None:
    """Volume, bucket, and each level of the key."""
    place = authority(namespace)
    if place is None:
        return None
    scheme, parts = namespace.partition(":")[0].lower(), segments(name)
    if scheme == "o3fs":
        bucket, _, rest = place.partition(".")
        volume, keys, path = rest.partition(".")[0], parts, f"o3fs://{place}"
    else:
        volume, bucket = (*parts, "", "")[:2]
        keys, path = parts[2:], f"ofs://{place}/{volume}/{bucket}"
    if not volume:
        return None
    at = options.platform_namespace
    chain = [Entity("ozone_volume", f"{scheme}://{volume}@{at}", {"name": volume})]
    if bucket:
        relations = {"volume": chain[0].ref}
        chain.append(
            Entity("ozone_bucket", f"{scheme}://{volume}.{bucket}@{at}", {"name": bucket}, relations=relations)
        )
    for part in keys:
        path += f"/{part}"
        chain.append(Entity("ozone_key", f"{path}@{at}", {"name": part}, relations={"parent": chain[-1].ref}))
    return tuple(chain)


FAMILY = Family(schemes=("ofs", "o3fs"), entities=entities, has_paths=True)
