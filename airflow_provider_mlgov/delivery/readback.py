"""Late events of runs that the sender has forgotten: what the catalogue has of the run must not shrink.

The state of a run is kept for some hours after its end. An event that comes later is translated without it, so it knows only
a part of the ends. Then the run's entity is read back, and

- its ``io`` and ``processKey`` become the union of what is stored and what is new;
- a new process whose ends are all ends of one stored process is not written: the stored one already says it;
- no stored process is deleted, whatever the new ends are.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from airflow_provider_mlgov.model.entity import Entity, Ref
from airflow_provider_mlgov.translate.texts import json_text

Json = dict[str, Any]
End = tuple[str, str]


def read_io(text: object) -> Json | None:
    """The ``io`` of a run, or None if there is none or it is not of the form of version 1."""
    if not isinstance(text, str):
        return None
    try:
        io = json.loads(text)
    except ValueError:
        return None
    if not isinstance(io, dict) or io.get("v") != 1:
        return None
    datasets = io.get("datasets")
    if not isinstance(datasets, list) or not all(isinstance(item, dict) for item in datasets):
        return None
    return io


def unite_io(own: object, stored: object) -> str | None:
    """Both ``io`` in one; what ``own`` says of a dataset counts. None if neither can be read."""
    left, right = read_io(own), read_io(stored)
    if left is None or right is None:
        return own if left is not None else stored if right is not None else None  # type: ignore[return-value]
    datasets: dict[End, Json] = {}
    for io in (right, left):
        for item in io["datasets"]:
            end = _end(item)
            datasets[end] = {**datasets.get(end, {}), **item}
    order = sorted(datasets)
    place = {end: number for number, end in enumerate(order)}

    def places(io: Json, indices: object) -> set[int]:
        return {place[end] for end in _ends(io, indices)}

    processes: dict[End, Json] = {}
    for io in (right, left):
        for item in io.get("processes") or ():
            processes[_end(item)] = {
                **item,
                "inputs": sorted(places(io, item.get("inputs"))),
                "outputs": sorted(places(io, item.get("outputs"))),
            }
    both = {
        role: sorted(places(left, left.get(role)) | places(right, right.get(role))) for role in ("inputs", "outputs", "declared")
    }
    if not both["declared"]:
        del both["declared"]
    united = {"v": 1, "datasets": [datasets[end] for end in order], **both}
    united["processes"] = [processes[end] for end in sorted(processes)]
    return json_text(united)


def unite_keys(own: object, stored: object) -> str:
    """Both ``processKey`` in one: tokens separated by spaces."""
    tokens = {token for text in (own, stored) if isinstance(text, str) for token in text.split()}
    return " ".join(sorted(tokens))


def never_shrink(
    entities: Iterable[Entity], told: Entity, processes: frozenset[Ref], stored: Mapping[str, Any]
) -> list[Entity]:
    """Settled ``entities`` with those of a forgotten run made to keep what its entity has.

    ``told`` is the run's entity as translated, ``stored`` are the attributes that the catalogue has of it.
    """
    io = read_io(stored.get("io"))
    kept: list[Entity] = []
    for entity in entities:
        if entity.ref == told.ref:
            attributes = dict(entity.attributes)
            united = unite_io(told.latest.get("io"), stored.get("io"))
            if united is not None:
                attributes["io"] = united
            keys = unite_keys(told.latest.get("processKey"), stored.get("processKey"))
            if keys:
                attributes["processKey"] = keys
            kept.append(replace(entity, attributes=attributes))
        elif entity.ref not in processes or io is None or not _is_said(entity, io):
            kept.append(entity)
    return kept


def _is_said(process: Entity, io: Json) -> bool:
    inputs, outputs = _related(process, "inputs"), _related(process, "outputs")
    return any(
        inputs <= set(_ends(io, item.get("inputs"))) and outputs <= set(_ends(io, item.get("outputs")))
        for item in io.get("processes") or ()
        if isinstance(item, dict) and _end(item) != (process.type_name, process.qualified_name)
    )


def _related(process: Entity, name: str) -> set[End]:
    refs = process.relations.get(name, ())
    return {(ref.type_name, ref.qualified_name) for ref in ((refs,) if isinstance(refs, Ref) else refs)}


def _end(item: Mapping[str, Any]) -> End:
    return str(item.get("typeName")), str(item.get("qualifiedName"))


def _ends(io: Json, indices: object) -> list[End]:
    datasets = io["datasets"]
    found = indices if isinstance(indices, list) else []
    return [_end(datasets[number]) for number in found if isinstance(number, int) and 0 <= number < len(datasets)]
