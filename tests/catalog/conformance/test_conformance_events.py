"""Whole events, sent through a spool: what the catalogue has of them afterwards, and what was there before stays."""

from __future__ import annotations

import json
import time
import uuid
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_mlgov.catalog.catalog import Catalog, Json
from airflow_provider_mlgov.catalog.types.definitions import expand
from airflow_provider_mlgov.delivery.clean import CleanOptions, clean
from airflow_provider_mlgov.delivery.outbox import Outbox
from airflow_provider_mlgov.delivery.sender import Sender
from airflow_provider_mlgov.delivery.spool import Spool
from airflow_provider_mlgov.model.entity import Ref
from airflow_provider_mlgov.translate.events import run_key, unite
from airflow_provider_mlgov.translate.options import TranslateOptions
from airflow_provider_mlgov.translate.reading import read_event
from airflow_provider_mlgov.translate.rules import FacetRule, Rules, TagRule
from airflow_provider_mlgov.translate.translation import translate

RULES = Rules(
    "rules.toml",
    tags=(TagRule(1, "pii", classification="mlgov_test_pii"), TagRule(2, "odd", classification="mlgov_test_absent")),
    facets=(FacetRule(3, "acme_cost", "cost", "centre"),),
)


class Shop:
    """Events of one schema of its own, sent to a catalogue."""

    def __init__(self, catalog: Catalog, spool: Path) -> None:
        self.catalog = catalog
        self.at = f"t{uuid.uuid4().hex[:12]}"
        self.options = TranslateOptions(self.at, self.at, self.at, rules=RULES)
        self.spool = Spool(spool)

    def dataset(self, name: str, *columns: str, **facets: Any) -> Json:
        if columns:
            facets["schema"] = {"fields": [{"name": column, "type": "int"} for column in columns]}
        return {"namespace": "hive://meta:9083", "name": f"shop.{name}", "facets": facets}

    def event(self, job: str, inputs: list[Json], outputs: list[Json], *, ago: float = 0, **more: Any) -> Json:
        moment = time.time() - ago
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(moment)) + f".{int(moment % 1 * 1000):03d}Z"
        return {
            "eventTime": stamp,
            "eventType": "COMPLETE",
            "run": {"runId": str(uuid.uuid4()), "facets": more.pop("run", {})},
            "job": {"namespace": "spark", "name": job, "facets": more.pop("job_facets", {})},
            "inputs": inputs,
            "outputs": outputs,
            **more,
        }

    def send(self, *events: Json) -> None:
        outbox = Outbox(self.spool, options=CleanOptions(facets=RULES.facet_names))
        for event in events:
            outbox.put(event)
        catalog = self.catalog
        result = Sender(self.spool, lambda: _Kept(catalog), self.options, breaker_interval=0.0).send()
        assert not self.spool.waiting(), result
        assert not self.spool.dead_letters()

    def get(self, type_name: str, name: str, *, relationships: bool = False) -> Json | None:
        return self.catalog.get(type_name, f"{name}@{self.at}", relationships=relationships)


