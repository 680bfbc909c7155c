"""What was found out about datasets that were dropped or got another name, told in any order."""

from __future__ import annotations

from itertools import permutations
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_mlgov.model.identity import token
from tests.delivery.test_any_order import catalogued
from tests.delivery.test_any_portion import DB, TESTED, data, event, orders, quality

Json = dict[str, Any]
GCS = "gs://lake"


def checked(run: int, name: str, namespace: str = DB) -> Json:
    """A run whose tests fail, and which fails for that: nothing else is told of the dataset."""
    return event(run, run, [data(name, namespace, **TESTED)], [], kind="FAIL", job=f"tests{run}")


def measured(run: int, name: str, namespace: str = DB) -> Json:
    return event(run, run, [], [data(name, namespace, dataQualityMetrics={"rowCount": run})], job=f"makes{run}")


def dropped(run: int, name: str, namespace: str = DB) -> Json:
    return event(run, run, [], [data(name, namespace, lifecycleStateChange={"lifecycleStateChange": "DROP"})], job="d")


def renamed(run: int, old: str, new: str, namespace: str = DB) -> Json:
    before = {"namespace": namespace, "name": data(old, namespace)["name"]}
    facet = {"lifecycleStateChange": "RENAME", "previousIdentifier": before}
    return event(run, run, [], [data(new, namespace, lifecycleStateChange=facet)], job="r")


def told(found: Json) -> dict[str, tuple[int, int]]:
    """By dataset: how many tests fail, and how many rows there are."""
    results = quality(found)
    assert all(result["datasetKey"] == token(result["datasetName"]) for result in results)
    return {
        f"{result['datasetName']}, {result['name']}": (result.get("failed") or 0, result.get("rowCount") or 0)
        for result in results
    }


def of(name: str) -> str:
    return f"db:5432/d.s.{name}@primary, quality of s.{name}"


INSIDE = "gs://lake/d2/in/@primary, quality of in"


@pytest.mark.parametrize(
    ("events", "wanted"),
    [
        ([checked(1, "a"), renamed(2, "a", "b")], {of("b"): (1, 0)}),
        ([checked(1, "a"), renamed(2, "a", "b"), measured(3, "b")], {of("b"): (1, 3)}),
        ([checked(1, "a"), renamed(2, "a", "b"), measured(3, "a")], {of("b"): (1, 0), of("a"): (0, 3)}),
        ([checked(1, "a"), renamed(2, "a", "b"), renamed(3, "b", "c")], {of("c"): (1, 0)}),
        ([checked(1, "a"), renamed(2, "a", "b"), dropped(3, "b")], {}),
        ([measured(1, "a"), checked(2, "a"), dropped(3, "a")], {}),
        ([checked(1, "a"), dropped(2, "a"), measured(3, "a")], {of("a"): (0, 3)}),
        ([measured(1, "d/in", GCS), renamed(2, "d", "d2", GCS), checked(3, "d2/in", GCS)], {INSIDE: (1, 1)}),
        ([measured(1, "d/in", GCS), checked(2, "d/in", GCS), dropped(3, "d", GCS)], {}),
    ],
)
def test_what_was_found_out_goes_with_its_dataset(
    events: list[Json], wanted: dict[str, tuple[int, int]], tmp_path: Path
) -> None:
    for number, portions in enumerate(orders(events)):
        assert told(catalogued(tmp_path / str(number), portions)) == wanted, portions


def test_what_was_found_out_about_a_path_is_of_the_table_that_it_turns_out_to_be(tmp_path: Path) -> None:
    table = {"identifiers": [{"namespace": "hive://m:9083", "name": "d.t", "type": "TABLE"}]}
    path = "/wh/t", "hdfs://nn"
    events = [
        event(1, 1, [], [data(*path, dataQualityMetrics={"rowCount": 1})], kind="RUNNING"),
        event(1, 2, [], [data(*path)]),
        event(1, 3, [], [data(*path, symlinks=table)]),
    ]
    for number, portions in enumerate(orders(events)):
        assert told(catalogued(tmp_path / str(number), portions)) == {"d.t@primary, quality of t": (0, 1)}, number


def test_what_is_in_a_directory_that_gets_another_name_is_called_so_too(tmp_path: Path) -> None:
    events = [measured(1, "d/e/f", GCS), renamed(2, "d", "d2", GCS), measured(3, "d2/e/f", GCS)]
    for number, order in enumerate([*permutations(events), *permutations(events[:2])]):
        found = catalogued(tmp_path / str(number), [[one] for one in order])
        names = {
            key.partition(" ")[2]: (entity["attributes"]["datasetName"], entity["attributes"]["datasetKey"])
            for key, entity in found.items()
            if key.startswith("mlgov_gcs_directory")
        }
        wanted = {f"gs://lake/{name}@primary": name for name in ("d2/", "d2/e/", "d2/e/f/")}
        assert names == {key: (name, token(key)) for key, name in wanted.items()}, number
