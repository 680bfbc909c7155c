"""Events of task runs and DAG runs, as OpenLineage JSON with our facet ``mlgov_airflow``."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any, Literal

from airflow_provider_mlgov import __version__
from airflow_provider_mlgov.lineage.collect import Collected
from airflow_provider_mlgov.lineage.facts import Attempt
from airflow_provider_mlgov.lineage.runid import dag_run_id, task_run_id

Json = dict[str, Any]
EventType = Literal["START", "RUNNING", "COMPLETE", "FAIL", "ABORT"]
PRODUCER = f"airflow-provider-mlgov/{__version__}"
_SCHEMA = "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent"
FACET = "mlgov_airflow"

EVENT_TYPES: Mapping[str, EventType] = {
    "success": "COMPLETE",
    "skipped": "COMPLETE",
    "failed": "FAIL",
    "up_for_retry": "FAIL",
    "upstream_failed": "FAIL",
    "removed": "ABORT",
    "unknown": "ABORT",
}
"""The OpenLineage event type for each of Airflow's words for an end."""


@dataclass(frozen=True)
class Run:
    """What events say about a DAG run; plain values, copied out of Airflow's object at once."""

    dag_id: str
    run_id: str
    logical_date: datetime | None
    run_after: datetime | None
    clear_number: int
    run_type: str | None
    data_interval_start: datetime | None
    data_interval_end: datetime | None
    start_date: datetime | None
    end_date: datetime | None

    @property
    def instant(self) -> datetime:
        """What run ids are computed from."""
        return self.logical_date or self.run_after or self.start_date or datetime.fromtimestamp(0, timezone.utc)


def run_of(dag_run: Any) -> Run:
    """Copy what is needed; attributes that this Airflow does not have are None."""

    def get(name: str) -> Any:
        return getattr(dag_run, name, None)

    run_type = get("run_type")
    return Run(
        dag_id=str(get("dag_id")),
        run_id=str(get("run_id")),
        logical_date=get("logical_date"),
        run_after=get("run_after"),
        clear_number=int(get("clear_number") or 0),
        run_type=None if run_type is None else str(getattr(run_type, "value", run_type)),
        data_interval_start=get("data_interval_start"),
        data_interval_end=get("data_interval_end"),
        start_date=get("start_date"),
        end_date=get("end_date"),
    )


def unknown_run(dag_id: str, run_id: str) -> Run:
    """A DAG run that Airflow has forgotten: only its names are known."""
    return Run(dag_id, run_id, None, None, 0, None, None, None, None, None)


def openlineage_namespace() -> str:
    """The job namespace that the OpenLineage provider uses, which run ids depend on."""
    from airflow_provider_mlgov.settings import airflow_conf_get

    return airflow_conf_get("openlineage", "namespace") or os.environ.get("OPENLINEAGE_NAMESPACE") or "default"


def iso(moment: datetime | None) -> str | None:
    """ISO text in UTC."""
    if moment is None:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=timezone.utc)
    return moment.astimezone(timezone.utc).isoformat()


def now() -> datetime:
    """The present moment, in UTC."""
    return datetime.now(timezone.utc)


def describe_dag(dag: Any) -> Json:
    """What the facet says of a DAG: of the real one, or the serialised one in the scheduler."""
    if dag is None:
        return {}
    tags = getattr(dag, "tags", None) or ()
    return {
        "dagDescription": getattr(dag, "description", None),
        "dagTags": sorted(str(getattr(tag, "name", tag)) for tag in tags),
        "schedule": _schedule(dag),
        "fileLocation": getattr(dag, "fileloc", None),
        "owner": getattr(dag, "owner", None),
    }


def _schedule(dag: Any) -> str | None:
    timetable = getattr(dag, "timetable", None)
    summary = getattr(timetable, "summary", None)
    if isinstance(summary, str):
        return summary
    schedule = getattr(dag, "schedule", None)
    if schedule is None or isinstance(schedule, str):
        return schedule
    # in task processes of 3.x timetables have no summary
    return str(getattr(timetable, "expression", None) or type(timetable).__name__)


