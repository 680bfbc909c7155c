"""S3 as Atlas 1 had it: ``s3://bucket`` ⟂ ``key`` → ``aws_s3_bucket`` → ``aws_s3_pseudo_dir``. Chosen by a rule only.

As the hooks write it where they are told to: everything is lower case, and the whole path is one directory.
"""

from __future__ import annotations

from airflow_provider_mlgov.model.entity import Entity
from airflow_provider_mlgov.translate.naming.family import Chain, Family, authority, fold, segments
from airflow_provider_mlgov.translate.options import TranslateOptions


def entities(namespace: str, name: str, options: TranslateOptions) -> Chain | None:
    """The bucket, and the whole key; ``/`` is the bucket itself."""
    bucket = authority(namespace)
    if bucket is None:
        return None
    root, at = f"{options.s3_scheme}://{bucket}", options.platform_namespace
    home = Entity("aws_s3_bucket", f"{root}@{at}", {"name": bucket})
    parts = segments(fold(name, options.case or "lower"))
    if not parts:
        return (home,)
    path = f"{root}/{'/'.join(parts)}"
    attributes = {"name": parts[-1], "objectPrefix": path}
    return home, Entity("aws_s3_pseudo_dir", f"{path}@{at}", attributes, relations={"bucket": home.ref})


FAMILY = Family((), entities, has_paths=True)
