"""Notes that daemons leave for the delivery process: runs that ended, attempts whose end no task process reports.

A note is a small file beside the spool, so it outlives whoever wrote it; writing one is all that a scheduler hook does.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import secrets
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
_left: set[Path] = set()
"""Notes of later versions of which this process has spoken."""
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
    found = []
    for path in (settings.spool_folder / _OPEN).glob("*.json"):
        with contextlib.suppress(FileNotFoundError, ValueError, KeyError):
            note = _read(path)
            found.append((str(note["dagId"]), str(note["runId"])))
    return found


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
    temporary.replace(folder / f"{name}.json")


def notes(settings: Settings, *, age: float = 0.0) -> Iterator[tuple[Path, Json]]:
    """The notes that are older than ``age`` seconds, oldest first. What is damaged is removed; what a later version wrote stays."""
    found = []
    with contextlib.suppress(FileNotFoundError):
        for path in (settings.spool_folder / _FOLDER).glob("*.json"):
            with contextlib.suppress(FileNotFoundError):
                found.append((path.stat().st_mtime, path))
    for written, path in sorted(found):
        if written > time.time() - age:
            continue
        try:
            yield path, _read(path)
        except FileNotFoundError:
            continue
        except LaterVersionError as error:
            if path not in _left:
                _left.add(path)
                log.warning("%s stays, for a process of that version: %s", path, error)
        except ValueError:
            _remove_damaged(path)


def claimed(settings: Settings, *, age: float = 0.0) -> Iterator[tuple[Path, Json]]:
    """The same, each under a name of its own that nobody writes again: so it can be removed after slow work.

    A run that was cleared may end again meanwhile; its newer note is another file then. What is not removed stays a note.
    """
    for path, _ in notes(settings, age=age):
        with contextlib.suppress(
            FileNotFoundError, ValueError
        ):  # another process took it; `notes` removes what is damaged
            own = _rename(path)
            if own.stat().st_mtime <= time.time() - age:  # else it was replaced just now, and is too young
                yield own, _read(own)


def put_off(path: Path) -> None:
    """A note could not be settled: it is as if it had just been written, so that others come before it."""
    with contextlib.suppress(FileNotFoundError):
        os.utime(path)


class LaterVersionError(ValueError):
    """A note that a later version of the package wrote."""


def _read(path: Path) -> Json:
    note = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(note, dict):
        raise ValueError("no note")
    version = note.get("v", _VERSION)  # the first notes did not say
    if isinstance(version, int) and version > _VERSION:
        raise LaterVersionError(f"its version is {version}, and this one reads up to {_VERSION}")
    return note


def _rename(path: Path) -> Path:
    return path.rename(path.with_name(f"{path.name.partition('.')[0]}.{secrets.token_hex(8)}.json"))


def _remove_damaged(path: Path) -> None:
    with contextlib.suppress(FileNotFoundError):
        own = _rename(path)
        try:
            _read(own)  # a sound one may have taken its place: that stays
        except LaterVersionError:
            return
        except ValueError:
            own.unlink(missing_ok=True)


def waiting(settings: Settings) -> bool:
    """Whether there is any note."""
    return any(True for _ in notes(settings))
