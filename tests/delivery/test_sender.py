"""The sender with a sink that records: reading, grouping, acknowledging, dead letters, failures of the catalogue as a whole."""

import logging
import multiprocessing
import sqlite3
import threading

import pytest

from airflow_provider_mlgov.delivery.outbox import Outbox
from airflow_provider_mlgov.delivery.sender import Sender
from airflow_provider_mlgov.delivery.sinks.recording import RecordingSink
from airflow_provider_mlgov.delivery.sinks.sink import Delivered
from airflow_provider_mlgov.delivery.spool import Spool
from airflow_provider_mlgov.errors import (
    CatalogBusyError,
    CatalogUnavailableError,
    ConfigurationError,
    InvalidEventError,
    TypesConflictError,
)
from airflow_provider_mlgov.model.entity import Ref
from airflow_provider_mlgov.translate.events import run_key
from airflow_provider_mlgov.translate.options import TranslateOptions
from airflow_provider_mlgov.translate.reading import read_event
from delivery_events import dataset, run_id, task_event, task_run

OPTIONS = TranslateOptions(airflow_namespace="test")


@pytest.fixture
def spool(tmp_path):
    return Spool(tmp_path / "spool")


@pytest.fixture
def sink():
    return RecordingSink()


def sender(spool, sink, **more):
    return Sender(spool, lambda: sink, OPTIONS, **more)


def put(spool, events):
    outbox = Outbox(spool)
    for event in events:
        outbox.put(event)


def names(sink, type_name):
    return {ref.qualified_name for ref in sink.entities if ref.type_name == type_name}


def test_events_of_a_run_are_united_and_acknowledged(spool, sink):
    put(spool, task_run(inputs=[dataset("a.b.c")], outputs=[dataset("a.b.d")]))
    report = sender(spool, sink).send()
    assert (report.outcome, report.events, report.dead) == ("done", 2, 0)
    assert len(sink.parcels) == 1
    assert sink.entities[Ref("mlgov_task_run", "dags/shop/runs/r1/tasks/load/-1/1@test")].latest["state"] == "success"
    assert len(names(sink, "mlgov_task_process")) == 1
    assert spool.counts().waiting == 0
    assert sink.closed
    assert sender(spool, sink).send().outcome == "nothing"


def test_the_state_of_a_run_outlives_a_send(spool, sink):
    start, complete = task_run(inputs=[dataset("a.b.c")])
    for event in (start, task_event("RUNNING", outputs=[dataset("a.b.d")]), complete):
        put(spool, [event])
        sender(spool, sink).send()
    (process,) = [entity for entity in sink.entities.values() if entity.type_name == "mlgov_task_process"]
    assert set(process.relations) == {"inputs", "outputs"}
    assert len(sink.parcels) == 3


def test_ends_that_grow_give_the_old_process_up(spool, sink):
    put(spool, task_run(inputs=[dataset("a.b.c")], outputs=[dataset("a.b.d")]))
    sender(spool, sink).send()
    put(spool, [task_event("COMPLETE", seconds=6, inputs=[dataset("a.b.e")])])
    sender(spool, sink).send()
    (first,) = sink.parcels[0].runs[0].processes
    share = sink.parcels[1].runs[0]
    assert share.given_up == {first}
    assert first not in share.processes


def test_many_runs_go_in_parcels_of_about_one_batch(spool, sink):
    for number in range(30):
        put(spool, task_run(task=f"t{number}"))
    report = sender(spool, sink, batch_size=20).send()
    assert (report.events, report.outcome) == (60, "done")
    assert len(sink.parcels) > 1
    assert len(names(sink, "mlgov_task_run")) == 30


@pytest.mark.parametrize(
    "error",
    [CatalogUnavailableError("no route"), ConfigurationError("no namespace"), TypesConflictError("types differ")],
)
def test_an_unusable_catalogue_keeps_everything_and_opens_the_breaker(spool, sink, caplog, error):
    caplog.set_level(logging.INFO)
    put(spool, task_run())
    sink.failures.append(error)
    opened = sender(spool, sink).send()
    for _ in range(5):
        report = sender(spool, sink).send()
    assert (opened.outcome, opened.reason) == ("unavailable", str(error))
    assert (report.outcome, report.reason) == ("open", str(error))
    assert spool.counts() == type(spool.counts())(waiting=2, dead=0, odd=0)
    assert [record.getMessage() for record in caplog.records if str(error) in record.getMessage()] == [
        caplog.messages[0]
    ]
    (spool.root / "breaker.json").write_text("{}")
    assert sender(spool, sink).send().outcome == "done"


