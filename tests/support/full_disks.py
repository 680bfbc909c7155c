"""File systems that are full or read-only, really: a small one in memory is mounted, which takes the rights of root."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


class SmallDisk:
    """A file system of some hundred KB."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._ballast = folder / "ballast"

    def fill(self, leave: int = 0) -> None:
        """Use all its room but about ``leave`` bytes."""
        with self._ballast.open("ab", buffering=0) as ballast:
            block = 65536
            while block:
                room = os.statvfs(self.folder)
                if room.f_bavail * room.f_frsize - block < leave:
                    block //= 2
                    continue
                try:
                    ballast.write(b"x" * block)
                except OSError:
                    block //= 2

    def make_room(self) -> None:
        """Free what `fill` used."""
        self._ballast.unlink(missing_ok=True)

    def read_only(self, yes: bool) -> None:
        """Make it read-only, or writable again."""
        _mount("-o", f"remount,{'ro' if yes else 'rw'}", str(self.folder))


@contextmanager
def small_disk(folder: Path, size: str = "1m") -> Iterator[SmallDisk]:
    """Mount one at ``folder``; the test is left out, loudly, where that is not allowed."""
    folder.mkdir()
    done = _mount("-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder))
    if done.returncode:
        pytest.skip(
            f"no small disk can be mounted here ({done.stderr.strip()}): full and read-only disks are not tested"
        )
    try:
        yield SmallDisk(folder)
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def _mount(*arguments: str) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(["mount", *arguments], check=False, capture_output=True, text=True)
    except FileNotFoundError:
        return subprocess.CompletedProcess(arguments, 1, "", "no program mount")
