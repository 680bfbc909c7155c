"""A lease: whose turn it is to send, where several hosts share one spool on a network file system.

Locks of the operating system do not do there: some file systems keep them on each host for itself, and those that share them keep
that of a process that is paused for ever. filelock's `SoftFileLease` cannot be taken over on NFS and SMB, and flufl.lock compares
the clocks of hosts. So::

    <root>/lease/00000000000000000042     who has it; renewed while he sends. Only the highest number counts
    <root>/lease/seen-<machine>           since when this machine has seen it unchanged, by its own clock

- Who wants it makes the file of the next number, which exactly one can (``O_EXCL``). So a lease that was taken over is never
  mistaken for that of before, whoever wakes up when.
- It may be taken over when it was given back, when its process is known to be dead, or when a machine has seen it unchanged for
  longer than it lasts, by the clock of that machine alone.
- Who has it counts from before the last renewal, by his own clock, so he stops before anyone may take it over. A call that he
  made a moment before is what the sender's note in flight is for.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import platform
import re
import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from airflow_provider_mlgov.delivery import machine
from airflow_provider_mlgov.delivery.turn import TurnLostError
from airflow_provider_mlgov.errors import SpoolError

log = logging.getLogger(__name__)

Json = dict[str, Any]

FOLDER = "lease"
SECONDS = 30.0
_NAME = re.compile(r"\d{20}")
_SPARE = 1.1
"""Clocks run at slightly different speeds."""
_RENEWALS = 4
"""Tries to renew within the time of the lease."""
_POLL = 0.2


@dataclass(frozen=True)
class Machine:
    """What tells one host from another; tests make up several."""

    boot: str
    processes: str
    name: str
    clock: Callable[[], float] = machine.uptime

    @classmethod
    def this(cls) -> Machine:
        """The machine, or container, of this process."""
        return cls(machine.boot(), machine.processes(), platform.node())


class Lease:
    """See the module; the methods are those of `Turn`."""

    def __init__(self, root: Path, *, seconds: float = SECONDS, this: Machine | None = None) -> None:
        self._folder = root / FOLDER
        self._seconds = seconds
        self._this = this or Machine.this()
        self._owner = secrets.token_hex(8)
        self._number = 0
        self._renewed = 0.0
        self._beats = 0
        self._renewing = threading.Lock()
        self._over = threading.Event()

    # --- Turn --------------------------------------------------------------------------------------------------------
    def acquire(self, timeout: float) -> bool:
        """See `Turn`."""
        end = time.monotonic() + timeout
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            while not self._try():
                if time.monotonic() >= end:
                    return False
                time.sleep(_POLL)
        except OSError as error:
            raise SpoolError(
                f"cannot take the lease in {self._folder}: {error.strerror or error}; "
                "give the spool a folder that every host can write"
            ) from error
        try:
            threading.Thread(target=self._keep, name="mlgov lease", daemon=True).start()
        except RuntimeError as error:
            self.release()
            raise SpoolError(machine.lacking(error, "threads")) from error
        return True

    def check(self) -> None:
        """See `Turn`."""
        if self._over.is_set() or self._this.clock() - self._renewed >= self._seconds:
            raise TurnLostError(
                f"this process was held up for longer than its lease of {self._seconds:g} s; another host may be sending by now"
            )
        try:
            newest = self._newest()
        except OSError as error:
            raise TurnLostError(f"the lease in {self._folder} cannot be read: {error.strerror or error}") from error
        if newest != self._number:
            self._over.set()
            raise TurnLostError(f"the lease was taken over: {self.holder}")

    def release(self) -> None:
        """See `Turn`."""
        self._over.set()
        with self._renewing:
            try:
                if self._newest() == self._number:
                    self._write(self._own(free=True))
            except OSError as error:
                log.debug("The lease could not be given back, others will wait for its end: %s", error)

    @property
    def holder(self) -> str:
        """See `Turn`."""
        with contextlib.suppress(OSError):
            newest = self._newest() if self._folder.exists() else 0
            found = _parsed(self._content(newest))
            if not newest or found.get("free"):
                return "nobody has the lease"
            if found:
                return f"process {found.get('pid')} of {found.get('name')} has the lease"
        return "another process has the lease"

    # --- taking it ---------------------------------------------------------------------------------------------------
    def _try(self) -> bool:
        number = self._newest()
        if number and not self._may_follow(number):
            return False
        begun = self._this.clock()
        self._number = number + 1
        try:
            handle = os.open(self._path(self._number), os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        except FileExistsError:
            return False
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(self._own())
                file.flush()
                os.fsync(file.fileno())
            won = self._newest() == self._number
        except BaseException:
            self._path(self._number).unlink(missing_ok=True)
            raise
        if not won:  # what was seen at first was old: others have come and gone since
            self._path(self._number).unlink(missing_ok=True)
            return False
        self._renewed = begun
        self._over.clear()
        self._tidy()
        return True

    def _may_follow(self, number: int) -> bool:
        content = self._content(number)
        if content is None:
            return False
        found = _parsed(content)
        if found.get("free") is True or self._is_dead(found):
            return True
        # What is not ours to read, or was cut off while it was written, lasts as long as any.
        lasts = found.get("seconds")
        lasts = max(self._seconds, lasts if isinstance(lasts, (int, float)) else 0.0)
        return self._unchanged_for(number, content) > lasts * _SPARE

    def _is_dead(self, found: Json) -> bool:
        """Whether it is the lease of a process that this one could see, and that is there no more."""
        if found.get("processes") != self._this.processes or not isinstance(found.get("pid"), int):
            return False
        begun = machine.begun(found["pid"])
        return begun is not None and begun != found.get("begun")

    def _unchanged_for(self, number: int, content: bytes) -> float:
        """For how long this machine has seen the lease as it is. Kept on disk: the end of a task looks only once."""
        digest = hashlib.sha256(b"%d %b" % (number, content)).hexdigest()
        path = self._folder / f"seen-{hashlib.sha256(self._this.boot.encode()).hexdigest()[:16]}"
        now = self._this.clock()
        with contextlib.suppress(OSError, ValueError, TypeError, KeyError):
            seen = json.loads(path.read_bytes())
            if seen["digest"] == digest and seen["since"] <= now:
                return float(now - seen["since"])
        with contextlib.suppress(OSError):  # another host is tidying; this is looked at again soon
            self._replace(path, json.dumps({"digest": digest, "since": now}).encode())
        return 0.0

    def _tidy(self) -> None:
        """Remove what nobody needs any more; also what a killed process left."""
        with contextlib.suppress(OSError):
            for path in list(self._folder.iterdir()):
                if not _NAME.fullmatch(path.name) or int(path.name) < self._number:
                    path.unlink(missing_ok=True)

    # --- keeping it --------------------------------------------------------------------------------------------------
    def _keep(self) -> None:
        while not self._over.wait(self._seconds / _RENEWALS):
            with self._renewing:
                if not self._over.is_set():
                    self._renew()

    def _renew(self) -> None:
        begun = self._this.clock()
        try:
            if begun - self._renewed >= self._seconds or self._newest() != self._number:
                self._over.set()
                return
            self._beats += 1
            self._write(self._own())
        except OSError as error:
            log.debug("The lease could not be renewed yet: %s", error)
            return
        self._renewed = begun

    def _own(self, *, free: bool = False) -> bytes:
        return json.dumps(
            {
                "v": 1,
                "owner": self._owner,
                "name": self._this.name,
                "processes": self._this.processes,
                "pid": os.getpid(),
                "begun": machine.begun(os.getpid()),
                "seconds": self._seconds,
                "beats": self._beats,
                "free": free,
            }
        ).encode()

    # --- files -------------------------------------------------------------------------------------------------------
    def _newest(self) -> int:
        with os.scandir(self._folder) as entries:
            return max((int(entry.name) for entry in entries if _NAME.fullmatch(entry.name)), default=0)

    def _path(self, number: int) -> Path:
        return self._folder / f"{number:020d}"

    def _content(self, number: int) -> bytes | None:
        try:
            return self._path(number).read_bytes()
        except FileNotFoundError:
            return None

    def _write(self, content: bytes) -> None:
        self._replace(self._path(self._number), content)

    def _replace(self, path: Path, content: bytes) -> None:
        temporary = self._folder / f"tmp-{self._owner}-{secrets.token_hex(4)}"
        temporary.write_bytes(content)
        temporary.replace(path)


def _parsed(content: bytes | None) -> Json:
    try:
        found = json.loads(content or b"")
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
