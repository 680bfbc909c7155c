"""The lease: one host at a time, whatever clocks say, whoever is killed or paused."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from airflow_provider_mlgov.delivery import machine
from airflow_provider_mlgov.delivery.lease import FOLDER, Lease, Machine
from airflow_provider_mlgov.delivery.turn import TurnLostError
from airflow_provider_mlgov.errors import SpoolError


class Clock:
    """A clock that stands until it is moved."""

    def __init__(self, now: float = 1000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


def host(name: str, clock: Clock) -> Machine:
    return Machine(boot=name, processes=f"{name} 1", name=name, clock=clock)


@pytest.fixture
def clocks(monkeypatch: pytest.MonkeyPatch) -> tuple[Clock, Clock]:
    monkeypatch.setattr(Lease, "_keep", lambda self: None)  # nobody renews but by hand
    return Clock(5.0), Clock(1_000_000.0)


def files(root: Path) -> list[str]:
    return sorted(path.name for path in (root / FOLDER).iterdir())


def test_one_has_it_until_it_is_given_back(tmp_path: Path, clocks: tuple[Clock, Clock]) -> None:
    first, second = (Lease(tmp_path, this=host(name, clock)) for name, clock in zip("ab", clocks, strict=True))
    assert second.holder == "nobody has the lease"
    assert first.acquire(0)
    assert not second.acquire(0)
    assert second.holder == f"process {os.getpid()} of a has the lease"
    first.check()
    first.release()
    assert second.holder == "nobody has the lease"
    assert second.acquire(0)
    with pytest.raises(TurnLostError):
        first.check()
    second.check()
    second.release()
    assert files(tmp_path) == ["00000000000000000002"]


def test_it_is_taken_over_when_it_was_seen_unchanged_for_long_enough(
    tmp_path: Path, clocks: tuple[Clock, Clock]
) -> None:
    """Each host by its own clock; and each look is that of another process, as at the ends of tasks."""
    assert Lease(tmp_path, this=host("a", clocks[0])).acquire(0)
    for seconds, taken in ((0, False), (20, False), (12, False), (2, True)):
        clocks[1].now += seconds
        assert Lease(tmp_path, this=host("b", clocks[1])).acquire(0) is taken
    assert files(tmp_path) == ["00000000000000000002"]


def test_a_renewal_begins_the_time_anew(tmp_path: Path, clocks: tuple[Clock, Clock]) -> None:
    held = Lease(tmp_path, this=host("a", clocks[0]))
    assert held.acquire(0)
    for _ in range(10):
        assert not Lease(tmp_path, this=host("b", clocks[1])).acquire(0)
        for clock in clocks:
            clock.now += 29
        held._renew()
        held.check()


def test_who_was_held_up_stops_before_anyone_may_take_over(tmp_path: Path, clocks: tuple[Clock, Clock]) -> None:
    held = Lease(tmp_path, this=host("a", clocks[0]))
    assert held.acquire(0)
    assert not Lease(tmp_path, this=host("b", clocks[1])).acquire(0)
    for clock in clocks:
        clock.now += 30
    with pytest.raises(TurnLostError, match="held up for longer than its lease of 30 s"):
        held.check()
    held._renew()  # too late
    with pytest.raises(TurnLostError):
        held.check()
    assert not Lease(tmp_path, this=host("b", clocks[1])).acquire(0)
    clocks[1].now += 4
    other = Lease(tmp_path, this=host("b", clocks[1]))
    assert other.acquire(0)
    held.release()  # it is not his any more
    other.check()


def test_a_renewal_that_comes_too_late_does_not_bring_an_old_lease_back(
    tmp_path: Path, clocks: tuple[Clock, Clock], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Paused between the look and the writing: the file of his number comes back, and a higher one counts."""
    held, other = (Lease(tmp_path, this=host(name, clock)) for name, clock in zip("ab", clocks, strict=True))
    assert held.acquire(0)
    assert not Lease(tmp_path, this=host("b", clocks[1])).acquire(0)
    writing = held._write

    def paused(content: bytes) -> None:
        clocks[0].now += 100
        clocks[1].now += 100
        assert other.acquire(0)
        writing(content)

    monkeypatch.setattr(held, "_write", paused)
    held._renew()
    assert len(files(tmp_path)) == 2
    with pytest.raises(TurnLostError):
        held.check()
    other.check()
    other.release()
    third = Lease(tmp_path, this=host("c", Clock()))
    assert third.acquire(0)
    assert files(tmp_path) == ["00000000000000000003"]


