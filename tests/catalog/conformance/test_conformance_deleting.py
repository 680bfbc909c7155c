"""Soft delete, creating again, purge, and what is owned."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from airflow_provider_mlgov.catalog.catalog import Catalog, Json

Put = Callable[..., str]
Unique = Callable[[str], str]


def deleted(answer: Json) -> set[str]:
    return {each["guid"] for each in answer.get("mutatedEntities", {}).get("DELETE", ())}


def status(catalog: Catalog, guid: str) -> str:
    entity = catalog.get_by_guid(guid)
    return "GONE" if entity is None else str(entity["status"])


def test_soft_delete(catalog: Catalog, kit: Any, unique: Unique, put: Put) -> None:
    guid = put(kit.thing, unique("a"))
    assert deleted(catalog.delete(kit.thing, unique("a"))) == {guid}
    assert catalog.get(kit.thing, unique("a")) is None
    assert catalog.get_many(kit.thing, [unique("a")]) == {}
    assert status(catalog, guid) == "DELETED"


def test_delete_what_is_absent_or_deleted(catalog: Catalog, kit: Any, unique: Unique, put: Put) -> None:
    assert deleted(catalog.delete(kit.thing, unique("absent"))) == set()
    put(kit.thing, unique("a"))
    catalog.delete(kit.thing, unique("a"))
    assert deleted(catalog.delete(kit.thing, unique("a"))) == set()


def test_delete_by_guid(catalog: Catalog, kit: Any, unique: Unique, put: Put) -> None:
    guids = [put(kit.thing, unique(name)) for name in "abc"]
    assert deleted(catalog.delete_by_guid(guids[:2])) == set(guids[:2])
    assert [status(catalog, guid) for guid in guids] == ["DELETED", "DELETED", "ACTIVE"]


def test_create_again(catalog: Catalog, kit: Any, unique: Unique, put: Put) -> None:
    first = put(kit.thing, unique("a"), label="old")
    catalog.delete(kit.thing, unique("a"))
    second = put(kit.thing, unique("a"), number=1)
    assert first != second
    entity = catalog.get(kit.thing, unique("a"))
    assert entity is not None
    assert (entity["guid"], entity["attributes"]["label"]) == (second, None)
    assert status(catalog, first) == "DELETED"


def test_a_process_outlives_its_ends(catalog: Catalog, kit: Any, unique: Unique, put: Put, ref: Any, ends: Any) -> None:
    for name in ("in", "out"):
        put(kit.thing, unique(name))
    relations = {"inputs": [ref(kit.thing, unique("in"))], "outputs": [ref(kit.thing, unique("out"))]}
    step = put(kit.step, unique("step"), relations=relations)
    catalog.delete(kit.thing, unique("in"))
    assert status(catalog, step) == "ACTIVE"
    assert ends(kit.step, unique("step"), "inputs") == set()
    catalog.delete(kit.thing, unique("out"))
    assert status(catalog, step) == "ACTIVE"


def test_deleting_a_process_takes_nothing_along(
    catalog: Catalog, kit: Any, unique: Unique, put: Put, ref: Any, ends: Any
) -> None:
    thing = put(kit.thing, unique("in"))
    put(kit.step, unique("step"), relations={"inputs": [ref(kit.thing, unique("in"))]})
    catalog.delete(kit.step, unique("step"))
    assert status(catalog, thing) == "ACTIVE"
    assert ends(kit.thing, unique("in"), "inputToProcesses") == set()


def test_owned_entities_go_along(catalog: Catalog, kit: Any, unique: Unique, put: Put, ref: Any) -> None:
    whole = put(kit.thing, unique("whole"))
    relation = {"whole": ref(kit.thing, unique("whole"))}
    parts = {put(kit.part, unique(name), relations=relation) for name in "ab"}
    friend = put(kit.friend, unique("f"), relations={"of": ref(kit.thing, unique("whole"))})
    assert deleted(catalog.delete(kit.thing, unique("whole"))) == {whole, *parts}
    assert status(catalog, friend) == "ACTIVE"


def test_purge(catalog: Catalog, kit: Any, unique: Unique, put: Put) -> None:
    gone, kept = put(kit.thing, unique("a")), put(kit.thing, unique("b"))
    catalog.delete(kit.thing, unique("a"))
    answer = catalog.purge([gone, kept, "00000000-0000-0000-0000-000000000000"])
    assert {each["guid"] for each in answer["mutatedEntities"]["PURGE"]} == {gone}
    assert (status(catalog, gone), status(catalog, kept)) == ("GONE", "ACTIVE")


def test_purge_of_active_entities_does_nothing(catalog: Catalog, kit: Any, unique: Unique, put: Put) -> None:
    guid = put(kit.thing, unique("a"))
    assert not catalog.purge([guid]).get("mutatedEntities")
    assert status(catalog, guid) == "ACTIVE"


def test_a_deleted_guid_stays_deleted(catalog: Catalog, kit: Any, unique: Unique, put: Put, make: Any) -> None:
    guid = put(kit.thing, unique("a"))
    catalog.delete(kit.thing, unique("a"))
    catalog.write([make(kit.thing, unique("a"), guid=guid, label="x")])
    assert status(catalog, guid) == "DELETED"
    assert catalog.get(kit.thing, unique("a")) is None
