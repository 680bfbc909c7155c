"""Classifications, with and without propagation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from airflow_provider_mlgov.catalog.catalog import Catalog, Json

Put = Callable[..., str]
Unique = Callable[[str], str]


@pytest.fixture
def chain(kit: Any, unique: Unique, put: Put, ref: Any) -> dict[str, str]:
    """a -> step -> b."""
    guids = {name: put(kit.thing, unique(name)) for name in "ab"}
    ends = {"inputs": [ref(kit.thing, unique("a"))], "outputs": [ref(kit.thing, unique("b"))]}
    return guids | {"step": put(kit.step, unique("step"), relations=ends)}


def names(catalog: Catalog, guid: str) -> set[str]:
    return {each["typeName"] for each in catalog.classifications(guid)}


def tag(type_name: str, *, propagate: bool, **attributes: Any) -> Json:
    return {"typeName": type_name, "propagate": propagate, "attributes": attributes}


def test_without_propagation(catalog: Catalog, kit: Any, chain: dict[str, str]) -> None:
    catalog.classify(chain["a"], [tag(kit.secret, propagate=False, why="salary"), tag(kit.local, propagate=False)])
    assert names(catalog, chain["a"]) == {kit.secret, kit.local}
    assert names(catalog, chain["step"]) == names(catalog, chain["b"]) == set()
    (found,) = [each for each in catalog.classifications(chain["a"]) if each["typeName"] == kit.secret]
    assert (found["attributes"]["why"], found["propagate"], found["entityGuid"]) == ("salary", False, chain["a"])


def test_with_propagation(catalog: Catalog, kit: Any, chain: dict[str, str], eventually: Any) -> None:
    catalog.classify(chain["a"], [tag(kit.secret, propagate=True)])
    for name in ("a", "step", "b"):
        eventually(lambda name=name: names(catalog, chain[name]), {kit.secret})
    (found,) = catalog.classifications(chain["b"])
    assert found["entityGuid"] == chain["a"]
    catalog.declassify(chain["a"], kit.secret)
    for name in ("a", "step", "b"):
        eventually(lambda name=name: names(catalog, chain[name]), set())


def test_propagation_reaches_what_is_connected_later(
    catalog: Catalog, kit: Any, unique: Unique, chain: dict[str, str], put: Put, ref: Any, eventually: Any
) -> None:
    catalog.classify(chain["a"], [tag(kit.secret, propagate=True)])
    new = put(kit.thing, unique("new"))
    ends = {"inputs": [ref(kit.thing, unique("b"))], "outputs": [ref(kit.thing, unique("new"))]}
    put(kit.step, unique("later"), relations=ends)
    eventually(lambda: names(catalog, new), {kit.secret})


def test_propagation_reaches_what_an_added_relationship_connects(
    catalog: Catalog, kit: Any, unique: Unique, chain: dict[str, str], put: Put, ref: Any, eventually: Any
) -> None:
    new = put(kit.thing, unique("new"))
    catalog.classify(new, [tag(kit.local, propagate=True)])
    catalog.relate("dataset_process_inputs", ref(kit.step, unique("step")), ref(kit.thing, unique("new")))
    eventually(lambda: names(catalog, chain["b"]), {kit.local})


def test_propagation_does_not_go_upstream(catalog: Catalog, kit: Any, chain: dict[str, str]) -> None:
    catalog.classify(chain["b"], [tag(kit.secret, propagate=True)])
    assert names(catalog, chain["a"]) == names(catalog, chain["step"]) == set()


def test_twice_is_refused(catalog: Catalog, kit: Any, chain: dict[str, str], refused: Any) -> None:
    catalog.classify(chain["a"], [tag(kit.secret, propagate=False)])
    with refused("ATLAS-400-00-01A"):
        catalog.classify(chain["a"], [tag(kit.secret, propagate=False)])


def test_what_is_propagated_may_be_added_directly_too(catalog: Catalog, kit: Any, chain: dict[str, str]) -> None:
    catalog.classify(chain["a"], [tag(kit.secret, propagate=True)])
    catalog.classify(chain["b"], [tag(kit.secret, propagate=False)])
    assert chain["b"] in {each["entityGuid"] for each in catalog.classifications(chain["b"])}


def test_unknown_classification(catalog: Catalog, chain: dict[str, str], refused: Any) -> None:
    with refused("ATLAS-404-00-008"):
        catalog.classify(chain["a"], [tag("cf_no_such_type", propagate=False)])


def test_unknown_entity(catalog: Catalog, kit: Any, refused: Any) -> None:
    with refused("ATLAS-404-00-005"):
        catalog.classify("00000000-0000-0000-0000-000000000000", [tag(kit.secret, propagate=False)])


def test_in_the_entity_on_creation_only(catalog: Catalog, kit: Any, unique: Unique, make: Any) -> None:
    entity = make(kit.thing, unique("new")) | {"classifications": [tag(kit.secret, propagate=False)]}
    guid = catalog.write([entity])["guidAssignments"]["-1"]
    assert names(catalog, guid) == {kit.secret}
    catalog.write([make(kit.thing, unique("new"), label="x") | {"classifications": [tag(kit.local, propagate=False)]}])
    catalog.write([make(kit.thing, unique("new"), label="y") | {"classifications": []}])
    assert names(catalog, guid) == {kit.secret}


def test_survives_updates(catalog: Catalog, kit: Any, unique: Unique, chain: dict[str, str], put: Put) -> None:
    catalog.classify(chain["a"], [tag(kit.secret, propagate=False)])
    put(kit.thing, unique("a"), label="x")
    assert names(catalog, chain["a"]) == {kit.secret}


def test_search_by_classification(
    catalog: Catalog, kit: Any, unique: Unique, chain: dict[str, str], eventually: Any
) -> None:
    catalog.classify(chain["a"], [tag(kit.top_secret, propagate=False)])
    for wanted in (kit.top_secret, kit.secret):

        def found(wanted: str = wanted) -> bool:
            return chain["a"] in {each["guid"] for each in catalog.search(kit.thing, classification=wanted)}

        eventually(found, True)
    assert chain["b"] not in {each["guid"] for each in catalog.search(kit.thing, classification=kit.secret)}
