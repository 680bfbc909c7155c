"""What translation makes: entities and references in the shape of Atlas's, before they have guids."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

from airflow_provider_mlgov.model.identity import token


@dataclass(frozen=True, order=True)
class Ref:
    """A reference to an entity by its type and qualifiedName.

    ``relationship_type`` is needed only where two relationships of a type share the name of an end
    (`hive_column.table`).
    """

    type_name: str
    qualified_name: str
    relationship_type: str | None = None

    def __hash__(self) -> int:
        """That of the name, which Python remembers: references are looked up by the thousand."""
        return hash(self.qualified_name)

    @property
    def is_process(self) -> bool:
        """Whether it has inputs or outputs, by its type."""
        return self.type_name.endswith("_process") or self.type_name == "mlgov_column_lineage"

    def to_atlas(self, guid: str | None = None) -> dict[str, Any]:
        """Atlas's form of this reference.

        By ``guid`` if one is given (a negative one inside a batch), else by qualifiedName.
        """
        reference: dict[str, Any] = {"typeName": self.type_name}
        if guid is None:
            reference["uniqueAttributes"] = {"qualifiedName": self.qualified_name}
        else:
            reference["guid"] = guid
        if self.relationship_type is not None:
            reference["relationshipType"] = self.relationship_type
        return reference


@dataclass(frozen=True, order=True)
class Classification:
    """A classification that an entity is to have. Its type must be there: it is never made by us."""

    type_name: str
    propagate: bool = False


@dataclass(frozen=True)
class Marks:
    """What is only ever added to an entity: what people put there stays."""

    labels: frozenset[str] = frozenset()
    classifications: frozenset[Classification] = frozenset()
    custom: tuple[tuple[str, str], ...] = ()
    """Custom attributes; a later value of one key replaces the earlier."""

    def __bool__(self) -> bool:
        """Whether there is anything."""
        return bool(self.labels or self.classifications or self.custom)

    def united(self, *others: Marks) -> Marks:
        """All of them; of one custom attribute, that of the last."""
        return Marks(
            self.labels.union(*(other.labels for other in others)),
            self.classifications.union(*(other.classifications for other in others)),
            tuple(sorted(dict(item for marks in (self, *others) for item in marks.custom).items())),
        )


NO_MARKS = Marks()


@dataclass(frozen=True)
class Entity:
    """One entity to write. Every write may be repeated and may come in any order.

    An attribute or relation that is not mentioned is left as the catalogue has it.
    """

    type_name: str
    qualified_name: str
    attributes: Mapping[str, Any] = field(default_factory=dict)
    """Facts that follow from the name or from what is immutable: written each time."""
    described: Mapping[str, tuple[int, Any]] = field(default_factory=dict)
    """What the newest event that tells it decides, attribute by attribute: each with when it was told, in epoch milliseconds.

    Written unless the sender remembers something newer. None takes back what an earlier event told (`as_whole`).
    """
    create_only: Mapping[str, Any] = field(default_factory=dict)
    """What people edit (owner, description …): written when the entity is created, never again."""
    latest: Mapping[str, Any] = field(default_factory=dict)
    """What the newest event decides, all of it: so each event has to tell all, None where it is not known.

    Written unless the stored ``factsTime`` is later than `as_of`. Needs an own type.
    """
    as_of: int | None = None
    """When `latest` was true, in epoch milliseconds; stored as ``factsTime``. Of data: when it was read or written."""
    relations: Mapping[str, Ref | tuple[Ref, ...]] = field(default_factory=dict)
    """Relationship attributes.

    A tuple replaces the whole list, so it must be complete; leave it out to keep what is stored.
    """
    marks: Marks = NO_MARKS
    """Labels, classifications and custom attributes."""
    about: tuple[Entity, ...] = field(default=(), compare=False, repr=False)
    """The dataset that this tells of and is named after, last, after what contains it; whether they are there or not."""
    named: int = field(default=0, compare=False, repr=False)
    """Since when a dataset that was told of by another name has this one, in epoch milliseconds; 0 if it was told of by this."""
    dropped: int = field(default=0, compare=False, repr=False)
    """When it was dropped, by the name that it was told of, which another dataset gave up for this one since; 0 if it was not."""

    @cached_property
    def ref(self) -> Ref:
        """A reference to this entity."""
        return Ref(self.type_name, self.qualified_name)

    @property
    def is_process(self) -> bool:
        """Whether it has inputs or outputs."""
        return not self.relations.keys().isdisjoint(("inputs", "outputs"))


@dataclass(frozen=True, order=True)
class Change:
    """A dataset that a run dropped or renamed. What happened to it after ``time`` stays."""

    kind: Literal["drop", "rename"]
    ref: Ref
    """What was dropped, or the old name."""
    time: int
    """When, in epoch milliseconds."""
    to: Ref | None = None
    """The new name."""
    name: str = ""
    """The new ``name``, which people see."""
    chain: tuple[Entity, ...] = field(default=(), compare=False, repr=False)
    """The dataset as it is called by this, last, after what contains it."""
    before: tuple[Entity, ...] = field(default=(), compare=False, repr=False)
    """The same of its old name."""


@dataclass(frozen=True)
class Translation:
    """What an event comes to, in the order of writing: parents and data, columns, processes and runs last."""

    entities: tuple[Entity, ...]
    warnings: tuple[str, ...] = ()
    changes: tuple[Change, ...] = ()
    failed: bool = False
    """It is known that the run did not do what it was going to do: what was written for it before goes."""


def dated(described: Mapping[str, Any], told: int | None) -> dict[str, tuple[int, Any]]:
    """`Entity.described`, all of it told at one time; nothing where that is not known."""
    return {} if told is None else {name: (told, value) for name, value in described.items()}


def as_whole(**values: Any) -> dict[str, Any]:
    """What one facet says: what it leaves out it takes back (None), unless it says nothing at all."""
    return values if any(value is not None for value in values.values()) else {}


def ends_digest(inputs: Iterable[Ref], outputs: Iterable[Ref]) -> str:
    """The digest that names a process after its ends: another set of ends is another process.

    Atlas silently loses an input that went away and came back, so the ends of a process never change.
    """
    ends = {("in", ref.type_name, ref.qualified_name) for ref in inputs}
    ends |= {("out", ref.type_name, ref.qualified_name) for ref in outputs}
    return token(*(part for end in sorted(ends) for part in end))


def renamed_process(name: str, told: Mapping[str, Iterable[Ref]], now: Mapping[str, Iterable[Ref]]) -> str:
    """The name of a process whose ends (``inputs`` and ``outputs``) have other names now; its own if it is not named after them."""
    was, will_be = (ends_digest(ends.get("inputs", ()), ends.get("outputs", ())) for ends in (told, now))
    head, found, tail = name.rpartition(f"/{was}@")
    return f"{head}/{will_be}@{tail}" if found else name
