"""Events in any order and any number of times, and documents of any content."""

from __future__ import annotations

import json

from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_mlgov.catalog.types.definitions import our_types
from airflow_provider_mlgov.errors import InvalidEventError
from airflow_provider_mlgov.translate.events import unite
from airflow_provider_mlgov.translate.reading import read_event
from airflow_provider_mlgov.translate.translation import translate
from translate_events import BUILD, DEPLOYMENT, OPTIONS, as_json, at, state_of, table, task_event, translated

LINEAGE = {
    "fields": {
        "x": {"inputFields": [{"namespace": "postgres://db:5432", "name": "shop.public.a", "field": "y"}]},
        "y": {"inputFields": [{"namespace": "hdfs://nn", "name": "/t", "field": "z"}]},
    }
}
STREAM = {"jobType": {"processingType": "STREAMING"}}
SNAPSHOT = {"jobType": {"emissionPattern": {"eventContentMode": "COMPLETE_SNAPSHOT"}}}
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
        {**table("b"), "facets": {"columnLineage": LINEAGE}},
        {**table("c"), "facets": {"columnLineage": LINEAGE, "tags": {"tags": [{"key": "k", "value": "v"}]}}},
        {**table("b"), "facets": {"lifecycleStateChange": {"lifecycleStateChange": "DROP"}}},
        {"namespace": "s3://lake", "name": "t/dt=1"},
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
        [
            STREAM,
            SNAPSHOT,
            {},
            {"sql": {"query": "1"}},
            {"sql": {"query": "2"}},
            {"sql": {"query": 1}},
            {"sql": {"query": 1.0}},
        ]
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
