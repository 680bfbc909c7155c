"""Whole events, sent through a spool: what the catalogue has of them afterwards, and what was there before stays."""

from __future__ import annotations

import json
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_mlgov.catalog.catalog import Json
from airflow_provider_mlgov.delivery.clean import clean
from airflow_provider_mlgov.delivery.renames import Renames
from airflow_provider_mlgov.delivery.state import SenderState
from airflow_provider_mlgov.model.entity import Ref
from airflow_provider_mlgov.translate.events import run_key, unite
from airflow_provider_mlgov.translate.reading import read_event
from airflow_provider_mlgov.translate.translation import translate
from shop import Shop, hooked


def lineage_of(name: str, *columns: str) -> Json:
    source = {"namespace": "hive://meta:9083", "name": f"shop.{name}"}
    return {"fields": {column: {"inputFields": [{**source, "field": "id"}]} for column in columns}}


def test_columns_have_lineage_of_their_own(shop: Shop) -> None:
    shop.send(
        shop.event("ctas", [shop.dataset("a", "id")], [shop.dataset("b", "x", "y", columnLineage=lineage_of("a", "x"))])
    )
    lineage = shop.catalog.lineage("hive_column", f"shop.a.id@{shop.at}", direction="OUTPUT", depth=1)
    found = {entity["typeName"]: entity["attributes"]["qualifiedName"] for entity in lineage["guidEntityMap"].values()}
    assert set(found) == {"hive_column", "mlgov_column_lineage"}
    assert f"shop.b.x@{shop.at}" in {
        entity["attributes"]["qualifiedName"] for entity in lineage["guidEntityMap"].values()
    }
    assert len(lineage["relations"]) == 2


def test_the_lineage_of_columns_follows_what_a_run_says_last(shop: Shop) -> None:
    event = shop.event(
        "ctas", [shop.dataset("a", "id")], [shop.dataset("b", columnLineage=lineage_of("a", "x"))], ago=5
    )
    shop.send(event)
    other = {**event, "eventTime": shop.event("", [], [])["eventTime"]}
    other["outputs"] = [shop.dataset("b", columnLineage=lineage_of("a", "y"))]
    shop.send(other)
    lineage = shop.catalog.lineage("hive_column", f"shop.a.id@{shop.at}", direction="OUTPUT", depth=1)
    active = [
        item
        for item in lineage["guidEntityMap"].values()
        if item["status"] == "ACTIVE" and item["typeName"] == "hive_column"
    ]
    assert {item["attributes"]["qualifiedName"] for item in active} >= {f"shop.b.y@{shop.at}"}
    processes = [item for item in lineage["guidEntityMap"].values() if item["typeName"] == "mlgov_column_lineage"]
    assert sorted(item["status"] for item in processes) == ["ACTIVE", "DELETED"]


@pytest.mark.usefixtures("tagged")
def test_tags_are_added_and_what_people_put_there_stays(shop: Shop) -> None:
    shop.send(shop.event("load", [], [shop.dataset("a", "id")]))
    stored = shop.get("hive_table", "shop.a")
    assert stored is not None
    shop.catalog.add_labels(stored["guid"], ["by_hand"])
    shop.catalog.write(
        [{"typeName": "hive_table", "attributes": stored["attributes"], "customAttributes": {"theirs": "kept"}}]
    )
    tags = [
        {"key": "pii", "value": "true"},
        {"key": "zone", "value": "gold"},
        {"key": "long text", "value": "with spaces"},
        {"key": "odd", "value": "true"},
        {"key": "pii", "value": "true", "field": "id"},
    ]
    facets = {"tags": {"tags": tags}, "acme_cost": {"centre": "c42", "more": {"a": 1}}}
    for _ in range(2):  # the second time there is nothing to add
        shop.send(shop.event("load", [], [shop.dataset("a", "id", **facets)]))
    found = shop.get("hive_table", "shop.a")
    assert found is not None
    assert found["guid"] == stored["guid"]
    assert set(found["labels"]) == {"by_hand", "zone_gold"}
    assert found["customAttributes"] == {"theirs": "kept", "long_text": "with spaces", "cost": "c42"}
    assert [item["typeName"] for item in shop.catalog.classifications(found["guid"])] == ["mlgov_test_pii"]
    column = shop.get("hive_column", "shop.a.id")
    assert column is not None
    assert [item["typeName"] for item in shop.catalog.classifications(column["guid"])] == ["mlgov_test_pii"]


