"""How commands speak: results on stdout, remarks on stderr."""

from __future__ import annotations

import os
import sys


def say(text: str = "") -> None:
    """A line of the result."""
    print(text)  # noqa: T201 - what a command is there for


def remark(text: str) -> None:
    """A line beside the result, which must not disturb who parses it."""
    print(f"mlgov: {text}", file=sys.stderr)  # noqa: T201 - what a command is there for


def has_color() -> bool:
    """Whether stdout is a terminal that wants colours."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def width() -> int | None:
    """Columns of the terminal; None where the output is piped on."""
    return os.get_terminal_size(sys.stdout.fileno()).columns if sys.stdout.isatty() else None


def is_ascii() -> bool:
    """Whether stdout cannot show line drawing."""
    return not (sys.stdout.encoding or "ascii").lower().startswith("utf")


def age(seconds: float) -> str:
    """``just now``, ``12 s ago``, ``3 min ago``, ``2 h ago``."""
    if seconds < 2:
        return "just now"
    if seconds < 120:
        return f"{seconds:.0f} s ago"
    return f"{seconds / 60:.0f} min ago" if seconds < 7200 else f"{seconds / 3600:.0f} h ago"
