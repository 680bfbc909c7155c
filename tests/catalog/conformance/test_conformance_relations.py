"""References and relationships: by guid and by name, replaced, omitted, added, unknown."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from airflow_provider_mlgov.catalog.catalog import Catalog

Put = Callable[..., str]
Unique = Callable[[str], str]


@pytest.mark.parametrize("order", [1, -1])
def test_references_by_negative_guid(
    catalog: Catalog, kit: Any, unique: Unique, make: Any, ends: Any, order: int
) -> None:
    batch = [
        make(kit.thing, unique("in")),
        make(kit.thing, unique("out"), guid="-2"),
        make(kit.step, unique("step"), guid="-3", relations={"inputs": [{"guid": "-1"}], "outputs": [{"guid": "-2"}]}),
    ]
    guids = catalog.write(batch[::order])["guidAssignments"]
    assert ends(kit.step, unique("step"), "inputs") == {guids["-1"]}
    assert ends(kit.step, unique("step"), "outputs") == {guids["-2"]}
    assert ends(kit.thing, unique("in"), "inputToProcesses") == {guids["-3"]}
    assert ends(kit.thing, unique("out"), "outputFromProcesses") == {guids["-3"]}


def test_references_in_attributes(catalog: Catalog, kit: Any, unique: Unique, put: Put, ref: Any, ends: Any) -> None:
    guid = put(kit.thing, unique("in"))
    put(kit.step, unique("step"), inputs=[ref(kit.thing, unique("in"))])
    assert ends(kit.step, unique("step"), "inputs") == {guid}


def test_references_to_referred_entities(catalog: Catalog, kit: Any, unique: Unique, make: Any, ends: Any) -> None:
    step = make(kit.step, unique("step"), relations={"inputs": [{"guid": "-7", "typeName": kit.thing}]})
    guids = catalog.write([step], referred={"-7": make(kit.thing, unique("in"), guid="-7")})["guidAssignments"]
    assert ends(kit.step, unique("step"), "inputs") == {guids["-7"]}


@pytest.mark.parametrize("type_name", ["thing", "DataSet", "Referenceable"])
def test_references_by_name(kit: Any, unique: Unique, put: Put, ref: Any, ends: Any, type_name: str) -> None:
    guid = put(kit.special, unique("in"))
    kind = kit.thing if type_name == "thing" else type_name
    put(kit.step, unique("step"), relations={"inputs": [ref(kind, unique("in"))]})
    assert ends(kit.step, unique("step"), "inputs") == {guid}


def test_references_by_guid(kit: Any, unique: Unique, put: Put, ends: Any) -> None:
    guid = put(kit.thing, unique("in"))
    put(kit.step, unique("step"), relations={"inputs": [{"guid": guid, "typeName": kit.thing}]})
    assert ends(kit.step, unique("step"), "inputs") == {guid}


@pytest.mark.parametrize(
    "reference",
    [
        {"guid": "-99", "typeName": "DataSet"},
        {"guid": "00000000-0000-0000-0000-000000000000", "typeName": "DataSet"},
        {"typeName": "DataSet", "uniqueAttributes": {"qualifiedName": "absent/cf@nowhere"}},
    ],
)
def test_unknown_reference_writes_nothing(
    catalog: Catalog, kit: Any, unique: Unique, make: Any, refused: Any, reference: dict[str, Any]
) -> None:
    step = make(kit.step, unique("step"), guid="-2", relations={"inputs": [{"guid": "-1"}, reference]})
    with refused("ATLAS-404-00-00A"):
        catalog.write([make(kit.thing, unique("in")), step])
    assert catalog.get(kit.thing, unique("in")) is None
    assert catalog.get(kit.step, unique("step")) is None


def test_a_name_of_the_same_batch_is_an_unknown_reference(
    catalog: Catalog, kit: Any, unique: Unique, make: Any, ref: Any, refused: Any
) -> None:
    step = make(kit.step, unique("step"), guid="-2", relations={"inputs": [ref(kit.thing, unique("in"))]})
    with refused("ATLAS-404-00-00A"):
        catalog.write([make(kit.thing, unique("in")), step])
    assert catalog.get(kit.thing, unique("in")) is None


def test_a_list_is_replaced(kit: Any, unique: Unique, put: Put, ref: Any, ends: Any) -> None:
    guids = [put(kit.thing, unique(name)) for name in "abc"]
    put(kit.step, unique("step"), relations={"inputs": [ref(kit.thing, unique(name)) for name in "ab"]})
    put(kit.step, unique("step"), relations={"inputs": [ref(kit.thing, unique(name)) for name in "bc"]})
    assert ends(kit.step, unique("step"), "inputs") == {guids[1], guids[2]}
    assert ends(kit.thing, unique("a"), "inputToProcesses") == set()


def test_an_omitted_list_is_kept(kit: Any, unique: Unique, put: Put, ref: Any, ends: Any) -> None:
    guids = [put(kit.thing, unique(name)) for name in "ab"]
    one, other = ref(kit.thing, unique("a")), ref(kit.thing, unique("b"))
    put(kit.step, unique("step"), relations={"inputs": [one], "outputs": [other]})
    put(kit.step, unique("step"), description="again")
    put(kit.step, unique("step"), relations={"outputs": [other]}, description="and again")
    assert ends(kit.step, unique("step"), "inputs") == {guids[0]}
    assert ends(kit.step, unique("step"), "outputs") == {guids[1]}


@pytest.mark.parametrize("place", ["attributes", "relationshipAttributes"])
def test_an_empty_list_wipes(
    catalog: Catalog, kit: Any, unique: Unique, put: Put, make: Any, ref: Any, ends: Any, place: str
) -> None:
    put(kit.thing, unique("a"))
    put(kit.step, unique("step"), relations={"inputs": [ref(kit.thing, unique("a"))]})
    entity = make(kit.step, unique("step"))
    entity.setdefault(place, {})["inputs"] = []
    catalog.write([entity])
    assert ends(kit.step, unique("step"), "inputs") == set()


@pytest.mark.parametrize(("place", "kept"), [("attributes", True), ("relationshipAttributes", False)])
def test_null_wipes_only_among_the_relationship_attributes(
    catalog: Catalog, kit: Any, unique: Unique, put: Put, make: Any, ref: Any, ends: Any, place: str, kept: bool
) -> None:
    guid = put(kit.thing, unique("a"))
    put(kit.step, unique("step"), relations={"inputs": [ref(kit.thing, unique("a"))]})
    entity = make(kit.step, unique("step"))
    entity.setdefault(place, {})["inputs"] = None
    catalog.write([entity])
    assert ends(kit.step, unique("step"), "inputs") == ({guid} if kept else set())


def test_a_longer_list_adds(kit: Any, unique: Unique, put: Put, ref: Any, ends: Any) -> None:
    guids = [put(kit.thing, unique(name)) for name in "abc"]
    for count in (1, 2, 3):
        put(kit.step, unique("step"), relations={"inputs": [ref(kit.thing, unique(name)) for name in "abc"[:count]]})
        assert ends(kit.step, unique("step"), "inputs") == set(guids[:count])


def test_additive_relationship(catalog: Catalog, kit: Any, unique: Unique, put: Put, ref: Any, ends: Any) -> None:
    guids = [put(kit.thing, unique(name)) for name in "ab"]
    put(kit.step, unique("step"), relations={"inputs": [ref(kit.thing, unique("a"))]})
    step, thing = ref(kit.step, unique("step")), ref(kit.thing, unique("b"))
    made = catalog.relate("dataset_process_inputs", step, thing)
    assert made is not None
    assert made["guid"]
    assert ends(kit.step, unique("step"), "inputs") == set(guids)
    assert catalog.relate("dataset_process_inputs", step, thing) is None
    assert catalog.relate("process_dataset_outputs", step, thing) is not None
    assert ends(kit.step, unique("step"), "outputs") == {guids[1]}


def test_a_removed_relationship_can_be_made_again(
    catalog: Catalog, kit: Any, unique: Unique, put: Put, ref: Any, ends: Any
) -> None:
    put(kit.thing, unique("a"))
    put(kit.step, unique("step"))
    both = ref(kit.step, unique("step")), ref(kit.thing, unique("a"))
    made = catalog.relate("dataset_process_inputs", *both)
    assert made is not None
    catalog.delete_relationship(made["guid"])
    assert ends(kit.step, unique("step"), "inputs") == set()
    assert catalog.relate("dataset_process_inputs", *both) is not None
    assert len(ends(kit.step, unique("step"), "inputs")) == 1


def test_a_relationship_to_nothing_is_refused(
    catalog: Catalog, kit: Any, unique: Unique, put: Put, ref: Any, refused: Any
) -> None:
    put(kit.step, unique("step"))
    with refused("ATLAS-400-00-07D"):
        catalog.relate("dataset_process_inputs", ref(kit.step, unique("step")), ref(kit.thing, unique("absent")))


def test_an_aggregation(kit: Any, unique: Unique, put: Put, ref: Any, ends: Any) -> None:
    thing = put(kit.thing, unique("thing"))
    friends = {put(kit.friend, unique(n), relations={"of": ref(kit.thing, unique("thing"))}) for n in ("one", "two")}
    assert ends(kit.thing, unique("thing"), "friends") == friends
    assert ends(kit.friend, unique("one"), "of") == {thing}


def test_a_single_end_is_replaced(kit: Any, unique: Unique, put: Put, ref: Any, ends: Any) -> None:
    put(kit.thing, unique("a"))
    other = put(kit.thing, unique("b"))
    put(kit.friend, unique("one"), relations={"of": ref(kit.thing, unique("a"))})
    put(kit.friend, unique("one"), relations={"of": ref(kit.thing, unique("b"))})
    assert ends(kit.friend, unique("one"), "of") == {other}
    assert ends(kit.thing, unique("a"), "friends") == set()
