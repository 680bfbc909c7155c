"""Reading events, and uniting those of a run in any order."""

from __future__ import annotations

import copy
import itertools
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_mlgov.catalog.types.definitions import our_types
from airflow_provider_mlgov.errors import InvalidEventError
from airflow_provider_mlgov.translate.events import is_terminal, live, read_event, run_key, unite
from airflow_provider_mlgov.translate.translation import translate
from translate_events import BUILD, DEPLOYMENT, OPTIONS, as_json, at, state_of, table, task_event, translated

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
    keys = {
        run_key(read_event(event))
        for event in (job, {**job, "eventTime": at(2)}, {"eventTime": at(1), "dataset": RUN["job"]})
    }
    assert len(keys) == 3
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


# --- any order, any duplicates ---------------------------------------------------------------------------------------

DATASETS = st.sampled_from(
    [
        table("a"),
        table("a", "x"),
        table("a", "y", split="test"),
        table("b", rows=3),
        table("b", rows=4, version="v"),
        BUILD,
        DEPLOYMENT,
        {
            "namespace": "hdfs://nn",
            "name": "/t",
            "facets": {"symlinks": {"identifiers": [{"namespace": "hive://m", "name": "d.t", "type": "TABLE"}]}},
        },
        {"namespace": "hdfs://nn", "name": "/t"},
        {"namespace": "", "name": "x"},
        {"namespace": "file", "name": "a\nb"},
    ]
)
EVENTS = st.builds(
    task_event,
    st.sampled_from(["START", "RUNNING", "COMPLETE", "FAIL", "ABORT", "OTHER"]),
    second=st.integers(1, 4),
    state=st.sampled_from([None, "success", "failed", "skipped", "unknown", "up_for_retry"]),
    stateSource=st.sampled_from(["reported", "manual", "reconciled"]),
    inputs=st.lists(DATASETS, max_size=3),
    outputs=st.lists(DATASETS, max_size=3),
    hostname=st.sampled_from([None, "a", "b"]),
    job=st.sampled_from(
        [{}, {"sql": {"query": "1"}}, {"sql": {"query": "2"}}, {"sql": {"query": 1}}, {"sql": {"query": 1.0}}]
    ),
)


@settings(max_examples=300)
@given(
    st.lists(EVENTS, min_size=1, max_size=5).flatmap(
        lambda events: st.tuples(st.just(events), st.permutations([*events, *events]))
    )
)
def test_any_order_and_any_duplicates_give_the_same(case):
    events, shuffled = case
    state = state_of(*events)
    before = json.dumps(state, sort_keys=True)
    other = state_of(*shuffled)
    assert json.dumps(other, sort_keys=True) == before
    assert json.loads(before) == state, "the state is plain JSON"
    first = json.dumps(as_json(translate(state, OPTIONS)))
    assert json.dumps(as_json(translate(other, OPTIONS))) == first
    assert json.dumps(as_json(translate(json.loads(before), OPTIONS))) == first
    assert json.dumps(state, sort_keys=True) == before, "translating changes nothing"


@given(st.lists(EVENTS, min_size=1, max_size=4))
def test_every_reference_is_to_what_came_before(events):
    seen = set()
    for entity in translated(*events).entities:
        for value in entity.relations.values():
            for ref in value if isinstance(value, tuple) else (value,):
                assert (ref.type_name, ref.qualified_name) in seen
        assert (entity.type_name, entity.qualified_name) not in seen
        seen.add((entity.type_name, entity.qualified_name))


# --- anything --------------------------------------------------------------------------------------------------------

JSON = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(),
        st.text(),
        st.sampled_from([at(1), "success", "\ud800", "a\x00", 2**70]),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.one_of(st.text(max_size=5), st.sampled_from(["name", "run", "facets"])), inner, max_size=3),
    ),
    max_leaves=8,
)


@given(JSON)
def test_any_json_is_an_event_or_refused(document):
    try:
        event = read_event(document)
    except InvalidEventError:
        return
    translate(unite(None, event), OPTIONS)


