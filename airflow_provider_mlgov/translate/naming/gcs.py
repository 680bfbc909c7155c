"""Google Cloud Storage: ``gs://bucket`` ⟂ ``key``: a bucket and one directory per level, which ends in ``/`` as S3's do."""

from __future__ import annotations

from airflow_provider_mlgov.translate.naming.containers import dataset
from airflow_provider_mlgov.translate.naming.fallback import column
from airflow_provider_mlgov.translate.naming.family import Chain, Family, authority, segments
from airflow_provider_mlgov.translate.options import TranslateOptions


def entities(namespace: str, name: str, options: TranslateOptions) -> Chain | None:
    """The bucket, and each level of the key; ``/`` is the bucket itself."""
    bucket = authority(namespace)
    if bucket is None:
        return None
    at, root = options.platform_namespace, f"gs://{bucket}"
    chain = [dataset("mlgov_gcs_bucket", "gs", root, "/", f"{root}@{at}", {}, bucket)]
    path = ""
    for part in segments(name):
        path += f"{part}/"
        within = {"within": chain[-1].ref}
        chain.append(dataset("mlgov_gcs_directory", "gs", root, path, f"{root}/{path}@{at}", within, part))
    return tuple(chain)


FAMILY = Family(("gs", "gcs"), entities, column, "datasetType", has_paths=True)
