"""What the newest tests and measurements of a dataset say: ``mlgov_quality_result``, one per dataset.

Facets ``dataQualityAssertions`` and ``dataQualityMetrics``, of a dataset or of it as an input. Atlas's own types have no place
for it, and its business metadata may be written by data stewards only. Each facet counts by itself, since one run tests and
another one measures: ``lastRun`` is the last run that told either.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow_provider_mlgov.model import identity
from airflow_provider_mlgov.model.entity import Entity, dated
from airflow_provider_mlgov.translate.datasets import End
from airflow_provider_mlgov.translate.events import facet
from airflow_provider_mlgov.translate.io import is_count
from airflow_provider_mlgov.translate.jobs import run_name
from airflow_provider_mlgov.translate.runs import Run, known
from airflow_provider_mlgov.translate.texts import json_text, long, plain

Json = Mapping[str, Any]

_FACET = "dataQualityAssertions"
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
    ref = end.ref
    name = identity.Quality(at, identity.token(ref.type_name, ref.qualified_name))
    attributes = {
        "name": f"quality of {end.entities[-1].attributes['name']}",
        "datasetType": ref.type_name,
        "datasetName": ref.qualified_name,
        "datasetKey": identity.token(ref.qualified_name),
    }
    facts: dict[str, Any] = {}
    if assertions:
        passed = sum(item["success"] for item in assertions)
        facts |= {"passed": passed, "failed": len(assertions) - passed, "assertions": long(json_text(assertions))}
    if metrics:
        counts = {key: metrics.get(key) for key in ("rowCount", "bytes", "fileCount")}
        facts |= {key: value if is_count(value) else None for key, value in counts.items()}
        facts["metrics"] = long(json_text(metrics))
    return Entity(
        name.type_name,
        str(name),
        attributes,
        described=dated(facts, run.told),
        latest=known(lastRun=run_name(run)),
        as_of=run.told,
    )


def _assertions(end: End) -> list[dict[str, Any]]:
    found = []
    # dbt says the same in both places
    items = (facet(end.role, _FACET) or facet(end.facets, _FACET)).get("assertions")
    for item in items if isinstance(items, list) else ():
        if isinstance(item, dict) and isinstance(item.get("success"), bool):
            told = {key: text for key in _ASSERTION if (text := plain(item.get(key), 1_000))}
            found.append({**told, "success": item["success"]})
    return found
