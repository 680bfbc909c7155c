"""URIs as OpenLineage datasets."""

from __future__ import annotations

import pytest

from airflow_provider_mlgov.delivery.clean import clean
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
        ("postgres://me@host/db/s/t", "postgres://host:5432", "db.s.t"),
        ("abfss://c@acc.dfs.core.windows.net/a/f?sig=HUNTER", "abfss://c@acc.dfs.core.windows.net", "a/f"),
        ("wasbs://c@acc.blob.core.windows.net/f", "wasbs://c@acc.blob.core.windows.net", "f"),
        ("hdfs://u:p@nn:8020/t", "hdfs://nn:8020", "/t"),
        ("https://u@h/p?token=HUNTER&page=2", "https://h", "p?page=2"),
        ("http://h/p?token=HUNTER", "http://h", "p"),
    ],
)
def test_by_the_rules_of_openlineage(uri: str, namespace: str, name: str) -> None:
    found = from_uri(uri)
    assert found is not None
    assert (found["namespace"], found["name"]) == (namespace, name)


@pytest.mark.parametrize("uri", ["a plain name", "", "/a/path", "kafka://broker"])
def test_what_names_no_dataset(uri: str) -> None:
    assert from_uri(uri) is None


@pytest.mark.parametrize(
    ("uri", "namespace", "name"),
    [
        ("abfss://c@acc.dfs.core.windows.net/f?sig=HUNTER", "abfss://c@acc.dfs.core.windows.net", "f?sig=HUNTER"),
        ("abfs://c@acc.dfs.core.windows.net/f", "abfs://c@acc.dfs.core.windows.net", "f"),
        ("wasb://c@acc.blob.core.windows.net/f", "wasb://c@acc.blob.core.windows.net", "f"),
        ("https://u:p@h/p?token=HUNTER", "https://u:p@h", "p?token=HUNTER"),
        ("postgres://me@h:1/db/s/t", "postgres://me@h:1", "db.s.t"),
        ("x://me@h/t", "x://me@h", "t"),
    ],
)
def test_an_asset_and_an_event_give_one_name(uri: str, namespace: str, name: str) -> None:
    told = clean({"inputs": [from_uri(uri), {"namespace": namespace, "name": name, "facets": {}}]})["inputs"]
    assert told[0] == told[1] == from_uri(uri)


def test_two_containers_are_two_datasets() -> None:
    assert from_uri("abfss://one@acc.dfs.core.windows.net/f") != from_uri("abfss://two@acc.dfs.core.windows.net/f")
