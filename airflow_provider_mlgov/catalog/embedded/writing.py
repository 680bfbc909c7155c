"""Create and update entities: one batch, all or nothing."""

from __future__ import annotations

import sqlite3
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from airflow_provider_mlgov.catalog.catalog import Json
from airflow_provider_mlgov.catalog.embedded import deleting, edges, extras, reading, tags
from airflow_provider_mlgov.catalog.embedded.faults import (
    invalid_instance,
    invalid_parameters,
    no_such_reference,
    refused,
)
from airflow_provider_mlgov.catalog.embedded.references import References, Target
from airflow_provider_mlgov.catalog.embedded.registry import Attribute, End, EntityType
from airflow_provider_mlgov.catalog.embedded.values import (
    InvalidValueError,
    Normaliser,
    emptied,
    java_text,
    storable,
    unset,
)
from airflow_provider_mlgov.catalog.embedded.work import ACTIVE, Row, Work


@dataclass
class Item:
    """One entity of a batch."""

    guid: str
    payload: Mapping[str, Any]
    type: EntityType
    row: Row | None = None
    """What is stored; None until it is created."""
    twin: Item | None = None
    """An earlier member of the batch with the same name: this one updates it."""
    created: bool = False
    changed: bool = False
    attributes: dict[str, Any] = field(default_factory=dict)
    relations: list[tuple[End, list[Target]]] = field(default_factory=list)


