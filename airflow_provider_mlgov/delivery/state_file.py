"""The SQLite file that the sender's state is kept in: how it is opened, shared between hosts, and begun anew where damaged."""

from __future__ import annotations

import logging
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from airflow_provider_mlgov.errors import SpoolError

log = logging.getLogger(__name__)

_VERSION, _TIMED_ALIASES = 6, 5
_SCHEMA = """
CREATE TABLE IF NOT EXISTS run (
    key TEXT PRIMARY KEY, state TEXT NOT NULL, ended INTEGER NOT NULL, touched REAL NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS run_touched ON run (touched);
CREATE TABLE IF NOT EXISTS claim (type TEXT, name TEXT, run TEXT, PRIMARY KEY (type, name, run)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS claim_run ON claim (run);
CREATE TABLE IF NOT EXISTS given_up (
    type TEXT, name TEXT, run TEXT, touched REAL NOT NULL, PRIMARY KEY (type, name, run)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS known (
    catalog TEXT, type TEXT, name TEXT, stored TEXT NOT NULL, expires REAL NOT NULL, PRIMARY KEY (catalog, type, name)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS note (catalog TEXT PRIMARY KEY, started REAL NOT NULL, names TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS note_seen (
    catalog TEXT, machine TEXT, since REAL NOT NULL, PRIMARY KEY (catalog, machine)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS heard (
    catalog TEXT, type TEXT, name TEXT, told INTEGER, gone INTEGER, touched REAL NOT NULL, PRIMARY KEY (catalog, type, name)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS alias (
    application TEXT, namespace TEXT, name TEXT, others TEXT NOT NULL, touched REAL NOT NULL,
    PRIMARY KEY (application, namespace, name)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS step (
    application TEXT, namespace TEXT, path TEXT, run TEXT, first INTEGER NOT NULL, last INTEGER NOT NULL, meant TEXT NOT NULL,
    PRIMARY KEY (application, namespace, path, run)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS step_run ON step (run);
CREATE TABLE IF NOT EXISTS described (
    catalog TEXT, type TEXT, name TEXT, times TEXT NOT NULL, touched REAL NOT NULL, PRIMARY KEY (catalog, type, name)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS making (
    catalog TEXT, type TEXT, name TEXT, since INTEGER NOT NULL, PRIMARY KEY (catalog, type, name)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS made (catalog TEXT, guid TEXT, touched REAL NOT NULL, PRIMARY KEY (catalog, guid)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS renamed (
    type TEXT, name TEXT, time INTEGER, chain TEXT NOT NULL, touched REAL NOT NULL, PRIMARY KEY (type, name, time)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS fact (catalog TEXT, name TEXT, value TEXT, PRIMARY KEY (catalog, name)) WITHOUT ROWID;
"""


class StateFile:
    """Opened by a sender for one send."""

    def __init__(
        self,
        path: Path,
        *,
        keep_hours: float = 24.0,
        clock: Callable[[], float] = time.time,
        shared: bool = False,
        guard: Callable[[], None] = lambda: None,
    ) -> None:
        """``shared``: other hosts open the file too. ``guard`` raises where it may not be written any more (see `turn`)."""
        self._path = path
        self._shared = shared
        self._guard = guard
        self._keep = keep_hours * 3600
        self._clock = clock
        try:
            self._db = self._open()
        except sqlite3.OperationalError as error:
            raise SpoolError(
                f"cannot open {path}: {error}; give the spool a writable folder with free space"
            ) from error
        except sqlite3.DatabaseError as error:
            self._renew(str(error))

    def _open(self) -> sqlite3.Connection:
        db = sqlite3.connect(self._path, timeout=5.0, isolation_level=None, check_same_thread=False)
        try:
            self._choose_journal(db)
            db.execute("PRAGMA synchronous=FULL")  # a state must not be younger than the acknowledgement of its events
            version = db.execute("PRAGMA user_version").fetchone()[0]
            if version > _VERSION:
                raise SpoolError(
                    f"{self._path} has version {version}, of a later version of the package; this one reads up to {_VERSION}. It "
                    "was left as it is, and events wait: bring all processes that use this spool to one version"
                )
            if version != _VERSION:
                # Earlier versions lack tables, and what they have is the same but for aliases: 4 did not say when they were told.
                old = "DROP TABLE IF EXISTS alias; DROP TABLE IF EXISTS step;" if version < _TIMED_ALIASES else ""
                db.executescript(f"{old}{_SCHEMA}PRAGMA user_version={_VERSION};")
                self._path.chmod(0o600)
        except BaseException:
            db.close()
            raise
        return db

    def _choose_journal(self, db: sqlite3.Connection) -> None:
        """The write-ahead log needs memory that all users share, so it serves the processes of one host only."""
        if not self._shared:
            db.execute("PRAGMA journal_mode=WAL")
            return
        if self._path.with_name(f"{self._path.name}-wal").exists():
            db.execute("PRAGMA locking_mode=EXCLUSIVE")  # so that leaving it behind needs no such memory
        db.execute("PRAGMA journal_mode=TRUNCATE")
        db.execute("PRAGMA locking_mode=NORMAL")

    def _renew(self, reason: str) -> None:
        """Set a damaged file aside and begin a new one."""
        aside = self._path.with_name(f"{self._path.name}.damaged-{time.time_ns()}")
        log.warning("%s is damaged (%s); it is kept as %s and begun anew", self._path, reason, aside.name)
        try:
            for tail in ("-wal", "-shm"):
                self._path.with_name(self._path.name + tail).unlink(missing_ok=True)
            self._path.replace(aside)
            self._db = self._open()
        except (OSError, sqlite3.Error) as error:
            raise SpoolError(f"cannot replace the damaged {self._path}: {error}; remove it by hand") from error

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Everything inside is stored at once, or nothing is; errors of the file become `SpoolError`."""
        with self._explained():
            self._db.execute("BEGIN IMMEDIATE")
            try:
                self._guard()
                yield
            except BaseException:
                self._db.execute("ROLLBACK")
                raise
            self._db.execute("COMMIT")

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.OperationalError as error:
            locked = "locked" in str(error)
            remedy = "another process has it, perhaps a paused one: end that" if locked else "is the disk full?"
            raise SpoolError(f"cannot use {self._path}: {error}; {remedy}") from error
        except sqlite3.DatabaseError as error:
            self._db.close()
            self._renew(str(error))
            raise SpoolError(f"{self._path} was damaged ({error}) and begun anew; the next send goes on") from error

    def _rows(self, statement: str, *values: Any) -> list[Any]:
        with self._explained():
            return self._db.execute(statement, values).fetchall()
