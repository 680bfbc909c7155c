"""Files of the spool that stay where they are and are gone past: a later version wrote them, or they cannot be read now."""

from __future__ import annotations

import errno
import logging
import random
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

log = logging.getLogger(__name__)

OF_THIS_PROCESS = (errno.EMFILE, errno.ENFILE, errno.ENOMEM)
"""What this process or this machine lacks: no file is to blame."""
_LARGEST = 2**30
"""Bytes: no event of ours, nor all that one dead letter holds, is so large."""
_WITNESSES = 8
_AGAIN_SECONDS = 60.0
"""A file that cannot be read is tried again after these: a network file system may have been the trouble."""


def content_of(path: Path) -> bytes:
    """What is in a file. `ValueError` where no waiting would help, `OSError` where it may."""
    size = path.stat().st_size
    if size > _LARGEST:
        raise ValueError(f"it has {size} bytes; wanted at most {_LARGEST}")
    try:
        return path.read_bytes()
    except PermissionError:
        raise ValueError("it cannot be read: it belongs to another user") from None


def readable_of(paths: Iterable[Path]) -> Path | None:
    """One that can be read, of a few of ``paths``; by lot, since those beside each other may lie on the same part of a disk."""
    known = [*paths]
    for path in random.sample(known, min(_WITNESSES, len(known))):
        with suppress(OSError, ValueError):
            content_of(path)
            return path
    return None


class Left:
    """The files that one process met: the next process looks anew."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._later: set[Path] = set()
        self._told: set[Path] = set()
        """The folders of whose later files it was said that there are any."""
        self._unread: dict[Path, tuple[float, str]] = {}

    def __contains__(self, path: Path) -> bool:
        if path in self._later:
            return True
        known = self._unread.get(path)
        return known is not None and self._clock() < known[0]

    def __len__(self) -> int:
        return len(self._later) + len(self._unread)

    def of_later_version(self, path: Path, error: Exception) -> None:
        """Leave a file to a process of a later version of the package."""
        if (root := path.parent.parent) not in self._told:
            self._told.add(root)
            log.warning(
                "%s was %s: it and others like it stay there until a process of that version sends them; bring all processes "
                "that use this spool to one version",
                path,
                error,
            )
        self._later.add(path)

    def not_read(self, path: Path, reason: str) -> None:
        """Leave a file for a while."""
        if path not in self._unread:
            log.warning("%s cannot be read (%s): it stays there, and the others go past it; see to that", path, reason)
        self._unread[path] = self._clock() + _AGAIN_SECONDS, reason

    def read(self, path: Path) -> None:
        """It can be read."""
        self._unread.pop(path, None)

    def later(self, root: Path) -> list[Path]:
        """The files of a later version below a folder."""
        return sorted(path for path in [*self._later] if path.is_relative_to(root) and path.exists())

    def unread(self, root: Path) -> dict[Path, str]:
        """The files below a folder that could not be read, each with the reason."""
        return {path: why for path, (_, why) in [*self._unread.items()] if path.is_relative_to(root) and path.exists()}