class _Kept:
    """The catalogue of the session, which a sender must not close."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog

    def __getattr__(self, name: str) -> Any:
        return getattr(self._catalog, name)

    def close(self) -> None:
        pass


@pytest.fixture
def shop(catalog: Catalog, tmp_path: Path) -> Shop:
    return Shop(catalog, tmp_path / "spool")


@pytest.fixture
def tagged(catalog: Catalog) -> None:
    if catalog.type_definition("mlgov_test_pii") is None:
        catalog.create_types(expand({"classificationDefs": [{"name": "mlgov_test_pii"}]}))


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


def lifecycle(change: str, before: str | None = None) -> Json:
    facet: Json = {"lifecycleStateChange": change}
    if before:
        facet["previousIdentifier"] = {"namespace": "hive://meta:9083", "name": f"shop.{before}"}
    return {"lifecycleStateChange": facet}


def test_a_dropped_table_is_deleted_unless_it_is_made_again(shop: Shop) -> None:
    made = shop.event("make", [], [shop.dataset("a", "id")], ago=30)
    dropped = shop.event("drop", [], [shop.dataset("a", **lifecycle("DROP"))], ago=20)
    shop.send(made)
    shop.send(dropped)
    assert shop.get("hive_table", "shop.a") is None
    assert shop.get("hive_column", "shop.a.id") is None
    shop.send(shop.event("late", [shop.dataset("a")], [shop.dataset("b")], ago=25))
    assert shop.get("hive_table", "shop.a") is None, "told late, of a time before"
    assert shop.get("hive_table", "shop.b") is not None
    again = shop.event("make", [], [shop.dataset("a", "id")], ago=10)
    shop.send(again)
    shop.send(dropped)
    assert shop.get("hive_table", "shop.a") is not None, "made again after it was dropped"


def test_a_renamed_table_stays_the_same_entity(shop: Shop) -> None:
    shop.send(shop.event("make", [], [shop.dataset("old", "id", "mail")], ago=30))
    before = shop.get("hive_table", "shop.old")
    assert before is not None
    renamed = shop.event("rename", [], [shop.dataset("new", "id", **lifecycle("RENAME", "old"))], ago=0)
    for _ in range(2):
        shop.send(renamed)
        after = shop.get("hive_table", "shop.new", relationships=True)
        assert after is not None
        assert (after["guid"], after["attributes"]["name"]) == (before["guid"], "new")
        assert shop.get("hive_table", "shop.old") is None
    columns = [item for item in after["relationshipAttributes"]["columns"] if item["entityStatus"] == "ACTIVE"]
    assert sorted(item["displayText"] for item in columns) == ["id", "mail"]
    assert shop.get("hive_column", "shop.new.mail") is not None
    assert shop.get("hive_column", "shop.old.mail") is None


def names(shop: Shop, items: list[Json]) -> set[str]:
    active = [item for item in items if item["entityStatus"] == item["relationshipStatus"] == "ACTIVE"]
    found = [shop.catalog.get_by_guid(item["guid"]) for item in active]
    return {item["attributes"]["qualifiedName"].removesuffix(f"@{shop.at}") for item in found if item}


def test_a_rename_that_is_told_late_unites_both(shop: Shop, tagged: None) -> None:
    """What the old entity has goes to the new one: processes, columns, and what people said of it."""
    shop.send(shop.event("make", [], [shop.dataset("old", "id", "mail")], ago=30))
    shop.send(shop.event("copy", [shop.dataset("old", "id")], [shop.dataset("copy", "id")], ago=25))
    old = shop.get("hive_table", "shop.old")
    assert old is not None
    shop.catalog.add_labels(old["guid"], ["by_hand"])
    shop.catalog.classify(old["guid"], [{"typeName": "mlgov_test_pii", "propagate": False}])
    shop.catalog.update("hive_table", f"shop.old@{shop.at}", {"description": "by hand"})
    shop.send(shop.event("fill", [], [shop.dataset("new", "id", "day")], ago=10))
    shop.send(shop.event("rename", [], [shop.dataset("new", **lifecycle("RENAME", "old"))], ago=20))
    new = shop.get("hive_table", "shop.new", relationships=True)
    assert new is not None
    assert shop.get("hive_table", "shop.old") is None
    assert shop.get("hive_column", "shop.old.mail") is None
    relations = new["relationshipAttributes"]
    assert names(shop, relations["columns"]) == {"shop.new.id", "shop.new.mail", "shop.new.day"}
    assert len(names(shop, relations["outputFromProcesses"])) == 3
    assert len(names(shop, relations["inputToProcesses"])) == 1
    assert new["labels"] == ["by_hand"]
    assert new["attributes"]["description"] == "by hand"
    assert [item["typeName"] for item in new["classifications"]] == ["mlgov_test_pii"]
    shop.send(shop.event("late", [shop.dataset("old")], [shop.dataset("other")], ago=22))
    again = shop.get("hive_table", "shop.new", relationships=True)
    assert again is not None
    assert len(names(shop, again["relationshipAttributes"]["inputToProcesses"])) == 2, "told of the old name, late"
    assert shop.get("hive_table", "shop.old") is None


def test_what_somebody_else_made_again_is_not_deleted(shop: Shop) -> None:
    dropped = shop.event("drop", [], [shop.dataset("a", **lifecycle("DROP"))], ago=20)
    late = shop.event("late", [], [shop.dataset("a", "id")], ago=25)
    shop.send(shop.event("make", [], [shop.dataset("a", "id")], ago=30))
    shop.send(dropped)
    assert shop.get("hive_table", "shop.a") is None
    theirs = hooked(shop)
    for _ in range(2):
        shop.send(dropped)
        shop.send(late)
        found = shop.get("hive_table", "shop.a")
        assert found is not None
        assert found["guid"] == theirs["-2"]


def test_what_is_newer_keeps_the_directory_that_it_is_in(shop: Shop) -> None:
    def folder(name: str, **facets: Any) -> Json:
        return {"namespace": f"s3://{shop.at}", "name": name, "facets": facets}

    shop.send(shop.event("make", [], [folder("in/old"), folder("in/a")], ago=30))
    shop.send(shop.event("fill", [], [folder("in/new")], ago=10))
    shop.send(shop.event("drop", [], [folder("in", **lifecycle("DROP"))], ago=20))

    def there(name: str) -> bool:
        return shop.catalog.get("aws_s3_v2_directory", f"s3a://{shop.at}/{name}/@{shop.at}") is not None

    assert (there("in"), there("in/new")) == (True, True)
    assert (there("in/old"), there("in/a")) == (False, False)
    moved = folder("out", lifecycleStateChange={
        "lifecycleStateChange": "RENAME", "previousIdentifier": {"namespace": f"s3://{shop.at}", "name": "in"},
    })  # fmt: skip
    shop.send(shop.event("move", [], [moved], ago=4))
    assert (there("in"), there("in/new")) == (False, False)
    assert (there("out"), there("out/new")) == (True, True)


def hooked(shop: Shop) -> dict[str, str]:
    """A table with two columns and its storage descriptor, as Atlas's Hive hook writes them; their guids."""
    at = shop.at
    table = {"guid": "-2", "typeName": "hive_table"}
    answer = shop.catalog.write(
        [
            {
                "typeName": "hive_db",
                "guid": "-1",
                "attributes": {"qualifiedName": f"shop@{at}", "name": "shop", "clusterName": at, "ownerType": "USER"},
            },
            {
                "typeName": "hive_table",
                "guid": "-2",
                "attributes": {
                    "qualifiedName": f"shop.a@{at}",
                    "name": "a",
                    "owner": "hive",
                    "description": "by the hook",
                    "tableType": "EXTERNAL_TABLE",
                    "parameters": {"numRows": "3"},
                    "temporary": False,
                },
                "relationshipAttributes": {"db": {"guid": "-1", "typeName": "hive_db"}},
            },
            *(
                {
                    "typeName": "hive_column",
                    "guid": f"-{3 + position}",
                    "attributes": {
                        "qualifiedName": f"shop.a.{name}@{at}",
                        "name": name,
                        "type": "bigint",
                        "position": position,
                        "owner": "hive",
                        "comment": "of the hook",
                    },
                    "relationshipAttributes": {"table": {**table, "relationshipType": "hive_table_columns"}},
                }
                for position, name in enumerate(("id", "mail"))
            ),
            {
                "typeName": "hive_column",
                "guid": "-8",
                "attributes": {"qualifiedName": f"shop.a.dt@{at}", "name": "dt", "type": "date", "position": 2},
                "relationshipAttributes": {"table": {**table, "relationshipType": "hive_table_partitionkeys"}},
            },
            {
                "typeName": "hive_storagedesc",
                "guid": "-9",
                "attributes": {
                    "qualifiedName": f"shop.a@{at}_storage",
                    "location": "hdfs://nn/warehouse/a",
                    "inputFormat": "orc",
                    "compressed": True,
                },
                "relationshipAttributes": {"table": table},
            },
        ]
    )
    return answer["guidAssignments"]


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
def test_what_real_producers_sent_is_there_as_it_was_translated(shop: Shop, path: Path) -> None:
    """In the order of the file and, with each event twice, in another one: the catalogue has the same in the end."""
    events = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    states: dict[str, Any] = {}
    for event in events:
        kept = clean(read_event(event))
        states[run_key(kept)] = unite(states.get(run_key(kept)), kept)
    shop.send(*events)
    found = {}
    gone: set[Ref] = set()
    for state in states.values():
        translation = translate(state, shop.options)
        gone |= {change.ref for change in translation.changes}
        for entity in translation.entities:
            found[entity.ref] = entity
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
