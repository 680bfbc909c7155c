from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from airflow_provider_mlgov.assets import Data, Endpoint, Model, table
from airflow_provider_mlgov.errors import InvalidInputError
from airflow_provider_mlgov.lineage import facts, read, wrote
from airflow_provider_mlgov.lineage.said import to_dataset

ATTEMPT = facts.Attempt("d", "r", "t", -1, 1)
SHOP = table("sqlite:////data/shop.db", "customers")


@pytest.fixture(autouse=True)
def _attempt(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(facts, "current_attempt", lambda: ATTEMPT)
    facts.forget_all()
    yield
    facts.forget_all()


def test_read() -> None:
    read(SHOP, rows=10, size=2048, files=1, version=3, split="train", columns={"id": "INTEGER", "age": "REAL"})
    [said] = facts.take(ATTEMPT).inputs
    assert said == {
        "namespace": "sqlite:///data/shop.db",
        "name": "customers",
        "facets": {
            "version": {"datasetVersion": "3"},
            "schema": {"fields": [{"name": "id", "type": "INTEGER"}, {"name": "age", "type": "REAL"}]},
        },
        "inputFacets": {
            "inputStatistics": {"rowCount": 10, "size": 2048, "fileCount": 1},
            "mlgov_io": {"split": "train"},
        },
    }
    assert table("sqlite:////data/shop.db", "customers") == SHOP  # not changed by what was said about it


def test_wrote() -> None:
    wrote(SHOP, rows=0, columns=["id"])
    [said] = facts.take(ATTEMPT).outputs
    assert said["facets"] == {"schema": {"fields": [{"name": "id"}]}}
    assert said["outputFacets"] == {"outputStatistics": {"rowCount": 0}}


def test_saying_nothing_more_adds_no_facets() -> None:
    read(SHOP)
    wrote(SHOP)
    found = facts.take(ATTEMPT)
    assert found.inputs[0]["inputFacets"] == found.outputs[0]["outputFacets"] == {}


def test_numbers_of_numpy_become_numbers() -> None:
    import numpy

    read(SHOP, rows=numpy.int64(3))
    assert type(facts.take(ATTEMPT).inputs[0]["inputFacets"]["inputStatistics"]["rowCount"]) is int


@pytest.mark.parametrize(
    ("what", "namespace", "name"),
    [
        (SHOP, "sqlite:///data/shop.db", "customers"),
        (("s3://bucket", "a.csv"), "s3://bucket", "a.csv"),
        ("s3://bucket/a.csv", "s3://bucket", "a.csv"),
        ("/data/a.csv", "file", "/data/a.csv"),
        (Path("/data/a.csv"), "file", "/data/a.csv"),
        ({"namespace": "n", "name": "m"}, "n", "m"),
        (SimpleNamespace(to_dataset=lambda: {"namespace": "n", "name": "m"}), "n", "m"),
        (Model("churn", project="shop"), "mlgov://shop", "models/churn"),
        (Model("churn", project="shop", build="v1"), "mlgov://shop", "models/churn/builds/v1"),
    ],
)
def test_what_may_be_said(what: Any, namespace: str, name: str) -> None:
    found = to_dataset(what)
    assert (found["namespace"], found["name"]) == (namespace, name)


@pytest.mark.parametrize("what", [None, 3, "customers", ("a",), ("", "x"), Data("", "x"), {"name": "x"}])
def test_what_names_no_dataset(what: Any) -> None:
    with pytest.raises(InvalidInputError, match="does not say which dataset"):
        to_dataset(what)


def test_an_endpoint_alone_names_no_deployment() -> None:
    with pytest.raises(InvalidInputError, match="name the deployment"):
        to_dataset(Endpoint("api"))


@pytest.mark.parametrize("say", [read, wrote])
def test_what_is_said_wrongly_fails_no_task(say: Any, caplog: pytest.LogCaptureFixture) -> None:
    say("customers")
    say(SHOP, columns=5)
    assert [record.message.partition(":")[0] for record in caplog.records] == [
        f"Not recorded what this task {say.__name__}"
    ] * 2
    taken = facts.take(ATTEMPT)
    assert taken.inputs == taken.outputs == []


def test_outside_of_a_task_it_only_warns(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr(facts, "current_attempt", lambda: None)
    read(SHOP)
    assert facts.take(ATTEMPT).inputs == []
