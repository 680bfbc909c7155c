"""Walks: what was it made of, what was made of it, where does that serve now, and what is no longer so."""

from __future__ import annotations

import itertools
import json
import time
import uuid
from collections.abc import Callable
from importlib import resources
from pathlib import Path

import jsonschema
import pytest

from airflow_provider_mlgov.catalog.atlas import AtlasCatalog
from airflow_provider_mlgov.catalog.embedded import EmbeddedCatalog
from airflow_provider_mlgov.catalog.types.apply import ensure_types
from airflow_provider_mlgov.errors import EntityNotFoundError, InvalidInputError
from airflow_provider_mlgov.model import identity
from airflow_provider_mlgov.model.entity import Ref
from airflow_provider_mlgov.view.graph import run_graph
from airflow_provider_mlgov.view.render import FORMATS, render
from airflow_provider_mlgov.view.values import Toward, WalkGraph
from airflow_provider_mlgov.view.walk import walk
from lineage_world import AIR, CAT, World, ref, shop_run


@pytest.fixture
def world(tmp_path: Path) -> World:
    catalog = EmbeddedCatalog(tmp_path / "catalog.db")
    ensure_types(catalog)
    return World(catalog)


def go(world: World, start: Ref, direction: Toward = "both", depth: int = 0) -> WalkGraph:
    return walk(world.catalog, start.type_name, start.qualified_name, direction, depth)


def names(view: WalkGraph, *, old: bool = False) -> set[str]:
    return {node.name.rpartition(".")[2] for node in view.graph.nodes if node.old == old}


def chain(world: World, *tables: str) -> list[Ref]:
    made = [world.table(name) for name in tables]
    for number, (source, target) in enumerate(itertools.pairwise(made)):
        world.process(f"step{number}", [source], [target])
    return made


def test_directions_and_depth(world: World) -> None:
    a, b, c, d = chain(world, "a", "b", "c", "d")
    assert names(go(world, b, "up")) == {"a", "b"}
    assert names(go(world, b, "down")) == {"b", "c", "d"}
    assert names(go(world, c)) == {"a", "b", "c", "d"}
    near = go(world, a, "down", 2)
    assert names(near) == {"a", "b", "c"}
    assert near.cut
    assert "stopped after 2 hops" in render(near)
    assert not go(world, a, "down", 9).cut
    assert "stopped" not in render(go(world, d, "down"))


def test_a_walk_may_begin_at_a_process(world: World) -> None:
    a, b, _ = chain(world, "a", "b", "c")
    process = go(world, b, "up").graph.steps[0]
    assert names(go(world, process.ref)) == {"a", "b", "c"}
    assert names(go(world, a)) == {"a", "b", "c"}


def test_an_entity_without_lineage_stands_alone(world: World) -> None:
    view = go(world, world.table("lonely"))
    assert names(view) == {"lonely"}
    assert "Endpoints  none" in render(view)


def test_which_endpoints_run_a_model_trained_on_this_table_now(world: World) -> None:
    ours, theirs = world.table("ours"), world.table("theirs")
    first, second = world.build("b1"), world.build("b2")
    world.train(first, [ours])
    world.train(second, [theirs])
    deployment = world.deploy(first, "r1")
    world.endpoint(deployment)
    kept = world.deploy(first, "r1", endpoint="kept")
    world.endpoint(kept, "kept")
    view = go(world, ours, "down")
    assert [(it.name, it.serves_now) for it in view.endpoints] == [("churn", True), ("kept", True)]

    # The endpoint moves on to a build of another table.
    world.catalog.update(deployment.type_name, deployment.qualified_name, {"status": "stopped"})
    successor = world.deploy(second, "r2", at=1000)
    world.endpoint(successor)
    view = go(world, ours, "down")
    assert [(it.name, it.serves_now) for it in view.endpoints] == [("churn", False), ("kept", True)]
    text = render(view)
    assert "1 endpoint now, 2 ever" in text
    assert "has moved on: it serves demo/churn/b2 now, which is outside this graph" in text
    assert go(world, theirs, "down").endpoints[0].serves_now

    # It stops: then nothing serves there.
    world.catalog.update(successor.type_name, successor.qualified_name, {"status": "stopped"})
    assert go(world, theirs, "down").endpoints[0].idle
    assert "serves nothing now" in render(go(world, theirs, "down"))


