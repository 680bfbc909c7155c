"""From the state of a run to Atlas entities: pure, the same state gives the same bytes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

from airflow_provider_mlgov.errors import InvalidNameError
from airflow_provider_mlgov.model import identity, ml
from airflow_provider_mlgov.model.entity import Entity, Ref, Translation
from airflow_provider_mlgov.translate.columns import ColumnLineage, column_entities
from airflow_provider_mlgov.translate.datasets import End, data_entities, read_ends, without_dropped
from airflow_provider_mlgov.translate.events import datasets_of, is_streaming
from airflow_provider_mlgov.translate.flows import Flow, read_flows, with_told
from airflow_provider_mlgov.translate.io import done, facts_of_use
from airflow_provider_mlgov.translate.jobs import process_entity, run_entities
from airflow_provider_mlgov.translate.ml import making_entity, thing_entities
from airflow_provider_mlgov.translate.names import Names
from airflow_provider_mlgov.translate.options import TranslateOptions
from airflow_provider_mlgov.translate.quality import quality_entity
from airflow_provider_mlgov.translate.roles import Work, assign, updated, without_families
from airflow_provider_mlgov.translate.runs import Run, read_run
from airflow_provider_mlgov.translate.settle import merge


def translate(state: Mapping[str, Any], options: TranslateOptions) -> Translation:
    """The entities of a state: parents and data, columns, processes, and the runs last.

    Each reference is to one of them. A run that has not ended, or did not succeed, gives DAG, task and
    run, but no data and no processes.
    """
    warnings: list[str] = [f"left out: {odd}" for odd in sorted(state.get("leftOut", ()))]
    run = read_run(state, options, warnings)
    if isinstance(run.name, (identity.TaskRun, identity.DagRun)) and run.name.namespace != options.airflow_namespace:
        options = replace(options, airflow_namespace=run.name.namespace)
    if run.told is None:
        return Translation(tuple(run_entities(run, None)), tuple(warnings))
    names = Names(state, options)
    inputs = without_families(read_ends(state, "inputs", names, warnings))
    outputs = without_families(read_ends(state, "outputs", names, warnings))
    told = _times(state, run.told, names)
    quality = list(_quality((*inputs, *outputs), run, told, options))
    if not run.succeeded:
        entities = [*quality, *run_entities(run, done(inputs, outputs, None))]
        return Translation(merge(entities), tuple(dict.fromkeys(warnings)), failed=True)
    outputs, changes = without_dropped(outputs, names, run.told, warnings)
    changes = [replace(change, time=told(change.to or change.ref)) for change in changes]
    outputs = with_told(run.job, outputs, (change.ref for change in changes), names, warnings)
    known = {end.ref: end for end in (*inputs, *outputs)}
    ends = dict(known)
    flows = read_flows(run.job, outputs, names, ends, warnings) if run.name is not None else {}
    if state["kind"] == "dataset" and any(end.facets.keys() & {"lineage", "columnLineage"} for end in outputs):
        warnings.append("the lineage of a dataset event is left out: it has no job to hang it on")
    work = _work(inputs, outputs, flows, run, options)
    entities = [*_data(inputs, outputs, run, told, options, warnings)]
    entities += [entity for ref, end in ends.items() if ref not in known for entity in end.entities]
    columns = [
        (end.ref, name, column)
        for ends_of, is_whole in ((inputs, False), (outputs, run.tells_whole_schemas))
        for end in ends_of
        for name, column in column_entities(end, told(end.ref), options, warnings, is_whole=is_whole)
    ]
    entities += [column for _, _, column in columns]
    entities += [entity for _, entity in work]
    if work and any(flow.columns for flow in flows.values()):
        lineage = ColumnLineage(run, ends, columns, warnings)
        for item, process in work:
            for output in item.outputs:
                if output in flows:
                    entities += lineage.entities(output, flows[output], process)
    entities += quality
    entities += run_entities(run, done(inputs, outputs, work, changes))
    return Translation(merge(entities), tuple(dict.fromkeys(warnings)), tuple(changes))


def _times(state: Mapping[str, Any], ended: int, names: Names) -> Callable[[Ref], int]:
    """When data was read or written, in epoch milliseconds: of a run that ends, all of it then.

    Jobs and streams have no end that says what was done until then: with them it is when each dataset was named last; of one
    that only the facet ``lineage`` names, when that was told.
    """
    if state["kind"] == "run" and not is_streaming(state):
        return lambda _: ended
    times: dict[Ref, int] = {}
    for direction in ("inputs", "outputs"):
        for namespace, name, dataset in datasets_of(state, direction):
            with suppress(InvalidNameError):
                for entity in names.of(namespace, name).entities[-1:]:
                    times[entity.ref] = max(dataset["at"] // 1000, times.get(entity.ref, 0))
    lineage = state["jobFacets"].get("lineage")
    return lambda ref: times.get(ref, lineage[0] // 1000 if lineage else ended)


def _work(
    inputs: Sequence[End], outputs: Sequence[End], flows: Mapping[Ref, Flow], run: Run, options: TranslateOptions
) -> list[tuple[Work, Entity]]:
    """What the run did, each with its process."""
    at = options.catalog_namespace
    made = assign(inputs, outputs, at, flows) if run.name is not None else []
    return [(item, entity) for item in made if (entity := _process(item, run, at)) is not None]


def _data(
    inputs: Sequence[End],
    outputs: Sequence[End],
    run: Run,
    told: Callable[[Ref], int],
    options: TranslateOptions,
    warnings: list[str],
) -> Iterator[Entity]:
    facts_only = updated(inputs, outputs)
    for end in inputs:
        if end.thing is None:
            yield from data_entities(end, told(end.ref), options, warnings)
        else:
            yield from thing_entities(end, run, written=False, made=False)
    for end in outputs:
        if end.thing is None:
            facts = facts_of_use(end) if run.name is None else {}
            yield from data_entities(end, told(end.ref), options, warnings, facts)
        else:
            run_then = replace(run, told=told(end.ref))
            yield from thing_entities(end, run_then, written=True, made=end.ref not in facts_only)


def _process(item: Work, run: Run, at: str) -> Entity | None:
    if isinstance(item.thing, ml.Thing):
        return making_entity(item, run, at)
    return process_entity(run, item.role, item.inputs, item.outputs)


def _quality(ends: Sequence[End], run: Run, told: Callable[[Ref], int], options: TranslateOptions) -> Iterator[Entity]:
    """What the run found out about data: tests that fail let their run fail, and are told all the same."""
    for end in ends:
        run_then = replace(run, told=told(end.ref))
        if end.thing is None and (quality := quality_entity(end, run_then, options.catalog_namespace)) is not None:
            yield quality
