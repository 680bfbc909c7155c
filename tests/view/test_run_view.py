"""The lineage of one DAG run: what is read from the catalogue, and how it looks in each format."""

from __future__ import annotations

import json
import os
from importlib import resources
from pathlib import Path

import jsonschema
import pytest

from airflow_provider_mlgov.catalog.embedded import EmbeddedCatalog
from airflow_provider_mlgov.catalog.types.apply import ensure_types
from airflow_provider_mlgov.errors import EntityNotFoundError
from airflow_provider_mlgov.model import identity
from airflow_provider_mlgov.view.graph import run_graph
from airflow_provider_mlgov.view.render import FORMATS, render
from airflow_provider_mlgov.view.values import RunGraph
from lineage_world import AIR, World, ref, shop_run

GOLDEN = Path(__file__).parent / "golden"
ENDING = {"tree": "txt", "mermaid": "mmd", "dot": "dot", "json": "json"}


@pytest.fixture
def catalog(tmp_path: Path) -> EmbeddedCatalog:
    catalog = EmbeddedCatalog(tmp_path / "catalog.db")
    ensure_types(catalog)
    return catalog


@pytest.fixture
def world(catalog: EmbeddedCatalog) -> World:
    return World(catalog)


@pytest.fixture
def shop(world: World) -> RunGraph:
    shop_run(world)
    return run_graph(world.catalog, "shop", "manual__1", AIR)


@pytest.mark.parametrize("form", FORMATS)
def test_golden(shop: RunGraph, form: str) -> None:
    # MLGOV_WRITE_GOLDEN=1 writes the files anew; look at the difference before it is committed.
    text = render(shop, form) + "\n"  # type: ignore[arg-type]
    path = GOLDEN / f"shop_run.{ENDING[form]}"
    if os.environ.get("MLGOV_WRITE_GOLDEN"):
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8")


def test_json_keeps_its_schema(shop: RunGraph) -> None:
    schema = json.loads(
        resources.files("airflow_provider_mlgov.view").joinpath("lineage-1.schema.json").read_text("utf-8")
    )
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(json.loads(render(shop, "json")), schema)


def test_every_try_is_there_with_its_state_and_error(shop: RunGraph) -> None:
    states = [(attempt.title, attempt.try_number, attempt.state) for attempt in shop.attempts]
    assert states == [
        ("features", 1, "up_for_retry"),
        ("features", 2, "success"),
        ("train[0]", 1, "success"),
        ("train[1]", 1, "success"),
        ("evaluate", 1, "success"),
        ("deploy", 1, "success"),
        ("score", 1, "success"),
        ("report", 1, "failed"),
        ("archive", 1, "skipped"),
        ("mail", 1, "upstream_failed"),
    ]
    assert "OperationalError: database is locked" in render(shop)


def test_a_failed_try_draws_no_edge(shop: RunGraph) -> None:
    done = {run.qualified_name for step in shop.graph.steps for run in step.runs}
    assert not any("/report/" in name or "/features/-1/1@" in name for name in done)


def test_every_member_is_in_full_once(shop: RunGraph) -> None:
    lines = render(shop).split("Task runs")[0].splitlines()
    for node in shop.graph.nodes:
        in_full = [line for line in lines if f"{node.kind} {node.name}" in line and "in full under" not in line]
        assert len(in_full) == 1, node.name
    assert sum("→ score" in line for line in lines) == 2
    assert sum("→ score" in line and "in full under deployment" in line for line in lines) == 1


