"""Notes that daemons leave for the delivery process: runs that ended, attempts whose end no task process reports.

A note is a small file beside the spool, so it outlives whoever wrote it; writing one is all that a scheduler hook does. What is
none (damaged, another user's, a folder) goes to the spool's ``odd/``, with its reason beside it, and holds up no other.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import secrets
import stat
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from airflow_provider_mlgov.assembly import masker
from airflow_provider_mlgov.lineage.facts import attempt_of
from airflow_provider_mlgov.masking import shown
from airflow_provider_mlgov.model.identity import token
from airflow_provider_mlgov.settings import Settings

Json = dict[str, Any]
_FOLDER, _OPEN = "followup", "open"
_VERSION = 1
_SKEW_SECONDS = 60.0
"""How far the clock of whatever keeps the files may be ahead of ours; beyond that a clock has jumped."""
_left: set[Path] = set()
"""Files that stay and are no notes for this process, of which it has spoken."""
log = logging.getLogger(__name__)


def note_open(settings: Settings, dag_id: str, run_id: str) -> None:
    """A DAG run began. Should nobody say that it ended, since 2.11 tells no listener what is set by hand, it is asked for."""
    _write(settings, _OPEN, token(dag_id, run_id), {"dagId": dag_id, "runId": run_id})


def note_run(settings: Settings, dag_id: str, run_id: str, skip: Iterable[str] = ()) -> None:
    """A DAG run ended: its task instances are to be looked through, without the tasks ``skip``, which are not recorded."""
    note = {"dagId": dag_id, "runId": run_id, "skip": sorted(skip)}
    _write(settings, _FOLDER, f"run-{token(dag_id, run_id)}", note)
    forget_open(settings, dag_id, run_id)


def forget_open(settings: Settings, dag_id: str, run_id: str) -> None:
    """Nobody needs to ask for this DAG run any more."""
    (settings.spool_folder / _OPEN / f"{token(dag_id, run_id)}.json").unlink(missing_ok=True)


def open_runs(settings: Settings) -> list[tuple[str, str]]:
    """The DAG runs that began and of whose end nothing was said."""
    return [(str(note["dagId"]), str(note["runId"])) for _, note in _sound(settings, _files(settings, _OPEN))]


def attempt_note(task_instance: Any, state: str, error: Any) -> Json:
    """What Airflow says of how an attempt ended, outside of its task process: set by hand, or found dead."""
    attempt = attempt_of(task_instance)
    by_hand = error is None or "manually set" in str(error)
    found = str(getattr(task_instance.state, "value", task_instance.state) or "")
    return {
        "dagId": attempt.dag_id,
        "runId": attempt.run_id,
        "attempt": {
            "taskId": attempt.task_id,
            "mapIndex": attempt.map_index,
            "tryNumber": attempt.try_number,
            "state": found if found == "up_for_retry" else state,
            "stateSource": "manual" if by_hand else "reported",
            "error": None if error is None else masker()(shown(error)),
            "time": time.time(),
        },
    }


def note_attempt(settings: Settings, note: Json) -> None:
    """An attempt ended outside of its task process; see `attempt_note`."""
    _write(settings, _FOLDER, f"attempt-{secrets.token_hex(8)}", note)


def _write(settings: Settings, folder_name: str, name: str, note: Json) -> None:
    folder = settings.spool_folder / folder_name
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    temporary = folder / f"{name}.{secrets.token_hex(8)}.tmp"
    with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        json.dump({"v": _VERSION, **note}, file)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(folder / f"{name}.json")
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)  # before `forget_open`: the disk need not keep the two in order
    finally:
        os.close(handle)


def notes(settings: Settings, *, age: float = 0.0) -> Iterator[tuple[Path, Json]]:
    """The notes that are older than ``age`` seconds, oldest first. What is none is set aside; what a later version wrote stays."""
    return _sound(settings, (path for path, written in _dated(settings, _FOLDER) if not _is_young(written, age)))


def written(settings: Settings) -> list[float]:
    """When the notes were written, in seconds of the epoch, the oldest first."""
    times = dict(_dated(settings, _FOLDER))
    return [times[path] for path, _ in _sound(settings, times)]


def claimed(settings: Settings, *, age: float = 0.0) -> Iterator[tuple[Path, Json]]:
    """The same, each under a name of its own that nobody writes again: so it can be removed after slow work.

    A run that was cleared may end again meanwhile; its newer note is another file then. What is not removed stays a note.
    """
    for path, _ in notes(settings, age=age):
        with contextlib.suppress(
            FileNotFoundError, ValueError
        ):  # another process took it; `notes` sets aside what is none
            own = path.rename(_own(path))
            if not _is_young(own.stat().st_mtime, age):  # else it was replaced just now
                yield own, _read(own)


def _is_young(written: float, age: float) -> bool:
    """Whether a file is younger than ``age``. One from the future was written before a clock was put back, so it is old."""
    return age > 0 and -_SKEW_SECONDS < time.time() - written < age


def put_off(path: Path) -> None:
    """A note could not be settled: it is as if it had just been written, so that others come before it."""
    with contextlib.suppress(OSError):
        os.utime(path)


class LaterVersionError(ValueError):
    """A note that a later version of the package wrote."""


def _files(settings: Settings, folder: str) -> list[Path]:
    return [path for path, _ in _dated(settings, folder)]


def _dated(settings: Settings, folder: str) -> list[tuple[Path, float]]:
    """The files of a folder and when each was written, oldest first."""
    found = []
    with contextlib.suppress(
        OSError
    ):  # no folder, or one that only another user may read: then there is no note for us
        for path in (settings.spool_folder / folder).glob("*.json"):
            with contextlib.suppress(OSError):
                found.append((path.lstat().st_mtime, path))
    return [(path, written) for written, path in sorted(found)]


def _sound(settings: Settings, paths: Iterable[Path]) -> Iterator[tuple[Path, Json]]:
    """What is written in those of ``paths`` that are notes."""
    for path in paths:
        try:
            yield path, _read(path)
        except FileNotFoundError:
            continue
        except LaterVersionError as error:
            _leave(path, f"it stays for a process of that version: {error}")
        except ValueError as error:
            _set_aside(settings, path, error)
        except OSError as error:
            _leave(path, f"it cannot be read: {error}")


def _read(path: Path) -> Json:
    """The note in ``path``; `ValueError` where it is none."""
    if not stat.S_ISREG(path.lstat().st_mode):  # a pipe would hold the reader for ever
        raise ValueError("it is no ordinary file")
    try:
        note = json.loads(path.read_text(encoding="utf-8"))
    except PermissionError:
        raise ValueError("it cannot be read: it belongs to another user") from None
    except (ValueError, RecursionError) as error:
        raise ValueError(f"it is damaged: {error}") from error
    if not isinstance(note, dict):
        raise ValueError("it is damaged: no object of JSON")
    version = note.get("v", _VERSION)  # the first notes did not say
    if isinstance(version, int) and version > _VERSION:
        raise LaterVersionError(f"its version is {version}, and this one reads up to {_VERSION}")
    if lacking := [name for name in ("dagId", "runId") if name not in note]:
        raise ValueError(f"it is damaged: it lacks {', '.join(lacking)}")
    return note


def _own(path: Path) -> Path:
    """A name beside ``path`` that nobody else writes."""
    return path.with_name(f"{path.name.partition('.')[0]}.{secrets.token_hex(8)}.json")


def _set_aside(settings: Settings, path: Path, reason: ValueError) -> None:
    """Take what is no note out of the way, into ``odd/`` with the reason beside it, as the spool does with events."""
    target = settings.spool_folder / "odd" / f"{secrets.token_hex(4)}-{path.name}"
    said = target.with_name(f"{target.name}.reason")
    try:
        target.parent.mkdir(mode=0o700, exist_ok=True)
        said.write_text(f"{reason}\n", encoding="utf-8")
        path.rename(target)
    except OSError as error:
        with contextlib.suppress(OSError):
            said.unlink(missing_ok=True)
        if not isinstance(error, FileNotFoundError):
            _leave(path, f"{reason}, and cannot be set aside: {error}")
        return
    if _is_note(target):  # written since it was looked at
        target.rename(_own(path))
        said.unlink(missing_ok=True)
    else:
        log.warning("%s is no note of a DAG run and was moved to %s: %s", path, target.parent, reason)


def _is_note(path: Path) -> bool:
    try:
        _read(path)
    except LaterVersionError:
        return True
    except (ValueError, OSError):
        return False
    return True


def _leave(path: Path, why: str) -> None:
    if path not in _left:
        _left.add(path)
        log.warning("%s is passed over: %s", path, why)


def waiting(settings: Settings) -> bool:
    """Whether there is any note."""
    return any(True for _ in notes(settings))
