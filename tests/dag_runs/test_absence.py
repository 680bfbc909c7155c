"""Why tasks of real DAG runs have no lineage."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_env import Recording, new_dag
from airflow_provider_mlgov._compat import Asset, is_airflow_3
from airflow_provider_mlgov.assembly import open_catalog, open_spool
from airflow_provider_mlgov.lineage import disable_lineage
from airflow_provider_mlgov.lineage.absence import Task, explained, tasks_of

pytestmark = [pytest.mark.dag_run, pytest.mark.filterwarnings("default")]
IN, OUT = "s3://lake/raw/a.csv", "s3://lake/clean/a.csv"


HALF = '{"datasets":[{"qualifiedName":"a"}],"inputs":[0],"outputs":[]}'


class Speaks:
    def get_openlineage_facets_on_complete(self, task_instance: Any) -> None:
        """As operators have it."""


def python(task_id: str, call: Any, **kwargs: Any) -> Any:
    from airflow.providers.standard.operators.python import PythonOperator

    return PythonOperator(task_id=task_id, python_callable=call, **kwargs)


def quiet() -> None:
    """A task that works."""


def fails() -> None:
    raise ValueError("broken on purpose")


def skips() -> None:
    from airflow.providers.common.compat.sdk import AirflowSkipException

    raise AirflowSkipException("nothing to do")


def reasons(
    recording: Recording, run: Any, *, is_recording: bool = True, namespace: str = "test-air"
) -> dict[str, tuple[str, str]]:
    catalog = open_catalog(recording.settings)
    try:
        found, failure = tasks_of(
            recording.settings, open_spool(recording.settings), catalog, namespace, run.dag_id, run.run_id
        )
    finally:
        catalog.close()
    assert failure == ""
    return {task.task_id: explained(task, is_recording=is_recording) for task in found}


def test_each_reason_is_told(recording: Recording) -> None:
    recording.options(disabled_tasks="*.left_out")
    with new_dag() as dag:
        python("whole", quiet, inlets=[Asset(IN)], outlets=[Asset(OUT)])
        python("half", quiet, inlets=[Asset(IN)])
        python("silent", quiet)
        python("broken", fails, outlets=[Asset(OUT)])
        python("skipped", skips)
        python("left_out", quiet, outlets=[Asset(OUT)])
        disable_lineage(python("chosen_away", quiet, outlets=[Asset(OUT)]))

    run = recording.run(dag)
    if not is_airflow_3():  # ``dag.test()`` leaves it out there
        from airflow.models.serialized_dag import SerializedDagModel

        SerializedDagModel.write_dag(dag)
    recording.drain()

    found = reasons(recording, run)
    assert found["whole"] == ("ok", "1 read, 1 written")
    assert found["half"][1].startswith("1 read, 0 written: it says no outputs, so it connects nothing; declare outlets")
    assert found["silent"][1].startswith(
        "PythonOperator reports nothing of itself: declare inlets and outlets, like this: "
    )
    assert "PythonOperator(…, inlets=[table(" in found["silent"][1]
    assert found["broken"][1] == "failed: only a task that succeeded has read and written"
    assert found["skipped"][1].startswith("skipped: only a task")
    assert found["left_out"] == ("note", "left out: [mlgov] disabled_tasks")
    assert found["chosen_away"] == ("note", "left out: disable_lineage in the DAG")
    assert {verdict for verdict, _ in found.values()} == {"ok", "note"}


def event(run: Any) -> dict[str, Any]:
    facets = {"airflow": {"dag": {"dag_id": run.dag_id}, "dagRun": {"run_id": run.run_id}, "task": {"task_id": "load"}}}
    return {"eventType": "COMPLETE", "eventTime": "2026-11-23T10:00:00Z", "run": {"runId": "1", "facets": facets}}


def test_what_did_not_arrive_is_named(recording: Recording) -> None:
    """In the catalogue under another name of this Airflow, as if this one knew nothing."""
    with new_dag() as dag:
        python("load", quiet, outlets=[Asset(OUT)])
    run = recording.run(dag)
    spool = open_spool(recording.settings)

    def reason(*, is_recording: bool = True) -> tuple[str, str]:
        return reasons(recording, run, is_recording=is_recording, namespace="elsewhere")["load"]

    assert reason()[0] == "WRONG"
    assert "recording was off when it ran" in reason()[1]
    assert "the listener is off" in reason(is_recording=False)[1]
    spool.append(event(run))
    assert reason() == ("note", "1 of its events wait in the spool: `mlgov spool drain` sends them")
    letter = spool.bury([event(run)], "Atlas refused it")
    assert reason() == ("WRONG", f"dead letter: Atlas refused it (`mlgov spool show {letter.name}`)")


@pytest.mark.parametrize(
    ("task", "said"),
    [
        (Task("t", ()), "no attempt yet: it has not ended yet"),
        (Task("t", ("running",)), "running: it has not ended yet"),
        (Task("t", ("", "success")), "no state yet, success, and was not recorded"),
        (Task("t"), "the catalogue knows nothing of it"),
        (Task("t", ("success",), "airflow_provider_mlgov.operators.train.Train", runs=({},)), "Train was given nothing to read"),
        (Task("t", ("success",), "a.b._PythonDecoratedOperator", runs=({},)), "like this: @task(inlets="),
        (Task("t", ("success",), f"{__name__}.Speaks", runs=({},)), "has an OpenLineage method, which found nothing"),
        (Task("t", ("success",), runs=({"io": "no json"},)), "its operator reports nothing of itself"),
        (Task("t", ("success",), runs=({"io": HALF, "state": "success", "lineageErrors": "X"},)), "could not read all: X"),
    ],
)  # fmt: skip
def test_what_is_said(task: Task, said: str) -> None:
    assert said in explained(task, is_recording=True)[1]