def test_other_runs_cost_nothing_and_do_not_show(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    shop_run(world, "manual__1")
    calls: list[str] = []
    for name in ("get", "get_many", "search", "lineage", "get_by_guid"):
        original = getattr(world.catalog, name)
        monkeypatch.setattr(
            world.catalog,
            name,
            lambda *args, _name=name, _original=original, **keys: calls.append(_name) or _original(*args, **keys),
        )
    run_graph(world.catalog, "shop", "manual__1", AIR)
    before = len(calls)
    for number in range(2, 5):
        world.task_run(f"manual__{number}", "features", state="success")
    calls.clear()
    view = run_graph(world.catalog, "shop", "manual__1", AIR)
    assert len(calls) == before
    assert len(view.attempts) == 10


def test_a_run_known_by_its_task_runs_only(world: World) -> None:
    world.task_run("late", "load", took=None)
    view = run_graph(world.catalog, "shop", "late", AIR)
    assert not view.run.known
    text = render(view)
    assert "not recorded itself yet" in text
    assert "running" in text
    assert "none: no task run that succeeded read or wrote anything" in text


def test_a_run_that_airflow_dates_back_to_its_logical_date(world: World) -> None:
    day = 1_714_867_200_000  # `airflow dags test D 2024-05-05` of 2.11
    world.dag_run("dated", startTime=day, logicalDate=day, state="success")
    assert run_graph(world.catalog, "shop", "dated", AIR).run.started == day  # nothing says better
    world.task_run("dated", "load", at=5, state="success")
    world.task_run("dated", "train", at=7, state="success")
    first = run_graph(world.catalog, "shop", "dated", AIR).attempts[0].started
    assert first
    world.dag_run("dated", startTime=day, logicalDate=day, endTime=first + 9_000, state="success")
    view = run_graph(world.catalog, "shop", "dated", AIR)
    assert view.run.started == first
    assert "9.0 s" in render(view).splitlines()[1]
    assert view.run.logical_date == day
    world.dag_run("real", startTime=day + 1, logicalDate=day)
    world.task_run("real", "load", at=5, state="success")
    assert run_graph(world.catalog, "shop", "real", AIR).run.started == day + 1


def test_more_task_runs_than_a_page_holds(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("airflow_provider_mlgov.view.graph._PAGE", 7)
    world.dag_run("many")
    for index in range(30):
        world.task_run("many", "part", map_index=index, state="success")
    view = run_graph(world.catalog, "shop", "many", AIR)
    assert sorted(attempt.map_index for attempt in view.attempts) == list(range(30))
    assert "part[…]" in render(view)
    assert "30 task runs" in render(view)


def test_text_of_users_moves_no_cursor_and_breaks_no_format(world: World) -> None:
    nasty = 'x"]<b>\x1b[31m\\ & # `a`[red]'
    table, other = world.table(nasty.replace("\x1b", "e")), world.table("plain")
    world.dag_run("odd", state="failed")
    step = world.process("t", [table], [other])
    world.task_run("odd", "t", state="success", uses=[{"ref": table}, {"ref": other}], does=[(step, [0], [1])])
    world.task_run("odd", "u", state="failed", errorMessage=f"\n{nasty}\nmore")
    view = run_graph(world.catalog, "shop", "odd", AIR)
    for form in ("tree", "mermaid", "dot"):
        assert "\x1b" not in render(view, form)
    assert "[red]" in render(view)
    labels = [line for line in render(view, "mermaid").splitlines() if "x&quot;" in line]
    assert labels
    assert all(line.count('"') == 2 and "<b>" not in line for line in labels)
    assert '\\"' in render(view, "dot")


def test_colours_are_only_for_terminals(shop: RunGraph) -> None:
    assert "\x1b[" not in render(shop)
    assert "\x1b[" in render(shop, color=True, width=100)
    assert render(shop, ascii_only=True).isascii()


def test_an_io_text_of_another_version_is_left_alone(world: World) -> None:
    run = world.task_run("r", "t", state="success")
    for text in ('{"v": 2, "datasets": 7}', "no json", "[]"):
        world.catalog.update(run.type_name, run.qualified_name, {"io": text})
        assert run_graph(world.catalog, "shop", "r", AIR).graph.nodes == ()


@pytest.mark.parametrize(
    ("dag", "run", "namespace", "said"),
    [
        ("shop", "manual_1", AIR, "'manual__1'"),
        ("shap", "manual__1", AIR, "DAGs of similar name: 'shop'"),
        ("shop", "manual__1", "elsewhere", "give --namespace"),
        ("nothing", "x", AIR, "mlgov spool status"),
    ],
)
def test_what_is_not_there_names_what_is(world: World, dag: str, run: str, namespace: str, said: str) -> None:
    shop_run(world)
    world.put(ref(identity.Dag(AIR, "shop")), dagId="shop", airflowNamespace=AIR)
    with pytest.raises(EntityNotFoundError) as caught:
        run_graph(world.catalog, dag, run, namespace)
    assert said in str(caught.value)


def test_a_catalogue_without_our_types(tmp_path: Path) -> None:
    with pytest.raises(EntityNotFoundError, match="nothing was recorded there yet"):
        run_graph(EmbeddedCatalog(tmp_path / "empty.db"), "shop", "r", AIR)
