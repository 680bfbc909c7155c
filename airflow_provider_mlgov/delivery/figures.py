"""What a spool holds, for metrics: counted once a minute per host, since tasks end while very many events may wait."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from airflow_provider_mlgov.delivery.spool import Spool

_EVERY_SECONDS = 60.0
_MARK = "counted"


@dataclass(frozen=True)
class Figures:
    """What a spool holds."""

    waiting: int
    """Events that wait."""
    age: float
    """Seconds since the oldest of them was written."""
    dead: int
    """Dead letters."""


def figures(spool: Spool, clock: Callable[[], float] = time.time) -> Figures | None:
    """What ``spool`` holds; None where somebody counted a moment ago, so that the last values hold."""
    mark = spool.root / _MARK
    try:
        if abs(clock() - mark.stat().st_mtime) < _EVERY_SECONDS:  # a clock may jump either way
            return None
    except FileNotFoundError:
        pass
    mark.touch(mode=0o600)  # before it is counted: who comes meanwhile need not
    waiting, oldest = 0, ""
    for name in _names(spool.root / "new"):
        waiting += 1
        if not oldest or name < oldest:
            oldest = name
    age = max(0.0, clock() - spool.written(mark.with_name(oldest))) if oldest else 0.0
    return Figures(waiting, age, sum(1 for _ in _names(spool.root / "dead")))


def _names(folder: Path) -> Iterator[str]:
    """The names of events, neither sorted nor looked at: whoever sends sets aside what is none."""
    with os.scandir(folder) as entries:
        yield from (entry.name for entry in entries if entry.name[:20].isdigit())
