"""From the state of a run to Atlas entities: pure, the same state gives the same bytes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from airflow_provider_mlgov.model import identity, ml
from airflow_provider_mlgov.model.entity import Entity, Translation
from airflow_provider_mlgov.translate.datasets import End, column_entities, data_entities, read_ends
from airflow_provider_mlgov.translate.events import facet
from airflow_provider_mlgov.translate.jobs import Done, process_entity, run_entities
from airflow_provider_mlgov.translate.ml import making_entity, thing_entities
from airflow_provider_mlgov.translate.options import TranslateOptions
from airflow_provider_mlgov.translate.roles import Work, assign, updated, without_families
from airflow_provider_mlgov.translate.runs import Run, read_run
from airflow_provider_mlgov.translate.settle import merge
from airflow_provider_mlgov.translate.texts import json_text, plain

IO_VERSION = 1
"""Version of the ``io`` text on a run."""


def translate(state: Mapping[str, Any], options: TranslateOptions) -> Translation:
    """The entities of a state: parents and data, columns, processes, and the runs last.

    Each reference is to one of them. A run that has not ended, or did not succeed, gives DAG, task and
    run, but no data and no processes.
    """
    warnings: list[str] = []
    run = read_run(state, options, warnings)
    at = options.catalog_namespace
    if isinstance(run.name, (identity.TaskRun, identity.DagRun)) and run.name.namespace != options.airflow_namespace:
        options = replace(options, airflow_namespace=run.name.namespace)
    if run.told is None:
        return Translation(tuple(run_entities(run, None)), tuple(warnings))
    inputs = without_families(read_ends(state, "inputs", options, warnings))
    outputs = without_families(read_ends(state, "outputs", options, warnings))
    if not run.succeeded:
        return Translation(tuple(run_entities(run, _done(inputs, outputs, None))), tuple(warnings))
    made = assign(inputs, outputs, at) if run.name is not None else []
    work = [(item, entity) for item in made if (entity := _process(item, run, at)) is not None]
    entities = _data(inputs, outputs, run)
    for end in (*inputs, *outputs):
        entities += column_entities(end, warnings)
    entities += [entity for _, entity in work]
    entities += run_entities(run, _done(inputs, outputs, work))
    return Translation(merge(entities), tuple(dict.fromkeys(warnings)))


def _data(inputs: Sequence[End], outputs: Sequence[End], run: Run) -> list[Entity]:
    entities: list[Entity] = []
    facts_only = updated(inputs, outputs)
    for end in inputs:
        entities += data_entities(end) if end.thing is None else thing_entities(end, run, written=False, made=False)
    for end in outputs:
        if end.thing is None:
            entities += data_entities(end)
        else:
            entities += thing_entities(end, run, written=True, made=end.ref not in facts_only)
    return entities


def _process(item: Work, run: Run, at: str) -> Entity | None:
    if isinstance(item.thing, ml.Thing):
        return making_entity(item, run, at)
    return process_entity(run, item.role, item.inputs, item.outputs)


def _done(inputs: Sequence[End], outputs: Sequence[End], work: Sequence[tuple[Work, Entity]] | None) -> Done:
    """What was read and written, as JSON.

    A run that did not succeed wrote nothing; what it was going to write is ``declared``.
    """
    ends = {end.ref: end for end in (*inputs, *outputs)}
    place = {ref: index for index, ref in enumerate(ends)}
    reads = {end.ref: end for end in inputs}
    writes = {end.ref: end for end in outputs}
    io: dict[str, Any] = {
        "v": IO_VERSION,
        "datasets": [_dataset(end, reads.get(ref), writes.get(ref)) for ref, end in ends.items()],
        "inputs": [place[ref] for ref in reads],
        "outputs": [],
        "processes": [],
    }
    if work is None:
        io["declared"] = [place[ref] for ref in writes]
        return Done(json_text(io), "")
    io["outputs"] = [place[ref] for ref in writes]
    for item, entity in work:
        for ref in (*item.inputs, *item.outputs):
            if ref not in place:  # the build that an evaluation or deployment names, though nobody declared it
                place[ref] = len(io["datasets"])
                io["datasets"].append(
                    {"typeName": ref.type_name, "qualifiedName": ref.qualified_name, "name": _build(ref)}
                )
        io["processes"].append(
            {
                "typeName": entity.type_name,
                "qualifiedName": entity.qualified_name,
                "inputs": [place[ref] for ref in item.inputs],
                "outputs": [place[ref] for ref in item.outputs],
            }
        )
    keys = [identity.token(entity.qualified_name) for _, entity in work]
    return Done(json_text(io), " ".join(keys))


def _build(ref: Any) -> str:
    name = identity.Build.parse(ref.qualified_name)
    return f"{name.model} {name.build}"


def _dataset(end: End, read: End | None, written: End | None) -> dict[str, Any]:
    """One dataset of ``io``: what was written of it counts before what was read."""
    entity = end.entities[-1]
    facts: dict[str, Any] = {
        "typeName": entity.type_name,
        "qualifiedName": entity.qualified_name,
        "name": entity.attributes["name"],
    }
    for told, statistics in ((read, "inputStatistics"), (written, "outputStatistics")):
        if told is None:
            continue
        if version := plain(facet(told.facets, "version").get("datasetVersion"), 500):
            facts["version"] = version
        counts = facet(told.role, statistics)
        for name in ("rowCount", "size", "fileCount"):
            value = counts.get(name)
            if isinstance(value, int) and not isinstance(value, bool):
                facts[name] = value
        if told.split:
            facts["split"] = told.split
    return facts