PLACES = [
    ("eventType",),
    ("run",),
    ("run", "runId"),
    ("run", "facets"),
    ("job",),
    ("job", "name"),
    ("job", "facets"),
    ("inputs",),
    ("outputs",),
    *(
        ("run", "facets", facet)
        for facet in ("parent", "nominalTime", "errorMessage", "airflow", "airflowDagRun", "mlgov_airflow")
    ),
    *(("run", "facets", "airflow", part) for part in ("dag", "dagRun", "task", "taskInstance")),
    *(
        ("run", "facets", "mlgov_airflow", word)
        for word in (
            "dagId",
            "runId",
            "taskId",
            "mapIndex",
            "tryNumber",
            "state",
            "stateSource",
            "startTime",
            "endTime",
            "dagTags",
            "owner",
            "namespace",
            "logicalDate",
            "operator",
            "userName",
        )
    ),
    *(("job", "facets", facet) for facet in ("sql", "jobType", "ownership", "documentation", "sourceCodeLocation")),
    *(("inputs", 0, part) for part in ("namespace", "name", "facets", "inputFacets")),
    *(
        ("inputs", 0, "facets", facet)
        for facet in (
            "schema",
            "version",
            "dataSource",
            "documentation",
            "ownership",
            "datasetType",
            "symlinks",
            "mlgov_ml",
        )
    ),
    ("inputs", 0, "facets", "schema", "fields"),
    ("inputs", 0, "facets", "schema", "fields", 0),
    ("inputs", 0, "inputFacets", "mlgov_io"),
    *(
        ("outputs", place, "facets", "mlgov_ml", key)
        for place in (0, 1)
        for key in (
            "version",
            "aliases",
            "metrics",
            "parameters",
            "status",
            "features",
            "record",
            "artifactSize",
            "description",
        )
    ),
]


@settings(max_examples=500)
@given(
    st.sampled_from(["task", "spark", "provider"]),
    st.lists(st.tuples(st.sampled_from(PLACES), JSON), min_size=1, max_size=3),
)
def test_anything_in_any_place_never_raises(kind, changes):
    document = task_event(
        inputs=[table("a", "x", split="train")],
        outputs=[BUILD, DEPLOYMENT],
        facets={
            "airflow": {
                "dag": {"dag_id": "d"},
                "dagRun": {"run_id": "r"},
                "task": {"task_id": "t"},
                "taskInstance": {"try_number": 1},
            }
        },
    )
    if kind != "task":
        del document["run"]["facets"]["mlgov_airflow"]
    if kind == "spark":
        del document["run"]["facets"]["airflow"]
    for place, value in changes:
        put(document, place, value)
    try:
        event = read_event(document)
    except InvalidEventError:
        return
    translation = translate(unite(None, event), OPTIONS)
    json.dumps(as_json(translation))
    for entity in translation.entities:
        assert isinstance(entity.attributes["name"], str)
        for name, value in {**entity.attributes, **entity.create_only, **entity.latest}.items():
            assert fits(value, TYPES.get((entity.type_name, name))), (entity.type_name, name, value)
            if name not in ("io", "record", "queryText", "description"):
                assert len(str(value).encode("utf-8")) < 32_766 * (10 if isinstance(value, (list, dict)) else 1)


TYPES = {
    (item["name"], attribute["name"]): attribute["typeName"]
    for item in our_types()["entityDefs"]
    for attribute in item["attributeDefs"]
} | {("mlgov_model_build", "version"): "int", ("mlgov_model_deployment", "cpuMillicores"): "int"}


def fits(value, type_name):
    """Whether Atlas takes a value for an attribute of this type; Atlas's own types are not known here."""
    if type_name in ("int", "long", "date"):
        limit = 31 if type_name == "int" else 63
        return isinstance(value, int) and not isinstance(value, bool) and -(2**limit) <= value < 2**limit
    if type_name == "array<string>":
        return isinstance(value, list) and all(isinstance(item, str) for item in value)
    if type_name == "map<string,string>":
        return isinstance(value, dict) and all(isinstance(item, str) for item in value.values())
    return isinstance(value, {"string": str, "boolean": bool}.get(type_name, (str, int, float, list, dict)))


