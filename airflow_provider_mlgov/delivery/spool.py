"""The write-ahead log of events: a folder with one file per event, kept until the catalogue has acknowledged what came of it.

::

    <root>/new/    events that wait, named by time: the oldest sorts first
    <root>/tmp/    files being written
    <root>/dead/   dead letters: events that were refused, with the reason; `Spool.retry` takes them again
    <root>/odd/    files found in new/ or dead/ that are not ours or damaged, each with its reason in <name>.reason

A file is one JSON line that describes it (``v``, ``sha256``) and one JSON line per event. One that a later version of the
package wrote (two versions on one spool) stays where it is, for a process that knows it.
"""

from __future__ import annotations

import errno
import heapq
import itertools
import logging
import os
import re
import secrets
import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from math import inf
from pathlib import Path
from typing import Any

from airflow_provider_mlgov.delivery.durable import FILE_MODE, aside, sync, write
from airflow_provider_mlgov.delivery.left import OF_THIS_PROCESS, Left, content_of, readable_of
from airflow_provider_mlgov.delivery.packing import LaterVersionError, head_of, packed, unpacked
from airflow_provider_mlgov.errors import SpoolError
from airflow_provider_mlgov.masking import shown

log = logging.getLogger(__name__)

Json = dict[str, Any]

_left = Left()
"""For all objects of one spool: each send may open it anew."""
_NAME = re.compile(r"\d{20}-\d+-\d{6}-[0-9a-f]{8}\.json")
_STALE_SECONDS = 3600.0
_RESERVE = 16 * 2**20
"""Bytes: what the sender's state may need before SQLite takes its log back (4 MB), and room for dead letters."""
_UNREAD = 3
"""After so many files in a row that cannot be read it is looked whether any can be."""
_WRITABLE = "give the spool a writable folder with free space"
_READABLE = "give the spool a folder that this user can read, on a disk that works"
_numbers = itertools.count()
_FOLDER_MODE = 0o700


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
        self.lacks = 0
        """Events that it did not get as a further spool, since it could be written last."""
        self._unread = 0
        """Files in a row that could not be read."""
        self._readable: Path | None = None

    def __repr__(self) -> str:
        return f"Spool({str(self.root)!r})"

    # --- writing -----------------------------------------------------------------------------------------------------
    def append(self, event: Mapping[str, Any], also: Sequence[Spool] = ()) -> Path:
        """Put ``event`` on disk, for good when this returns; and into other spools, as a further name of the one file.

        Where one of those cannot be written the others still get the event; the log says what it lacks.
        """
        return self._store("new", {}, [event], also=also)

    def acknowledge(self, paths: Iterable[Path]) -> None:
        """Remove events: the catalogue has what came of them."""
        with self._explained("remove delivered events"):
            for path in paths:
                path.unlink(missing_ok=True)

    def bury(
        self, events: Sequence[Mapping[str, Any]], reason: str, *, parts: Sequence[str] = (), first: Path | None = None
    ) -> Path:
        """Keep ``events`` as a dead letter. Acknowledging the originals is the caller's.

        ``first`` is the original that will be acknowledged first: should that not come about, the next letter replaces this one.
        """
        head = {"reason": shown(reason), "time": time.time(), "parts": list(parts)}
        return self._store("dead", head, events, name=first.name if first is not None else None)

    # --- reading -----------------------------------------------------------------------------------------------------
    def waiting(self, most: int | None = None) -> list[Path]:
        """The events that wait, oldest first, or the ``most`` oldest of them.

        What is not ours is set aside; what a later version wrote, or could not be read a moment ago, is left out.
        """
        found = self._list("new", None if most is None else most + len(_left))
        return [path for path in found if path not in _left][:most] if _left else found

    def has_waiting(self) -> bool:
        """Whether anything waits that this version can read, as far as it has looked."""
        return any(Path(entry.path) not in _left for entry in self._scan("new"))

    def of_later_versions(self) -> list[Path]:
        """The files that a later version of the package wrote, of those that were read."""
        return _left.later(self.root)

    def unread(self) -> dict[Path, str]:
        """The files that wait and could not be read, of those that were looked at, and why: the others are gone past them."""
        return _left.unread(self.root / "new")

    def read(self, path: Path) -> Json | None:
        """The event in ``path``; None if it is gone, cannot be read now, or is damaged or no event (then it is set aside)."""
        found = self._read(path)
        if found is None:
            return None
        event: object = found[1][0]
        if isinstance(event, dict):
            return event
        self._set_aside(path, f"it is no event but {shown(repr(event))[:60]}; wanted a JSON object")
        return None

    def leave(self, path: Path) -> None:
        """Leave a file for which there is too little memory where it is: it is gone past, and tried again in a while."""
        _left.not_read(path, "this process has too little memory for it")

    def dead_letters(self) -> list[DeadLetter]:
        """All dead letters at once, oldest first: for where they are known to be few."""
        return list(self.letters())

    def letters(self, names: Collection[str] | None = None) -> Iterator[DeadLetter]:
        """The dead letters (all, or those named), oldest first, each read when it is asked for: they may be many, and large."""
        for path in self._list("dead"):
            found = self._read(path) if names is None or path.name in names else None
            if found:
                head, events = found
                parts = tuple(str(part) for part in head.get("parts", ()))
                yield DeadLetter(path.name, str(head.get("reason")), float(head.get("time", 0)), tuple(events), parts)

    def letters_before(self, time: float) -> list[str]:
        """The names of the dead letters that were made before ``time``; only the first line of each is read."""
        return [path.name for path in self._list("dead") if self._buried(path) < time]

    def _buried(self, path: Path) -> float:
        """When a dead letter was made; never, if it cannot be read: that is for whoever reads the whole of it."""
        try:
            with path.open("rb") as file:
                return float(head_of(file.readline()).get("time", 0))
        except (OSError, ValueError, TypeError):
            return inf

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
        events = 0
        for letter in self.letters(None if names is None else set(names)):
            for event in letter.events:
                self.append(event)
                events += 1
            self.acknowledge([self.root / "dead" / letter.name])
        return events

    def has(self, name: str) -> bool:
        """Whether a file that waits, or a dead letter, has this name; it may be one that cannot be read."""
        return self._path(name) is not None

    def drop(self, names: Iterable[str]) -> int:
        """Delete files that wait and dead letters, for good; says how many there were."""
        paths = [path for name in names if (path := self._path(name)) is not None]
        self.acknowledge(paths)
        return len(paths)

    def tidy(self) -> None:
        """Remove what writers that were killed left in tmp/; such an event was never accepted."""
        entries = list(self._scan("tmp"))
        if not entries:
            return
        now = self._file_time()
        for entry in entries:
            try:
                if now - entry.stat().st_mtime > _STALE_SECONDS:
                    Path(entry.path).unlink(missing_ok=True)
            except OSError:
                continue

    def _file_time(self) -> float:
        """What time it is for what keeps the files: on a shared file system that is not this host's clock."""
        probe = self.root / "tmp" / f"now-{secrets.token_hex(4)}"
        with self._explained("look at the time of its files"):
            probe.touch(mode=FILE_MODE)
            try:
                return probe.stat().st_mtime
            finally:
                probe.unlink(missing_ok=True)

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

    def _store(
        self,
        folder: str,
        head: Json,
        events: Sequence[Mapping[str, Any]],
        *,
        name: str | None = None,
        also: Sequence[Spool] = (),
    ) -> Path:
        content = packed(head, events)
        own = f"{time.time_ns():020d}-{os.getpid()}-{next(_numbers) % 1_000_000:06d}-{secrets.token_hex(4)}.json"
        name = name or own
        self.prepare()
        target = self.root / folder / name
        failures: dict[Spool, SpoolError] = {}

        def link(written: Path) -> None:
            """The other spools come first: what a killed writer left undone is in none of them, or comes twice."""
            for other in also:
                try:
                    other.take(written, name, content)
                except SpoolError as error:
                    failures[other] = error

        with self._explained("write an event"):
            if folder == "new":
                self._check_room()
            write(self.root / "tmp" / own, content, target, link)
        for other in also:
            other.note(failures.get(other))
        return target

    def _check_room(self) -> None:
        """Leave some room on the disk: the sender, and dead letters, need it to empty a spool that filled the disk."""
        room = os.statvfs(self.root)
        reserve = min(_RESERVE, room.f_blocks * room.f_frsize // 8)
        if room.f_bavail * room.f_frsize < reserve:  # 0 of 0 where a file system does not say
            raise OSError(
                errno.ENOSPC, f"No space left but the last {reserve / 1e6:.3g} MB, which are kept for sending"
            )

    def note(self, failure: SpoolError | None) -> None:
        """Say once that this further spool gets nothing: raised, it would be sent again, and the first have each copy."""
        if failure is not None:
            self.lacks += 1
            if self.lacks == 1:
                log.error("Events are kept, but not for the sink of %s, which lacks them: %s", self.root, failure)
        elif self.lacks:
            log.warning("The sink of %s gets events again; it lacks %d", self.root, self.lacks)
            self.lacks = 0

    def take(self, written: Path, name: str, content: bytes) -> None:
        """Let the file ``written``, which holds ``content``, wait here too."""
        self.prepare()
        target = self.root / "new" / name
        with self._explained("write an event"):
            try:
                target.hardlink_to(written)
            except OSError:  # another file system, or one without links
                write(self.root / "tmp" / name, content, target)
            else:
                sync(target.parent)

    def _scan(self, folder: str) -> Iterator[os.DirEntry[str]]:
        """One entry after the other: there may be very many, and whoever asks may need the first only."""
        with self._explained("read the spool", _READABLE):
            try:
                entries = os.scandir(self.root / folder)
            except FileNotFoundError:
                return
            with entries:
                yield from entries

    def _list(self, folder: str, most: int | None = None) -> list[Path]:
        odd: list[str] = []

        def ours() -> Iterator[str]:
            for entry in self._scan(folder):
                if _NAME.fullmatch(entry.name) and entry.is_file(follow_symlinks=False):
                    yield entry.name
                else:
                    odd.append(entry.name)

        names = sorted(ours()) if most is None else heapq.nsmallest(most, ours())
        for name in odd:
            self._set_aside(self.root / folder / name, "the spool did not write it: wrong name, or no ordinary file")
        return [self.root / folder / name for name in names]

    def _read(self, path: Path) -> tuple[Json, list[Json]] | None:
        try:
            content = content_of(path)
            self._unread = 0
            _left.read(path)
            return unpacked(content)
        except FileNotFoundError:
            pass
        except OSError as error:
            self._go_past(path, error)
        except LaterVersionError as error:
            _left.of_later_version(path, error)
        except ValueError as error:
            self._set_aside(path, str(error))
        except MemoryError:
            self.leave(path)
        return None

    def _go_past(self, path: Path, error: OSError) -> None:
        """Leave a file that cannot be read where it is; `SpoolError` where the trouble is not that file's, but any's."""
        if error.errno not in OF_THIS_PROCESS:
            _left.not_read(path, error.strerror or str(error))
            self._unread += 1
            if self._unread % _UNREAD or self._can_read_another(path.parent):
                return
        with self._explained("read any event", _READABLE):
            raise error

    def _can_read_another(self, folder: Path) -> bool:
        """Whether any of a few files can be read. One that could be is tried first: to look at a large folder takes long."""
        if self._readable is None or readable_of([self._readable]) is None:
            self._readable = readable_of(
                path for entry in self._scan(folder.name) if (path := Path(entry.path)) not in _left
            )
        return self._readable is not None

    def _set_aside(self, path: Path, reason: str) -> None:
        target = self.root / "odd" / aside(path.name)
        said = target.with_name(f"{target.name}.reason")
        with self._explained("set a damaged file aside"):
            said.write_text(reason + "\n", encoding="utf-8")  # first: whoever finds the file finds the reason
            try:
                path.rename(target)
            except FileNotFoundError:
                said.unlink(missing_ok=True)

    @contextmanager
    def _explained(self, what: str, remedy: str = _WRITABLE) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise SpoolError(f"cannot {what} in {self.root}: {error.strerror or error}; {remedy}") from error
