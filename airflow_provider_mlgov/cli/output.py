"""How commands speak: results on stdout, remarks on stderr."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from typing import TextIO

from airflow_provider_mlgov.masking import shown

_results: list[TextIO] = []


@contextlib.contextmanager
def results() -> Iterator[None]:
    """Keep stdout for `say`: what else is printed within (Airflow 2 logs there) goes to stderr."""
    _results.append(sys.stdout)
    try:
        with contextlib.redirect_stdout(sys.stderr):
            yield
    finally:
        _results.pop()


def _stream() -> TextIO:
    return _results[-1] if _results else sys.stdout


def say(text: str = "") -> None:
    """A line of the result."""
    print(text, file=_stream())


def remark(text: str) -> None:
    """A line beside the result, which must not disturb who parses it."""
    print(f"mlgov: {shown(text)}", file=sys.stderr)  # noqa: T201 - what a command is there for


def has_color() -> bool:
    """Whether stdout is a terminal that wants colours."""
    return _stream().isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def width() -> int | None:
    """Columns of the terminal; None where the output is piped on."""
    return os.get_terminal_size(_stream().fileno()).columns if _stream().isatty() else None


def is_ascii() -> bool:
    """Whether stdout cannot show line drawing."""
    return not (_stream().encoding or "ascii").lower().startswith("utf")


def age(seconds: float) -> str:
    """``just now``, ``12 s ago``, ``3 min ago``, ``2 h ago``."""
    if seconds < 2:
        return "just now"
    if seconds < 120:
        return f"{seconds:.0f} s ago"
    return f"{seconds / 60:.0f} min ago" if seconds < 7200 else f"{seconds / 3600:.0f} h ago"
