"""Old builds are deleted where they are asked for, with what is named after them; one that is in use never is."""

from __future__ import annotations

import time
import uuid

import pytest

from airflow_provider_mlgov.catalog.catalog import Catalog
from airflow_provider_mlgov.catalog.old_builds import OldBuild, delete_build, old_builds
from airflow_provider_mlgov.model import identity
from lineage_world import BEGIN, World, ref

BEFORE = BEGIN + 1_000


@pytest.fixture
def world(catalog: Catalog) -> World:
    return World(catalog, namespace=f"builds-{uuid.uuid4().hex[:10]}")


def found(world: World, count: int, *, deployments: bool = False) -> dict[str, OldBuild]:
    model = identity.Model(world.namespace, "demo", "churn")
    for _ in range(50):
        builds = list(old_builds(world.catalog, model, BEFORE, deployments=deployments))
        if len(builds) >= count:
            break
        time.sleep(0.1)
    assert len(builds) == count
    return {identity.Build.parse(build.name).build: build for build in builds}


def test_only_what_is_certainly_not_in_use_goes(world: World) -> None:
    table = world.table("features")
    builds = {key: world.build(key) for key in ("old", "served", "current", "ended", "champion", "newest", "used")}
    world.build("young", at=5_000)
    for build in builds.values():
        world.train(build, [table])
    world.evaluate(builds["old"], "test", [table])
    world.deploy(builds["served"], "r1")
    world.endpoint(world.deploy(builds["current"], "r1", endpoint="e", status="stopped"), "e")
    world.deploy(builds["ended"], "r1", endpoint="other", status="stopped")
    world.process("score", [ref(builds["used"]), table], [world.table("scores")], score=True)
    model = identity.Model(world.namespace, "demo", "churn")
    world.put(
        ref(model),
        name="churn",
        modelKey=model.key,
        aliases={"champion": "champion"},
        latestBuild=str(builds["newest"]),
    )
    told = {key: build.kept for key, build in found(world, 7).items()}
    assert told.pop("old") == ""
    assert told["served"].endswith("is deployed")
    assert "serves it" in told["current"]
    assert "--deployments deletes" in told["ended"]
    assert told["champion"] == "alias champion points at it"
    assert told["newest"] == "it is the newest build of its model"
    assert "has used it" in told["used"]
    also = found(world, 7, deployments=True)
    assert sorted(key for key, build in also.items() if not build.kept) == ["ended", "old"]
    with pytest.raises(ValueError, match="is to be kept"):
        delete_build(world.catalog, also["served"], for_good=True)

    old = also["old"]
    assert len(old.guids) == 4, "its training, evaluating, evaluation and itself"
    delete_build(world.catalog, old, for_good=True)
    delete_build(world.catalog, also["ended"], for_good=False)
    for guid in old.guids:
        assert world.catalog.get_by_guid(guid) is None
    for guid in also["ended"].guids:
        entity = world.catalog.get_by_guid(guid)
        assert entity is not None
        assert entity["status"] == "DELETED"
    assert world.catalog.get(table.type_name, table.qualified_name) is not None
    for key in ("served", "current", "champion", "newest", "used"):
        name = ref(builds[key])
        assert world.catalog.get(name.type_name, name.qualified_name) is not None
        training = identity.Training(world.namespace, "demo", "churn", key)
        assert world.catalog.get(training.type_name, str(training)) is not None
    deployment = identity.Deployment(world.namespace, "demo", "churn", "served", "production", "churn", "r1")
    assert world.catalog.get(deployment.type_name, str(deployment)) is not None
