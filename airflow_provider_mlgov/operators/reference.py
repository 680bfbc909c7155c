"""References to builds and deployments: the small dicts that travel in XCom, and in asset events."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterable, Mapping
from dataclasses import fields, replace
from typing import Any

from airflow_provider_mlgov.errors import InvalidInputError, UnresolvedBuildError
from airflow_provider_mlgov.model import ml

Json = dict[str, Any]

_NOTHING = frozenset({"", "None", "null"})
"""What a template that found nothing renders to."""
_KEPT = (
    "artifact_uri",
    "artifact_digest",
    "framework",
    "algorithm",
    "features",
    "target",
    "parameters",
    "metrics",
    "url",
    "status",
)


def to_reference(thing: ml.Thing) -> Json:
    """``{"project", "model", "build", "metrics", …}``: what a task pushes to XCom about what it made."""
    reference: Json = {name: getattr(thing, name) for name in thing.identity}
    if isinstance(thing, ml.Build):
        reference["build"] = reference.pop("key")
    elif isinstance(thing, ml.Evaluation):
        reference["evaluation"] = reference.pop("key")
    for name in _KEPT:
        value = getattr(thing, name, None)
        if value not in (None, {}, ()):
            reference[name] = list(value) if isinstance(value, tuple) else value
    return reference


def read_reference(value: object) -> Json | None:
    """The reference that a value stands for: a dict, its text (as templates render it), a `Build` or `Deployment`.

    None for what a template that found nothing leaves behind; any other text is the key of a build.
    """
    if isinstance(value, ml.Thing):
        return to_reference(value)
    if isinstance(value, str):
        value = value.strip()
        if value in _NOTHING:
            return None
        value = _parse(value) if value.startswith("{") else {"build": value}
    if value is None:
        return None
    if not isinstance(value, Mapping):
        raise InvalidInputError(
            f"{value!r:.200} refers to no build; wanted what a training task returns, or the key of a build"
        )
    return {str(name): item for name, item in value.items() if item is not None}


def _parse(text: str) -> object:
    try:
        return json.loads(text)
    except ValueError:
        pass
    try:
        return ast.literal_eval(text)  # a dict that a template rendered by str()
    except (ValueError, SyntaxError):
        raise InvalidInputError(f"{text:.200} refers to no build; wanted what a training task returns") from None


def to_build(reference: Mapping[str, Any], project: str | None = None, model: str | None = None) -> ml.Build:
    """The build of a reference; ``project`` and ``model`` are what the consumer says where the reference does not.

    Raises `UnresolvedBuildError` if no build or no model is named, or if it is one of another model than the consumer
    says.
    """
    found = {"project": reference.get("project") or project, "model": reference.get("model") or model}
    key = reference.get("build")
    if not key or not found["model"]:
        raise UnresolvedBuildError(
            f"the reference {dict(reference)!r:.200} names no {'build' if found['model'] else 'model'}; "
            f"wanted 'model' and 'build' in it, as training and registering tasks return them"
        )
    for name, said in (("project", project), ("model", model)):
        if said and found[name] not in (said, None):
            raise UnresolvedBuildError(
                f"the reference is to {name} {found[name]!r}, but this task is about {said!r}: leave {name} out or correct it"
            )
    return _filled(
        ml.Build(project=str(found["project"] or ml.DEFAULT_PROJECT), model=str(found["model"]), key=str(key)),
        reference,
    )


def to_deployment(reference: Mapping[str, Any]) -> ml.Deployment | None:
    """The deployment of a reference, or None if it is to a build only."""
    names = ("model", "build", "environment", "endpoint", "revision")
    if not all(reference.get(name) for name in names):
        return None
    identity: dict[str, Any] = {name: str(reference[name]) for name in names}
    project = str(reference.get("project") or ml.DEFAULT_PROJECT)
    return _filled(ml.Deployment(project=project, **identity), reference)


def _filled(thing: ml.T, reference: Mapping[str, Any]) -> ml.T:
    names = {item.name for item in fields(thing)} - set(thing.identity)
    values: dict[str, Any] = {name: reference[name] for name in _KEPT if name in names and name in reference}
    values = {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}
    return replace(thing, **values)


def from_asset_events(context: Mapping[str, Any], inlets: Iterable[Any], uri: str | None) -> Json | None:
    """The reference in the extra of an inlet, else in that of the latest asset event that triggered this run.

    ``uri`` narrows to one asset; without it, any of ours that names a build.
    """
    for asset in inlets:
        found = _reference_of(str(getattr(asset, "uri", "")), getattr(asset, "extra", None), uri)
        if found:
            return found
    triggering = context.get("triggering_asset_events") or context.get("triggering_dataset_events") or {}
    for key in triggering:
        for event in reversed(list(triggering[key])):
            found = _reference_of(str(getattr(key, "uri", key)), event.extra, uri)
            if found:
                return found
    return None


def _reference_of(uri: str, extra: Mapping[str, Any] | None, wanted: str | None) -> Json | None:
    from airflow_provider_mlgov.lineage import ml_assets

    if not ml_assets.is_ours(uri) or (wanted is not None and uri != wanted):
        return None
    thing = ml_assets.parse(uri, extra or {})
    return to_reference(thing) if isinstance(thing, (ml.Build, ml.Deployment)) else None
