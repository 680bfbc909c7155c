"""What one transaction works with: the connection, the types, the rows of entities."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from airflow_provider_mlgov.catalog.embedded.faults import no_such_guid, no_such_name, no_such_type, refused
from airflow_provider_mlgov.catalog.embedded.registry import Attribute, EntityType, Registry
from airflow_provider_mlgov.catalog.embedded.values import storable

ACTIVE, DELETED = "ACTIVE", "DELETED"
_CHUNK = 500
INDEXED_LENGTH = 128
"""Characters of a value that are indexed."""

_COLUMNS = (
    "id, guid, type, status, attributes, custom, labels, business, created_by, updated_by, create_time, update_time"
)


@dataclass
class Row:
    """An entity as it is stored."""

    id: int
    guid: str
    type_name: str
    status: str
    attributes: dict[str, Any]
    custom: dict[str, str] | None
    labels: list[str]
    business: dict[str, dict[str, Any]]
    created_by: str
    updated_by: str
    create_time: int
    update_time: int

    @property
    def display_text(self) -> str:
        """What people see of it."""
        for name in ("name", "qualifiedName"):
            if self.attributes.get(name) is not None:
                return str(self.attributes[name])
        return self.guid


@dataclass
class Work:
    """One transaction."""

    connection: sqlite3.Connection
    types: Registry
    now: int
    """Epoch milliseconds, the same for all that the transaction writes."""
    user: str
    _rows: dict[int, Row] = field(default_factory=dict)

    def rows(self, ids: Iterable[int]) -> list[Row]:
        """The entities with these ids, in their order."""
        wanted = list(ids)
        missing = [one for one in dict.fromkeys(wanted) if one not in self._rows]
        if missing:
            query = f"SELECT {_COLUMNS} FROM entity WHERE id IN (SELECT value FROM json_each(?))"  # noqa: S608 - constant names
            for record in self.connection.execute(query, (json.dumps(missing),)):
                self._rows[record[0]] = _row(record)
        return [self._rows[one] for one in wanted]

    def by_guid(self, guid: object) -> Row:
        """The entity with this guid, active or deleted, or the error that there is none."""
        row = self.find_guid(guid)
        if row is None:
            raise no_such_guid(guid)
        return row

    def find_guid(self, guid: object) -> Row | None:
        """The entity with this guid, active or deleted, or None."""
        if not isinstance(guid, str):
            return None
        found = self.connection.execute("SELECT id FROM entity WHERE guid = ?", (guid,)).fetchone()
        return self.rows(found)[0] if found else None

    def entity_type(self, name: object) -> EntityType:
        """The entity type of this name, or the error that there is none."""
        if not isinstance(name, str) or not self.types.is_entity(name):
            raise no_such_type("ENTITY", name)
        return self.types.entity_type(name)

    def find_name(self, entity_type: EntityType, attribute: Attribute, value: object) -> Row | None:
        """The active entity of this type or a subtype whose unique attribute has this value."""
        return self.find_names(entity_type, attribute, [str(value)]).get(str(value))

    def find_names(self, entity_type: EntityType, attribute: Attribute, values: Sequence[str]) -> dict[str, Row]:
        """`find_name` for many values at once."""
        found: dict[str, tuple[bool, int]] = {}
        sought = {storable(value): value for value in values}
        for chunk in _chunks(list(sought)):
            # Not by json_each, which cuts a text at a NUL.
            marks = ", ".join("?" * len(chunk))
            query = f"SELECT value, type, entity FROM name WHERE attribute = ? AND value IN ({marks})"  # noqa: S608 - marks
            for stored, type_name, entity in self.connection.execute(query, (_key(attribute), *chunk)):
                value, exact = sought[stored], type_name == entity_type.name
                if type_name in entity_type.subs and (exact or value not in found):
                    found[value] = (exact, entity)
        rows = self.rows(entity for _, entity in found.values())
        return dict(zip(found, rows, strict=True))

    def by_name(self, type_name: str, unique: Mapping[str, Any]) -> Row:
        """The active entity with these unique attributes, or the error that there is none."""
        entity_type = self.entity_type(type_name)
        known = [(entity_type.attributes.get(name), value) for name, value in unique.items()]
        usable = [(attribute, value) for attribute, value in known if attribute is not None and attribute.unique]
        if not usable:
            raise refused("400-00-013", f"Type {type_name} with unique attribute {', '.join(unique)} does not exist")
        for attribute, value in usable:
            row = self.find_name(entity_type, attribute, value)
            if row is not None:
                return row
        raise no_such_name(type_name, usable[0][0].name, usable[0][1])

    # --- writing rows ------------------------------------------------------------------------------------------------
    def insert(self, guid: str, entity_type: EntityType, row: Mapping[str, Any]) -> Row:
        """Store a new entity."""
        cursor = self.connection.execute(
            "INSERT INTO entity (guid, type, status, attributes, custom, labels, business, created_by, updated_by,"
            " create_time, update_time) VALUES (?, ?, 'ACTIVE', ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                guid,
                entity_type.name,
                json.dumps(row["attributes"]),
                None if row["custom"] is None else json.dumps(row["custom"]),
                json.dumps(row["labels"]),
                json.dumps(row["business"]),
                self.user,
                self.user,
                self.now,
                self.now,
            ),
        )
        number = int(cursor.lastrowid or 0)
        stored = Row(
            number,
            guid,
            entity_type.name,
            ACTIVE,
            row["attributes"],
            row["custom"],
            row["labels"],
            row["business"],
            self.user,
            self.user,
            self.now,
            self.now,
        )
        self._rows[number] = stored
        self._index(entity_type, number, {}, row["attributes"])
        return stored

    def save(self, row: Row, attributes: dict[str, Any] | None = None) -> None:
        """Store what has changed of an entity; ``attributes`` replace the stored ones."""
        if attributes is not None:
            if row.status == ACTIVE:
                self._index(self.types.entity_type(row.type_name), row.id, row.attributes, attributes)
            else:
                self._index_values(self.types.entity_type(row.type_name), row.id, row.attributes, attributes)
            row.attributes = attributes
        row.updated_by, row.update_time = self.user, self.now
        self.connection.execute(
            "UPDATE entity SET status = ?, attributes = ?, custom = ?, labels = ?, business = ?, updated_by = ?,"
            " update_time = ? WHERE id = ?",
            (
                row.status,
                json.dumps(row.attributes),
                None if row.custom is None else json.dumps(row.custom),
                json.dumps(row.labels),
                json.dumps(row.business),
                row.updated_by,
                row.update_time,
                row.id,
            ),
        )

    def touch(self, rows: Iterable[Row]) -> None:
        """Mark entities as updated now."""
        for row in rows:
            row.updated_by, row.update_time = self.user, self.now
            self.connection.execute(
                "UPDATE entity SET updated_by = ?, update_time = ? WHERE id = ?", (self.user, self.now, row.id)
            )

    def delete_row(self, row: Row) -> None:
        """Soft-delete an entity: its names are free again."""
        row.status = DELETED
        self.save(row)
        self.connection.execute("DELETE FROM name WHERE entity = ?", (row.id,))

    def purge_row(self, row: Row) -> None:
        """Remove a deleted entity and its edges and tags."""
        self._index_values(self.types.entity_type(row.type_name), row.id, row.attributes, {})
        self.connection.execute("DELETE FROM edge WHERE end1 = ? OR end2 = ?", (row.id, row.id))
        self.connection.execute("DELETE FROM tag WHERE entity = ? OR source = ?", (row.id, row.id))
        self.connection.execute("DELETE FROM entity WHERE id = ?", (row.id,))
        self._rows.pop(row.id, None)

    def _index(self, entity_type: EntityType, number: int, old: Mapping[str, Any], new: Mapping[str, Any]) -> None:
        for attribute in entity_type.unique:
            before, after = old.get(attribute.name), new.get(attribute.name)
            if before != after:
                self._rename(entity_type, attribute, number, before, after)
        self._index_values(entity_type, number, old, new)

    def _index_values(
        self, entity_type: EntityType, number: int, old: Mapping[str, Any], new: Mapping[str, Any]
    ) -> None:
        gone, come = [], []
        for name, attribute in entity_type.attributes.items():
            before, after = old.get(name), new.get(name)
            if attribute.indexed and before != after:
                gone += [(name, text, number) for text in index_texts(before)]
                come += [(name, text, number) for text in index_texts(after)]
        if gone:
            self.connection.executemany("DELETE FROM indexed WHERE attribute = ? AND value = ? AND entity = ?", gone)
        self.connection.executemany("INSERT OR IGNORE INTO indexed VALUES (?, ?, ?)", come)

    def _rename(
        self, entity_type: EntityType, attribute: Attribute, number: int, before: object, after: object
    ) -> None:
        if before is not None:
            self.connection.execute(
                "DELETE FROM name WHERE attribute = ? AND value = ? AND type = ? AND entity = ?",
                (_key(attribute), str(before), entity_type.name, number),
            )
        if after is not None:
            self.connection.execute(
                "INSERT INTO name VALUES (?, ?, ?, ?)", (_key(attribute), str(after), entity_type.name, number)
            )


def index_texts(value: object) -> list[str]:
    """The text under which a value is indexed; nothing for None, lists and structs."""
    if isinstance(value, str):
        return [value[:INDEXED_LENGTH]]
    return [json.dumps(value)] if isinstance(value, (bool, int, float)) else []


def _chunks(values: Sequence[str]) -> Iterator[Sequence[str]]:
    return (values[start : start + _CHUNK] for start in range(0, len(values), _CHUNK))


def _key(attribute: Attribute) -> str:
    return f"{attribute.owner}.{attribute.name}"


def _row(record: Sequence[Any]) -> Row:
    number, guid, type_name, status, attributes, custom, labels, business, *rest = record
    return Row(
        number,
        guid,
        type_name,
        status,
        json.loads(attributes),
        None if custom is None else json.loads(custom),
        json.loads(labels),
        json.loads(business),
        *rest,
    )
