"""The SQLite file: made, opened and checked; one connection per process and thread; transactions.

A new file is made whole under another name and then linked into place, so nobody ever sees half of one. A file that is not
ours is recognised by its first bytes and never opened, because SQLite may write to what it opens.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

from airflow_provider_mlgov.catalog.embedded.faults import refused
from airflow_provider_mlgov.errors import CatalogBusyError, CatalogError, CatalogUnavailableError

APPLICATION_ID = 0x6D6C6776
"""``mlgv``: tells our files from other SQLite files."""
SCHEMA_VERSION = 1

_SCHEMA = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
INSERT INTO meta VALUES ('types', 0);
CREATE TABLE type (name TEXT PRIMARY KEY, definition TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE entity (
  id INTEGER PRIMARY KEY AUTOINCREMENT, guid TEXT NOT NULL UNIQUE, type TEXT NOT NULL, status TEXT NOT NULL,
  attributes TEXT NOT NULL, custom TEXT, labels TEXT NOT NULL DEFAULT '[]', business TEXT NOT NULL DEFAULT '{}',
  created_by TEXT NOT NULL, updated_by TEXT NOT NULL, create_time INTEGER NOT NULL, update_time INTEGER NOT NULL);
CREATE INDEX entity_type ON entity (type, status);
-- Names are unique among active entities of a type; a deleted entity frees its name.
CREATE TABLE name (
  attribute TEXT NOT NULL, value TEXT NOT NULL, type TEXT NOT NULL, entity INTEGER NOT NULL,
  PRIMARY KEY (attribute, value, type)) WITHOUT ROWID;
CREATE INDEX name_entity ON name (entity);
-- The indexed attributes, shortened: what is found here is compared in full afterwards.
CREATE TABLE indexed (
  attribute TEXT NOT NULL, value TEXT NOT NULL, entity INTEGER NOT NULL,
  PRIMARY KEY (attribute, value, entity)) WITHOUT ROWID;
CREATE TABLE edge (
  id INTEGER PRIMARY KEY AUTOINCREMENT, guid TEXT NOT NULL UNIQUE, type TEXT NOT NULL, end1 INTEGER NOT NULL,
  end2 INTEGER NOT NULL, status TEXT NOT NULL, attributes TEXT NOT NULL DEFAULT '{}', propagate TEXT NOT NULL,
  blocked TEXT NOT NULL DEFAULT '[]', created_by TEXT NOT NULL, updated_by TEXT NOT NULL, create_time INTEGER NOT NULL,
  update_time INTEGER NOT NULL);
CREATE UNIQUE INDEX edge_active ON edge (type, end1, end2) WHERE status = 'ACTIVE';
CREATE INDEX edge_end1 ON edge (end1, type);
CREATE INDEX edge_end2 ON edge (end2, type);
-- A classification on `entity` that was put on `source`: the same where it is its own, another where it was propagated.
CREATE TABLE tag (
  entity INTEGER NOT NULL, type TEXT NOT NULL, source INTEGER NOT NULL, attributes TEXT NOT NULL, propagate INTEGER NOT NULL,
  remove_on_delete INTEGER NOT NULL, validity TEXT NOT NULL, PRIMARY KEY (entity, type, source)) WITHOUT ROWID;
CREATE INDEX tag_type ON tag (type);
CREATE INDEX tag_source ON tag (source, type);
"""

_KEPT_OPEN = 16
"""Connections of ended threads are closed beyond this many."""
_INHERITED: list[object] = []
"""Connections of the parent process: SQLite forbids even closing them after a fork, so they are kept from the collector."""


