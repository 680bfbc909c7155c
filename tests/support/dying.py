"""Processes that kill themselves by SIGKILL at a step of the delivery. The product knows nothing of it: the child is patched."""

from __future__ import annotations

import importlib
import multiprocessing
import os
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import airflow_provider_mlgov.delivery

KILLED = -signal.SIGKILL
DELIVERY = str(Path(airflow_provider_mlgov.delivery.__file__).parent)
_HERE = "airflow_provider_mlgov.delivery."


@dataclass(frozen=True)
class Step:
    """Before or after the ``count``-th call of a function: ``module:Class.method`` or ``module:function``."""

    name: str
    function: str
    when: str
    count: int = 1

    def install(self) -> None:
        """Let this process die there."""
        module, _, rest = self.function.partition(":")
        holder: Any = importlib.import_module(_HERE + module[1:] if module.startswith(".") else module)
        *owners, name = rest.split(".")
        for each in owners:
            holder = getattr(holder, each)
        original, calls = getattr(holder, name), 0

        def dying(*args: Any, **kwargs: Any) -> Any:
            nonlocal calls
            calls += 1
            if calls == self.count and self.when == "before":
                die()
            answer = original(*args, **kwargs)
            if calls == self.count and self.when == "after":
                die()
            return answer

        setattr(holder, name, dying)


def die() -> None:
    """End this process as the out-of-memory killer does."""
    os.kill(os.getpid(), signal.SIGKILL)


def in_child(
    work: Callable[[], object], prepare: Callable[[], None] = lambda: None, seconds: float = 120
) -> int | None:
    """``work`` in a child process, after ``prepare`` there; returns its exit code."""

    def child() -> None:
        prepare()
        work()

    process = multiprocessing.get_context("fork").Process(target=child)
    process.start()
    process.join(seconds)
    if process.is_alive():
        process.kill()
        process.join()
        raise AssertionError(f"the child still ran after {seconds:g} s")
    return process.exitcode


class Lines:
    """Counts the lines of the delivery that this process executes, and dies at the ``last``-th."""

    def __init__(self, last: int | None = None) -> None:
        self.count = 0
        self._last = last

    def install(self) -> None:
        """Begin to count."""
        sys.settrace(self._call)

    def _call(self, frame: FrameType, _event: str, _argument: object) -> Any:
        return self._line if frame.f_code.co_filename.startswith(DELIVERY) else None

    def _line(self, _frame: FrameType, event: str, _argument: object) -> Any:
        if event == "line":
            self.count += 1
            if self.count == self._last:
                die()
        return self._line
