"""Which machine this is, and its clock that nobody sets: what several hosts can go by whose clocks do not agree."""

from __future__ import annotations

import platform
import time
from functools import cache
from pathlib import Path

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


def uptime() -> float:
    """Seconds on a clock that only goes forward, also while the machine sleeps; processes with one `boot` share it."""
    clock = getattr(time, "CLOCK_BOOTTIME", None)  # Linux
    return time.monotonic() if clock is None else time.clock_gettime(clock)


@cache
def boot() -> str:
    """Names this machine and its start. Without Linux's names for that it is the host alone."""
    try:
        name = _BOOT_ID.read_text(encoding="ascii").strip()
    except OSError:
        return platform.node() or "host"
    return f"{name}-{_namespace('time')}".rstrip("-")


def processes() -> str:
    """Names the set of processes whose numbers this one can see: containers have their own."""
    return f"{boot()} {_namespace('pid')}"


def begun(pid: int) -> str | None:
    """When the process began, as a text to compare; empty if there is no such process, None if that cannot be known."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    except FileNotFoundError:
        return "" if _BOOT_ID.exists() else None
    except ProcessLookupError:
        return ""
    except OSError:
        return None
    return "" if fields[0] in "ZX" else fields[19]


def lacks_threads(error: Exception) -> bool:
    """Whether threads ran out, which is no event's fault."""
    return isinstance(error, RuntimeError) and "new thread" in str(error)


def lacking(error: Exception, what: str) -> str:
    """Why nothing can be sent here."""
    found = ": ".join(filter(None, (type(error).__name__, str(error))))
    return f"this machine lacks what sending needs ({found}), so everything waits: give the process more {what}"


def _namespace(kind: str) -> str:
    try:
        return str(Path(f"/proc/self/ns/{kind}").readlink()).strip("[]").rpartition("[")[2]
    except OSError:
        return ""
