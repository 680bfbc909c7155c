from __future__ import annotations

import math

from airflow_provider_mlgov.catalog.rate import Rate, address_of


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_burst_then_the_rate() -> None:
    clock = Clock()
    rate = Rate(2.0, 4.0, clock=clock)
    assert [rate.wait("a") for _ in range(6)] == [0, 0, 0, 0, 1, 1]
    assert rate.wait("b") == 0, "everybody has a bucket of his own"
    clock.now = 1.0
    assert [rate.wait("a") for _ in range(3)] == [0, 0, 1]
    clock.now = 1000.0
    assert [rate.wait("a") for _ in range(5)] == [0, 0, 0, 0, 1]


def test_what_costs_much_is_paid_afterwards() -> None:
    clock = Clock()
    rate = Rate(10.0, 20.0, clock=clock)
    assert rate.wait("a", 120) == 0
    assert rate.wait("a") == 10
    clock.now = 9.9
    assert rate.wait("a") == 1
    clock.now = 10.2
    assert rate.wait("a") == 0


def test_a_clock_that_goes_back_gives_nothing_and_takes_nothing() -> None:
    clock = Clock()
    rate = Rate(1.0, 1.0, clock=clock)
    assert rate.wait("a") == 0
    clock.now = -100.0
    assert rate.wait("a") == 1


def test_memory_is_bounded() -> None:
    rate = Rate(1.0, 1.0, most=100, clock=Clock())
    for number in range(1000):
        rate.wait(f"caller {number}")
    assert rate.callers == 100
    assert rate.wait("caller 999") == 1, "who called last is remembered"


def test_no_limit() -> None:
    rate = Rate(math.inf, math.inf)
    assert {rate.wait("a") for _ in range(1000)} == {0}
    assert rate.callers == 0


def test_addresses() -> None:
    def of(host: object) -> str:
        return address_of({"client": (host, 1)})

    assert of("10.0.0.1") == "10.0.0.1"
    assert of("2001:db8::1") == of("2001:db8::ffff:1") != of("2001:db8:0:1::1")
    assert of("::ffff:10.0.0.1") == "10.0.0.1"
    assert of("fe80::1%eth0") == "fe80::/64"
    assert of("testclient") == "testclient"
    assert address_of({}) == address_of({"client": None}) == "unknown"
