"""What a receiver does not take as things are: that waits, and everything else goes past it.

Its token lacks a right, or it fails at that event, or what stands before it does, and others get through. And what is suspected
of that, since it was in a call that got no answer.
"""

from __future__ import annotations

import json
import logging
import os
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict
from pathlib import Path

from airflow_provider_mlgov.delivery import small_file
from airflow_provider_mlgov.delivery.pace import MOST, Pace
from airflow_provider_mlgov.masking import shown

log = logging.getLogger(__name__)

FILE = "refused.json"
_VERSION = 1
_REASON = 300
_MOST_SUSPECTS = 2_000


class Refused:
    """The names of such events, in one small file beside the spool, and when they are tried again.

    Only the sender, under its lock, changes it. It saves calls and nothing depends on it: where the file cannot be read or
    written, they are tried with the others.
    """

    suspects: dict[str, None]
    """The names of events that were in a call without an answer, the last ones last: others go before them."""
    suspected: int
    """So many of them go in one call."""
    pace: Pace
    """How many go in one call of all others."""

    def __init__(
        self, root: Path, interval: float = 60.0, cap: float = 600.0, *, clock: Callable[[], float] = time.time
    ) -> None:
        self._path = root / FILE
        self._interval, self._cap, self._clock = interval, cap, clock
        found = small_file.read(self._path)
        self._is_of_later_version = found.get("v", _VERSION) > _VERSION
        try:
            self.names = {str(name): None for name in found["names"]}
            self.reason = str(found["reason"])
            self._until, self._pause = float(found["until"]), min(cap, max(interval, float(found["pause"])))
        except (KeyError, TypeError, ValueError, OverflowError):
            self.names, self.reason, self._until, self._pause = {}, "", 0.0, interval
        try:
            self.suspects = {str(name): None for name in found["suspects"]}
            self.suspected = min(MOST, max(1, int(found["suspected"])))
            self.pace = Pace.of(found["pace"])
        except (KeyError, TypeError, ValueError, OverflowError):
            self.suspects, self.suspected, self.pace = {}, MOST, Pace()

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

    def suspect(self, names: Iterable[str]) -> None:
        """These were sent together, and there was no answer; kept at once, since the process may end any moment."""
        known = [*names]
        for name in known:
            self.suspects.pop(name, None)
            self.suspects[name] = None
        self.suspects = dict.fromkeys([*self.suspects][-_MOST_SUSPECTS:])
        self.suspected = max(1, min(self.suspected, len(known)) // 2)
        self.save()

    def clear(self, names: Iterable[str]) -> None:
        """These are no suspects: there was an answer to each."""
        for name in names:
            self.suspects.pop(name, None)
        if not self.suspects:
            self.suspected = MOST

    def keep(self, names: Iterable[str]) -> None:
        """Forget what is not among ``names``."""
        waits = set(names)
        self.names = {name: None for name in self.names if name in waits}
        self.clear([name for name in self.suspects if name not in waits])

    def tried(self, *, taken: bool) -> None:
        """They were tried again: they rest for a while, and longer each time where none was taken."""
        self._pause = self._interval if taken else min(self._cap, self._pause * 2)
        self._until = self._clock() + self._pause

    def save(self) -> None:
        """Write the file, or remove it where there is nothing to remember."""
        if self._is_of_later_version:
            return
        document = {"v": _VERSION, "until": self._until, "pause": self._pause, "reason": self.reason}
        more = {"suspected": self.suspected, "pace": asdict(self.pace)}
        temporary = self._path.with_name(f"{FILE}.tmp")  # one name: who is killed here leaves one file
        try:
            if not (self.names or self.suspects) and self.pace.size == MOST:
                self._path.unlink(missing_ok=True)
                return
            handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                json.dump({**document, "names": list(self.names), "suspects": list(self.suspects), **more}, file)
            temporary.replace(self._path)
        except OSError as error:
            log.debug("What the receiver refused cannot be remembered: %s", error)
