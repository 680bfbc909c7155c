"""Late events of runs that the sender has forgotten: what the catalogue has of the run must not shrink.

The state of a run is kept for some hours after its end. An event that comes later is translated without it, so it knows
only a part of the ends. Then the run's entity is read back, and

- its ``io`` and ``processKey`` become the union of what is stored and what is told;
- a told process whose ends are all ends of one stored process is not written: the stored one says it already;
- no stored process is deleted, whatever the told ends are.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from airflow_provider_mlgov.model.entity import Entity, Ref
from airflow_provider_mlgov.model.identity import token
from airflow_provider_mlgov.translate.texts import json_text

Json = dict[str, Any]

_ROLES = ("inputs", "outputs", "declared")


def never_shrink(
    entities: Iterable[Entity], told: Entity, processes: frozenset[Ref], stored: Mapping[str, Any]
) -> list[Entity]:
    """Settled ``entities`` with those of a forgotten run made to keep what its entity has.

    ``told`` is the run's entity as translated, ``processes`` are its processes, ``stored`` are the attributes that the
    catalogue has of it.
    """
    own, known = _Io.read(told.latest.get("io")), _Io.read(stored.get("io"))
    if known is None:
        return list(entities)
    told_keys = _tokens(told.latest.get("processKey"))
    # What it read or wrote may have other names since, and its processes with it: the keys say so, `io` does not.
    called = dict(zip(told_keys, own.processes, strict=False)) if own is not None else {}
    said: dict[Ref, Ref] = {}
    for ref in processes:
        as_told = called.get(token(ref.qualified_name), ref)
        if own is not None and own.is_said_by(as_told, known):
            said[ref] = as_told
    attributes = _united(own, known, said, told_keys, _tokens(stored.get("processKey")))
    return [
        replace(entity, attributes={**entity.attributes, **attributes}) if entity.ref == told.ref else entity
        for entity in entities
        if entity.ref not in said
    ]


def _united(own: _Io | None, known: _Io, said: Mapping[Ref, Ref], own_keys: list[str], known_keys: list[str]) -> Json:
    """``said``: processes that are said already, each with what its run called it."""
    keys = dict.fromkeys([*known_keys, *own_keys])
    for ref in said:
        keys.pop(token(ref.qualified_name), None)
    io = known if own is None else known.united_with(own, set(said.values()))
    return {"io": json_text(io.document()), "processKey": " ".join(keys)}


def _tokens(text: object) -> list[str]:
    return text.split() if isinstance(text, str) else []


class _Io:
    """The ``io`` of a run with names in place of indices."""

    def __init__(
        self, datasets: dict[Ref, Json], ends: dict[str, set[Ref]], processes: dict[Ref, dict[str, set[Ref]]]
    ) -> None:
        self.datasets = datasets
        self.ends = ends
        self.processes = processes

    @classmethod
    def read(cls, text: object) -> _Io | None:
        """None if there is none, or one of another version or form: then it is not ours to unite."""
        try:
            io = json.loads(text) if isinstance(text, str) else None
            if not isinstance(io, dict) or io.get("v") != 1:
                return None
            order = [_ref(item) for item in io["datasets"]]

            def at(holder: Json, role: str) -> set[Ref]:
                return {order[index] for index in holder.get(role, ())}

            return cls(
                dict(zip(order, io["datasets"], strict=True)),
                {role: at(io, role) for role in _ROLES},
                {_ref(item): {role: at(item, role) for role in _ROLES[:2]} for item in io["processes"]},
            )
        except (ValueError, KeyError, IndexError, TypeError, AttributeError):
            return None

    def is_said_by(self, process: Ref, other: _Io) -> bool:
        """Whether one process of ``other``, another one, has all the ends of this ``process``."""
        ends = self.processes.get(process)
        return ends is not None and any(
            ref != process and all(ends[role] <= theirs[role] for role in ends)
            for ref, theirs in other.processes.items()
        )

    def united_with(self, newer: _Io, without: set[Ref]) -> _Io:
        """Both; what ``newer`` says of a dataset counts."""
        datasets = dict(self.datasets)
        for ref, item in newer.datasets.items():
            datasets[ref] = {**datasets.get(ref, {}), **item}
        added = {ref: ends for ref, ends in newer.processes.items() if ref not in without}
        return _Io(datasets, {role: self.ends[role] | newer.ends[role] for role in _ROLES}, {**self.processes, **added})

    def document(self) -> Json:
        """The JSON object, with indices again."""
        place = {ref: index for index, ref in enumerate(self.datasets)}

        def indices(ends: dict[str, set[Ref]]) -> Json:
            return {
                role: sorted(place[ref] for ref in refs) for role, refs in ends.items() if refs or role != "declared"
            }

        return {
            "v": 1,
            "datasets": list(self.datasets.values()),
            **indices(self.ends),
            "processes": [
                {"typeName": ref.type_name, "qualifiedName": ref.qualified_name, **indices(ends)}
                for ref, ends in self.processes.items()
            ],
        }


def _ref(item: Mapping[str, Any]) -> Ref:
    return Ref(item["typeName"], item["qualifiedName"])
