"""Hooks never raise what is ordinary, let Airflow's signals through, and in daemons only write."""

from __future__ import annotations

import dataclasses
import logging
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from airflow_provider_mlgov._compat import Asset
from airflow_provider_mlgov.lineage import child, followup
from airflow_provider_mlgov.lineage.aside import ASIDE
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
        raise ValueError("broken\nin two lines")

    monkeypatch.setattr(AtlasListener, "_reports", broken)
    monkeypatch.setattr(AtlasListener, "_dag_run", broken)
    with caplog.at_level(logging.WARNING):
        getattr(AtlasListener(settings), hook)(**arguments)
    [record] = caplog.records
    assert record.getMessage() == (
        f"Lineage of this event is lost ({hook}): ValueError: broken in two lines (the task is not affected; log level DEBUG "
        "shows where it failed: please report that to us)"
    )
    assert record.exc_info is None


def no_settings(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> AtlasListener:
    def broken(*args: Any, **kwargs: Any) -> None:
        raise RuntimeError("airflow.cfg cannot be read")

    monkeypatch.setattr("airflow_provider_mlgov.lineage.listener.Settings.load", broken)
    return AtlasListener()


def no_spool(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> AtlasListener:
    settings.spool_folder.write_text("a file in the way")
    return AtlasListener(settings)


def no_masker(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> AtlasListener:
    def endless(text: str) -> str:
        return endless(text)

    monkeypatch.setattr("airflow_provider_mlgov.assembly.masker", lambda: endless)
    return AtlasListener(settings)


def no_process(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> AtlasListener:
    def no_memory(*args: Any, **kwargs: Any) -> None:
        raise OSError(12, "Cannot allocate memory")

    monkeypatch.setattr(child.subprocess, "Popen", no_memory)
    return AtlasListener(dataclasses.replace(settings, delivery_process=True))


def wrong_rules(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> AtlasListener:
    settings.mapping_rules.write_text("this is = = no TOML")
    return AtlasListener(settings)


@pytest.mark.parametrize("hook", ["on_dag_run_running", "on_dag_run_success", "on_dag_run_failed"])
@pytest.mark.parametrize(
    ("broken", "says", "recorded"),
    [
        (no_settings, "airflow.cfg cannot be read (the task is not affected", False),
        (no_spool, "give the spool a writable folder", False),
        (no_masker, "RecursionError", False),
        (no_process, "`mlgov spool drain` sends", True),
        (wrong_rules, "Facets are kept as if there were no mapping rules", True),
    ],
)
def test_each_layer_of_a_dag_run_hook_may_break(
    hook: str,
    broken: Callable[[Settings, pytest.MonkeyPatch], AtlasListener],
    says: str,
    recorded: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    from airflow_provider_mlgov.assembly import open_spool

    settings = Settings(
        spool_folder=tmp_path / "spool",
        embedded_path=tmp_path / "catalog.db",
        delivery_process=False,
        mapping_rules=tmp_path / "rules.toml" if broken is wrong_rules else Path(),
    )
    monkeypatch.setattr("airflow_provider_mlgov.lineage.listener._DAEMON_SECONDS", 30.0)
    with caplog.at_level(logging.WARNING, "airflow_provider_mlgov"):
        getattr(broken(settings, monkeypatch), hook)(dag_run(), "why")
    [record] = caplog.records
    assert says in record.getMessage()
    assert "\n" not in record.getMessage()
    assert record.exc_info is None
    if recorded:
        assert open_spool(settings).counts().waiting == 1


@pytest.mark.parametrize("hook", ["on_dag_run_running", "on_dag_run_success", "on_dag_run_failed"])
def test_a_slow_disk_does_not_hold_the_scheduler(
    hook: str, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    from airflow_provider_mlgov.assembly import open_spool

    free, synced = threading.Event(), os.fsync

    def slow(handle: int) -> None:
        free.wait(60)
        synced(handle)

    monkeypatch.setattr("airflow_provider_mlgov.delivery.spool.os.fsync", slow)
    getattr(AtlasListener(settings), hook)(dag_run(), "")  # returns, though the disk does not
    assert open_spool(settings).counts().waiting == 0
    free.set()
    assert ASIDE.settle(30)
    assert open_spool(settings).counts().waiting == 1


@pytest.mark.parametrize(("overtime", "budget"), [("20", 10.0), ("6", 3.0), ("no number", 10.0)])
def test_the_budget_of_an_end_stays_below_what_airflow_gives_it(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, overtime: str, budget: float
) -> None:
    monkeypatch.setenv("AIRFLOW__CORE__TASK_SUCCESS_OVERTIME", overtime)
    assert AtlasListener(dataclasses.replace(settings, send_budget=60.0))._budget() == budget
    assert AtlasListener(dataclasses.replace(settings, send_budget=2.0))._budget() == 2.0


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
    assert ASIDE.settle(30)
    assert open_spool(settings).counts().waiting == 1
    [(_, note)] = followup.notes(settings)
    assert note == {"v": 1, "dagId": "d", "runId": "r", "skip": []}
    assert list(followup.notes(settings, age=60)) == []


def test_a_wrong_option_loses_no_event(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from airflow_provider_mlgov.assembly import open_spool

    monkeypatch.setattr("airflow_provider_mlgov.settings._warned", set())
    monkeypatch.setenv("AIRFLOW__MLGOV__SEND_BUDGET", "abc")
    monkeypatch.setenv("AIRFLOW__MLGOV__SPOOL_FOLDER", str(tmp_path / "spool"))
    listener = AtlasListener()
    listener.on_dag_run_running(dag_run(), "")
    assert ASIDE.settle(30)
    assert open_spool(listener.settings).counts().waiting == 1
    assert listener.settings.send_budget == 5.0


def test_the_other_door_bears_a_wrong_option_too(monkeypatch: pytest.MonkeyPatch) -> None:
    from airflow_provider_mlgov.lineage.transport import AtlasTransport

    monkeypatch.setattr("airflow_provider_mlgov.settings._warned", set())
    monkeypatch.setenv("AIRFLOW__MLGOV__SEND_BUDGET", "abc")
    assert AtlasTransport()._settings.send_budget == 5.0


def test_a_daemon_never_sends_nor_opens_a_catalogue(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    from airflow_provider_mlgov.assembly import open_spool

    def never(*args: Any, **kwargs: Any) -> None:
        raise AssertionError("a scheduler hook must not do this")

    for name in ("open_sender", "open_catalog"):
        monkeypatch.setattr(f"airflow_provider_mlgov.assembly.{name}", never)
    listener = AtlasListener(settings)
    listener.on_dag_run_running(dag_run(), "")
    listener.on_dag_run_failed(dag_run(), "why")
    assert ASIDE.settle(30)
    assert open_spool(settings).counts().waiting == 2


def test_a_hook_of_a_daemon_leaves_nothing_for_a_fork(settings: Settings) -> None:
    """No thread, no open file of the spool: the scheduler forks its workers."""
    listener = AtlasListener(settings)
    assert ASIDE.settle(30)
    before = set(threading.enumerate())  # other tests leave methods behind that never end
    for hook in (listener.on_dag_run_running, listener.on_dag_run_success, listener.on_dag_run_failed):
        hook(dag_run(), "")
    assert ASIDE.settle(30)
    ours = [thread for thread in threading.enumerate() if thread not in before and thread.name.startswith("mlgov")]
    for thread in ours:
        thread.join(30)
    assert not [thread for thread in ours if thread.is_alive()]
    handles = [path.readlink() for path in Path("/proc/self/fd").iterdir() if path.is_symlink()]
    assert not [path for path in handles if path.is_relative_to(settings.spool_folder)]


def a_task(run: Any) -> Any:
    """A task instance as a task process has it, of a task that succeeded."""
    task = SimpleNamespace(task_id="t", dag_id="d", inlets=[], outlets=[])
    return SimpleNamespace(
        dag_id="d",
        run_id="r",
        task_id="t",
        map_index=-1,
        try_number=1,
        state="success",
        task=task,
        start_date=now(),
        end_date=now(),
        dag_run=run,
        get_template_context=lambda: {"dag_run": run},
    )


def test_collecting_is_part_of_the_time_of_a_tasks_end(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A method and a template that hang: both within the budget, and the event is on disk while Airflow still waits."""
    from airflow_provider_mlgov.assembly import open_spool

    hangs, told = threading.Event(), a_task(dag_run())
    told.task.outlets = [Asset("s3://lake/{{ slow }}")]
    told.task.get_openlineage_facets_on_complete = lambda ti: hangs.wait(60)
    told.task.render_template = lambda value, context: hangs.wait(60)
    listener = AtlasListener(dataclasses.replace(settings, collect_timeout=60.0))
    monkeypatch.setattr(listener, "_budget", lambda: 2.0)
    monkeypatch.setattr(listener, "_send", lambda budget: None)
    began = time.monotonic()
    with caplog.at_level(logging.WARNING):
        listener.on_task_instance_success(None, told)
    took = time.monotonic() - began
    hangs.set()
    assert took < 20  # and not 60, nor 120
    assert "get_openlineage_facets_on_complete of task t took longer than" in caplog.text
    assert "A template of inlets or outlets took longer than" in caplog.text
    assert open_spool(settings).counts().waiting == 1


def test_what_was_said_before_a_deferral_waits_for_the_end(settings: Settings) -> None:
    """The process that resumes is another one: here another listener, and nothing left of the facts."""
    from airflow_provider_mlgov.assembly import open_sender, open_spool
    from airflow_provider_mlgov.lineage import facts

    attempt, run = facts.Attempt("d", "r", "t", -1, 1), dag_run()
    before, after = AtlasListener(settings), AtlasListener(settings)
    before.on_task_instance_running(None, a_task(run))
    facts.add_input({"namespace": "file", "name": "/lake/before.csv"}, attempt=attempt)
    before.before_stopping(object())
    assert facts.take(attempt) == facts.Facts()
    after.on_task_instance_running(None, a_task(run))
    facts.add_output({"namespace": "file", "name": "/lake/after.csv"}, attempt=attempt)
    spool = open_spool(settings)
    assert [spool.read(path)["eventType"] for path in spool.waiting()] == ["START", "RUNNING", "START"]  # type: ignore[index]
    after.on_task_instance_success(None, a_task(run))
    after.before_stopping(object())  # nothing is left to say
    open_sender(settings).send()
    assert not spool.has_waiting()
    assert ends(settings) == [(["/lake/before.csv"], ["/lake/after.csv"])]


def ends(settings: Settings) -> list[tuple[list[str], list[str]]]:
    """What the processes in the catalogue read and write, by the ends of the names."""
    from airflow_provider_mlgov.assembly import open_catalog

    catalog = open_catalog(settings)

    def names(process: Any, way: str) -> list[str]:
        found = [catalog.get_by_guid(end["guid"]) for end in process["attributes"][way]]
        return ["/lake/" + each["attributes"]["name"].rpartition("/")[2] for each in found if each is not None]

    headers = catalog.search("mlgov_task_process", limit=10)
    processes = [catalog.get_by_guid(header["guid"], relationships=True) for header in headers]
    found = [(names(process, "inputs"), names(process, "outputs")) for process in processes]
    catalog.close()
    return found


def test_a_task_that_does_not_defer_says_nothing_at_its_stop(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    from airflow_provider_mlgov.assembly import open_spool

    listener, run = AtlasListener(settings), dag_run()
    monkeypatch.setattr(listener, "_send", lambda budget: None)
    listener.on_task_instance_running(None, a_task(run))
    listener.on_task_instance_failed(None, a_task(run), "why")
    listener.before_stopping(object())
    assert ASIDE.settle(30)
    assert open_spool(settings).counts().waiting == 2


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


def test_a_delivery_process_that_fails_is_not_started_for_every_event(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[Any] = []
    failed = SimpleNamespace(poll=lambda: 1)
    monkeypatch.setattr(child.subprocess, "Popen", lambda command, **kwargs: started.append(command) or failed)
    monkeypatch.setattr(child._Started, "process", None)
    for _ in range(5):
        child.wake(settings)
    assert len(started) == 1
    monkeypatch.setattr(child._Started, "time", time.monotonic() - 120)
    child.wake(settings)
    assert len(started) == 2


def test_a_delivery_process_that_finds_another_ends(settings: Settings) -> None:
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
