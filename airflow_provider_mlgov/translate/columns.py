"""Columns of datasets: their entities, and which column is made of which."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
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
from airflow_provider_mlgov.translate.runs import Run, known
from airflow_provider_mlgov.translate.texts import MAX_ERROR, json_text, long, nameable, plain

Json = Mapping[str, Any]

_DEPTH = 20
"""Levels of nested columns that are followed."""


def column_entities(end: End, options: TranslateOptions, warnings: list[str]) -> Iterator[Entity]:
    """The columns of the schema facet.

    They are only ever added: an input's schema may hold just the columns that were read.
    """
    fields = facet(end.facets, "schema").get("fields")
    if end.family.column is None or not isinstance(fields, list):
        return
    marks = field_marks(end.facets, options.rules, warnings) if "tags" in end.facets else {}
    for item in _fields(fields):
        column = _column(end, item, warnings)
        if column is not None:
            yield replace(column, marks=marks[item.name]) if item.name in marks else column


def _column(end: End, item: Field, warnings: list[str]) -> Entity | None:
    if end.family.column is None:
        return None
    try:
        name = fold(nameable(check_text(item.name, f"a column of {end.ref.qualified_name}")), end.family.case)
    except InvalidNameError as error:
        warnings.append(f"the column is left out: {error}")
        return None
    return end.family.column(end.entities[-1], item if name == item.name else replace(item, name=name))


def _fields(fields: list[Any], prefix: str = "", depth: int = 0) -> Iterator[Field]:
    for index, item in enumerate(fields, start=1):
        if not isinstance(item, dict):
            continue
        name = item.get("name")
        position = item.get("ordinal_position")
        name = f"{prefix}{name}" if isinstance(name, str) and name else ""
        position = position if isinstance(position, int) and 0 < position < 2**31 else index
        yield Field(name, plain(item.get("type")), long(item.get("description")), int(position))
        inner = item.get("fields")
        if name and isinstance(inner, list) and depth < _DEPTH:
            yield from _fields(inner, f"{name}.", depth + 1)


# --- which column is made of which -----------------------------------------------------------------------------------


@dataclass
class ColumnLineage:
    """Makes the processes of columns, and the columns that only they name."""

    run: Run
    ends: Mapping[Ref, End]
    """All datasets of the run, and those that its lineage names."""
    warnings: list[str] = field(default_factory=list)

    def entities(self, output: Ref, flow: Flow, process: Entity) -> Iterator[Entity]:
        """One process per column of ``output`` that is made of other columns, with their columns before it.

        ``process`` is that of the whole datasets. A column that is only made of itself says nothing and is left out.
        """
        end = self.ends[output]
        for name in sorted(flow.columns):
            made = _column(end, Field(name), self.warnings)
            inputs = {}
            for item in flow.columns[name]:
                source = self.ends.get(item.dataset)
                column = _column(source, Field(item.column), self.warnings) if source is not None else None
                if column is not None:
                    inputs[column.ref] = column
            if made is None or not inputs.keys() - {made.ref}:
                continue
            yield made
            yield from inputs.values()
            yield self._process(made, tuple(sorted(inputs)), flow.columns[name], process)

    def _process(self, made: Entity, inputs: tuple[Ref, ...], items: Sequence[InputField], process: Entity) -> Entity:
        digest = ends_digest(inputs, (made.ref,))
        name = _named(self.run, digest)
        kinds = sorted({kind for item in items for kind in item.kinds})
        latest = known(
            dependencyType=", ".join(kinds) or None,
            masking=any(item.masking for item in items),
            expression=long("; ".join(dict.fromkeys(text for item in items for text in item.words)), MAX_ERROR),
            transformations=long(json_text([item.told for item in items if item.told])),
            parentProcess=process.qualified_name,
            parentKey=identity.token(process.qualified_name),
            lastRun=run_name(self.run),
        )
        attributes = {
            "name": made.attributes["name"],
            "columnName": made.attributes["name"],
            "processKey": name.key,
        }
        return Entity(
            name.type_name,
            str(name),
            attributes,
            create_only=known(firstRun=run_name(self.run)),
            latest=latest,
            as_of=self.run.told,
            relations={"inputs": inputs, "outputs": (made.ref,)},
        )


def _named(run: Run, digest: str) -> identity.TaskColumns | identity.JobColumns:
    name = run.name
    if isinstance(name, identity.TaskRun):
        return identity.TaskColumns(name.namespace, name.dag, name.task, digest)
    if (job := run.worker) is not None:
        return identity.JobColumns(job.namespace, job.job_namespace, job.job, digest)
    raise TypeError(f"{name!r} does no work")
