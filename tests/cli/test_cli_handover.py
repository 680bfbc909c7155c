"""Handing over and collecting by hand, and what `mlgov doctor` says of hosts that do so, or should."""

from __future__ import annotations

from pathlib import Path

from airflow_provider_mlgov.catalog.embedded import EmbeddedCatalog
from airflow_provider_mlgov.delivery.outbox import Outbox
from airflow_provider_mlgov.delivery.spool import Spool
from cli_runs import mlgov
from delivery_events import task_run
from lineage_world import AIR


def test_drain_hands_over_on_one_host_and_collects_on_the_other(tmp_path: Path) -> None:
    pod, host, between = tmp_path / "pod", tmp_path / "host", str(tmp_path / "between")
    for event in task_run(namespace=AIR):
        Outbox(Spool(pod / "mlgov" / "spool")).put(event)
    handed = mlgov(pod, "spool", "drain", AIRFLOW__MLGOV__HANDOVER_PATH=between)
    assert handed.returncode == 0, handed.stderr
    assert handed.stdout.startswith("sent 2 events as 0 entities")
    collecting = {"AIRFLOW__MLGOV__COLLECT_PATH": between, "AIRFLOW__MLGOV__ENABLED": "True"}
    told = mlgov(host, "doctor", **collecting)
    assert "ok     collect_path" in told.stdout
    assert f"1 objects wait at {between}" in told.stdout
    drained = mlgov(host, "spool", "drain", **collecting)
    assert drained.returncode == 0, drained.stderr
    assert drained.stdout.startswith("sent 2 events")
    catalog = EmbeddedCatalog(host / "mlgov" / "catalog.db")
    assert len(catalog.search("mlgov_task_run")) == 1
    catalog.close()


def test_doctor_says_where_every_host_would_write_by_itself(tmp_path: Path) -> None:
    celery = {"AIRFLOW__CORE__EXECUTOR": "CeleryExecutor", "AIRFLOW__MLGOV__ENABLED": "True"}
    alone = mlgov(tmp_path, "doctor", "--no-airflow", **celery)
    assert alone.returncode == 1
    assert "WRONG  many hosts" in alone.stdout
    handing = mlgov(
        tmp_path, "doctor", "--no-airflow", **celery, AIRFLOW__MLGOV__HANDOVER_PATH=str(tmp_path / "between")
    )
    assert handing.returncode == 0, handing.stdout
    assert "many hosts" not in handing.stdout
    wrong = mlgov(tmp_path, "doctor", "--no-airflow", **celery, AIRFLOW__MLGOV__HANDOVER_PATH="between")
    assert wrong.returncode == 1
    assert "no absolute path" in wrong.stdout
    shared = mlgov(tmp_path, "doctor", "--no-airflow", **celery, AIRFLOW__MLGOV__SPOOL_SHARED="True")
    assert "hosts that share a spool need an Atlas" in shared.stdout
