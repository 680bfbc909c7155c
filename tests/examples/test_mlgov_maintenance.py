"""The maintenance DAG for real: it sends what waits and deletes what is old."""

from __future__ import annotations

import os
import sys
import time
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest

from airflow_env import Recording, new_dag
from airflow_provider_mlgov._compat import Asset
from airflow_provider_mlgov.assembly import open_catalog, open_spool
from airflow_provider_mlgov.model.identity import DagRun
from delivery_events import task_event

pytestmark = [pytest.mark.dag_run, pytest.mark.filterwarnings("default")]
FILE = Path(__file__).parents[2] / "dags_examples" / "mlgov_maintenance.py"


def test_a_night(recording: Recording, monkeypatch: pytest.MonkeyPatch) -> None:
    from airflow.providers.standard.operators.python import PythonOperator

    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    with new_dag() as dag:
        PythonOperator(task_id="load", python_callable=lambda: None, outlets=[Asset("s3://lake/a")])
    recording.run(dag)
    recording.drain()
    catalog = open_catalog(recording.settings)
    old = DagRun("test-air", "shop", "long-ago")
    attributes = {"name": "x", "state": "success", "endTime": int((time.time() - 400 * 86400) * 1000)}
    catalog.write([{"typeName": old.type_name, "guid": "-1", "attributes": {"qualifiedName": str(old), **attributes}}])
    spool = open_spool(recording.settings)
    spool.append(task_event("COMPLETE", dag="waits", namespace="test-air"))

    spec = spec_from_file_location("mlgov_maintenance", FILE)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    run = recording.run(module.dag)

    assert run.state == "success"
    assert not spool.waiting()
    assert catalog.get(old.type_name, str(old)) is None
    assert any(entity["qualifiedName"].startswith("dags/waits/") for entity in recording.find("mlgov_task_run"))
    dag_ids = {entity["dagId"] for entity in recording.find("mlgov_dag_run")}
    assert dag.dag_id in dag_ids
    assert "mlgov_maintenance" not in dag_ids
    catalog.close()