def test_the_factory_is_not_called_while_the_breaker_is_open_or_nothing_waits(spool):
    def factory():
        raise CatalogUnavailableError("no connection of that name")

    assert Sender(spool, factory, OPTIONS).send().outcome == "nothing"
    put(spool, task_run())
    assert Sender(spool, factory, OPTIONS).send().outcome == "unavailable"
    assert Sender(spool, lambda: pytest.fail("called"), OPTIONS).send().outcome == "open"


def test_by_hand_it_is_tried_though_the_breaker_is_open(spool, sink):
    put(spool, task_run())
    answers = [CatalogUnavailableError("password"), None]

    class Mended(RecordingSink):
        def deliver(self, parcel, deadline):
            if error := answers.pop(0):
                raise error
            return super().deliver(parcel, deadline)

    mended = sender(spool, Mended())
    assert [mended.send().outcome, mended.send().outcome] == ["unavailable", "open"]
    assert mended.send(despite_breaker=True).outcome == "done"
    assert mended.breaker.opening() is None


def test_after_the_interval_one_attempt_closes_the_breaker(spool, sink, caplog):
    caplog.set_level(logging.INFO)
    put(spool, task_run())
    sink.failures.append(CatalogUnavailableError("down"))
    assert sender(spool, sink, breaker_interval=0.0).send().outcome == "unavailable"
    assert sender(spool, sink, breaker_interval=0.0).send().outcome == "done"
    assert caplog.messages[-1].startswith("The catalogue is usable again")


def test_a_busy_catalogue_keeps_everything(spool, sink):
    put(spool, task_run())
    sink.failures.append(CatalogBusyError("overloaded"))
    assert sender(spool, sink).send().outcome == "busy"
    assert spool.counts().waiting == 2


def test_a_refused_part_goes_to_the_dead_letters_and_the_rest_is_delivered(spool):
    sink = RecordingSink(refuse=lambda entity: "bad column" if "c1" in entity.qualified_name else None)
    put(spool, task_run(outputs=[dataset("a.b.c", columns=2)]) + task_run(task="other"))
    report = sender(spool, sink).send()
    assert (report.outcome, report.events, report.dead) == ("done", 4, 1)
    (letter,) = spool.dead_letters()
    assert "bad column" in letter.reason
    assert len(letter.parts) == 1
    assert "c1" in letter.parts[0]
    good = RecordingSink()
    spool.retry()
    sender(spool, good).send()
    assert any("c1" in ref.qualified_name for ref in good.entities)


def test_a_poison_event_does_not_block_the_rest(spool, sink, monkeypatch):
    from airflow_provider_mlgov.delivery import runs

    translate = runs.translate

    def poisoned(state, options):
        if state["key"] == run_id("test", "shop", "r1", "poison", 1):
            raise RuntimeError("poison")
        return translate(state, options)

    monkeypatch.setattr(runs, "translate", poisoned)
    put(spool, task_run(task="poison") + task_run(task="good"))
    spool.append({"neither": "run nor job"})
    report = sender(spool, sink).send()
    assert (report.outcome, report.events, report.dead) == ("done", 5, 2)
    assert sorted(len(letter.events) for letter in spool.dead_letters()) == [1, 2]
    assert names(sink, "mlgov_task") == {"dags/shop/tasks/good@test"}


def break_at(sink, monkeypatch, name, error):
    """The sink raises ``error`` at each parcel with an entity of this ``name``."""
    deliver = sink.deliver

    def broken(parcel, deadline):
        if any(name in entity.qualified_name for entity in parcel.entities):
            raise error
        return deliver(parcel, deadline)

    monkeypatch.setattr(sink, "deliver", broken)


