"""What translating an event costs, against what openlineage-python needs to serialise the same event. Goal: at most 1.5 times.

An event is read, lifted into a state and translated; the other side is ``Serde.to_json`` of the same event as objects.
Both in this process, in turn; each figure is the median of many rounds. Names are cached, as in a sender that works on
for a while; the last column is without.
"""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable
from typing import Any

from airflow_provider_mlgov.translate.events import unite
from airflow_provider_mlgov.translate.naming import names
from airflow_provider_mlgov.translate.options import TranslateOptions
from airflow_provider_mlgov.translate.reading import read_event
from airflow_provider_mlgov.translate.translation import translate
from table import heading, table

ROUNDS = 300
GOAL = 1.5
GROWING = (10, 100, 1_000, 10_000)
"""Sizes at which the cost of one column and of one dataset is measured: it must not grow with them."""
SIZES = ((0, 0), (2, 5), (3, 10), (5, 10), (5, 30), (20, 50))
"""Datasets and columns of each; two to five datasets with some columns are ordinary."""
OPTIONS = TranslateOptions()


def main() -> None:
    """Measure and print."""
    heading("Translating a task's COMPLETE event against serialising it (median, microseconds)")
    rows = []
    for datasets, columns in SIZES:
        event = make_event(datasets, columns)
        document = json.loads(to_json(event))
        translating, serialising, cold = in_turn(
            lambda d=document: run(d), lambda e=event: to_json(e), lambda d=document: run_cold(d)
        )
        entities = len(run(document).entities)
        rows.append(
            [datasets, columns, entities, translating, serialising, translating / serialising, cold / serialising]
        )
    table(["datasets", "columns each", "entities", "translate", "Serde.to_json", "ratio", "ratio, names new"], rows)
    print(f"\nGoal: a ratio of at most {GOAL}.")
    kinds()
    growth()


def kinds() -> None:
    """Measure the kinds of events, each with 5 datasets of 10 columns."""
    heading("By kind of event, 5 datasets with 10 columns each (median, microseconds)")
    rows = []
    for kind in ("START", "COMPLETE", "FAIL", "COMPLETE with lineage of columns"):
        event = make_event(5, 10, lineage="lineage" in kind, event_type=kind.split(" ")[0])
        document = json.loads(to_json(event))
        translating, serialising = in_turn(lambda d=document: run(d), lambda e=event: to_json(e))
        rows.append([kind, len(run(document).entities), translating, serialising, translating / serialising])
    table(["event", "entities", "translate", "Serde.to_json", "ratio"], rows)


