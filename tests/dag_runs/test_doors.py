"""The doors, alone and together, each in an Airflow of its own: what is read from airflow.cfg is read when it starts."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from airflow_env import environment, new_database
from airflow_provider_mlgov._compat import is_airflow_3
from airflow_provider_mlgov.settings import BACKEND

pytestmark = pytest.mark.dag_run

SCRIPT = """
import json, sys
from pathlib import Path
import airflow_env
from airflow.providers.standard.operators.python import PythonOperator
from airflow.providers.common.compat.lineage.entities import File
from airflow_provider_mlgov._compat import Asset
from airflow_provider_mlgov.assembly import open_spool

model = Asset("mlgov://shop/models/churn")
def train(**context):
    context["outlet_events"][model].extra = {"mlgov": {"build": "b7"}}
def fail():
    raise ValueError("no")

with airflow_env.new_dag(dag_id="doors") as dag:
    PythonOperator(task_id="load", python_callable=lambda: None,
                   inlets=[File(url="s3://lake/raw.csv")], outlets=[File(url="s3://lake/clean.csv")])
    PythonOperator(task_id="train", python_callable=train, inlets=[File(url="s3://lake/clean.csv")], outlets=[model])
    PythonOperator(task_id="broken", python_callable=fail, outlets=[File(url="s3://lake/never.csv")])
airflow_env.run_dag(dag)
recording = airflow_env.Recording(Path(), airflow_env.Log(), lambda name, value: None)
recording.drain()
json.dump({
    "attempts": sorted([*key, state] for key, state in recording.attempts().items()),
    "processes": recording.process_ends(),
    "dags": [dag["qualifiedName"] for dag in recording.find("mlgov_dag")],
    "tasks": sorted(task["qualifiedName"] for task in recording.find("mlgov_task")),
    "runs": len(recording.find("mlgov_dag_run")),
    "jobs": len(recording.find("mlgov_job")) + len(recording.find("mlgov_job_run")),
    "letters": [letter.reason for letter in open_spool(recording.settings).dead_letters()],
}, open(sys.argv[1], "w"))
"""
TRANSPORT = {
    "AIRFLOW__OPENLINEAGE__TRANSPORT": json.dumps({"type": "airflow_provider_mlgov.lineage.AtlasTransport"}),
    "AIRFLOW__OPENLINEAGE__NAMESPACE": "some-airflow",
}


def record(tmp_path: Path, env: dict[str, str]) -> dict[str, Any]:
    out = tmp_path / "out.json"
    home = tmp_path / "home"
    values = {
        **os.environ,
        **environment(home),
        "PYTHONPATH": os.pathsep.join(sys.path),
        "PYTHONWARNINGS": "ignore",
        **env,
    }
    new_database(home)
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(out)], env=values, capture_output=True, text=True, timeout=180
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found: dict[str, Any] = json.loads(out.read_text())
    return found


def check_tasks(found: dict[str, Any]) -> None:
    assert found["attempts"] == [["broken", -1, 1, "failed"], ["load", -1, 1, "success"], ["train", -1, 1, "success"]]
    assert found["dags"] == ["dags/doors@test-air"]
    assert found["tasks"] == [f"dags/doors/tasks/{task}@test-air" for task in ("broken", "load", "train")]
    assert found["runs"] == 1
    assert found["jobs"] == 0
    assert found["letters"] == []


@pytest.mark.parametrize(
    "env",
    [
        pytest.param(
            {"AIRFLOW__MLGOV__ENABLED": "False", "AIRFLOW__LINEAGE__BACKEND": BACKEND},
            marks=pytest.mark.long if is_airflow_3() else (),  # test_scheduler.py goes through this door, too
        ),
        {"AIRFLOW__LINEAGE__BACKEND": BACKEND, **TRANSPORT},
    ],
    ids=["the-backend-line", "both-doors"],
)
def test_one_attempt_is_one_set_of_entities(tmp_path: Path, env: dict[str, str]) -> None:
    found = record(tmp_path, env)
    check_tasks(found)
    kinds = [kind for kind, _, _ in found["processes"]]
    assert kinds == ["mlgov_task_process", "mlgov_train_process"]
    # The runtime extra reached the build: on 2.11 by the backend.
    assert found["processes"][1][2] == ["ml/shop/models/churn/builds/b7@primary"]


def test_the_transport_alone(tmp_path: Path) -> None:
    found = record(tmp_path, {"AIRFLOW__MLGOV__ENABLED": "False", **TRANSPORT})
    attempts = {task: state for task, _, _, state in found["attempts"]}
    assert attempts == {"broken": "failed", "load": "success", "train": "success"}
    assert found["dags"] == ["dags/doors@test-air"]
    assert "mlgov_task_process" in [kind for kind, _, _ in found["processes"]]
    assert found["jobs"] == 0


@pytest.mark.skipif(is_airflow_3(), reason="Airflow 3 has no lineage backend")
def test_the_enabled_switch_alone_on_2_11_derives_the_key(tmp_path: Path) -> None:
    found = record(tmp_path, {})
    check_tasks(found)
    assert found["processes"][1][2] != ["ml/shop/models/churn/builds/b7@primary"]
