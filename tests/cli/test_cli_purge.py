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


def test_builds_go_only_where_they_are_named(home: Path, catalog: Path) -> None:
    world = World(EmbeddedCatalog(catalog))
    world.build("old", model="other")
    table = world.table("features")
    world.train(world.build("used_by_nobody", model="other"), [table])
    world.deploy(world.build("served", model="other"), "r1", endpoint="other")
    long_ago = ("purge", "--older-than", "2")
    assert mlgov(home, *long_ago, "--yes").returncode == 0
    assert all(world.catalog.search("mlgov_model_build", {"key": key}) for key in ("old", "used_by_nobody", "served"))
    named = (*long_ago, "--builds", "demo/other")
    asked = mlgov(home, *named)
    assert asked.returncode == 1
    assert "2 builds would be deleted: --yes does it" in asked.stdout
    assert "is deployed" in asked.stdout
    done = mlgov(home, *named, "--yes")
    assert (done.returncode, done.stderr) == (0, "")
    assert "2 builds deleted" in done.stdout
    assert not world.catalog.search("mlgov_model_build", {"key": "old"})
    assert world.catalog.search("mlgov_model_build", {"key": "served"})
    assert mlgov(home, *named).returncode == 0
    assert "wanted PROJECT/MODEL" in one_line(mlgov(home, *long_ago, "--builds", "demo"))
    assert "give --builds" in one_line(mlgov(home, *long_ago, "--deployments"))