def test_who_saw_the_numbers_of_long_ago_does_not_get_it(
    tmp_path: Path, clocks: tuple[Clock, Clock], monkeypatch: pytest.MonkeyPatch
) -> None:
    old = Lease(tmp_path, this=host("a", clocks[0]))
    assert old.acquire(0)
    old.release()
    late = Lease(tmp_path, this=host("b", clocks[1]))
    follow = late._may_follow

    def slow(number: int) -> bool:
        answer = follow(number)
        for name in "cde":
            lease = Lease(tmp_path, this=host(name, Clock()))
            assert lease.acquire(0)
            if name != "e":
                lease.release()
        return answer

    monkeypatch.setattr(late, "_may_follow", slow)
    assert not late.acquire(0)
    assert files(tmp_path) == ["00000000000000000004"]


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"[1]", b'{"seconds": "x"}'])
def test_a_damaged_lease_ends_as_any(tmp_path: Path, clocks: tuple[Clock, Clock], content: bytes) -> None:
    (tmp_path / FOLDER).mkdir()
    (tmp_path / FOLDER / f"{7:020d}").write_bytes(content)
    lease = Lease(tmp_path, this=host("b", clocks[1]))
    assert not lease.acquire(0)
    assert lease.holder
    clocks[1].now += 34
    assert lease.acquire(0)


def test_the_longer_lease_counts_where_hosts_do_not_agree(tmp_path: Path, clocks: tuple[Clock, Clock]) -> None:
    assert Lease(tmp_path, seconds=300, this=host("a", clocks[0])).acquire(0)
    other = Lease(tmp_path, this=host("b", clocks[1]))
    assert not other.acquire(0)
    clocks[1].now += 200
    assert not other.acquire(0)


def test_a_machine_that_began_anew_looks_anew(tmp_path: Path, clocks: tuple[Clock, Clock]) -> None:
    assert Lease(tmp_path, this=host("a", clocks[0])).acquire(0)
    assert not Lease(tmp_path, this=host("b", clocks[1])).acquire(0)
    clocks[1].now = 1.0
    assert not Lease(tmp_path, this=host("b", clocks[1])).acquire(0)
    clocks[1].now = 34.5
    assert Lease(tmp_path, this=host("b", clocks[1])).acquire(0)


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / FOLDER).write_text("a file")
    with pytest.raises(SpoolError, match=r"cannot take the lease in .*every host can write"):
        Lease(tmp_path).acquire(0)


def test_it_is_renewed_while_it_is_held(tmp_path: Path) -> None:
    lease = Lease(tmp_path, seconds=0.4)
    assert lease.acquire(0)
    seen = set()
    end = time.monotonic() + 20
    while len(seen) < 4:
        assert time.monotonic() < end
        seen.add(json.loads((tmp_path / FOLDER / f"{1:020d}").read_bytes())["beats"])
        time.sleep(0.02)
    lease.release()
    assert not [thread for thread in threading.enumerate() if thread.name == "mlgov lease" and thread.join(5)]


HOLD = """
import sys, time
from pathlib import Path
from airflow_provider_mlgov.delivery.lease import Lease
lease = Lease(Path(sys.argv[1]))
assert lease.acquire(0)
print("held", flush=True)
time.sleep(600)
"""


@pytest.fixture
def holding(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


@pytest.mark.skipif(machine.begun(os.getpid()) is None, reason="needs /proc")
def test_that_of_a_killed_process_of_this_machine_is_free_at_once(
    tmp_path: Path, holding: subprocess.Popen[str]
) -> None:
    mine = Lease(tmp_path)
    assert not mine.acquire(0)
    holding.send_signal(signal.SIGSTOP)
    assert not mine.acquire(0)
    holding.kill()
    holding.wait()
    assert mine.acquire(0)
    mine.release()


def test_a_process_of_another_machine_with_the_same_number_says_nothing(
    tmp_path: Path, clocks: tuple[Clock, Clock], holding: subprocess.Popen[str]
) -> None:
    holding.kill()
    holding.wait()
    assert not Lease(tmp_path, this=host("elsewhere", clocks[1])).acquire(0)


TAKE = """
import sys, time
from pathlib import Path
from airflow_provider_mlgov.delivery.lease import Lease, Machine
root, name = Path(sys.argv[1]), sys.argv[2]
this = Machine(name, name, name)
for _ in range(int(sys.argv[3])):
    lease = Lease(root, this=this)
    assert lease.acquire(60)
    mark = root / "mark"
    mark.touch(exist_ok=False)
    lease.check()
    mark.unlink()
    lease.release()
"""


def test_many_processes_never_have_it_at_once(tmp_path: Path) -> None:
    processes = [
        subprocess.Popen([sys.executable, "-c", TAKE, str(tmp_path), f"host{number}", "6"]) for number in range(4)
    ]
    assert [process.wait(120) for process in processes] == [0] * 4
    assert not (tmp_path / "mark").exists()
    assert files(tmp_path) == [f"{24:020d}"]


def test_who_cannot_renew_it_gives_it_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(_: object) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", refused)
        with pytest.raises(SpoolError, match="more threads"):
            Lease(tmp_path).acquire(0)
    lease = Lease(tmp_path)
    assert lease.acquire(0)
    lease.release()
