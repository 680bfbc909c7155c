"""Real DAG runs: every state that ``dag.test()`` can bring about is in the catalogue, and only success makes edges."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from airflow_env import Recording, new_dag
from airflow_provider_mlgov._compat import Asset, is_airflow_3

pytestmark = [pytest.mark.dag_run, pytest.mark.filterwarnings("default")]
IN, OUT = "s3://lake/raw/a.csv", "s3://lake/clean/a.csv"


def python(task_id: str, call: Any, **kwargs: Any) -> Any:
    from airflow.providers.standard.operators.python import PythonOperator

    return PythonOperator(task_id=task_id, python_callable=call, **kwargs)


def quiet() -> None:
    """A task that works."""


def fails() -> None:
    raise ValueError("broken on purpose, password=hunter2")


def skips() -> None:
    from airflow.providers.common.compat.sdk import AirflowSkipException

    raise AirflowSkipException("nothing to do")


def test_success_makes_edges(recording: Recording) -> None:
    with new_dag(description="what it is for", tags=["ml", "daily"]) as dag:
        python("load", quiet, inlets=[Asset(IN)], outlets=[Asset(OUT)])

    assert recording.run(dag).state == "success"

    assert recording.attempts() == {("load", -1, 1): "success"}
    [(kind, inputs, outputs)] = recording.process_ends()
    assert kind == "mlgov_task_process"
    assert inputs == ["s3a://lake/raw/a.csv@primary"] or "raw" in inputs[0]
    assert len(outputs) == 1
    [entity] = recording.find("mlgov_dag")
    assert entity["qualifiedName"] == f"dags/{dag.dag_id}@test-air"
    assert recording.log.lines == []


def test_a_dag_run_is_recorded_with_its_state(recording: Recording) -> None:
    with new_dag() as dag:
        python("load", quiet)
    run = recording.run(dag)
    recording.drain()
    [entity] = recording.find("mlgov_dag_run")
    assert entity["runId"] == run.run_id
    assert entity["state"] == "success"


def test_failure_makes_no_edges_and_hides_secrets(recording: Recording) -> None:
    with new_dag() as dag:
        bad = python("load", fails, inlets=[Asset(IN)], outlets=[Asset(OUT)])
        bad >> python("after", quiet)

    assert recording.run(dag).state == "failed"
    recording.drain()

    assert recording.attempts()["load", -1, 1] == "failed"
    (upstream,) = (state for (task, _, _), state in recording.attempts().items() if task == "after")
    assert upstream == "upstream_failed"
    assert recording.process_ends() == []
    (message,) = (run["errorMessage"] for run in recording.find("mlgov_task_run") if run["taskId"] == "load")
    assert "broken on purpose" in message
    assert "hunter2" not in message


def test_each_try_is_an_attempt(recording: Recording) -> None:
    tries = []

    def second_time_lucky() -> None:
        tries.append(1)
        if len(tries) < 2:
            raise ValueError("not yet")

    with new_dag() as dag:
        python("load", second_time_lucky, retries=2, retry_delay=timedelta(0), outlets=[Asset(OUT)], inlets=[Asset(IN)])

    assert recording.run(dag).state == "success"
    recording.drain()
    assert recording.attempts() == {("load", -1, 1): "up_for_retry", ("load", -1, 2): "success"}
    assert len(recording.process_ends()) == 1


def test_a_skip_makes_no_edges(recording: Recording) -> None:
    with new_dag() as dag:
        python("load", skips, inlets=[Asset(IN)], outlets=[Asset(OUT)])
    recording.run(dag)
    recording.drain()
    assert recording.attempts() == {("load", -1, 1): "skipped"}
    assert recording.process_ends() == []


def test_what_a_branch_skips_is_reconciled(recording: Recording) -> None:
    from airflow.providers.standard.operators.python import BranchPythonOperator

    with new_dag() as dag:
        branch = BranchPythonOperator(task_id="choose", python_callable=lambda: "left")
        branch >> [python("left", quiet), python("right", quiet, outlets=[Asset(OUT)])]
    recording.run(dag)
    recording.drain()
    states = {task: (state, number) for (task, _, number), state in recording.attempts().items()}
    assert states["left"] == ("success", 1)
    assert states["right"][0] == "skipped"
    (source,) = (run["stateSource"] for run in recording.find("mlgov_task_run") if run["taskId"] == "right")
    assert source == "reconciled"


def test_mapped_tasks_in_a_group(recording: Recording) -> None:
    from airflow.providers.common.compat.sdk import TaskGroup
    from airflow.providers.standard.operators.python import PythonOperator

    with new_dag() as dag, TaskGroup("group"):
        PythonOperator.partial(
            task_id="fit", python_callable=lambda value: value, outlets=[Asset(OUT)], inlets=[Asset(IN)]
        ).expand(op_args=[[1], [2], [3]])
    assert recording.run(dag).state == "success"
    recording.drain()
    assert recording.attempts() == {("group.fit", index, 1): "success" for index in range(3)}
    assert {run["taskGroup"] for run in recording.find("mlgov_task_run")} == {"group"}
    assert len(recording.process_ends()) == 1


def test_a_deferred_task_is_one_attempt(recording: Recording) -> None:
    from airflow.providers.standard.sensors.date_time import DateTimeSensorAsync

    with new_dag() as dag:
        DateTimeSensorAsync(task_id="wait", target_time="2026-01-02T00:00:00+00:00", outlets=[Asset(OUT)])
    assert recording.run(dag).state == "success"
    recording.drain()
    assert recording.attempts() == {("wait", -1, 1): "success"}


@pytest.mark.skipif(not is_airflow_3(), reason="Airflow 2.11 has a logical date for every run")
def test_a_run_without_logical_date(recording: Recording) -> None:
    with new_dag() as dag:
        python("load", quiet, inlets=[Asset(IN)], outlets=[Asset(OUT)])
    assert recording.run(dag, logical_date=None).state == "success"
    recording.drain()
    assert recording.attempts() == {("load", -1, 1): "success"}
    assert len(recording.process_ends()) == 1


def test_two_runs_of_a_dag_share_their_process(recording: Recording) -> None:
    with new_dag() as dag:
        python("load", quiet, inlets=[Asset(IN)], outlets=[Asset(OUT)])
    recording.run(dag)
    recording.run(dag)
    recording.drain()
    assert len(recording.process_ends()) == 1
    assert len(recording.find("mlgov_task_run")) == 2
    assert len(recording.find("mlgov_dag")) == 1


def test_a_dag_run_whose_end_nobody_told_is_asked_for(recording: Recording) -> None:
    """As on 2.11 where a person sets the state of a run, and where a scheduler is killed before it tells."""
    from airflow_provider_mlgov.lineage import followup
    from airflow_provider_mlgov.lineage.reconcile import close_open

    with new_dag() as dag:
        python("load", quiet, outlets=[Asset(OUT)])
    with untold():
        run = recording.run(dag)
    followup.note_open(recording.settings, dag.dag_id, run.run_id)
    followup.note_open(recording.settings, dag.dag_id, "a run that Airflow has forgotten")
    assert close_open(recording.settings, age=3600) == 0
    assert followup.open_runs(recording.settings) == [(dag.dag_id, run.run_id)]
    assert close_open(recording.settings) == 1
    assert followup.open_runs(recording.settings) == []
    recording.drain()
    [entity] = recording.find("mlgov_dag_run")
    assert entity["state"] == "success"
    assert recording.attempts() == {("load", -1, 1): "success"}
    assert close_open(recording.settings) == 0


@contextlib.contextmanager
def untold() -> Iterator[None]:
    """No hook of ours says anything."""
    from airflow_provider_mlgov.settings import Settings

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Settings, "left_out_by", lambda *_: "dags")
        yield
