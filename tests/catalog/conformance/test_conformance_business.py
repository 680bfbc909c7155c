"""Business metadata."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from airflow_provider_mlgov.catalog.catalog import Catalog, Json
from airflow_provider_mlgov.errors import CatalogRefusedError

Unique = Callable[[str], str]


def business(catalog: Catalog, guid: str, name: str) -> Json:
    entity = catalog.get_by_guid(guid, relationships=True)
    assert entity is not None
    found: Json = (entity.get("businessAttributes") or {}).get(name) or {}
    return found


@pytest.fixture
def write(catalog: Catalog) -> Callable[..., None]:
    """`set_business_metadata`, where the server's policy lets the admin do it (that of Atlas 2.1.0 does not)."""

    def call(guid: str, attributes: Json, *, overwrite: bool = False) -> None:
        try:
            catalog.set_business_metadata(guid, attributes, overwrite=overwrite)
        except CatalogRefusedError as error:
            if error.error_code == "ATLAS-403-00-001":
                pytest.skip("this server's policy does not let the admin write business metadata")
            raise

    return call


def test_on_creation(catalog: Catalog, kit: Any, unique: Unique, make: Any) -> None:
    entity = make(kit.thing, unique("a")) | {"businessAttributes": {kit.quality: {"grade": "A", "score": 0.5}}}
    guid = catalog.write([entity])["guidAssignments"]["-1"]
    assert business(catalog, guid, kit.quality) == {"grade": "A", "score": 0.5}
    again = make(kit.thing, unique("a"), label="x") | {"businessAttributes": {kit.quality: {"grade": "B"}}}
    catalog.write([again])
    assert business(catalog, guid, kit.quality)["grade"] == "A"


def test_set_merges(catalog: Catalog, kit: Any, unique: Unique, put: Any, write: Any) -> None:
    guid = put(kit.thing, unique("a"))
    write(guid, {kit.quality: {"grade": "A"}})
    write(guid, {kit.quality: {"score": 0.5}})
    assert business(catalog, guid, kit.quality) == {"grade": "A", "score": 0.5}


def test_overwrite_replaces(catalog: Catalog, kit: Any, unique: Unique, put: Any, write: Any) -> None:
    guid = put(kit.thing, unique("a"))
    write(guid, {kit.quality: {"grade": "A", "score": 0.5}})
    write(guid, {kit.quality: {"grade": "B"}}, overwrite=True)
    assert business(catalog, guid, kit.quality)["grade"] == "B"
    assert not business(catalog, guid, kit.quality).get("score")


@pytest.mark.parametrize("value", [{"grade": "x" * 11}, {"score": "x"}])
def test_bad_values(kit: Any, unique: Unique, put: Any, write: Any, refused: Any, value: Json) -> None:
    guid = put(kit.thing, unique("a"))
    with refused("ATLAS-404-00-007"):
        write(guid, {kit.quality: value})


def test_not_applicable(kit: Any, unique: Unique, put: Any, write: Any, refused: Any) -> None:
    guid = put(kit.friend, unique("a"))
    with refused("ATLAS-404-00-007"):
        write(guid, {kit.quality: {"grade": "A"}})


def test_string_attribute_needs_a_length(catalog: Catalog, kit: Any, refused: Any) -> None:
    definition = {"name": f"{kit.quality}_2", "attributeDefs": [{"name": "a", "typeName": "string"}]}
    definition["attributeDefs"][0]["options"] = {"applicableEntityTypes": f'["{kit.thing}"]'}  # type: ignore[index]
    with refused("ATLAS-400-00-02B"):
        catalog.create_types({"businessMetadataDefs": [definition]})
