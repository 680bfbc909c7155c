"""Calls into foreign code that may sleep for a minute, raise anything or call `sys.exit`."""

from __future__ import annotations

import contextvars
import logging
import threading
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")
log = logging.getLogger(__name__)


def limited(what: str, call: Callable[[], T], seconds: float) -> T | None:
    """The result of ``call``, or None with one warning if it fails or takes longer than ``seconds``.

    It runs in a thread of its own, which is left alone when it takes too long: an alarm would not reach code that waits inside
    a library, and only the main thread may have one. What the code raises, `SystemExit` included, ends there.
    """
    results: list[T] = []
    failures: list[BaseException] = []

    def run() -> None:
        try:
            results.append(call())
        except BaseException as error:  # noqa: BLE001 - also SystemExit: nothing of foreign code may reach the task
            failures.append(error)

    thread = threading.Thread(
        target=contextvars.copy_context().run, args=(run,), name=f"mlgov {what}"[:60], daemon=True
    )
    thread.start()
    thread.join(seconds)
    if results:
        return results[0]
    if failures:
        log.warning("%s failed and is left out of the lineage: %s: %s", what, type(failures[0]).__name__, failures[0])
        log.debug("Details:", exc_info=failures[0])
    elif thread.is_alive():
        log.warning("%s took longer than %g s ([mlgov] collect_timeout) and is left out of the lineage", what, seconds)
    return None