def test_what_the_hive_hook_wrote_is_joined_and_stays_whole(shop: Shop) -> None:
    guids = hooked(shop)
    by_path = {
        "namespace": "hdfs://nn",
        "name": "/warehouse/a",
        "facets": {
            "symlinks": {
                "identifiers": [{"namespace": "hive://meta:9083", "name": "Shop.A", "type": "TABLE"}],
            },
            "schema": {
                "fields": [
                    {"name": "MAIL", "type": "string", "fields": [{"name": "host", "type": "string"}]},
                    {"name": "dt", "type": "string"},
                ]
            },
            "datasetType": {"datasetType": "TABLE"},
            "documentation": {"description": "by Spark"},
            "ownership": {"owners": [{"name": "spark"}]},
        },
    }
    shop.send(shop.event("read", [by_path], [shop.dataset("b", columnLineage=lineage_of("a", "x"))]))
    table = shop.get("hive_table", "shop.a", relationships=True)
    assert table is not None
    attributes = table["attributes"]
    assert table["guid"] == guids["-2"]
    assert (attributes["owner"], attributes["description"]) == ("hive", "by the hook")
    assert (attributes["tableType"], attributes["parameters"]) == ("EXTERNAL_TABLE", {"numRows": "3"})
    assert table["relationshipAttributes"]["sd"]["guid"] == guids["-9"]
    columns = {item["displayText"]: item["guid"] for item in table["relationshipAttributes"]["columns"]}
    assert columns == {"id": guids["-3"], "mail": guids["-4"]}
    assert [item["guid"] for item in table["relationshipAttributes"]["partitionKeys"]] == [guids["-8"]]
    column = shop.get("hive_column", "shop.a.mail")
    assert column is not None
    told = column["attributes"]
    assert (told["comment"], told["position"], told["type"]) == ("of the hook", 1, "bigint")
    storage = shop.get("hive_storagedesc", "shop.a", relationships=False) or shop.catalog.get(
        "hive_storagedesc", f"shop.a@{shop.at}_storage"
    )
    assert storage is not None
    assert {name: storage["attributes"][name] for name in ("location", "inputFormat", "compressed")} == {
        "location": "hdfs://nn/warehouse/a",
        "inputFormat": "orc",
        "compressed": True,
    }
    lineage = shop.catalog.lineage("hive_table", f"shop.a@{shop.at}", direction="OUTPUT", depth=1)
    assert f"shop.b@{shop.at}" in {item["attributes"]["qualifiedName"] for item in lineage["guidEntityMap"].values()}


def test_the_quality_of_a_dataset_is_that_of_its_newest_test(shop: Shop) -> None:
    def tested(success: bool, ago: float) -> Json:
        assertions = {"assertions": [{"assertion": "unique", "column": "id", "success": success}]}
        return shop.event("test", [shop.dataset("a", dataQualityAssertions=assertions)], [], ago=ago)

    shop.send(tested(True, 0))
    shop.send(tested(False, 60))
    table = f"shop.a@{shop.at}"
    for _ in range(50):
        found = [
            header
            for header in shop.catalog.search(
                "mlgov_quality_result", {"failed": 0}, attributes=("datasetName",), limit=500
            )
            if header["attributes"]["datasetName"] == table
        ]
        if found:
            break
        time.sleep(0.1)
    assert len(found) == 1


RECORDED = sorted((Path(__file__).parents[2] / "translate" / "events").glob("*.ndjson"))


@pytest.mark.parametrize("path", RECORDED, ids=lambda path: path.stem)
def test_what_real_producers_sent_is_there_as_it_was_translated(shop: Shop, path: Path, tmp_path: Path) -> None:
    """In the order of the file and, with each event twice, in another one: the catalogue has the same in the end."""
    events = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    states: dict[str, Any] = {}
    for event in events:
        kept = clean(read_event(event))
        states[run_key(kept)] = unite(states.get(run_key(kept)), kept)
    shop.send(*events)
    found = {}
    gone: set[Ref] = set()
    translations = [translate(state, shop.options) for state in states.values()]
    with closing(SenderState(tmp_path / "sender.db")) as memory:
        renames = Renames(memory)
        for translation in translations:
            gone |= {change.ref for change in translation.changes}
            renames.learn(translation.changes)
        for translation in translations:  # processes are called after what their ends are called now
            found |= {entity.ref: entity for entity in renames.of_entities(translation.entities)}
    shop.send(*events[::-1], *events[::2])
    for ref, entity in found.items():
        stored = shop.catalog.get(ref.type_name, ref.qualified_name, relationships="inputs" in entity.relations)
        below = any(ref.qualified_name.startswith(name.qualified_name.rpartition("@")[0]) for name in gone)
        if stored is None and below:
            continue
        assert stored is not None, ref
        for name, value in entity.attributes.items():
            if name not in ("position", "sourceUri", "name", "facts"):
                assert stored["attributes"].get(name) == value, (ref, name)
        if "inputs" in entity.relations:
            ends = {item["guid"] for item in stored["relationshipAttributes"]["inputs"]}
            assert len(ends) == len(set(entity.relations["inputs"])), ref  # type: ignore[arg-type]
