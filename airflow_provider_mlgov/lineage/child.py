"""The delivery process of the scheduler and the API server: it drains the spool and follows up on runs that ended.

``python -m airflow_provider_mlgov.lineage.child <spool>``. At most one per spool works, elected by a lock; it ends after a while
without work. It is the only part of the daemons that looks up a Connection or asks Airflow's database anything.
"""

from __future__ import annotations

import logging
import math
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from airflow_provider_mlgov.delivery.abreast import Abreast
    from airflow_provider_mlgov.delivery.spool import Spool
    from airflow_provider_mlgov.settings import Settings

log = logging.getLogger(__name__)
IDLE_SECONDS = 60.0
GRACE_SECONDS = 5.0
"""How long after the end of a DAG run its tasks may still report."""
_LOOK_SECONDS = 60.0
"""How often Airflow is asked for DAG runs of whose end nobody said anything, and how long ago such an end must be."""
_STARTING_SECONDS = 10.0
_COLLECT_SECONDS = 10.0
_SEND_SECONDS, _ROUND_SECONDS = 60.0, 1.0
"""How long a sink may send, and how long several are waited for before it is looked again what waits."""
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
        self._settings = settings
        self._grace = grace_seconds
        self._several: Abreast | None = None
        self._complaint = ""
        self._collected = -math.inf
        self._collecting = ""
        """What went wrong with it last."""
        self._look_at = 0.0
        self._pause = grace_seconds
        self._pause_until = 0.0

    def waits(self) -> bool:
        """Whether there is anything to do, now or soon."""
        from airflow_provider_mlgov.assembly import collects
        from airflow_provider_mlgov.lineage import followup

        # Nobody wakes this process for what other hosts hand over.
        waits = any(spool.has_waiting() for spool in self._spools())
        return waits or followup.waiting(self._settings) or collects(self._settings)

    def do(self) -> bool:
        """One round; whether anything was done. What goes wrong is said once, and tried again after a while."""
        if time.monotonic() < self._pause_until:
            return False
        from airflow_provider_mlgov.masking import shown, trace_of

        try:
            done = self._round()
        except Exception as error:  # noqa: BLE001 - this process is there to go on
            complaint = f"{type(error).__name__}: {shown(error)}"
            if complaint != self._complaint:
                log.warning("Events or notes wait in %s: %s", self._settings.spool_folder, complaint)
                log.debug("Details:\n%s", trace_of(error))
            self._complaint = complaint
            self._pause_until = time.monotonic() + self._pause
            return False
        self._complaint = ""
        return done

    def _round(self) -> bool:
        from airflow_provider_mlgov.assembly import open_spool
        from airflow_provider_mlgov.delivery.breaker import Breaker
        from airflow_provider_mlgov.lineage.reconcile import close_open, reconcile

        self._collect()
        done = self._drain()
        settled = 0
        first = open_spool(self._settings)
        # What waits, or is on its way, would count as not reported.
        if not first.has_waiting() and Breaker(first.root / "breaker.json").allows():
            if time.monotonic() >= self._look_at:
                self._look_at = time.monotonic() + _LOOK_SECONDS
                settled = close_open(self._settings, age=_LOOK_SECONDS)
            settled += reconcile(self._settings, age=self._grace)
            if settled:
                self._drain()
        return done or settled > 0

    def _collect(self) -> None:
        """Take what other hosts handed over, every few seconds while there is not more. What goes wrong stops nothing else."""
        from airflow_provider_mlgov.assembly import collect_events
        from airflow_provider_mlgov.errors import MlgovError

        if time.monotonic() - self._collected < _COLLECT_SECONDS:
            return
        try:
            more = collect_events(self._settings, 60.0).more
            self._collecting = ""
        except MlgovError as error:
            more = False
            if str(error) != self._collecting:
                log.warning("%s", error)
            self._collecting = str(error)
        self._collected = -math.inf if more else time.monotonic()

    def _drain(self) -> bool:
        from airflow_provider_mlgov.assembly import open_sender
        from airflow_provider_mlgov.delivery.abreast import Abreast

        before = self._waiting()
        if not before:
            return False
        sender = self._several or open_sender(self._settings)
        if isinstance(sender, Abreast):
            self._several = sender  # it remembers which sinks are still at work: none of them holds this loop
            sender.send(_SEND_SECONDS, wait=_ROUND_SECONDS)
        else:
            sender.send(_SEND_SECONDS)
        return self._waiting() < before

    def _spools(self) -> list[Spool]:
        from airflow_provider_mlgov.assembly import open_spool

        further = [open_spool(self._settings, name) for name in self._settings.further_sinks]
        return [open_spool(self._settings), *further]

    def _waiting(self) -> int:
        return sum(spool.counts().waiting for spool in self._spools())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
