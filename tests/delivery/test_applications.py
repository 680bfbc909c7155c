"""Steps of Spark applications: aliases that are told late, by whom, and of which steps nobody knows any more."""

from __future__ import annotations

from itertools import permutations
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_mlgov.catalog.embedded import EmbeddedCatalog
from airflow_provider_mlgov.delivery.outbox import Outbox
from airflow_provider_mlgov.delivery.sender import Sender
from airflow_provider_mlgov.delivery.spool import Spool
from tests.delivery.test_any_order import OPTIONS, catalogued
from tests.delivery.test_any_portion import data, event

Json = dict[str, Any]
HDFS = "hdfs://nn:8020"


def step(run: int, outputs: list[Json], *, namespace: str = "jobs", application: str = "app") -> Json:
    made = event(run, run % 60, [data("a")], outputs, job=f"app.step{run}")
    made["run"]["facets"] = {"parent": {"run": {"runId": application}, "job": {"namespace": namespace, "name": "app"}}}
    made["job"] |= {"namespace": namespace, "facets": {"jobType": {"integration": "SPARK", "processingType": "BATCH"}}}
    return made


def path(name: str = "/wh/t", table: str = "") -> Json:
    identifiers = [{"namespace": "hive://m:9083", "name": table, "type": "TABLE"}]
    return data(name, HDFS, **({"symlinks": {"identifiers": identifiers}} if table else {}))


def tables(found: Json) -> set[str]:
    return {key for key in found if key.startswith(("hive_table", "hdfs_path"))}


def test_all_steps_are_told_again_however_many(tmp_path: Path) -> None:
    steps = [step(number, [path()]) for number in range(1, 61)]
    found = catalogued(tmp_path, [steps, [step(61, [path(table="d.t")])]])
    assert tables(found) == {"hive_table d.t@primary"}
    ends = [value["relations"]["outputs"] for key, value in found.items() if key.startswith("mlgov_job_process")]
    assert ends == [["hive_table t"]]


@pytest.mark.timeout(120)
def test_however_many_steps_are_told_again_what_waits_is_sent(tmp_path: Path) -> None:
    known = [step(1, [path(table="d.a")]), *(step(number, [path()]) for number in range(2, 32))]
    found = catalogued(tmp_path, [known, [step(50, [path(table="d.b")]), event(99, 51, [data("x")], [data("y")])]])
    assert tables(found) == {"hive_table d.a@primary", "hive_table d.b@primary"}
    assert "rdbms_table db:5432/d.s.y@primary" in found


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


def test_only_steps_that_named_the_path_are_told_again(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool")
    sent = []
    for number in range(1, 9):
        Outbox(spool).put(step(number, [path(f"/wh/t{number}", f"d.t{number}")]))
        report = Sender(spool, lambda: EmbeddedCatalog(tmp_path / "c.db"), OPTIONS, breaker_interval=0.0).send()
        sent.append(report.entities)
    assert len(set(sent[2:])) == 1


def test_a_step_that_nobody_remembers_is_passed_over(tmp_path: Path) -> None:
    spool, catalog = Spool(tmp_path / "spool"), tmp_path / "c.db"

    def send(*events: Json, hours: float = 24.0) -> None:
        for one in events:
            Outbox(spool).put(one)
        sender = Sender(spool, lambda: EmbeddedCatalog(catalog), OPTIONS, keep_hours=hours, breaker_interval=0.0)
        assert sender.send().outcome == "done"

    send(step(1, [path()]))
    send(event(9, 9, [], [data("b")]), hours=-1.0)  # forgets what has ended
    send(step(2, [path(table="d.t")]))
    assert not spool.waiting()
    assert not spool.dead_letters()


def test_a_step_that_cannot_be_told_again_blocks_nobody(tmp_path: Path) -> None:
    class Poisoned:
        def __init__(self) -> None:
            self._catalog = EmbeddedCatalog(tmp_path / "c.db")

        def __getattr__(self, name: str) -> Any:
            return getattr(self._catalog, name)

        def get_many(self, type_name: str, names: list[str]) -> Any:
            if any("evil" in name for name in names):
                raise RuntimeError("a bug")
            return self._catalog.get_many(type_name, names)

    spool = Spool(tmp_path / "spool")
    for events in ([step(1, [path()])], [step(2, [path(table="d.evil")]), event(3, 3, [], [data("b")])]):
        for one in events:
            Outbox(spool).put(one)
        Sender(spool, Poisoned, OPTIONS, breaker_interval=0.0).send()
    assert not spool.waiting()
    (letter,) = spool.dead_letters()
    assert "a bug" in letter.reason
    catalog = EmbeddedCatalog(tmp_path / "c.db")
    assert catalog.get("rdbms_table", "db:5432/d.s.b@primary")
    catalog.close()


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
