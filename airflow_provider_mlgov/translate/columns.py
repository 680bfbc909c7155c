"""Columns of datasets: their entities, and which column is made of which."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from airflow_provider_mlgov.errors import InvalidNameError
from airflow_provider_mlgov.model import identity
from airflow_provider_mlgov.model.entity import Entity, Ref, ends_digest
from airflow_provider_mlgov.model.identity import check_text
from airflow_provider_mlgov.translate.datasets import End
from airflow_provider_mlgov.translate.events import facet
from airflow_provider_mlgov.translate.flows import Flow, InputField
from airflow_provider_mlgov.translate.jobs import run_name
from airflow_provider_mlgov.translate.marks import field_marks
from airflow_provider_mlgov.translate.naming import Field
from airflow_provider_mlgov.translate.naming.family import fold
from airflow_provider_mlgov.translate.options import TranslateOptions
from airflow_provider_mlgov.translate.runs import Run
from airflow_provider_mlgov.translate.texts import MAX_ERROR, json_text, long, nameable, plain

Json = Mapping[str, Any]

_DIGEST = "0" * 32
_DEPTH = 20
"""Levels of nested columns that are followed."""


def column_entities(
    end: End, told: int, options: TranslateOptions, warnings: list[str], *, is_whole: bool
) -> Iterator[tuple[str, Entity]]:
    """The columns of the schema facet, and those that only have tags, each with what the event calls it.

    ``told`` is when they were read or written.

    They are only ever added. Where a schema is not whole, they have no place of their own: that of an input may hold just the
    columns that were read.
    """
    if end.family.column is None:
        return
    marks = field_marks(end.facets, options.rules, warnings) if "tags" in end.facets else {}
    fields = {item.name: item for item in _told(end, told, whole=is_whole)}
    for item in [*fields.values(), *(Field(name) for name in sorted(marks.keys() - fields.keys()))]:
        column = _column(end, item, warnings)
        if column is not None:
            yield item.name, replace(column, marks=marks[item.name]) if item.name in marks else column


def _column(end: End, item: Field, warnings: list[str]) -> Entity | None:
    if end.family.column is None:
        return None
    try:
        name = fold(nameable(check_text(item.name, "a column")), end.family.case)
        if not end.family.has_nested_columns:
            name = name.partition(".")[0] or name
    except InvalidNameError as error:
        warnings.append(f"a column of {end.ref.qualified_name} is left out: {error}")
        return None
    return end.family.column(end.entities[-1], item if name == item.name else item._replace(name=name))


def _told(end: End, told: int, *, whole: bool) -> Iterator[Field]:
    """The columns that the schemas of its names tell, the newest last: each partition has its own schema.

    Where a column stands is its place in the newest.
    """
    registers = [name.facets["schema"] for name in end.names if "schema" in name.facets]
    if not end.names and "schema" in end.facets:
        registers = [end.facets["schema"]]
    if len(registers) > 1:
        registers.sort(key=lambda register: (*register[:2], json_text(register[2])))
    for register in registers:
        found = facet({"schema": register}, "schema").get("fields")
        if isinstance(found, list):
            is_whole = whole and register is registers[-1]
            yield from _fields(found, told, nested=end.family.has_nested_columns, whole=is_whole)


def _fields(
    fields: list[Any], told: int, *, nested: bool, whole: bool, prefix: str = "", depth: int = 0
) -> Iterator[Field]:
    """The columns of a schema. Where one stands is its position if it is told, or if the schema is ``whole``."""
    for index, item in enumerate(fields, start=1):
        if not isinstance(item, dict):
            continue
        name = item.get("name")
        name = f"{prefix}{name}" if isinstance(name, str) and name else ""
        position = item.get("ordinal_position")
        if not isinstance(position, int) or isinstance(position, bool) or not 0 < position < 2**31:
            position = index if whole else None
        yield Field(name, plain(item.get("type")), long(item.get("description")), position, told)
        inner = item.get("fields")
        if nested and name and isinstance(inner, list) and depth < _DEPTH:
            yield from _fields(inner, told, nested=nested, whole=whole, prefix=f"{name}.", depth=depth + 1)


# --- which column is made of which -----------------------------------------------------------------------------------


class ColumnLineage:
    """Makes the processes of columns, and the columns that only they name.

    ``ends`` are all datasets of the run, and those that its lineage names; ``made`` are the columns that are made already: their
    datasets, what the event calls them, and themselves.
    """

    def __init__(
        self, run: Run, ends: Mapping[Ref, End], made: Iterable[tuple[Ref, str, Entity]], warnings: list[str]
    ) -> None:
        self._run = run
        self._columns: dict[tuple[Ref, str], Entity | None] = {
            (dataset, name): column for dataset, name, column in made
        }
        self._there = {column.ref for column in self._columns.values() if column is not None}
        self._run_name = run_name(run)
        self._head, _, self._tail = str(_named(run, _DIGEST)).rpartition(_DIGEST)
        self._ends = ends
        self._warnings = warnings

    def entities(self, output: Ref, flow: Flow, process: Entity) -> Iterator[Entity]:
        """One process per column of ``output`` that is made of other columns, with their columns before it.

        ``process`` is that of the whole datasets. A column that is only made of itself says nothing and is left out.
        """
        parent = {"parentProcess": process.qualified_name, "parentKey": identity.token(process.qualified_name)}
        told: dict[Ref, tuple[Entity, list[InputField]]] = {}
        for name in sorted(flow.columns):  # names that differ in case only, or parts of one column, may be one in Atlas
            if (made := self._column(output, name)) is not None:
                told.setdefault(made.ref, (made, []))[1].extend(flow.columns[name])
        for made, items in told.values():
            found = (self._column(item.dataset, item.column) for item in items)
            inputs = {column.ref: column for column in found if column is not None}
            if not inputs.keys() - {made.ref}:
                continue
            for column in (made, *inputs.values()):
                if column.ref not in self._there:
                    self._there.add(column.ref)
                    yield column
            yield self._process(made, tuple(sorted(inputs)), items, parent)

    def _column(self, dataset: Ref, name: str) -> Entity | None:
        key = (dataset, name)
        if key not in self._columns:
            end = self._ends.get(dataset)
            self._columns[key] = _column(end, Field(name), self._warnings) if end is not None else None
        return self._columns[key]

    def _process(
        self, made: Entity, inputs: tuple[Ref, ...], items: Sequence[InputField], parent: Mapping[str, Any]
    ) -> Entity:
        qualified = f"{self._head}{ends_digest(inputs, (made.ref,))}{self._tail}"
        kinds = sorted({kind for item in items for kind in item.kinds})
        words = dict.fromkeys(text for item in items for text in item.words)
        latest = {
            "dependencyType": ", ".join(kinds) or None,
            "masking": any(item.masking for item in items),
            "expression": long("; ".join(words), MAX_ERROR) if words else None,
            "transformations": long(json_text([item.told for item in items if item.told])),
            "lastRun": self._run_name,
            **parent,
        }
        attributes = {
            "name": made.attributes["name"],
            "columnName": made.attributes["name"],
            "processKey": identity.token(qualified),
        }
        return Entity(
            identity.JobColumns.type_name,
            qualified,
            attributes,
            create_only={"firstRun": self._run_name} if self._run_name else {},
            latest=latest,
            as_of=self._run.told,
            relations={"inputs": inputs, "outputs": (made.ref,)},
        )


def _named(run: Run, digest: str) -> identity.TaskColumns | identity.JobColumns:
    name = run.name
    if isinstance(name, identity.TaskRun):
        return identity.TaskColumns(name.namespace, name.dag, name.task, digest)
    if (job := run.worker) is not None:
        return identity.JobColumns(job.namespace, job.job_namespace, job.job, digest)
    raise TypeError(f"{name!r} does no work")
