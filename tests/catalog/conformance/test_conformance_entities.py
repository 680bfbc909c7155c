"""Creating, updating and reading entities."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from airflow_provider_mlgov.catalog.catalog import Catalog, Json
from airflow_provider_mlgov.errors import CatalogRefusedError

pytestmark = pytest.mark.usefixtures("kit")

Put = Callable[..., str]
Unique = Callable[[str], str]
ABSENT = "00000000-0000-0000-0000-000000000000"


def attributes(catalog: Catalog, type_name: str, name: str) -> Json:
    entity = catalog.get(type_name, name)
    assert entity is not None
    found: Json = entity["attributes"]
    return found


def test_status(catalog: Catalog) -> None:
    status = catalog.status()
    assert status["Status"] == "ACTIVE"
    assert status["Version"]


def test_create(catalog: Catalog, kit: Any, unique: Unique, make: Callable[..., Json]) -> None:
    answer = catalog.write([make(kit.thing, unique("a"), number=3)])
    (header,) = answer["mutatedEntities"]["CREATE"]
    assert header["typeName"] == kit.thing
    assert header["guid"] == answer["guidAssignments"]["-1"]
    assert "UPDATE" not in answer["mutatedEntities"]
    entity = catalog.get(kit.thing, unique("a"))
    assert entity is not None
    assert (entity["guid"], entity["typeName"], entity["status"]) == (header["guid"], kit.thing, "ACTIVE")
    assert entity["attributes"]["qualifiedName"] == unique("a")
    assert entity["attributes"]["number"] == 3
    assert "relationshipAttributes" not in entity


def test_update_keeps_what_is_not_mentioned(catalog: Catalog, kit: Any, unique: Unique, put: Put) -> None:
    guid = put(kit.thing, unique("a"), number=3, label="one")
    assert put(kit.thing, unique("a"), label="two") == guid
    found = attributes(catalog, kit.thing, unique("a"))
    assert (found["number"], found["label"]) == (3, "two")


def test_update_is_reported_as_such(catalog: Catalog, kit: Any, unique: Unique, put: Put, make: Any) -> None:
    guid = put(kit.thing, unique("a"), number=3)
    answer = catalog.write([make(kit.thing, unique("a"), number=4)])
    assert [each["guid"] for each in answer["mutatedEntities"]["UPDATE"]] == [guid]
    assert "CREATE" not in answer["mutatedEntities"]
    assert answer["guidAssignments"] == {"-1": guid}


def test_unchanged_entity_is_not_mutated(catalog: Catalog, kit: Any, unique: Unique, make: Any) -> None:
    first = catalog.write([make(kit.thing, unique("a"), number=3, words=["x"])])
    again = catalog.write([make(kit.thing, unique("a"), number=3, words=["x"])])
    assert not again.get("mutatedEntities")
    assert again["guidAssignments"] == first["guidAssignments"]


def test_null_erases_an_attribute(catalog: Catalog, kit: Any, unique: Unique, put: Put) -> None:
    put(kit.thing, unique("a"), label="one")
    put(kit.thing, unique("a"), label=None)
    assert attributes(catalog, kit.thing, unique("a"))["label"] is None


def test_values_of_every_type(catalog: Catalog, kit: Any, unique: Unique, put: Put) -> None:
    values = {
        "number": -7,
        "big": 2**40,
        "ratio": 0.25,
        "flag": True,
        "day": 1700000000123,
        "colour": "BLUE",
        "words": ["b", "a", "b"],
        "pairs": {"k": "v"},
        "label": "Ünï – 😀 / % + & = ? # ' \"",
    }
    put(kit.thing, unique("a"), **values)
    found = attributes(catalog, kit.thing, unique("a"))
    assert {key: found[key] for key in values} == values


def test_struct_value(catalog: Catalog, kit: Any, unique: Unique, put: Put) -> None:
    put(kit.thing, unique("a"), point={"typeName": kit.point, "attributes": {"x": 5}})
    assert attributes(catalog, kit.thing, unique("a"))["point"]["attributes"]["x"] == 5


def test_list_and_map_are_replaced(catalog: Catalog, kit: Any, unique: Unique, put: Put) -> None:
    put(kit.thing, unique("a"), words=["a", "b"], pairs={"k": "v", "l": "w"})
    put(kit.thing, unique("a"), words=["c"], pairs={"m": "x"})
    found = attributes(catalog, kit.thing, unique("a"))
    assert (found["words"], found["pairs"]) == (["c"], {"m": "x"})


@pytest.mark.parametrize(
    ("attribute", "given", "stored"),
    [
        ("number", "12", 12),
        ("number", 1.7, 1),
        ("label", 5, "5"),
        ("day", "1700000000123", 1700000000123),
        ("day", "2023-11-14T22:13:20.000Z", 1700000000000),
        ("colour", "blue", "BLUE"),
        ("flag", "true", True),
    ],
)
def test_values_that_are_converted(
    catalog: Catalog, kit: Any, unique: Unique, put: Put, attribute: str, given: Any, stored: Any
) -> None:
    put(kit.thing, unique("a"), **{attribute: given})
    assert attributes(catalog, kit.thing, unique("a"))[attribute] == stored


@pytest.mark.parametrize(
    ("attribute", "value"),
    [
        ("number", "x"),
        ("number", 2**40),
        ("big", "x"),
        ("ratio", "x"),
        ("day", "2023-11-14"),
        ("day", "2023-11-14T22:13:20.000+00:00"),
        ("colour", "GREEN"),
        ("pairs", "x"),
    ],
)
def test_values_that_are_refused(
    catalog: Catalog, kit: Any, unique: Unique, make: Any, refused: Any, attribute: str, value: Any
) -> None:
    with refused("ATLAS-404-00-007"):
        catalog.write(
            [make(kit.thing, unique("good")), make(kit.thing, unique("bad"), guid="-2", **{attribute: value})]
        )
    assert catalog.get_many(kit.thing, [unique("good"), unique("bad")]) == {}


def test_unset_numbers_dates_and_flags_read_as_null_or_zero(
    catalog: Catalog, kit: Any, unique: Unique, put: Put
) -> None:
    put(kit.thing, unique("a"))
    found = attributes(catalog, kit.thing, unique("a"))
    assert not found["number"]
    assert not found["day"]
    assert not found["flag"]


def test_unknown_attribute_is_ignored(catalog: Catalog, kit: Any, unique: Unique, put: Put) -> None:
    put(kit.thing, unique("a"), nonsense=1)
    assert "nonsense" not in attributes(catalog, kit.thing, unique("a"))


def test_required_attribute(catalog: Catalog, kit: Any, unique: Unique, put: Put, make: Any, refused: Any) -> None:
    with refused("ATLAS-404-00-007"):
        catalog.write([make(kit.strict, unique("a"))])
    put(kit.strict, unique("a"), needed="x")
    with refused("ATLAS-404-00-007"):  # a full update repeats what is required
        catalog.write([make(kit.strict, unique("a"))])
    assert attributes(catalog, kit.strict, unique("a"))["needed"] == "x"


def test_required_unique_attribute(catalog: Catalog, kit: Any, refused: Any) -> None:
    with refused("ATLAS-404-00-007"):
        catalog.write([{"typeName": kit.thing, "attributes": {"name": "nameless"}}])


def test_a_part_needs_its_whole(catalog: Catalog, kit: Any, unique: Unique, make: Any, refused: Any) -> None:
    with refused("ATLAS-404-00-007"):
        catalog.write([make("ml_model_build", unique("a"), version=1)])
    with refused("ATLAS-404-00-007"):
        catalog.write([make(kit.part, unique("a"))])


@pytest.mark.parametrize("type_name", ["cf_no_such_type", None])
def test_unknown_type(catalog: Catalog, unique: Unique, make: Any, refused: Any, type_name: str | None) -> None:
    with refused("ATLAS-400-00-014"):
        catalog.write([make(type_name, unique("a"))])


def test_empty_batch(catalog: Catalog, refused: Any) -> None:
    with refused("ATLAS-400-00-01A"):
        catalog.write([])


def test_same_name_twice_in_a_batch_is_one_entity(catalog: Catalog, kit: Any, unique: Unique, make: Any) -> None:
    answer = catalog.write([make(kit.thing, unique("a"), number=1), make(kit.thing, unique("a"), guid="-2", number=2)])
    assert answer["guidAssignments"]["-1"] == answer["guidAssignments"]["-2"]
    assert attributes(catalog, kit.thing, unique("a"))["number"] == 2


def test_a_subtype_with_the_name_is_the_same_entity(catalog: Catalog, kit: Any, unique: Unique, put: Put) -> None:
    guid = put(kit.special, unique("a"), extra="x")
    assert put(kit.thing, unique("a"), number=5) == guid
    entity = catalog.get(kit.thing, unique("a"))
    assert entity is not None
    assert entity["typeName"] == kit.special
    assert (entity["attributes"]["extra"], entity["attributes"]["number"]) == ("x", 5)
    assert catalog.get("Referenceable", unique("a")) == entity


def test_the_same_name_in_an_unrelated_type_is_another_entity(
    catalog: Catalog, kit: Any, unique: Unique, put: Put
) -> None:
    assert put(kit.thing, unique("a")) != put(kit.friend, unique("a"))
    assert attributes(catalog, kit.friend, unique("a"))


def test_partial_update(catalog: Catalog, kit: Any, unique: Unique, put: Put) -> None:
    guid = put(kit.strict, unique("a"), needed="x", description="before")
    answer = catalog.update(kit.strict, unique("a"), {"description": "after"})
    assert [each["guid"] for each in answer["mutatedEntities"]["PARTIAL_UPDATE"]] == [guid]
    found = attributes(catalog, kit.strict, unique("a"))
    assert (found["description"], found["needed"]) == ("after", "x")


def test_partial_update_of_what_is_absent(catalog: Catalog, kit: Any, unique: Unique, refused: Any) -> None:
    with refused("ATLAS-404-00-009"):
        catalog.update(kit.thing, unique("a"), {"label": "x"})


def test_partial_update_with_a_bad_value(catalog: Catalog, kit: Any, unique: Unique, put: Put, refused: Any) -> None:
    put(kit.thing, unique("a"), number=1)
    with refused("ATLAS-404-00-007"):
        catalog.update(kit.thing, unique("a"), {"number": "x"})
    assert attributes(catalog, kit.thing, unique("a"))["number"] == 1


def test_get_what_is_absent(catalog: Catalog, kit: Any, unique: Unique) -> None:
    assert catalog.get(kit.thing, unique("a")) is None
    assert catalog.get_by_guid(ABSENT) is None


def test_get_with_an_unknown_type_is_refused(catalog: Catalog, unique: Unique) -> None:
    with pytest.raises(CatalogRefusedError):
        catalog.get("cf_no_such_type", unique("a"))


def test_get_by_guid(catalog: Catalog, kit: Any, unique: Unique, put: Put) -> None:
    guid = put(kit.thing, unique("a"), number=1)
    assert catalog.get_by_guid(guid) == catalog.get(kit.thing, unique("a"))


def test_get_many_by_guid(catalog: Catalog, kit: Any, unique: Unique, put: Put) -> None:
    guids = [put(kit.thing, unique(f"g{i}"), number=i) for i in range(3)]
    catalog.delete(kit.thing, unique("g1"))
    found = catalog.get_many_by_guid([*guids, guids[0]], relationships=True)
    assert [found[guid]["attributes"]["number"] for guid in guids] == [0, 1, 2]
    assert [found[guid]["status"] for guid in guids] == ["ACTIVE", "DELETED", "ACTIVE"]
    assert all("relationshipAttributes" in entity for entity in found.values())
    assert catalog.get_many_by_guid([*guids, ABSENT]).keys() == set(guids)
    assert catalog.get_many_by_guid([ABSENT]) == catalog.get_many_by_guid([]) == {}


def test_a_name_that_is_changed_by_guid(catalog: Catalog, kit: Any, unique: Unique, put: Put) -> None:
    guid = put(kit.thing, unique("old"), number=1)
    attributes_now = {"name": "x", "qualifiedName": unique("new")}
    catalog.write([{"guid": guid, "typeName": kit.thing, "attributes": attributes_now}])
    assert catalog.get(kit.thing, unique("old")) is None
    found = catalog.get(kit.thing, unique("new"))
    assert found is not None
    assert (found["guid"], found["attributes"]["number"]) == (guid, 1)


def test_get_many(catalog: Catalog, kit: Any, unique: Unique, make: Any) -> None:
    names = [unique(f"many {i} " + "x" * 100 + "/%+&=?#é") for i in range(90)]
    kinds = [kit.thing, kit.special]
    catalog.write([make(kinds[i % 2], name, guid=f"-{i + 1}", number=i) for i, name in enumerate(names)])
    found = catalog.get_many(kit.thing, [*names, unique("absent"), names[0]])
    assert set(found) == set(names)
    assert [found[name]["attributes"]["number"] for name in names] == list(range(90))
    assert [found[name]["typeName"] for name in names] == [kinds[i % 2] for i in range(90)]
    assert catalog.get_many(kit.thing, []) == {}
    assert catalog.get_many(kit.thing, [unique("absent")]) == {}


@pytest.mark.parametrize("character", [*"/%+&=?#:;,'\"<>*\\ é😀", "&attr_1:qualifiedName=x", "attr:"])
def test_names_with_odd_characters(catalog: Catalog, kit: Any, unique: Unique, put: Put, character: str) -> None:
    name = unique(f"a{character}b")
    guid = put(kit.thing, name)
    entity = catalog.get(kit.thing, name)
    assert entity is not None
    assert (entity["guid"], entity["attributes"]["qualifiedName"]) == (guid, name)
    assert set(catalog.get_many(kit.thing, [name])) == {name}
    assert catalog.lineage(kit.thing, name)["baseEntityGuid"] == guid


def test_custom_attributes_are_replaced_as_a_whole(catalog: Catalog, kit: Any, unique: Unique, make: Any) -> None:
    def write(custom: dict[str, str] | None) -> dict[str, str] | None:
        entity = make(kit.thing, unique("a"), label=str(custom))
        catalog.write([entity | ({} if custom is None else {"customAttributes": custom})])
        found = catalog.get(kit.thing, unique("a"))
        assert found is not None
        stored: dict[str, str] | None = found.get("customAttributes")
        return stored

    assert write({"a": "1", "b": "2"}) == {"a": "1", "b": "2"}
    assert write(None) == {"a": "1", "b": "2"}
    assert write({"c": "3"}) == {"c": "3"}
