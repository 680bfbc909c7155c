"""What makes one run of several events, and two of a run that was deleted and done again."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_mlgov.translate.events import is_terminal, live, run_key, unite
from airflow_provider_mlgov.translate.reading import read_event


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


def foreign(run_id, namespace):
    job = {"namespace": namespace, "name": "j"}
    document = {"eventTime": "2026-01-01T00:00:00Z", "run": {"runId": run_id}, "job": job}
    return read_event({**document, "foreign": True})


def test_no_run_id_looks_like_that_of_another_job():
    victim = run_key(foreign("U1", "prod"))
    for run_id in (f"{victim}/z", victim, f"{victim}%2Fz"):
        key = run_key(foreign(run_id, "evil"))
        assert key != victim
        assert not key.startswith(f"{victim}/")
    assert not run_key(airflow_event("START", 0, None) | {"run": {"runId": "1/x", "facets": {}}}).startswith("1/")


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


@given(st.permutations(range(3)), st.integers(0, 2))
def test_elsewhere_a_late_start_only_adds(order, cut):
    """A run id is used once outside Airflow, and clocks differ."""
    events = [airflow_event("COMPLETE", 1, None), airflow_event("START", 5, None), airflow_event("RUNNING", 3, None)]
    told = [events[index] for index in order]
    before, _ = live(None, told[:cut]) if cut else (None, False)
    state, anew = live(before, told[cut:])
    assert not anew
    assert inputs_of(state) == {"file": {"/1", "/3", "/5"}}
    assert is_terminal(state)


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


def test_an_end_before_the_start_that_it_tells_is_of_the_only_life_that_is_known():
    """Clocks of two machines: what was told of one run is not left out as that of an earlier one."""
    late = airflow_event("COMPLETE", 1, words={"startTime": "2026-01-01T00:00:02Z"})
    state, anew = live(None, [late])
    assert state is not None
    assert is_terminal(state)
    assert not anew
