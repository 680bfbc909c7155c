"""What a receiver does not take as things are: that waits, and everything else goes past it.

Its token lacks a right, or it fails at that event, or what stands before it does, and others get through.
"""

from __future__ import annotations

import json
import logging
import os
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from airflow_provider_mlgov.masking import shown

log = logging.getLogger(__name__)

FILE = "refused.json"
_VERSION = 1
_REASON = 300


class Refused:
    """The names of such events, in one small file beside the spool, and when they are tried again.

    Only the sender, under its lock, changes it. It saves calls and nothing depends on it: where the file cannot be read or
    written, they are tried with the others.
    """

    suspects: dict[str, None]
    """The names of those that got no answer alone, while it was not known whether others do: the others go first."""

    def __init__(
        self, root: Path, interval: float = 60.0, cap: float = 600.0, *, clock: Callable[[], float] = time.time
    ) -> None:
        self._path = root / FILE
        self._interval, self._cap, self._clock = interval, cap, clock
        found = self._read()
        self._is_of_later_version = found.get("v", _VERSION) > _VERSION
        try:
            self.names = {str(name): None for name in found["names"]}
            self.reason = str(found["reason"])
            self.suspects = {str(name): None for name in found.get("suspects", ())}
            self._until, self._pause = float(found["until"]), float(found["pause"])
        except (KeyError, TypeError, ValueError):
            self.names, self.reason, self._until, self._pause = {}, "", 0.0, interval
            self.suspects = {}

    def _read(self) -> dict[str, Any]:
        try:
            found = json.loads(self._path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) and isinstance(found.get("v"), int) else {}

    @property
    def is_due(self) -> bool:
        """Whether they may be tried again now."""
        now = self._clock()
        return now >= self._until or self._until > now + self._cap  # a clock that was set back must not keep them

    def add(self, name: str, reason: str) -> None:
        """This one was refused; it is the last to be tried again."""
        if not self.names:
            self._until, self._pause = self._clock() + self._interval, self._interval
        self.names.pop(name, None)
        self.names[name] = None
        self.reason = shown(reason)[:_REASON]

    def keep(self, names: Iterable[str]) -> None:
        """Forget what is not among ``names``."""
        waits = set(names)
        self.names = {name: None for name in self.names if name in waits}
        self.suspects = {name: None for name in self.suspects if name in waits}

    def tried(self, *, taken: bool) -> None:
        """They were tried again: they rest for a while, and longer each time where none was taken."""
        self._pause = self._interval if taken else min(self._cap, self._pause * 2)
        self._until = self._clock() + self._pause

    def save(self) -> None:
        """Write the file, or remove it where there is nothing to remember."""
        if self._is_of_later_version:
            return
        document = {"v": _VERSION, "until": self._until, "pause": self._pause, "reason": self.reason}
        temporary = self._path.with_name(f"{FILE}.tmp")  # one name: who is killed here leaves one file
        try:
            if not (self.names or self.suspects):
                self._path.unlink(missing_ok=True)
                return
            handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                json.dump({**document, "names": list(self.names), "suspects": list(self.suspects)}, file)
            temporary.replace(self._path)
        except OSError as error:
            log.debug("What the receiver refused cannot be remembered: %s", error)
