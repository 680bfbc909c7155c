"""Bounds of the spool: of what waits beyond a size or an age, the oldest become dead letters.

Nothing blocks for it and nothing is lost: dead letters can be sent again. It is looked at once a minute at most, by whoever sends,
in a part of its time.
"""

from __future__ import annotations

import contextlib
import logging
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import takewhile
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_provider_mlgov.delivery.deadline import Deadline
from airflow_provider_mlgov.errors import SpoolError

if TYPE_CHECKING:
    from airflow_provider_mlgov.delivery.spool import Spool

log = logging.getLogger(__name__)

_EVERY_SECONDS = 60.0
_ROOM = 0.9
"""What is left of a full spool: else each new event would push an old one out."""
_EVENTS_PER_LETTER = 500
_BYTES_PER_LETTER = 16_000_000
_LEAST = 20
"""Events that become dead letters though looking through the spool took all the time."""
_ENTRIES_PER_LOOK = 256
"""Of a folder, between two looks at the time."""


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


def trim(
    spool: Spool, bounds: Bounds, clock: Callable[[], float] = time.time, *, deadline: Deadline | None = None
) -> int:
    """Make dead letters of what is beyond the bounds; how many events that were. Only for whoever holds the sender's lock.

    It ends with ``deadline``, between two files; the next one goes on.
    """
    deadline = deadline or Deadline(None)
    spool.prepare()
    _mark(spool).touch()
    waiting = _waiting(spool, deadline)
    if waiting is None:
        log.warning(
            "More events wait in %s than can be looked through at the end of a task: they were not held against their bounds. "
            "The delivery process does that, or `mlgov spool drain`",
            spool.root,
        )
        return 0
    beyond, reason = _beyond(waiting, bounds, lambda name: clock() - spool.written(Path(name)))
    buried = 0
    for letter in _letters(spool, beyond, deadline):
        said = f"{reason}; `mlgov spool retry` sends it again"
        spool.bury([event for _, event in letter], said, first=letter[0][0])
        spool.acknowledge([path for path, _ in letter])
        buried += len(letter)
    if buried:
        log.warning("%d events became dead letters: %s", buried, reason)
    return buried


def _waiting(spool: Spool, deadline: Deadline) -> list[tuple[str, int]] | None:
    """What waits and how large it is, the oldest first; None where there was no time to look at all of it."""
    folder = spool.root / "new"
    found: list[tuple[str, int]] = []
    try:
        with os.scandir(folder) as entries:
            for number, entry in enumerate(entries):
                if number % _ENTRIES_PER_LOOK == 0 and not deadline.left():
                    return None
                if entry.name[:20].isdigit() and entry.is_file(follow_symlinks=False):
                    with contextlib.suppress(FileNotFoundError):
                        found.append((entry.name, entry.stat(follow_symlinks=False).st_size))
    except OSError as error:
        raise SpoolError(f"cannot look through {folder}: {error.strerror or error}") from error
    return sorted(found)


def _beyond(
    waiting: Sequence[tuple[str, int]], bounds: Bounds, age: Callable[[str], float]
) -> tuple[Sequence[tuple[str, int]], str]:
    """What is beyond the bounds, and beyond which."""
    total = sum(size for _, size in waiting)
    aged = list(takewhile(lambda file: age(file[0]) > bounds.age, waiting)) if bounds.age < inf else []
    over: list[tuple[str, int]] = []
    if total > bounds.size:
        for name, size in waiting:
            if total <= bounds.size * _ROOM:
                break
            over.append((name, size))
            total -= size
    if len(aged) >= len(over):
        return aged, f"it waited for more than {bounds.age / 86400:g} days: the catalogue did not take it"
    return over, f"more than {bounds.size / 1e6:g} MB waited, and this was the oldest: the catalogue did not take it"


def _mark(spool: Spool) -> Path:
    return spool.root / "bounds"


def _letters(spool: Spool, files: Sequence[tuple[str, int]], deadline: Deadline) -> Iterator[list[tuple[Path, Any]]]:
    """The events of ``files`` in portions, until the time is over; some there always are, so that it comes to an end."""
    portion: list[tuple[Path, Any]] = []
    total = 0
    for number, (name, size) in enumerate(files):
        if number >= _LEAST and not deadline.left():
            break
        path = spool.root / "new" / name
        event = spool.read(path)
        if event is None:
            continue
        portion.append((path, event))
        total += size
        if len(portion) == _EVENTS_PER_LETTER or total > _BYTES_PER_LETTER:
            yield portion
            portion, total = [], 0
    if portion:
        yield portion
