"""Basic search: inheritance, equality, paging, deleted entities."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

import pytest

from airflow_provider_mlgov.catalog.catalog import Catalog

Put = Callable[..., str]
Unique = Callable[[str], str]


@pytest.fixture
def key() -> str:
    """A value that only this test's entities carry."""
    return uuid.uuid4().hex


def guids(catalog: Catalog, type_name: str, **filters: Any) -> set[str]:
    return {each["guid"] for each in catalog.search(type_name, filters)}


def test_inheritance(catalog: Catalog, kit: Any, unique: Unique, put: Put, key: str, eventually: Any) -> None:
    thing, special = put(kit.thing, unique("a"), label=key), put(kit.special, unique("b"), label=key)
    eventually(lambda: guids(catalog, kit.thing, label=key), {thing, special})
    eventually(lambda: guids(catalog, kit.special, label=key), {special})
    eventually(lambda: guids(catalog, "DataSet", qualifiedName=unique("b")), {special})
    assert guids(catalog, kit.step, qualifiedName=unique("b")) == set()


def test_all_filters_must_match(
    catalog: Catalog, kit: Any, unique: Unique, put: Put, key: str, eventually: Any
) -> None:
    one, two = (put(kit.thing, unique(f"{n}"), label=key, number=n) for n in (1, 2))
    eventually(lambda: guids(catalog, kit.thing, label=key), {one, two})
    eventually(lambda: guids(catalog, kit.thing, label=key, number=2), {two})
    assert guids(catalog, kit.thing, label=key, number=3) == set()
    assert guids(catalog, kit.thing, label=key.upper()) == set()
    assert guids(catalog, kit.thing, label=key[:-1]) == set()


def test_updates_are_found(catalog: Catalog, kit: Any, unique: Unique, put: Put, key: str, eventually: Any) -> None:
    guid = put(kit.thing, unique("a"), label=key)
    eventually(lambda: guids(catalog, kit.thing, label=key), {guid})
    put(kit.thing, unique("a"), label=f"{key}x")
    eventually(lambda: guids(catalog, kit.thing, label=f"{key}x"), {guid})
    eventually(lambda: guids(catalog, kit.thing, label=key), set())


@pytest.mark.parametrize("value", ["a b", "a/b@c", "a-b:c", "a%b+c", "é😀", "a&b=c?d#e"])
def test_values_with_odd_characters(
    catalog: Catalog, kit: Any, unique: Unique, put: Put, key: str, eventually: Any, value: str
) -> None:
    guid = put(kit.thing, unique("a"), label=f"{value} {key}")
    eventually(lambda: guids(catalog, kit.thing, label=f"{value} {key}"), {guid})


def test_headers_carry_the_attributes_asked_for(
    catalog: Catalog, kit: Any, unique: Unique, put: Put, key: str, eventually: Any
) -> None:
    guid = put(kit.thing, unique("a"), label=key, number=4, ratio=0.5, words=["x"])
    eventually(lambda: guids(catalog, kit.thing, label=key), {guid})
    (header,) = catalog.search(kit.thing, {"label": key}, attributes=["number", "ratio", "words"])
    assert (header["typeName"], header["status"], header["displayText"]) == (kit.thing, "ACTIVE", "a")
    found = header["attributes"]
    assert (found["qualifiedName"], found["name"]) == (unique("a"), "a")
    assert (found["number"], found["ratio"], found["words"]) == (4, 0.5, ["x"])


def test_paging(catalog: Catalog, kit: Any, unique: Unique, make: Any, key: str, eventually: Any) -> None:
    batch = [make(kit.thing, unique(f"{n}"), guid=f"-{n + 1}", label=key) for n in range(5)]
    wanted = set(catalog.write(batch)["guidAssignments"].values())
    eventually(lambda: guids(catalog, kit.thing, label=key), wanted)
    pages = [catalog.search(kit.thing, {"label": key}, limit=2, offset=offset) for offset in (0, 2, 4, 6)]
    assert [len(page) for page in pages] == [2, 2, 1, 0]
    assert {each["guid"] for page in pages for each in page} == wanted


def test_deleted_entities_only_when_asked_for(
    catalog: Catalog, kit: Any, unique: Unique, put: Put, key: str, eventually: Any
) -> None:
    guid = put(kit.thing, unique("a"), label=key)
    catalog.delete(kit.thing, unique("a"))
    eventually(lambda: guids(catalog, kit.thing, label=key), set())
    found = catalog.search(kit.thing, {"label": key}, include_deleted=True)
    assert [(each["guid"], each["status"]) for each in found] == [(guid, "DELETED")]


def test_unknown_type(catalog: Catalog, refused: Any) -> None:
    with refused("ATLAS-400-00-00A"):
        catalog.search("cf_no_such_type")


def test_unknown_attribute(catalog: Catalog, kit: Any, refused: Any) -> None:
    with refused("ATLAS-400-00-023"):
        catalog.search(kit.thing, {"nonsense": "x"})


def test_negative_limit(catalog: Catalog, kit: Any, refused: Any) -> None:
    with refused("ATLAS-400-00-029"):
        catalog.search(kit.thing, limit=-1)
