"""``mlgov purge``."""

from __future__ import annotations

import time
from pathlib import Path

from airflow_provider_mlgov.catalog.embedded import EmbeddedCatalog
from cli_runs import mlgov, one_line
from lineage_world import AIR, World

DAY = 86_400_000


def test_runs_of_long_ago_are_deleted_when_asked_twice(home: Path, catalog: Path) -> None:
    world = World(EmbeddedCatalog(catalog))
    now = int(time.time() * 1000)
    for run, days in (("old", 400), ("older", 500), ("new", 1)):
        world.dag_run(run, state="success", endTime=now - days * DAY)
    asked = mlgov(home, "purge", "--older-than", "365")
    assert asked.returncode == 1
    assert f"2 mlgov_dag_run of {AIR} would be deleted, the oldest of 20" in asked.stdout
    assert "0 mlgov_task_run" in asked.stdout
    done = mlgov(home, "purge", "--older-than", "365", "--yes")
    assert done.returncode == 0
    assert "2 mlgov_dag_run deleted" in done.stdout
    again = mlgov(home, "purge", "--older-than", "365")
    assert again.returncode == 0
    assert "0 mlgov_dag_run" in again.stdout
    assert mlgov(home, "lineage", "--dag-id", "shop", "--run-id", "new").returncode == 0
    assert mlgov(home, "lineage", "--dag-id", "shop", "--run-id", "old").returncode == 1


def test_what_may_go_on_yet_is_not_purged(home: Path, catalog: Path) -> None:
    assert catalog.exists()
    assert "state_hours" in one_line(mlgov(home, "purge", "--older-than", "0.5", "--yes"))
