"""Exactness over time: streams, complete pictures, what is dropped and renamed, and runs below other runs."""

from __future__ import annotations

import pytest

from translate_events import at, by_type, edges, run_id, table, task_event, translated

A, B, X = (f"db:5432/shop.public.{name}" for name in "abx")


def source(name):
    return {"namespace": "postgres://db:5432", "name": f"shop.public.{name}"}


STREAM = {"jobType": {"processingType": "STREAMING", "integration": "FLINK"}}


def event(kind, second, inputs=(), outputs=(), job=None, run="s"):
    return {
        "eventTime": at(second),
        "eventType": kind,
        "run": {"runId": run_id(run)},
        "job": {"namespace": "n", "name": "j", "facets": job or {}},
        "inputs": list(inputs),
        "outputs": list(outputs),
    }


@pytest.mark.parametrize("kind_of_job", ["STREAMING", "SERVICE"])
def test_a_stream_has_edges_before_it_ends_and_keeps_them_however_it_ends(kind_of_job):
    job = {"jobType": {**STREAM["jobType"], "processingType": kind_of_job}}
    events = [event("START", 1, job=job), event("RUNNING", 2, [table("a")], [table("x")], job)]
    assert not edges(translated(events[0]))
    running = translated(*events)
    assert edges(running) == [("mlgov_job_process", [A], ["db:5432/shop.public.x"])]
    (run,) = by_type(running, "mlgov_job_run")
    assert "state" not in run.latest
    assert run.latest["processKey"]
    for kind in ("ABORT", "FAIL", "COMPLETE"):
        assert edges(translated(*events, event(kind, 3))) == edges(running)


@pytest.mark.parametrize("kind", ["ABORT", "FAIL"])
def test_a_stream_of_which_only_a_failure_is_known_did_nothing(kind):
    assert not edges(translated(event(kind, 3, [table("a")], [table("x")], STREAM)))


def test_a_batch_has_none_before_it_ends():
    assert not edges(translated(event("RUNNING", 2, [table("a")], [table("x")])))


def test_complete_pictures_replace_each_other():
    pattern = {"jobType": {"processingType": "STREAMING", "emissionPattern": {"eventContentMode": "COMPLETE_SNAPSHOT"}}}
    events = [
        event("RUNNING", 1, [table("a")], [table("x")], pattern),
        event("RUNNING", 2, [table("b")], [table("x")], pattern),
        event("COMPLETE", 3, job=pattern),
    ]
    wanted = [("mlgov_job_process", [B], ["db:5432/shop.public.x"])]
    assert edges(translated(*events)) == wanted
    assert edges(translated(*reversed(events))) == wanted


def test_an_older_picture_says_nothing_of_a_newer_one():
    pattern = {"jobType": {"processingType": "STREAMING", "emissionPattern": {"eventContentMode": "COMPLETE_SNAPSHOT"}}}
    of_a = {**table("x"), "facets": {"lineage": {"inputs": [{"type": "DATASET", **source("a")}]}}}
    events = [
        event("RUNNING", 1, [table("a")], [of_a], pattern),
        event("RUNNING", 9, [table("b")], [table("x")], pattern),
    ]
    assert edges(translated(events[0])) == [("mlgov_job_process", [A], [X])]
    for order in (events, events[::-1]):
        assert edges(translated(*order)) == [("mlgov_job_process", [B], [X])]


def test_drops_and_renames_are_no_ends():
    dropped = {**table("x"), "facets": {"lifecycleStateChange": {"lifecycleStateChange": "DROP"}}}
    found = translated(event("COMPLETE", 1, [table("a")], [dropped]))
    assert [(change.kind, change.ref.qualified_name) for change in found.changes] == [
        ("drop", "db:5432/shop.public.x@plat")
    ]
    assert edges(found) == [("mlgov_job_process", [A], [])]
    renamed = {
        **table("x"),
        "facets": {"lifecycleStateChange": {"lifecycleStateChange": "RENAME", "previousIdentifier": source("old")}},
    }
    (change,) = translated(event("COMPLETE", 1, [], [renamed])).changes
    assert change.to is not None
    assert (change.ref.qualified_name, change.to.qualified_name) == (
        "db:5432/shop.public.old@plat",
        "db:5432/shop.public.x@plat",
    )


def changed(state, namespace, name, old="", **facets):
    lifecycle = {"lifecycleStateChange": state}
    if old:
        lifecycle["previousIdentifier"] = {"namespace": namespace, "name": old}
    return {"namespace": namespace, "name": name, "facets": {"lifecycleStateChange": lifecycle, **facets}}


