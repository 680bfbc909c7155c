"""The lineage of one DAG run, read from the catalogue.

The cost follows from the size of the run, not from how many runs went before: the DAG run is read by its name, its
task runs are searched by the run's token, and what they read and wrote stands on each of them.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from airflow_provider_mlgov.catalog.catalog import Catalog, Json
from airflow_provider_mlgov.errors import EntityNotFoundError
from airflow_provider_mlgov.model import identity
from airflow_provider_mlgov.model.entity import Ref
from airflow_provider_mlgov.view import children, facts, labels
from airflow_provider_mlgov.view.endpoints import standings
from airflow_provider_mlgov.view.values import Attempt, Edge, Graph, Node, Run, RunGraph, Step, Use, edge_key

_ATTRIBUTES = (
    "qualifiedName", "taskId", "mapIndex", "mapLabel", "tryNumber", "state", "stateSource", "operator", "taskGroup",
    "startTime", "endTime", "errorMessage", "hostname", "logUrl", "io", "openLineageRunId",
)  # fmt: skip
_USE = ("version", "rowCount", "size", "fileCount", "split")
_PAGE = 500


def run_graph(catalog: Catalog, dag_id: str, run_id: str, namespace: str) -> RunGraph:
    """The lineage of one DAG run; `EntityNotFoundError`, with what is there, if the catalogue knows nothing of it."""
    name = identity.DagRun(namespace, dag_id, run_id)
    if catalog.type_definition(name.type_name) is None:
        said = f"{catalog.identity} has none of our types: nothing was recorded there yet"
        raise EntityNotFoundError(said, error_code="ATLAS-404-00-001", status=404)
    stored = catalog.get(name.type_name, str(name))
    headers = _task_runs(catalog, name.key)
    below = list(children.job_runs(catalog, _roots(stored, headers), _ATTRIBUTES))
    if stored is None and not headers:
        raise EntityNotFoundError(_missing(catalog, name), error_code="ATLAS-404-00-009", status=404)
    told = [(_attempt(header), _io(header)) for header in headers] + [(_child(header), _io(header)) for header in below]
    read = sorted(told, key=lambda item: _order(item[0]))
    builder = _Builder()
    for attempt, io in read:
        builder.add(attempt, io)
    attempts = tuple(attempt for attempt, _ in read)
    known = facts.of_entities(catalog, builder.uses)
    graph = builder.graph(known)
    deployments = {node.ref: node.facts for node in graph.nodes if node.ref.type_name == identity.Deployment.type_name}
    return RunGraph(
        run=_run(name, stored, attempts),
        attempts=attempts,
        graph=graph,
        endpoints=standings(catalog, deployments),
    )


def _task_runs(catalog: Catalog, run_key: str) -> list[Json]:
    found: dict[str, Json] = {}
    offset = 0
    while True:
        page = catalog.search(
            identity.TaskRun.type_name, {"runKey": run_key}, attributes=_ATTRIBUTES, limit=_PAGE, offset=offset
        )
        for header in page:
            found[header["attributes"]["qualifiedName"]] = header
        if len(page) < _PAGE:
            return list(found.values())
        offset += _PAGE


def _roots(stored: Json | None, headers: Iterable[Json]) -> list[str]:
    """Tokens of the runs that others may have begun with."""
    ids = [header["attributes"].get("openLineageRunId") for header in headers]
    ids.insert(0, stored["attributes"].get("openLineageRunId") if stored else None)
    return [identity.token(run) for run in ids if run]


def _child(header: Json) -> Attempt:
    """A run of another system."""
    values = header["attributes"]
    process = next((item["qualifiedName"] for item in _io(header).get("processes") or ()), None)
    ref = Ref(identity.JobRun.type_name, values["qualifiedName"])
    return replace(_attempt(header), ref=ref, task_id=labels.clean(children.worker(values, process)))


def _attempt(header: Json) -> Attempt:
    values: Mapping[str, Any] = header["attributes"]
    name = values["qualifiedName"]
    document = _io(header)
    datasets = _datasets(document)
    return Attempt(
        ref=Ref(identity.TaskRun.type_name, name),
        task_id=values.get("taskId") or labels.run_name(name),
        map_index=_number(values.get("mapIndex"), -1),
        try_number=_number(values.get("tryNumber"), 1),
        state=values.get("state"),
        state_source=values.get("stateSource"),
        map_label=values.get("mapLabel"),
        operator=values.get("operator"),
        task_group=values.get("taskGroup"),
        started=values.get("startTime") or None,  # Atlas gives 0 for a time that was never set
        ended=values.get("endTime") or None,
        error=values.get("errorMessage"),
        hostname=values.get("hostname"),
        log_url=values.get("logUrl"),
        reads=tuple(_pick(datasets, document.get("inputs"))),
        writes=tuple(_pick(datasets, document.get("outputs"))),
    )


def _number(value: object, default: int) -> int:
    return value if isinstance(value, int) else default


def _io(header: Json) -> Json:
    document = facts.parse(header["attributes"].get("io"))
    return document if isinstance(document, dict) and document.get("v") == 1 else {}


def _datasets(document: Json) -> list[Use]:
    return [
        Use(
            ref := Ref(item["typeName"], item["qualifiedName"]),
            labels.name(ref, item.get("name")),
            {key: item[key] for key in _USE if item.get(key) is not None},
        )
        for item in document.get("datasets") or ()
    ]


def _pick(datasets: list[Use], indices: Iterable[int] | None) -> list[Use]:
    return [datasets[index] for index in indices or () if 0 <= index < len(datasets)]


def _order(attempt: Attempt) -> tuple[bool, int, str, int, int]:
    """By time; what never started comes last."""
    begun = attempt.started if attempt.started is not None else attempt.ended
    return begun is None, begun or 0, attempt.task_id, attempt.map_index, attempt.try_number


class _Builder:
    """Unites what the attempts of a run say."""

    def __init__(self) -> None:
        self.uses: dict[Ref, Use] = {}
        self._written: set[Ref] = set()
        self._steps: dict[Ref, list[Attempt]] = {}
        self._edges: set[Edge] = set()

    def add(self, attempt: Attempt, io: Json) -> None:
        """Take in one attempt; later attempts win, and what was written says more than what was read."""
        datasets = _datasets(io)
        for process in io.get("processes") or ():
            step = Ref(process["typeName"], process["qualifiedName"])
            self._steps.setdefault(step, []).append(attempt)
            for use in _pick(datasets, process.get("inputs")):
                self._edges.add(Edge(use.ref, step))
                if use.ref not in self._written:
                    self.uses[use.ref] = use
            for use in _pick(datasets, process.get("outputs")):
                self._edges.add(Edge(step, use.ref))
                self._written.add(use.ref)
                self.uses[use.ref] = use

    def graph(self, known: Mapping[Ref, Mapping[str, Any]]) -> Graph:
        """The graph, with what the catalogue knows of its nodes now."""
        for step in children.repeated(self._edges):
            del self._steps[step]
            self._edges = {edge for edge in self._edges if step not in (edge.source, edge.target)}
        nodes = [
            Node(ref, labels.kind(ref.type_name), use.name, {**use.facts, **known.get(ref, {})})
            for ref, use in self.uses.items()
        ]
        steps = [
            Step(ref, labels.role(ref.type_name), runs[0].task_id, tuple(run.ref for run in runs))
            for ref, runs in self._steps.items()
        ]
        return Graph(
            nodes=tuple(sorted(nodes, key=lambda node: (node.name, node.ref.type_name, node.ref.qualified_name))),
            steps=tuple(sorted(steps, key=lambda step: (step.name, step.ref.type_name, step.ref.qualified_name))),
            edges=tuple(sorted(self._edges, key=edge_key)),
        )


def _run(name: identity.DagRun, stored: Json | None, attempts: Iterable[Attempt]) -> Run:
    values: Mapping[str, Any] = stored["attributes"] if stored else {}
    started, logical_date = values.get("startTime") or None, values.get("logicalDate") or None
    if started and started == logical_date:  # `airflow dags test` of 2.11 says that a run began at its logical date
        started = min((attempt.started for attempt in attempts if attempt.started is not None), default=started)
    return Run(
        ref=Ref(name.type_name, str(name)),
        dag_id=name.dag,
        run_id=name.run,
        namespace=name.namespace,
        known=stored is not None,
        state=values.get("state"),
        run_type=values.get("runType"),
        started=started,
        ended=values.get("endTime") or None,
        logical_date=logical_date,
        dag_version=values.get("dagVersion"),
    )


def _missing(catalog: Catalog, name: identity.DagRun) -> str:
    said = f"no run {name.run!r} of DAG {name.dag!r} in Airflow namespace {name.namespace!r} of {catalog.identity}"
    key = identity.Dag(name.namespace, name.dag).key
    runs = catalog.search(name.type_name, {"dagKey": key}, attributes=("runId", "startTime"), limit=200)
    if runs:
        newest = sorted(runs, key=lambda run: run["attributes"].get("startTime") or 0, reverse=True)
        ids = [str(run["attributes"].get("runId")) for run in newest]
        shown = difflib.get_close_matches(name.run, ids, n=3) or ids[:3]
        return f"{said}; this DAG's runs there include {', '.join(map(repr, shown))}"
    dags = catalog.search(identity.Dag.type_name, attributes=("dagId", "airflowNamespace"), limit=500)
    elsewhere = sorted(
        {str(dag["attributes"].get("airflowNamespace")) for dag in dags if dag["attributes"].get("dagId") == name.dag}
    )
    if elsewhere:
        return f"{said}; this DAG is known in namespace {', '.join(map(repr, elsewhere))}: give --namespace"
    near = difflib.get_close_matches(name.dag, {str(dag["attributes"].get("dagId")) for dag in dags}, n=3)
    if near:
        return f"{said}; DAGs of similar name: {', '.join(map(repr, near))}"
    return f"{said}; if it ran, its events may still wait: see `mlgov spool status`"
