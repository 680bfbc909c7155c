"""The write-ahead log of events: a folder with one file per event, kept until the catalogue has acknowledged what came of it.

::

    <root>/new/    events that wait, named by time: the oldest sorts first
    <root>/tmp/    files being written
    <root>/dead/   dead letters: events that were refused, with the reason; `Spool.retry` takes them again
    <root>/odd/    files found in new/ or dead/ that are not ours or damaged, each with its reason in <name>.reason

A file is one JSON line that describes it (``v``, ``sha256``) and one JSON line per event.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import re
import secrets
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from airflow_provider_mlgov.errors import SpoolError
from airflow_provider_mlgov.masking import shown

Json = dict[str, Any]

_VERSION = 1
_NAME = re.compile(r"\d{20}-\d+-\d{6}-[0-9a-f]{8}\.json")
_STALE_SECONDS = 3600.0
_numbers = itertools.count()


_FILE_MODE, _FOLDER_MODE = 0o600, 0o700


@dataclass(frozen=True)
class Counts:
    """How many files the spool holds."""

    waiting: int
    dead: int
    odd: int


@dataclass(frozen=True)
class DeadLetter:
    """What could not be delivered, and why."""

    name: str
    reason: str
    time: float
    events: tuple[Json, ...]
    parts: tuple[str, ...] = ()
    """Where only parts of the events were refused: the names of these entities. The rest was delivered."""


class Spool:
    """A folder of events. Any number of processes may append; only the sender acknowledges."""

    def __init__(self, root: str | os.PathLike[str]) -> None:
        self.root = Path(root)
        self._made = False

    def __repr__(self) -> str:
        return f"Spool({str(self.root)!r})"

    # --- writing -----------------------------------------------------------------------------------------------------
    def append(self, event: Mapping[str, Any]) -> Path:
        """Put ``event`` on disk, for good when this returns."""
        return self._store("new", {}, [event])

    def acknowledge(self, paths: Iterable[Path]) -> None:
        """Remove events: the catalogue has what came of them."""
        with self._explained("remove delivered events"):
            for path in paths:
                path.unlink(missing_ok=True)

    def bury(self, events: Sequence[Mapping[str, Any]], reason: str, *, parts: Sequence[str] = ()) -> Path:
        """Keep ``events`` as a dead letter. Acknowledging the originals is the caller's."""
        return self._store("dead", {"reason": shown(reason), "time": time.time(), "parts": list(parts)}, events)

    # --- reading -----------------------------------------------------------------------------------------------------
    def waiting(self) -> list[Path]:
        """The events that wait, oldest first. What is not ours is set aside."""
        return self._list("new")

    def has_waiting(self) -> bool:
        """Whether anything waits."""
        return any(True for _ in self._scan("new"))

    def read(self, path: Path) -> Json | None:
        """The event in ``path``; None if the file is gone or damaged (then it is set aside)."""
        found = self._read(path)
        return found[1][0] if found else None

    def dead_letters(self) -> list[DeadLetter]:
        """All dead letters, oldest first."""
        letters = []
        for path in self._list("dead"):
            found = self._read(path)
            if found:
                head, events = found
                parts = tuple(str(part) for part in head.get("parts", ()))
                letters.append(
                    DeadLetter(path.name, str(head.get("reason")), float(head.get("time", 0)), tuple(events), parts)
                )
        return letters

    def counts(self) -> Counts:
        """How many wait, are dead, were set aside."""
        odd = sum(1 for entry in self._scan("odd") if not entry.name.endswith(".reason"))
        return Counts(sum(1 for _ in self._scan("new")), sum(1 for _ in self._scan("dead")), odd)

    def find(self, name: str) -> tuple[Json, list[Json]] | None:
        """What a file that waits, or a dead letter, says of itself, and its events; None if there is none of this name."""
        path = self._path(name)
        return self._read(path) if path is not None else None

    @staticmethod
    def written(path: Path) -> float:
        """When a file was written, in seconds of the epoch: its name begins with that."""
        return int(path.name.partition("-")[0]) / 1e9

    # --- mending -----------------------------------------------------------------------------------------------------
    def retry(self, names: Iterable[str] | None = None) -> int:
        """Let the events of dead letters (all, or those named) wait again; returns how many events that were."""
        wanted = None if names is None else set(names)
        events = 0
        for letter in self.dead_letters():
            if wanted is None or letter.name in wanted:
                for event in letter.events:
                    self.append(event)
                    events += 1
                self.acknowledge([self.root / "dead" / letter.name])
        return events

    def drop(self, names: Iterable[str]) -> int:
        """Delete files that wait and dead letters, for good; says how many there were."""
        paths = [path for name in names if (path := self._path(name)) is not None]
        self.acknowledge(paths)
        return len(paths)

    def tidy(self) -> None:
        """Remove what writers that were killed left in tmp/; such an event was never accepted."""
        now = time.time()
        for entry in self._scan("tmp"):
            try:
                if now - entry.stat().st_mtime > _STALE_SECONDS:
                    Path(entry.path).unlink(missing_ok=True)
            except OSError:
                continue

    def prepare(self) -> None:
        """Make the folders."""
        if self._made and self.root.is_dir():
            return
        with self._explained("make the spool"):
            self.root.parent.mkdir(parents=True, exist_ok=True)
            for folder in (self.root, *(self.root / name for name in ("new", "tmp", "dead", "odd"))):
                try:
                    folder.mkdir(mode=_FOLDER_MODE)
                    folder.chmod(_FOLDER_MODE)
                except FileExistsError:
                    continue
        self._made = True

    def _path(self, name: str) -> Path | None:
        """Where the file ``name`` is: it waits, or it is a dead letter."""
        if not _NAME.fullmatch(name):
            return None
        paths = (self.root / folder / name for folder in ("new", "dead"))
        return next((path for path in paths if path.is_file()), None)

    def _store(self, folder: str, head: Json, events: Sequence[Mapping[str, Any]]) -> Path:
        body = "\n".join(json.dumps(event, separators=(",", ":"), allow_nan=False) for event in events).encode()
        head = {"v": _VERSION, "sha256": hashlib.sha256(body).hexdigest(), **head}
        name = f"{time.time_ns():020d}-{os.getpid()}-{next(_numbers) % 1_000_000:06d}-{secrets.token_hex(4)}.json"
        self.prepare()
        target = self.root / folder / name
        with self._explained("write an event"):
            self._write(
                self.root / "tmp" / name,
                json.dumps(head, separators=(",", ":")).encode() + b"\n" + body + b"\n",
                target,
            )
        return target

    def _write(self, temporary: Path, content: bytes, target: Path) -> None:
        try:
            handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, _FILE_MODE)
            try:
                os.fchmod(handle, _FILE_MODE)
                rest = memoryview(content)
                while rest:
                    rest = rest[os.write(handle, rest) :]
                os.fsync(handle)
            finally:
                os.close(handle)
            temporary.rename(target)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        folder = os.open(target.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def _scan(self, folder: str) -> Iterator[os.DirEntry[str]]:
        with self._explained("read the spool"):
            try:
                entries = list(os.scandir(self.root / folder))
            except FileNotFoundError:
                return
        yield from entries

    def _list(self, folder: str) -> list[Path]:
        paths = []
        for entry in self._scan(folder):
            path = Path(entry.path)
            if _NAME.fullmatch(entry.name) and entry.is_file(follow_symlinks=False):
                paths.append(path)
            else:
                self._set_aside(path, "the spool did not write it: wrong name, or no ordinary file")
        return sorted(paths, key=lambda path: path.name)

    def _read(self, path: Path) -> tuple[Json, list[Json]] | None:
        with self._explained("read an event"):
            try:
                content = path.read_bytes()
            except FileNotFoundError:
                return None
        try:
            return _parse(content)
        except ValueError as error:
            self._set_aside(path, str(error))
            return None

    def _set_aside(self, path: Path, reason: str) -> None:
        target = self.root / "odd" / f"{secrets.token_hex(4)}-{path.name}"
        with self._explained("set a damaged file aside"):
            try:
                path.rename(target)
            except FileNotFoundError:
                return
            target.with_name(f"{target.name}.reason").write_text(reason + "\n", encoding="utf-8")

    @contextmanager
    def _explained(self, what: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise SpoolError(
                f"cannot {what} in {self.root}: {error.strerror or error}; give the spool a writable folder with free space"
            ) from error


def _parse(content: bytes) -> tuple[Json, list[Json]]:
    first, _, body = content.removesuffix(b"\n").partition(b"\n")
    try:
        head = json.loads(first)
    except (ValueError, RecursionError):
        raise ValueError("its first line is no JSON: damaged, or not written by the spool") from None
    if not isinstance(head, dict) or head.get("v") != _VERSION:
        raise ValueError(f"its version is {head.get('v') if isinstance(head, dict) else head!r}; wanted {_VERSION}")
    if hashlib.sha256(body).hexdigest() != head.get("sha256"):
        raise ValueError("its checksum does not fit: cut off or changed after it was written")
    return head, [json.loads(line) for line in body.split(b"\n")]
