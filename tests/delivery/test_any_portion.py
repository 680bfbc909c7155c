"""What is told late, again or in other portions: the catalogue ends as if all had been told at once and in order."""

from __future__ import annotations

import json
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_mlgov.catalog.embedded import EmbeddedCatalog
from airflow_provider_mlgov.delivery.outbox import Outbox
from airflow_provider_mlgov.delivery.sender import Sender
from airflow_provider_mlgov.delivery.spool import Spool
from tests.delivery.test_any_order import EVENTS, OPTIONS, catalogued, recorded, shuffled

Json = dict[str, Any]
DB = "postgres://db:5432"
A, B, C = (f"rdbms_table db:5432/d.s.{name}@primary" for name in "abc")


def data(name: str, namespace: str = DB, **facets: Json) -> Json:
    return {"namespace": namespace, "name": f"d.s.{name}" if namespace == DB else name, "facets": facets}


def event(
    run: int, second: int, inputs: list[Json], outputs: list[Json], *, kind: str = "COMPLETE", job: str = "j"
) -> Json:
    return {
        "eventType": kind,
        "eventTime": f"2026-01-31T01:00:{second:02}Z",
        "producer": "https://example.com",
        "schemaURL": "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent",
        "run": {"runId": f"00000000-0000-7000-8000-{run:012}"},
        "job": {"namespace": "jobs", "name": job},
        "inputs": inputs,
        "outputs": outputs,
    }


def of_job(one: Json) -> Json:
    """The same as a job event."""
    return {name: value for name, value in one.items() if name not in ("run", "eventType")}


def of_stream(one: Json) -> Json:
    facets = {"jobType": {"processingType": "STREAMING", "integration": "FLINK"}}
    return {**one, "job": {**one["job"], "facets": facets}}


def typed(kind: str) -> Json:
    return {"schema": {"fields": [{"name": "id", "type": kind}]}}


def test_an_older_event_does_not_rewind_what_describes_data(tmp_path: Path) -> None:
    old, new = (event(run, run, [], [data("a", **typed(kind))]) for run, kind in ((1, "int"), (2, "bigint")))
    column = "rdbms_column db:5432/d.s.a.id@primary"
    for number, portions in enumerate(([[old], [new]], [[new], [old]], [[old], [new], [old]], [[new, old]])):
        found = catalogued(tmp_path / str(number), portions)
        assert found[column]["attributes"]["data_type"] == "bigint", number


def test_an_older_event_still_says_what_no_newer_one_does(tmp_path: Path) -> None:
    kind = {"datasetType": {"datasetType": "VIEW"}}
    told = [event(1, 1, [], [data("a", **kind)]), event(2, 2, [], [data("a", **typed("int"))])]
    for number, order in enumerate(permutations(told)):
        found = catalogued(tmp_path / str(number), [[one] for one in order])
        assert found[A]["attributes"]["type"] == "VIEW"


def test_a_path_whose_table_is_told_later_leaves_nothing_of_the_path(tmp_path: Path) -> None:
    path = data("/wh/t2", "hdfs://nn:8020")
    symlinks = {"symlinks": {"identifiers": [{"namespace": "hive://m:9083", "name": "d.t2", "type": "TABLE"}]}}
    again = data("/wh/t2/", "hdfs://nn:8020", **symlinks)
    told = [event(1, 1, [data("a")], [path]), event(1, 2, [], [again], kind="OTHER")]
    wanted = catalogued(tmp_path / "at once", [told])
    assert "hive_table d.t2@primary" in wanted
    for number, order in enumerate(permutations(told)):
        assert catalogued(tmp_path / str(number), [[one] for one in order]) == wanted


@pytest.mark.parametrize("given_up", ["path", "topic"])
def test_what_is_given_up_goes_with_its_fields(given_up: str, tmp_path: Path) -> None:
    fields = typed("int")
    if given_up == "path":
        symlinks = {"symlinks": {"identifiers": [{"namespace": "hive://m:9083", "name": "d.t2", "type": "TABLE"}]}}
        path = data("/wh/t2", "hdfs://nn:8020", **fields), data("/wh/t2", "hdfs://nn:8020", **symlinks)
        told = [event(1, number, [data("a")], [output]) for number, output in enumerate(path)]
    else:
        topics = [data(name, "kafka://k:9092", **fields) for name in ("t1", "t2")]
        told = [of_job(event(1, number, [data("a")], [topic])) for number, topic in enumerate(topics)]
    assert catalogued(tmp_path / "apart", [[one] for one in told]) == catalogued(tmp_path / "at once", [told])


