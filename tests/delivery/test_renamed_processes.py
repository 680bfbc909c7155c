"""Processes of data that gets another name: they are called after their ends as these are called now.

So a job that uses a name again, which another dataset had before, has an edge for each of them.
"""

from __future__ import annotations

from itertools import permutations
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_mlgov.catalog.embedded import EmbeddedCatalog
from airflow_provider_mlgov.delivery.outbox import Outbox
from airflow_provider_mlgov.delivery.sender import Sender
from airflow_provider_mlgov.delivery.spool import Spool
from airflow_provider_mlgov.model.identity import token
from delivery_events import task_event
from tests.delivery.test_any_order import OPTIONS, catalogued
from tests.delivery.test_any_portion import DB, data, event
from tests.delivery.test_quality import GCS, cut_off_at_each_call, dropped, flows, renamed, told

Json = dict[str, Any]
Edges = set[tuple[str, str]]
S3 = "s3://lake"


def wrote(run: int, source: str, table: str, *, job: str = "load", kind: str = "COMPLETE", namespace: str = DB) -> Json:
    """A run that makes the one column of ``table`` of that of ``source``."""
    fields = {"fields": [{"name": "c", "type": "int"}]}
    origin = {"namespace": namespace, "name": data(source, namespace)["name"], "field": "c"}
    columns = {"fields": {"c": {"inputFields": [origin]}}}
    output = data(table, namespace, schema=fields, columnLineage=columns)
    return event(run, run, [data(source, namespace, schema=fields)], [output], job=job, kind=kind)


def swapped(run: int, one: str, other: str) -> list[Json]:
    return [renamed(run, one, "between"), renamed(run + 1, other, one), renamed(run + 2, "between", other)]


AGAIN = [wrote(1, "x", "t"), renamed(2, "t", "t_old"), wrote(3, "x", "t")]
ARCHIVED = [one for run in (1, 3, 5) for one in (wrote(run, "x", "t"), renamed(run + 1, "t", f"t_{run}"))]
SWAPPED = [wrote(1, "x", "a"), wrote(2, "x", "b"), *swapped(3, "a", "b"), wrote(6, "x", "a"), *swapped(7, "a", "b")]
READ = [
    *(wrote(1, "x", "t", job="makes"), wrote(2, "t", "o", job="use"), renamed(3, "t", "t_old")),
    *(wrote(4, "z", "t", job="makes"), wrote(5, "t", "o", job="use")),
]
BACK = [
    wrote(1, "x", "a"),
    renamed(2, "a", "b"),
    wrote(3, "b", "o"),
    renamed(4, "b", "a"),
    wrote(5, "x", "a"),
    wrote(6, "a", "o"),
]
DAILY = [one for run in (1, 3, 5) for one in (wrote(run, "y", "t_new"), renamed(run + 1, "t_new", "t"))]
DAILY_DROPPED = [
    one
    for run in (1, 4, 7)
    for one in (wrote(run, "y", "t_new"), *([dropped(run + 1, "t")] if run > 1 else []), renamed(run + 2, "t_new", "t"))
]
LACKING = [
    *(wrote(1, "x", "m"), wrote(2, "m", "t"), dropped(3, "m"), renamed(4, "t", "t_old")),
    *(wrote(5, "x", "m"), wrote(6, "m", "t")),
]
CASES = {
    "again": (AGAIN, {("x", "t_old"), ("x", "t")}),
    "archived": (ARCHIVED, {("x", "t_1"), ("x", "t_3"), ("x", "t_5")}),
    "swapped": (SWAPPED, {("x", "a"), ("x", "b")}),
    "read": (READ, {("x", "t_old"), ("t_old", "o"), ("z", "t"), ("t", "o")}),
    "back": (BACK, {("x", "a"), ("a", "o")}),
    "daily": (DAILY, {("y", "t")}),
    "daily, dropped": (DAILY_DROPPED, {("y", "t")}),
    "an input is gone": (LACKING, {("x", "m"), ("m", "t")}),
}


