"""Models, builds, evaluations and deployments: ``mlgov://project`` ⟂ ``models/…``.

How they are named in events is in `airflow_provider_mlgov.model.ml`. Only what follows from the name is here;
facts are added in `airflow_provider_mlgov.translate.ml`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow_provider_mlgov.model import identity, ml
from airflow_provider_mlgov.model.entity import Entity, Ref
from airflow_provider_mlgov.translate.naming.family import Family
from airflow_provider_mlgov.translate.options import TranslateOptions

ENDPOINTS = "endpoints/"
"""Names of endpoints begin so.

``endpoints/<environment>/<endpoint>``. They are no DataSet, so never the end of a process.
"""


def entities(namespace: str, name: str, options: TranslateOptions) -> tuple[Entity, ...]:
    """Project, model, and the build and what was made of it, without facts."""
    thing = ml.from_dataset(namespace, name)
    at = options.catalog_namespace
    project = identity.Project(at, thing.project)
    family = identity.Model(at, thing.project, thing.model)
    chain = [
        Entity(project.type_name, str(project), {"name": thing.project}),
        Entity(family.type_name, str(family), {"name": thing.model, **_of_model(family)}),
    ]
    if isinstance(thing, ml.Build):
        chain.append(build_entity(identity.Build(at, thing.project, thing.model, thing.key)))
    elif isinstance(thing, (ml.Evaluation, ml.Deployment)):
        build = identity.Build(at, thing.project, thing.model, thing.build)
        chain.append(build_entity(build))
        chain.append(_evaluation(build, thing) if isinstance(thing, ml.Evaluation) else _deployment(build, thing))
    return tuple(chain)


def build_entity(build: identity.Build) -> Entity:
    """A build by its name alone."""
    attributes = {
        "name": f"{build.model} {build.build}",
        **_of_model(build.family),
        "buildKey": build.key,
        "key": build.build,
    }
    project = identity.Project(build.namespace, build.project)
    relations = {"project": _ref(project)}
    return Entity(build.type_name, str(build), attributes, relations=relations)


def _evaluation(build: identity.Build, thing: ml.Evaluation) -> Entity:
    name = identity.Evaluation(build.namespace, build.project, build.model, build.build, thing.key)
    attributes = {
        "name": f"{build.model} {build.build} evaluation {thing.key}",
        **_of_model(build.family),
        "buildKey": build.key,
        "key": thing.key,
    }
    return Entity(name.type_name, str(name), attributes)


def _deployment(build: identity.Build, thing: ml.Deployment) -> Entity:
    place = (thing.environment, thing.endpoint)
    name = identity.Deployment(build.namespace, build.project, build.model, build.build, *place, thing.revision)
    attributes = {
        "name": f"{build.model} {build.build} at {thing.environment}/{thing.endpoint}",
        **_of_model(build.family),
        "buildKey": build.key,
        "endpointKey": identity.Endpoint(build.namespace, build.project, *place).key,
        "environment": thing.environment,
        "endpointName": thing.endpoint,
        "revision": thing.revision,
    }
    return Entity(name.type_name, str(name), attributes, relations={"build": _ref(build)})


def _of_model(model: identity.Model) -> Mapping[str, Any]:
    return {"projectName": model.project, "modelName": model.model, "modelKey": model.key}


def _ref(name: identity.QualifiedName) -> Ref:
    return Ref(name.type_name, str(name))


FAMILY = Family(schemes=(ml.SCHEME,), entities=entities, column=None)
