"""Hand-written events for the tests of translation: fixed names and times, so that what comes of them can be compared."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable
from typing import Any

from airflow_provider_mlgov.model import ml
from airflow_provider_mlgov.model.entity import Entity, Marks, Ref, Translation
from airflow_provider_mlgov.translate.events import unite
from airflow_provider_mlgov.translate.options import TranslateOptions
from airflow_provider_mlgov.translate.reading import read_event
from airflow_provider_mlgov.translate.translation import translate

Json = dict[str, Any]
OPTIONS = TranslateOptions(airflow_namespace="air", catalog_namespace="cat", platform_namespace="plat")

BUILD = ml.Build(project="shop", model="churn", key="b1", version=7, metrics={"auc": 0.9})
OTHER = ml.Build(project="shop", model="churn", key="b2", version=8)
EVALUATION = ml.Evaluation(
    project="shop", model="churn", build="b1", key="e1", metrics={"auc": 0.8}, split="test", passed=True
)
DEPLOYMENT = ml.Deployment(
    project="shop",
    model="churn",
    build="b1",
    environment="production",
    endpoint="scorer",
    revision="r1",
    url="http://localhost:1/",
)


def at(second: float) -> str:
    """A time within one fixed hour."""
    minute, rest = divmod(second, 60)
    return f"2026-01-31T12:{int(minute):02d}:{rest:06.3f}Z"


def run_id(*parts: object) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_URL, "/".join(map(str, parts))))


def table(
    name: str, *columns: str, split: str | None = None, rows: int | None = None, version: str | None = None
) -> Json:
    """A table of PostgreSQL, as an input or an output."""
    facets: Json = {}
    if columns:
        facets["schema"] = {"fields": [{"name": column, "type": "BIGINT"} for column in columns]}
    if version:
        facets["version"] = {"datasetVersion": version}
    dataset: Json = {"namespace": "postgres://db:5432", "name": f"shop.public.{name}", "facets": facets}
    if split:
        dataset["inputFacets"] = {"mlgov_io": {"split": split}}
    if rows is not None:
        dataset["outputFacets"] = {"outputStatistics": {"rowCount": rows, "size": 10 * rows}}
        dataset.setdefault("inputFacets", {})["inputStatistics"] = {"rowCount": rows}
    return dataset


def task_event(
    event_type: str = "COMPLETE",
    *,
    second: float = 10,
    state: str | None = None,
    inputs: Iterable[Any] = (),
    outputs: Iterable[Any] = (),
    task: str = "train",
    run: str = "r1",
    try_number: int = 1,
    job: Json | None = None,
    facets: Json | None = None,
    **words: Any,
) -> Json:
    """An event of a task run as our listener makes it; things of `airflow_provider_mlgov.model.ml` become datasets."""
    state = state or {"COMPLETE": "success", "FAIL": "failed", "ABORT": "unknown"}.get(event_type)
    airflow: Json = {
        "dagId": "shop",
        "runId": run,
        "taskId": task,
        "mapIndex": -1,
        "tryNumber": try_number,
        "operator": "PythonOperator",
        "owner": "ann",
        "userName": "airflow",
        "namespace": "air",
        "startTime": at(1),
        **words,
    }
    if state:
        airflow |= {"state": state, "stateSource": words.get("stateSource", "reported"), "endTime": at(second)}
    return {
        "eventTime": at(second),
        "eventType": event_type,
        "producer": "https://example.org/listener",
        "run": {"runId": run_id("shop", run, task, try_number), "facets": {"mlgov_airflow": airflow, **(facets or {})}},
        "job": {"namespace": "air", "name": f"shop.{task}", "facets": job or {}},
        "inputs": [_dataset(item) for item in inputs],
        "outputs": [_dataset(item) for item in outputs],
    }


def _dataset(item: Any) -> Json:
    return json.loads(json.dumps(item.to_dataset())) if isinstance(item, ml.Thing) else item


def state_of(*events: Json) -> Json:
    state = None
    for event in events:
        state = unite(state, read_event(event))
    assert state is not None
    return state


def translated(*events: Json, options: TranslateOptions = OPTIONS) -> Translation:
    return translate(state_of(*events), options)


def by_type(translation: Translation, type_name: str) -> list[Entity]:
    return [entity for entity in translation.entities if entity.type_name == type_name]


def one(translation: Translation, type_name: str) -> Entity:
    (entity,) = by_type(translation, type_name)
    return entity


def names(refs: Any) -> list[str]:
    """The qualifiedNames of a relation, without their namespaces."""
    refs = (refs,) if isinstance(refs, Ref) else refs
    return [ref.qualified_name.rpartition("@")[0] for ref in refs]


def edges(translation: Translation) -> list[tuple[str, list[str], list[str]]]:
    """All processes: type, inputs, outputs."""
    return [
        (entity.type_name, names(entity.relations.get("inputs", ())), names(entity.relations.get("outputs", ())))
        for entity in translation.entities
        if entity.type_name.endswith("_process")
    ]


def as_json(translation: Translation) -> Json:
    """A translation as golden files hold it."""
    return {
        "entities": [
            {
                "typeName": entity.type_name,
                "qualifiedName": entity.qualified_name,
                **{
                    name: dict(value)
                    for name, value in (
                        ("attributes", entity.attributes),
                        ("described", {key: value for key, (_, value) in entity.described.items()}),
                        ("create_only", entity.create_only),
                        ("latest", entity.latest),
                    )
                    if value
                },
                **({"as_of": entity.as_of} if entity.latest else {}),
                **(
                    {"relations": {name: _refs(value) for name, value in entity.relations.items()}}
                    if entity.relations
                    else {}
                ),
                **({"marks": _marks(entity.marks)} if entity.marks else {}),
            }
            for entity in translation.entities
        ],
        "warnings": list(translation.warnings),
        **({"changes": [str(change) for change in translation.changes]} if translation.changes else {}),
    }


def _marks(marks: Marks) -> Json:
    return {
        "labels": sorted(marks.labels),
        "classifications": [[item.type_name, item.propagate] for item in sorted(marks.classifications)],
        "custom": dict(marks.custom),
    }


def _refs(value: Any) -> Any:
    if isinstance(value, Ref):
        text = f"{value.type_name} {value.qualified_name}"
        return f"{text} ({value.relationship_type})" if value.relationship_type else text
    return [_refs(item) for item in value]
