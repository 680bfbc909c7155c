"""What facets say of datasets and queries, and where it is kept."""

from __future__ import annotations

import json

import pytest

from translate_events import at, by_type, names, one, run_id, table, task_event, translated

HIVE = {"namespace": "hive://m", "name": "d.t"}


def dataset_event(**facets):
    return {"eventTime": at(1), "dataset": {**table("a"), "facets": facets}}


def fields(*items):
    return {"schema": {"fields": list(items)}}


def column(name, kind="int", **more):
    return {"name": name, "type": kind, **more}


def test_what_no_run_tells_is_a_custom_attribute():
    found = translated(
        dataset_event(
            version={"datasetVersion": "v3"},
            storage={"storageLayer": "iceberg", "fileFormat": "parquet"},
            lifecycleStateChange={"lifecycleStateChange": "TRUNCATE"},
            datasetType={"datasetType": "VIEW", "subType": "MATERIALIZED"},
            ownership={"owners": [{"name": "ann", "type": "OWNER"}, {"name": "bob"}]},
        )
    )
    data = one(found, "rdbms_table")
    assert dict(data.marks.custom) == {
        "version": "v3",
        "storage": '{"fileFormat":"parquet","storageLayer":"iceberg"}',
        "lifecycle": "TRUNCATE",
        "subType": "MATERIALIZED",
        "owners": "ann (OWNER), bob",
    }
    assert data.described["type"] == (data.as_of, "VIEW")
    assert data.create_only["owner"] == "ann"


@pytest.mark.parametrize("facet", ["lineage", "columnLineage"])
def test_lineage_that_has_no_job_is_not_left_out_in_silence(facet):
    found = translated(dataset_event(**{facet: {"fields": {"x": {"inputs": [], "inputFields": []}}}}))
    assert found.warnings == ("the lineage of a dataset event is left out: it has no job to hang it on",)


def test_what_a_run_tells_is_with_the_run():
    read = {**table("a", version="v3")}
    found = translated(task_event(inputs=[read]))
    assert not one(found, "rdbms_table").marks
    assert '"version":"v3"' in one(found, "mlgov_task_run").latest["io"]


@pytest.mark.parametrize("kind", ["COMPLETE", "FAIL"])
def test_a_run_keeps_its_query_whatever_it_touched(kind):
    job = {"sql": {"query": "SELECT 1", "dialect": "ansi"}}
    run = one(translated(task_event(kind, job=job)), "mlgov_task_run")
    assert (run.attributes["queryText"], run.attributes["queryDialect"]) == ("SELECT 1", "ansi")


def test_what_the_hook_of_hive_knows_better_is_only_written_to_begin_with():
    schema = fields(column("Mail", "string", description="m"), column("addr", "struct", fields=[column("city")]))
    facets = {**schema, "datasetType": {"datasetType": "TABLE"}}
    found = translated(task_event(outputs=[{**HIVE, "facets": facets}]))
    data = one(found, "hive_table")
    assert ("tableType" in data.attributes, data.create_only["tableType"]) == (False, "TABLE")
    columns = {names(entity.ref)[0]: entity for entity in by_type(found, "hive_column")}
    assert set(columns) == {"d.t.mail", "d.t.addr"}
    assert dict(columns["d.t.mail"].attributes) == {"name": "mail"}
    assert dict(columns["d.t.mail"].create_only) == {"type": "string", "position": 0, "comment": "m"}


def test_lineage_of_a_part_of_a_hive_column_is_of_the_column():
    made_of = {"inputFields": [{**HIVE, "field": "addr.city"}]}
    out = {**table("x"), "facets": {"columnLineage": {"fields": {"city": made_of}}}}
    found = translated(task_event(inputs=[HIVE], outputs=[out]))
    (process,) = by_type(found, "mlgov_column_lineage")
    assert names(process.relations["inputs"]) == ["d.t.addr"]


@pytest.mark.parametrize("order", [1, -1])
def test_what_makes_one_column_of_hive_is_in_one_process(order):
    def made_of(kind, field, *, masking=False):
        steps = [{"type": "DIRECT", "subtype": kind, "masking": masking}]
        return {"inputFields": [{**table("a"), "field": field, "transformations": steps}]}

    told = {
        "c.d": made_of("AGGREGATION", "a", masking=True),
        "c.e": made_of("IDENTITY", "a"),
        "q": made_of("IDENTITY", "a"),
        "Q": made_of("IDENTITY", "b"),
    }
    out = {**HIVE, "facets": {"columnLineage": {"fields": dict(list(told.items())[::order])}}}
    found = by_type(translated(task_event(inputs=[table("a")], outputs=[out])), "mlgov_column_lineage")
    c, q = sorted(found, key=lambda process: process.attributes["columnName"])
    assert (c.attributes["columnName"], q.attributes["columnName"]) == ("c", "q")
    assert (c.latest["dependencyType"], c.latest["masking"]) == ("AGGREGATION, IDENTITY", True)
    assert len(q.relations["inputs"]) == 2


def test_a_table_has_the_columns_of_all_its_partitions():
    schemas = [fields(column("id"), column("i")), fields(column("id"), column("k"))]
    parts = [{"namespace": "s3://lake", "name": f"t/dt={day}", "facets": told} for day, told in enumerate(schemas)]
    found = translated(task_event(outputs=parts))
    assert {entity.attributes["name"] for entity in by_type(found, "mlgov_field")} == {"id", "i", "k"}


@pytest.mark.parametrize(
    ("direction", "fields_told", "positions"),
    [
        ("outputs", [column("a"), column("b")], [1, 2]),
        ("inputs", [column("a"), column("b")], [None, None]),
        ("inputs", [column("a", ordinal_position=4), column("b")], [4, None]),
    ],
)
def test_only_a_whole_schema_says_where_a_column_stands(direction, fields_told, positions):
    file = {"namespace": "file", "name": "/a.csv", "facets": fields(*fields_told)}
    found = translated(task_event(**{direction: [file]}))
    told = [dict(entity.described).get("position") for entity in by_type(found, "mlgov_field")]
    assert [found and found[1] for found in told] == positions


@pytest.mark.parametrize(
    ("query", "is_whole"),
    [
        ("CREATE TABLE t AS SELECT 1", True),
        ('-- dbt\n/* {"app": "dbt * "} */\n create or replace view t as select 1', True),
        ("insert into t (b, a) select 1, 2", False),
        ("/* create table */ update t set a = 1", False),
        ("/**/" * 5_000 + "delete from t", False),
        ("created", False),
        (None, False),
    ],
)
def test_what_trino_makes_has_its_whole_schema(query, is_whole):
    file = {"namespace": "file", "name": "/a.csv", "facets": fields(column("a"))}
    job = {"jobType": {"integration": "TRINO", "processingType": "BATCH"}} | (
        {"sql": {"query": query}} if query else {}
    )
    (field,) = by_type(translated(task_event(outputs=[file], job=job)), "mlgov_field")
    assert ("position" in field.described) is is_whole


def test_a_job_event_keeps_its_query_on_its_process():
    event = {
        "eventTime": at(1),
        "job": {"namespace": "n", "name": run_id("j"), "facets": {"sql": {"query": "q"}}},
        "inputs": [table("a")],
        "outputs": [],
    }
    told = one(translated(json.loads(json.dumps(event))), "mlgov_job_process").described["queryText"]
    assert told[1] == "q"
