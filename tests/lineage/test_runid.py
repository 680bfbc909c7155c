"""Our run ids are those of Airflow's OpenLineage provider."""

from __future__ import annotations

import os
from datetime import datetime, timedelta, timezone

import pytest

from airflow_provider_mlgov.lineage.runid import dag_run_id, task_run_id

pytestmark = pytest.mark.filterwarnings("default")

MOMENTS = (
    datetime(2026, 1, 1, tzinfo=timezone.utc),
    datetime(2026, 11, 23, 22, 44, 29, 742003, tzinfo=timezone.utc),
    datetime(1999, 12, 31, 23, 59, 59, 999999, tzinfo=timezone(timedelta(hours=5, minutes=30))),
)


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("namespace", ["default", "prod/é"])
def test_as_the_provider_computes_them(moment: datetime, namespace: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from airflow.providers.openlineage.plugins.adapter import OpenLineageAdapter

    monkeypatch.setitem(os.environ, "AIRFLOW__OPENLINEAGE__NAMESPACE", namespace)
    theirs = OpenLineageAdapter.build_task_instance_run_id(
        dag_id="d.ag", task_id="group.task", try_number=3, logical_date=moment, map_index=7
    )
    assert task_run_id(namespace, "d.ag", "group.task", 3, 7, moment) == theirs
    assert dag_run_id(namespace, "d.ag", 2, moment) == OpenLineageAdapter.build_dag_run_id("d.ag", moment, 2)
