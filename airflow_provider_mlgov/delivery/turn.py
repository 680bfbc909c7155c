"""Whose turn it is to send: a lock of this host, or a lease where several hosts share a spool (`lease`)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from airflow_provider_mlgov.delivery.deadline import BudgetSpentError
from airflow_provider_mlgov.errors import SpoolError

if TYPE_CHECKING:
    from filelock import BaseFileLock


class TurnLostError(BudgetSpentError):
    """Another host may be sending by now: no call may be made any more. Never leaves the delivery."""


class Turn(Protocol):
    """The right to send, which one process has at a time."""

    def acquire(self, timeout: float) -> bool:
        """Take it, within ``timeout`` seconds. `SpoolError` where the folder does not let anyone."""
        ...

    def check(self) -> None:
        """Raise `TurnLostError` unless this process has it still. Asked before each call."""
        ...

    def release(self) -> None:
        """Let others have it."""
        ...

    @property
    def holder(self) -> str:
        """Who has it, as far as that is known."""
        ...


@contextmanager
def released(turn: Turn) -> Iterator[None]:
    """Release ``turn`` at the end of the block."""
    try:
        yield
    finally:
        turn.release()


class HostTurn:
    """A lock of the operating system: it ends with its process, and holds among the processes of one host."""

    def __init__(self, root: Path) -> None:
        self._path = root / "sender.lock"
        self._lock: BaseFileLock | None = None

    def acquire(self, timeout: float) -> bool:
        """See `Turn`."""
        from filelock import FileLock, Timeout

        lock = FileLock(self._path, timeout=timeout)
        try:
            lock.acquire()
        except Timeout:
            return False
        except OSError as error:
            raise SpoolError(
                f"cannot lock {self._path}: {error}; give the spool a writable folder on a local disk"
            ) from error
        self._lock = lock
        return True

    def check(self) -> None:
        """Nobody can take it away."""

    def release(self) -> None:
        """See `Turn`."""
        if self._lock is not None:
            self._lock.release()

    @property
    def holder(self) -> str:
        """See `Turn`."""
        return "another process of this host is sending"
