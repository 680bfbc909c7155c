"""The delivery process of the scheduler and the API server: it drains the spool and follows up on runs that ended.

``python -m airflow_provider_mlgov.lineage.child <spool>``. At most one per spool works, elected by a lock; it ends after a while
without work. It is the only part of the daemons that looks up a Connection or asks Airflow's database anything.
"""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from airflow_provider_mlgov.settings import Settings

log = logging.getLogger(__name__)
IDLE_SECONDS = 60.0
GRACE_SECONDS = 5.0
"""How long after the end of a DAG run its tasks may still report."""
_LOOK_SECONDS = 60.0
"""How often Airflow is asked for DAG runs of whose end nobody said anything, and how long ago such an end must be."""
_STARTING_SECONDS = 10.0
_AGAIN_SECONDS = 60.0
"""After this the delivery process is started again where it failed."""
_LOCK = "delivery.lock"
LOG = "delivery.log"
_LOG_BYTES = 1_000_000


class _Started:
    """The child that this process started last."""

    process: subprocess.Popen[bytes] | None = None
    time = 0.0


def wake(settings: Settings) -> None:
    """Start the delivery process unless one works. Costs a few milliseconds at most."""
    from filelock import FileLock, Timeout

    settings.spool_folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    lock = FileLock(settings.spool_folder / _LOCK)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return  # before it ends it frees the lock and looks once more, so it sees what was just written
    lock.release()
    if _Started.process is not None:
        ended, age = _Started.process.poll(), time.monotonic() - _Started.time
        if ended is None and age < _STARTING_SECONDS:
            return  # it is about to take the lock
        if ended and age < _AGAIN_SECONDS:
            return  # it fails at its start (its log says why): not again for every event
    _Started.time = time.monotonic()
    with _log_file(settings.spool_folder) as output:
        _Started.process = subprocess.Popen(  # noqa: S603 - our own module
            [sys.executable, "-m", "airflow_provider_mlgov.lineage.child", str(settings.spool_folder)],
            stdin=subprocess.DEVNULL,
            # Not ours: it would keep open the pipe of whoever reads what the parent prints. Airflow logs to stdout.
            stdout=output,
            stderr=output,
            start_new_session=True,  # Ctrl-C at the scheduler is not meant for it
            # 3.x gives a process the Connections of the database only where this says that it is none of a task
            env={**os.environ, "_AIRFLOW_PROCESS_CONTEXT": "server"},
        )


def _log_file(folder: Path) -> IO[bytes]:
    """What the delivery process says, begun anew when it is large."""
    path = folder / LOG
    large = path.exists() and path.stat().st_size > _LOG_BYTES
    flags = os.O_WRONLY | os.O_CREAT | (os.O_TRUNC if large else os.O_APPEND)
    return os.fdopen(os.open(path, flags, 0o600), "ab")


def main(spool_folder: str, *, idle_seconds: float = IDLE_SECONDS, grace_seconds: float = GRACE_SECONDS) -> int:
    """Work until there has been nothing to do for a while. Returns the exit code."""
    from filelock import FileLock, Timeout

    parent = os.getppid()
    lock = FileLock(Path(spool_folder) / _LOCK)
    try:
        lock.acquire(timeout=1)
    except Timeout:
        return 0
    from airflow_provider_mlgov.settings import Settings

    logging.basicConfig(level=logging.INFO, format="%(asctime)s mlgov delivery: %(message)s")
    settings = Settings.load(tolerant=True)
    work = Work(settings, grace_seconds)
    last = time.monotonic()
    while True:
        if work.do():
            last = time.monotonic()
        elif time.monotonic() - last > idle_seconds and (not work.waits() or os.getppid() != parent):
            lock.release()
            # What was written before the lock was free is ours to see; what comes later wakes another process.
            if not work.waits() or os.getppid() != parent:
                return 0
            try:
                lock.acquire(timeout=0)
            except Timeout:
                return 0
            last = time.monotonic()
        time.sleep(1.0)


class Work:
    """What the delivery process does, one round at a time."""

    def __init__(self, settings: Settings, grace_seconds: float) -> None:
        from airflow_provider_mlgov.assembly import open_spool

        self._settings = settings
        self._grace = grace_seconds
        self._spool = open_spool(settings)
        self._complaint = ""
        self._look_at = 0.0
        self._pause = grace_seconds
        self._pause_until = 0.0

    def waits(self) -> bool:
        """Whether there is anything to do, now or soon."""
        from airflow_provider_mlgov.lineage import followup

        return self._spool.has_waiting() or followup.waiting(self._settings)

    def do(self) -> bool:
        """One round; whether anything was done. What goes wrong is said once, and tried again after a while."""
        if time.monotonic() < self._pause_until:
            return False
        try:
            done = self._round()
        except Exception as error:  # this process is there to go on
            complaint = f"{type(error).__name__}: {error}"
            if complaint != self._complaint:
                log.warning("Events or notes wait in %s: %s", self._settings.spool_folder, complaint)
                log.debug("Details:", exc_info=True)
            self._complaint = complaint
            self._pause_until = time.monotonic() + self._pause
            return False
        self._complaint = ""
        return done

    def _round(self) -> bool:
        from airflow_provider_mlgov.assembly import open_sender
        from airflow_provider_mlgov.lineage.reconcile import close_open, reconcile

        sender = open_sender(self._settings)
        sent = sender.send(60.0)
        settled = 0
        # What waits, or is on its way, would count as not reported.
        if sent.outcome in ("done", "nothing") and sender.breaker.allows():
            if time.monotonic() >= self._look_at:
                self._look_at = time.monotonic() + _LOOK_SECONDS
                settled = close_open(self._settings, age=_LOOK_SECONDS)
            settled += reconcile(self._settings, age=self._grace)
            if settled:
                sender.send(60.0)
        return sent.events + settled > 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