def put(document, place, value):
    *path, last = place
    for part in path:
        if isinstance(document, dict):
            document = document.setdefault(part, {})
        elif isinstance(document, list) and isinstance(part, int) and part < len(document):
            document = document[part]
        else:
            return
    if isinstance(document, dict) or (isinstance(document, list) and isinstance(last, int) and last < len(document)):
        document[last] = value


def airflow_event(event_type, second, run="r1", *, words=(), **facets):
    words = {"mlgov_airflow": {"dagId": "d", "runId": run, "taskId": "t", **dict(words)}} if run else {}
    return read_event(
        {
            "eventType": event_type,
            "eventTime": f"2026-01-01T00:00:{second:02}Z",
            "run": {"runId": "1", "facets": {**words, **facets}},
            "job": {"namespace": "n", "name": "d.t"},
            "inputs": [{"namespace": "file", "name": f"/{second}"}],
            "outputs": [],
        }
    )


def test_two_dag_runs_of_one_logical_date_are_two():
    first, second = (run_key(airflow_event("START", 0, run)) for run in ("r1", "r2"))
    provider = {"airflow": {"dagRun": {"run_id": "r2"}}}
    assert first != second
    assert run_key(airflow_event("START", 0, None, **provider)) == second
    assert run_key(airflow_event("START", 0, None)) == "1"


TWO_LIVES = [
    airflow_event("START", 0),
    airflow_event("COMPLETE", 1),
    airflow_event("START", 20),
    airflow_event("COMPLETE", 21, words={"startTime": "2026-01-01T00:00:20Z"}),
]
SECOND_LIFE = {"file": {"/20", "/21"}}


def inputs_of(state):
    return {namespace: set(names) for namespace, names in state["inputs"].items()}


@given(st.permutations(range(4)), st.booleans())
def test_a_run_that_was_done_again_begins_anew(order, remembered):
    before = unite(unite(None, TWO_LIVES[0]), TWO_LIVES[1]) if remembered else None
    state, anew = live(before, [TWO_LIVES[index] for index in order])
    assert anew is remembered
    assert inputs_of(state) == SECOND_LIFE


@given(st.permutations(range(4)), st.lists(st.integers(1, 3), max_size=3), st.lists(st.integers(0, 3), max_size=3))
def test_the_two_lives_of_a_run_stay_apart_however_their_events_come(order, cuts, again):
    """In any order, in any portions, some of them told again later, once the end of the first is known."""
    told = [TWO_LIVES[index] for index in [*order, *again]]
    edges = [0, *sorted(cuts), len(told)]
    state = None
    for left, right in itertools.pairwise(edges):
        state, _ = live(state, told[left:right])
    assert inputs_of(state)["file"] >= SECOND_LIFE["file"]
    assert is_terminal(state)
    if order.index(1) < order.index(2) and order.index(1) < order.index(3):
        assert inputs_of(state) == SECOND_LIFE


def test_a_task_that_deferred_starts_twice_and_is_one_run():
    told = [airflow_event("START", 0), airflow_event("START", 5), airflow_event("COMPLETE", 9)]
    whole = {"file": {"/0", "/5", "/9"}}
    assert inputs_of(live(None, told)[0]) == whole
    state, anew = live(unite(None, told[0]), told[1:])
    assert (inputs_of(state), anew) == (whole, False)
    before = unite(unite(None, TWO_LIVES[0]), TWO_LIVES[1])
    deferred = [airflow_event("START", 20), airflow_event("START", 30), airflow_event("COMPLETE", 35)]
    assert inputs_of(live(before, deferred)[0]) == {"file": {"/20", "/30", "/35"}}


def test_a_run_id_that_is_no_text_of_utf_8_has_a_key():
    assert run_key(airflow_event("START", 0, "\ud800")) != run_key(airflow_event("START", 0, "r1"))
