"""Events for the tests of delivery, as the listener makes them."""

from __future__ import annotations

import uuid
from datetime import datetime, timedelta, timezone

NOW = datetime.now(timezone.utc)


def run_id(*parts: object) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_URL, "/".join(map(str, parts))))


def dataset(name: str, namespace: str = "postgres://db.test:5432", columns: int = 0) -> dict:
    fields = [{"name": f"c{number}", "type": "int"} for number in range(columns)]
    return {"namespace": namespace, "name": name, "facets": {"schema": {"fields": fields}} if fields else {}}


def task_event(
    event_type: str,
    *,
    dag: str = "shop",
    run: str = "r1",
    task: str = "load",
    try_number: int = 1,
    state: str | None = None,
    inputs: tuple = (),
    outputs: tuple = (),
    seconds: float = 0,
    at: datetime | None = None,
    namespace: str = "test",
    **words: object,
) -> dict:
    """An event of a task run; a COMPLETE says success, a FAIL says failed."""
    state = state or {"COMPLETE": "success", "FAIL": "failed"}.get(event_type)
    time = ((at or NOW) + timedelta(seconds=seconds)).isoformat().replace("+00:00", "Z")
    airflow = {
        "dagId": dag,
        "runId": run,
        "taskId": task,
        "mapIndex": -1,
        "tryNumber": try_number,
        "operator": "PythonOperator",
        "owner": "ann",
        "namespace": namespace,
        **words,
    }
    if state:
        airflow |= {"state": state, "stateSource": "reported", "endTime": time}
    return {
        "eventTime": time,
        "eventType": event_type,
        "producer": "test",
        "schemaURL": "test",
        "run": {"runId": run_id(namespace, dag, run, task, try_number), "facets": {"mlgov_airflow": airflow}},
        "job": {"namespace": namespace, "name": f"{dag}.{task}", "facets": {}},
        "inputs": list(inputs),
        "outputs": list(outputs),
    }


def task_run(**more: object) -> list[dict]:
    """START and COMPLETE of one task run."""
    ends = {key: more.pop(key) for key in ("inputs", "outputs") if key in more}
    return [task_event("START", **more), task_event("COMPLETE", **{"seconds": 5, **more}, **ends)]  # type: ignore[arg-type]