def describe_task(task: Any, dag: Any) -> Json:
    """What the facet says of a task."""
    if task is None:
        return {}
    # 2.11 takes the instances of a mapped task out of their group; the task in the DAG is still in it.
    groups = (getattr(found, "task_group", None) for found in (task, _task_of(dag, task)))
    group = next((group.group_id for group in groups if group is not None), None)
    owner = getattr(task, "owner", None)
    if owner == "airflow":  # the default says nothing; the DAG may know more
        owner = getattr(dag, "owner", None) or owner
    return {"operator": getattr(task, "task_type", None), "taskGroup": group, "owner": owner}


def _task_of(dag: Any, task: Any) -> Any:
    return (getattr(dag, "task_dict", None) or {}).get(task.task_id)


def facet(run: Run, **facts: Any) -> Json:
    """The facet ``mlgov_airflow``; what is unknown is left out."""
    values = {
        "dagId": run.dag_id,
        "runId": run.run_id,
        "runType": run.run_type,
        "logicalDate": iso(run.logical_date),
        "runAfter": iso(run.run_after),
        "dataIntervalStart": iso(run.data_interval_start),
        "dataIntervalEnd": iso(run.data_interval_end),
        **facts,
    }
    return {name: value for name, value in values.items() if value is not None}


def task_event(
    event_type: EventType,
    attempt: Attempt,
    run: Run,
    ours: Json,
    *,
    job_namespace: str,
    time: datetime | None = None,
    collected: Collected | None = None,
    error: str | None = None,
    description: str | None = None,
) -> Json:
    """The event of one attempt."""
    collected = collected or Collected()
    run_id = task_run_id(
        job_namespace, attempt.dag_id, attempt.task_id, attempt.try_number, attempt.map_index, run.instant
    )
    parent = {
        "run": {"runId": dag_run_id(job_namespace, run.dag_id, run.clear_number, run.instant)},
        "job": {"namespace": job_namespace, "name": run.dag_id},
    }
    return {
        **_head(event_type, time),
        "run": {
            "runId": run_id,
            "facets": {**collected.run_facets, "parent": parent, **_run_facets(run, ours, error)},
        },
        "job": {
            "namespace": job_namespace,
            "name": f"{attempt.dag_id}.{attempt.task_id}",
            "facets": {**_job_facets("TASK", ours, description), **collected.job_facets},
        },
        "inputs": collected.inputs,
        "outputs": collected.outputs,
    }


def dag_event(
    event_type: EventType,
    run: Run,
    ours: Json,
    *,
    job_namespace: str,
    time: datetime | None = None,
    error: str | None = None,
) -> Json:
    """The event of a DAG run."""
    run_id = dag_run_id(job_namespace, run.dag_id, run.clear_number, run.instant)
    return {
        **_head(event_type, time),
        "run": {"runId": run_id, "facets": _run_facets(run, ours, error)},
        "job": {
            "namespace": job_namespace,
            "name": run.dag_id,
            "facets": _job_facets("DAG", ours, ours.get("dagDescription")),
        },
        "inputs": [],
        "outputs": [],
    }


def _head(event_type: EventType, time: datetime | None) -> Json:
    return {"eventType": event_type, "eventTime": iso(time or now()), "producer": PRODUCER, "schemaURL": _SCHEMA}


def _run_facets(run: Run, ours: Json, error: str | None) -> Json:
    facets: Json = {FACET: ours}
    if run.data_interval_start is not None:
        nominal = {"nominalStartTime": iso(run.data_interval_start), "nominalEndTime": iso(run.data_interval_end)}
        facets["nominalTime"] = {name: value for name, value in nominal.items() if value is not None}
    if error:
        facets["errorMessage"] = {"message": error, "programmingLanguage": "python"}
    return facets


def _job_facets(kind: str, ours: Json, description: str | None) -> Json:
    facets: Json = {"jobType": {"processingType": "BATCH", "integration": "AIRFLOW", "jobType": kind}}
    if description:
        facets["documentation"] = {"description": description}
    owners = [owner.strip() for owner in str(ours.get("owner") or "").split(",") if owner.strip()]
    if owners:
        facets["ownership"] = {"owners": [{"name": owner, "type": ""} for owner in owners]}
    return facets
