"""Facets of lineage that cannot be read say nothing; what the job says holds for data in memory and for builds too."""

from __future__ import annotations

import time

import pytest

from airflow_provider_mlgov.model import ml
from tests.translate.test_flows import A, B, C, X, Y, in_memory, of_job, source
from translate_events import by_type, edges, names, table, task_event, translated


@pytest.mark.parametrize(
    "job",
    [
        {"lineage": {"entries": [None, {"type": "DATASET"}]}},
        {"lineage": {"edges": ["x"]}},
        {"lineage": {"entries": [{"type": "JOB", "namespace": "n", "name": "j", "inputs": []}]}},
    ],
)
def test_a_facet_of_the_job_that_cannot_be_read_erases_nothing(job):
    found = translated(task_event(inputs=[table("a")], outputs=[table("x")], job=job))
    assert edges(found) == [("mlgov_task_process", [A], [X])]
    assert any("lineage of the job cannot be read" in warning for warning in found.warnings) or "JOB" in str(job)


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("lineage", {"inputs": {"namespace": 1}}),
        ("lineage", {"edges": ["x"]}),
        ("columnLineage", {"fields": {"c": {"inputFields": {"field": "c"}}}}),
        ("columnLineage", {"fields": [1]}),
    ],
)
def test_a_facet_of_an_output_that_cannot_be_read_erases_nothing(name, told):
    out = [{**table("x"), "facets": {name: told}}, table("y")]
    found = translated(task_event(inputs=[table("a")], outputs=out))
    assert edges(found) == [("mlgov_task_process", [A], [X, Y])]
    assert any(f"facet {name} of" in warning for warning in found.warnings)


@pytest.mark.parametrize("told", [{"inputs": []}, {"inputs": [], "fields": {}}])
def test_an_output_that_says_it_has_no_inputs_has_none(told):
    out = [{**table("x"), "facets": {"lineage": {"_producer": "p", **told}}}, table("y")]
    found = translated(task_event(inputs=[table("a")], outputs=out))
    assert sorted(edges(found)) == [("mlgov_task_process", [], [X]), ("mlgov_task_process", [A], [Y])]
    assert not found.warnings


def test_an_output_of_whose_columns_somebody_says_more_has_those_inputs():
    columns = {"fields": {"c": {"inputFields": [source("a", "c")]}}}
    out = [{**table("x"), "facets": {"lineage": {"inputs": []}, "columnLineage": columns}}]
    assert edges(translated(task_event(inputs=[table("a"), table("b")], outputs=out))) == [
        *edges(
            translated(
                task_event(
                    inputs=[table("a"), table("b")], outputs=[{**table("x"), "facets": {"columnLineage": columns}}]
                )
            )
        )
    ]


def test_what_the_job_says_of_data_in_memory_is_followed():
    passing = {"type": "DATASET", **in_memory("tmp"), "inputs": [source("a")]}
    of_x = {"type": "DATASET", **source("x"), "inputs": [in_memory("tmp")]}
    of_y = {"type": "DATASET", **source("y"), "inputs": [source("c")]}
    found = translated(
        task_event(inputs=[table("a"), table("c")], outputs=[table("x"), table("y")], job=of_job(passing, of_x, of_y))
    )
    assert sorted(edges(found)) == [("mlgov_task_process", [A], [X]), ("mlgov_task_process", [C], [Y])]


def test_builds_are_made_of_what_the_job_says():
    def of_build(key, name):
        return {
            "type": "DATASET",
            "namespace": "mlgov://shop",
            "name": f"models/churn/builds/{key}",
            "inputs": [source(name)],
        }

    builds = [ml.Build(project="shop", model="churn", key=key) for key in ("b1", "b2")]
    found = translated(
        task_event(
            inputs=[table("a"), table("b")], outputs=builds, job=of_job(of_build("b1", "a"), of_build("b2", "b"))
        )
    )
    made = {
        tuple(names(entity.relations["outputs"])): names(entity.relations["inputs"])
        for entity in by_type(found, "mlgov_train_process")
    }
    assert made == {("ml/shop/models/churn/builds/b1",): [A], ("ml/shop/models/churn/builds/b2",): [B]}
    assert not by_type(found, "mlgov_task_process")


def test_whole_data_in_memory_of_many_columns_takes_no_time():
    """Each of 2,000 columns is made of all of data in memory that has 2,000 columns: which of them, nobody says."""
    count = 2_000
    passing = {
        "type": "DATASET",
        **in_memory("tmp"),
        "fields": {f"c{number}": {"inputs": [source("a", f"c{number}")]} for number in range(count)},
    }
    made = {
        "type": "DATASET",
        **source("x"),
        "fields": {f"c{number}": {"inputs": [in_memory("tmp")]} for number in range(count)},
    }
    began = time.thread_time()
    found = translated(task_event(inputs=[table("a"), table("b")], outputs=[table("x")], job=of_job(passing, made)))
    assert time.thread_time() - began < 5
    assert ("mlgov_task_process", [A], [X]) in edges(found)
    assert not by_type(found, "mlgov_column_lineage")
