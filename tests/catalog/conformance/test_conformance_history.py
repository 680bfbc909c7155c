"""Tables and directories that are dropped and renamed: what becomes of their entities, and what stays."""

from __future__ import annotations

from typing import Any

from airflow_provider_mlgov.catalog.catalog import Json
from shop import Shop, hooked


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