class Store:
    """The file at ``path``, opened at first use."""

    def __init__(self, path: Path, timeout: float) -> None:
        self.path = path
        self._timeout = timeout
        self._pid = os.getpid()
        self._connections: dict[int, sqlite3.Connection] = {}

    @contextlib.contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """A transaction that sees one state of the file."""
        with self._transaction("BEGIN") as connection:
            yield connection

    @contextlib.contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """A transaction that writes all or nothing; waits for other writers."""
        with self._transaction("BEGIN IMMEDIATE") as connection:
            yield connection

    def close(self) -> None:
        """Close this process's connections; the next use opens new ones."""
        self._forget_parent()
        while self._connections:
            _, connection = self._connections.popitem()
            connection.close()

    @contextlib.contextmanager
    def _transaction(self, begin: str) -> Iterator[sqlite3.Connection]:
        with self._errors():
            connection = self._connection()
            connection.execute(begin)
            try:
                yield connection
                connection.execute("COMMIT")
            finally:
                if connection.in_transaction:
                    with contextlib.suppress(sqlite3.Error):
                        connection.execute("ROLLBACK")

    @contextlib.contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise self._named(error) from error
        except UnicodeEncodeError as error:
            raise refused("400-00-01A", f"invalid parameters: a text that is no Unicode: {error}") from error
        except OSError as error:
            raise CatalogUnavailableError(
                f"the catalogue file {self.path} cannot be opened: {error.strerror or error}; check the path and its permissions"
            ) from error

    def _named(self, error: sqlite3.Error) -> CatalogError:
        text = str(error)
        if "locked" in text or "busy" in text:
            return CatalogBusyError(f"the catalogue file {self.path} is locked by another process ({text}); try again")
        if "not a database" in text or "malformed" in text or "corrupt" in text:
            return CatalogUnavailableError(
                f"the catalogue file {self.path} is damaged ({text}); it was left as it is: "
                "put a backup in its place, or move it away to start anew"
            )
        return CatalogUnavailableError(
            f"the catalogue file {self.path} cannot be used: {text}; check disk space and permissions"
        )

    def _forget_parent(self) -> None:
        if self._pid != os.getpid():
            _INHERITED.append(self._connections)
            self._connections, self._pid = {}, os.getpid()

    def _connection(self) -> sqlite3.Connection:
        self._forget_parent()
        thread = threading.get_ident()
        connection = self._connections.get(thread)
        if connection is None:
            self._close_ended()
            connection = self._connections[thread] = self._open()
        return connection

    def _close_ended(self) -> None:
        if len(self._connections) < _KEPT_OPEN:
            return
        alive = {thread.ident for thread in threading.enumerate()}
        for thread in [thread for thread in list(self._connections) if thread not in alive]:
            ended = self._connections.pop(thread, None)
            if ended is not None:
                ended.close()

    def _open(self) -> sqlite3.Connection:
        if not self.path.exists() or self.path.stat().st_size == 0:
            self._make()
        self._check()
        # Other threads only ever close a connection, after its own thread has ended.
        connection = sqlite3.connect(self.path, timeout=self._timeout, isolation_level=None, check_same_thread=False)
        connection.execute("PRAGMA synchronous = FULL")
        return connection

    def _make(self) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{self.path.name}.", dir=self.path.parent)  # mode 0600
        os.close(handle)
        made = Path(name)
        try:
            connection = sqlite3.connect(made, isolation_level=None)
            try:
                connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
                connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
                connection.executescript(f"BEGIN; {_SCHEMA} COMMIT;")
                connection.execute("PRAGMA journal_mode = WAL")
            finally:
                connection.close()
            if self.path.exists() and self.path.stat().st_size == 0:
                self.path.unlink(missing_ok=True)
            with contextlib.suppress(FileExistsError):  # another process was faster: its file is as good
                os.link(made, self.path)
        finally:
            made.unlink(missing_ok=True)

    def _check(self) -> None:
        with self.path.open("rb") as file:
            head = file.read(100)
        if len(head) < 100 or not head.startswith(b"SQLite format 3\x00"):
            raise CatalogUnavailableError(
                f"{self.path} is no SQLite file; wanted an embedded catalogue. It was left as it is: "
                "name another path, or move the file away"
            )
        version, application = int.from_bytes(head[60:64], "big"), int.from_bytes(head[68:72], "big")
        if application != APPLICATION_ID:
            raise CatalogUnavailableError(
                f"{self.path} is a SQLite file of another application (id {application:#x}); wanted an embedded catalogue "
                f"({APPLICATION_ID:#x}). It was left as it is: name another path"
            )
        if version != SCHEMA_VERSION:
            raise CatalogUnavailableError(
                f"{self.path} has catalogue schema {version}; this version of the package reads {SCHEMA_VERSION}. "
                "It was left as it is: use the version of the package that wrote it, or a newer one"
            )
