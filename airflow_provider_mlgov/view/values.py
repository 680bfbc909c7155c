"""What a lineage view is made of: frozen values that hold no connection and know no format."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from airflow_provider_mlgov.model.entity import Ref

Toward = Literal["up", "down", "both"]
"""Which way a walk goes from its start: to the sources, to what was made of it, or both."""

FAILED = frozenset({"failed", "upstream_failed", "up_for_retry", "removed", "killed", "shutdown"})
"""States of attempts that did not do their work."""


@dataclass(frozen=True)
class Node:
    """Something that is read or written: data, a model, a build, an evaluation, a deployment."""

    ref: Ref
    kind: str
    """One word for a reader: table, file, topic, build, deployment …"""
    name: str
    facts: Mapping[str, Any] = field(default_factory=dict)
    """What is known of it, in JSON's types: ``rowCount``, ``version``, ``status`` …; the unknown is absent."""
    deleted: bool = False
    """Whether the entity itself was deleted in the catalogue."""
    old: bool = False
    """Whether only deleted edges or entities lead to it: it was so once, and is not so now."""


@dataclass(frozen=True)
class Step:
    """A process: what makes its outputs from its inputs."""

    ref: Ref
    role: str
    """``training``, ``evaluating``, ``deploying``, ``scoring`` or ``processing``."""
    name: str
    runs: tuple[Ref, ...] = ()
    """The attempts of this DAG run that did it; empty in a walk."""
    facts: Mapping[str, Any] = field(default_factory=dict)
    deleted: bool = False
    old: bool = False


@dataclass(frozen=True)
class Edge:
    """From what is read to the step, or from the step to what is written."""

    source: Ref
    target: Ref
    old: bool = False
    """Whether the edge was deleted."""


def edge_key(edge: Edge) -> tuple[str, str, str, str]:
    """What edges are sorted by."""
    return edge.source.type_name, edge.source.qualified_name, edge.target.type_name, edge.target.qualified_name


@dataclass(frozen=True)
class Graph:
    """Nodes and steps, each once, in a fixed order."""

    nodes: tuple[Node, ...] = ()
    steps: tuple[Step, ...] = ()
    edges: tuple[Edge, ...] = ()

    @property
    def members(self) -> tuple[Node | Step, ...]:
        """Nodes and steps."""
        return (*self.nodes, *self.steps)


@dataclass(frozen=True)
class Use:
    """One dataset as one attempt met it."""

    ref: Ref
    name: str
    facts: Mapping[str, Any] = field(default_factory=dict)
    """``version``, ``rowCount``, ``size``, ``fileCount``, ``split``."""


@dataclass(frozen=True)
class Attempt:
    """One attempt of one task."""

    ref: Ref
    task_id: str
    map_index: int
    try_number: int
    state: str | None = None
    """Airflow's word; None while it runs."""
    state_source: str | None = None
    map_label: str | None = None
    operator: str | None = None
    task_group: str | None = None
    started: int | None = None
    ended: int | None = None
    error: str | None = None
    hostname: str | None = None
    log_url: str | None = None
    reads: tuple[Use, ...] = ()
    writes: tuple[Use, ...] = ()

    @property
    def title(self) -> str:
        """``train``, or ``train[2]`` where it is mapped."""
        return self.task_id if self.map_index < 0 else f"{self.task_id}[{self.map_index}]"

    @property
    def seconds(self) -> float | None:
        """How long it took, where both ends are known."""
        return None if self.started is None or self.ended is None else max(0, self.ended - self.started) / 1000


@dataclass(frozen=True)
class Run:
    """A DAG run."""

    ref: Ref
    dag_id: str
    run_id: str
    namespace: str
    known: bool
    """Whether the catalogue has the DAG run itself, not only its task runs."""
    state: str | None = None
    run_type: str | None = None
    started: int | None = None
    ended: int | None = None
    logical_date: int | None = None
    dag_version: str | None = None


@dataclass(frozen=True)
class Service:
    """A deployment and whether it serves."""

    ref: Ref
    build: Ref
    build_name: str
    status: str | None
    now: bool
    """Whether its endpoint serves it now."""


@dataclass(frozen=True)
class Standing:
    """An endpoint that served something of this graph, and what it serves now."""

    ref: Ref
    project: str
    environment: str
    name: str
    url: str | None
    services: tuple[Service, ...]
    """The deployments of this graph at this endpoint; the one that serves comes first."""
    current_deployment: Ref | None = None
    current_build: Ref | None = None
    current_build_name: str | None = None
    idle: bool = False
    """Whether the endpoint's newest deployment is stopped too, so that nothing serves there."""

    @property
    def serves_now(self) -> bool:
        """Whether the endpoint serves a build of this graph now."""
        return any(service.now for service in self.services)


@dataclass(frozen=True)
class RunGraph:
    """The lineage of one DAG run."""

    run: Run
    attempts: tuple[Attempt, ...] = ()
    graph: Graph = field(default_factory=Graph)
    endpoints: tuple[Standing, ...] = ()


@dataclass(frozen=True)
class WalkGraph:
    """A walk over the whole graph from one entity."""

    start: tuple[Ref, ...]
    """Where it began: the entity asked for, or what stands for it where it has no lineage of its own (an endpoint)."""
    asked: Ref
    direction: Toward
    depth: int
    """Hops from dataset to dataset; 0 has no limit."""
    cut: bool = False
    """Whether it stopped at ``depth``, so that there may be more."""
    graph: Graph = field(default_factory=Graph)
    endpoints: tuple[Standing, ...] = ()
    notes: tuple[str, ...] = ()
