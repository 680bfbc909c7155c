"""Reading events, and uniting those of a run in any order."""

from __future__ import annotations

import copy

import pytest

from airflow_provider_mlgov.errors import InvalidEventError
from airflow_provider_mlgov.translate.events import is_terminal, run_key
from airflow_provider_mlgov.translate.reading import read_event
from translate_events import BUILD, at, state_of, table, task_event, translated

RUN = {"eventTime": at(1), "run": {"runId": "1"}, "job": {"namespace": "n", "name": "j"}}


@pytest.mark.parametrize(
    ("document", "message"),
    [
        (None, "the event is missing; wanted an OpenLineage run event"),
        ([], "the event is a JSON list"),
        ("x", "the event is 'x'"),
        ({}, "eventTime is missing; wanted a time such as"),
        ({**RUN, "eventTime": "yesterday"}, "eventTime is 'yesterday'"),
        ({**RUN, "eventTime": 5}, "eventTime is 5"),
        ({**RUN, "eventTime": "2026-13-01T00:00:00Z"}, "eventTime is"),
        ({**RUN, "eventType": "DONE"}, "eventType is 'DONE'; wanted one of START"),
        ({**RUN, "eventType": 5}, "eventType is 5"),
        ({**RUN, "run": "x"}, "run is 'x'"),
        ({**RUN, "run": {}}, "run.runId is missing; wanted a text"),
        ({**RUN, "run": {"runId": " "}}, "run.runId is ' '"),
        ({**RUN, "job": None}, "job is missing"),
        ({**RUN, "job": {"namespace": "n", "name": {}}}, "job.name is a JSON object"),
        ({"eventTime": at(1), "dataset": {"namespace": "n"}}, "dataset.name is missing"),
        ({"eventTime": at(1)}, "job is missing"),
    ],
)
def test_a_malformed_event_says_what_is_wrong(document, message):
    with pytest.raises(InvalidEventError) as caught:
        read_event(document)
    assert message in str(caught.value)


def test_wrong_types_are_left_out():
    event = read_event(
        {
            **RUN,
            "run": {"runId": "1", "facets": {"a": 1, "parent": {"run": 3}, "empty": {"_producer": "x", "y": None}}},
            "job": {"namespace": "n", "name": "j", "facets": []},
            "inputs": {},
            "outputs": [3, {"namespace": 1, "name": "t", "facets": "x"}],
        }
    )
    assert event.pop("leftOut") == [
        "run.facets.a is a number; wanted a JSON object",
        "job.facets is a JSON list; wanted a JSON object",
        "inputs is a JSON object; wanted a list",
        "outputs[0] is a number; wanted a JSON object",
        "outputs[1].namespace is a number; wanted a text",
        "outputs[1].facets is a text; wanted a JSON object",
    ]
    assert event == {
        "eventTime": at(1),
        "eventType": "OTHER",
        "run": {"runId": "1", "facets": {"parent": {"run": 3}}},
        "job": {"namespace": "n", "name": "j", "facets": {}},
        "inputs": [],
        "outputs": [{"namespace": "", "name": ""}, {"namespace": "", "name": "t"}],
    }


def test_reading_twice_gives_the_same_and_changes_nothing():
    document = task_event(inputs=[table("a", "x", split="train")], outputs=[BUILD])
    before = copy.deepcopy(document)
    event = read_event(document)
    assert document == before
    assert read_event(event) == event


def test_what_groups_events():
    assert run_key(read_event(RUN)) == "1"
    job = {"eventTime": at(1), "job": RUN["job"]}
    dataset = {"eventTime": at(1), "dataset": RUN["job"]}
    events = (job, {**job, "eventTime": at(2)}, dataset, {**dataset, "eventTime": at(2)})
    first, second, *others = [run_key(read_event(event)) for event in events]
    assert first == second
    assert len({first, *others}) == 3
    assert is_terminal(state_of(job))


# --- how runs end ----------------------------------------------------------------------------------------------------


def ended(*events):
    (run,) = [entity for entity in translated(*events).entities if entity.type_name == "mlgov_task_run"]
    return run.latest.get("state"), any(
        entity.type_name.endswith("_process") for entity in translated(*events).entities
    )


def openlineage(event_type, second=10):
    """The same run as the OpenLineage provider tells it, without a state of Airflow's."""
    event = task_event(event_type, second=second, inputs=[table("a")])
    for word in ("state", "stateSource", "endTime"):
        event["run"]["facets"]["mlgov_airflow"].pop(word, None)
    return event


SUCCESS, FAIL = task_event("COMPLETE", inputs=[table("a")]), task_event("FAIL", second=11, inputs=[table("a")])