def check(found: Json, edges: Edges) -> None:
    """Tables and their columns have these edges, each of one process, and runs lead to processes that are there."""
    assert flows(found) == edges
    processes = [entity for key, entity in found.items() if key.startswith("mlgov_job_process")]
    of_columns = [entity for key, entity in found.items() if key.startswith("mlgov_column_lineage")]
    with_edges = [one for one in processes if one["relations"]["inputs"] and one["relations"]["outputs"]]
    assert len(with_edges) == len(edges)
    keys = {one["attributes"]["processKey"] for one in processes}
    for entity in (*processes, *of_columns):
        assert entity["attributes"]["processKey"] == token(entity["attributes"]["qualifiedName"])
    for entity in of_columns:
        assert entity["attributes"]["parentKey"] == token(entity["attributes"]["parentProcess"])
        assert entity["attributes"]["parentKey"] in keys
    whole = [one for one in of_columns if one["relations"]["inputs"] and one["relations"]["outputs"]]
    assert len(whole) == len(edges)
    for key, entity in found.items():
        if key.startswith("mlgov_job_run"):
            assert keys.issuperset(entity["attributes"]["processKey"].split()), key


@pytest.mark.parametrize("cut", [0, 2, None])
@pytest.mark.parametrize(("events", "edges"), CASES.values(), ids=CASES)
def test_a_name_that_is_used_again_by_one_job(
    events: list[Json], edges: Edges, cut: int | None, tmp_path: Path
) -> None:
    """In one portion, in two, or each event by itself."""
    apart = [[one] for one in events]
    portions = apart if cut is None else [portion for portion in (events[:cut], events[cut:]) if portion]
    check(catalogued(tmp_path, portions), edges)


@pytest.mark.parametrize(("events", "edges"), CASES.values(), ids=CASES)
def test_what_is_told_again_later_changes_nothing(events: list[Json], edges: Edges, tmp_path: Path) -> None:
    for number, again in enumerate(events):
        folder = tmp_path / str(number)
        wanted = catalogued(folder, [events])
        if events is LACKING or events is DAILY_DROPPED:  # what was dropped, and is made again, is one with what it was
            assert flows(catalogued(folder, [[again]])) == edges
        else:
            assert catalogued(folder, [[again]]) == wanted, number


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_a_rename_that_is_told_before_the_name_is_used_again(order: tuple[int, ...], tmp_path: Path) -> None:
    found = catalogued(tmp_path, [[AGAIN[number]] for number in order])
    late = order.index(1) > order.index(2) and order.index(0) < order.index(1)
    assert flows(found) == ({("x", "t")} if late else {("x", "t_old"), ("x", "t")})


@pytest.mark.parametrize("namespace", [S3, GCS])
def test_folders_that_get_other_names(namespace: str, tmp_path: Path) -> None:
    def wrote_in(run: int, folder: str) -> Json:
        return event(run, run, [data("raw", namespace)], [data(folder, namespace)], job="load")

    events = [
        *(wrote_in(1, "out/a"), wrote_in(2, "out/b"), renamed(3, "out", "out_1", namespace)),
        *(wrote_in(4, "out/a"), renamed(5, "out/a", "out/b", namespace), wrote_in(6, "out/a")),
    ]
    for number, portions in enumerate(([events], [[one] for one in events], [events, *([one] for one in events)])):
        found = catalogued(tmp_path / str(number), portions)
        outputs = [
            key.partition(namespace[2:])[2].partition("@")[0]
            for key, entity in found.items()
            if key.startswith(("aws_s3", "mlgov_gcs")) and entity["relations"]["outputFromProcesses"]
        ]
        assert sorted(outputs) == [f"/{name}/" for name in ("out/a", "out/b", "out_1", "out_1/a", "out_1/b")], outputs


@pytest.mark.parametrize("dropped_at", [1, 2])  # also in the very second in which it was told of
@pytest.mark.parametrize("ends", [("raw", "out/a"), ("out/a", "raw")])
def test_what_was_dropped_stays_gone_though_its_folder_was_renamed_before_one_knew(
    ends: tuple[str, str], dropped_at: int, tmp_path: Path
) -> None:
    source, target = (data(name, S3) for name in ends)
    use, rename = event(1, 1, [source], [target], job="load"), renamed(9, "out", "out_9", S3)
    drop = {**dropped(2, "out/a", S3), "eventTime": f"2026-01-31T01:00:0{dropped_at}Z"}
    wanted = catalogued(tmp_path / "in order", [[use], [drop], [rename]])
    found = catalogued(tmp_path / "late", [[rename], [use], [drop], [use]])
    assert not [key for key in found if "out/a" in key or "out_9/a" in key]
    assert flows(found) == flows(wanted) == set()
    assert processes(found) == processes(wanted)


