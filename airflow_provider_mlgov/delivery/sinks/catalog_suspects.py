"""What sends found out of entities that the catalogue does not take.

A send may have no time for all of them, and the next goes on from there.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Sequence

from airflow_provider_mlgov.delivery.state import SenderState
from airflow_provider_mlgov.model.entity import Entity, Ref

STRIKES = 2
"""How often a write of one entity is not answered, while others are, until it is the entity's fault: Atlas may have gone away."""
_APART, _SUSPECTS, _FORBIDDEN = "apart", "suspects", "forbidden"


class Suspects:
    """Of the catalogue of this ``name``."""

    is_again = False
    """Whether runs are only sent again, to see whether any is taken: nothing is remembered of that."""

    def __init__(self, state: SenderState, name: str) -> None:
        self._state = state
        self._name = name

    # --- halves ------------------------------------------------------------------------------------------------------
    def fails_at(self, refs: Iterable[Ref]) -> None:
        """The culprit is among these: they are written apart from others."""
        self._keep(_APART, dict.fromkeys(refs, 0))

    @property
    def apart(self) -> frozenset[Ref]:
        """Those."""
        return frozenset(self._known(_APART))

    # --- single ones -------------------------------------------------------------------------------------------------
    def suspect(self, ref: Ref, *, strikes: int = 1) -> None:
        """The catalogue took others and did not take this one alone: after so many `STRIKES` deliveries set it aside."""
        suspected = self._known(_SUSPECTS)
        self._keep(_SUSPECTS, {**suspected, ref: suspected.get(ref, 0) + strikes})

    def set_aside(self, entities: Sequence[Entity]) -> dict[Ref, str]:
        """Those of ``entities`` that are, and why."""
        suspected = self._known(_SUSPECTS)
        reason = "the catalogue fails when it is written, alone, and takes others"
        return {entity.ref: reason for entity in entities if suspected.get(entity.ref, 0) >= STRIKES}

    # --- what a user may not write -----------------------------------------------------------------------------------
    def forbid(self, refs: Iterable[Ref]) -> None:
        """These were refused as all may be, while others were taken. That counts only while one of them is refused still."""
        self._keep(_FORBIDDEN, {**self._known(_FORBIDDEN), **dict.fromkeys(refs, 0)})

    def forbidden(self, entities: Iterable[Entity]) -> Sequence[Entity]:
        """Those of ``entities`` that were."""
        known = self._known(_FORBIDDEN)
        return [entity for entity in entities if entity.ref in known] if known else []

    def allow(self, refs: Collection[Ref]) -> None:
        """These may be taken, or are dead letters by now."""
        known = self._known(_FORBIDDEN)
        if not known.keys().isdisjoint(refs):
            self._keep(_FORBIDDEN, {ref: 0 for ref in known if ref not in refs})

    # --- all ---------------------------------------------------------------------------------------------------------
    def delivered(self, refs: Collection[Ref]) -> None:
        """A delivery of these ended well."""
        if not self.is_again:
            self.allow(refs)
            for name in (_APART, _SUSPECTS):
                if self._state.fact(self._name, name):
                    self._keep(name, {})

    def _known(self, name: str) -> dict[Ref, int]:
        found = json.loads(self._state.fact(self._name, name) or "[]")
        return {Ref(type_name, qualified_name): sum(count) for type_name, qualified_name, *count in found}

    def _keep(self, name: str, known: dict[Ref, int]) -> None:
        if self.is_again:
            return
        found = [[ref.type_name, ref.qualified_name, count] for ref, count in sorted(known.items())]
        self._state.set_fact(self._name, name, json.dumps(found) if found else None)
