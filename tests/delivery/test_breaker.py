import logging

import pytest

from airflow_provider_mlgov.delivery.breaker import Breaker


class Clock:
    now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


def make(tmp_path, clock):
    return Breaker(tmp_path / "breaker.json", interval=30, cap=100, clock=clock)


def test_it_opens_for_longer_each_time_up_to_a_cap_and_closes(tmp_path, clock):
    breaker = make(tmp_path, clock)
    assert breaker.allows()
    for pause in (30, 60, 100, 100):
        breaker.failed("no route")
        clock.now += pause - 1
        assert not make(tmp_path, clock).allows()
        clock.now += 1
        assert make(tmp_path, clock).allows()
    breaker.succeeded()
    assert breaker.opening() is None
    breaker.failed("again")
    assert breaker.opening().until == clock.now + 30


def test_one_line_when_it_opens_and_one_when_it_closes(tmp_path, clock, caplog):
    caplog.set_level(logging.INFO)
    for _ in range(3):
        make(tmp_path, clock).failed("no route to Atlas")
    for _ in range(3):
        make(tmp_path, clock).succeeded()
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]
    assert "no route to Atlas" in caplog.text
    assert "usable again" in caplog.text


@pytest.mark.parametrize("content", ["", "{", "[]", '{"since": "x"}', "null"])
def test_a_damaged_file_counts_as_closed(tmp_path, clock, content):
    (tmp_path / "breaker.json").write_text(content)
    breaker = make(tmp_path, clock)
    assert breaker.allows()
    breaker.failed("x")
    assert not breaker.allows()
    breaker.succeeded()
    assert not (tmp_path / "breaker.json").exists()


def test_a_clock_that_was_set_back_does_not_keep_it_open(tmp_path, clock):
    breaker = make(tmp_path, clock)
    breaker.failed("x")
    clock.now -= 10_000
    assert breaker.allows()


def test_without_a_writable_folder_it_stays_closed(clock, tmp_path):
    breaker = Breaker(tmp_path / "absent" / "breaker.json", clock=clock)
    breaker.failed("x")
    assert breaker.allows()
    breaker.succeeded()
