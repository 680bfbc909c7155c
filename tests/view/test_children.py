"""What a Spark application did is part of the DAG run that submitted it, each edge once."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_mlgov.catalog.embedded import EmbeddedCatalog
from airflow_provider_mlgov.delivery.outbox import Outbox
from airflow_provider_mlgov.delivery.sender import Sender
from airflow_provider_mlgov.delivery.spool import Spool
from airflow_provider_mlgov.translate.options import TranslateOptions
from airflow_provider_mlgov.view.graph import run_graph
from airflow_provider_mlgov.view.render import FORMATS, render
from airflow_provider_mlgov.view.values import RunGraph
from delivery_events import task_event

SPARK = Path(__file__).parents[1] / "translate" / "events" / "spark.ndjson"
TASK_RUN, DAG_RUN = "01900000-0000-7000-8000-000000000001", "01900000-0000-7000-8000-0000000000aa"


def submitted(**declared: Any) -> list[dict[str, Any]]:
    """The task that submits the application, and its DAG run."""
    task = task_event("COMPLETE", task="submit", namespace="air", **declared)
    task["run"]["runId"] = TASK_RUN
    dag = task_event("COMPLETE", namespace="air")
    dag["run"]["runId"] = DAG_RUN
    del dag["run"]["facets"]["mlgov_airflow"]["taskId"]
    return [task, dag]


def graph(folder: Path, events: list[dict[str, Any]]) -> RunGraph:
    spool, catalog = Spool(folder / "spool"), EmbeddedCatalog(folder / "catalog.db")
    for event in events:
        Outbox(spool).put(event)
    Sender(spool, lambda: catalog, TranslateOptions(airflow_namespace="air")).send()
    assert not spool.has_waiting()
    assert not spool.dead_letters()
    catalog = EmbeddedCatalog(folder / "catalog.db")
    try:
        return run_graph(catalog, "shop", "r1", "air")
    finally:
        catalog.close()


@pytest.fixture
def application() -> list[dict[str, Any]]:
    return [json.loads(line) for line in SPARK.read_text(encoding="utf-8").splitlines()]


def drawn(view: RunGraph, output: str) -> list[str]:
    """The kinds of the steps that write a file."""
    return sorted(
        edge.source.type_name for edge in view.graph.edges if edge.target.qualified_name == f"file:///data/{output}@air"
    )


def test_its_edges_are_drawn_once(tmp_path: Path, application: list[dict[str, Any]]) -> None:
    view = graph(tmp_path, [*submitted(), *application])
    assert drawn(view, "warehouse/totals") == ["mlgov_job_process"], "told by two nested executions"
    assert drawn(view, "lake/orders") == ["mlgov_job_process"]
    assert drawn(view, "lake/broken") == []
    steps = {step.name for step in view.graph.steps if step.ref.type_name == "mlgov_job_process"}
    assert steps == {"shop"}
    assert any(attempt.state == "failed" for attempt in view.attempts), "the write that failed is there"
    for form in FORMATS:
        assert "warehouse/totals" in render(view, form)


def test_what_the_task_declares_too_is_drawn_as_the_tasks(tmp_path: Path, application: list[dict[str, Any]]) -> None:
    def file(name: str) -> dict[str, Any]:
        return {"namespace": "file", "name": f"/data/{name}"}

    declared = {"inputs": (file("in/orders.csv"),), "outputs": (file("lake/orders"),)}
    view = graph(tmp_path, [*submitted(**declared), *application])
    assert drawn(view, "lake/orders") == ["mlgov_task_process"]
    assert drawn(view, "lake/by_day") == ["mlgov_job_process"]


def test_without_the_task_it_is_in_no_run(tmp_path: Path, application: list[dict[str, Any]]) -> None:
    other = task_event("COMPLETE", task="other", namespace="air", outputs=({"namespace": "file", "name": "/x"},))
    view = graph(tmp_path, [other, *application])
    assert {step.ref.type_name for step in view.graph.steps} == {"mlgov_task_process"}
