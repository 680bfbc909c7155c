"""What user code and operators say about the task that runs: inputs, outputs and facets for its event.

The facts stay in this process, keyed by the attempt; the listener takes them into the event at the end, on success and on
failure, and into the spool where the task defers. They are lost with the process, and so is the event.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

Json = dict[str, Any]
log = logging.getLogger(__name__)


class Attempt(NamedTuple):
    """One try of one task, in Airflow's own words."""

    dag_id: str
    run_id: str
    task_id: str
    map_index: int
    try_number: int


@dataclass
class Facts:
    """What was said about one attempt, in the order of saying."""

    inputs: list[Json] = field(default_factory=list)
    outputs: list[Json] = field(default_factory=list)
    job_facets: Json = field(default_factory=dict)
    run_facets: Json = field(default_factory=dict)


_STORE: dict[Attempt, Facts] = {}


def attempt_of(task_instance: Any) -> Attempt:
    """The attempt that a task instance of either Airflow stands for."""
    index = getattr(task_instance, "map_index", None)
    return Attempt(
        str(task_instance.dag_id),
        str(task_instance.run_id),
        str(task_instance.task_id),
        -1 if index is None else int(index),
        int(task_instance.try_number or 0),
    )


def current_attempt() -> Attempt | None:
    """The attempt that runs in this process now, or None outside of a task."""
    from airflow_provider_mlgov._compat import get_current_context

    try:
        return attempt_of(get_current_context()["ti"])
    except (RuntimeError, KeyError):
        return None


def _facts(attempt: Attempt | None) -> Facts:
    attempt = attempt or current_attempt()
    if attempt is None:
        log.warning("No task runs here, so nothing will record this fact: call it from inside a task")
        return Facts()
    return _STORE.setdefault(attempt, Facts())


def add_input(dataset: Json, *, attempt: Attempt | None = None) -> None:
    """Say that the task reads this OpenLineage dataset (JSON: ``namespace``, ``name``, ``facets``, ``inputFacets``)."""
    _facts(attempt).inputs.append(dataset)


def add_output(dataset: Json, *, attempt: Attempt | None = None) -> None:
    """Say that the task writes this OpenLineage dataset (JSON: ``namespace``, ``name``, ``facets``, ``outputFacets``)."""
    _facts(attempt).outputs.append(dataset)


def add_job_facet(name: str, facet: Mapping[str, Any], *, attempt: Attempt | None = None) -> None:
    """Add a job facet to the task's event; a second one of the same name replaces the first."""
    _facts(attempt).job_facets[name] = dict(facet)


def add_run_facet(name: str, facet: Mapping[str, Any], *, attempt: Attempt | None = None) -> None:
    """Add a run facet to the task's event; a second one of the same name replaces the first."""
    _facts(attempt).run_facets[name] = dict(facet)


def take(attempt: Attempt) -> Facts:
    """Hand over what was said about an attempt, and forget it."""
    return _STORE.pop(attempt, Facts())


def forget_all() -> None:
    """Forget everything (for tests)."""
    _STORE.clear()