def two_tables(run: int, *, column: str | None, facet: bool, later: bool = False) -> Json:
    """A run that makes `t` of `x` and `v` of `y`: by the ``lineage`` facet, or of this ``column`` of `y`; ``later`` `t` only."""
    fields = {"fields": [{"name": "c", "type": "int"}]}
    sources = [data(name, schema=fields) for name in ("x", "y")]
    outputs = []
    for name, source, of in (("t", sources[0], "c"), ("v", sources[1], column)):
        origin = {"namespace": DB, "name": source["name"], "field": of}
        lineage = {"fields": {"c": {"inputFields": [origin]}}}
        outputs.append(data(name, schema=fields, **({"columnLineage": lineage} if of and not facet else {})))
    told = event(run, run, sources, outputs, job="load")
    if facet:
        entries = [
            {"namespace": DB, "name": output["name"], "type": "DATASET", "inputs": [{**source, "type": "DATASET"}]}
            for output, source in zip(outputs, sources, strict=True)
        ]
        told["job"]["facets"] = {"lineage": {"entries": entries[: 1 if later else 2]}}
    return told


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (two_tables(1, column="c", facet=False), two_tables(3, column="d", facet=False)),
        (two_tables(1, column="c", facet=False), two_tables(3, column=None, facet=False)),
        (two_tables(1, column="c", facet=True), two_tables(3, column="c", facet=True, later=True)),
    ],
    ids=["another column", "no column", "by the lineage facet"],
)
def test_of_a_run_that_made_several_tables_one_was_dropped_and_made_again(
    first: Json, second: Json, tmp_path: Path
) -> None:
    events = [first, dropped(2, "t"), second, renamed(4, "t", "u")]
    found = catalogued(tmp_path, [[one] for one in events])
    assert {target for _, target in flows(found)} >= {"u"}
    assert processes(catalogued(tmp_path, [[first]])) == processes(found)


@pytest.mark.parametrize("order", ["0123", "01230", "1230", "2130", "23010", "0 1 2 3 0", "0 123 0", "1 2 3 0 0"])
@pytest.mark.parametrize("again", [None, 8])
def test_what_was_found_out_before_a_drop_is_not_of_what_was_made_again(
    again: int | None, order: str, tmp_path: Path
) -> None:
    """Results, and the process, which is the same as that of the run that made it again; told in one send, or in several."""
    runs = [wrote(1, "x", "t"), wrote(3, "x", "t")]
    for run, rows in zip(runs, (7, again), strict=True):
        if rows is not None:
            run["outputs"][0]["facets"]["dataQualityMetrics"] = {"rowCount": rows}
    events = [runs[0], dropped(2, "t"), runs[1], renamed(4, "t", "u")]
    portions = order.split() if " " in order else list(order)
    found = catalogued(tmp_path, [[events[int(number)] for number in portion] for portion in portions])
    assert flows(found) == {("x", "u")}
    assert told(found) == ({"db:5432/d.s.u@primary, quality of s.u": (0, again)} if again else {})
    check(found, {("x", "u")})


def processes(found: Json) -> list[str]:
    """The processes of jobs and of columns, those without ends too: by their ends."""
    return sorted(
        f"{key.split()[0]} {entity['relations']['inputs']} {entity['relations']['outputs']}"
        for key, entity in found.items()
        if key.startswith(("mlgov_job_process", "mlgov_column_lineage"))
    )


@pytest.mark.parametrize("portions", ["1|2|3", "1|23", "12|3", "1|32"])
def test_a_run_that_failed_after_all_takes_its_process_along_under_the_new_name(portions: str, tmp_path: Path) -> None:
    told = {"1": wrote(1, "x", "t"), "2": renamed(2, "t", "t_old"), "3": {**wrote(1, "x", "t", kind="FAIL")}}
    told["3"]["eventTime"] = "2026-01-31T01:00:03Z"
    found = catalogued(tmp_path, [[told[name] for name in portion] for portion in portions.split("|")])
    assert flows(found) == set()
    assert not [key for key in found if key.startswith("mlgov_column_lineage")]
    assert [key for key in found if key.startswith("rdbms_table")] == ["rdbms_table db:5432/d.s.t_old@primary"]


def test_of_two_runs_one_that_failed_after_all_was_not_the_last(tmp_path: Path) -> None:
    failed = {**wrote(2, "x", "t", kind="FAIL"), "eventTime": "2026-01-31T01:00:09Z"}
    events = [wrote(1, "x", "t"), wrote(2, "x", "t"), renamed(3, "t", "t_old"), failed]
    found = catalogued(tmp_path, [[one] for one in events])
    assert flows(found) == {("x", "t_old")}
    (process,) = (entity for key, entity in found.items() if key.startswith("mlgov_job_process jobs/jobs/load"))
    assert process["attributes"]["lastRun"].endswith("1@primary")


