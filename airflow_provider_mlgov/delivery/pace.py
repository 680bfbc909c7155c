"""How many events one call has: as many as a receiver takes in time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from typing_extensions import Self

MOST = 200
_PATIENCE, _MOST_PATIENCE = 2, 256


@dataclass
class Pace:
    """Half of what got no answer; twice as many after some that did, and after more of them each time that was too many."""

    size: int = MOST
    patience: int = _PATIENCE
    """How many calls have to be answered before there are more events in one."""
    answered: int = 0
    grew: bool = False
    """Whether there are more in a call than there were: what gets no answer then is too many."""

    @classmethod
    def of(cls, told: Mapping[str, Any]) -> Self:
        """The one that was kept; what is out of bounds is brought within them."""
        size, patience, answered = (int(told[name]) for name in ("size", "patience", "answered"))
        pace = cls(min(MOST, max(1, size)), min(_MOST_PATIENCE, max(1, patience)), max(0, answered))
        pace.grew = told["grew"] is True
        return pace

    def took(self, count: int) -> None:
        """A call of so many was answered."""
        if count < self.size or self.size >= MOST:
            return
        self.answered += 1
        if self.answered >= self.patience:
            self.size, self.answered, self.grew = min(MOST, self.size * 2), 0, True

    def failed(self, count: int) -> None:
        """A call of so many got no answer."""
        if self.grew:
            self.patience = min(_MOST_PATIENCE, self.patience * 2)
        self.size, self.answered, self.grew = max(1, min(self.size, count) // 2), 0, False
