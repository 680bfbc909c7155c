"""Lineage by direction and depth: a -> s1 -> b -> s2 -> c -> s3 -> d."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from airflow_provider_mlgov.catalog.catalog import Catalog, Direction, Json
from airflow_provider_mlgov.errors import EntityNotFoundError

Unique = Callable[[str], str]
THINGS, STEPS = "abcd", ("s1", "s2", "s3")


@pytest.fixture
def chain(catalog: Catalog, kit: Any, unique: Unique, make: Any) -> dict[str, str]:
    """The guids of the chain by their short names."""
    entities = [make(kit.thing, unique(name), guid=f"-{name}") for name in THINGS]
    entities = [entity | {"guid": f"-{number}"} for number, entity in enumerate(entities, 1)]
    for number, step in enumerate(STEPS, 1):
        ends = {"inputs": [{"guid": f"-{number}"}], "outputs": [{"guid": f"-{number + 1}"}]}
        entities.append(make(kit.step, unique(step), guid=f"-{10 + number}", relations=ends))
    guids = catalog.write(entities)["guidAssignments"]
    named = dict(zip(THINGS, ("-1", "-2", "-3", "-4"), strict=True)) | dict(
        zip(STEPS, ("-11", "-12", "-13"), strict=True)
    )
    return {name: guids[number] for name, number in named.items()}


def edges(answer: Json, chain: dict[str, str]) -> str:
    """The relations as text: ``a>s1 s1>b``."""
    names = {guid: name for name, guid in chain.items()}
    found = [f"{names[each['fromEntityId']]}>{names[each['toEntityId']]}" for each in answer["relations"]]
    return " ".join(sorted(found))


@pytest.mark.parametrize(
    ("start", "direction", "depth", "wanted"),
    [
        ("a", "OUTPUT", 1, "a>s1 s1>b"),
        ("a", "OUTPUT", 2, "a>s1 b>s2 s1>b s2>c"),
        ("a", "OUTPUT", 0, "a>s1 b>s2 c>s3 s1>b s2>c s3>d"),
        ("a", "OUTPUT", 9, "a>s1 b>s2 c>s3 s1>b s2>c s3>d"),
        ("d", "INPUT", 1, "c>s3 s3>d"),
        ("d", "INPUT", 0, "a>s1 b>s2 c>s3 s1>b s2>c s3>d"),
        ("b", "BOTH", 1, "a>s1 b>s2 s1>b s2>c"),
        ("b", "INPUT", 3, "a>s1 s1>b"),
        ("b", "OUTPUT", 1, "b>s2 s2>c"),
        ("s2", "BOTH", 1, "b>s2 s2>c"),
        ("s2", "BOTH", 2, "a>s1 b>s2 c>s3 s1>b s2>c s3>d"),
        ("s2", "OUTPUT", 1, "s2>c"),
        ("s2", "INPUT", 1, "b>s2"),
    ],
)
def test_direction_and_depth(
    catalog: Catalog,
    kit: Any,
    unique: Unique,
    chain: dict[str, str],
    start: str,
    direction: Direction,
    depth: int,
    wanted: str,
) -> None:
    type_name = kit.step if start in STEPS else kit.thing
    answer = catalog.lineage(type_name, unique(start), direction=direction, depth=depth)
    assert edges(answer, chain) == wanted
    assert answer["baseEntityGuid"] == chain[start]
    assert (answer["lineageDirection"], answer["lineageDepth"]) == (direction, depth)
    named = {end for each in answer["relations"] for end in (each["fromEntityId"], each["toEntityId"])}
    assert set(answer["guidEntityMap"]) == named
    assert all(each["relationshipId"] for each in answer["relations"])


def test_headers(catalog: Catalog, kit: Any, unique: Unique, chain: dict[str, str]) -> None:
    answer = catalog.lineage(kit.thing, unique("a"))
    header = answer["guidEntityMap"][chain["s1"]]
    assert (header["typeName"], header["status"], header["displayText"]) == (kit.step, "ACTIVE", "s1")
    assert header["attributes"]["qualifiedName"] == unique("s1")


def test_default_is_both_to_depth_3(catalog: Catalog, kit: Any, unique: Unique, chain: dict[str, str]) -> None:
    answer = catalog.lineage(kit.thing, unique("a"))
    assert (answer["lineageDirection"], answer["lineageDepth"]) == ("BOTH", 3)
    assert edges(answer, chain) == "a>s1 b>s2 c>s3 s1>b s2>c s3>d"


def test_without_edges_the_map_is_empty(catalog: Catalog, kit: Any, unique: Unique, put: Any) -> None:
    guid = put(kit.thing, unique("alone"))
    answer = catalog.lineage(kit.thing, unique("alone"))
    assert (answer["baseEntityGuid"], answer["guidEntityMap"], answer["relations"]) == (guid, {}, [])


def test_by_super_type(catalog: Catalog, unique: Unique, chain: dict[str, str]) -> None:
    assert catalog.lineage("DataSet", unique("a"))["baseEntityGuid"] == chain["a"]


def test_of_what_is_absent(catalog: Catalog, kit: Any, unique: Unique) -> None:
    with pytest.raises(EntityNotFoundError):
        catalog.lineage(kit.thing, unique("absent"))


def test_of_what_has_no_lineage(catalog: Catalog, kit: Any, unique: Unique, put: Any, refused: Any) -> None:
    put(kit.friend, unique("f"))
    with refused("ATLAS-404-00-011"):
        catalog.lineage(kit.friend, unique("f"))


def test_removed_edges_and_deleted_entities_stay(
    catalog: Catalog, kit: Any, unique: Unique, chain: dict[str, str], put: Any, ref: Any
) -> None:
    put(kit.step, unique("s1"), relations={"inputs": [ref(kit.thing, unique("c"))]})
    assert "a>s1" in edges(catalog.lineage(kit.thing, unique("a"), direction="OUTPUT", depth=1), chain)
    catalog.delete(kit.thing, unique("d"))
    answer = catalog.lineage(kit.thing, unique("c"), direction="OUTPUT", depth=1)
    assert "s3>d" in edges(answer, chain)
    assert answer["guidEntityMap"][chain["d"]]["status"] == "DELETED"


def test_cycles_end(catalog: Catalog, kit: Any, unique: Unique, chain: dict[str, str], put: Any, ref: Any) -> None:
    put(kit.step, unique("s3"), relations={"outputs": [ref(kit.thing, unique("d")), ref(kit.thing, unique("a"))]})
    answer = catalog.lineage(kit.thing, unique("a"), direction="OUTPUT", depth=0)
    assert edges(answer, chain) == "a>s1 b>s2 c>s3 s1>b s2>c s3>a s3>d"


def test_the_machine_learning_chain(catalog: Catalog, unique: Unique, make: Any) -> None:
    """Table, training, build, deploying, deployment in one write, with the built-in types."""
    times = {"createTime": 1, "deployedTime": 1}
    deployment = make("ml_model_deployment", unique("live"), guid="-5", status="deployed", cpuMillicores=1, **times)
    deployment["relationshipAttributes"] = {"build": {"guid": "-3"}}
    train = {"inputs": [{"guid": "-2"}], "outputs": [{"guid": "-3"}]}
    deploy = {"inputs": [{"guid": "-3"}], "outputs": [{"guid": "-5"}]}
    batch = [
        make("ml_project", unique("project")),
        make("mlgov_dataset", unique("table"), guid="-2"),
        make("ml_model_build", unique("build"), guid="-3", version=1, relations={"project": {"guid": "-1"}}),
        make("ml_model_train_build_process", unique("train"), guid="-4", userName="u", relations=train),
        deployment,
        make("ml_model_deploy_process", unique("deploy"), guid="-6", userName="u", relations=deploy),
    ]
    guids = catalog.write(batch)["guidAssignments"]
    chain = {name: guids[f"-{n}"] for n, name in enumerate(("project", "table", "build", "train", "live", "deploy"), 1)}
    answer = catalog.lineage("mlgov_dataset", unique("table"), direction="OUTPUT", depth=0)
    assert edges(answer, chain) == "build>deploy deploy>live table>train train>build"
    assert catalog.lineage("ml_project", unique("project"))["relations"] == []
