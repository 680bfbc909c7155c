"""Hosts that send their events to a receiver: nothing is lost, whatever it answers, and nothing is given up too early."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_mlgov.delivery.forward import Forwarder
from airflow_provider_mlgov.delivery.outbox import Outbox
from airflow_provider_mlgov.delivery.spool import Spool
from airflow_provider_mlgov.lineage import receiver
from airflow_provider_mlgov.lineage.tokens import Tokens
from odd_receivers import Answer, event, filled, refused, runs, whole
from serving import served


class World:
    """A host with a spool, and a receiver on another one."""

    def __init__(self, folder: Path) -> None:
        self.spool = Spool(folder / "here")
        self.there = Spool(folder / "there")
        self.tokens = Tokens(folder / "tokens.json")
        self.token = self.tokens.add("worker", airflow=True, own_facets=True)
        self.app = receiver.create_app(self.tokens, Outbox(self.there), lambda: None)
        self.url = ""

    def forwarder(self, **more: Any) -> Forwarder:
        return Forwarder(self.spool, **{"url": self.url, "token": self.token.token, "breaker_interval": 0.001, **more})


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path)
    with served(made.app) as made.url:
        yield made


def test_events_arrive_and_leave_the_spool(world: World) -> None:
    facets = {"mlgov_airflow": {"dagId": "d", "runId": "r"}, "mlgov_ml": {"a": 1}}
    world.spool.append({**event(0), "run": {"runId": "0", "facets": facets}})
    for number in range(1, 450):
        world.spool.append(event(number))
    report = world.forwarder().send()
    assert (report.outcome, report.events, report.dead) == ("done", 450, 0)
    assert not world.spool.waiting()
    assert sorted(map(int, runs(world.there))) == list(range(450))
    first = world.there.read(world.there.waiting()[0])
    assert first is not None
    assert first["run"]["facets"] == facets
    assert world.forwarder().send().outcome == "nothing"


def test_what_was_received_from_somebody_else_stays_his(world: World) -> None:
    """A receiver may forward too: who sent it may not speak for Airflow there either."""
    Outbox(world.spool).put(event(1), foreign=True)
    world.forwarder().send()
    found = world.there.read(world.there.waiting()[0])
    assert found is not None
    assert found["foreign"] is True


def test_a_wrong_token_costs_nothing_but_time(world: World) -> None:
    world.spool.append(event(1))
    report = world.forwarder(token="wrong").send()
    assert report.outcome == "unavailable"
    assert "401" in str(report.reason)
    assert "wrong" not in str(report.reason).replace("a wrong one", "")
    time.sleep(0.01)
    assert world.forwarder().send().events == 1


def test_a_token_without_a_right_costs_nothing_but_time(world: World) -> None:
    plain = world.tokens.add("plain")
    world.spool.append({**event(1), "run": {"runId": "1", "facets": {"mlgov_airflow": {"dagId": "d"}}}})
    world.spool.append(event(2))
    report = world.forwarder(token=plain.token).send()
    assert report.outcome == "unavailable"
    assert "--airflow" in str(report.reason)
    assert runs(world.there) == ["2"]
    assert runs(world.spool) == ["1"]
    assert not world.spool.dead_letters()


def test_others_go_past_what_a_right_is_missing_for(world: World) -> None:
    """Also past more than a batch of them, in one send; each is tried again, and gone when the right is there."""
    plain = world.tokens.add("plain")
    refused = {"facets": {"mlgov_airflow": {"dagId": "d"}}}
    for number in range(250):
        world.spool.append({**event(number), "run": {"runId": str(number), **(refused if number < 210 else {})}})
    for _ in range(9):
        report = world.forwarder(token=plain.token).send(despite_breaker=True)
        assert report.outcome == "unavailable"
        assert "210 that wait" in str(report.reason)
        assert "--airflow" in str(report.reason)
        assert world.forwarder().breaker.opening() is None
        assert len(world.spool.waiting()) == 210
    assert world.there.counts().waiting == 40
    world.spool.append(event(1000))
    report = world.forwarder(token=plain.token, breaker_interval=600.0).send(despite_breaker=False)
    assert (report.events, len(world.spool.waiting())) == (1, 210)
    assert world.forwarder().send(despite_breaker=True).outcome == "done"
    assert not world.spool.waiting()
    assert not (world.spool.root / "refused.json").exists()


def test_what_was_refused_rests_for_a_while(
    tmp_path: Path, answering: Callable[[Answer], str], caplog: pytest.LogCaptureFixture
) -> None:
    seen: list[list[str]] = []

    def answer(events: list[Any]) -> tuple[Any, ...]:
        seen.append([event["run"]["runId"] for event in events])
        return (200, refused(events, status=403) if "0" in seen[-1] else whole(events))

    spool = filled(tmp_path)
    url = answering(answer)
    assert Forwarder(spool, url, "token").send().outcome == "unavailable"
    spool.append(event(9))
    report = Forwarder(spool, url, "token").send()
    assert (report.outcome, report.events, "1 that wait" in str(report.reason)) == ("open", 1, True)
    assert Forwarder(spool, url, "token").send().outcome == "open"
    assert seen == [["0", "1", "2"], ["9"]]
    assert caplog.text.count("Other events go past") == 1
    (tmp_path / "refused.json").write_text("damaged")
    assert Forwarder(spool, url, "token").send().outcome == "unavailable"
    assert seen[2:] == [["0"]]


def test_a_receiver_that_refuses_all_is_left_alone(tmp_path: Path, answering: Callable[[Answer], str]) -> None:
    calls: list[int] = []

    def answer(events: list[Any]) -> tuple[Any, ...]:
        calls.append(len(events))
        items = [{"index": index, "reason": "no", "status": 403} for index in range(len(events))]
        return (200, {"summary": {"received": len(events), "failed": len(events)}, "failed_events": items})

    spool = Spool(tmp_path)
    for number in range(1300):
        spool.append(event(number))
    forwarder = Forwarder(spool, answering(answer), "token")
    assert (forwarder.send().outcome, len(calls)) == ("unavailable", 5)
    assert forwarder.breaker.opening() is not None
    assert (forwarder.send().outcome, len(calls)) == ("open", 5)
    assert len(spool.waiting()) == 1300


def test_what_neither_goes_nor_can_be_sent_ends_with_the_budget(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    forwarder = Forwarder(filled(tmp_path), "http://127.0.0.1:9", "token")
    monkeypatch.setattr(Spool, "read", lambda *_: None)
    assert forwarder.send(0.2).outcome == "budget"


def test_what_the_receiver_cannot_take_becomes_a_dead_letter(world: World) -> None:
    world.spool.append({"eventTime": "never"})
    world.spool.append(event(2))
    report = world.forwarder().send()
    assert (report.outcome, report.events, report.dead) == ("done", 2, 1)
    (letter,) = world.spool.dead_letters()
    assert "the receiver refused it: eventTime" in letter.reason
    assert runs(world.there) == ["2"]


def test_a_batch_that_is_too_large_goes_in_halves(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    for number, size in enumerate((1, 1, 60_000, 1)):
        world.spool.append(event(number, size))
    monkeypatch.setattr(receiver, "BODY_LIMIT", 30_000)
    report = world.forwarder().send()
    assert (report.outcome, report.events, report.dead) == ("done", 4, 1)
    assert sorted(runs(world.there)) == ["0", "1", "3"]
    assert "more than 30000 bytes" in world.spool.dead_letters()[0].reason


def test_a_receiver_that_is_away_and_comes_back(world: World) -> None:
    world.spool.append(event(1))
    report = world.forwarder(url="http://127.0.0.1:9").send()
    assert report.outcome == "unavailable"
    assert "is `mlgov receive` running there?" in str(report.reason)
    assert world.forwarder(breaker_interval=60.0).breaker.opening() is not None
    time.sleep(0.01)
    assert world.forwarder().send().outcome == "done"
    assert world.forwarder().breaker.opening() is None


@pytest.mark.parametrize(
    ("answer", "outcome", "left"),
    [
        (lambda events: (200, whole(events)), "done", 0),
        (lambda _: (200, b"<html>log in</html>"), "unavailable", 3),
        (lambda _: (200, {}), "unavailable", 3),
        (lambda events: (200, whole(events[1:])), "unavailable", 3),
        (lambda events: (200, {**whole(events), "failed_events": [{"index": 7}]}), "unavailable", 3),
        (lambda events: (200, {**whole(events), "failed_events": "none"}), "unavailable", 3),
        (lambda events: (200, refused(events, retriable=True)), "unavailable", 1),
        (lambda events: (200, refused(events, status=500)), "unavailable", 1),
        (lambda _: (302, {}), "unavailable", 3),
        (lambda _: (404, {"error": "no such page"}), "unavailable", 3),
        (lambda _: (429, {}), "busy", 3),
        (lambda _: (500, {"error": "bug"}), "unavailable", 3),
        (lambda _: (503, {"error": "the disk is full"}), "busy", 3),
        (lambda _: (503, {}, ("Retry-After", "Mon, 01 Jan 2020 00:00:00 +999999999999999999999")), "busy", 3),
    ],
)
def test_only_a_receivers_word_lets_an_event_go(
    tmp_path: Path, answering: Callable[[Answer], str], answer: Answer, outcome: str, left: int
) -> None:
    spool = Spool(tmp_path)
    for number in range(3):
        spool.append(event(number))
    assert Forwarder(spool, answering(answer), "token").send().outcome == outcome
    assert len(spool.waiting()) == left
    assert not spool.dead_letters()


def later(*seconds: str) -> Answer:
    """Answers 429 with each ``Retry-After`` once, then takes everything."""
    left = list(seconds)
    return lambda events: (429, {}, ("Retry-After", left.pop(0))) if left else (200, whole(events))


def test_a_receiver_that_says_when_is_waited_for_within_the_budget(
    tmp_path: Path, answering: Callable[[Answer], str]
) -> None:
    slept: list[float] = []
    forwarder = Forwarder(filled(tmp_path), answering(later("0.2", "1")), "token", sleep=slept.append)
    assert forwarder.send(5.0).outcome == "done"
    assert slept == [0.2, 1.0]
    assert forwarder.breaker.opening() is None


@pytest.mark.parametrize(("seconds", "budget"), [("20", 5.0), ("45", None)])
def test_what_takes_longer_waits_for_the_next_send_and_the_breaker_knows(
    tmp_path: Path, answering: Callable[[Answer], str], seconds: str, budget: float | None
) -> None:
    slept: list[float] = []
    forwarder = Forwarder(
        filled(tmp_path), answering(later(seconds)), "token", sleep=slept.append, breaker_interval=1.0
    )
    began = time.time()
    assert forwarder.send(budget).outcome == "busy"
    assert not slept
    opening = forwarder.breaker.opening()
    assert opening is not None
    assert opening.until >= began + float(seconds)
    assert forwarder.send(5.0).outcome == "open"
    assert forwarder.send(5.0, despite_breaker=True).outcome == "done"


def test_a_receiver_that_only_puts_off_is_left_alone(tmp_path: Path, answering: Callable[[Answer], str]) -> None:
    slept: list[float] = []
    forwarder = Forwarder(filled(tmp_path), answering(later(*["0"] * 9)), "token", sleep=slept.append)
    assert forwarder.send(60.0).outcome == "busy"
    assert len(slept) == 4


def test_a_receiver_that_never_answers_keeps_to_the_budget(tmp_path: Path) -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
        report = Forwarder(filled(tmp_path), url, "token").send(2.5)
    assert report.outcome == "unavailable"
    assert "cannot be reached (" in str(report.reason)
    assert len(Spool(tmp_path).waiting()) == 3


def test_what_did_not_get_through_is_tried_in_smaller_parts(tmp_path: Path, answering: Callable[[Answer], str]) -> None:
    """A receiver whose disk is slow never answers a large batch in time."""
    sizes: list[int] = []

    def slow(events: list[Any]) -> tuple[Any, ...]:
        sizes.append(len(events))
        return (200, whole(events)) if len(events) <= 60 else (504, {})

    spool = Spool(tmp_path)
    for number in range(210):
        spool.append(event(number))
    forwarder = Forwarder(spool, answering(slow), "token", breaker_interval=0.001)
    outcomes = []
    while spool.has_waiting():
        outcomes.append(forwarder.send(60.0, despite_breaker=True).outcome)
    assert outcomes == ["done"]
    assert len(sizes) < 20
    assert sum(size > 60 for size in sizes) < 5
