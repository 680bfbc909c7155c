"""From entities to the batches that a catalogue takes: ordered, cut to size, in Atlas's JSON."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

from airflow_provider_mlgov.model.entity import Entity, Ref

Json = dict[str, Any]


def references(entity: Entity) -> Iterator[Ref]:
    """What ``entity`` refers to, without the kind of relationship: as `Entity.ref` of the other would be."""
    for value in entity.relations.values():
        for ref in (value,) if isinstance(value, Ref) else value:
            yield Ref(ref.type_name, ref.qualified_name)


def in_order(entities: Sequence[Entity]) -> list[Entity]:
    """``entities`` with everything after what it refers to; otherwise as given, so parents and data come first."""
    by_ref = {entity.ref: entity for entity in entities}
    ordered: dict[Ref, Entity] = {}
    begun: set[Ref] = set()
    for first in entities:
        stack: list[tuple[Entity, bool]] = [(first, False)]
        while stack:
            entity, done = stack.pop()
            if done:
                ordered.setdefault(entity.ref, entity)
            elif entity.ref not in begun:
                begun.add(entity.ref)
                stack.append((entity, True))
                needed = [by_ref[ref] for ref in references(entity) if ref in by_ref and ref not in begun]
                stack += [(other, False) for other in reversed(needed)]
    return list(ordered.values())


def batches(entities: Sequence[Entity], size: int, apart: Collection[Ref] = frozenset()) -> list[list[Entity]]:
    """Cut ``entities``, in order, into batches of at most ``size``; those ``apart`` into halves of their own."""
    cut: list[list[Entity]] = []
    for is_apart, some in groupby(in_order(entities), key=lambda entity: entity.ref in apart):
        group = list(some)
        step = max(1, min(size, len(group) // 2)) if is_apart else size
        cut += [group[start : start + step] for start in range(0, len(group), step)]
    return cut


def without_dependents(entities: Iterable[Entity], refused: Mapping[Ref, str]) -> tuple[list[Entity], dict[Ref, str]]:
    """``entities``, which are in order, without refused ones and those that refer to one; and why the latter are left out."""
    kept: list[Entity] = []
    left_out: dict[Ref, str] = {}
    for entity in entities:
        if entity.ref in refused:
            continue
        missing = next((ref for ref in references(entity) if ref in refused or ref in left_out), None)
        if missing is None:
            kept.append(entity)
        else:
            left_out[entity.ref] = f"it needs {missing.type_name} {missing.qualified_name}, which was refused"
    return kept, left_out


def to_atlas(batch: Sequence[Entity], guids: Mapping[Ref, str] | None = None) -> list[Json]:
    """Atlas's JSON of a batch: members refer to each other by negative guids, to others by ``guids`` or qualifiedName."""
    known = dict(guids or {}) | {entity.ref: f"-{number}" for number, entity in enumerate(batch, 1)}

    def reference(ref: Ref) -> Json:
        return ref.to_atlas(known.get(Ref(ref.type_name, ref.qualified_name)))

    documents = []
    for entity in batch:
        document: Json = {
            "typeName": entity.type_name,
            "guid": known[entity.ref],
            "attributes": {**final_attributes(entity), "qualifiedName": entity.qualified_name},
        }
        if entity.marks.custom:
            document["customAttributes"] = dict(entity.marks.custom)
        if entity.relations:
            document["relationshipAttributes"] = {
                name: reference(value) if isinstance(value, Ref) else [reference(ref) for ref in value]
                for name, value in entity.relations.items()
            }
        documents.append(document)
    return documents


def final_attributes(entity: Entity) -> Json:
    """All attributes to write. After `settle` they are in ``attributes``; for sinks that cannot settle, all kinds count."""
    facts: Json = {} if entity.as_of is None or not entity.latest else {"factsTime": entity.as_of}
    described = {name: value for name, (_, value) in entity.described.items()}
    return {**entity.create_only, **facts, **entity.latest, **described, **entity.attributes}
