"""Columns of data that Atlas has no columns for (files, objects, topics): ``mlgov_field``, named ``<dataset>#<column>``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from airflow_provider_mlgov.model.entity import Entity, Ref


@dataclass(frozen=True)
class Field:
    """A column as the schema facet tells it; a nested field has its path as name (``address.city``)."""

    name: str
    type: str | None = None
    description: str | None = None
    position: int | None = None
    """From 1; None where only the name is known."""


def attributes_of(field: Field, type_name: str) -> dict[str, Any]:
    """What is known of a column, in our own attributes; its type under ``type_name``."""
    known = {"name": field.name, "position": field.position, type_name: field.type, "comment": field.description}
    return {name: value for name, value in known.items() if value is not None and value != ""}


def column(dataset: Entity, field: Field) -> Entity:
    """A column of any dataset."""
    head, _, at = dataset.qualified_name.rpartition("@")
    parent = Ref(dataset.type_name, dataset.qualified_name)
    return Entity(
        "mlgov_field", f"{head}#{field.name}@{at}", attributes_of(field, "dataType"), relations={"dataset": parent}
    )
