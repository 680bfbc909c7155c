from __future__ import annotations

from pathlib import Path

import pytest

from airflow_provider_mlgov.assets import Data, file, table
from airflow_provider_mlgov.errors import InvalidInputError


@pytest.mark.parametrize(
    ("url", "name", "namespace", "full"),
    [
        ("sqlite:////data/shop.db", "customers", "sqlite:///data/shop.db", "customers"),
        ("postgresql+psycopg2://me:secret@db:5433/shop", "customers", "postgres://db:5433", "shop.public.customers"),
        ("postgresql://db/shop", "sales.customers", "postgres://db:5432", "shop.sales.customers"),
        ("mysql://me@db/shop?charset=utf8", "customers", "mysql://db:3306", "shop.customers"),
        ("mariadb://db/shop", "customers", "mysql://db:3306", "shop.customers"),
        ("mssql+pyodbc://db/shop", "customers", "mssql://db:1433", "shop.dbo.customers"),
        ("trino://coordinator:8080/hive", "web.visits", "trino://coordinator:8080", "hive.web.visits"),
        ("clickhouse://db/shop", "visits", "clickhouse://db", "shop.visits"),
    ],
)
def test_table(url: str, name: str, namespace: str, full: str) -> None:
    assert table(url, name) == Data(namespace, full)


@pytest.mark.parametrize(
    "url", ["sqlite:///relative.db", "sqlite://", "postgresql://db", "customers", "postgresql:///shop", "sqlite:////"]
)
def test_a_table_needs_a_place_that_others_find(url: str) -> None:
    with pytest.raises(InvalidInputError, match=r"wanted|needs"):
        table(url, "customers")


def test_a_refused_table_does_not_tell_the_password() -> None:
    with pytest.raises(InvalidInputError) as caught:
        table("postgresql://me:hunter2@db", "customers")
    assert "hunter2" not in str(caught.value)


def test_a_table_needs_a_name() -> None:
    with pytest.raises(InvalidInputError, match="empty"):
        table("postgresql://db/shop", "")


@pytest.mark.parametrize(
    ("location", "namespace", "name"),
    [
        ("/data/a b#c.csv", "file", "/data/a b#c.csv"),
        (Path("/data/a.csv"), "file", "/data/a.csv"),
        ("file:///data/a%20b.csv", "file", "/data/a b.csv"),
        ("file://host/data/a.csv", "file://host", "/data/a.csv"),
        ("s3://bucket/raw/a.csv", "s3://bucket", "raw/a.csv"),
        ("s3://bucket", "s3://bucket", "/"),
    ],
)
def test_file(location: str | Path, namespace: str, name: str) -> None:
    assert file(location) == Data(namespace, name)


@pytest.mark.parametrize("location", ["a.csv", "", "file:a.csv", "./data/a.csv"])
def test_a_relative_file_is_refused(location: str) -> None:
    with pytest.raises(InvalidInputError, match="absolute path"):
        file(location)
