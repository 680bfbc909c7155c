"""What Atlas allows and refuses with types, and our types on each catalogue."""

from __future__ import annotations

import threading
import uuid
from typing import Any

import pytest

from airflow_provider_mlgov.catalog.catalog import Catalog, Json
from airflow_provider_mlgov.catalog.types.apply import apply, plan
from airflow_provider_mlgov.catalog.types.definitions import CATEGORIES, atlas_types, expand, our_types
from airflow_provider_mlgov.errors import TypesConflictError


@pytest.fixture
def name() -> str:
    return f"cf_{uuid.uuid4().hex[:10]}"


def entity_type(name: str, *attributes: Json, super_types: tuple[str, ...] = ("DataSet",)) -> Json:
    return expand({"entityDefs": [{"name": name, "superTypes": list(super_types), "attributeDefs": list(attributes)}]})


def text(name: str, **more: Any) -> Json:
    return {"name": name, "typeName": "string", **more}


def attribute_names(catalog: Catalog, name: str) -> set[str]:
    definition = catalog.type_definition(name)
    assert definition is not None
    return {each["name"] for each in definition["attributeDefs"]}


def test_built_in_types_are_those_of_the_record(catalog: Catalog) -> None:
    """Category, super types, attributes and ends of every built-in type."""
    held = {each["name"]: each for part in CATEGORIES for each in catalog.type_definitions().get(part) or ()}
    for part, recorded in atlas_types().items():
        for each in recorded:
            found = held[each["name"]]
            if part == "entityDefs":
                assert set(found["superTypes"]) == set(each["superTypes"]), each["name"]
            if part == "relationshipDefs":
                ends = [(found[end]["type"], found[end]["name"]) for end in ("endDef1", "endDef2")]
                assert ends == [(each[end]["type"], each[end]["name"]) for end in ("endDef1", "endDef2")]
            if part != "enumDefs":
                wanted = {(one["name"], one["typeName"], one["isOptional"]) for one in each["attributeDefs"]}
                assert {(one["name"], one["typeName"], one["isOptional"]) for one in found["attributeDefs"]} >= wanted


def test_our_types_are_applied(catalog: Catalog) -> None:
    assert plan(catalog).is_empty
    assert apply(catalog).is_empty
    for each in our_types()["entityDefs"]:
        assert catalog.type_definition(each["name"]) is not None


def test_relationships_show_as_attributes_of_their_ends(catalog: Catalog, kit: Any) -> None:
    definition = catalog.type_definition(kit.special)
    assert definition is not None
    shown = {each["name"]: each["typeName"] for each in definition["relationshipAttributeDefs"]}
    assert shown["friends"] == f"array<{kit.friend}>"
    assert "inputToProcesses" in shown


def test_a_type_of_every_category_is_found(catalog: Catalog, kit: Any) -> None:
    found = {
        category: catalog.type_definition(name)
        for category, name in {
            "ENUM": kit.colour,
            "STRUCT": kit.point,
            "CLASSIFICATION": kit.secret,
            "ENTITY": kit.thing,
            "RELATIONSHIP": kit.knows,
            "BUSINESS_METADATA": kit.quality,
        }.items()
    }
    assert {category: each["category"] for category, each in found.items() if each} == {each: each for each in found}


def test_absent_type(catalog: Catalog, name: str) -> None:
    assert catalog.type_definition(name) is None


def test_create_again_is_refused_as_a_whole(catalog: Catalog, name: str, refused: Any) -> None:
    catalog.create_types(entity_type(name))
    both = entity_type(name)
    both["entityDefs"] += entity_type(f"{name}_new")["entityDefs"]
    with refused("ATLAS-409-00-001"):
        catalog.create_types(both)
    assert catalog.type_definition(f"{name}_new") is None


def test_optional_attribute_and_enum_value_are_added(catalog: Catalog, name: str, put: Any) -> None:
    catalog.create_types(entity_type(name, text("a")))
    put(name, f"{name}/1", a="x")
    catalog.update_types(entity_type(name, text("a"), text("b")))
    assert attribute_names(catalog, name) == {"a", "b"}
    put(name, f"{name}/1", b="y")
    entity = catalog.get(name, f"{name}/1")
    assert entity is not None
    assert (entity["attributes"]["a"], entity["attributes"]["b"]) == ("x", "y")


def test_update_of_an_absent_type(catalog: Catalog, name: str, refused: Any) -> None:
    with refused("ATLAS-404-00-001"):
        catalog.update_types(entity_type(name))


def test_required_attribute_cannot_be_added(catalog: Catalog, name: str, refused: Any) -> None:
    catalog.create_types(entity_type(name, text("a")))
    with refused("ATLAS-400-00-00C"):
        catalog.update_types(entity_type(name, text("a"), text("b", isOptional=False)))


