"""The operators in real DAG runs: mapped, retried, by XCom, by alias, with recording on and off."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest

from airflow_env import Recording, new_dag
from airflow_provider_mlgov.assets import Data, Model, table
from airflow_provider_mlgov.lineage import read, wrote
from airflow_provider_mlgov.operators import (
    DeployModelOperator,
    EvaluateModelOperator,
    RegisterModelOperator,
    ScoreOperator,
    TrainModelOperator,
)

pytestmark = [pytest.mark.dag_run, pytest.mark.filterwarnings("default")]
CUSTOMERS = table("postgresql://db/shop", "customers")


def fit(depth: int, ti: Any) -> dict[str, Any]:
    if depth == 2 and ti.try_number == 1:
        raise ValueError("once")
    read(CUSTOMERS, rows=10, version="1", split="train", columns={"age": "int"})
    return {"metrics": {"auc": depth / 10}}


def whole_dag() -> Any:
    with new_dag() as dag:
        train = TrainModelOperator.partial(
            task_id="train", model="churn", project="shop", python_callable=fit, retries=1, retry_delay=timedelta(0)
        ).expand(op_kwargs=[{"depth": 1}, {"depth": 2}])
        register = RegisterModelOperator(
            task_id="register",
            candidates=train.output,
            metric="auc",
            aliases=["champion"],
            outlets=[Model("churn", project="shop")],
        )
        DeployModelOperator(
            task_id="deploy",
            endpoint="api",
            build=register.output,
            python_callable=lambda build: f"http://x/{build.key}",
        )
    return dag


def test_from_training_to_deployment(recording: Recording) -> None:
    run = recording.run(whole_dag())
    assert run.state == "success"
    recording.drain()
    assert recording.attempts() == {
        ("train", 0, 1): "success",
        ("train", 1, 1): "up_for_retry",
        ("train", 1, 2): "success",
        ("register", -1, 1): "success",
        ("deploy", -1, 1): "success",
    }
    builds = {build["qualifiedName"]: build for build in recording.find("mlgov_model_build")}
    assert len(builds) == 2  # the try that failed made none
    [best] = [name for name, build in builds.items() if build.get("registered")]
    assert json.loads(builds[best]["metrics"]) == [{"name": "auc", "value": 0.2}]
    [deployment] = recording.find("mlgov_model_deployment")
    assert deployment["qualifiedName"].startswith(best.rpartition("@")[0])
    kinds = [kind for kind, _, _ in recording.process_ends()]
    assert kinds.count("mlgov_train_process") == 2
    assert kinds.count("mlgov_deploy_process") == 1


def test_left_out_of_the_recording_they_work_all_the_same(recording: Recording) -> None:
    recording.options(disabled_dags="*")
    assert recording.run(whole_dag()).state == "success"
    assert recording.events() == []


def test_the_alias_decides(recording: Recording) -> None:
    recording.run(whole_dag())
    recording.drain()
    with new_dag() as dag:
        ScoreOperator(
            task_id="score",
            model=Model("churn", project="shop", alias="champion"),
            python_callable=lambda build: wrote(Data("s3://out", "scores.csv"), rows=int(build.key != "")),
            inlets=[Data("lake://in", "{{ dag.dag_id }}.csv")],
        )
    assert recording.run(dag).state == "success"
    recording.drain()
    [(_, inputs, outputs)] = recording.process_ends("mlgov_score_process")
    [best] = [build["qualifiedName"] for build in recording.find("mlgov_model_build") if build.get("registered")]
    assert best in inputs
    assert any(f"{dag.dag_id}.csv" in name for name in inputs)
    assert len(outputs) == 1


def test_an_alias_that_points_nowhere(recording: Recording) -> None:
    recording.run(whole_dag())
    recording.drain()
    with new_dag() as dag:
        DeployModelOperator(
            task_id="deploy",
            endpoint="api",
            model="churn",
            project="shop",
            alias="nobody",
            python_callable=lambda: "http://x",
        )
    assert recording.run(dag).state == "failed"
    recording.drain()
    assert len(recording.find("mlgov_model_deployment")) == 1
    [failed] = [run for run in recording.find("mlgov_task_run") if run.get("state") == "failed"]
    assert "alias 'nobody'" in str(failed)


def test_a_template_finds_the_build(recording: Recording) -> None:
    with new_dag() as dag:
        train = TrainModelOperator(
            task_id="train", model="churn", version="v-{{ run_id[:6] }}", python_callable=lambda: None
        )
        evaluate = EvaluateModelOperator(
            task_id="evaluate", build="{{ ti.xcom_pull(task_ids='train') }}", python_callable=lambda: {"auc": 1}
        )
        train >> evaluate
    assert recording.run(dag).state == "success"
    recording.drain()
    [evaluation] = recording.find("mlgov_evaluation")
    assert "/builds/v-manual/" in evaluation["qualifiedName"]
