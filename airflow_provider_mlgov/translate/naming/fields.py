"""Columns of data that Atlas has no columns for (files, objects, topics): ``mlgov_field``, named ``<dataset>#<column>``."""

from __future__ import annotations

from typing import Any, NamedTuple

from airflow_provider_mlgov.model.entity import Entity, Ref


class Field(NamedTuple):
    """A column as the schema facet tells it; a nested field has its path as name (``address.city``)."""

    name: str
    type: str | None = None
    description: str | None = None
    position: int | None = None
    """From 1; None where only the name is known."""
    told: int = 0
    """When its dataset was read or written, in epoch milliseconds."""


def described(field: Field, **names: Any) -> dict[str, tuple[int, Any]]:
    """`Entity.described` of a column: what is known, by the names of attributes."""
    return {name: (field.told, value) for name, value in names.items() if value is not None and value != ""}


def column(dataset: Entity, field: Field) -> Entity:
    """A column of any dataset."""
    head, _, at = dataset.qualified_name.rpartition("@")
    parent = Ref(dataset.type_name, dataset.qualified_name)
    facts = described(field, position=field.position, dataType=field.type, comment=field.description)
    return Entity(
        "mlgov_field", f"{head}#{field.name}@{at}", {"name": field.name}, facts, relations={"dataset": parent}
    )