NOW = [("DATABASE", "Sales"), ("SCHEMA", "dbo"), ("TABLE", "u")]
HIVE_LINK = {"symlinks": {"identifiers": [{"namespace": "hive://m", "name": "d.sales", "type": "TABLE"}]}}


@pytest.mark.parametrize(
    "output",
    [
        changed("DROP", "s3://lake", "sales/dt=2026-01-31"),
        changed("DROP", "s3://lake", "sales/dt=2026-01-31", **HIVE_LINK),
        changed("DROP", "bigquery", "p.d.t$20260101"),
        changed("DROP", "postgres://db:5432", "d.s.t__dbt_backup"),
        changed("RENAME", "postgres://db:5432", "d.s.t__dbt_backup", "d.s.t"),
        changed("RENAME", "postgres://db:5432", "d.s.t", "d.s.t__dbt_tmp"),
        changed("RENAME", "postgres://db:5432", "d.s.other", "d.s.t__dbt_tmp"),
        changed("RENAME", "s3://lake", "old/dt=1", "sales/dt=1"),
        changed("RENAME", "s3://lake", "moved", "sales/dt=1"),
    ],
)
def test_what_is_done_to_a_part_is_not_done_to_the_whole(output):
    found = translated(task_event(inputs=[table("a")], outputs=[output]))
    assert found.changes == ()
    assert found.warnings == ()
    assert edges(found)[0][2], "the table was written to"


@pytest.mark.parametrize("fs", ["s3://lake", "hdfs://nn:8020", "abfss://c@acc.dfs.core.windows.net", "gs://b"])
def test_what_is_said_to_have_moved_into_itself_has_not(fs):
    found = translated(task_event(inputs=[], outputs=[changed("RENAME", fs, "/in/sub", "/in")]))
    assert found.changes == ()
    (warning,) = found.warnings
    assert "/in/sub" in warning
    assert "left out" in warning
    up = translated(task_event(inputs=[], outputs=[changed("RENAME", fs, "/in", "/in/sub")]))
    assert (len(up.changes), up.warnings) == (1, ())


@pytest.mark.parametrize(
    "facet",
    [
        {"dataSource": {"name": "a", "uri": "jdbc:sqlserver://s:1433;databaseName=Sales"}},
        {"hierarchy": {"hierarchy": [{"type": kind, "name": name} for kind, name in NOW]}},
    ],
    ids=["dataSource", "hierarchy"],
)
def test_the_name_before_is_in_the_same_database(facet):
    found = translated(event("COMPLETE", 1, [], [changed("RENAME", "sqlserver://s:1433", "dbo.u", "dbo.t", **facet)]))
    (change,) = found.changes
    assert change.ref.qualified_name == "s:1433/Sales.dbo.t@plat"
    assert not found.warnings


def test_an_input_is_never_dropped():
    dropped = {**table("x"), "facets": {"lifecycleStateChange": {"lifecycleStateChange": "DROP"}}}
    assert not translated(event("COMPLETE", 1, [dropped], [table("y")])).changes
    assert not translated(event("FAIL", 1, [], [dropped])).changes


def test_a_deleted_facet_says_nothing():
    facets = {"documentation": {"_deleted": True}, "ownership": {"_deleted": True}}
    found = translated({"eventTime": at(1), "dataset": {**table("x"), "facets": facets}})
    assert not by_type(found, "rdbms_table")[0].create_only


@pytest.mark.parametrize(
    ("integration", "job"), [("SPARK", "dag.task"), ("AIRFLOW_SQL", "dag.task.query.1"), (None, "dag.task.query.1")]
)
def test_only_the_steps_of_spark_are_work_of_their_parent(integration, job):
    step = event("COMPLETE", 3, [table("a")], [table("x")], {"jobType": {"integration": integration}})
    step["job"]["name"] = "dag.task.query.1"
    step["run"]["facets"] = {"parent": {"job": {"namespace": "n", "name": "dag.task"}, "run": {"runId": run_id("t")}}}
    found = translated(step)
    (process,) = by_type(found, "mlgov_job_process")
    assert process.attributes["jobName"] == job


def test_parents_are_linked_by_tokens():
    parent = {
        "run": {"runId": run_id("task")},
        "job": {"namespace": "air", "name": "shop.submit"},
        "root": {"run": {"runId": run_id("dag")}},
    }
    child = event("COMPLETE", 2, [table("a")], [table("x")])
    child["run"]["facets"] = {"parent": parent}
    (run,) = by_type(translated(child), "mlgov_job_run")
    (task,) = by_type(
        translated({**task_event(), "run": {**task_event()["run"], "runId": run_id("task")}}), "mlgov_task_run"
    )
    assert run.attributes["parentKey"] == task.attributes["runToken"]
    assert run.attributes["rootRunId"] == run_id("dag")
