"""Forwarding to a receiver that misbehaves."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from airflow_provider_mlgov.delivery.draining import SendReport
from airflow_provider_mlgov.delivery.forward import Forwarder
from airflow_provider_mlgov.delivery.outbox import Outbox
from airflow_provider_mlgov.delivery.spool import Spool
from fake_atlas import FakeServer, Handler, answer, bomb, packed
from hostile_hosts import BUDGET, EVENTS, SLACK, drip, drip_headers, hang


class Receiver:
    """What takes the events of another host, and misbehaves."""

    def __init__(self, *handlers: Handler) -> None:
        self.server = FakeServer(*handlers)

    def forward(self, spool: Spool, budget: float) -> tuple[SendReport, Forwarder]:
        forwarder = Forwarder(spool, self.server.url, "token")
        began = time.monotonic()
        report = forwarder.send(budget, despite_breaker=True)
        assert time.monotonic() - began < budget + SLACK
        return report, forwarder


@pytest.mark.parametrize("fault", [hang, drip, drip_headers])
def test_a_slow_receiver_costs_one_budget(tmp_path: Path, fault: Handler) -> None:
    spool = Spool(tmp_path / "spool")
    for event in EVENTS:
        Outbox(spool).put(event)
    receiver = Receiver(fault)
    report, forwarder = receiver.forward(spool, BUDGET)
    receiver.server.close()
    assert report.outcome in ("busy", "unavailable")
    assert forwarder.breaker.opening() is not None
    assert spool.counts().waiting == len(EVENTS)


@pytest.mark.parametrize(
    ("fault", "says"), [(packed("200 OK", bomb(30)), "more than 1 MB"), (answer("200 OK", "[" * 100_000), "no JSON")]
)
def test_an_answer_that_does_not_fit_into_memory(tmp_path: Path, fault: Handler, says: str) -> None:
    spool = Spool(tmp_path / "spool")
    for event in EVENTS:
        Outbox(spool).put(event)
    receiver = Receiver(fault)
    report, _ = receiver.forward(spool, 60.0)
    receiver.server.close()
    assert report.outcome == "unavailable"
    assert says in str(report.reason)
    assert spool.counts().waiting == len(EVENTS)


def test_a_receiver_that_wants_to_be_left_alone_is_and_gets_no_cookie(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool")
    for event in EVENTS:
        Outbox(spool).put(event)
    receiver = Receiver(answer("503 Unavailable", "{}", Retry_After="600", Set_Cookie="session=abc; Path=/"))
    for _ in range(2):
        report, forwarder = receiver.forward(spool, 60.0)
        assert report.outcome == "busy"
    receiver.server.close()
    opening = forwarder.breaker.opening()
    assert opening is not None
    assert opening.until - time.time() > 500
    assert len(receiver.server.requests) == 2
    assert not [request for request in receiver.server.requests if "cookie:" in request.lower()]