def test_two_deployments_of_one_table_at_one_endpoint(world: World) -> None:
    table = world.table("t")
    deployments = []
    for number in (1, 2):
        build = world.build(f"b{number}")
        world.train(build, [table])
        deployments.append(
            world.deploy(build, f"r{number}", status="stopped" if number == 1 else "deployed", at=number)
        )
    world.endpoint(deployments[1])
    (standing,) = go(world, table, "down").endpoints
    assert [(service.build_name, service.now) for service in standing.services] == [
        ("demo/churn/b2", True),
        ("demo/churn/b1", False),
    ]
    assert "serves demo/churn/b2 now" in render(go(world, table, "down"))


def test_without_an_endpoint_entity_the_status_decides(world: World) -> None:
    build = world.build("b")
    world.train(build, [world.table("t")])
    world.deploy(build, "r")
    assert go(world, ref(build), "down").endpoints[0].serves_now


def test_an_endpoint_stands_for_its_deployment_and_a_model_for_its_builds(world: World) -> None:
    table, other = world.table("t"), world.table("u")
    for number, source in enumerate((table, other)):
        build = world.build(f"b{number}", at=number)
        world.train(build, [source])
    world.model(champion="b1")
    world.endpoint(world.deploy(build, "r"))
    endpoint = Ref("mlgov_endpoint", str(identity.Endpoint(CAT, "demo", "production", "churn")))
    view = go(world, endpoint, "up")
    assert "u" in names(view)
    assert "t" not in names(view)
    assert view.asked == endpoint
    lines = render(view).splitlines()
    assert any(line.startswith("endpoint production/churn") for line in lines[3:])
    assert {"t", "u"} <= names(go(world, Ref("mlgov_model", str(build.family)), "up"))


def test_deleted_edges_are_old_and_what_only_they_reach_too(world: World) -> None:
    a, b, c = chain(world, "a", "b", "c")
    extra = world.table("extra")
    step = world.process("wide", [a], [c])
    world.put(step, {"inputs": [a, extra]})
    world.put(step, {"inputs": [a]})
    view = go(world, extra, "down")
    assert names(view) == {"extra"}
    assert names(view, old=True) == {"c"}
    assert {edge.old for edge in view.graph.edges if edge.source == extra} == {True}
    assert "no longer" in render(view)
    assert "-. was .->" in render(view, "mermaid")
    assert "style=dashed" in render(view, "dot")
    assert names(go(world, c, "up"), old=True) == {"extra"}
    assert b in {node.ref for node in go(world, c, "up").graph.nodes if not node.old}


def test_a_deleted_process_is_old(world: World) -> None:
    a, _b, _c = chain(world, "a", "b", "c")
    step = next(step for step in go(world, a, "down", 1).graph.steps)
    world.catalog.delete(step.ref.type_name, step.ref.qualified_name)
    view = go(world, a, "down")
    assert names(view, old=True) == {"b", "c"}
    assert "deleted from the catalogue" in render(view)


def test_a_cycle_ends(world: World) -> None:
    a, b = chain(world, "a", "b")
    world.process("back", [b], [a])
    world.process("self", [a], [a])
    for direction in ("up", "down", "both"):
        view = go(world, a, direction)  # type: ignore[arg-type]
        assert names(view) == {"a", "b"}
        for form in FORMATS:
            assert render(view, form)
    text = render(go(world, a, "down"))
    assert "the start of this walk" in text
    assert "in full above" in text


