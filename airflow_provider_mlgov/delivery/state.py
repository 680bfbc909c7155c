"""What the sender remembers between sends: one SQLite file beside the spool, touched only under the sender's lock.

Losing it loses no event and no entity: late events of runs whose state is gone are united with what the catalogue has (see
`readback`).
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from airflow_provider_mlgov.delivery import machine
from airflow_provider_mlgov.delivery.parts import head, is_part
from airflow_provider_mlgov.delivery.state_applications import ApplicationsState
from airflow_provider_mlgov.model.entity import Ref

Json = dict[str, Any]

_KNOWN_SECONDS = 600.0
_OPEN_RUN_FACTOR = 14


@dataclass(frozen=True)
class RunState:
    """The united events of a run, and what was written for it: processes, data, a run of a job."""

    state: Json
    claims: frozenset[Ref]


@dataclass(frozen=True)
class Note:
    """A call that was begun and whose end nobody saw: it may still be at work inside the catalogue."""

    age: float
    """For how many seconds this machine has known of it, by its own clock: that of another host may be wrong."""
    names: tuple[Ref, ...]


class SenderState(ApplicationsState):
    """What is in the file: runs, names that were seen, what was told of them, and the call under way."""

    _given: dict[Ref, int] | None = None
    """See `given`; read once, since each rename asks for it."""

    # --- runs --------------------------------------------------------------------------------------------------------
    def run(self, key: str) -> RunState | None:
        """What is known of a run, or None."""
        rows = self._rows("SELECT state FROM run WHERE key = ?", key)
        if not rows:
            return None
        claims = self._rows("SELECT type, name FROM claim WHERE run = ?", key)
        return RunState(json.loads(rows[0][0]), frozenset(Ref(*claim) for claim in claims))

    def runs_under(self, key: str) -> list[str]:
        """The keys ``<key>/…`` of the runs that are known, the one last touched first."""
        rows = self._rows("SELECT key FROM run WHERE key > ? AND key < ? ORDER BY touched DESC", f"{key}/", f"{key}0")
        return [row[0] for row in rows]

    def save_run(self, key: str, run: RunState, *, ended: bool) -> None:
        """Keep the state of a run; inside a `transaction`."""
        state = json.dumps(run.state, separators=(",", ":"))
        self._db.execute("INSERT OR REPLACE INTO run VALUES (?, ?, ?, ?)", (key, state, ended, self._clock()))
        self._db.execute("DELETE FROM claim WHERE run = ?", (key,))
        claims = [(ref.type_name, ref.qualified_name, key) for ref in run.claims]
        self._db.executemany("INSERT OR REPLACE INTO claim VALUES (?, ?, ?)", claims)

    def claimed(self, ref: Ref, *, besides: Collection[str]) -> bool:
        """Whether a run other than those of the keys ``besides`` did this process, or named this data."""
        places = ", ".join("?" * len(besides))
        statement = f"SELECT 1 FROM claim WHERE type = ? AND name = ? AND run NOT IN ({places}) LIMIT 1"  # noqa: S608 - marks
        return bool(self._rows(statement, ref.type_name, ref.qualified_name, *besides))

    def claimants(self, ref: Ref) -> list[str]:
        """The keys of the runs that did this process, or named this data."""
        rows = self._rows("SELECT run FROM claim WHERE type = ? AND name = ?", ref.type_name, ref.qualified_name)
        return [row[0] for row in rows]

    def is_claimed(self, ref: Ref) -> bool:
        """Whether `claimants` has any."""
        statement = "SELECT 1 FROM claim WHERE type = ? AND name = ? LIMIT 1"
        return bool(self._rows(statement, ref.type_name, ref.qualified_name))

    def expire(self) -> None:
        """Forget runs some hours after their end (those that never end: some weeks), and old names; inside a `transaction`."""
        now = self._clock()
        gone = "SELECT key FROM run WHERE touched < ? AND (ended OR touched < ?)"
        limits = (now - self._keep, now - self._keep * _OPEN_RUN_FACTOR)
        # Who is forgotten did what it claims, whoever else gave that up.
        done = f"SELECT type, name FROM claim WHERE run IN ({gone})"  # noqa: S608 - a constant
        self._db.execute(f"DELETE FROM given_up WHERE (type, name) IN ({done})", limits)  # noqa: S608 - a constant
        self._db.execute(f"DELETE FROM claim WHERE run IN ({gone})", limits)  # noqa: S608 - a constant
        self._db.execute(f"DELETE FROM run WHERE key IN ({gone})", limits)  # noqa: S608 - a constant
        self._db.execute("DELETE FROM known WHERE expires < ?", (now,))
        self._db.execute("DELETE FROM making WHERE since < ?", ((now - self._keep) * 1000,))
        self._db.execute("DELETE FROM step WHERE run NOT IN (SELECT key FROM run)")
        for table in ("alias", "given_up"):  # which count as long as a run that never ends may
            limit = (now - self._keep * _OPEN_RUN_FACTOR,)
            self._db.execute(f"DELETE FROM {table} WHERE touched < ?", limit)  # noqa: S608 - constants
        for table in ("heard", "described", "made", "renamed"):
            self._db.execute(f"DELETE FROM {table} WHERE touched < ?", (now - self._keep,))  # noqa: S608 - constants

    # --- which runs gave up processes that others do -----------------------------------------------------------------
    def who_gave_up(self, process: Ref) -> set[str]:
        """The names of the runs that did this process, gave it up, and have not done it since; empty that of job events."""
        rows = self._rows(
            "SELECT run FROM given_up WHERE type = ? AND name = ?", process.type_name, process.qualified_name
        )
        return {row[0] for row in rows}

    def remember_given_up(self, given_up: Iterable[tuple[Ref, str]]) -> None:
        """Of these processes, each was given up by the run of this name, and is still there; inside a `transaction`."""
        rows = [(ref.type_name, ref.qualified_name, run, self._clock()) for ref, run in given_up]
        self._db.executemany("INSERT OR REPLACE INTO given_up VALUES (?, ?, ?, ?)", rows)

    def forget_who_gave_up(self, process: Ref) -> None:
        """It certainly was done by another run; inside a `transaction`."""
        row = (process.type_name, process.qualified_name)
        self._db.execute("DELETE FROM given_up WHERE type = ? AND name = ?", row)

    def forget_given_up(self, done: Iterable[tuple[Ref, str]]) -> None:
        """Of these processes, each is done (again) by the run of this name; inside a `transaction`."""
        rows = [(ref.type_name, ref.qualified_name, run) for ref, run in done]
        self._db.executemany("DELETE FROM given_up WHERE type = ? AND name = ? AND run = ?", rows)

    # --- names known to be in a catalogue ----------------------------------------------------------------------------
    def known(self, catalog: str, refs: Iterable[Ref]) -> dict[Ref, Json]:
        """Those of ``refs`` that were seen or written lately, with what was remembered of them."""
        now = self._clock()
        found = {}
        for ref in refs:
            rows = self._rows(
                "SELECT stored FROM known WHERE catalog = ? AND type = ? AND name = ? AND expires BETWEEN ? AND ?",
                *(catalog, ref.type_name, ref.qualified_name, now, now + _KNOWN_SECONDS),  # a clock may be set back
            )
            if rows:
                found[ref] = json.loads(rows[0][0])
        return found

    def remember(self, catalog: str, stored: Mapping[Ref, Json]) -> None:
        """These entities are in the catalogue now; inside a `transaction`."""
        expires = self._clock() + _KNOWN_SECONDS
        self._db.executemany(
            "INSERT OR REPLACE INTO known VALUES (?, ?, ?, ?, ?)",
            [
                (catalog, ref.type_name, ref.qualified_name, json.dumps(entity), expires)
                for ref, entity in stored.items()
            ],
        )

    def forget(self, catalog: str, refs: Iterable[Ref]) -> None:
        """These names have to be looked up again; inside a `transaction`."""
        self._db.executemany(
            "DELETE FROM known WHERE catalog = ? AND type = ? AND name = ?",
            [(catalog, ref.type_name, ref.qualified_name) for ref in refs],
        )

    def forget_deleted(self, catalog: str, ref: Ref) -> None:
        """It was deleted, with all that is named after it (columns, what is in a directory); inside a `transaction`."""
        start = head(ref.qualified_name)
        for table in ("known", "described"):
            rows = self._rows(
                f"SELECT type, name FROM {table} WHERE catalog = ? AND substr(name, 1, ?) = ?",  # noqa: S608 - constants
                *(catalog, len(start), start),
            )
            parts = [(catalog, *row) for row in rows if is_part(Ref(*row), ref)]
            self._db.executemany(f"DELETE FROM {table} WHERE catalog = ? AND type = ? AND name = ?", parts)  # noqa: S608 - constants
        self._db.execute("DELETE FROM given_up WHERE type = ? AND name = ?", (ref.type_name, ref.qualified_name))

    def begin_anew(self, catalog: str) -> None:
        """Somebody emptied the catalogue: what it had counts no more; inside a `transaction`."""
        for table in ("known", "heard", "described", "making", "made"):
            self._db.execute(f"DELETE FROM {table} WHERE catalog = ?", (catalog,))  # noqa: S608 - constants

    # --- when datasets were heard of ---------------------------------------------------------------------------------
    def told(self, catalog: str, ref: Ref) -> int | None:
        """When ``ref`` was last read or written, by what was sent of it, in epoch milliseconds."""
        return self._heard("told", catalog, [ref]).get(ref)

    def gone(self, catalog: str, refs: Iterable[Ref]) -> dict[Ref, int]:
        """Those of ``refs`` that were dropped or got another name, and when, in epoch milliseconds."""
        return self._heard("gone", catalog, refs)

    def dropped(self) -> Iterator[tuple[Ref, int]]:
        """What was dropped or got another name, in whichever catalogue, and when it last did, in epoch milliseconds."""
        for type_name, name, time_ in self._rows("SELECT type, name, gone FROM heard WHERE gone IS NOT NULL"):
            yield Ref(type_name, name), time_

    def _heard(self, what: str, catalog: str, refs: Iterable[Ref]) -> dict[Ref, int]:
        statement = f"SELECT {what} FROM heard WHERE catalog = ? AND type = ? AND name = ?"  # noqa: S608 - a constant
        rows = ((ref, self._rows(statement, catalog, ref.type_name, ref.qualified_name)) for ref in refs)
        return {ref: int(found[0][0]) for ref, found in rows if found and found[0][0] is not None}

    def remember_told(self, catalog: str, times: Mapping[Ref, int]) -> None:
        """These were read or written then; inside a `transaction`."""
        self._hear("told", catalog, times)

    def correct_told(self, catalog: str, ref: Ref, time_: int | None) -> None:
        """It was last read or written then, after all; inside a `transaction`."""
        row = (time_, catalog, ref.type_name, ref.qualified_name)
        self._db.execute("UPDATE heard SET told = ? WHERE catalog = ? AND type = ? AND name = ?", row)

    def remember_gone(self, catalog: str, times: Mapping[Ref, int]) -> None:
        """These are gone since: what is told later of an earlier time does not bring them back; inside a `transaction`."""
        self._hear("gone", catalog, times)

    def gone_names(self, catalog: str, names: Iterable[str]) -> set[str]:
        """Those of ``names`` that were dropped or got another name, of whatever type."""
        statement = (
            "SELECT DISTINCT name FROM heard WHERE catalog = ? AND gone IS NOT NULL "
            "AND name IN (SELECT value FROM json_each(?))"
        )
        return {row[0] for row in self._rows(statement, catalog, json.dumps(sorted(names)))}

    def _hear(self, what: str, catalog: str, times: Mapping[Ref, int]) -> None:
        self._db.executemany(
            f"INSERT INTO heard (catalog, type, name, {what}, touched) VALUES (?, ?, ?, ?, ?) "  # noqa: S608 - constants
            f"ON CONFLICT DO UPDATE SET {what} = max(excluded.{what}, coalesce({what}, 0)), touched = excluded.touched",
            [(catalog, ref.type_name, ref.qualified_name, time, self._clock()) for ref, time in times.items()],
        )

    # --- when what describes data was told -------------------------------------------------------------------------
    def described(self, catalog: str, refs: Iterable[Ref]) -> dict[Ref, dict[str, int]]:
        """When attributes of these entities were told, as far as that is remembered, in epoch milliseconds."""
        statement = "SELECT times FROM described WHERE catalog = ? AND type = ? AND name = ?"
        rows = ((ref, self._rows(statement, catalog, ref.type_name, ref.qualified_name)) for ref in refs)
        return {ref: json.loads(found[0][0]) for ref, found in rows if found}

    def remember_described(self, catalog: str, times: Mapping[Ref, Mapping[str, int]]) -> None:
        """What describes these entities was told then; inside a `transaction`."""
        now = self._clock()
        self._db.executemany(
            "INSERT OR REPLACE INTO described VALUES (?, ?, ?, ?, ?)",
            [(catalog, ref.type_name, ref.qualified_name, json.dumps(told), now) for ref, told in times.items()],
        )

    def rename_processes(self, catalog: str, names: Mapping[Ref, Ref]) -> None:
        """These processes are about to get new names; inside a `transaction`.

        Who did one, or gave it up, did so before, or it would have kept its name. When it was told what is kept under the old name
        too: a call that is cut off is made again, and what is told of another process of that name is newer.
        """
        for old, new in names.items():
            for table in ("claim", "given_up"):
                self._db.execute(
                    f"UPDATE OR REPLACE {table} SET name = ? WHERE type = ? AND name = ?",  # noqa: S608 - constants
                    (new.qualified_name, old.type_name, old.qualified_name),
                )
            self._describe(catalog, new, self.described(catalog, [old]).get(old, {}))
        self.forget(catalog, [*names, *names.values()])

    def rename_data(self, catalog: str, names: Mapping[Ref, Ref], time_: int) -> None:
        """What was told of these datasets until ``time_`` was told of their new names; inside a `transaction`."""
        known = self.described(catalog, names)  # all first: one may get the name that another had
        since = {ref: {name: time for name, time in times.items() if time > time_} for ref, times in known.items()}
        self.remember_described(catalog, since)
        told = {ref: told for ref, told in self._heard("told", catalog, names).items() if told <= time_}
        for ref in told:
            self.correct_told(catalog, ref, None)
        for ref, last in told.items():  # one by one, since two may get one name
            self.remember_told(catalog, {names[ref]: last})
        for ref, times in known.items():
            self._describe(catalog, names[ref], {name: time for name, time in times.items() if time <= time_})

    def _describe(self, catalog: str, ref: Ref, times: Mapping[str, int]) -> None:
        if times:
            known = self.described(catalog, [ref]).get(ref, {})
            later = {name: max(time, known.get(name, time)) for name, time in times.items()}
            self.remember_described(catalog, {ref: {**known, **later}})

    # --- which datasets were made here -------------------------------------------------------------------------------
    def begin_making(self, catalog: str, refs: Iterable[Ref]) -> None:
        """These are about to be written, and may come to be by that; inside a `transaction`."""
        self._db.executemany(
            "INSERT OR IGNORE INTO making VALUES (?, ?, ?, ?)",
            [(catalog, ref.type_name, ref.qualified_name, int(self._clock() * 1000)) for ref in refs],
        )

    def making(self, catalog: str, refs: Iterable[Ref]) -> dict[Ref, int]:
        """Those of ``refs`` that are noted as about to be written, and since when, in epoch milliseconds."""
        statement = "SELECT since FROM making WHERE catalog = ? AND type = ? AND name = ?"
        rows = ((ref, self._rows(statement, catalog, ref.type_name, ref.qualified_name)) for ref in refs)
        return {ref: found[0][0] for ref, found in rows if found}

    def end_making(self, catalog: str, refs: Iterable[Ref], guids: Iterable[str]) -> None:
        """Of ``refs`` is known what came to be: the entities of these ``guids``; inside a `transaction`."""
        self._db.executemany(
            "DELETE FROM making WHERE catalog = ? AND type = ? AND name = ?",
            [(catalog, ref.type_name, ref.qualified_name) for ref in refs],
        )
        now = self._clock()
        self._db.executemany("INSERT OR REPLACE INTO made VALUES (?, ?, ?)", [(catalog, guid, now) for guid in guids])

    def was_made_here(self, catalog: str, entity: Json) -> bool:
        """Whether the entity came to be by what was sent from here lately, also if that was cut off before it could tell."""
        if self._rows("SELECT 1 FROM made WHERE catalog = ? AND guid = ?", catalog, entity["guid"]):
            return True
        ref = Ref(entity["typeName"], entity["attributes"]["qualifiedName"])
        since = self.making(catalog, [ref]).get(ref)
        return since is not None and int(entity.get("createTime") or 0) >= since

    def end_own(self, catalog: str, guid: str) -> None:
        """The entity is of those who use it since: what was told here before is no reason to delete it; inside a `transaction`."""
        self._db.execute("DELETE FROM made WHERE catalog = ? AND guid = ?", (catalog, guid))

    # --- datasets that got another name ------------------------------------------------------------------------------
    def renamed(self) -> Iterator[tuple[Ref, int, list[Json]]]:
        """The old names, when each was given up (epoch milliseconds), and what was told of the new one."""
        for type_name, name, time_, chain in self._rows("SELECT type, name, time, chain FROM renamed"):
            yield Ref(type_name, name), time_, json.loads(chain)

    def given(self) -> Mapping[Ref, int]:
        """The names that datasets got which had others before, and when the last of them did (epoch milliseconds)."""
        if self._given is None:
            self._given = {}
            for _, time_, chain in self.renamed():
                self._note_given(chain, time_)
        return self._given

    def _note_given(self, chain: list[Json], time_: int) -> None:
        if self._given is not None:
            ref = Ref(chain[-1]["typeName"], chain[-1]["qualifiedName"])
            self._given[ref] = max(time_, self._given.get(ref, 0))

    def remember_renamed(self, old: Ref, time_: int, chain: list[Json]) -> None:
        """``old`` is another dataset's name since; inside a `transaction`."""
        self._note_given(chain, time_)
        row = (old.type_name, old.qualified_name, time_, json.dumps(chain), self._clock())
        self._db.execute("INSERT OR REPLACE INTO renamed VALUES (?, ?, ?, ?, ?)", row)

    # --- the in-flight note ------------------------------------------------------------------------------------------
    def note(self, catalog: str) -> Note | None:
        """The open note of a call to this catalogue."""
        rows = self._rows("SELECT names FROM note WHERE catalog = ?", catalog)
        if not rows:
            return None
        names = tuple(Ref(*name) for name in json.loads(rows[0][0]))
        known = "SELECT since FROM note_seen WHERE catalog = ? AND machine = ?"
        since = self._rows(known, catalog, machine.boot())
        if not since or since[0][0] > machine.uptime():
            with self.transaction():
                self._see_note(catalog)
            return Note(0.0, names)
        return Note(machine.uptime() - since[0][0], names)

    def _see_note(self, catalog: str) -> None:
        seen = (catalog, machine.boot(), machine.uptime())
        self._db.execute("INSERT OR REPLACE INTO note_seen VALUES (?, ?, ?)", seen)

    def begin_call(self, catalog: str, refs: Iterable[Ref]) -> None:
        """Write the note, on disk before the call is made."""
        names = json.dumps([(ref.type_name, ref.qualified_name) for ref in refs])
        with self.transaction():
            self._db.execute("INSERT OR REPLACE INTO note VALUES (?, ?, ?)", (catalog, self._clock(), names))
            self._db.execute("DELETE FROM note_seen WHERE catalog = ?", (catalog,))
            self._see_note(catalog)

    def end_call(self, catalog: str) -> None:
        """The call was answered."""
        with self.transaction():
            self._db.execute("DELETE FROM note WHERE catalog = ?", (catalog,))
            self._db.execute("DELETE FROM note_seen WHERE catalog = ?", (catalog,))

    # --- single facts of a catalogue ---------------------------------------------------------------------------------
    def fact(self, catalog: str, name: str) -> str | None:
        """A remembered fact, such as which types were applied."""
        rows = self._rows("SELECT value FROM fact WHERE catalog = ? AND name = ?", catalog, name)
        return str(rows[0][0]) if rows else None

    def set_fact(self, catalog: str, name: str, value: str | None) -> None:
        """Remember a fact, or forget it."""
        with self.transaction():
            self._put_fact(catalog, name, value)

    def _put_fact(self, catalog: str, name: str, value: str | None) -> None:
        self._db.execute("DELETE FROM fact WHERE catalog = ? AND name = ?", (catalog, name))
        if value is not None:
            self._db.execute("INSERT INTO fact VALUES (?, ?, ?)", (catalog, name, value))