def queried(one: Json, query: str) -> Json:
    return {**one, "job": {**one["job"], "facets": {"sql": {"query": query}}}}


@pytest.mark.parametrize("order", [(0, 1, 2), (1, 0, 2)])
def test_two_processes_that_become_one_say_what_was_told_last(order: tuple[int, ...], tmp_path: Path) -> None:
    events = [
        [queried(wrote(1, "y", "t_new"), "select 1"), wrote(5, "y", "t")],
        [wrote(2, "y", "t_new"), queried(wrote(4, "y", "t"), "select 4")],
    ]
    for number, (older, newer) in enumerate(events):
        told = [older, newer, renamed(6, "t_new", "t")]
        found = catalogued(tmp_path / str(number), [[told[place]] for place in order])
        (process,) = (
            entity["attributes"] for key, entity in found.items() if key.startswith("mlgov_job_process jobs/jobs/load")
        )
        assert process["lastRun"].endswith(("5@primary", "4@primary")[number])
        assert process["queryText"] == ("select 1", "select 4")[number]


MADE_AGAIN = [event(1, 1, [data("y")], [data("a")]), dropped(2, "a"), wrote(3, "x", "a", job="l"), renamed(4, "a", "b")]


@pytest.mark.parametrize("again", ["", "1", "1234"])
@pytest.mark.parametrize("portions", ["1234", "1|2|3|4", "234|1", "2|34|1", "23|4|1", "4|3|2|1", "34|2|1"])
def test_who_wrote_what_was_dropped_did_not_write_what_got_its_name_and_gave_it_up(
    portions: str, again: str, tmp_path: Path
) -> None:
    told = [[MADE_AGAIN[int(number) - 1] for number in portion] for portion in (*portions.split("|"), again)]
    found = catalogued(tmp_path, told)
    assert flows(found) == {("x", "b")}
    assert [key for key in found if key.startswith("rdbms_table") and "d.s.a@" in key] == []
    keys = {entity["attributes"]["processKey"] for key, entity in found.items() if key.startswith("mlgov_job_process")}
    (run,) = (entity for key, entity in found.items() if key.startswith("mlgov_job_run jobs/jobs/j/"))
    assert run["attributes"]["processKey"] in keys


@pytest.mark.parametrize("what", ["out/a", "out"])
def test_who_wrote_into_a_folder_what_was_dropped_did_not_write_what_is_there_now(what: str, tmp_path: Path) -> None:
    def wrote_in(run: int, folder: str) -> Json:
        return event(run, run, [data(f"raw{run}", S3)], [data(folder, S3)], job=f"load{run}")

    events = [wrote_in(1, "out/a"), dropped(2, what, S3), wrote_in(3, "out"), renamed(4, "out", "in", S3)]
    events.append(wrote_in(5, "in/a"))
    for number, portions in enumerate(([events], [[one] for one in events], [events, events[:1]], [events, events])):
        found = catalogued(tmp_path / str(number), portions)
        folders = {key: entity["relations"] for key, entity in found.items() if key.startswith("aws_s3_v2_directory")}
        assert not [key for key in folders if "/out/" in key], number
        writers = {key.partition("lake/")[2]: one["outputFromProcesses"] for key, one in folders.items()}
        assert writers["in/a/@primary"] == ["mlgov_job_process load5"], number


@pytest.mark.parametrize("what", ["in", "in/a"])
def test_what_was_made_again_and_then_moved_with_its_folder_stays_whenever_the_drop_is_told(
    what: str, tmp_path: Path
) -> None:
    made = event(5, 5, [data("x")], [data("in/a", S3)])
    told = [dropped(3, what, S3), made, renamed(6, "in", "in2", S3)]
    wanted = catalogued(tmp_path / "in order", [[one] for one in told])
    assert any("lake/in2/a/" in key for key in wanted)
    for number, order in enumerate(permutations(told)):
        assert catalogued(tmp_path / str(number), [[one] for one in order]) == wanted, number


def described(run: int, name: str, of_type: str, kind: str) -> Json:
    fields = {"fields": [{"name": "c", "type": of_type}]}
    return event(run, run, [], [data(name, schema=fields, datasetType={"datasetType": kind})], job=f"makes{run}")


