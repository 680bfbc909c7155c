"""HDFS: ``hdfs://namenode:port`` ⟂ ``/path`` → ``hdfs_path``, as Atlas's hooks name it (no slash at the end)."""

from __future__ import annotations

from airflow_provider_mlgov.model.entity import Entity
from airflow_provider_mlgov.translate.naming.family import Family, authority, segments
from airflow_provider_mlgov.translate.options import TranslateOptions


def entities(namespace: str, name: str, options: TranslateOptions) -> tuple[Entity, ...] | None:
    """One ``hdfs_path`` whose path is the whole URI."""
    host = authority(namespace)
    if host is None:
        return None
    path = "/" + "/".join(segments(name))
    uri = f"hdfs://{host}{path}"
    attributes = {"name": path, "path": uri, "clusterName": options.platform_namespace}
    return (Entity("hdfs_path", f"{uri}@{options.platform_namespace}", attributes),)


FAMILY = Family(schemes=("hdfs",), entities=entities, has_paths=True)