def test_a_bug_in_the_sink_costs_one_run_only(spool, sink, monkeypatch):
    break_at(sink, monkeypatch, "poison", KeyError("bug"))
    put(spool, task_run(task="poison") + task_run(task="good"))
    report = sender(spool, sink).send()
    assert (report.outcome, report.events, report.dead) == ("done", 4, 1)
    assert "KeyError" in spool.dead_letters()[0].reason


def test_a_bug_that_shows_last_costs_that_run_only(spool, sink, monkeypatch):
    break_at(sink, monkeypatch, "poison", KeyError("bug"))
    put(spool, task_run(task="good") + task_run(task="poison"))
    report = sender(spool, sink).send()
    assert (report.outcome, report.events, report.dead) == ("done", 4, 1)


@pytest.mark.parametrize(
    "error",
    [KeyError("guid"), RecursionError("too deep"), MemoryError(), RuntimeError("can't start new thread")],
    ids=["bug", "recursion", "memory", "threads"],
)
@pytest.mark.parametrize("taken", [0, 2])
def test_what_no_run_is_to_blame_for_keeps_everything(spool, sink, monkeypatch, error, taken):
    """At once, or after some were taken: nothing shows that it is the fault of those that were not."""
    deliver, calls = sink.deliver, []

    def breaks(parcel, deadline):
        if len(parcel.runs) > 1:
            raise KeyError("so they are sent one by one")
        calls.append(parcel)
        if len(calls) > taken:
            raise error
        return deliver(parcel, deadline)

    monkeypatch.setattr(sink, "deliver", breaks)
    for number in range(6):
        put(spool, task_run(task=f"t{number}"))
    report = sender(spool, sink).send()
    assert (report.outcome, report.dead) == ("unavailable", 0)
    assert type(error).__name__ in report.reason
    assert bool(report.events) is bool(taken)
    assert (spool.counts().waiting, spool.counts().dead) == (12 - report.events, 0)
    monkeypatch.setattr(sink, "deliver", deliver)
    assert sender(spool, sink).send(despite_breaker=True).outcome == "done"


def test_a_catalogue_that_is_busy_when_a_bug_is_looked_into_keeps_what_was_not_taken(spool, sink, monkeypatch):
    deliver, answers = sink.deliver, [KeyError("all"), None, KeyError("second"), CatalogBusyError("overloaded")]

    def breaks(parcel, deadline):
        if error := answers.pop(0) if answers else CatalogBusyError("overloaded"):
            raise error
        return deliver(parcel, deadline)

    monkeypatch.setattr(sink, "deliver", breaks)
    for number in range(3):
        put(spool, task_run(task=f"t{number}"))
    report = sender(spool, sink).send()
    assert (report.outcome, report.events, report.dead) == ("busy", 2, 0)
    assert "overloaded" in report.reason
    assert (spool.counts().waiting, answers) == (4, [])


@pytest.mark.parametrize(
    ("error", "outcome", "said"),
    [
        (MemoryError(), "spool", "too little memory for it"),
        (RuntimeError("can't start new thread"), "unavailable", "more threads"),
    ],
)
def test_a_machine_without_memory_or_threads_costs_no_run_though_others_are_taken(
    spool, sink, monkeypatch, error, outcome, said
):
    break_at(sink, monkeypatch, "t1", error)
    for number in range(3):
        put(spool, task_run(task=f"t{number}"))
    report = sender(spool, sink).send()
    assert (report.outcome, report.dead, spool.counts().dead) == (outcome, 0, 0)
    assert said in report.reason


def test_a_run_that_fails_unexpectedly_alone_waits_for_another(spool, sink, monkeypatch):
    break_at(sink, monkeypatch, "poison", KeyError("bug"))
    put(spool, task_run(task="poison"))
    assert sender(spool, sink).send().outcome == "unavailable"
    put(spool, task_run(task="good"))
    report = sender(spool, sink).send(despite_breaker=True)
    assert (report.outcome, report.events, report.dead) == ("done", 4, 1)


