"""Entities of machine learning: projects, models, builds, evaluations, deployments, endpoints, and the making of them.

What a name tells is in `airflow_provider_mlgov.translate.naming.ml`. Here come the facts. Who only uses a thing
writes them on creation at most: a scoring run that is heard of before the deployment makes a placeholder, which the
deployment fills in.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from airflow_provider_mlgov.model import identity, ml
from airflow_provider_mlgov.model.entity import Entity
from airflow_provider_mlgov.translate.datasets import End
from airflow_provider_mlgov.translate.jobs import maker_attributes, making_attributes, run_name, user_name
from airflow_provider_mlgov.translate.roles import Work
from airflow_provider_mlgov.translate.runs import Run, known, whole
from airflow_provider_mlgov.translate.texts import long, named_values, plain

STATUSES = ("unknown", "deploying", "deployed", "stopping", "stopped")
"""Atlas's ``ml_model_deployment_status``."""


def thing_entities(end: End, run: Run, *, written: bool, made: bool) -> Iterator[Entity]:
    """The parents of a thing and the thing itself.

    ``written`` says that the run states facts about it (it is an output), ``made`` that it came into being by this run.
    """
    *parents, entity = end.entities
    thing = end.thing
    moment = run.end or run.told or run.first
    for parent in parents:
        if isinstance(thing, ml.Build) and parent.type_name == identity.Model.type_name and written:
            yield _family(parent, thing, entity, moment, made=made)
        else:
            yield _weak_version(parent, run) if parent.type_name == identity.Build.type_name else parent
    if thing is None:
        return
    create_only = known(description=long(thing.description))
    latest: dict[str, Any] = {}
    if isinstance(thing, ml.Build):
        sure, weak = _build(thing, run, made=made)
    elif isinstance(thing, ml.Evaluation):
        sure, weak = _evaluation(thing, run, made=made), {}
    elif isinstance(thing, ml.Deployment):
        sure, weak = _deployment(thing, run, made=made)
        latest = _status(thing, moment, made=made) if written else {}
    else:
        sure, weak = {}, {}
    if not written:
        sure, weak = {}, weak | sure
    yield replace(
        entity,
        attributes={**entity.attributes, **sure},
        create_only={**create_only, **weak},
        latest=latest,
        as_of=moment if latest else None,
    )
    if isinstance(thing, ml.Deployment):
        yield _endpoint(thing, entity, run, made=made)


def making_entity(work: Work, run: Run, at: str) -> Entity:
    """The process of a thing that was made, named after it."""
    thing = work.thing
    relations = {"inputs": work.inputs, "outputs": work.outputs} if work.inputs else {"outputs": work.outputs}
    name: identity.QualifiedName
    extra: dict[str, Any] = {}
    if isinstance(thing, ml.Build):
        build = identity.Build(at, thing.project, thing.model, thing.key)
        name = identity.Training(at, thing.project, thing.model, thing.key)
        extra = {"userName": user_name(run), **known(**run.code)}
    elif isinstance(thing, ml.Evaluation):
        build = identity.Build(at, thing.project, thing.model, thing.build)
        name = identity.Evaluating(at, thing.project, thing.model, thing.build, thing.key)
    elif isinstance(thing, ml.Deployment):
        build = identity.Build(at, thing.project, thing.model, thing.build)
        name = identity.Deploying(
            at, thing.project, thing.model, thing.build, thing.environment, thing.endpoint, thing.revision
        )
        extra = {"userName": user_name(run)}
    else:
        raise TypeError(f"{thing!r} has no making")
    attributes = {"name": f"{work.role} {build.model} {build.build}", **making_attributes(run, name, build), **extra}
    return Entity(name.type_name, str(name), attributes, relations=relations)


def _family(family: Entity, thing: ml.Build, build: Entity, moment: int, *, made: bool) -> Entity:
    """The model: its newest build, and the aliases that point at this one from now on, each with its time."""
    attributes = dict(family.attributes)
    aliases = {text: thing.key for alias in thing.aliases if (text := plain(alias, 200))}
    if aliases:
        attributes |= {"aliases": aliases, "aliasTimes": dict.fromkeys(aliases, str(moment))}
    latest = {"latestBuild": build.qualified_name} if made else {}
    return replace(family, attributes=attributes, latest=latest, as_of=moment if made else None)