def test_attribute_cannot_be_removed(catalog: Catalog, name: str, refused: Any) -> None:
    catalog.create_types(entity_type(name, text("a"), text("b")))
    with refused("ATLAS-400-00-00D"):
        catalog.update_types(entity_type(name, text("a")))


def test_super_type_cannot_be_removed(catalog: Catalog, kit: Any, name: str, refused: Any) -> None:
    catalog.create_types(entity_type(name, super_types=("DataSet", kit.friend)))
    with refused("ATLAS-400-00-00E"):
        catalog.update_types(entity_type(name, super_types=("DataSet",)))


def test_attribute_type_cannot_be_changed(catalog: Catalog, name: str, refused: Any) -> None:
    catalog.create_types(entity_type(name, text("a")))
    with refused("ATLAS-400-00-029"):
        catalog.update_types(entity_type(name, {"name": "a", "typeName": "int"}))


def test_unknown_super_type(catalog: Catalog, name: str, refused: Any) -> None:
    with refused("ATLAS-400-00-029"):
        catalog.create_types(entity_type(name, super_types=("cf_no_such_type",)))
    assert catalog.type_definition(name) is None


def test_a_subtype_with_instances_is_found_by_its_super_type(catalog: Catalog, name: str, put: Any) -> None:
    catalog.create_types(entity_type(name, super_types=("ml_project",)))
    guid = put(name, f"{name}/1")
    entity = catalog.get("ml_project", f"{name}/1")
    assert entity is not None
    assert (entity["guid"], entity["typeName"]) == (guid, name)


def test_apply_adds_what_is_missing_and_is_idempotent(catalog: Catalog, name: str) -> None:
    first = expand(
        {
            "enumDefs": [{"name": f"{name}_e", "elementDefs": [{"value": "A", "ordinal": 0}]}],
            "entityDefs": [{"name": name, "superTypes": ["DataSet"], "attributeDefs": [text("a")]}],
        }
    )
    assert set(plan(catalog, first).missing) == {name, f"{name}_e"}
    assert set(apply(catalog, first).missing) == {name, f"{name}_e"}
    assert plan(catalog, first).is_empty
    second = expand(
        {
            "enumDefs": [
                {"name": f"{name}_e", "elementDefs": [{"value": v, "ordinal": n} for n, v in enumerate("AB")]}
            ],
            "entityDefs": [
                {"name": name, "superTypes": ["DataSet"], "attributeDefs": [text("b", isIndexable=True)]},
                {"name": f"{name}_2", "superTypes": [name]},
            ],
        }
    )
    done = apply(catalog, second)
    assert (done.missing, dict(done.incomplete)) == ((f"{name}_2",), {f"{name}_e": ("B",), name: ("b",)})
    assert attribute_names(catalog, name) == {"a", "b"}  # what an older or newer version added is kept
    assert plan(catalog, first).is_empty
    assert plan(catalog, second).is_empty
    assert apply(catalog, second).is_empty


def test_apply_refuses_every_conflict_before_it_changes_anything(catalog: Catalog, name: str) -> None:
    catalog.create_types(entity_type(name, text("a"), text("b"), text("c")))
    catalog.create_types(expand({"classificationDefs": [{"name": f"{name}_c"}]}))
    wanted = entity_type(
        name, {"name": "a", "typeName": "int"}, text("b", isIndexable=True), text("c"), text("d", isOptional=False)
    )
    wanted["entityDefs"] += entity_type(f"{name}_new", super_types=("cf_no_such_type",))["entityDefs"]
    wanted["entityDefs"] += entity_type(f"{name}_c")["entityDefs"]
    with pytest.raises(TypesConflictError) as caught:
        apply(catalog, wanted)
    for part in (f"{name}.a has typeName string, not int", f"{name}.b has isIndexable False", f"{name} lacks d"):
        assert part in str(caught.value)
    assert "cf_no_such_type" in str(caught.value)
    assert "category CLASSIFICATION" in str(caught.value)
    assert catalog.type_definition(f"{name}_new") is None


def test_eight_at_once(catalog: Catalog, name: str) -> None:
    """Eight threads apply the same types; then eight extend them, each in its own way."""
    start = threading.Barrier(8)
    failures: list[Exception] = []

    def run(types: Json) -> None:
        start.wait()
        try:
            apply(catalog, types)
        except Exception as error:  # noqa: BLE001 - shown by the assertion below
            failures.append(error)

    def at_once(documents: list[Json]) -> None:
        threads = [threading.Thread(target=run, args=(types,)) for types in documents]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    at_once([entity_type(name, text("a")) for _ in range(8)])
    assert failures == []
    at_once([entity_type(name, text("a"), text("b"), text("c")) for _ in range(8)])
    assert failures == []
    assert attribute_names(catalog, name) == {"a", "b", "c"}