@pytest.mark.parametrize("together", [False, True])
def test_who_writes_nothing_does_not_show_that_the_catalogue_takes_anything(spool, sink, monkeypatch, together):
    deliver, nothing = sink.deliver, task_run(task="nothing")
    key = run_key(read_event(nothing[0]))
    monkeypatch.setattr(sink, "deliver", lambda parcel, deadline: Delivered())
    put(spool, nothing)
    if not together:
        assert sender(spool, sink).send().outcome == "done"

    def away(parcel, deadline):
        if {share.key for share in parcel.runs} == {key}:
            return Delivered()
        raise CatalogBusyError("503")

    monkeypatch.setattr(sink, "deliver", away)
    for number in range(3):
        put(spool, task_run(task=f"t{number}"))
    report = sender(spool, sink).send()
    assert (report.outcome, report.dead) == ("busy", 0)
    monkeypatch.setattr(sink, "deliver", deliver)
    assert sender(spool, sink).send(despite_breaker=True).outcome == "done"


def test_a_corrupt_file_does_not_block_the_rest(spool, sink):
    put(spool, task_run())
    spool.waiting()[0].write_bytes(b"\0\0")
    assert sender(spool, sink).send().events == 1
    assert spool.counts() == type(spool.counts())(waiting=0, dead=0, odd=1)


def test_a_malformed_event_is_refused_at_the_door(spool):
    with pytest.raises(InvalidEventError):
        Outbox(spool).put({"eventTime": "yesterday"})
    assert spool.counts().waiting == 0


def test_a_spool_that_cannot_be_used_is_one_line(tmp_path, sink, caplog):
    (tmp_path / "spool").mkdir()
    (tmp_path / "spool" / "new").write_text("a file")
    report = sender(Spool(tmp_path / "spool"), sink).send()
    assert report.outcome == "spool"
    assert len(caplog.records) == 1


def test_a_damaged_state_is_begun_anew(spool, sink, caplog):
    put(spool, task_run())
    (spool.root / "sender.db").write_bytes(b"no database" * 100)
    assert sender(spool, sink).send().outcome == "done"
    assert list(spool.root.glob("sender.db.damaged-*"))
    assert "begun anew" in caplog.text


def test_runs_are_forgotten_some_hours_after_their_end(spool, sink):
    put(spool, [*task_run(), task_event("START", task="open")])
    sender(spool, sink, keep_hours=-1).send()
    with sqlite3.connect(spool.root / "sender.db") as db:
        assert db.execute("SELECT count(*) FROM run").fetchone() == (0,)
    db.close()


def test_only_one_sends_and_it_looks_once_more(spool):
    entered, go_on = threading.Event(), threading.Event()

    class Slow(RecordingSink):
        def deliver(self, parcel, deadline):
            entered.set()
            assert go_on.wait(10)
            return super().deliver(parcel, deadline)

    slow, reports = Slow(), []
    put(spool, task_run())
    thread = threading.Thread(target=lambda: reports.append(sender(spool, slow).send()))
    thread.start()
    assert entered.wait(10)
    put(spool, task_run(task="late"))
    assert sender(spool, RecordingSink()).send().outcome == "locked"
    go_on.set()
    thread.join(10)
    assert reports[0].events == 4
    assert spool.counts().waiting == 0


def test_the_budget_ends_a_send_between_parcels(spool):
    class Slow(RecordingSink):
        def deliver(self, parcel, deadline):
            threading.Event().wait(0.2)
            return super().deliver(parcel, deadline)

    for number in range(20):
        put(spool, task_run(task=f"t{number}"))
    report = sender(spool, Slow(), batch_size=4).send(budget=0.5)
    assert report.outcome == "budget"
    assert 0 < report.events < 40
    assert spool.counts().waiting == 40 - report.events


def test_the_lock_is_free_after_a_fork(spool, sink):
    """A process forked while another thread sends must not inherit the lock."""
    with sender(spool, sink).exclusive() as held:
        assert held is sink
        process = multiprocessing.get_context("fork").Process(target=threading.Event().wait, args=(5,))
        process.start()
    try:
        put(spool, task_run())
        assert sender(spool, sink).send().outcome == "done"
    finally:
        process.terminate()
        process.join()


def test_operators_that_act_wait_for_the_sender(spool, sink):
    with sender(spool, sink).exclusive(), pytest.raises(CatalogBusyError), sender(spool, sink).exclusive(timeout=0.1):
        pass
