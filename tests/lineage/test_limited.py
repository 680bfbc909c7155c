"""Foreign code is bounded in time, and nothing of it gets out."""

from __future__ import annotations

import logging
import threading
import time

import pytest

from airflow_provider_mlgov.lineage.limited import Allowance, limited


def test_a_result_comes_through() -> None:
    assert limited("it", lambda: 42, 1.0) == 42


@pytest.mark.parametrize("error", [ValueError("no"), SystemExit(2), KeyboardInterrupt()])
def test_what_it_raises_ends_there(error: BaseException, caplog: pytest.LogCaptureFixture) -> None:
    def call() -> None:
        raise error

    with caplog.at_level(logging.WARNING):
        assert limited("the method", call, 1.0) is None
    [record] = caplog.records
    assert record.getMessage().startswith(f"the method failed: {type(error).__name__}")


def test_what_takes_too_long_is_left_alone(caplog: pytest.LogCaptureFixture) -> None:
    free = threading.Event()
    began = time.monotonic()
    with caplog.at_level(logging.WARNING):
        assert limited("the method", free.wait, 0.05) is None
    assert time.monotonic() - began < 5
    assert "took longer than 0.05 s" in caplog.records[0].getMessage()
    free.set()


def test_calls_share_an_allowance() -> None:
    allowance, never = Allowance(0.3), threading.Event()
    assert allowance.limited("quick", lambda: 5) == 5
    assert 0 < allowance.left() <= 0.3
    assert allowance.limited("slow", lambda: never.wait(60)) is None
    assert allowance.left() == 0
    assert allowance.limited("late", lambda: pytest.fail("it is not called")) is None
    assert Allowance(60.0, time.monotonic() - 1).left() == 0
    never.set()
