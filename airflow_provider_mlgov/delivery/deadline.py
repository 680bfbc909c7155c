"""How long a send may still take."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

from airflow_provider_mlgov.errors import MlgovError


class BudgetSpentError(MlgovError):
    """The time of this send is over. Never leaves the delivery: what is left waits for the next send."""


class Deadline:
    """A moment on the monotonic clock; ``budget`` None means no limit.

    ``guard`` is asked at each check too: it raises where the turn to send is lost (see `turn`).
    """

    def __init__(self, budget: float | None, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._end = math.inf if budget is None else clock() + budget
        self.guard: Callable[[], None] = lambda: None

    def left(self) -> float:
        """Seconds left, at least 0; infinite without a limit."""
        return max(0.0, self._end - self._clock())

    def check(self, needed: float = 0.0) -> None:
        """Raise `BudgetSpentError` unless more than ``needed`` seconds are left."""
        self.guard()
        if self.left() <= needed:
            raise BudgetSpentError("the time of this send is over; what is left goes with the next one")


NO_DEADLINE = Deadline(None)
"""All the time there is."""
