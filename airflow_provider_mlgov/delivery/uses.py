"""Whether data is used by others: by other senders, by Atlas's own hooks, or by people.

What only runs of ours made may go with them. What somebody has put to use since, or hung something on, stays.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from airflow_provider_mlgov.delivery.patient import BY_PEOPLE, PatientCatalog, ref_of
from airflow_provider_mlgov.delivery.renaming import OWNED
from airflow_provider_mlgov.delivery.state import SenderState
from airflow_provider_mlgov.model.entity import Ref

Json = dict[str, Any]

CONTENTS = ("contained", "children", "buckets", "s3Objects")
"""Datasets in a dataset: directories, and what is in them."""

_PEOPLE = ("classifications", "labels", "meanings", "businessAttributes", "customAttributes")
"""What people hang on an entity, as Atlas has it on the entity or among its relationships."""


class Uses:
    """What the catalogue of this ``name`` has on data that was made here."""

    def __init__(self, calls: PatientCatalog, name: str, state: SenderState) -> None:
        self._calls = calls
        self._name = name
        self._state = state

    def are_none(self, entity: Json) -> bool:
        """Whether it was made here, and nobody has put anything into it or on it since; the same of what goes with it."""
        return all(self._is_plain(one) and not [*_active(one, owned=False)] for one in self._with_parts(entity))

    def are_ours(self, entity: Json, ours: Collection[Ref]) -> bool:
        """The same, but for what is in it, for ``ours``, and for what runs have done that are known here."""
        for one in self._with_parts(entity):
            if not self._is_plain(one):
                return False
            around = [item["guid"] for item in _active(one, owned=False, but=CONTENTS)]
            for other in (self._calls.by_guids(around, relationships=False) if around else {}).values():
                is_named = "qualifiedName" in other.get("attributes", {})
                if not is_named or not ((ref := ref_of(other)) in ours or self._state.claimants(ref)):
                    return False
        return True

    def _with_parts(self, entity: Json) -> Iterator[Json]:
        """It, and what goes with it; read as it is asked for."""
        yield entity
        for item in _active(entity, owned=True):
            child = self._calls.by_guid(item["guid"])
            if child is not None:
                yield child

    def _is_plain(self, entity: Json) -> bool:
        """Whether it was made here, and people have said nothing of it."""
        relations: Mapping[str, Any] = entity.get("relationshipAttributes") or {}
        attributes: Mapping[str, Any] = entity.get("attributes") or {}
        return (
            self._state.was_made_here(self._name, entity)
            and not any(entity.get(name) or relations.get(name) for name in _PEOPLE)
            and not any(attributes.get(name) for name in BY_PEOPLE)
        )


def _active(entity: Json, *, owned: bool, but: Collection[str] = ()) -> Iterator[Json]:
    """What is related to an entity: what goes with it, or all else but what it is in."""
    for name, value in (entity.get("relationshipAttributes") or {}).items():
        for item in value if isinstance(value, list) else [value] if owned and isinstance(value, dict) else ():
            is_active = item.get("relationshipStatus", "ACTIVE") == item.get("entityStatus", "ACTIVE") == "ACTIVE"
            if is_active and (name in OWNED) is owned and name not in but:
                yield item