def _weak_version(build: Entity, run: Run) -> Entity:
    """A build that is only referred to; Atlas wants a version of each."""
    return replace(build, create_only={"version": _seconds(run)})


def _seconds(run: Run) -> int:
    return (run.start or run.first) // 1000 % 2**31


def _build(thing: ml.Build, run: Run, *, made: bool) -> tuple[dict[str, Any], dict[str, Any]]:
    """Facts of a build, and those that only stand in for what is not known."""
    facts = known(
        version=whole(thing.version),
        registered=thing.registered,
        framework=plain(thing.framework),
        algorithm=plain(thing.algorithm),
        artifactUri=plain(thing.artifact_uri),
        artifactDigest=plain(thing.artifact_digest),
        artifactSize=thing.artifact_size if thing.artifact_size is None or abs(thing.artifact_size) < 2**63 else None,
        imageTag=plain(thing.image_tag),
        imageHash=plain(thing.image_hash),
        target=plain(thing.target),
        parameters=named_values(thing.parameters),
        metrics=named_values(thing.metrics),
        record=thing.record,
        recordDigest=plain(thing.record_digest),
    )
    if thing.features:
        facts["features"] = [text for feature in thing.features if (text := plain(feature))]
    if made:
        facts = {"version": _seconds(run), **facts, **_maker(run), "createTime": run.end or run.first}
    return facts, {} if "version" in facts else {"version": _seconds(run)}


def _evaluation(thing: ml.Evaluation, run: Run, *, made: bool) -> dict[str, Any]:
    # A word, because Atlas reads a boolean that was never set as false.
    outcome = None if thing.passed is None else "passed" if thing.passed else "failed"
    facts = known(metrics=named_values(thing.metrics), split=plain(thing.split, 100), outcome=outcome)
    return facts | ({**_maker(run), "createTime": run.end or run.first} if made else {})


def _deployment(thing: ml.Deployment, run: Run, *, made: bool) -> tuple[dict[str, Any], dict[str, Any]]:
    """Facts of a deployment; Atlas wants times, a status and a size of each."""
    facts = known(
        modelEndpointURL=plain(thing.url),
        cpuMillicores=whole(thing.cpu_millicores),
        memoryMb=whole(thing.memory_mb),
        gpus=whole(thing.gpus),
        replicas=whole(thing.replicas),
    )
    end = run.end or run.told or run.first
    start = run.start or run.first
    if made:
        return {"cpuMillicores": 0, "createTime": start, "deployedTime": end, **facts, **_maker(run)}, {}
    stand_in = {"status": "unknown", "cpuMillicores": 0, "createTime": start, "deployedTime": start}
    return facts, {key: value for key, value in stand_in.items() if key not in facts}


def _status(thing: ml.Deployment, moment: int, *, made: bool) -> dict[str, Any]:
    """How it stands with a deployment at a moment: only the newest word counts."""
    status = thing.status if thing.status in STATUSES else "deployed" if made else None
    return known(status=status, stoppedTime=moment if status == "stopped" else None)


def _endpoint(thing: ml.Deployment, deployment: Entity, run: Run, *, made: bool) -> Entity:
    """The place that serves: it points at this deployment from when it was deployed, unless a later one did."""
    at = deployment.qualified_name.rpartition("@")[2]
    name = identity.Endpoint(at, thing.project, thing.environment, thing.endpoint)
    build = identity.Build(at, thing.project, thing.model, thing.build)
    attributes = {
        "name": f"{thing.environment}/{thing.endpoint}",
        "projectName": thing.project,
        "environment": thing.environment,
        "endpointName": thing.endpoint,
        "endpointKey": name.key,
    }
    if not made or thing.status not in (None, "deployed"):
        return Entity(name.type_name, str(name), attributes)
    latest = {
        "currentDeployment": deployment.qualified_name,
        "currentBuild": str(build),
        "buildKey": build.key,
        "modelKey": build.family.key,
        **known(url=plain(thing.url)),
    }
    return Entity(name.type_name, str(name), attributes, latest=latest, as_of=run.end or run.told or run.first)


def _maker(run: Run) -> dict[str, Any]:
    return {**maker_attributes(run), **known(taskRun=run_name(run))}
