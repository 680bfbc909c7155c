"""Facts that the view reads from entities: what a build scored, which deployment serves."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from airflow_provider_mlgov.catalog.catalog import Catalog
from airflow_provider_mlgov.errors import InvalidNameError
from airflow_provider_mlgov.model import identity
from airflow_provider_mlgov.model.entity import Ref
from airflow_provider_mlgov.model.ml import unpairs

PLAIN = {
    "mlgov_model": ("latestBuild",),
    "mlgov_model_build": (
        "version",
        "registered",
        "framework",
        "algorithm",
        "artifactUri",
        "artifactDigest",
        "artifactSize",
        "target",
        "recordDigest",
        "createTime",
        "taskRun",
    ),
    "mlgov_evaluation": ("split", "outcome", "createTime", "taskRun"),
    "mlgov_model_deployment": ("status", "modelEndpointURL", "createTime", "deployedTime", "stoppedTime", "taskRun"),
    "ml_model_build": ("version", "createTime"),
    "ml_model_deployment": ("status", "modelEndpointURL", "createTime", "deployedTime"),
}
"""Attributes that are shown as they are, by type."""
_LISTS = ("parameters", "metrics")


def of_entities(catalog: Catalog, refs: Iterable[Ref]) -> dict[Ref, dict[str, Any]]:
    """The facts of those ``refs`` that are of machine learning and active in the catalogue."""
    wanted: dict[str, list[str]] = {}
    for ref in refs:
        if ref.type_name in PLAIN:
            wanted.setdefault(ref.type_name, []).append(ref.qualified_name)
    facts: dict[Ref, dict[str, Any]] = {}
    for type_name, names in sorted(wanted.items()):
        for name, entity in catalog.get_many(type_name, sorted(names)).items():
            facts[Ref(type_name, name)] = of_attributes(type_name, entity.get("attributes") or {})
    _add_aliases(catalog, facts)
    return facts


def of_attributes(type_name: str, attributes: Mapping[str, Any]) -> dict[str, Any]:
    """What a reader wants of these attributes; unknown things are left out.

    Atlas gives 0 and false for numbers, times and booleans that were never set: those are unknown too.
    """
    facts = {name: attributes[name] for name in PLAIN.get(type_name, ()) if attributes.get(name)}
    for name in _LISTS:
        values = unpairs(parse(attributes.get(name)))
        if values:
            facts[name] = values
    return facts


def parse(text: object) -> Any:
    """JSON text as a value; None for what is no JSON."""
    if not isinstance(text, str):
        return None
    try:
        return json.loads(text)
    except ValueError:
        return None


def _add_aliases(catalog: Catalog, facts: dict[Ref, dict[str, Any]]) -> None:
    builds: dict[str, list[tuple[Ref, str]]] = {}
    for ref in facts:
        if ref.type_name == identity.Build.type_name:
            try:
                build = identity.Build.parse(ref.qualified_name)
            except InvalidNameError:
                continue
            builds.setdefault(str(build.family), []).append((ref, build.build))
    if not builds:
        return
    models = catalog.get_many(identity.Model.type_name, sorted(builds))
    for family, entity in models.items():
        aliases = entity.get("attributes", {}).get("aliases") or {}
        for ref, key in builds[family]:
            names = sorted(alias for alias, target in aliases.items() if target == key)
            if names:
                facts[ref]["aliases"] = names
