"""Files of the spool that stay where they are and are gone past: a later version wrote them, or they cannot be read now."""

from __future__ import annotations

import errno
import logging
import time
from collections.abc import Callable
from pathlib import Path

log = logging.getLogger(__name__)

OF_THIS_PROCESS = (errno.EMFILE, errno.ENFILE, errno.ENOMEM)
"""What this process or this machine lacks: no file is to blame."""
_AGAIN_SECONDS = 60.0
"""A file that cannot be read is tried again after these: a network file system may have been the trouble."""


class Left:
    """The files that one process met: the next process looks anew."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._later: set[Path] = set()
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
        if not self.later(path.parent.parent):
            log.warning(
                "%s was %s: it and others like it stay there until a process of that version sends them; bring all processes "
                "that use this spool to one version",
                path,
                error,
            )
        self._later.add(path)

    def not_read(self, path: Path, error: OSError) -> None:
        """Leave a file for a while."""
        reason = error.strerror or str(error)
        if path not in self._unread:
            log.warning(
                "%s cannot be read (%s): it stays there, and the others go past it; see to its disk", path, reason
            )
        self._unread[path] = self._clock() + _AGAIN_SECONDS, reason

    def read(self, path: Path) -> None:
        """It can be read."""
        self._unread.pop(path, None)

    def later(self, root: Path) -> list[Path]:
        """The files of a later version below a folder."""
        return sorted(path for path in self._later if path.is_relative_to(root) and path.exists())

    def unread(self, root: Path) -> dict[Path, str]:
        """The files below a folder that could not be read, each with the reason."""
        return {path: why for path, (_, why) in self._unread.items() if path.is_relative_to(root) and path.exists()}