def test_a_run_whose_job_gets_another_name_is_one_run(tmp_path: Path) -> None:
    told = [event(1, 1, [], [], kind="START", job="app.insert"), event(1, 2, [], [data("a")], job="app.insert.a")]
    wanted = catalogued(tmp_path / "at once", [told])
    assert len([key for key in wanted if key.startswith("mlgov_job_run")]) == 1
    for number, order in enumerate(permutations(told)):
        assert catalogued(tmp_path / str(number), [[one] for one in order]) == wanted


def of_a_metastore() -> list[Json]:
    """The recorded events of Spark, whose tables are in a Hive metastore."""
    lines = (json.dumps(one) for one in recorded(EVENTS / "spark.ndjson"))
    return [json.loads(line.replace('"file:/data/warehouse"', '"hive://m:9083"')) for line in lines]


def test_nested_steps_of_spark_know_a_table_by_the_name_that_another_step_tells(tmp_path: Path) -> None:
    told = of_a_metastore()
    wanted = catalogued(tmp_path / "at once", [told])
    assert not [key for key in wanted if key.startswith("fs_path") and "warehouse" in key]
    writers = [
        value for key, value in wanted.items() if key.startswith("mlgov_job_process") and value["relations"]["outputs"]
    ]
    of_orders = [one for one in writers if one["relations"]["outputs"] == ["hive_table orders"]]
    assert len(of_orders) == 1
    renamed = [key for key in wanted if key.startswith("hive_table") and "totals" in key]
    assert renamed == ["hive_table default.city_totals@primary"]
    for seed in range(2):
        found = catalogued(tmp_path / str(seed), shuffled(told, seed))
        assert found.keys() == wanted.keys(), seed


def test_the_end_of_a_stream_counts_whatever_was_heard_of_it_before(tmp_path: Path) -> None:
    told = [of_stream(event(1, 1, [data("c")], [data("a")])), of_stream(event(1, 4, [], [], kind="RUNNING"))]
    for number, order in enumerate(permutations(told)):
        found = catalogued(tmp_path / str(number), [[one] for one in order])
        (run,) = (value["attributes"] for key, value in found.items() if key.startswith("mlgov_job_run"))
        assert (run["state"], bool(run["processKey"])) == ("success", True), number


DROP = {"lifecycleStateChange": {"lifecycleStateChange": "DROP"}}
RENAME = {
    "lifecycleStateChange": {
        "lifecycleStateChange": "RENAME",
        "previousIdentifier": {"namespace": DB, "name": "d.s.a"},
    }
}


@pytest.mark.parametrize("change", ["drop", "rename"])
def test_data_of_a_job_is_as_old_as_the_newest_picture_of_it(change: str, tmp_path: Path) -> None:
    output = data("a", **DROP) if change == "drop" else data("b", **RENAME)
    pictures = [
        of_job(event(0, second, [data("c")], [data("a", **typed(kind))]))
        for second, kind in ((1, "int"), (3, "bigint"))
    ]
    told = [pictures[0], event(2, 2, [], [output], job="k"), pictures[1], of_job(event(0, 4, [], []))]
    wanted = catalogued(tmp_path / "at once", [told])
    assert wanted["rdbms_column db:5432/d.s.a.id@primary"]["attributes"]["data_type"] == "bigint"
    (process,) = (value for key, value in wanted.items() if "process" in key and value["relations"]["inputs"])
    assert process["relations"]["outputs"] == ["rdbms_table s.a"]
    for number, order in enumerate(permutations(told[:3])):
        found = catalogued(tmp_path / str(number), [[one] for one in (*order, told[3])])
        assert found[A] == wanted[A], number
        assert found.keys() & {A, B, C} == ({A, C} if change == "drop" else {A, B, C}), number


def test_facts_of_a_job_are_as_old_as_the_event_that_told_them(tmp_path: Path) -> None:
    told = [of_job(event(0, 1, [data("c")], [data("a")])), event(2, 2, [], []), of_job(event(0, 3, [], []))]
    for number, one in enumerate(told):
        one["job"]["facets"] = {"jobType": {"processingType": "BATCH", "integration": f"TOOL{number}"}}
    for number, order in enumerate(permutations(told)):
        found = catalogued(tmp_path / str(number), [[one] for one in order])
        (job,) = (value["attributes"] for key, value in found.items() if key.startswith("mlgov_job "))
        assert job["integration"] == "TOOL2", number


