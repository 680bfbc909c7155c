"""The events of typical task runs, as our listener makes them: each reads two tables and writes a third."""

from __future__ import annotations

import uuid
from datetime import datetime, timedelta, timezone
from typing import Any

Json = dict[str, Any]

_TASKS = 10
"""Tasks of a DAG: each tenth task run begins another DAG run."""
_TABLES = 40
_BEGIN = datetime(2026, 1, 1, tzinfo=timezone.utc)
_DATABASE = "postgres://db.example.com:5432"


def task_run(number: int, namespace: str = "air") -> list[Json]:
    """The two events of the task run of this number: task ``number % 10`` of DAG run ``number // 10`` of one DAG.

    ``namespace`` is that of the Airflow.
    """
    run, task = divmod(number, _TASKS)
    begin = _BEGIN + timedelta(minutes=run)
    run_id = f"scheduled__{begin:%Y-%m-%dT%H:%M:%S}+00:00"
    airflow = {
        "dagId": "shop",
        "runId": run_id,
        "taskId": f"step_{task}",
        "mapIndex": -1,
        "tryNumber": 1,
        "operator": "PythonOperator",
        "owner": "airflow",
        "namespace": namespace,
        "startTime": _iso(begin),
    }
    start = _event("START", begin, run_id, task, airflow)
    ended = {**airflow, "state": "success", "stateSource": "reported", "endTime": _iso(begin + timedelta(seconds=30))}
    end = _event("COMPLETE", begin + timedelta(seconds=30), run_id, task, ended)
    end["inputs"] = [_table(task), _table(task + 11)]
    end["outputs"] = [_table(task + 1)]
    return [start, end]


def _event(kind: str, time: datetime, run_id: str, task: int, airflow: Json) -> Json:
    return {
        "eventType": kind,
        "eventTime": _iso(time),
        "producer": "https://example.com/benchmark",
        "schemaURL": "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent",
        "run": {
            "runId": str(uuid.uuid5(uuid.NAMESPACE_URL, f"{run_id}/{task}")),
            "facets": {"mlgov_airflow": airflow},
        },
        "job": {"namespace": "air", "name": f"shop.step_{task}", "facets": {}},
        "inputs": [],
        "outputs": [],
    }


def _table(number: int) -> Json:
    return {"namespace": _DATABASE, "name": f"shop.public.t{number % _TABLES}", "facets": {}}


def _iso(time: datetime) -> str:
    return time.isoformat().replace("+00:00", "Z")


def run_name(number: int) -> tuple[str, str]:
    """DAG id and run id of the task run of this number."""
    airflow = task_run(number)[0]["run"]["facets"]["mlgov_airflow"]
    return airflow["dagId"], airflow["runId"]
