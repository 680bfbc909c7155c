"""Writes that nobody waits for longer than agreed, and what is left of them in a fork."""

from __future__ import annotations

import logging
import os
import threading
import time
from pathlib import Path

import pytest

from airflow_provider_mlgov.lineage import aside as aside_module
from airflow_provider_mlgov.lineage.aside import Aside

pytestmark = pytest.mark.filterwarnings("default")  # of forks where there are threads, which is what this is about


def test_what_is_quick_has_ended(tmp_path: Path) -> None:
    aside, done = Aside(), []
    assert aside.do("it", lambda: done.append(1), 30)
    assert done == [1]


def test_what_fails_in_time_is_raised() -> None:
    def fails() -> None:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        Aside().do("it", fails, 30)


def test_what_is_slow_goes_on_in_order(caplog: pytest.LogCaptureFixture) -> None:
    aside, free, done = Aside(), threading.Event(), []

    def slow() -> None:
        free.wait(30)
        done.append("slow")
        raise OSError("disk\nfull")

    assert not aside.do("The first", slow, 0.01)
    assert not aside.do("The second", lambda: done.append("next"), 0.01)
    assert done == []
    with caplog.at_level(logging.WARNING):
        free.set()
        assert aside.settle(30)
    assert done == ["slow", "next"]
    assert [record.getMessage() for record in caplog.records] == ["The first is lost: OSError: disk full"]


def test_what_waits_for_a_disk_that_hangs_is_bounded(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(aside_module, "_MOST", 3)
    aside, free, begun, done = Aside(), threading.Event(), threading.Event(), []

    def hangs() -> None:
        begun.set()
        free.wait(30)

    assert not aside.do("The first", hangs, 0.0)
    assert begun.wait(30)
    with caplog.at_level(logging.WARNING):
        for number in range(10):
            assert not aside.do(f"Number {number}", lambda number=number: done.append(number), 0.0)  # type: ignore[misc]
        assert [record.getMessage() for record in caplog.records] == [
            "Number 3 and what follows is lost: 3 writes wait for the disk already"
        ]
        free.set()
        for _ in range(3000):
            if len(done) == 3:
                break
            time.sleep(0.01)
        assert aside.settle(30)
    assert done == [0, 1, 2]
    assert caplog.messages[1:] == ["7 writes are lost: the disk did not take those before them in time"]


def test_no_thread_stays_where_nothing_is_written() -> None:
    aside = Aside()
    aside.do("it", lambda: None, 30)
    for thread in threading.enumerate():
        if thread.name == "mlgov writing":
            thread.join(30)
            assert not thread.is_alive()
    aside.do("it", lambda: None, 30)


def test_a_fork_in_the_middle_of_a_write_writes_its_own(tmp_path: Path) -> None:
    aside, free = Aside(), threading.Event()
    assert not aside.do("The parent's", lambda: free.wait(30) and (tmp_path / "parent").touch(), 0.01)
    assert not aside.do("The next of the parent", lambda: (tmp_path / "next").write_text(str(os.getpid())), 0.01)
    pid = os.fork()
    if pid == 0:
        try:
            ended = aside.do("The child's", lambda: (tmp_path / "child").write_text(str(os.getpid())), 20)
            os._exit(0 if ended else 1)
        finally:
            os._exit(2)
    assert os.waitpid(pid, 0)[1] == 0
    assert (tmp_path / "child").read_text() == str(pid)
    assert not (tmp_path / "next").exists()
    free.set()
    assert aside.settle(30)
    assert (tmp_path / "next").read_text() == str(os.getpid())
