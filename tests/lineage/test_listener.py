"""Hooks never raise what is ordinary, let Airflow's signals through, and in daemons only write."""

from __future__ import annotations

import logging
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from airflow_provider_mlgov.lineage import child, followup
from airflow_provider_mlgov.lineage.event import now
from airflow_provider_mlgov.lineage.listener import AtlasListener
from airflow_provider_mlgov.settings import Settings

pytestmark = pytest.mark.filterwarnings("default")


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(spool_folder=tmp_path / "spool", embedded_path=tmp_path / "catalog.db", delivery_process=False)


def dag_run(**more: Any) -> Any:
    return SimpleNamespace(
        dag_id="d",
        run_id="r",
        logical_date=None,
        run_after=now(),
        clear_number=0,
        start_date=now(),
        end_date=None,
        dag=None,
        **more,
    )


HOOKS = (
    ("on_task_instance_running", {"previous_state": None, "task_instance": object()}),
    ("on_task_instance_success", {"previous_state": None, "task_instance": object()}),
    ("on_task_instance_failed", {"previous_state": None, "task_instance": object(), "error": "no"}),
    ("on_task_instance_skipped", {"previous_state": None, "task_instance": object()}),
    ("on_dag_run_running", {"dag_run": None, "msg": ""}),
    ("on_dag_run_success", {"dag_run": None, "msg": ""}),
    ("on_dag_run_failed", {"dag_run": None, "msg": ""}),
)


@pytest.mark.parametrize(("hook", "arguments"), HOOKS)
def test_what_goes_wrong_is_one_line(
    settings: Settings,
    hook: str,
    arguments: dict[str, Any],
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken(*args: Any) -> None:
        raise ValueError("broken")

    monkeypatch.setattr(AtlasListener, "_reports", broken)
    monkeypatch.setattr(AtlasListener, "_dag_run", broken)
    with caplog.at_level(logging.WARNING):
        getattr(AtlasListener(settings), hook)(**arguments)
    [record] = caplog.records
    assert record.getMessage() == f"Lineage of this event is lost ({hook}): ValueError: broken"


@pytest.mark.parametrize("signal", [KeyboardInterrupt, SystemExit])
def test_what_stops_a_task_goes_through(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, signal: type[BaseException]
) -> None:
    def stopped(*args: Any) -> None:
        raise signal

    monkeypatch.setattr(AtlasListener, "_reports", stopped)
    with pytest.raises(signal):
        AtlasListener(settings).on_task_instance_success(None, object())


def test_the_end_of_a_dag_run_is_an_event_and_a_note(settings: Settings) -> None:
    from airflow_provider_mlgov.assembly import open_spool

    AtlasListener(settings).on_dag_run_success(dag_run(), "")
    assert open_spool(settings).counts().waiting == 1
    [(_, note)] = followup.notes(settings)
    assert note == {"dagId": "d", "runId": "r", "skip": []}
    assert list(followup.notes(settings, age=60)) == []


def test_a_wrong_option_loses_no_event(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from airflow_provider_mlgov.assembly import open_spool

    monkeypatch.setattr("airflow_provider_mlgov.settings._warned", set())
    monkeypatch.setenv("AIRFLOW__MLGOV__SEND_BUDGET", "abc")
    monkeypatch.setenv("AIRFLOW__MLGOV__SPOOL_FOLDER", str(tmp_path / "spool"))
    listener = AtlasListener()
    listener.on_dag_run_running(dag_run(), "")
    assert open_spool(listener.settings).counts().waiting == 1
    assert listener.settings.send_budget == 5.0


def test_the_other_door_bears_a_wrong_option_too(monkeypatch: pytest.MonkeyPatch) -> None:
    from airflow_provider_mlgov.lineage.transport import AtlasTransport

    monkeypatch.setattr("airflow_provider_mlgov.settings._warned", set())
    monkeypatch.setenv("AIRFLOW__MLGOV__SEND_BUDGET", "abc")
    assert AtlasTransport()._settings.send_budget == 5.0


def test_a_daemon_never_sends_nor_opens_a_catalogue(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*args: Any, **kwargs: Any) -> None:
        raise AssertionError("a scheduler hook must not do this")

    for name in ("open_sender", "open_catalog"):
        monkeypatch.setattr(f"airflow_provider_mlgov.assembly.{name}", never)
    listener = AtlasListener(settings)
    listener.on_dag_run_running(dag_run(), "")
    listener.on_dag_run_failed(dag_run(), "why")


def test_one_delivery_process_at_a_time(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    from filelock import FileLock

    started: list[Any] = []
    alive = SimpleNamespace(poll=lambda: None)
    monkeypatch.setattr(child.subprocess, "Popen", lambda command, **kwargs: started.append(command) or alive)
    monkeypatch.setattr(child._Started, "process", None)
    child.wake(settings)
    child.wake(settings)  # the first is still starting
    assert len(started) == 1
    monkeypatch.setattr(child._Started, "time", time.monotonic() - 60)
    child.wake(settings)  # it ended its work, or died, long ago
    assert len(started) == 2
    monkeypatch.setattr(child._Started, "time", time.monotonic() - 60)
    with FileLock(settings.spool_folder / "delivery.lock"):
        child.wake(settings)  # one works
    assert len(started) == 2


def test_a_delivery_process_that_finds_another_ends(settings: Settings) -> None:
    import threading

    from filelock import FileLock

    settings.spool_folder.mkdir(parents=True)
    taken, free = threading.Event(), threading.Event()

    def hold() -> None:
        with FileLock(settings.spool_folder / "delivery.lock"):
            taken.set()
            free.wait(30)

    holder = threading.Thread(target=hold)
    holder.start()
    taken.wait(30)
    assert child.main(str(settings.spool_folder)) == 0
    free.set()
    holder.join()
