"""Writes to disk that nobody waits for longer than agreed: a slow disk holds neither a task nor the scheduler's loop.

One thread, which is there only while something is to be written: so a fork finds none, and no lock that is held for long.
"""

from __future__ import annotations

import logging
import os
import threading
from collections import deque
from collections.abc import Callable

from airflow_provider_mlgov.lineage.limited import one_line

log = logging.getLogger(__name__)
_MOST = 10_000
"""Writes that wait, each with its event in memory: some hundred MB at most while a disk hangs."""


class Write:
    """One write, and how it ended."""

    def __init__(self, what: str, call: Callable[[], object]) -> None:
        self.what = what
        self._call = call
        self._ended = threading.Event()
        self._left_alone = False
        self._error: BaseException | None = None

    def do(self) -> None:
        """Write; where nobody waits any more, what goes wrong is one log line."""
        try:
            self._call()
        except BaseException as error:  # noqa: BLE001 - it belongs to who waits, not to this thread
            self._error = error
        self._ended.set()
        if self._left_alone and self._error is not None:
            log.warning("%s is lost: %s: %s", self.what, type(self._error).__name__, one_line(self._error))

    def wait(self, seconds: float) -> bool:
        """Whether it ended within ``seconds``; raises what it raised."""
        if not self._ended.wait(seconds):
            self._left_alone = True  # before the second look: so one of the two threads sees what went wrong
            if not self._ended.is_set():
                return False
        if self._error is not None:
            raise self._error
        return True


class Aside:
    """Does writes in the order in which they come, in a thread that ends when there are none."""

    def __init__(self) -> None:
        self._begin()
        os.register_at_fork(after_in_child=self._begin)

    def _begin(self) -> None:
        # A fork has no such thread, and what waits here is written by the parent.
        self._lock = threading.Lock()
        self._waiting: deque[Write] = deque()
        self._works = False
        self._left_out = 0

    def do(self, what: str, call: Callable[[], object], seconds: float) -> bool:
        """Whether ``call`` ended within ``seconds``; it goes on if not. Raises what it raised.

        Where too many wait already it is left out: the first time that is said, and how many it were when there is room again.
        """
        write = Write(what, call)
        with self._lock:
            if full := len(self._waiting) >= _MOST:
                self._left_out += 1
                first = self._left_out == 1
            else:
                self._waiting.append(write)
                left_out, self._left_out = self._left_out, 0
                starts, self._works = not self._works, True
        if full:
            if first:
                log.warning("%s and what follows is lost: %d writes wait for the disk already", what, _MOST)
            return False
        if left_out:
            log.warning("%d writes are lost: the disk did not take those before them in time", left_out)
        if starts:
            threading.Thread(target=self._work, name="mlgov writing", daemon=True).start()
        return write.wait(seconds)

    def settle(self, seconds: float) -> bool:
        """Whether all writes so far ended within ``seconds``: for who is about to end the process."""
        return self.do("The last write", lambda: None, seconds)

    def _work(self) -> None:
        while True:
            with self._lock:
                if not self._waiting:
                    self._works = False
                    return
                write = self._waiting.popleft()
            write.do()


ASIDE = Aside()
"""That of this process."""