class Batch:
    """A batch of entities to write."""

    def __init__(
        self, work: Work, entities: Sequence[Json], referred: Mapping[str, Json], *, partial: bool = False
    ) -> None:
        if not entities:
            raise invalid_parameters("no entities to create/update.")
        self._work = work
        self._partial = partial
        self._items = [self._item(entity, None) for entity in entities]
        self._items += [self._item(entity, guid) for guid, entity in referred.items()]
        self._touched: dict[int, Row] = {}
        self._deleted: list[Json] = []
        self._find_stored()
        self._references = References(work, {item.guid: item.type for item in self._items if _is_member(item)})
        self._normaliser = Normaliser(work.types, self._references.attribute)

    def write(self) -> Json:
        """Check everything, then store it."""
        for item in self._items:
            self._resolve(item)
        for item in self._items:
            self._validate(item)
        try:
            for item in self._items:
                self._store(item)
        except sqlite3.IntegrityError as error:
            raise refused("409-00-003", f"entity with the same unique attribute already exists: {error}") from error
        targets = {item.guid: item.row.id for item in self._items if item.row is not None}
        for item in self._items:
            self._relate(item, targets)
        return self._answer()

    # --- reading the batch -------------------------------------------------------------------------------------------
    def _item(self, entity: object, key: str | None) -> Item:
        if not isinstance(entity, Mapping):
            raise invalid_parameters("found null entity")
        guid = entity.get("guid")
        guid = key if guid is None else guid
        return Item(
            f"-{uuid.uuid4()}" if guid is None else str(guid), entity, self._work.entity_type(entity.get("typeName"))
        )

    def _find_stored(self) -> None:
        """Find each member's stored form: by real guid, else by unique attributes, else among earlier members."""
        earlier: dict[tuple[str, str], list[Item]] = {}
        stored = self._stored_names()
        for item in self._items:
            if not item.guid.startswith("-"):
                item.row = self._work.find_guid(item.guid)
                if item.row is None:
                    raise no_such_reference(item.guid)
                item.type = self._work.types.entity_type(item.row.type_name)
                continue
            for attribute, value in _unique_values(item):
                found = stored.get((item.type.name, attribute.name), {}).get(value)
                if found is not None:
                    item.row, item.type = found, self._work.types.entity_type(found.type_name)
                    break
                key = (f"{attribute.owner}.{attribute.name}", value)
                twins = [one for one in earlier.get(key, ()) if one.type.is_a(item.type.name)]
                if twins:
                    item.twin, item.type = twins[0], twins[0].type
                    break
                earlier.setdefault(key, []).append(item)

    def _stored_names(self) -> dict[tuple[str, str], dict[str, Row]]:
        wanted: dict[tuple[str, str], tuple[EntityType, Attribute, list[str]]] = {}
        for item in self._items:
            if item.guid.startswith("-"):
                for attribute, value in _unique_values(item):
                    wanted.setdefault((item.type.name, attribute.name), (item.type, attribute, []))[2].append(value)
        return {key: self._work.find_names(*sought) for key, sought in wanted.items()}

    # --- checking ----------------------------------------------------------------------------------------------------
    def _resolve(self, item: Item) -> None:
        for name, value in _relations(item).items():
            item.relations.append(self._references.end(item.type, name, value))

    def _validate(self, item: Item) -> None:
        given = item.payload.get("attributes")
        given = given if isinstance(given, Mapping) else {}
        updates = item.row is not None or item.twin is not None
        problems: list[str] = []
        for name, attribute in item.type.attributes.items():
            if self._partial and not attribute.unique and name in given and given[name] is None:
                item.attributes[name] = emptied(attribute)
            elif not attribute.optional and given.get(name) is None and (name in given or not self._partial):
                problems.append(f"{item.type.name}.{name}: mandatory attribute value missing in type {attribute.owner}")
            elif name in given:
                try:
                    item.attributes[name] = self._normaliser.attribute(
                        attribute, given[name], f"{item.type.name}.{name}"
                    )
                except InvalidValueError as error:
                    problems.append(str(error))
            elif not updates:
                item.attributes[name] = unset(attribute)
        problems += self._missing_owners(item)
        if problems:
            raise invalid_instance(problems)

    def _missing_owners(self, item: Item) -> list[str]:
        given = {end.name for end, targets in item.relations if targets}
        emptied = {end.name for end, targets in item.relations if not targets}
        return [
            f"{item.type.name}.{name}: mandatory attribute value missing in type {item.type.name}"
            for name, by_type in item.type.ends.items()
            if any(end.owned for end in by_type.values())
            and name not in given
            and (name in emptied or not self._partial)
        ]

    # --- storing -----------------------------------------------------------------------------------------------------
    def _store(self, item: Item) -> None:
        if item.row is None and item.twin is not None:
            item.row = item.twin.row
        if item.row is None:
            self._create(item)
        else:
            self._update(item, item.row)

    def _create(self, item: Item) -> None:
        payload, work = item.payload, self._work
        custom, business = payload.get("customAttributes"), payload.get("businessAttributes")
        fields = {
            "attributes": {name: value for name, value in item.attributes.items() if value is not None},
            "custom": extras.checked_custom(custom) if isinstance(custom, Mapping) else None,
            "labels": extras.checked_labels(payload.get("labels") or ()),
            "business": extras.checked_business(work.types, item.type.name, business or {}, strict=False),
        }
        item.row = work.insert(str(uuid.uuid4()), item.type, fields)
        item.created = True

    def _update(self, item: Item, row: Row) -> None:
        attributes = dict(row.attributes)
        for name, value in item.attributes.items():
            old = attributes.get(name)
            if (
                self._partial
                and item.type.attributes[name].appends
                and isinstance(old, dict)
                and isinstance(value, dict)
            ):
                value = old | value
            if value is None:
                attributes.pop(name, None)
            else:
                attributes[name] = value
        custom = item.payload.get("customAttributes")
        renewed = extras.checked_custom(custom) if isinstance(custom, Mapping) else row.custom
        if attributes != row.attributes or renewed != row.custom:
            row.custom = renewed
            self._work.save(row, attributes)
            item.changed = True

    def _relate(self, item: Item, targets: Mapping[str, int]) -> None:
        if item.row is None:
            return
        for end, sought in item.relations:
            others = [targets[target] if isinstance(target, str) else target for target in sought]
            replaced = edges.replace(self._work, item.row.id, end, others, new=item.created and item.twin is None)
            if replaced.added or replaced.removed:
                item.changed = True
            self._touched |= {row.id: row for row in self._work.rows(replaced.added)}
            if end.owns and replaced.removed:
                gone = deleting.delete(self._work, self._work.rows(replaced.removed))
                self._deleted += gone.get("mutatedEntities", {}).get("DELETE", [])
        if item.created:
            given = item.payload.get("classifications")
            if given:
                tags.add(self._work, item.row, given)

    # --- answering ---------------------------------------------------------------------------------------------------
    def _answer(self) -> Json:
        rows = {id(item.row): item for item in self._items if item.row is not None}
        created = {item.row.id: item.row for item in self._items if item.row is not None and item.created}
        changed = {
            item.row.id: item.row
            for item in self._items
            if item.row is not None and item.changed and item.row.id not in created
        }
        members = {item.row.id for item in rows.values() if item.row is not None}
        others = {
            number: row for number, row in self._touched.items() if number not in created and number not in changed
        }
        self._work.touch([*changed.values(), *others.values()])
        changed, others = _only_active(changed), _only_active(others)
        mutated: Json = {}
        if created:
            mutated["CREATE"] = reading.headers(self._work, list(created.values()), classifications=True)
        updated = reading.headers(self._work, list(changed.values()), classifications=True)
        updated += reading.headers(self._work, [row for number, row in others.items() if number not in members])
        if updated:
            mutated["PARTIAL_UPDATE" if self._partial else "UPDATE"] = updated
        if self._deleted:
            mutated["DELETE"] = self._deleted
        answer: Json = {"mutatedEntities": mutated} if mutated else {}
        answer["guidAssignments"] = {
            item.guid: item.row.guid for item in self._items if item.row is not None and item.guid != item.row.guid
        }
        return answer


def _only_active(rows: Mapping[int, Row]) -> dict[int, Row]:
    return {number: row for number, row in rows.items() if row.status == ACTIVE}


def _is_member(item: Item) -> bool:
    return item.guid.startswith("-")


def _unique_values(item: Item) -> list[tuple[Attribute, str]]:
    given = item.payload.get("attributes")
    if not isinstance(given, Mapping):
        return []
    return [
        (attribute, storable(java_text(given[attribute.name])))
        for attribute in item.type.unique
        if given.get(attribute.name) is not None
    ]


def _relations(item: Item) -> dict[str, Any]:
    """The relationship attributes of a payload; those in their own place win, and only there does null mean something."""
    found: dict[str, Any] = {}
    attributes, relations = item.payload.get("attributes"), item.payload.get("relationshipAttributes")
    if isinstance(attributes, Mapping):
        found = {name: value for name, value in attributes.items() if value is not None and name in item.type.ends}
    if isinstance(relations, Mapping):
        found |= {name: value for name, value in relations.items() if name in item.type.ends}
    return found
