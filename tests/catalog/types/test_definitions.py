"""The type definitions that the package carries."""

from __future__ import annotations

import json
import re
from importlib import resources

import pytest

from airflow_provider_mlgov.catalog.types.definitions import CATEGORIES, atlas_types, expand, our_types

OURS = our_types()
BUILT_IN = {each["name"]: each for part in CATEGORIES for each in atlas_types()[part]}


def test_the_record_is_whole() -> None:
    counts = {part: len(each) for part, each in atlas_types().items() if each}
    assert counts == {"entityDefs": 97, "relationshipDefs": 66, "enumDefs": 12, "structDefs": 8}


def test_the_record_holds_names_and_types_only() -> None:
    text = resources.files("airflow_provider_mlgov.catalog.types").joinpath("atlas-2.1.0.json").read_text("utf-8")
    for key in ("guid", "createdBy", "updateTime", "description", "subTypes", "relationshipAttributeDefs"):
        assert f'"{key}":' not in text
    assert not re.search(r'"name":"mlgov_', text)


def test_callers_may_change_what_they_get() -> None:
    for read in (our_types, atlas_types):
        read()["entityDefs"].clear()
        assert read()["entityDefs"]


@pytest.mark.parametrize("definition", OURS["entityDefs"], ids=lambda each: each["name"])
def test_our_types_can_be_extended_later(definition: dict[str, object]) -> None:
    """What Atlas never lets anyone change is right from the start."""
    known = {each["name"] for each in OURS["entityDefs"]} | set(BUILT_IN)
    assert set(definition["superTypes"]) <= known  # type: ignore[call-overload]
    assert definition["name"].startswith("mlgov_")  # type: ignore[attr-defined]
    assert definition["serviceType"] == "mlgov"
    for attribute in definition["attributeDefs"]:  # type: ignore[attr-defined]
        assert attribute["isOptional"], attribute["name"]
        assert not attribute["isUnique"], attribute["name"]
        assert attribute["description"], attribute["name"]
        assert not (attribute["name"] in ("io", "record", "description", "errorMessage") and attribute["isIndexable"])


def test_our_attributes_do_not_repeat_inherited_ones() -> None:
    types = BUILT_IN | {each["name"]: each for each in OURS["entityDefs"]}

    def own_and_inherited(name: str) -> list[str]:
        own = [each["name"] for each in types[name]["attributeDefs"]]
        return own + [each for parent in types[name].get("superTypes") or () for each in own_and_inherited(parent)]

    for each in OURS["entityDefs"]:
        inherited = [name for parent in each["superTypes"] for name in own_and_inherited(parent)]
        assert not {one["name"] for one in each["attributeDefs"]} & set(inherited), each["name"]


def test_expand_says_everything() -> None:
    short = {
        "entityDefs": [
            {
                "name": "t",
                "attributeDefs": [{"name": "a", "typeName": "array<string>"}, {"name": "b", "typeName": "int"}],
            }
        ]
    }
    expanded = expand(json.loads(json.dumps(short)))
    many, one = expanded["entityDefs"][0]["attributeDefs"]
    assert (many["cardinality"], many["valuesMinCount"], many["valuesMaxCount"]) == ("LIST", 0, 2**31 - 1)
    assert (one["cardinality"], one["valuesMinCount"], one["valuesMaxCount"]) == ("SINGLE", 0, 1)
    assert set(expanded) == set(CATEGORIES)
    required = expand(
        {"structDefs": [{"name": "s", "attributeDefs": [{"name": "a", "typeName": "int", "isOptional": False}]}]}
    )
    assert required["structDefs"][0]["attributeDefs"][0]["valuesMinCount"] == 1
