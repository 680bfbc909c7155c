"""URIs as OpenLineage datasets."""

from __future__ import annotations

import pytest

from airflow_provider_mlgov.lineage.datasets import from_uri


@pytest.mark.parametrize(
    ("uri", "namespace", "name"),
    [
        ("file:///data/a.csv", "file", "/data/a.csv"),
        ("file://host/data/a%20b.csv", "file://host", "/data/a b.csv"),
        ("s3://lake/raw/a.csv", "s3://lake", "raw/a.csv"),
        ("s3a://lake/raw/", "s3://lake", "raw"),
        ("gcs://bucket/key", "gs://bucket", "key"),
        ("hdfs://nn:8020/warehouse/t", "hdfs://nn:8020", "/warehouse/t"),
        ("hive://meta:9083/db/t", "hive://meta:9083", "db.t"),
        ("postgresql://host/db/public/t", "postgres://host:5432", "db.public.t"),
        ("postgres://me:secret@host:6000/db/public/t", "postgres://host:6000", "db.public.t"),
        ("mysql://host/db/t", "mysql://host:3306", "db.t"),
        ("sqlite:////data/shop.db/customers", "sqlite:///data/shop.db", "customers"),
        ("sqlite:///data/shop.db", "sqlite:///data/shop.db", "main"),
        ("kafka://broker/topic", "kafka://broker:9092", "topic"),
        ("x-thing://u:p@place/a/b?v=1", "x-thing://place", "a/b?v=1"),
        ("postgres://[::1]/db/s/t", "postgres://[::1]:5432", "db.s.t"),
    ],
)
def test_by_the_rules_of_openlineage(uri: str, namespace: str, name: str) -> None:
    found = from_uri(uri)
    assert found is not None
    assert (found["namespace"], found["name"]) == (namespace, name)


@pytest.mark.parametrize("uri", ["a plain name", "", "/a/path", "kafka://broker"])
def test_what_names_no_dataset(uri: str) -> None:
    assert from_uri(uri) is None