@pytest.mark.parametrize("portions", ["123|1", "1|2|3|1", "23|1", "2|3|1", "1|23|1", "12|3|3|1", "12|3|4|1"])
def test_an_older_event_does_not_rewind_what_describes_a_table_with_another_name(portions: str, tmp_path: Path) -> None:
    told = {
        "1": described(1, "a", "int", "TABLE"),
        "2": described(2, "a", "bigint", "VIEW"),
        "3": renamed(3, "a", "b"),
        "4": described(4, "a", "text", "TABLE"),
    }
    found = catalogued(tmp_path, [[told[name] for name in portion] for portion in portions.split("|")])
    assert found["rdbms_column db:5432/d.s.b.c@primary"]["attributes"]["data_type"] == "bigint"
    assert found["rdbms_table db:5432/d.s.b@primary"]["attributes"]["type"] == "VIEW"
    if portions == "12|3|4|1":
        assert found["rdbms_column db:5432/d.s.a.c@primary"]["attributes"]["data_type"] == "text"


@pytest.mark.parametrize("at_once", [False, True])
def test_an_older_event_does_not_rewind_tables_that_changed_their_names(at_once: bool, tmp_path: Path) -> None:
    swap = swapped(5, "a", "b")
    if at_once:
        swap = [{**one, "eventTime": swap[0]["eventTime"]} for one in swap]
    older = [described(1, "a", "int", "TABLE"), described(2, "b", "int", "TABLE")]
    newer = [described(3, "a", "bigint", "VIEW"), described(4, "b", "text", "EXTERNAL")]
    found = catalogued(tmp_path, [[*older, *newer], swap, older])
    types = {name: found[f"rdbms_column db:5432/d.s.{name}.c@primary"]["attributes"]["data_type"] for name in "ab"}
    assert types == {"a": "text", "b": "bigint"}


def test_what_people_said_of_a_process_goes_along(tmp_path: Path) -> None:
    spool, path = Spool(tmp_path / "spool"), tmp_path / "catalog.db"

    def send(*events: Json) -> None:
        for one in events:
            Outbox(spool).put(one)
        assert Sender(spool, lambda: EmbeddedCatalog(path), OPTIONS, breaker_interval=0.0).send().outcome == "done"

    send(wrote(1, "y", "t"), wrote(2, "y", "t_new"))
    catalog = EmbeddedCatalog(path)
    for header in catalog.search("mlgov_job_process"):
        catalog.add_labels(header["guid"], ["theirs"])
    send(renamed(3, "t_new", "t"))
    (process,) = (
        catalog.get_by_guid(header["guid"]) for header in catalog.search("mlgov_job_process", {"jobName": "load"})
    )
    assert process is not None
    assert process["labels"] == ["theirs"]
    catalog.close()


@pytest.mark.parametrize(
    ("before", "changes"),
    [
        ([wrote(1, "x", "t"), wrote(2, "t", "o")], [renamed(3, "t", "t_old"), wrote(4, "x", "t")]),
        (DAILY[:3], DAILY[3:4]),
        ([event(run, run, [data("x")], [data(name)], job="load") for run, name in ((1, "a"), (2, "b"))], SWAPPED[2:5]),
        (
            [event(run, run, [data(f"d/{run}", GCS)], [data("d/in/a", GCS)], job="load") for run in (1, 2)]
            + [event(3, 3, [data("d2/1", GCS)], [data("d2/in/a", GCS)], job="load")],
            [renamed(4, "d", "d2", GCS)],
        ),
    ],
    ids=["again", "daily", "swapped", "folders"],
)
def test_a_renaming_that_was_cut_off_at_any_call(before: list[Json], changes: list[Json], tmp_path: Path) -> None:
    assert cut_off_at_each_call(tmp_path, before, changes) > 20


def test_a_task_of_airflows_whose_table_was_archived_between_its_runs(tmp_path: Path) -> None:
    def at(one: Json, second: int) -> Json:
        return {**one, "eventTime": f"2026-01-31T01:00:{second:02}Z"}

    ends = {"inputs": (data("x"),), "outputs": (data("t"),)}
    (first, second) = (task_event("COMPLETE", run=run, seconds=0, **ends) for run in ("r1", "r2"))
    events = [at(first, 1), renamed(2, "t", "t_old"), at(second, 3)]
    for number, portions in enumerate(([events], [[one] for one in events], [events, [events[0]]])):
        found = catalogued(tmp_path / str(number), portions)
        outputs = {
            token(key.partition(" ")[2]): entity["relations"]["outputs"]
            for key, entity in found.items()
            if key.startswith("mlgov_task_process")
        }
        runs = {
            entity["attributes"]["runId"]: outputs[entity["attributes"]["processKey"]]
            for key, entity in found.items()
            if key.startswith("mlgov_task_run")
        }
        assert runs == {"r1": ["rdbms_table s.t_old"], "r2": ["rdbms_table s.t"]}
