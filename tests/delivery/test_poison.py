"""What Atlas fails at, one entity or one run, is found and set aside, and never blocks the rest; an outage is no such thing."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_mlgov.catalog.embedded import EmbeddedCatalog
from airflow_provider_mlgov.delivery.sender import Sender
from airflow_provider_mlgov.delivery.sinks.catalog import CatalogSink
from airflow_provider_mlgov.delivery.spool import Counts
from airflow_provider_mlgov.delivery.state import SenderState
from airflow_provider_mlgov.translate.events import run_key
from airflow_provider_mlgov.translate.translation import translate
from catalog_content import content
from delivery_events import dataset, task_run
from fake_atlas import Handler, answer
from hostile_atlas import HostileAtlas, the_write
from hostile_hosts import ATLAS_403, ATLAS_404, ATLAS_409, EVENTS, HTML, OPTIONS, Host, close, heals

FAILS_AT_ONE = pytest.mark.parametrize(
    "fault", [answer("500 Server Error", "oops", "text/plain"), answer("403 Forbidden", ATLAS_403)]
)


def one_parcel(folder: Path, atlas_at: Callable[..., HostileAtlas]) -> tuple[HostileAtlas, Host]:
    """A host whose Atlas has the types, and whose runs all go in one parcel."""
    atlas = atlas_at()
    host = Host(folder, atlas.url)
    host.knows_types()
    host.batch_size = 100
    return atlas, host


def poison_look_ups(atlas: HostileAtlas, fault: Handler) -> None:
    """Whatever has ``poison`` in its name cannot be read."""
    atlas.fault, atlas.wanted = fault, lambda method, path: method == "GET" and "poison" in path


@pytest.mark.parametrize("body", [ATLAS_404, ATLAS_409])
def test_an_error_of_atlas_about_one_entity_costs_only_that(
    tmp_path: Path, atlas_at: Callable[..., HostileAtlas], undisturbed: Any, body: str
) -> None:
    atlas = atlas_at()
    host = Host(tmp_path, atlas.url)
    host.put(EVENTS)
    status = "404 Not Found" if body == ATLAS_404 else "409 Conflict"
    refuse = answer(status, body)

    def fault(client: socket.socket, request: str) -> None:
        if "db.s.x.c1" in request:
            refuse(client, request)
        else:
            atlas.handle_well(client, request)

    atlas.fault, atlas.wanted = fault, the_write
    report = host.send(None)
    assert (report.outcome, report.events, report.dead) == ("done", len(EVENTS), 1)
    (letter,) = host.spool.dead_letters()
    assert any("db.s.x.c1" in part for part in letter.parts)
    assert host.opening is None
    host.spool.retry()
    heals(host, atlas, undisturbed)


@pytest.mark.parametrize(
    "fault", [answer("500 Server Error", "oops", "text/plain"), answer("429 Slow Down", Retry_After="1")]
)
def test_a_poison_event_that_no_budget_of_a_task_outlives_blocks_nothing(
    tmp_path: Path, atlas_at: Callable[..., HostileAtlas], fault: Handler
) -> None:
    """The server is slow, and answers as if it were busy whenever it sees one table: the others arrive."""
    atlas = atlas_at()
    host = Host(tmp_path, atlas.url)
    host.knows_types()
    host.put([*EVENTS, *task_run(task="c", seconds=20, outputs=[dataset("db.s.z", columns=30)])])

    def hostile(client: socket.socket, request: str) -> None:
        time.sleep(0.15)
        if "db.s.x.c1" in request:
            fault(client, request)
        else:
            atlas.handle_well(client, request)

    atlas.fault, atlas.wanted = hostile, the_write
    end = time.monotonic() + 120
    while host.send(3.0, despite_breaker=True).outcome != "done" and time.monotonic() < end:
        time.sleep(0.2)  # a write that a slow machine cut off must be over before the next: that takes a minute
    assert host.spool.counts().waiting == 0
    assert any("db.s.x.c1" in part for letter in host.spool.dead_letters() for part in letter.parts)
    assert len(content(atlas.catalog)) > 40


@pytest.mark.parametrize(
    "fault",
    [
        answer("500 Server Error", "oops", "text/plain"),
        answer("414 URI Too Long", HTML, "text/html"),
        answer("403 Forbidden", ATLAS_403),
    ],
    ids=["500", "414", "403"],
)
@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_run_that_cannot_even_be_looked_up_blocks_nothing(
    tmp_path: Path, atlas_at: Callable[..., HostileAtlas], fault: Handler, place: int
) -> None:
    atlas, host = one_parcel(tmp_path, atlas_at)
    names = ["a", "b", "c"]
    names[place] = "poison"
    for number, name in enumerate(names):
        host.put(task_run(task=name, dag=name, seconds=10 * number, outputs=[dataset(f"db.s.{name}")]))
    poison_look_ups(atlas, fault)
    report = host.send(None)
    assert (report.outcome, report.events, report.dead) == ("done", 6, 1), report.reason
    (letter,) = host.spool.dead_letters()
    assert {event["job"]["name"] for event in letter.events} == {"poison.poison"}
    assert len(atlas.catalog.search("mlgov_task_run")) == 2
    atlas.fault = None
    host.spool.retry()
    assert host.send(None).dead == 0
    assert len(atlas.catalog.search("mlgov_task_run")) == 3


@pytest.mark.parametrize("status", ["500", "403"])
@pytest.mark.parametrize("poison", [(0, 7), (0, 3, 4, 7), (0, 1, 2, 3, 5, 6, 7)])
def test_runs_that_cannot_be_looked_up_block_nothing_wherever_they_stand(
    tmp_path: Path, atlas_at: Callable[..., HostileAtlas], status: str, poison: tuple[int, ...]
) -> None:
    """Such as a table that Atlas cannot read, and that the first and the last of the runs use."""
    atlas, host = one_parcel(tmp_path, atlas_at)
    for number in range(8):
        name = f"poison{number}" if number in poison else f"good{number}"
        host.put(task_run(task=name, dag=name, seconds=number))
    fault = answer("403 Forbidden", ATLAS_403) if status == "403" else answer("500 Server Error", "oops", "text/plain")
    poison_look_ups(atlas, fault)
    report = host.send(None)
    assert (report.outcome, report.events, report.dead) == ("done", 16, len(poison)), report.reason
    assert len(atlas.catalog.search("mlgov_task_run")) == 8 - len(poison)


def test_an_atlas_that_can_look_up_nothing_is_asked_a_few_times_only(
    tmp_path: Path, atlas_at: Callable[..., HostileAtlas], undisturbed: Any
) -> None:
    atlas = atlas_at()
    host = Host(tmp_path, atlas.url)
    host.knows_types()
    host.batch_size = 1000
    for number in range(30):
        host.put(task_run(task=f"t{number}", dag=f"d{number}", seconds=number))
    atlas.fault = answer("500 Server Error", "oops", "text/plain")
    report = host.send(None)
    assert (report.outcome, report.events, report.dead) == ("busy", 0, 0)
    assert atlas.met <= 27, "three tries for all of them and for eight alone"
    atlas.fault = answer("429 Slow Down", Retry_After="1")
    atlas.met = 0
    assert host.send(None, despite_breaker=True).outcome == "busy"
    assert atlas.met <= 9, "three tries for all of them and for two alone"


@FAILS_AT_ONE
def test_a_change_that_cannot_even_be_looked_up_blocks_nothing(
    tmp_path: Path, atlas_at: Callable[..., HostileAtlas], fault: Handler
) -> None:
    """A run that drops a table is a portion of its own; whether it is to blame shows when the next is taken."""
    atlas = atlas_at()
    host = Host(tmp_path, atlas.url)
    host.knows_types()
    gone = dataset("db.s.poison")
    gone["facets"]["lifecycleStateChange"] = {"lifecycleStateChange": "DROP"}
    host.put(task_run(task="poison", dag="poison", seconds=0, outputs=[gone]))
    poison_look_ups(atlas, fault)
    assert host.send(None).dead == 0, "it waits alone: nothing shows yet that the catalogue takes others"
    host.put(task_run(task="a", dag="a", seconds=10, outputs=[dataset("db.s.a")]))
    report = host.send(None, despite_breaker=True)
    assert (report.outcome, report.events, report.dead) == ("done", 4, 1), report.reason
    assert len(atlas.catalog.search("mlgov_task_run")) == 1


@FAILS_AT_ONE
def test_a_portion_of_nothing_but_poison_blocks_nothing(
    tmp_path: Path, atlas_at: Callable[..., HostileAtlas], fault: Handler
) -> None:
    """Such as a DAG all of whose tasks use one table that Atlas cannot read; what it took before shows that Atlas works."""
    atlas = atlas_at()
    host = Host(tmp_path, atlas.url)
    host.put(task_run(task="before", dag="b", outputs=[dataset("db.s.b")]))
    assert host.send(None).outcome == "done"
    host.batch_size = 10
    for number in range(4):
        host.put(task_run(task=f"poison{number}", dag="p", seconds=number, outputs=[dataset("db.s.poison")]))
    for number in range(4):
        host.put(task_run(task=f"a{number}", dag="a", seconds=10 + number, outputs=[dataset("db.s.a")]))
    poison_look_ups(atlas, fault)
    report = host.send(None)
    assert (report.outcome, report.events, report.dead) == ("done", 16, 4), report.reason
    assert len(atlas.catalog.search("mlgov_task_run")) == 5


@FAILS_AT_ONE
def test_who_cannot_be_looked_up_within_a_budget_does_not_keep_others_from_it(
    tmp_path: Path, atlas_at: Callable[..., HostileAtlas], fault: Handler
) -> None:
    """Each look-up of it takes half of the time that there is; the oldest of all, and in one parcel with them."""
    atlas, host = one_parcel(tmp_path, atlas_at)
    host.put(task_run(task="before", dag="before"))
    assert host.send(None).outcome == "done"
    for number, name in enumerate(("poison", "a", "b", "c")):
        host.put(task_run(task=name, dag=name, seconds=10 + number))

    def slowly(client: socket.socket, request: str) -> None:
        time.sleep(1.0)
        fault(client, request)

    poison_look_ups(atlas, slowly)
    end = time.monotonic() + 120
    while host.spool.counts().waiting and time.monotonic() < end:
        host.send(2.5, despite_breaker=True)
    assert len(atlas.catalog.search("mlgov_task_run")) == 4
    assert host.spool.counts() == Counts(waiting=0, dead=1, odd=0)


@pytest.mark.parametrize("status", ["400 Bad Request", "403 Forbidden", "404 Not Found", "200 OK"])
@pytest.mark.parametrize("call", ["look-up", "write"])
def test_a_page_of_a_proxy_that_dislikes_one_name_blocks_nothing(
    tmp_path: Path, atlas_at: Callable[..., HostileAtlas], status: str, call: str
) -> None:
    atlas, host = one_parcel(tmp_path, atlas_at)
    for number, name in enumerate(("a", "poison", "b")):
        host.put(task_run(task=name, dag=name, seconds=10 * number, outputs=[dataset(f"db.s.{name}")]))
    page = answer(status, HTML, "text/html")

    def in_the_body(client: socket.socket, request: str) -> None:
        if "poison" in request:
            page(client, request)
        else:
            atlas.handle_well(client, request)

    if call == "look-up":
        poison_look_ups(atlas, page)
    else:
        atlas.fault, atlas.wanted = in_the_body, the_write
    report = host.send(None)
    assert (report.outcome, report.events, report.dead) == ("done", 6, 1), report.reason
    assert len(atlas.catalog.search("mlgov_task_run")) == 2
    atlas.fault, atlas.wanted = page, lambda method, path: True
    host.spool.retry()
    atlas.met = 0
    assert host.send(None).outcome == "unavailable"  # of a page for everything nobody is to blame
    assert (host.spool.counts().waiting, host.spool.counts().dead) == (2, 0)
    assert atlas.met <= 4


def test_who_is_sent_again_to_show_that_the_catalogue_takes_any_loses_nothing(
    tmp_path: Path, atlas_at: Callable[..., HostileAtlas]
) -> None:
    """What its events come to may be otherwise by now, as by another rule: that is for its own next event."""
    atlas, host = one_parcel(tmp_path, atlas_at)
    events = task_run(task="a", dag="a", inputs=[dataset("db.s.in")], outputs=[dataset("db.s.x")])
    host.put(events)
    assert host.send(None).outcome == "done"
    before, key = content(atlas.catalog), run_key(events[-1])
    with closing(SenderState(host.spool.root / "sender.db")) as state, state.transaction():
        run = state.run(key)
        assert run is not None
        (outputs,) = run.state["outputs"].values()
        outputs["db.s.y"] = outputs.pop("db.s.x")
        state.save_run(key, run, ended=True)
    host.put(task_run(task="poison", dag="poison", seconds=10))
    poison_look_ups(atlas, answer("500 Server Error", "oops", "text/plain"))
    report = host.send(None)
    assert (report.outcome, report.dead) == ("done", 1)
    after = content(atlas.catalog)
    assert [ref for ref in before if before[ref] != after.get(ref) and ref[0] != "mlgov_task_run"] == []
    assert after.keys() == before.keys()


def test_what_somebody_deleted_does_not_come_back_to_show_that_the_catalogue_takes_any(
    tmp_path: Path, atlas_at: Callable[..., HostileAtlas]
) -> None:
    atlas, host = one_parcel(tmp_path, atlas_at)
    host.put(task_run(task="a", dag="a", outputs=[dataset("db.s.x", columns=2)]))
    assert host.send(None).outcome == "done"
    table = next(item["attributes"]["qualifiedName"] for item in atlas.catalog.search("rdbms_table"))
    atlas.catalog.delete("rdbms_table", table)
    host.put(task_run(task="poison", dag="poison", seconds=10))
    poison_look_ups(atlas, answer("500 Server Error", "oops", "text/plain"))
    report = host.send(None)
    assert (report.outcome, report.dead) == ("done", 1)
    assert atlas.catalog.search("rdbms_table") == []
    assert atlas.catalog.search("rdbms_column") == []


def test_an_outage_that_begins_in_the_middle_makes_no_dead_letters(
    tmp_path: Path, atlas_at: Callable[..., HostileAtlas], undisturbed: Any
) -> None:
    atlas = atlas_at()
    host = Host(tmp_path, atlas.url)
    host.knows_types()
    host.put(EVENTS)
    writes = 0

    def after_one(method: str, path: str) -> bool:
        nonlocal writes
        writes += the_write(method, path)
        return the_write(method, path) and writes > 1

    atlas.fault, atlas.wanted = answer("503 Service Unavailable", HTML, "text/html"), after_one
    report = host.send(None)
    assert (report.outcome, report.dead) == ("busy", 0), report.reason
    heals(host, atlas, undisturbed)


def test_an_atlas_that_breaks_off_in_the_middle_makes_no_dead_letters(
    tmp_path: Path, atlas_at: Callable[..., HostileAtlas], undisturbed: Any
) -> None:
    """Entities are written one by one, as after a night of calls that were not answered."""
    atlas = atlas_at()
    host = Host(tmp_path, atlas.url)
    host.knows_types()
    host.batch_size = 1
    host.put(EVENTS)
    writes = 0

    def third(method: str, path: str) -> bool:
        nonlocal writes
        writes += the_write(method, path)
        return the_write(method, path) and writes == 3

    atlas.fault, atlas.wanted = close(""), third
    report = host.send(None)
    assert writes == 3
    assert (report.outcome == "done", report.dead) == (False, 0), report.reason
    heals(host, atlas, undisturbed)


@pytest.mark.parametrize("status", ["413 Request Entity Too Large", "414 URI Too Long"])
def test_a_proxy_for_which_every_write_is_too_large_makes_no_dead_letters(
    tmp_path: Path, atlas_at: Callable[..., HostileAtlas], status: str, undisturbed: Any
) -> None:
    atlas, host = one_parcel(tmp_path, atlas_at)
    host.put(EVENTS)
    atlas.fault, atlas.wanted = answer(status, HTML, "text/html"), the_write
    report = host.send(None)
    assert (report.outcome, report.events, report.dead) == ("unavailable", 0, 0)
    assert "is too large for what stands before it" in str(report.reason)
    assert host.spool.counts() == Counts(waiting=len(EVENTS), dead=0, odd=0)
    assert host.opening is not None
    heals(host, atlas, undisturbed)


@pytest.mark.parametrize("all_of_them", [True, False])
def test_what_needs_more_memory_than_there_is_waits_and_the_others_go_past(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, all_of_them: bool
) -> None:
    """It is no run's fault: another moment, or a larger process, has more."""

    def translating(state: Any, *more: Any) -> Any:
        if all_of_them or "task_a" in str(state):
            raise MemoryError
        return translate(state, *more)

    catalog, host = EmbeddedCatalog(tmp_path / "catalog.db"), Host(tmp_path, "unused")
    for task in ("task_a", "task_b"):
        host.put(task_run(task=task))
    monkeypatch.setattr("airflow_provider_mlgov.delivery.runs.translate", translating)
    report = Sender(host.spool, lambda: catalog, OPTIONS).send()
    assert (report.outcome, report.events) == ("spool", 0 if all_of_them else 2)
    assert "(this process has too little memory for it)" in str(report.reason)
    assert host.spool.counts() == Counts(waiting=4 if all_of_them else 2, dead=0, odd=0)


