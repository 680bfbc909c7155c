"""Where one run fails before any other was taken, or a catalogue fails at every second call: nobody else is blamed, or blocked."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_mlgov.delivery.deadline import Deadline
from airflow_provider_mlgov.delivery.sinks.catalog_suspects import Suspects
from airflow_provider_mlgov.delivery.state import SenderState
from airflow_provider_mlgov.model.entity import Ref
from delivery_events import dataset
from failing_catalogs import ERRORS, RENAMED, Fault, Sending, any_error, changed, no_fault, poisonous


@any_error
@pytest.mark.parametrize("call", ["get_many", "write"])
def test_a_wide_run_that_is_the_first_of_a_host_blocks_nothing(
    tmp_path: Path, catalog: Any, error: Callable[[], Exception], call: str
) -> None:
    """One reading holds nothing but it, and no run was ever taken."""
    host = Sending(tmp_path, catalog)
    host.put(("poison", 120), *((f"t{number}", 2) for number in range(5)))
    catalog.fault = poisonous(call, error)
    assert host.send() == ("done", 0, 1)


@any_error
def test_a_host_whose_first_runs_all_fail_waits(tmp_path: Path, catalog: Any, error: Callable[[], Exception]) -> None:
    host = Sending(tmp_path, catalog)
    host.put(("a", 120), ("b", 120), ("c", 2))
    catalog.fault = lambda name, about: error() if name == "get_many" else None
    assert [host.send()[1:] for _ in range(3)] == [(6, 0)] * 3
    catalog.fault = no_fault
    assert host.send() == ("done", 0, 0)


def test_who_has_no_time_left_after_it_was_passed_over_is_told_what_failed(
    tmp_path: Path, catalog: Any, passing: Callable[[Any, float], None]
) -> None:
    """So the breaker knows it."""
    host = Sending(tmp_path, catalog)
    host.put(("a", 2))
    catalog.fault = lambda name, about: ERRORS["busy"]() if name == "get_many" else None
    passing(catalog, 2.0)
    assert host.send(5.0) == ("busy", 2, 0)


@any_error
def test_one_run_that_nothing_can_be_compared_with_waits(
    tmp_path: Path, catalog: Any, error: Callable[[], Exception]
) -> None:
    host = Sending(tmp_path, catalog)
    host.put(("poison", 2))
    catalog.fault = poisonous("get_many", error)
    assert [host.send()[1:] for _ in range(3)] == [(2, 0)] * 3
    host.put(("a", 2))
    assert host.send() == ("done", 0, 1)


@any_error
def test_who_is_read_with_nothing_but_poison_after_an_outage_is_delivered(
    tmp_path: Path, catalog: Any, error: Callable[[], Exception]
) -> None:
    host = Sending(tmp_path, catalog)
    host.put(("a", 60), ("poison", 60), ("b", 2), ("c", 2))
    catalog.fault = lambda name, about: ERRORS["forbidden"]() if name == "get_many" else None
    assert [host.send() for _ in range(2)] == [("unavailable", 8, 0)] * 2
    catalog.fault = poisonous("get_many", error)
    assert host.send() == ("done", 0, 1)


@pytest.mark.parametrize("error", ["page", "forbidden"])
def test_a_catalogue_that_fails_at_every_second_write_gets_all(tmp_path: Path, catalog: Any, error: str) -> None:
    """As where one of two servers behind a proxy is broken."""
    host, turn = Sending(tmp_path, catalog), itertools.count()
    host.put(("first", 2))
    assert host.send() == ("done", 0, 0)
    host.put(*((f"t{number}", 40) for number in range(6)))
    catalog.fault = lambda name, about: ERRORS[error]() if name == "write" and next(turn) % 2 == 0 else None
    assert host.send() == ("done", 0, 0)


@pytest.fixture
def passing(monkeypatch: pytest.MonkeyPatch) -> Callable[[Any, float], None]:
    """Lets each call of a catalogue take so many seconds of the time that a send has."""
    now = [time.monotonic()]
    monkeypatch.setattr(Deadline.__init__, "__defaults__", (lambda: now[0],))

    def take(catalog: Any, seconds: float) -> None:
        fault = catalog.fault

        def slow(name: str, about: str) -> Exception | None:
            now[0] += seconds
            found: Exception | None = fault(name, about)
            return found

        catalog.fault = slow

    return take


def no_right_to_columns(name: str, about: str) -> Exception | None:
    return ERRORS["forbidden"]() if name == "write" and "'rdbms_column'" in about else None


@pytest.mark.parametrize("is_busy", [False, True], ids=["alone", "beside new runs"])
@pytest.mark.parametrize("seconds", [0.05, 0.1, 0.2])
def test_a_user_who_may_not_write_one_type_gets_the_others_however_slow_the_catalogue_is(
    tmp_path: Path, catalog: Any, passing: Callable[[Any, float], None], seconds: float, is_busy: bool
) -> None:
    """What was refused is remembered by the next send, where one has not the time for all of it."""
    host = Sending(tmp_path, catalog)
    host.put(("first", 2))
    assert host.send() == ("done", 0, 0)
    host.put(("wide", 60), ("a", 0))
    catalog.fault = no_right_to_columns
    passing(catalog, seconds)
    for number in range(40):
        host.send(5.0)
        if is_busy and number < 10:
            host.put((f"new{number}", 0))
    assert (host.spool.has_waiting(), host.spool.counts().dead) == (False, 1)
    assert len(catalog.search("rdbms_table", limit=50)) == 3 + (10 if is_busy else 0)


def test_a_right_that_is_given_after_a_send_was_cut_off_counts_for_all(
    tmp_path: Path, catalog: Any, passing: Callable[[Any, float], None]
) -> None:
    host = Sending(tmp_path, catalog)
    host.put(("first", 2))
    assert host.send() == ("done", 0, 0)
    host.put(("wide", 60))
    catalog.fault = no_right_to_columns
    passing(catalog, 0.1)
    assert host.send(5.0) == ("budget", 2, 0)
    catalog.fault = no_fault
    assert host.send() == ("done", 0, 0)
    assert len(catalog.search("rdbms_column", limit=100)) == 62


def test_nothing_is_remembered_of_what_is_only_sent_again(tmp_path: Path, catalog: Any) -> None:
    host = Sending(tmp_path, catalog)
    host.put(("wide", 3))
    assert host.send() == ("done", 0, 0)
    host.put(("poison", 2))

    def fault(name: str, about: str) -> Exception | None:
        return no_right_to_columns(name, about) or poisonous("get_many", ERRORS["page"])(name, about)

    catalog.fault = fault
    for _ in range(3):
        host.send()
    with closing(SenderState(host.spool.root / "sender.db")) as state:
        assert [state.fact(catalog.identity, name) for name in ("apart", "suspects", "forbidden")] == [None] * 3


def test_a_right_that_is_lost_and_given_back_costs_nothing(tmp_path: Path, catalog: Any) -> None:
    host, calls = Sending(tmp_path, catalog), itertools.count()
    host.put(*((f"t{number}", 30) for number in range(4)))
    catalog.fault = lambda name, about: ERRORS["forbidden"]() if name == "write" and next(calls) > 0 else None
    for _ in range(3):
        assert host.send()[2] == 0
    catalog.fault = no_fault
    assert host.send() == ("done", 0, 0)
    assert len(catalog.search("rdbms_column", limit=500)) == 120


@any_error
def test_what_a_catalogue_says_after_it_was_busy_counts(
    tmp_path: Path, catalog: Any, error: Callable[[], Exception]
) -> None:
    """As while Atlas starts behind a proxy."""
    host, calls = Sending(tmp_path, catalog), itertools.count()
    host.put(("a", 2), ("b", 2))
    catalog.fault = lambda name, about: ERRORS["busy"]() if next(calls) % 3 < 2 else error()
    assert [host.send()[1:] for _ in range(3)] == [(4, 0)] * 3
    assert "Assertion" not in host.reason
    catalog.fault = no_fault
    assert host.send() == ("done", 0, 0)


def fails_twice(call: str, about: str) -> Fault:
    """A call and its second try."""
    left = [2]

    def fault(name: str, told: str) -> Exception | None:
        if name == call and about in told and left[0]:
            left[0] -= 1
            return ERRORS["page"]()
        return None

    return fault


def test_who_gives_a_name_is_not_overtaken_by_who_uses_it(tmp_path: Path, catalog: Any) -> None:
    host = Sending(tmp_path, catalog)
    host.batch_size = 3
    for number, table in enumerate([RENAMED, dataset("db.s.new"), dataset("db.s.new")]):
        host.write(f"t{number}", table, 10 * number)
    catalog.fault = fails_twice("get_many", "tasks/t0/io")
    assert host.send() == ("unavailable", 6, 0)
    assert host.send() == ("done", 0, 0)


@any_error
def test_a_rename_that_fails_blocks_nobody_where_all_others_name_the_same(
    tmp_path: Path, catalog: Any, error: Callable[[], Exception]
) -> None:
    """As where every task swaps one table."""
    host = Sending(tmp_path, catalog)

    def put(*names: str) -> None:
        for name in names:
            host.write(name, RENAMED, 10 * next(places))

    places = itertools.count()
    put("t0", "t1", "t2")
    assert host.send() == ("done", 0, 0)
    put("poison", "t3", "t4")
    catalog.fault = poisonous("get_many", error)
    for _ in range(3):
        host.send()
    assert (host.spool.has_waiting(), host.spool.counts().dead) == (False, 1)


@any_error
@pytest.mark.parametrize("change", ["DROP", "RENAME"])
def test_a_change_that_fails_blocks_nobody_where_all_others_change_other_names(
    tmp_path: Path, catalog: Any, error: Callable[[], Exception], change: str
) -> None:
    """And none was ever taken."""
    host = Sending(tmp_path, catalog)
    for number in range(4):
        before = {"namespace": dataset("x")["namespace"], "name": f"db.s.before{number}"}
        table = changed(change, previousIdentifier=before, of=f"db.s.t{number}")
        host.write("poison" if number == 0 else f"t{number}", table, 10 * number)
    catalog.fault = poisonous("get_many", error)
    assert host.send() == ("done", 0, 1)


def test_a_right_to_one_type_counts_though_that_to_another_is_lacking(tmp_path: Path, catalog: Any) -> None:
    host = Sending(tmp_path, catalog)
    host.put(("first", 2))
    assert host.send() == ("done", 0, 0)
    host.put(("t", 15))
    table = "db.test:5432/db.s.t"
    columns = [Ref("rdbms_column", f"{table}.c{number}@primary") for number in range(15)]
    with closing(SenderState(host.spool.root / "sender.db")) as state:
        Suspects(state, catalog.identity).forbid([*columns, Ref("rdbms_table", f"{table}@primary")])
    catalog.fault = no_right_to_columns
    assert host.send() == ("done", 0, 1)
    assert len(catalog.search("rdbms_table")) == 2
    (letter,) = host.spool.dead_letters()
    assert {part.split(" ")[0] for part in letter.parts} == {"rdbms_column"}
    assert "no right" in letter.reason


def test_what_was_written_in_part_and_then_renamed_goes_when_that_is_dropped(tmp_path: Path, catalog: Any) -> None:
    """All of it is of days before: what the catalogue made only now was made by what is sent now."""
    host = Sending(tmp_path, catalog)
    for number, table in enumerate([dataset("db.s.old"), dataset("db.s.other"), RENAMED, changed("DROP")]):
        host.write(f"t{number}", table, 10 * number - 90_000)
    catalog.fault = fails_twice("write", "d/tasks/t0/io")
    host.batch_size = 3
    assert host.send() == ("done", 0, 0)
    names = [header["attributes"]["qualifiedName"] for header in catalog.search("rdbms_table")]
    assert names == ["db.test:5432/db.s.other@primary"]
