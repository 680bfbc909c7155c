"""Calls into foreign code that may sleep for a minute, raise anything or call `sys.exit`."""

from __future__ import annotations

import contextvars
import logging
import math
import threading
import time
from collections.abc import Callable
from typing import TypeVar

from airflow_provider_mlgov._compat import close_thread_session
from airflow_provider_mlgov.masking import shown, trace_of

T = TypeVar("T")
log = logging.getLogger(__name__)
_LONGEST = 500


def one_line(error: BaseException) -> str:
    """What an error says, in one line of a log."""
    text = " ".join(shown(error).split())
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


def limited(what: str, call: Callable[[], T], seconds: float) -> T | None:
    """The result of ``call``, or None with one warning if it fails or takes longer than ``seconds``.

    It runs in a thread of its own, which is left alone when it takes too long: an alarm would not reach code that waits inside
    a library, and only the main thread may have one. What the code raises, `SystemExit` included, ends there. On 2.11, whose
    database sessions belong to threads, the code also gets a session of its own: Airflow's is in the middle of saving the task.
    """
    results: list[T] = []
    failures: list[BaseException] = []

    def run() -> None:
        try:
            results.append(call())
        except BaseException as error:  # noqa: BLE001 - also SystemExit: nothing of foreign code may reach the task
            failures.append(error)
        finally:
            close_thread_session()

    thread = threading.Thread(
        target=contextvars.copy_context().run, args=(run,), name=f"mlgov {what}"[:60], daemon=True
    )
    thread.start()
    thread.join(seconds)
    if results:
        return results[0]
    if failures:
        log.warning(
            "%s failed: %s: %s (the task is not affected)", what, type(failures[0]).__name__, one_line(failures[0])
        )
        log.debug("Details:\n%s", trace_of(failures[0]))
    elif thread.is_alive():
        log.warning(
            "%s took longer than %g s and is not waited for (the task is not affected)", what, round(seconds, 2)
        )
    return None


class Allowance:
    """What several calls into foreign code may take together: so many seconds, and never beyond ``end`` (monotonic)."""

    def __init__(self, seconds: float, end: float = math.inf) -> None:
        self._seconds = seconds
        self._end = end

    def left(self) -> float:
        """Seconds left, at least 0."""
        return max(0.0, min(self._seconds, self._end - time.monotonic()))

    def limited(self, what: str, call: Callable[[], T], share: float = 1.0) -> T | None:
        """The same as `limited`, within that ``share`` of what is left; where nothing is, the code is not called."""
        seconds = self.left() * share
        if not seconds:
            log.debug("%s is left out: there is no time left", what)
            return None
        began = time.monotonic()
        try:
            return limited(what, call, seconds)
        finally:
            self._seconds -= time.monotonic() - began