@pytest.mark.parametrize("written", range(5))
def test_a_proxy_that_begins_to_refuse_in_the_middle_makes_no_dead_letters(
    tmp_path: Path, atlas_at: Callable[..., HostileAtlas], written: int, undisturbed: Any
) -> None:
    atlas = atlas_at()
    host = Host(tmp_path, atlas.url)
    host.batch_size = 5
    host.put(EVENTS)
    refuse, left = answer("413 Request Entity Too Large", HTML, "text/html"), [written]

    def fault(client: socket.socket, request: str) -> None:
        if not left[0]:
            refuse(client, request)
            return
        left[0] -= 1
        atlas.handle_well(client, request)

    atlas.fault, atlas.wanted = fault, the_write
    report = host.send(None)
    assert (report.outcome, report.dead) == ("unavailable", 0)
    heals(host, atlas, undisturbed)


@pytest.mark.parametrize("all_of_them", [True, False])
def test_what_needs_more_memory_for_sending_waits_and_the_others_go_past(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, all_of_them: bool
) -> None:
    catalog, host = EmbeddedCatalog(tmp_path / "catalog.db"), Host(tmp_path, "unused")
    for task in ("task_a", "task_b", "task_c"):
        host.put(task_run(task=task))
    original = CatalogSink.deliver

    def delivering(sink: CatalogSink, parcel: Any, deadline: Any) -> Any:
        if all_of_them or any("task_a" in entity.qualified_name for entity in parcel.entities):
            raise MemoryError
        return original(sink, parcel, deadline)

    monkeypatch.setattr(CatalogSink, "deliver", delivering)
    report = Sender(host.spool, lambda: catalog, OPTIONS).send()
    assert (report.outcome, report.events) == (("unavailable", 0) if all_of_them else ("spool", 4))
    assert "memory" in str(report.reason)
    assert host.spool.counts() == Counts(waiting=6 if all_of_them else 2, dead=0, odd=0)
