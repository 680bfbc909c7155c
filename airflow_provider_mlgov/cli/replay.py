"""``mlgov replay``: events of files into the catalogue."""

from __future__ import annotations

import hashlib
import json
import sys
import time
from argparse import Namespace
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from airflow_provider_mlgov.cli.context import Context
from airflow_provider_mlgov.cli.delivery import Drain
from airflow_provider_mlgov.cli.output import remark, say
from airflow_provider_mlgov.cli.translate import parsed
from airflow_provider_mlgov.errors import InvalidEventError, InvalidInputError

if TYPE_CHECKING:
    from typing_extensions import Self

    from airflow_provider_mlgov.delivery.outbox import Outbox

_PORTION = 500
"""Events that go into the spool before they are sent: what a stop in between can leave there."""
_PORTION_SECONDS = 5.0
"""How long events wait there at most, where they come slowly (``--rate``)."""
_SHOWN = 10
"""Malformed lines that are shown; the rest is counted."""
_HEAD = 4096


def replay(arguments: Namespace) -> int:
    """Send the events of files; exit code 1 if some were malformed or became dead letters."""
    from airflow_provider_mlgov.assembly import open_outbox

    context = Context.of(arguments)
    # Airflow's masker is left out: it hides what its process has seen of secrets, and this one has seen none.
    outbox = open_outbox(context.settings, masked=False)
    files = [_File.open(Path(name), context.settings.spool_folder / "replay") for name in arguments.files]
    drain = Drain(context, None)
    replayed = _Replay(outbox, drain, arguments.rate)
    begun = time.monotonic()
    with _Bar(sum(file.size for file in files)) as bar:
        for file in files:
            if file.offset:
                remark(f"{file.path} goes on where it was stopped, at byte {file.offset} of {file.size}")
            bar.advance(file.offset)
            replayed.file(file, bar)
    seconds = time.monotonic() - begun
    say(
        f"replayed {replayed.events} events as {drain.entities} entities in {seconds:.1f} s "
        f"({replayed.events / max(seconds, 0.001):.0f} events/s)"
    )
    if replayed.malformed:
        remark(f"{replayed.malformed} lines were no events")
    for warning in drain.warned:
        remark(f"warning: {warning}")
    if drain.warnings > len(drain.warned):
        remark(f"{drain.warnings} warnings in all; `mlgov translate` shows those of each event")
    if drain.dead:
        remark(f"{drain.dead} became dead letters: see `mlgov spool list --dead`")
    return 1 if replayed.malformed or drain.dead else 0


@dataclass
class _File:
    """A file of events, and how far it was replayed: a note in the spool says so until it is done."""

    path: Path
    size: int
    head: str
    note: Path
    offset: int = 0

    @classmethod
    def open(cls, path: Path, notes: Path) -> _File:
        if path.exists() and not path.is_file():
            raise InvalidInputError(
                f"{path} is no file: a replay can go on where it stopped only in a file; write the events to one"
            )
        try:
            with path.open("rb") as file:
                head = hashlib.sha256(file.read(_HEAD)).hexdigest()
            size = path.stat().st_size
        except OSError as error:
            raise InvalidInputError(
                f"{path} cannot be read: {error.strerror}; wanted a file of OpenLineage events, one a line"
            ) from error
        name = hashlib.sha256(str(path.resolve()).encode("utf-8", "surrogateescape")).hexdigest()[:32]
        made = cls(path, size, head, notes / f"{name}.json")
        made.offset = made._noted()
        return made

    def _noted(self) -> int:
        """Where to go on; 0 where nothing is known, or another file has the name now."""
        try:
            noted: Any = json.loads(self.note.read_text(encoding="utf-8"))
            offset = int(noted["offset"])
            return offset if noted["head"] == self.head and 0 < offset <= self.size else 0
        except (OSError, ValueError, TypeError, KeyError):
            return 0

    def reached(self, offset: int) -> None:
        """All events up to here are in the catalogue."""
        self.note.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        temporary = self.note.with_suffix(".tmp")
        temporary.write_text(json.dumps({"head": self.head, "offset": offset}), encoding="utf-8")
        temporary.replace(self.note)

    def done(self) -> None:
        """Replayed to the end: the next time it begins at the beginning."""
        self.note.unlink(missing_ok=True)


@dataclass
class _Replay:
    outbox: Outbox
    drain: Drain
    rate: float | None
    events: int = 0
    malformed: int = 0
    _begun: float = field(default_factory=time.monotonic)

    def file(self, file: _File, bar: _Bar) -> None:
        """All of one file."""
        with file.path.open("rb") as stream:
            stream.seek(file.offset)
            waiting, sent = 0, time.monotonic()
            for number, line in self._lines(stream):
                waiting += self._put(file, number, line)
                bar.advance(len(line))
                if waiting >= _PORTION or (self.rate and time.monotonic() - sent > _PORTION_SECONDS):
                    self._send(file, stream.tell())
                    waiting, sent = 0, time.monotonic()
            self._send(file, stream.tell())
        file.done()

    @staticmethod
    def _lines(stream: BinaryIO) -> Iterator[tuple[int, bytes]]:
        """Lines with where they begin; not by iteration, in which a file does not tell its place."""
        while True:
            place = stream.tell()
            line = stream.readline()
            if not line:
                return
            yield place, line

    def _put(self, file: _File, place: int, line: bytes) -> int:
        if not line.strip():
            return 0
        try:
            self.outbox.put(parsed(line.decode("utf-8", "replace").removeprefix("\ufeff")))
        except InvalidEventError as error:
            self.malformed += 1
            if self.malformed <= _SHOWN:
                remark(f"{file.path}, byte {place}: {error}")
            return 0
        self.events += 1
        if self.rate:
            time.sleep(max(0.0, self._begun + self.events / self.rate - time.monotonic()))
        return 1

    def _send(self, file: _File, offset: int) -> None:
        self.drain.run()
        file.reached(offset)


class _Bar:
    """Progress on stderr, where that is a terminal."""

    def __init__(self, total: int) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn

        console = Console(file=sys.stderr)
        self._is_shown = console.is_terminal
        self._progress = Progress(BarColumn(), DownloadColumn(), TimeRemainingColumn(), console=console)
        self._task = self._progress.add_task("replay", total=total)

    def __enter__(self) -> Self:
        if self._is_shown:
            self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._is_shown:
            self._progress.stop()

    def advance(self, size: int) -> None:
        """So many bytes more."""
        self._progress.advance(self._task, size)
