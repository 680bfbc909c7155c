"""A circuit breaker that all processes of a host share: a dead catalogue costs one time-out per interval, not one per task."""

from __future__ import annotations

import json
import logging
import os
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from airflow_provider_mlgov.delivery import small_file
from airflow_provider_mlgov.masking import shown

log = logging.getLogger(__name__)

_VERSION = 1


@dataclass(frozen=True)
class Opening:
    """What the file says while the breaker is open."""

    since: float
    until: float
    failures: int
    reason: str


class Breaker:
    """Open after a failure for ``interval`` seconds, twice as long after each further one, up to ``cap``.

    Anyone may ask `allows`; only the sender, under its lock, reports. A breaker whose file cannot be read or written is closed:
    it saves time, and nothing depends on it.
    """

    def __init__(
        self, path: Path, *, interval: float = 30.0, cap: float = 600.0, clock: Callable[[], float] = time.time
    ) -> None:
        self._path = path
        self._interval = interval
        self._cap = cap
        self._clock = clock

    def opening(self) -> Opening | None:
        """Why and until when it is open, or None. After ``until`` one attempt is allowed, and the answer stays."""
        found = small_file.read(self._path)
        try:
            return Opening(float(found["since"]), float(found["until"]), int(found["failures"]), str(found["reason"]))
        except (ValueError, TypeError, KeyError, OverflowError):
            return None

    def _is_of_later_version(self) -> bool:
        """Whether a later version of the package wrote the file: then only such a one changes it."""
        return bool(small_file.read(self._path).get("v", _VERSION) > _VERSION)

    def allows(self) -> bool:
        """Whether an attempt may be made now."""
        opening = self.opening()
        if opening is None:
            return True
        now = self._clock()
        return (
            now >= opening.until or opening.until > now + self._cap
        )  # a clock that was set back must not keep it open

    def failed(self, reason: str, *, at_least: float = 0.0) -> None:
        """The catalogue as a whole did not work: open, or stay open longer. ``at_least``: seconds that it asked for."""
        reason = shown(reason)
        before = self.opening()
        failures = before.failures + 1 if before else 1
        now = self._clock()
        pause = min(self._cap, max(at_least, self._interval * 2 ** min(failures - 1, 30)))
        opening = Opening(before.since if before else now, now + pause, failures, reason)
        if before is None:
            log.warning("The catalogue is not usable, events wait in %s: %s", self._path.parent, reason)
        else:
            log.debug("The catalogue is still not usable, next attempt in %.0f s: %s", pause, reason)
        if self._is_of_later_version():
            return
        temporary = self._path.with_name(f"{self._path.name}.tmp")  # one name: who is killed here leaves one file
        try:
            handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                json.dump({"v": _VERSION, **asdict(opening)}, file)
            temporary.replace(self._path)
        except OSError as error:
            log.debug("The breaker's file cannot be written: %s", error)

    def succeeded(self) -> None:
        """The catalogue works: close."""
        opening = self.opening()
        if (opening is None and not self._path.exists()) or self._is_of_later_version():
            return
        try:
            self._path.unlink(missing_ok=True)
        except OSError as error:
            log.debug("The breaker's file cannot be removed: %s", error)
            return
        if opening is not None:
            log.info("The catalogue is usable again after %.0f s", self._clock() - opening.since)
