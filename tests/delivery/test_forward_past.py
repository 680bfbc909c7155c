"""One event at which a receiver fails waits, and the others go past it; where it takes none, all wait."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_mlgov.delivery import receiver_http
from airflow_provider_mlgov.delivery.forward import Forwarder
from airflow_provider_mlgov.delivery.refused import Refused
from airflow_provider_mlgov.delivery.spool import Spool
from odd_receivers import Answer, event, filled, poisoned, runs, whole


@pytest.mark.parametrize("count", [2, 5, 450])
@pytest.mark.parametrize(
    ("status", "said"),
    [
        (500, {"error": "bug"}),
        (403, b"<html>forbidden</html>"),
        (400, {"error": "no"}),
        (200, b"<html>rejected</html>"),
    ],
)
def test_others_go_past_one_event_that_does_not_get_through(
    tmp_path: Path, answering: Callable[[Answer], str], count: int, status: int, said: Any
) -> None:
    """It waits, is tried again as what a right is missing for, and goes when it is taken."""
    spool, poison, calls = Spool(tmp_path), {1}, list[int]()
    for number in range(count):
        spool.append(event(number))
    url = answering(poisoned(status, said, poison, calls))
    report = Forwarder(spool, url, "token").send()
    assert (report.outcome, report.events, report.dead, runs(spool)) == ("unavailable", count - 1, 0, ["1"])
    assert f"refuses 1 that wait, the last since it takes others, and answered {status}" in str(report.reason)
    assert len(calls) < 25
    assert Forwarder(spool, url, "token").breaker.opening() is None
    del calls[:]
    assert Forwarder(spool, url, "token").send().outcome == "open"
    assert calls == []
    assert Forwarder(spool, url, "token").send(despite_breaker=True).outcome == "unavailable"
    assert calls == [1]
    spool.append(event(1000))
    assert Forwarder(spool, url, "token").send().events == 1
    poison.clear()
    assert Forwarder(spool, url, "token").send(despite_breaker=True).outcome == "done"
    assert not spool.has_waiting()
    assert not (tmp_path / "refused.json").exists()


@pytest.mark.parametrize("count", [1, 1300])
@pytest.mark.parametrize("status", [200, 400, 401, 403, 404, 500])
def test_where_nothing_gets_through_everything_waits_and_few_calls_are_made(
    tmp_path: Path, answering: Callable[[Answer], str], count: int, status: int
) -> None:
    spool, calls = Spool(tmp_path), list[int]()
    for number in range(count):
        spool.append(event(number))
    forwarder = Forwarder(spool, answering(poisoned(status, {"error": "no"}, set(range(count)), calls)), "token")
    for _ in range(3):
        assert forwarder.send(despite_breaker=True).outcome == "unavailable"
    assert len(calls) <= 15
    assert forwarder.breaker.opening() is not None
    assert (len(spool.waiting()), spool.counts().dead) == (count, 0)
    assert not (tmp_path / "refused.json").exists()


def test_a_receiver_that_fails_in_the_middle_is_left_alone(tmp_path: Path, answering: Callable[[Answer], str]) -> None:
    spool, calls = Spool(tmp_path), list[int]()
    for number in range(600):
        spool.append(event(number))
    forwarder = Forwarder(spool, answering(poisoned(500, {}, set(range(200, 600)), calls)), "token")
    assert (forwarder.send().outcome, len(calls) < 20) == ("unavailable", True)
    assert forwarder.breaker.opening() is not None
    assert len(spool.waiting()) == 400


def test_many_that_do_not_get_through_do_not_hold_the_others(
    tmp_path: Path, answering: Callable[[Answer], str]
) -> None:
    """Such as all events of one DAG, whose SQL a firewall does not like: each send has a new chance."""
    spool, calls = Spool(tmp_path), list[int]()
    for number in range(120):
        spool.append(event(number))
    url = answering(poisoned(403, {}, set(range(60)), calls))
    for _ in range(30):
        Forwarder(spool, url, "token", breaker_interval=60.0).send(despite_breaker=True)
        if sorted(map(int, runs(spool))) == list(range(60)):
            break
    else:
        pytest.fail(f"{len(spool.waiting())} wait")
    calls.clear()
    report = Forwarder(spool, url, "token").send(despite_breaker=True)
    assert (report.outcome, report.dead, len(calls) < 20) == ("unavailable", 0, True)


@pytest.mark.parametrize("status", [0, 408, 429, 502, 503, 504])
@pytest.mark.parametrize("count", [2, 40])
def test_others_go_past_one_event_at_which_a_receiver_always_seems_busy(
    tmp_path: Path, answering: Callable[[Answer], str], count: int, status: int
) -> None:
    """Such as one that a gateway cuts off. A busy receiver is given time first, and smaller batches."""
    spool, poison, calls = Spool(tmp_path), {0}, list[int]()
    for number in range(count):
        spool.append(event(number))
    url = answering(poisoned(status, {}, poison, calls))
    outcomes = []
    while len(spool.waiting()) > 1 and len(outcomes) < 10:
        forwarder = Forwarder(spool, url, "token", breaker_interval=0.001)
        outcomes.append(forwarder.send(despite_breaker=True).outcome)
    assert runs(spool) == ["0"]
    assert outcomes[:-1] == [outcomes[0]] * (len(outcomes) - 1)
    spool.append(event(1000))
    assert Forwarder(spool, url, "token").send().events == 1
    poison.clear()
    assert Forwarder(spool, url, "token").send(despite_breaker=True).outcome == "done"
    assert not spool.has_waiting()


@pytest.mark.parametrize("status", [0, 502])
@pytest.mark.parametrize("count", [1, 40])
def test_a_receiver_that_is_busy_for_all_is_to_blame(
    tmp_path: Path, answering: Callable[[Answer], str], count: int, status: int
) -> None:
    spool, calls = Spool(tmp_path), list[int]()
    for number in range(count):
        spool.append(event(number))
    url = answering(poisoned(status, {}, set(range(count)), calls))
    for _ in range(12):
        Forwarder(spool, url, "token", breaker_interval=0.001).send(despite_breaker=True)
    assert len(spool.waiting()) == count
    assert len(calls) <= 36
    assert Forwarder(spool, url, "token").breaker.opening() is not None
    assert not Refused(tmp_path).names


@pytest.mark.parametrize("poison", [{0}, {0, 3, 4}])
def test_others_go_past_one_event_that_is_held_longer_than_a_send_takes(
    tmp_path: Path, answering: Callable[[Answer], str], poison: set[int]
) -> None:
    """Such as by a gateway that waits a minute for what crashed on it: what got no answer alone is the last of the next send."""
    spool, gone = Spool(tmp_path), threading.Event()
    for number in range(6):
        spool.append(event(number))

    def slow(events: list[Any]) -> tuple[Any, ...]:
        if poison & {int(each["run"]["runId"]) for each in events}:
            gone.wait(20)
            return (504, {})
        return (200, whole(events))

    url, sends = answering(slow), 0
    while len(spool.waiting()) > len(poison) and sends < 10:
        Forwarder(spool, url, "token", breaker_interval=0.001).send(2.5, despite_breaker=True)
        sends += 1
    assert {int(run) for run in runs(spool)} == poison
    assert sends < 10
    gone.set()


@pytest.mark.parametrize(
    "answer",
    [
        (429, {}, ("Retry-After", "300")),
        (503, {}, ("Retry-After", "300")),
        (401, {"error": "no"}),
        (500, {"error": "no"}),
    ],
)
def test_what_a_receiver_says_to_what_was_refused_counts(
    tmp_path: Path, answering: Callable[[Answer], str], answer: tuple[Any, ...]
) -> None:
    spool, seen = Spool(tmp_path), list[int]()
    for number in range(40):
        spool.append(event(number))
    Forwarder(spool, answering(poisoned(400, {"error": "no"}, {0, 1, 2, 3}, [])), "token").send()

    def saying(events: list[Any]) -> tuple[Any, ...]:
        seen.append(len(events))
        return answer

    forwarder = Forwarder(spool, answering(saying), "token")
    forwarder.send(despite_breaker=True)
    assert len(spool.waiting()) == 4
    assert (forwarder.breaker.opening() is None) is (answer[0] == 500)
    assert seen == [1] * {500: 4, 401: 3}.get(answer[0], 1)


def test_what_was_refused_goes_though_one_of_it_never_does(tmp_path: Path, answering: Callable[[Answer], str]) -> None:
    spool, poison, calls = Spool(tmp_path), {0, 1, 2, 3}, list[int]()
    for number in range(9):
        spool.append(event(number))
    Forwarder(spool, answering(poisoned(400, {"error": "no"}, poison, calls)), "token").send()
    assert sorted(runs(spool)) == ["0", "1", "2", "3"]
    Forwarder(spool, answering(poisoned(502, {}, {2}, calls)), "token").send(despite_breaker=True)
    assert runs(spool) == ["2"]


@pytest.mark.parametrize("of_receiver", [True, False])
def test_who_says_that_an_event_is_too_large(
    tmp_path: Path, answering: Callable[[Answer], str], of_receiver: bool
) -> None:
    """The receiver's word is final. A proxy's may be about all, or change."""
    said: Any = (
        {"error": "the body has more than 9 bytes", "mlgov_limit": 9}
        if of_receiver
        else {"error": "too large", "limit": 9}
    )
    calls = list[int]()
    spool = filled(tmp_path / "one")
    report = Forwarder(spool, answering(poisoned(413, said, {1}, calls)), "token").send()
    assert (report.events, report.dead, runs(spool)) == ((3, 1, []) if of_receiver else (2, 0, ["1"]))
    spool = filled(tmp_path / "all")
    report = Forwarder(spool, answering(poisoned(413, said, {0, 1, 2}, calls)), "token").send()
    assert (report.outcome, report.dead) == (("done", 3) if of_receiver else ("unavailable", 0))
    assert len(spool.waiting()) == (0 if of_receiver else 3)


@pytest.mark.parametrize(
    ("status", "headers"),
    [(301, ()), (302, ()), (401, ()), (404, ()), *((status, ("Retry-After", "0")) for status in (429, 503))],
)
def test_others_go_past_one_event_of_which_is_said_what_is_said_of_all(
    tmp_path: Path, answering: Callable[[Answer], str], status: int, headers: tuple[str, ...]
) -> None:
    """Such as a firewall that answers to one body with a redirect, or asks to come again."""
    spool = Spool(tmp_path)
    for number in range(20):
        spool.append(event(number))

    def answer(events: list[Any]) -> tuple[Any, ...]:
        is_poison = any(event["run"]["runId"] == "0" for event in events)
        return (status, {}, *([headers] if headers else [])) if is_poison else (200, whole(events))

    url = answering(answer)
    for number in range(100, 112):
        spool.append(event(number))
        Forwarder(spool, url, "token", sleep=lambda _: None).send(despite_breaker=True)
    assert runs(spool) == ["0"]
    spool.append(event(1000))
    assert Forwarder(spool, url, "token").send().events == 1


def test_who_takes_some_is_not_paused_as_one_who_never_took_any(
    tmp_path: Path, answering: Callable[[Answer], str]
) -> None:
    """After a night of failures the backlog takes several sends: a trouble between them is a new one."""
    spool, works = Spool(tmp_path), [False]
    for number in range(500):
        spool.append(event(number))

    def answer(events: list[Any]) -> tuple[Any, ...]:
        is_late = any(int(event["run"]["runId"]) >= 300 for event in events)
        return (200, whole(events)) if works[0] and not is_late else (500, {})

    forwarder = Forwarder(spool, answering(answer), "token", breaker_interval=60.0)
    for _ in range(5):
        forwarder.send(despite_breaker=True)
    opening = forwarder.breaker.opening()
    assert opening is not None
    assert opening.failures == 5
    works[0] = True
    report = forwarder.send(despite_breaker=True)
    assert (report.outcome, 0 < report.events < 500) == ("unavailable", True)
    opening = forwarder.breaker.opening()
    assert opening is not None
    assert opening.failures == 1


@pytest.mark.parametrize("name", ["refused.json", "breaker.json", "results.json"])
@pytest.mark.parametrize(
    "content",
    [
        '{"v": 1, "names": [], "reason": "", "until": NaN, "pause": 1e999, "since": 1, "failures": 1e999}',
        '{"v": 1, "suspects": [], "suspected": Infinity, "pace": {"size": "x"}, "destinations": {"receiver": 3}}',
        '{"v": 1, "suspects": [], "suspected": 0, "pace": {"size": -5, "patience": 0, "answered": -1, "grew": 7}}',
        '{"v": 1, "until": 1e400, "failures": 1e400, "since": 0, "reason": 3, "destinations": []}',
        '{"v": 1, "names": ' + "[" * 100_000,
        "[" * 100_000,
    ],
)
def test_a_file_beside_the_spool_that_is_damaged_holds_nothing(
    tmp_path: Path, answering: Callable[[Answer], str], name: str, content: str
) -> None:
    spool = filled(tmp_path)
    (tmp_path / name).write_text(content)
    forwarder = Forwarder(spool, answering(lambda events: (200, whole(events))), "token")
    report = forwarder.send()
    assert (report.outcome, report.events) == ("done", 3)
    assert forwarder.send().outcome == "nothing"


def test_a_machine_that_lacks_threads_or_memory_keeps_what_waits(
    tmp_path: Path, answering: Callable[[Answer], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    spool = filled(tmp_path)
    forwarder = Forwarder(spool, answering(lambda events: (200, whole(events))), "token")

    def no_thread(_: object) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", no_thread)
        report = forwarder.send()
    assert (report.outcome, "more threads" in str(report.reason)) == ("unavailable", True)

    compress = receiver_http.gzip.compress

    def small(content: bytes, level: int) -> bytes:
        if b'"runId":"1"' in content:
            raise MemoryError
        return compress(content, level)

    monkeypatch.setattr(receiver_http.gzip, "compress", small)
    report = forwarder.send(despite_breaker=True)
    assert (report.outcome, report.events) == ("spool", 2)
    assert "too little memory" in str(report.reason)
