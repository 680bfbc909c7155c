"""What the newest tests and measurements of a dataset say: ``mlgov_quality_result``, one per dataset.

Facets ``dataQualityAssertions`` and ``dataQualityMetrics``, of a dataset or of it as an input; Great Expectations has a facet of
its own for the former. Atlas's own types have no place for it, and its business metadata may be written by data stewards only.
Each facet counts by itself, since one run tests and another one measures: ``lastRun`` is the last run that told either.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from airflow_provider_mlgov.model import identity
from airflow_provider_mlgov.model.entity import Entity, Ref, dated
from airflow_provider_mlgov.translate.datasets import End
from airflow_provider_mlgov.translate.events import facet
from airflow_provider_mlgov.translate.io import is_count
from airflow_provider_mlgov.translate.jobs import run_name
from airflow_provider_mlgov.translate.runs import Run, known
from airflow_provider_mlgov.translate.texts import json_text, long, plain

Json = Mapping[str, Any]

FACTS = {
    "assertions": ("passed", "failed", "assertions"),
    "metrics": ("rowCount", "bytes", "fileCount", "metrics"),
}
"""What each facet tells, by the attribute that it never lacks."""
_FACET = "dataQualityAssertions"
_OF_GREAT_EXPECTATIONS = "greatExpectations_assertions"
_ASSERTION = ("assertion", "name", "column", "severity", "description", "expected", "actual", "content")


def quality_entity(end: End, run: Run, at: str) -> Entity | None:
    """What ``run`` found out about a dataset, or None."""
    assertions = _assertions(end)
    metrics = {
        key: value
        for facets in (end.facets, end.role)
        for key, value in facet(facets, "dataQualityMetrics").items()
        if not key.startswith("_")
    }
    if not assertions and not metrics:
        return None
    facts: dict[str, Any] = {}
    if assertions:
        passed = sum(item["success"] for item in assertions)
        facts |= {"passed": passed, "failed": len(assertions) - passed, "assertions": long(json_text(assertions))}
    if metrics:
        counts = {key: metrics.get(key) for key in ("rowCount", "bytes", "fileCount")}
        facts |= {key: value if is_count(value) else None for key, value in counts.items()}
        facts["metrics"] = long(json_text(metrics))
    return replace(
        result_of(end.ref, f"quality of {end.entities[-1].attributes['name']}", at),
        described=dated(facts, run.told),
        latest=known(lastRun=run_name(run)),
        as_of=run.told,
        about=end.entities,
    )


def result_of(dataset: Ref, name: str, at: str) -> Entity:
    """The entity that is about ``dataset``, before anything was found out."""
    attributes = {
        "name": name,
        "datasetType": dataset.type_name,
        "datasetName": dataset.qualified_name,
        "datasetKey": identity.token(dataset.qualified_name),
    }
    qualified = identity.Quality(at, identity.token(dataset.type_name, dataset.qualified_name))
    return Entity(qualified.type_name, str(qualified), attributes)


def moved(result: Entity, to: tuple[Entity, ...]) -> Entity:
    """What was found out about a dataset that has got another name since; ``to`` is as `Entity.about`."""
    at = identity.Quality.parse(result.qualified_name).namespace
    new = result_of(to[-1].ref, f"quality of {to[-1].attributes['name']}", at)
    return replace(result, qualified_name=new.qualified_name, attributes=new.attributes, about=to)


def _assertions(end: End) -> list[dict[str, Any]]:
    found = []
    # dbt says the same in both places
    told = facet(end.role, _FACET) or facet(end.facets, _FACET) or facet(end.role, _OF_GREAT_EXPECTATIONS)
    items = told.get("assertions")
    for item in items if isinstance(items, list) else ():
        if isinstance(item, dict) and isinstance(item.get("success"), bool):
            named = {"assertion": item.get("expectationType"), **item}
            words = {key: text for key in _ASSERTION if (text := plain(named.get(key), 1_000))}
            found.append({**words, "success": item["success"]})
    return found