def test_a_job_that_drops_what_a_run_wrote_before_has_no_older_picture(tmp_path: Path) -> None:
    told = [
        of_job(event(0, 1, [data("c")], [data("b")])),
        event(2, 2, [data("c")], [data("a")], job="k"),
        of_job(event(0, 3, [], [data("a", **DROP)])),
    ]
    for number, portions in enumerate(([told], [[one] for one in told])):
        found = catalogued(tmp_path / str(number), portions)
        assert found.keys() & {A, B, C} == {C}, number


@pytest.mark.parametrize("kind", ["RUNNING", "COMPLETE", "FAIL"])
@pytest.mark.parametrize("change", ["drop", "rename"])
def test_a_stream_that_names_no_data_brings_none_back(change: str, kind: str, tmp_path: Path) -> None:
    output = data("a", **DROP) if change == "drop" else data("b", **RENAME)
    told = [
        of_stream(event(1, 1, [data("c")], [data("a")], kind="RUNNING")),
        event(2, 2, [], [output], job="k"),
        of_stream(event(1, 3, [data("c")], [], kind=kind)),
    ]
    for number, portions in enumerate(([told], [[one] for one in told], [[one] for one in reversed(told)])):
        found = catalogued(tmp_path / str(number), portions)
        assert found.keys() & {A, B, C} == ({C} if change == "drop" else {B, C}), number


def test_what_a_stream_found_out_is_as_old_as_when_it_said_so(tmp_path: Path) -> None:
    rows = [{"dataQualityMetrics": {"rowCount": number}} for number in (1, 2)]
    told = [
        of_stream(event(1, 1, [data("a", **rows[0])], [data("c")], kind="RUNNING")),
        event(2, 2, [data("a", **rows[1])], [], job="k"),
        of_stream(event(1, 3, [], [], kind="RUNNING")),
    ]
    for number, portions in enumerate(([told], [[one] for one in told])):
        found = catalogued(tmp_path / str(number), portions)
        (quality,) = (value["attributes"] for key, value in found.items() if key.startswith("mlgov_quality"))
        assert quality["rowCount"] == 2, number


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_a_process_was_not_done_by_a_run_that_failed_after_all(order: tuple[int, ...], tmp_path: Path) -> None:
    told = [
        event(1, 1, [data("a")], [data("c")]),
        event(2, 2, [data("a")], [data("c")]),
        event(2, 3, [], [], kind="FAIL"),
    ]
    found = catalogued(tmp_path, [[told[number]] for number in order])
    (process,) = (value["attributes"] for key, value in found.items() if key.startswith("mlgov_job_process"))
    assert (process["lastRun"][-9:-8], process["lastState"]) == ("1", "success")


@pytest.mark.parametrize("use", ["label of a column", "description", "edge of a column"])
def test_data_that_somebody_uses_stays_though_its_run_failed(tmp_path: Path, use: str) -> None:
    spool, path = Spool(tmp_path / "spool"), tmp_path / "catalog.db"

    def send(one: Json) -> None:
        Outbox(spool).put(one)
        assert Sender(spool, lambda: EmbeddedCatalog(path), OPTIONS, breaker_interval=0.0).send().outcome == "done"

    send(event(1, 1, [], [data("a", **typed("int"))]))
    catalog = EmbeddedCatalog(path)
    column = catalog.get("rdbms_column", "db:5432/d.s.a.id@primary")
    assert column is not None
    if use == "label of a column":
        catalog.add_labels(column["guid"], ["theirs"])
    elif use == "description":
        catalog.update("rdbms_table", "db:5432/d.s.a@primary", {"description": "theirs"})
    else:
        inputs = [{"guid": column["guid"], "typeName": "rdbms_column"}]
        theirs = {"typeName": "Process", "guid": "-1", "attributes": {"qualifiedName": "theirs", "name": "theirs"}}
        catalog.write([{**theirs, "relationshipAttributes": {"inputs": inputs}}])
    send(event(1, 9, [], [data("a", **typed("int"))], kind="FAIL"))
    assert catalog.get("rdbms_table", "db:5432/d.s.a@primary") is not None
    assert catalog.get("rdbms_column", "db:5432/d.s.a.id@primary") is not None
    catalog.close()