@pytest.mark.parametrize(
    ("events", "state", "has_edges"),
    [
        ([task_event("START", inputs=[table("a")])], None, False),
        ([SUCCESS], "success", True),
        ([FAIL], "failed", False),
        ([task_event("FAIL", state="up_for_retry", inputs=[table("a")])], "up_for_retry", False),
        ([task_event("COMPLETE", state="skipped", inputs=[table("a")])], "skipped", False),
        ([task_event("COMPLETE", stateSource="manual", inputs=[table("a")])], "success", False),
        ([task_event("COMPLETE", stateSource="reconciled", inputs=[table("a")])], "success", False),
        ([task_event("ABORT", inputs=[table("a")])], "unknown", False),
        ([openlineage("COMPLETE")], "success", True),
        ([openlineage("ABORT")], "aborted", False),
        ([openlineage("FAIL"), openlineage("COMPLETE", 12)], "failed", False),
        ([openlineage("COMPLETE"), openlineage("ABORT", 12)], "aborted", False),
        ([openlineage("ABORT"), openlineage("COMPLETE", 12)], "aborted", False),
        ([openlineage("ABORT", 12), openlineage("FAIL")], "failed", False),
        # two doors
        ([openlineage("COMPLETE", 12), task_event("COMPLETE", state="skipped")], "skipped", False),
        ([openlineage("FAIL", 12), task_event("FAIL", state="up_for_retry")], "up_for_retry", False),
        ([openlineage("COMPLETE"), task_event("ABORT", second=20, stateSource="reconciled")], "success", True),
        ([openlineage("COMPLETE"), task_event("COMPLETE", second=20, stateSource="reconciled")], "success", True),
        # set by hand later
        ([SUCCESS, task_event("FAIL", second=20, stateSource="manual")], "failed", True),
        ([FAIL, task_event("COMPLETE", second=20, stateSource="manual")], "success", False),
        ([SUCCESS, task_event("ABORT", second=20, stateSource="reconciled")], "success", True),
    ],
)
def test_how_a_run_ended(events, state, has_edges):
    assert ended(*events) == (state, has_edges)
    assert ended(*reversed(events)) == (state, has_edges)


def test_the_end_is_the_terminal_event_even_if_a_start_comes_later():
    assert ended(SUCCESS, task_event("START", second=30)) == ("success", True)


# --- uniting ---------------------------------------------------------------------------------------------------------


def test_a_later_event_with_nothing_in_it_erases_nothing():
    full = task_event("START", inputs=[table("a", "x")], outputs=[BUILD], job={"sql": {"query": "SELECT 1"}})
    empty = task_event("COMPLETE", second=20)
    build = {
        "namespace": "mlgov://shop",
        "name": "models/churn/builds/b1",
        "facets": {"mlgov_ml": {"metrics": [], "framework": None}},
    }
    late = task_event(
        "RUNNING",
        second=30,
        inputs=[{"namespace": "postgres://db:5432", "name": "shop.public.a", "facets": {"schema": {"fields": []}}}],
        outputs=[build],
    )
    translation = translated(full, empty, late)
    types = {entity.type_name: entity for entity in translation.entities}
    assert "rdbms_column" in types
    assert types["mlgov_model_build"].attributes["metrics"] == '[{"name":"auc","value":0.9}]'


def test_facts_of_two_doors_are_united_by_key():
    ours = task_event(outputs=[BUILD])
    other = task_event(
        second=11,
        outputs=[
            {
                "namespace": "mlgov://shop",
                "name": "models/churn/builds/b1",
                "facets": {"mlgov_ml": {"framework": "sklearn"}},
            }
        ],
    )
    (build,) = [entity for entity in translated(ours, other).entities if entity.type_name == "mlgov_model_build"]
    assert (build.attributes["framework"], build.attributes["version"]) == ("sklearn", 7)


def test_a_deleted_facet_is_gone():
    first = task_event("START", second=1, outputs=[table("a", "x")])
    gone = table("a")
    gone["facets"] = {"schema": {"_deleted": True}}
    assert not [
        entity
        for entity in translated(first, task_event(outputs=[gone])).entities
        if entity.type_name == "rdbms_column"
    ]


def test_symlinks_of_any_event_say_what_a_dataset_is():
    path = {"namespace": "hdfs://nn:8020", "name": "/warehouse/t1"}
    links = [
        {"namespace": "hdfs://nn:8020/warehouse", "name": "default.t1", "type": "TABLE"},
        {"namespace": "hive://meta:9083", "name": "default.t1", "type": "TABLE"},
    ]
    linked = {**path, "facets": {"symlinks": {"identifiers": links}}}
    for events in (
        [task_event("START", inputs=[linked]), task_event(outputs=[path])],
        [task_event(inputs=[path], outputs=[linked])],
    ):
        types = [entity.type_name for entity in translated(*events).entities]
        assert "hive_table" in types
        assert "hdfs_path" not in types
    location = {
        **path,
        "facets": {"symlinks": {"identifiers": [{**links[1], "type": "LOCATION"}, {"namespace": 3}, 4]}},
    }
    assert "hdfs_path" in [entity.type_name for entity in translated(task_event(inputs=[location])).entities]


def test_what_has_no_namespace_is_left_out_by_its_name():
    found = translated(task_event(inputs=[{"namespace": "", "name": "default_catalog.default_database.orders"}]))
    (warning,) = found.warnings
    assert warning.startswith(
        "dataset 'default_catalog.default_database.orders' among the inputs is left out: namespace"
    )
