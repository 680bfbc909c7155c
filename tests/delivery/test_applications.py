"""Steps of Spark applications: aliases that are told late, by whom, and of which steps nobody knows any more."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_mlgov.catalog.embedded import EmbeddedCatalog
from airflow_provider_mlgov.delivery.applications import Applications
from airflow_provider_mlgov.delivery.outbox import Outbox
from airflow_provider_mlgov.delivery.runs import Run, RunReader
from airflow_provider_mlgov.delivery.sender import Sender
from airflow_provider_mlgov.delivery.sinks.none import NoSink
from airflow_provider_mlgov.delivery.spool import Spool
from airflow_provider_mlgov.delivery.state import RunState, SenderState
from airflow_provider_mlgov.translate.events import application_of, unite
from airflow_provider_mlgov.translate.reading import read_event
from airflow_provider_mlgov.translate.rules import NamespaceRule, Rules
from tests.delivery.test_any_order import OPTIONS, catalogued
from tests.delivery.test_any_portion import data, event

Json = dict[str, Any]
HDFS = "hdfs://nn:8020"


def step(run: int, outputs: list[Json], *, namespace: str = "jobs", application: str = "app") -> Json:
    made = event(run, run % 60, [data("a")], outputs, job=f"app.step{run}")
    made["run"]["facets"] = {"parent": {"run": {"runId": application}, "job": {"namespace": namespace, "name": "app"}}}
    made["job"] |= {"namespace": namespace, "facets": {"jobType": {"integration": "SPARK", "processingType": "BATCH"}}}
    return made


def path(name: str = "/wh/t", table: str = "", namespace: str = HDFS) -> Json:
    identifiers = [{"namespace": "hive://m:9083", "name": table, "type": "TABLE"}]
    return data(name, namespace, **({"symlinks": {"identifiers": identifiers}} if table else {}))


def tables(found: Json) -> set[str]:
    return {key for key in found if key.startswith(("hive_table", "hdfs_path", "aws_s3", "mlgov_gcs"))}


def in_orders(folder: Path, events: list[Json], show: Callable[[Json], Any]) -> list[Any]:
    """What ``show`` finds after ``events`` were sent one by one in any order, and all together."""
    portions = [[events], *([[one] for one in order] for order in permutations(events))]
    return [show(catalogued(folder / str(number), portion)) for number, portion in enumerate(portions)]


def flows(found: Json) -> set[tuple[str, str]]:
    """Inputs and outputs of all processes, by their last names."""
    ends = [value["relations"] for key, value in found.items() if key.startswith("mlgov_job_process")]
    return {(start.rpartition(".")[2], end.split()[1]) for each in ends for start in each["inputs"]
            for end in each["outputs"]}  # fmt: skip


def changed(table: str, kind: str, before: str = "", at: str = "/data/p") -> Json:
    facet: Json = {"lifecycleStateChange": kind}
    if before:
        facet["previousIdentifier"] = {"namespace": "hive://m:9083", "name": before}
    made = path(at, table)
    made["facets"]["lifecycleStateChange"] = facet
    return made


@pytest.mark.parametrize("order", ["together", "apart", "reversed"])
@pytest.mark.parametrize(
    ("outputs", "wanted"),
    [
        ([path("/data/p", "raw.t"), path("/data/p", "mart.t")], {"raw.t", "mart.t"}),
        ([path("/data/p", "raw.t"), changed("raw.t", "DROP"), path("/data/p", "raw.u")], {"raw.u"}),
        ([path("/data/p", "d.t1"), changed("d.t2", "RENAME", "d.t1"), path("/data/p", "d.t2")], {"d.t2"}),
    ],
    ids=["two tables", "used again", "renamed"],
)
def test_the_table_that_a_step_names_counts_for_it(
    tmp_path: Path, outputs: list[Json], wanted: set[str], order: str
) -> None:
    steps = [step(number, [output]) for number, output in enumerate(outputs, start=1)]
    portions = [steps] if order == "together" else [[one] for one in steps[:: -1 if order == "reversed" else 1]]
    found = catalogued(tmp_path, portions)
    assert tables(found) == {f"hive_table {name}@primary" for name in wanted}
    for name in wanted:
        assert found[f"hive_table {name}@primary"]["relations"]["outputFromProcesses"], name


@pytest.mark.parametrize("order", ["together", "apart", "reversed"])
@pytest.mark.parametrize(
    ("outputs", "wanted"),
    [
        (
            [path("/data/p", "raw.t"), path("/data/p", "raw.u"), path("/data/p")],
            {("x1", "t"), ("x2", "u"), ("x3", "u")},
        ),
        (
            [path("/data/p", "raw.z"), path("/data/p"), path(), path("/data/p", "raw.a")],
            {("x1", "z"), ("x2", "z"), ("x4", "a")},
        ),
        (
            [path("/data/p", "raw.t"), changed("raw.t", "DROP"), path("/data/p", "raw.u"), path("/data/p")],
            {("x3", "u"), ("x4", "u")},
        ),
        (
            [path("/data/p", "raw.t"), path("/data/p", "raw.u"), path("/data/p"), path(), path("/data/p", "raw.t")],
            {("x1", "t"), ("x2", "u"), ("x3", "u"), ("x5", "t")},
        ),
    ],
    ids=["two tables", "before", "used again", "in turn"],
)
def test_who_knows_only_the_path_means_the_table_that_was_told_nearest_in_time(
    tmp_path: Path, outputs: list[Json], wanted: set[tuple[str, str]], order: str
) -> None:
    steps = [step(number, [output]) for number, output in enumerate(outputs, start=1)]
    for number, each in enumerate(steps, start=1):
        each["inputs"] = [data(f"x{number}")]
    portions = [steps] if order == "together" else [[one] for one in steps[:: -1 if order == "reversed" else 1]]
    processes = [value for key, value in catalogued(tmp_path, portions).items() if key.startswith("mlgov_job_process")]
    flows = {(start.rpartition(".")[2], end.split()[1]) for each in processes
             for start in each["relations"]["inputs"] for end in each["relations"]["outputs"] if "hive_table" in end}  # fmt: skip
    assert flows == wanted


def test_the_files_of_a_renamed_table_are_where_they_went(tmp_path: Path) -> None:
    outputs = [path("/wh/t1", "d.t1"), changed("d.t2", "RENAME", "d.t1", at="/wh/t2"), path("/wh/t2", "d.t2")]
    steps = [step(number, [output]) for number, output in enumerate(outputs, start=1)]
    for number, order in enumerate(permutations(steps)):
        found = catalogued(tmp_path / str(number), [[one] for one in order])
        (storage,) = (value["attributes"] for key, value in found.items() if key.startswith("hive_storagedesc"))
        assert (storage["qualifiedName"], storage["location"]) == ("d.t2@primary_storage", f"{HDFS}/wh/t2"), number


@pytest.mark.parametrize("foreign", [False, True])
def test_who_knows_an_application_does_not_speak_for_the_jobs_of_others(tmp_path: Path, foreign: bool) -> None:
    spool = Spool(tmp_path / "spool")
    Outbox(spool).put(step(1, [path()], namespace="theirs"), foreign=foreign)
    Outbox(spool).put(step(2, [path(table="evil.x")], namespace="ours"), foreign=foreign)
    for _ in range(2):
        Sender(spool, lambda: EmbeddedCatalog(tmp_path / "c.db"), OPTIONS, breaker_interval=0.0).send()
    catalog = EmbeddedCatalog(tmp_path / "c.db")
    found = catalog.get("hdfs_path", "hdfs://nn:8020/wh/t@primary", relationships=True)
    assert found is not None
    assert [item["relationshipStatus"] for item in found["relationshipAttributes"]["outputFromProcesses"]] == ["ACTIVE"]
    catalog.close()


def remembered(state: SenderState, applications: Applications, key: str, event: Json) -> None:
    united = unite(None, read_event(event))
    with state.transaction():
        state.save_run(key, RunState(united, frozenset()), ended=True)
        applications.remember(key, united)


def test_a_path_that_a_step_has_no_more_counts_no_more(tmp_path: Path) -> None:
    state = SenderState(tmp_path / "sender.db")
    applications = Applications(state, OPTIONS)
    for name in ("/wh/t", "/wh/u"):
        remembered(state, applications, "run", step(1, [path(name)]))
    for name, wanted in (("/wh/t", []), ("/wh/u", ["run"])):
        applications.learn(read_event(step(2, [path(name, "d.t")])))
        assert list(applications.steps_to_tell_again([])) == wanted
    state.close()


def test_one_step_of_many_tables_takes_linear_time(tmp_path: Path) -> None:
    def seconds(size: int) -> float:
        state = SenderState(tmp_path / f"{size}.db")
        one = read_event({**step(1, []), "inputs": [path(f"/wh/t{number}", f"d.t{number}") for number in range(size)]})
        began = time.process_time()
        applications = Applications(state, OPTIONS)
        applications.learn(one)
        assert len(applications.known_to(unite(None, one))["applicationAliases"][HDFS]) == size
        remembered(state, applications, "run", {**step(1, []), "inputs": one["inputs"]})
        assert not list(applications.steps_to_tell_again([]))
        state.close()
        return time.process_time() - began

    few = min(seconds(size) for size in (200, 201, 202))
    assert seconds(3200) < 80 * few  # 16 times the size


@pytest.mark.parametrize("same", [False, True], ids=["tables of their own", "one table"])
def test_the_steps_of_a_telling_are_looked_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, same: bool) -> None:
    looked: list[str] = []
    steps = SenderState.steps

    def counted(self: SenderState, application: str, namespace: str, name: str) -> Any:
        looked.append(name)
        return steps(self, application, namespace, name)

    monkeypatch.setattr(SenderState, "steps", counted)
    spool = Spool(tmp_path / "spool")
    for number in range(1, 41):
        Outbox(spool).put(step(number, [path(f"/wh/t{0 if same else number}", f"d.t{0 if same else number}")]))
    assert Sender(spool, NoSink, OPTIONS, breaker_interval=0.0, batch_size=10).send().outcome == "done"
    assert len(looked) == (1 if same else 40)
    Outbox(spool).put(step(41, [path("/wh/t0", "d.t0")]))
    Sender(spool, NoSink, OPTIONS, breaker_interval=0.0).send()
    assert len(looked) == (1 if same else 41)


def test_the_steps_of_a_path_are_found_without_looking_at_all(tmp_path: Path) -> None:
    def work(size: int) -> int:
        state, done = SenderState(tmp_path / f"{size}.db"), []
        applications = Applications(state, OPTIONS)
        for number in range(size):
            remembered(state, applications, str(number), step(1, [path(f"/wh/t{number}/dt=1")]))
        application = application_of(unite(None, read_event(step(1, []))))
        assert application is not None
        state._db.set_progress_handler(lambda: done.append(1), 1)  # called for each instruction
        found = state.steps(application, HDFS, "/wh/t7")
        state._db.set_progress_handler(None, 0)
        state.close()
        assert [row[0] for row in found] == ["7"]
        return len(done)

    assert work(300) == work(10)


def test_events_that_do_not_say_the_run_of_airflow_find_those_that_do_in_linear_time(tmp_path: Path) -> None:
    class Key(str):
        seen = 0

        def startswith(self, *args: Any) -> bool:
            Key.seen += 1
            return super().startswith(*args)

        def partition(self, sep: str) -> Any:
            Key.seen += 1
            return super().partition(sep)

    spool, state = Spool(tmp_path / "spool"), SenderState(tmp_path / "sender.db")
    keys = [Key(f"{number}{tail}") for number in range(50) for tail in ("", "/a")]
    named = RunReader(spool, state, OPTIONS)._with_named({key: Run(key) for key in keys})
    assert list(named) == [f"{number}/a" for number in range(50)]
    assert Key.seen <= len(keys)
    state.close()


@pytest.mark.parametrize("namespace", ["s3://lake", "gs://lake"])
@pytest.mark.parametrize("name", ["orders", "wh/orders"])
def test_a_table_may_lie_directly_below_a_bucket(tmp_path: Path, namespace: str, name: str) -> None:
    steps = [step(1, [path(name, "", namespace)]), step(2, [path(name, "d.orders", namespace)])]
    assert in_orders(tmp_path, steps, tables) == [{"hive_table d.orders@primary"}] * 3


def test_what_is_told_later_of_a_time_in_between_leaves_the_nearest_as_it_was(tmp_path: Path) -> None:
    """The first table at 1, 5 and 9 and another one at 6: who knows only the path at 5 means the first."""
    names = [(1, "raw.t"), (5, "raw.t"), (9, "raw.t"), (6, "raw.u"), (65, "")]
    steps = [step(number, [path("/data/p", table)]) for number, table in names]
    for each in steps:
        each["inputs"] = [data(f"x{each['job']['name']}")]
    for number, order in enumerate(([0, 1, 2, 3, 4], [0, 2, 1, 4, 3], [4, 0, 1, 2, 3], [3, 0, 1, 2, 4])):
        found = flows(catalogued(tmp_path / str(number), [[steps[index]] for index in order]))
        assert ("step65", "t") in found, order
        assert ("step65", "u") not in found, order


def test_of_very_many_tellings_those_in_a_row_that_tell_the_same_are_thinned(tmp_path: Path) -> None:
    def told(second: int, table: str) -> Json:
        made = step(1, [path(table=table)])
        made["eventTime"] = f"2026-01-31T01:{second // 60:02}:{second % 60:02}Z"
        return read_event(made)

    state = SenderState(tmp_path / "sender.db")
    applications = Applications(state, OPTIONS)
    for second in range(1000):
        applications.learn(told(second, {300: "d.u", 700: "d.v"}.get(second, "d.t")))
    (tellings,) = applications._known.values()
    assert len(tellings) == 200
    times = [time_ for time_, _ in tellings]
    assert times == sorted(times)
    for second, table in (
        (300, "d.u"),
        (301, "d.t"),
        (299, "d.t"),
        (700, "d.v"),
        (0, "d.t"),
        (999, "d.t"),
        (500, "d.t"),
    ):
        known = applications.known_to(unite(None, told(second, "")))["applicationAliases"]
        assert known == {HDFS: {"/wh/t": {"hive://m:9083": {table: "TABLE"}}}}, second
    state.close()


def test_whose_a_partition_is_the_whole_is(tmp_path: Path) -> None:
    steps = [step(1, [path()]), step(2, [path("/wh/t/dt=1", "d.t")]), step(3, [path("/wh/t/dt=2")])]
    assert in_orders(tmp_path, steps, tables) == [{"hive_table d.t@primary"}] * 7


def test_where_partitions_are_not_folded_each_is_its_own(tmp_path: Path) -> None:
    state = SenderState(tmp_path / "sender.db")
    apart = replace(OPTIONS, rules=Rules("r.toml", (NamespaceRule(1, match="*", partitions=False),)))
    for options, wanted in ((OPTIONS, True), (apart, False)):
        applications = Applications(state, options)
        applications.learn(read_event(step(1, [path("/wh/t/dt=1", "d.t")])))
        known = applications.known_to(unite(None, read_event(step(2, [path()]))))
        assert ("applicationAliases" in known) is wanted
        assert "applicationAliases" in applications.known_to(unite(None, read_event(step(2, [path("/wh/t/dt=1")]))))
    state.close()