def orders(told: list[Json]) -> list[list[list[Json]]]:
    """All at once, and one by one in each order."""
    return [[told], *([[one] for one in order] for order in permutations(told))]


TESTED = {"dataQualityAssertions": {"assertions": [{"assertion": "not_null", "success": False, "column": "i"}]}}


def quality(found: Json) -> list[Json]:
    return [entity["attributes"] for key, entity in found.items() if key.startswith("mlgov_quality_result")]


def test_what_was_tested_and_what_was_measured_count_each_by_itself(tmp_path: Path) -> None:
    measured = {"dataQualityMetrics": {"rowCount": 4, "bytes": 9}}, {"dataQualityMetrics": {"rowCount": 5}}
    told = [event(run, run, [data("a", **facets)], []) for run, facets in enumerate((measured[0], TESTED, measured[1]))]
    for number, portions in enumerate(orders(told)):
        (result,) = quality(catalogued(tmp_path / str(number), portions))
        assert (result["passed"], result["failed"]) == (0, 1), number
        assert "not_null" in result["assertions"]
        assert (result["rowCount"], result["metrics"]) == (5, '{"rowCount":5}')
        assert not result.get("bytes"), "the facet counts as a whole"
        assert result["lastRun"].endswith("2@primary")


def test_a_process_shows_the_query_and_the_code_that_were_told_last(tmp_path: Path) -> None:
    facets = {"sql": {"query": "select 1", "dialect": "pg"}, "sourceCodeLocation": {"url": "u", "version": "v1"}}
    told = [event(run, run, [data("a")], [data("b")]) for run in range(3)]
    told[0]["job"]["facets"] = facets
    told[1]["job"]["facets"] = {"sql": {"query": "select 2"}}
    for number, portions in enumerate(orders(told)):
        found = catalogued(tmp_path / str(number), portions)
        (process,) = (entity["attributes"] for key, entity in found.items() if key.startswith("mlgov_job_process"))
        assert (process["queryText"], process["codeVersion"]) == ("select 2", "v1"), number
        assert process.get("queryDialect") is None, "the facet counts as a whole"
        assert process["lastRun"].endswith("2@primary")


def test_a_column_of_hive_has_its_type_whoever_named_it_first(tmp_path: Path) -> None:
    hive = "hive://m:9083"
    made_of = {"columnLineage": {"fields": {"z": {"inputFields": [{"namespace": hive, "name": "d.t", "field": "i"}]}}}}
    told = [
        event(1, 1, [data("d.t", hive)], [data("c", **made_of)]),
        event(2, 2, [], [data("d.t", hive, schema={"fields": [{"name": "i", "type": "int", "description": "what"}]})]),
    ]
    for number, portions in enumerate(orders(told)):
        spool, path = Spool(tmp_path / f"spool{number}"), tmp_path / f"{number}.db"
        for portion in portions:
            for one in portion:
                Outbox(spool).put(one)
            Sender(spool, lambda path=path: EmbeddedCatalog(path), OPTIONS, breaker_interval=0.0).send()
        column = EmbeddedCatalog(path).get("hive_column", "d.t.i@primary")
        assert column is not None
        told_of = {name: column["attributes"].get(name) for name in ("type", "comment", "position")}
        assert told_of == {"type": "int", "comment": "what", "position": 0}, number


def test_what_is_in_a_bucket_that_gets_the_name_of_another_stays(tmp_path: Path) -> None:
    ozone = "ofs://svc"
    before = {"namespace": ozone, "name": "/v/b"}
    change = {"lifecycleStateChange": {"lifecycleStateChange": "RENAME", "previousIdentifier": before}}
    events = [
        event(1, 1, [data("x")], [data("/v/b/d/e", ozone)]),
        event(2, 2, [data("x")], [data("/v/b2/z", ozone)]),
        event(3, 3, [], [data("/v/b2", ozone, **change)]),
    ]
    for number, portions in enumerate(([events], [[one] for one in events])):
        found = catalogued(tmp_path / str(number), portions)
        processes = [value["relations"] for key, value in found.items() if key.startswith("mlgov_job_process")]
        ends = {end for each in processes if each["inputs"] for end in each["outputs"]}
        assert ends == {"ozone_key e", "ozone_key z"}