def growth() -> None:
    """Measure what one column, with its lineage, and one dataset cost at growing sizes."""
    heading("One more column with lineage, one more dataset (microseconds each)")
    rows = []
    for size in GROWING:
        wide = json.loads(to_json(make_event(2, size, lineage=True)))
        many = json.loads(to_json(make_event(size, 0)))
        rounds = max(3, 3_000 // size)
        columns, datasets = in_turn(lambda d=wide: run(d), lambda d=many: run_cold(d), rounds=rounds)
        rows.append([size, columns / size, datasets / size])
    table(["size", "per column", "per dataset"], rows)


def run(document: dict[str, Any]) -> Any:
    """Translate one event."""
    return translate(unite(None, read_event(document)), OPTIONS)


def run_cold(document: dict[str, Any]) -> Any:
    """Translate one event whose names were never seen."""
    names._name_entities.cache_clear()
    return run(document)


def to_json(event: Any) -> str:
    """What every transport of openlineage-python does with an event."""
    from openlineage.client.serde import Serde

    return Serde.to_json(event)


def in_turn(*calls: Callable[[], Any], rounds: int = ROUNDS) -> list[float]:
    """The median time of each call, in microseconds."""
    times: list[list[float]] = [[] for _ in calls]
    for _ in range(rounds):
        for call, taken in zip(calls, times, strict=True):
            start = time.perf_counter()
            call()
            taken.append((time.perf_counter() - start) * 1e6)
    return [statistics.median(taken) for taken in times]


def make_event(datasets: int, columns: int, *, lineage: bool = False, event_type: str = "COMPLETE") -> Any:
    """An event as the OpenLineage provider makes it for a task: its run and job facets, and tables with a schema.

    With ``lineage``, each column of an output is made of the same column of the first input.
    """
    from openlineage.client import event_v2
    from openlineage.client.facet_v2 import (
        column_lineage_dataset,
        documentation_job,
        job_type_job,
        nominal_time_run,
        output_statistics_output_dataset,
        ownership_job,
        parent_run,
        schema_dataset,
    )
    from openlineage.client.generated.base import EventType

    schema = schema_dataset.SchemaDatasetFacet(
        fields=[
            schema_dataset.SchemaDatasetFacetFields(f"column_{number}", "VARCHAR", "A column")
            for number in range(columns)
        ]
    )
    facets = {"schema": schema} if columns else {}
    place = ("postgres://db.example.org:5432", "shop.public.table_{}")
    made = dict(facets)
    if lineage:
        source = (place[0], place[1].format(0))
        step = column_lineage_dataset.Transformation("DIRECT", "IDENTITY", "", False)
        fields = {
            f"column_{number}": column_lineage_dataset.Fields(
                [column_lineage_dataset.InputField(*source, f"column_{number}", [step])]
            )
            for number in range(columns)
        }
        made["columnLineage"] = column_lineage_dataset.ColumnLineageDatasetFacet(fields)
    outputs = max(datasets // 3, 1) if datasets else 0
    when = "2026-01-31T12:00:00.000000Z"
    parent = parent_run.ParentRunFacet(
        run=parent_run.Run("019a1b2c-0000-7000-8000-000000000001"), job=parent_run.Job(namespace="default", name="shop")
    )
    return event_v2.RunEvent(
        eventTime=when,
        producer="https://example.org/airflow",
        eventType=EventType[event_type],
        run=event_v2.Run(
            runId="019a1b2c-0000-7000-8000-000000000002",
            facets={
                "parent": parent,
                "nominalTime": nominal_time_run.NominalTimeRunFacet(when, when),
                "airflow": airflow_facet(),
            },
        ),
        job=event_v2.Job(
            namespace="default",
            name="shop.load",
            facets={
                "jobType": job_type_job.JobTypeJobFacet("BATCH", "AIRFLOW", "TASK"),
                "ownership": ownership_job.OwnershipJobFacet([ownership_job.Owner("ann")]),
                "documentation": documentation_job.DocumentationJobFacet("Loads the shop"),
            },
        ),
        inputs=[
            event_v2.InputDataset(place[0], place[1].format(number), facets=facets)
            for number in range(datasets - outputs)
        ],
        outputs=[
            event_v2.OutputDataset(
                place[0],
                place[1].format(f"out_{number}"),
                facets=made,
                outputFacets={
                    "outputStatistics": output_statistics_output_dataset.OutputStatisticsOutputDatasetFacet(
                        rowCount=10, size=100
                    )
                },
            )
            for number in range(outputs)
        ],
    )


def airflow_facet() -> Any:
    """The provider's facet of a task run, with its usual parts."""
    from airflow.providers.openlineage.plugins.facets import AirflowRunFacet

    when = "2026-01-31T12:00:00+00:00"
    return AirflowRunFacet(
        dag={
            "dag_id": "shop",
            "description": "The shop",
            "fileloc": "/dags/shop.py",
            "owner": "ann",
            "start_date": when,
            "tags": "['a']",
            "timetable": {},
        },
        dagRun={
            "conf": {},
            "dag_id": "shop",
            "data_interval_end": when,
            "data_interval_start": when,
            "logical_date": when,
            "run_id": "manual__1",
            "run_type": "manual",
            "start_date": when,
        },
        task={
            "depends_on_past": False,
            "downstream_task_ids": "['train']",
            "executor_config": {},
            "inlets": "[]",
            "mapped": False,
            "multiple_outputs": False,
            "operator_class": "PythonOperator",
            "outlets": "[]",
            "owner": "ann",
            "priority_weight": 1,
            "queue": "default",
            "retries": 0,
            "task_id": "load",
            "trigger_rule": "all_success",
            "upstream_task_ids": "[]",
            "wait_for_downstream": False,
        },
        taskInstance={"log_url": "http://localhost:8080/log", "map_index": -1, "pool": "default_pool", "try_number": 1},
        taskUuid="019a1b2c-0000-7000-8000-000000000002",
    )


if __name__ == "__main__":
    main()
