"""What several runs did and then gave up, in one send or in several: nothing of it stays, and what another run does does."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_mlgov.catalog.embedded import EmbeddedCatalog
from airflow_provider_mlgov.delivery.outbox import Outbox
from airflow_provider_mlgov.delivery.sender import Sender
from airflow_provider_mlgov.delivery.spool import Spool
from airflow_provider_mlgov.delivery.state import RunState, SenderState
from airflow_provider_mlgov.model.entity import Ref
from tests.delivery.test_any_order import OPTIONS, catalogued
from tests.delivery.test_any_portion import DB, A, B, C, data, event, of_job

Json = dict[str, Any]


@pytest.mark.parametrize(
    "portions",
    [
        [["c1", "c2"], ["f1", "f2"]],
        [["c1", "c2"], ["f1"], ["f2"]],
        [["c1"], ["c2", "f1"], ["f2"]],
        [["c1", "c2", "f1", "f2"]],
        [["f1", "c2"], ["c1", "f2"]],
    ],
)
def test_failed_runs_of_one_job_leave_neither_edges_nor_data(portions: list[list[str]], tmp_path: Path) -> None:
    told = {
        **{f"c{run}": event(run, run, [data("a")], [data("c")]) for run in (1, 2)},
        **{f"f{run}": event(run, 10 + run, [data("a")], [data("c")], kind="FAIL") for run in (1, 2)},
    }
    found = catalogued(tmp_path, [[told[name] for name in portion] for portion in portions])
    assert {key.split()[0] for key in found} == {"mlgov_job", "mlgov_job_run"}


def of_column(source: str) -> Json:
    """What a column is made of."""
    made_of = [{"namespace": DB, "name": f"d.s.{source}", "field": "i"}]
    return {"columnLineage": {"fields": {"z": {"inputFields": made_of}}}}


@pytest.mark.parametrize("order", list(permutations(["c1", "c2", "f1", "f2"])))
def test_runs_that_fail_apart_leave_no_edges_of_columns(order: list[str], tmp_path: Path) -> None:
    told = {
        **{f"c{run}": event(run, run, [data("a")], [data("c", **of_column("a"))]) for run in (1, 2)},
        **{f"f{run}": event(run, 10 + run, [], [], kind="FAIL") for run in (1, 2)},
    }
    found = catalogued(tmp_path, [[told[name]] for name in order])
    assert {key.split()[0] for key in found} == {"mlgov_job", "mlgov_job_run"}


@pytest.mark.parametrize("by_job", [False, True], ids=["runs", "job and run"])
def test_columns_that_are_made_otherwise_have_the_new_edge_only(by_job: bool, tmp_path: Path) -> None:
    first, then = (
        [event(run, 10 * number + run, [data(source)], [data("c", **of_column(source))], kind=kind) for run in (1, 2)]
        for number, (source, kind) in enumerate((("a", "COMPLETE"), ("b", "OTHER")))
    )
    if by_job:
        first[0], then[0] = of_job(first[0]), of_job(then[0])
    wanted = catalogued(tmp_path / "at once", [[*first, *then]]).keys()
    assert len([key for key in wanted if key.startswith("mlgov_column_lineage")]) == 1
    for number, order in enumerate((then, then[::-1])):
        found = catalogued(tmp_path / str(number), [first, *([one] for one in order)]).keys()
        assert {key for key in found ^ wanted if not key.startswith("rdbms_column")} == set(), number


def test_it_is_remembered_who_gave_up_what_others_do(tmp_path: Path) -> None:
    def who(*events: Json) -> list[str]:
        catalogued(tmp_path, [[*events]])
        db = sqlite3.connect(tmp_path / "spool" / "sender.db")
        found = [run for (run,) in db.execute("SELECT run FROM given_up ORDER BY run")]
        db.close()
        return [run.partition("@")[0][-1:] for run in found]

    def of_run(run: int, second: int, kind: str = "COMPLETE") -> Json:
        return event(run, second, [data("a")], [data("c")], kind=kind)

    def job(second: int, source: str) -> Json:
        return of_job(event(0, second, [data(source)], [data("c")]))

    assert who(of_run(1, 1), of_run(2, 2), job(3, "a")) == []
    assert who(of_run(1, 11, "FAIL"), job(12, "b")) == ["", "1"]
    assert who(job(20, "a")) == ["1"]
    assert who(of_run(2, 21, "FAIL")) == ["1", "2"]
    assert who(job(30, "b")) == []


@pytest.mark.parametrize("failed", [False, True])
def test_what_only_a_job_event_tells_was_done_by_no_run(failed: bool, tmp_path: Path) -> None:
    ends = [data("a")], [data("c", **of_column("a"))]
    told = [event(1, 1, *ends), event(1, 2, [], [], kind="FAIL" if failed else "OTHER"), of_job(event(0, 3, *ends))]
    for number, portions in enumerate([[told], *([[one] for one in order] for order in permutations(told))]):
        found = catalogued(tmp_path / str(number), portions)
        (process,) = (value["attributes"] for key, value in found.items() if key.startswith("mlgov_job_process"))
        (columns,) = (value["attributes"] for key, value in found.items() if key.startswith("mlgov_column_lineage"))
        last = process.get("lastRun"), process.get("lastState")
        assert [value is None for value in last] == [failed, failed], number
        assert columns.get("lastRun") is None, number
        assert bool(process.get("factsTime")) is not failed, number


def test_the_last_run_is_the_newest_that_did_it_though_a_job_event_is_newer(tmp_path: Path) -> None:
    ends = [data("a")], [data("c")]
    told = [event(1, 1, *ends), event(2, 2, *ends), event(3, 3, *ends), of_job(event(0, 4, *ends))]
    found = catalogued(tmp_path, [told, [event(3, 5, [], [], kind="FAIL")], [event(1, 1, *ends)]])
    (process,) = (value["attributes"] for key, value in found.items() if key.startswith("mlgov_job_process"))
    assert process["lastRun"].partition("@")[0].endswith("2")


def test_ends_that_grow_in_two_runs_at_once_leave_one_process(tmp_path: Path) -> None:
    first = [event(run, run, [data("a")], [data("c")]) for run in (1, 2)]
    more = [event(run, 10 + run, [data("b")], [data("c")], kind="OTHER") for run in (1, 2)]
    found = catalogued(tmp_path, [first, more])
    assert len([key for key in found if key.startswith("mlgov_job_process")]) == 1


def test_what_another_run_named_stays(tmp_path: Path) -> None:
    told = [
        [event(1, 1, [data("a")], [data("c")])],
        [event(2, 2, [data("c")], [data("b")], job="k")],
        [event(1, 3, [data("a")], [data("c")], kind="FAIL")],
    ]
    found = catalogued(tmp_path, told)
    assert {B, C} <= found.keys()
    assert A not in found


@pytest.mark.parametrize("job", ["j", "k"])
@pytest.mark.parametrize("namespace", [DB, "s3://lake"])
@pytest.mark.parametrize("what", ["out/a", "out"])
@pytest.mark.parametrize("portions", ["1|2|3|4", "123|4", "1234", "12|3|4", "1|3|2|4", "123|4|1"])
def test_what_was_dropped_does_not_come_back_by_a_run_that_failed(
    portions: str, what: str, namespace: str, job: str, tmp_path: Path
) -> None:
    dropped = data(what, namespace, lifecycleStateChange={"lifecycleStateChange": "DROP"})
    name = what if namespace == DB else "out/a"
    fields = {"schema": {"fields": [{"name": "i", "type": "int"}]}} if namespace == DB else {}
    told = {
        "1": event(1, 1, [], [data(name, namespace, **fields)]),
        "2": event(2, 2, [], [dropped], job="d"),
        "3": event(3, 3, [], [data(name, namespace, **fields)], job=job),
        "4": event(3, 4, [], [], kind="FAIL", job=job),
    }
    found = catalogued(tmp_path, [[told[number] for number in portion] for portion in portions.split("|")])
    there = {key.partition("lake/")[2] for key in found if key.startswith("aws_s3_v2_directory")}
    assert there - {"", "@primary"} == ({"out/@primary"} if (namespace, what) == ("s3://lake", "out/a") else set())
    assert not [key for key in found if key.startswith(("rdbms_table", "rdbms_column"))]
    assert not any(entity["relations"].get("outputs") for entity in found.values())


def test_what_was_dropped_and_made_again_stays_though_another_run_failed(tmp_path: Path) -> None:
    dropped = data("a", lifecycleStateChange={"lifecycleStateChange": "DROP"})
    told = [event(1, 1, [], [data("a")]), event(2, 2, [], [dropped], job="d"), event(3, 3, [], [data("a")], job="k")]
    told += [event(4, 4, [], [data("a")]), event(4, 5, [], [], kind="FAIL")]
    found = catalogued(tmp_path, [[one] for one in told])
    assert A in found


@pytest.mark.parametrize("by_job", [False, True], ids=["run", "job"])
@pytest.mark.parametrize("use", ["another sender", "Hive's hook", "a person"])
def test_what_others_use_stays_though_it_was_dropped_before_the_run_that_gives_it_up(
    use: str, by_job: bool, tmp_path: Path
) -> None:
    """Nor does it go when the drop is told once more."""
    hive, path = "hive://m:9083", tmp_path / "catalog.db"
    table = data("d.t", hive)
    drop = event(9, 1, [], [data("d.t", hive, lifecycleStateChange={"lifecycleStateChange": "DROP"})], job="ddl")
    first, then = event(1, 2, [data("a")], [table]), event(1, 4, [], [], kind="FAIL")
    if by_job:
        first, then = of_job(first), of_job(event(1, 4, [data("a")], [data("c")]))

    def send(one: Json, sender: str = "ours") -> None:
        spool = Spool(tmp_path / sender)
        Outbox(spool).put(one)
        assert Sender(spool, lambda: EmbeddedCatalog(path), OPTIONS, breaker_interval=0.0).send().outcome == "done"

    send(drop)
    send(first)
    theirs: Json = {"guid": "-1", "typeName": "hive_process", "attributes": {"qualifiedName": "p", "name": "p"}}
    theirs["attributes"] |= dict.fromkeys(("userName", "operationType", "queryText", "queryPlan", "queryId"), "x")
    theirs["attributes"] |= {"startTime": 1, "endTime": 2}
    output = {"typeName": "hive_table", "uniqueAttributes": {"qualifiedName": "d.t@primary"}}
    with closing(EmbeddedCatalog(path)) as catalog:
        if use == "another sender":
            send(event(2, 3, [data("b")], [table], job="k"), "theirs")
        elif use == "Hive's hook":
            catalog.write([{**theirs, "relationshipAttributes": {"outputs": [output]}}])
        else:
            catalog.update("hive_table", "d.t@primary", {"userDescription": "golden"})
        for again in (then, drop):
            send(again)
            assert catalog.get("hive_table", "d.t@primary") is not None, again


def telling(run: int, second: int, word: str, *, job: str = "j") -> Json:
    """A run that says this of its process and of its table."""
    one = event(run, second, [data("a")], [data("c", datasetType={"datasetType": word})], job=job)
    return {**one, "job": {**one["job"], "facets": {"sql": {"query": word}}}}


def said(found: Json) -> set[str]:
    (process,) = (one["attributes"] for key, one in found.items() if key.startswith("mlgov_job_process"))
    return {process["queryText"], found[C]["attributes"]["type"]}


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_what_a_run_that_failed_said_does_not_stay(order: tuple[int, ...], tmp_path: Path) -> None:
    told = [telling(1, 1, "good"), telling(2, 2, "bad"), event(2, 3, [], [], kind="FAIL")]
    for number, portions in enumerate(([told], [[told[place]] for place in order], [told, told[:1]])):
        assert said(catalogued(tmp_path / str(number), portions)) == {"good"}, number


def test_what_a_run_of_another_job_that_failed_said_goes_when_the_one_before_is_told_again(tmp_path: Path) -> None:
    told = [telling(1, 1, "good"), telling(2, 2, "bad", job="k"), event(2, 3, [], [], kind="FAIL", job="k")]
    assert said(catalogued(tmp_path, [*([one] for one in told), told[:1]])) == {"good"}


def test_what_was_said_after_a_run_that_failed_stays(tmp_path: Path) -> None:
    told = [telling(1, 1, "old"), telling(2, 2, "bad"), telling(3, 3, "good"), event(2, 4, [], [], kind="FAIL")]
    assert said(catalogued(tmp_path, [*([one] for one in told), told[:1]])) == {"good"}


def test_who_gave_up_what_is_remembered_for_as_long_as_a_run_that_never_ends(tmp_path: Path) -> None:
    now = [1e9]
    state = SenderState(tmp_path / "sender.db", keep_hours=1, clock=lambda: now[0])
    process = Ref("mlgov_job_process", "p")
    with state.transaction():
        state.remember_given_up([(process, "run")])
    for hours, wanted in ((13, {"run"}), (2, set())):
        now[0] += hours * 3600
        with state.transaction():
            state.expire()
        assert state.who_gave_up(process) == wanted, hours
    state.close()


def test_who_is_forgotten_did_what_it_claimed_whoever_gave_that_up(tmp_path: Path) -> None:
    """Or the next run that fails, days later, would take the edge of all others along."""
    now, process = [0.0], Ref("mlgov_column_lineage", "p")
    with closing(SenderState(tmp_path / "sender.db", keep_hours=1, clock=lambda: now[0])) as state:
        with state.transaction():
            state.save_run("second", RunState({}, frozenset({process})), ended=True)
            state.remember_given_up([(process, "first")])
            state.expire()
        assert state.who_gave_up(process) == {"first"}
        now[0] = 7_200.0
        with state.transaction():
            state.save_run("tenth", RunState({}, frozenset({process})), ended=True)
            state.expire()
        assert state.who_gave_up(process) == set()
