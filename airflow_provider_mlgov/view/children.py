"""Runs of other systems below a DAG run: a Spark application that a task submitted, and its executions; a dbt run and its models.

They are found by the token of the run that everything began with: the DAG run, or the task run where the producer was told no more.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from airflow_provider_mlgov.catalog.catalog import Catalog, Json
from airflow_provider_mlgov.errors import InvalidNameError
from airflow_provider_mlgov.model import identity
from airflow_provider_mlgov.view import facts
from airflow_provider_mlgov.view.values import Edge

_PAGE = 500
_MOST_ROOTS = 300
"""Task runs whose children are asked for one by one."""


def job_runs(catalog: Catalog, roots: Iterable[str], attributes: tuple[str, ...]) -> Iterator[Json]:
    """Headers of the job runs below these runs, each once, those that did or failed to do something."""
    definition = catalog.type_definition(identity.JobRun.type_name)
    if definition is None or all(item["name"] != "rootKey" for item in definition["attributeDefs"]):
        return  # types of an older version
    wanted = (*(name for name in attributes if name not in _OF_TASKS), "jobName")
    seen: set[str] = set()
    for root in list(dict.fromkeys(roots))[:_MOST_ROOTS]:
        for header in _search(catalog, root, wanted):
            name = header["attributes"]["qualifiedName"]
            if name not in seen and _matters(header["attributes"]):
                seen.add(name)
                yield header


_OF_TASKS = frozenset({"taskId", "mapIndex", "mapLabel", "tryNumber", "operator", "taskGroup", "logUrl"})


def _search(catalog: Catalog, root: str, attributes: tuple[str, ...]) -> Iterator[Json]:
    offset = 0
    while True:
        page = catalog.search(
            identity.JobRun.type_name, {"rootKey": root}, attributes=attributes, limit=_PAGE, offset=offset
        )
        yield from page
        if len(page) < _PAGE:
            return
        offset += _PAGE


def _matters(values: dict[str, Any]) -> bool:
    io = facts.parse(values.get("io"))
    does = isinstance(io, dict) and bool(io.get("processes"))
    return does or values.get("state") not in (None, "success")


def worker(values: dict[str, Any], process: str | None) -> str:
    """The job whose process it is: the application, for one of its executions."""
    try:
        return identity.JobProcess.parse(process or "").job
    except InvalidNameError:
        return str(values.get("jobName") or values["qualifiedName"])


def repeated(edges: Iterable[Edge]) -> set[Any]:
    """The steps of jobs that tell no edge which a task does not tell too: the task that started them declared the same."""
    ends: dict[Any, tuple[set[Any], set[Any]]] = {}
    for edge in edges:
        for ref, side, other in ((edge.target, 0, edge.source), (edge.source, 1, edge.target)):
            if ref.type_name.endswith("_process"):
                ends.setdefault(ref, (set(), set()))[side].add(other)
    jobs = {ref: both for ref, both in ends.items() if ref.type_name == identity.JobProcess.type_name}
    tasks = [both for ref, both in ends.items() if ref not in jobs]
    return {
        ref
        for ref, (inputs, outputs) in jobs.items()
        if any(inputs <= ours[0] and outputs <= ours[1] for ours in tasks)
    }
