"""Clocks that jump by days, in either direction: each step is a process of its own, with another clock from the first moment."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_mlgov.catalog.embedded import EmbeddedCatalog
from airflow_provider_mlgov.delivery import machine
from airflow_provider_mlgov.delivery.outbox import Outbox
from airflow_provider_mlgov.delivery.sender import Sender
from airflow_provider_mlgov.delivery.spool import Spool
from airflow_provider_mlgov.delivery.state import SenderState
from airflow_provider_mlgov.translate.options import TranslateOptions
from catalog_content import content, difference
from delivery_events import dataset, task_event, task_run

DAY = 86_400
JUMPS = [5 * DAY, -5 * DAY, 400 * DAY, -400 * DAY]

STEP = """
import json, sys, time
from pathlib import Path

folder, jump, what, events = Path(sys.argv[1]), float(sys.argv[2]), sys.argv[3], json.loads(sys.stdin.read())
now, now_ns = time.time, time.time_ns
time.time, time.time_ns = lambda: now() + jump, lambda: now_ns() + int(jump * 1e9)

from airflow_provider_mlgov.catalog.embedded import EmbeddedCatalog
from airflow_provider_mlgov.delivery.bounds import NO_BOUNDS, Bounds
from airflow_provider_mlgov.delivery import machine
from airflow_provider_mlgov.delivery.outbox import Outbox
from airflow_provider_mlgov.delivery.sender import Sender
from airflow_provider_mlgov.delivery.spool import Spool
from airflow_provider_mlgov.delivery.state import SenderState
from airflow_provider_mlgov.errors import CatalogBusyError, CatalogUnavailableError
from airflow_provider_mlgov.translate.options import TranslateOptions

class Catalog(EmbeddedCatalog):
    linger = 60.0

    def write(self, entities, **more):
        answer = super().write(entities, **more)
        if what == "cut off":
            raise CatalogBusyError("no answer", unanswered=True)
        return answer

def factory():
    if what == "down":
        raise CatalogUnavailableError("down")
    return Catalog(folder / "catalog.db")

spool, slept = Spool(folder / "spool"), []
for event in events:
    Outbox(spool).put(event)
bounds = Bounds(age=86400) if what == "bounded" else NO_BOUNDS
report = Sender(spool, factory, TranslateOptions(airflow_namespace="test"), sleep=slept.append, bounds=bounds).send()
print(json.dumps([report.outcome, report.dead, slept]))
"""


def step(folder: Path, jump: float, what: str, events: list[dict[str, Any]] | None = None) -> list[Any]:
    """Put events and send, in a process whose clock has jumped; the outcome, dead letters, and how long it waited."""
    command = [sys.executable, "-c", STEP, str(folder), str(jump), what]
    done = subprocess.run(
        command, input=json.dumps(events or []), capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr
    found: list[Any] = json.loads(done.stdout)
    return found


def run(number: int, jump: float = 0) -> list[dict[str, Any]]:
    """START and COMPLETE of a task; the latter by a clock that was set back, if it was."""
    start, _ = task_run(task=f"t{number}", seconds=number)
    return [
        start,
        task_event("COMPLETE", task=f"t{number}", seconds=number + min(jump, 0), outputs=[dataset("db.s.x")]),
    ]


def arrived(folder: Path, events: list[dict[str, Any]]) -> None:
    """The catalogue is as if no clock had jumped."""
    counts = Spool(folder / "spool").counts()
    assert (counts.waiting, counts.dead, counts.odd) == (0, 0, 0)
    catalog, calm = EmbeddedCatalog(folder / "catalog.db"), EmbeddedCatalog(folder / "calm.db")
    for event in events:
        Outbox(Spool(folder / "calm")).put(event)
    Sender(Spool(folder / "calm"), lambda: calm, TranslateOptions(airflow_namespace="test")).send()
    assert not difference(content(catalog), content(calm))
    catalog.close()
    calm.close()


@pytest.mark.parametrize("jump", JUMPS)
def test_what_waited_over_a_jump_arrives(tmp_path: Path, jump: float) -> None:
    """An outage, then the jump: the breaker lets it through, in whatever order the names now are."""
    assert step(tmp_path, 0, "down", run(0))[0] == "unavailable"
    assert step(tmp_path, 0, "down", run(1)[:1])[0] == "open"
    assert step(tmp_path, jump, "works", run(1, jump)[1:]) == ["done", 0, []]
    assert step(tmp_path, 0, "works", run(2)) == ["done", 0, []]  # the jump back is one, too
    arrived(tmp_path, [*run(0), *run(1, jump), *run(2)])


@pytest.mark.parametrize("jump", JUMPS)
def test_a_call_that_was_cut_off_is_waited_for_whatever_the_clock_says(tmp_path: Path, jump: float) -> None:
    assert step(tmp_path, 0, "cut off", run(0))[0] == "busy"
    (tmp_path / "spool" / "breaker.json").unlink()
    outcome, dead, slept = step(tmp_path, jump, "works")
    assert (outcome, dead) == ("done", 0)
    assert 0 < sum(slept) <= 60
    arrived(tmp_path, run(0))


def test_a_call_of_another_start_of_the_host_is_waited_for_in_full_and_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody knows for how long the machine was off: its clock begins anew, and so does the wait."""
    known = SenderState(tmp_path / "sender.db")
    monkeypatch.setattr(machine, "uptime", lambda: 5_000.0)
    known.begin_call("atlas", [])
    monkeypatch.setattr(machine, "boot", lambda: "another boot")
    ages = []
    for uptime in (10.0, 30.0, 80.0):
        monkeypatch.setattr(machine, "uptime", lambda uptime=uptime: uptime)
        note = known.note("atlas")
        assert note is not None
        ages.append(note.age)
    assert ages == [0.0, 20.0, 70.0]
    known.close()


@pytest.mark.parametrize("jump", JUMPS)
def test_bounds_of_age_lose_nothing(tmp_path: Path, jump: float) -> None:
    assert step(tmp_path, 0, "down", run(0))[0] == "unavailable"
    step(tmp_path, jump, "bounded")
    spool = Spool(tmp_path / "spool")
    for _ in range(2):
        spool.retry()
        step(tmp_path, 0, "bounded")
    arrived(tmp_path, run(0))


def test_what_is_known_of_a_catalogue_is_not_believed_for_longer_when_the_clock_goes_back(tmp_path: Path) -> None:
    """Somebody deletes a table; five days before that, by the clock, it is written whole again."""
    assert step(tmp_path, 0, "works", run(0))[0] == "done"
    catalog = EmbeddedCatalog(tmp_path / "catalog.db")
    catalog.delete("mlgov_task", "dags/shop/tasks/t0@test")
    catalog.close()
    again = task_run(task="t0", run="r2", seconds=-5 * DAY, outputs=[dataset("db.s.x")])
    assert step(tmp_path, -5 * DAY, "works", again)[0] == "done"
    catalog = EmbeddedCatalog(tmp_path / "catalog.db")
    task = catalog.get("mlgov_task", "dags/shop/tasks/t0@test")
    catalog.close()
    assert task is not None
    assert task["attributes"]["owner"] == "ann"