def test_a_long_chain_needs_no_recursion(world: World) -> None:
    tables = chain(world, *(f"t{number:03}" for number in range(120)))
    view = go(world, tables[0], "down")
    assert len(view.graph.nodes) == 120
    assert "t119" in render(view)


def test_json_keeps_its_schema(world: World) -> None:
    build = world.build("b")
    world.train(build, [world.table("t")])
    world.endpoint(world.deploy(build, "r"))
    schema = json.loads(
        resources.files("airflow_provider_mlgov.view").joinpath("lineage-1.schema.json").read_text("utf-8")
    )
    document = json.loads(render(go(world, ref(build)), "json"))
    jsonschema.validate(document, schema)
    assert document["endpoints"][0]["servesNow"]
    ids = {member["id"] for member in document["nodes"] + document["steps"]}
    assert all({edge["from"], edge["to"]} <= ids for edge in document["edges"])


@pytest.mark.parametrize(
    ("type_name", "qualified_name", "said"),
    [
        ("mlgov_dataset", "features", "did you mean 'postgres:%2F%2Fdb:5432/shop.public.features@primary'"),
        ("mlgov_dataset", "postgres:%2F%2Fdb:5432/shop.public.feature@primary", "features@primary'"),
        ("mlgov_dataset", "zzz", "there are 1 of that type"),
        ("mlgov_model", "ml/x/models/y@primary", "there is none of that type"),
        ("mlgov_endpoint", "ml/x/endpoints/y/z@primary", "there is none of that type"),
        ("mlgov_datset", "x", "did you mean 'mlgov_dataset'"),
        ("rdbms", "x", "rdbms_table"),
    ],
)
def test_what_is_not_there_names_what_is(world: World, type_name: str, qualified_name: str, said: str) -> None:
    world.put(Ref("mlgov_dataset", f"postgres:%2F%2Fdb:5432/shop.public.features@{CAT}"), name="features")
    with pytest.raises(EntityNotFoundError) as caught:
        walk(world.catalog, type_name, qualified_name)
    assert said in str(caught.value)


def test_a_type_without_lineage_says_what_to_do(world: World) -> None:
    run = world.dag_run("r")
    with pytest.raises(InvalidInputError, match="ask with --dag-id and --run-id"):
        go(world, run)


def test_an_endpoint_that_never_had_a_deployment(world: World) -> None:
    endpoint = world.put(ref(identity.Endpoint(CAT, "demo", "production", "new")))
    with pytest.raises(InvalidInputError, match="has no deployment yet"):
        go(world, endpoint)


@pytest.mark.atlas
def test_a_real_atlas_says_the_same(atlas: AtlasCatalog) -> None:
    world = World(atlas, dag=f"shop-{uuid.uuid4().hex[:8]}", namespace=f"t{uuid.uuid4().hex[:8]}")
    shop_run(world)
    eventually(lambda: len(run_graph(atlas, world.dag, "manual__1", AIR).attempts) == 10)
    run = run_graph(atlas, world.dag, "manual__1", AIR)
    assert len(run.graph.steps) == 6
    assert render(run).count("serves demo/churn/b1 now") == 2
    table = world.table("customers")
    view = go(world, table, "down")
    assert {step.role for step in view.graph.steps} == {"processing", "training", "evaluating", "deploying", "scoring"}
    assert view.endpoints[0].serves_now

    extra, target = world.table("extra"), world.table("target")
    step = world.process("wide", [table, extra], [target])
    world.put(step, {"inputs": [table]})
    view = go(world, extra, "down")
    assert names(view, old=True) == {"target"}
    with pytest.raises(EntityNotFoundError, match="did you mean"):
        walk(atlas, table.type_name, table.qualified_name[:-1])
    with pytest.raises(InvalidInputError, match="ask with --dag-id"):
        go(world, run.run.ref)


def eventually(check: Callable[[], bool], seconds: float = 10.0) -> None:
    """Atlas's index follows a write within about a second."""
    end = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < end
        time.sleep(0.2)
