"""S3: ``s3://bucket`` ⟂ ``key`` → ``aws_s3_v2_bucket`` → one ``aws_s3_v2_directory`` per level.

As Atlas's hooks write it: the scheme is configuration (they keep what Hive saw), the bucket is lower case, the key is
not, a directory's name ends in ``/``, and even a file is a directory.

Atlas declares ``objectPrefix`` unique over all buckets and takes two directories with one prefix for one entity (measured
on 2.1.0: the second renames the first). So ours is the whole path with its bucket, and what a hook stored is kept.
"""

from __future__ import annotations

from airflow_provider_mlgov.model.entity import Entity
from airflow_provider_mlgov.translate.naming.family import Family, authority, segments
from airflow_provider_mlgov.translate.options import TranslateOptions


def entities(namespace: str, name: str, options: TranslateOptions) -> tuple[Entity, ...] | None:
    """The bucket, and each level of the key; ``/`` is the bucket itself."""
    bucket = authority(namespace)
    if bucket is None:
        return None
    root = f"{options.s3_scheme}://{bucket}"
    chain = [Entity("aws_s3_v2_bucket", f"{root}@{options.platform_namespace}", {"name": bucket})]
    path = f"{root}/"
    for part in segments(name):
        path += f"{part}/"
        chain.append(
            Entity(
                "aws_s3_v2_directory",
                f"{path}@{options.platform_namespace}",
                {"name": part},
                create_only={"objectPrefix": path},
                relations={"container": chain[-1].ref},
            )
        )
    return tuple(chain)


FAMILY = Family(schemes=("s3", "s3a", "s3n"), entities=entities, has_paths=True)
