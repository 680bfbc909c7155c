"""What is counted and timed in Airflow's own metrics."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_mlgov import _compat
from airflow_provider_mlgov.assembly import metrics, open_sender
from airflow_provider_mlgov.delivery.draining import SendReport
from airflow_provider_mlgov.delivery.spool import Spool
from airflow_provider_mlgov.settings import Settings
from delivery_events import task_event


class Stats:
    def __init__(self) -> None:
        self.told: dict[str, Any] = {}

    def incr(self, name: str, count: int = 1) -> None:
        self.told[name] = self.told.get(name, 0) + count

    def gauge(self, name: str, value: float) -> None:
        self.told[name] = value

    def timing(self, name: str, value: timedelta) -> None:
        assert isinstance(value, timedelta)
        self.told[name] = "timed"


@pytest.fixture
def stats(monkeypatch: pytest.MonkeyPatch, airflow_home: object) -> Stats:
    made = Stats()
    monkeypatch.setattr(_compat, "Stats", made, raising=False)
    return made


def settings(folder: Path) -> Settings:
    return Settings(spool_folder=folder / "spool", embedded_path=folder / "catalog.db")


def test_a_send_is_counted(stats: Stats, tmp_path: Path) -> None:
    sender = open_sender(settings(tmp_path))
    assert sender.send().outcome == "nothing"
    assert stats.told == {}
    spool = Spool(tmp_path / "spool")
    spool.append(task_event("COMPLETE"))
    spool.append({"no": "event"})
    report = sender.send()
    assert stats.told == {
        "mlgov.events": 2,
        "mlgov.entities": report.entities,
        "mlgov.dead_letters": 1,
        "mlgov.sends.done": 1,
        "mlgov.send": "timed",
        "mlgov.spool.waiting": 0,
        "mlgov.spool.age": 0,
        "mlgov.spool.dead_letters": 1,
        "mlgov.breaker.open": 0,
    }


def test_what_waits_is_measured(stats: Stats, tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool")
    spool.append(task_event("COMPLETE"))
    metrics(spool)(SendReport("unavailable"), 1.0)
    assert stats.told["mlgov.spool.waiting"] == 1
    assert stats.told["mlgov.sends.unavailable"] == 1
    assert stats.told["mlgov.breaker.open"] == 1


def test_metrics_that_fail_harm_nothing(stats: Stats, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any) -> None:
        raise OSError("no StatsD")

    monkeypatch.setattr(stats, "gauge", broken)
    Spool(tmp_path / "spool").append(task_event("COMPLETE"))
    assert open_sender(settings(tmp_path)).send().outcome == "done"


def test_airflows_own_take_them(airflow_home: object, tmp_path: Path) -> None:
    Spool(tmp_path / "spool").append(task_event("COMPLETE"))
    assert open_sender(settings(tmp_path)).send().outcome == "done"
    assert callable(_compat.Stats.incr)
