"""Bounds of the spool: of what waits beyond a size or an age, the oldest become dead letters.

Nothing blocks for it and nothing is lost: dead letters can be sent again. It is looked at once a minute at most, by whoever sends.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow_provider_mlgov.delivery.spool import Spool

log = logging.getLogger(__name__)

_EVERY_SECONDS = 60.0
_ROOM = 0.9
"""What is left of a full spool: else each new event would push an old one out."""
_EVENTS_PER_LETTER = 500
_BYTES_PER_LETTER = 16_000_000


@dataclass(frozen=True)
class Bounds:
    """How much may wait."""

    size: float = inf
    """Bytes of all files that wait."""
    age: float = inf
    """Seconds since the oldest was written."""

    @property
    def is_none(self) -> bool:
        """Whether there is no bound."""
        return self.size == self.age == inf


NO_BOUNDS = Bounds()


def is_due(spool: Spool, bounds: Bounds, clock: Callable[[], float] = time.time) -> bool:
    """Whether nobody has looked for a while."""
    if bounds.is_none:
        return False
    try:
        return abs(clock() - _mark(spool).stat().st_mtime) >= _EVERY_SECONDS  # a clock may jump either way
    except OSError:
        return True


def trim(spool: Spool, bounds: Bounds, clock: Callable[[], float] = time.time) -> int:
    """Make dead letters of what is beyond the bounds; how many events that were. Only for whoever holds the sender's lock."""
    spool.prepare()
    _mark(spool).touch()
    waiting = [(path, size) for path in spool.waiting() if (size := _size(path)) is not None]
    total = sum(size for _, size in waiting)
    aged = [path for path, _ in waiting if clock() - spool.written(path) > bounds.age]
    over: list[Path] = []
    if total > bounds.size:
        for path, size in waiting:
            if total <= bounds.size * _ROOM:
                break
            over.append(path)
            total -= size
    beyond = max(aged, over, key=len)
    days = bounds.age / 86400
    if aged == beyond:
        reason = f"it waited for more than {days:g} days: the catalogue did not take it"
    else:
        reason = f"more than {bounds.size / 1e6:g} MB waited, and this was the oldest: the catalogue did not take it"
    for letter in _letters(spool, beyond):
        said = f"{reason}; `mlgov spool retry` sends it again"
        spool.bury([event for _, event in letter], said, first=letter[0][0])
        spool.acknowledge([path for path, _ in letter])
    if beyond:
        log.warning("%d events became dead letters: %s", len(beyond), reason)
    return len(beyond)


def _mark(spool: Spool) -> Path:
    return spool.root / "bounds"


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except OSError:
        return None


def _letters(spool: Spool, paths: Sequence[Path]) -> Iterator[list[tuple[Path, Any]]]:
    """The events of ``paths`` in portions."""
    portion: list[tuple[Path, Any]] = []
    size = 0
    for path in paths:
        event = spool.read(path)
        if event is None:
            continue
        portion.append((path, event))
        size += _size(path) or 0
        if len(portion) == _EVENTS_PER_LETTER or size > _BYTES_PER_LETTER:
            yield portion
            portion, size = [], 0
    if portion:
        yield portion
