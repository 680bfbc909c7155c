"""Forks: what a forked process inherits keeps nobody from sending."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from airflow_provider_mlgov.catalog.embedded import EmbeddedCatalog
from airflow_provider_mlgov.delivery.sender import Sender
from airflow_provider_mlgov.delivery.spool import Spool
from airflow_provider_mlgov.translate.options import TranslateOptions
from delivery_events import task_run

OPTIONS = TranslateOptions(airflow_namespace="test")
SENDS_AND_FORKS = """
import os, sys, threading, time
from airflow_provider_mlgov.delivery.sender import Sender
from airflow_provider_mlgov.delivery.spool import Spool
from airflow_provider_mlgov.translate.options import TranslateOptions

sending = threading.Event()

def hangs():
    sending.set()
    time.sleep(600)

sender = Sender(Spool(sys.argv[1]), hangs, TranslateOptions(airflow_namespace="test"))
threading.Thread(target=sender.send, daemon=True).start()
sending.wait(60)
forked = os.fork()
if not forked:
    time.sleep(600)
print(forked, flush=True)
os._exit(0)
"""


def test_a_fork_does_not_keep_the_lock_of_a_sender_that_was_left_alone(tmp_path: Path) -> None:
    """As in a task whose sending was given up, and which forked (the OpenLineage provider does) and ended."""
    spool = Spool(tmp_path / "spool")
    for event in task_run():
        spool.append(event)
    with subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", SENDS_AND_FORKS, str(spool.root)], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        forked = int(process.stdout.readline())
        try:
            assert process.wait(60) == 0
            os.kill(forked, 0)  # it lives
            sender = Sender(spool, lambda: EmbeddedCatalog(tmp_path / "catalog.db"), OPTIONS)
            until = time.monotonic() + 30  # a busy machine may not have begun with the forked process yet
            while (report := sender.send()).outcome == "locked" and time.monotonic() < until:
                time.sleep(0.1)
            assert (report.outcome, report.events) == ("done", 2)
        finally:
            os.kill(forked, signal.SIGKILL)
