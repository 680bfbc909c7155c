"""Files that outlive a loss of power: whole under their name, or not there."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable
from pathlib import Path

FILE_MODE = 0o600
_LONGEST_NAME = 200
"""Bytes: a file system takes 255, and we put something before and after it."""


def write(temporary: Path, content: bytes, target: Path, when_written: Callable[[Path], None] = lambda _: None) -> None:
    """Write ``temporary`` and name it ``target``, for good when this returns; ``when_written`` gets it before it is named."""
    try:
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, FILE_MODE)
        try:
            os.fchmod(handle, FILE_MODE)
            rest = memoryview(content)
            while rest:
                rest = rest[os.write(handle, rest) :]
            os.fsync(handle)
        finally:
            os.close(handle)
        when_written(temporary)
        temporary.rename(target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync(target.parent)


def aside(name: str) -> str:
    """What a file or an object is called that is set aside: apart from others, and with room for an ending."""
    return f"{secrets.token_hex(4)}-{os.fsdecode(os.fsencode(name)[:_LONGEST_NAME])}"


def sync(folder: Path) -> None:
    """Let what was named or renamed in a folder outlive a loss of power."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
