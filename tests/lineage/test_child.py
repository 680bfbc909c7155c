"""The delivery process: where it writes what it says."""

import json
import math
import stat
import subprocess
import sys
import time
from dataclasses import replace

from airflow_env import environment
from airflow_provider_mlgov.assembly import open_outbox, open_spools
from airflow_provider_mlgov.catalog.embedded import EmbeddedCatalog
from airflow_provider_mlgov.delivery.handover import FolderObjects, Handover
from airflow_provider_mlgov.delivery.outbox import Outbox
from airflow_provider_mlgov.delivery.spool import Spool
from airflow_provider_mlgov.lineage import child
from airflow_provider_mlgov.settings import Settings
from delivery_events import task_run

MANY = 3


def test_the_log_is_its_owners_and_grows(tmp_path):
    for text in (b"one\n", b"two\n"):
        with child._log_file(tmp_path) as log:
            log.write(text)
    path = tmp_path / child.LOG
    assert path.read_bytes() == b"one\ntwo\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_large_log_begins_anew(tmp_path, monkeypatch):
    monkeypatch.setattr(child, "_LOG_BYTES", 3)
    (tmp_path / child.LOG).write_bytes(b"long ago\n")
    with child._log_file(tmp_path) as log:
        log.write(b"now\n")
    assert (tmp_path / child.LOG).read_bytes() == b"now\n"


def test_what_keeps_events_waiting_is_in_its_log(tmp_path, monkeypatch):
    """Through whatever logging Airflow sets up in that process."""
    for name, value in environment(tmp_path, atlas_conn_id="away", spool_folder=str(tmp_path / "spool")).items():
        monkeypatch.setenv(name, value)
    nowhere = {"conn_type": "atlas", "host": "http://127.0.0.1:1", "login": "u", "password": "canary-2"}
    monkeypatch.setenv("AIRFLOW_CONN_AWAY", json.dumps(nowhere))
    settings = Settings.load()
    for event in task_run():
        Spool(settings.spool_folder).append(event)
    child.wake(settings)
    try:
        log = settings.spool_folder / child.LOG
        end = time.monotonic() + 60
        while "127.0.0.1:1 cannot be reached" not in log.read_text(encoding="utf-8"):
            assert time.monotonic() < end, log.read_text(encoding="utf-8")
            time.sleep(0.2)
        assert "canary-2" not in log.read_text(encoding="utf-8")
    finally:
        child._Started.process.terminate()
        child._Started.process.wait()
        child._Started.process = None


def test_it_takes_what_other_hosts_handed_over(tmp_path, caplog):
    between, worker = tmp_path / "between", Spool(tmp_path / "worker")
    settings = Settings(
        spool_folder=tmp_path / "spool", embedded_path=tmp_path / "catalog.db", collect_path=str(between)
    )
    work = child.Work(settings, 0.0)
    assert work.waits()  # nobody wakes it for that
    assert not work.do()
    for event in task_run():
        Outbox(worker).put(event)
    assert Handover(worker, lambda: FolderObjects(between)).send().outcome == "done"
    assert not work.do()  # it does not look all the time
    work._collected = -math.inf
    assert work.do()
    catalog = EmbeddedCatalog(settings.embedded_path)
    assert len(catalog.search("mlgov_task_run")) == 1
    catalog.close()
    between.joinpath("new").rmdir()
    between.joinpath("new").write_text("no folder")
    for _ in range(2):
        work._collected = -math.inf
        assert not work.do()
    assert [message for message in caplog.messages if "handed over cannot be read: NotADirectoryError" in message] != []
    assert len(caplog.messages) == 1
    assert not child.Work(replace(settings, forward_conn_id="receiver"), 0.0).waits()


def test_each_sink_is_sent_to(tmp_path, airflow_home):
    folder = tmp_path / "out"
    settings = Settings(
        sinks=("catalog", "file", "none"),
        spool_folder=tmp_path / "spool",
        embedded_path=tmp_path / "catalog.db",
        sink_file=folder,
    )
    folder.mkdir()  # so it cannot be written, and holds nobody
    for event in task_run():
        open_outbox(settings).put(event)
    work = child.Work(settings, 0)
    first, file, none = open_spools(settings).values()
    end = time.monotonic() + 60
    while first.has_waiting() or none.has_waiting():
        work.do()
        assert time.monotonic() < end
    assert file.counts().waiting == 2
    assert work.waits()
    folder.rmdir()
    (file.root / "breaker.json").unlink()
    while work.waits():
        work.do()
        assert time.monotonic() < end
    assert "mlgov_task_run" in folder.read_text(encoding="utf-8")


def test_nothing_is_followed_up_on_while_events_wait(tmp_path, monkeypatch):
    """What waits would count as not reported; and a catalogue that is away is not asked beside the breaker."""
    settings = Settings(spool_folder=tmp_path / "spool", embedded_path=tmp_path / "catalog.db")
    asked = []
    monkeypatch.setattr(
        "airflow_provider_mlgov.lineage.reconcile.reconcile", lambda *_, **__: len(asked.append(1) or [])
    )
    spool = Spool(settings.spool_folder)
    work = child.Work(settings, 0.0)
    settings.embedded_path.write_bytes(b"this is no database" * 100)
    spool.append(task_run()[0])
    assert not work.do()
    assert spool.has_waiting()
    spool.drop(path.name for path in spool.waiting())
    assert not work.do()  # nothing waits, but the breaker is open
    assert asked == []
    (settings.spool_folder / "breaker.json").unlink()
    work.do()
    assert asked == [1]


def test_of_many_that_start_at_once_one_works(tmp_path, monkeypatch):
    """Real processes: one delivers everything and stays, the others end, and nothing of them is in its log."""
    options = {"spool_folder": str(tmp_path / "spool"), "embedded_path": str(tmp_path / "catalog.db")}
    for name, value in environment(tmp_path, **options).items():
        monkeypatch.setenv(name, value)
    settings = Settings.load()
    spool = Spool(settings.spool_folder)
    for number in range(20):
        for event in task_run(run=f"r{number}"):
            spool.append(event)
    command = [sys.executable, "-m", "airflow_provider_mlgov.lineage.child", str(settings.spool_folder)]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) for _ in range(MANY)]
    try:
        end = time.monotonic() + 240
        while spool.has_waiting() or sum(process.poll() is None for process in processes) != 1:
            assert time.monotonic() < end, [process.poll() for process in processes]
            time.sleep(0.2)
        assert sorted(process.poll() for process in processes if process.poll() is not None) == [0] * (MANY - 1)
    finally:
        said = []
        for process in processes:
            process.terminate()
            said.append(process.communicate()[0].decode())
    assert not [text for text in said if "Traceback" in text]
