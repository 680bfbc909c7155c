"""Steps of Spark applications that are told again: all of them, in whatever portions; what cannot be told again is passed over."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_mlgov.catalog.embedded import EmbeddedCatalog
from airflow_provider_mlgov.delivery import draining, runs
from airflow_provider_mlgov.delivery.deadline import Deadline
from airflow_provider_mlgov.delivery.outbox import Outbox
from airflow_provider_mlgov.delivery.sender import Sender
from airflow_provider_mlgov.delivery.sinks.none import NoSink
from airflow_provider_mlgov.delivery.spool import Spool
from tests.delivery.test_any_order import OPTIONS, catalogued
from tests.delivery.test_any_portion import DB, data, event
from tests.delivery.test_applications import path, step, tables

Json = dict[str, Any]


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


def test_steps_that_are_told_again_get_on_in_each_send_however_short(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]

    class Slow:
        def __init__(self) -> None:
            self._catalog = EmbeddedCatalog(tmp_path / "c.db")

        def __getattr__(self, name: str) -> Any:
            return getattr(self._catalog, name)

        def write(self, documents: list[Json], **more: Any) -> Any:
            now[0] += len(documents)
            return self._catalog.write(documents, **more)

    def send(budget: float | None = None) -> Any:
        return Sender(spool, Slow, OPTIONS, breaker_interval=0.0, batch_size=20).send(budget)

    monkeypatch.setattr(draining, "Deadline", lambda budget: Deadline(budget, lambda: now[0]))
    spool = Spool(tmp_path / "spool")
    for number in range(1, 31):
        Outbox(spool).put(step(number, [path()]))
    assert send().outcome == "done"
    Outbox(spool).put(step(31, [path(table="d.t")]))
    Outbox(spool).put(event(99, 51, [data("x")], [data("y")]))
    reports = [send(budget=35.0)]
    while reports[-1].outcome != "done":
        assert reports[-1].outcome == "budget"
        assert reports[-1].entities, f"send {len(reports)} did nothing"
        assert reports[-1].events == 0, "what waits is acknowledged before all steps were told"
        reports.append(send(budget=35.0))
    assert len(reports) > 2
    assert not spool.waiting()
    found = catalogued(
        tmp_path / "wanted", [[step(n, [path()]) for n in range(1, 31)], [step(31, [path(table="d.t")])]]
    )
    catalog = EmbeddedCatalog(tmp_path / "c.db")
    paths = [catalog.get_by_guid(item["guid"], relationships=True) for item in catalog.search("hdfs_path", limit=10)]
    assert not [one for one in paths if one and one["status"] == "ACTIVE"]
    table = catalog.get("hive_table", "d.t@primary", relationships=True)
    catalog.close()
    assert table is not None
    makers = [
        item
        for item in table["relationshipAttributes"]["outputFromProcesses"]
        if item["relationshipStatus"] == "ACTIVE"
    ]
    assert len(makers) == len(found["hive_table d.t@primary"]["relations"]["outputFromProcesses"])


@pytest.mark.parametrize("where", ["translation", "sink"])
def test_a_step_that_cannot_be_told_again_is_not_tried_by_every_send(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    tried: list[int] = []

    class Sink(NoSink):
        def deliver(self, parcel: Any, deadline: Any) -> Any:
            fails = [share for share in parcel.runs if share.key.endswith(f"{1:012}")]
            if fails and where == "sink" and len(parcel.runs) == 1:
                tried.append(1)
            if fails and where == "sink":
                raise RuntimeError("a bug")
            return super().deliver(parcel, deadline)

    def translated(state: Json, options: Any) -> Any:
        if where == "translation" and state["job"][2]["name"] == "app.step1":
            tried.append(1)
            raise RuntimeError("a bug")
        return translate(state, options)

    def send(*events: Json, sink: Callable[[], Any] = Sink) -> None:
        for one in events:
            Outbox(spool).put(one)
        assert Sender(spool, sink, OPTIONS, breaker_interval=0.0, batch_size=5).send().outcome == "done"

    spool, translate = Spool(tmp_path / "spool"), runs.translate
    send(step(1, [path()]), {**step(2, [path()]), "inputs": [data("b")]}, sink=NoSink)
    monkeypatch.setattr(runs, "translate", translated)
    send(step(3, [path(table="d.t")]), *(event(number, 50, [data("x")], [data("y")]) for number in range(90, 95)))
    assert tried
    tried.clear()
    send(step(63, [path(table="d.t")]))  # at the same time as step 3: all steps are looked at
    assert not tried
    assert not spool.dead_letters()


def at(second: int, one: Json, kind: str = "COMPLETE") -> Json:
    return {**one, "eventType": kind, "eventTime": f"2026-01-31T01:00:{second:02}Z"}


def with_columns() -> Json:
    """The path, and of which column one of its is made."""
    made_of = [{"namespace": DB, "name": "d.s.a", "field": "i"}]
    output = path()
    output["facets"] = {"columnLineage": {"fields": {"z": {"inputFields": made_of}}}}
    return output


@pytest.mark.parametrize("late", ["START", "OTHER", "COMPLETE"])
@pytest.mark.parametrize("number", [1, 2])
def test_an_event_of_a_step_beside_the_telling_leaves_nothing_of_the_path(
    late: str, number: int, tmp_path: Path
) -> None:
    steps = [at(second, step(second, [path()])) for second in (1, 2)]
    told = [step(6, [path(table="d.t")]), at(0 if late == "START" else number, steps[number - 1], late)]
    found = catalogued(tmp_path, [steps, told])
    assert tables(found) == {"hive_table d.t@primary"}
    assert found.keys() == catalogued(tmp_path / "at once", [[*steps, *told]]).keys()


@pytest.mark.parametrize("output", [path(), with_columns()], ids=["tables", "columns"])
@pytest.mark.parametrize("against", [False, True], ids=["in time", "against time"])
def test_more_steps_than_go_at_once_leave_nothing_of_the_path(output: Json, against: bool, tmp_path: Path) -> None:
    steps = [at(30 - number if against else number, step(number, [output])) for number in range(1, 21)]
    told = at(40, step(50, [path(table="d.t")]))
    found = catalogued(tmp_path, [steps, [told]])
    assert tables(found) == {"hive_table d.t@primary"}
    assert found.keys() == catalogued(tmp_path / "at once", [[*steps, told]]).keys()


@pytest.mark.parametrize("seed", range(12))
def test_steps_of_any_ids_in_any_portions_leave_nothing_of_the_path(seed: int, tmp_path: Path) -> None:
    rng = random.Random(seed)
    *ids, teller = rng.sample(range(1, 50), rng.randint(3, 5))
    events = []
    for second, number in enumerate(ids):
        one = step(number, [with_columns() if seed % 2 else path()])
        events += [at(2 * second, one, "START"), at(2 * second + 1, one)]
    told = at(40, step(teller, [path(table="d.t")]))
    rng.shuffle(events)
    portions = [events[:-1], rng.sample([*rng.sample(events, 2), events[-1], told], 4)]
    wanted = catalogued(tmp_path / "at once", [[*events, told]])
    assert catalogued(tmp_path / "apart", portions).keys() == wanted.keys()


def test_who_goes_on_doing_what_another_step_gave_up_did_it_last(tmp_path: Path) -> None:
    """Step 40 means another table once that is told; step 2 is told again for the folder, and with an event of its own after it."""
    told = {**step(1, [path(table="d.t")]), "inputs": [data("b")]}
    two, forty = (step(number, [path()]) for number in (2, 40))
    more = [{**step(50, [path(table="d.u"), path("/wh", "d.all")]), "inputs": [data("b")]}, at(2, two, "OTHER")]
    wanted = catalogued(tmp_path / "at once", [[told, two, forty, *more]])
    found = catalogued(tmp_path / "apart", [[told, two, forty], more])
    assert found == wanted
    of_table = [value for value in found.values() if value["relations"].get("outputs") == ["hive_table t"]]
    last = {value["attributes"]["lastRun"].partition("@")[0][-2:] for value in of_table}
    assert last == {"01", "02"}
