"""A walk over the whole lineage graph: what was it made of, what was made of it, and where does that serve now.

Atlas's lineage answer also holds deleted entities and deleted edges, and does not say which edges are deleted; each
process says that of its own. What only they lead to is marked as old.
"""

from __future__ import annotations

import difflib
from collections.abc import Container, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, TypeVar

from airflow_provider_mlgov.catalog.catalog import Catalog, Direction, Json
from airflow_provider_mlgov.errors import CatalogRefusedError, EntityNotFoundError, InvalidInputError
from airflow_provider_mlgov.model import identity
from airflow_provider_mlgov.model.entity import Ref
from airflow_provider_mlgov.view import facts, labels
from airflow_provider_mlgov.view.endpoints import standings
from airflow_provider_mlgov.view.values import Edge, Graph, Node, Step, Toward, WalkGraph, edge_key

_DIRECTIONS: Mapping[Toward, Direction] = {"up": "INPUT", "down": "OUTPUT", "both": "BOTH"}
_STEP_FACTS = (
    "lastRun",
    "lastState",
    "operator",
    "dagId",
    "taskId",
    "jobName",
    "codeRepository",
    "codeVersion",
    "startTime",
)
_READERS = 4
"""Processes that are read at the same time."""
_BUILDS = 50
"""Builds of a model that a walk starts from."""


def walk(
    catalog: Catalog, type_name: str, qualified_name: str, direction: Toward = "both", depth: int = 0
) -> WalkGraph:
    """The graph around one entity, ``depth`` hops from dataset to dataset (0: all of it).

    An endpoint stands for its current deployment, a model for its builds. Raises `EntityNotFoundError`, with near
    matches, for what is not there, and `InvalidInputError` for a type that has no lineage.
    """
    asked = Ref(type_name, qualified_name)
    starts, notes = _starts(catalog, asked)
    found = _Found()
    for start in starts:
        found.add(catalog, start, _lineage(catalog, start, direction, depth))
    found.read_processes(catalog)
    graph = _graph(catalog, found, direction)
    deployments = {node.ref: node.facts for node in graph.nodes if node.ref.type_name == identity.Deployment.type_name}
    farthest = max(found.reach(direction, old=True).values())
    return WalkGraph(
        start=tuple(found.ref(guid) for guid in found.begin),
        asked=asked,
        direction=direction,
        depth=depth,
        cut=0 < depth <= farthest,
        graph=graph,
        endpoints=standings(catalog, deployments),
        notes=notes,
    )


@dataclass
class _Found:
    """Atlas's answers, united."""

    begin: list[str] = field(default_factory=list)
    headers: dict[str, Json] = field(default_factory=dict)
    relations: set[tuple[str, str]] = field(default_factory=set)
    processes: dict[str, Json] = field(default_factory=dict)

    def add(self, catalog: Catalog, start: Ref, answer: Json) -> None:
        """Take in the lineage of ``start``; where the answer holds no entity, the start is all there is."""
        self.headers |= answer.get("guidEntityMap") or {}
        self.relations |= {(edge["fromEntityId"], edge["toEntityId"]) for edge in answer.get("relations") or ()}
        guid = str(answer["baseEntityGuid"])
        if guid not in self.headers:
            self.headers[guid] = catalog.get(start.type_name, start.qualified_name) or {"typeName": start.type_name}
        self.begin.append(guid)

    def ref(self, guid: str) -> Ref:
        header = self.headers[guid]
        return Ref(header["typeName"], str((header.get("attributes") or {}).get("qualifiedName") or guid))

    def deleted(self, guid: str) -> bool:
        return self.headers[guid].get("status") == "DELETED"

    def read_processes(self, catalog: Catalog) -> None:
        """Read the processes with their relationships, which say what became of each edge."""
        types: dict[str, bool] = {}
        guids = [guid for guid, header in self.headers.items() if _is_process(catalog, header["typeName"], types)]
        if guids:
            with ThreadPoolExecutor(max_workers=min(_READERS, len(guids))) as pool:
                entities = pool.map(lambda guid: catalog.get_by_guid(guid, relationships=True), guids)
                self.processes = {guid: entity or {} for guid, entity in zip(guids, entities, strict=True)}

    def edges(self) -> list[tuple[str, str, bool]]:
        """From, to, and whether the edge is old."""
        return [(source, target, self._is_old(source, target)) for source, target in sorted(self.relations)]

    def _is_old(self, source: str, target: str) -> bool:
        if self.deleted(source) or self.deleted(target):
            return True
        process, other, side = (source, target, "outputs") if source in self.processes else (target, source, "inputs")
        ends = (self.processes.get(process, {}).get("relationshipAttributes") or {}).get(side) or ()
        states = [end.get("relationshipStatus", "ACTIVE") for end in ends if end.get("guid") == other]
        return bool(states) and "ACTIVE" not in states

    def reach(self, direction: Toward, *, old: bool) -> dict[str, int]:
        """What the edges (``old`` ones too, or only those of now) lead to, and over how many hops between data sets."""
        down: dict[str, list[str]] = {}
        up: dict[str, list[str]] = {}
        for source, target, is_old in self.edges():
            if old or not is_old:
                down.setdefault(source, []).append(target)
                up.setdefault(target, []).append(source)
        distances = dict.fromkeys(self.begin, 0)
        for way in {"down": (down,), "up": (up,), "both": (down, up)}[direction]:
            distances |= {
                guid: max(hops, distances.get(guid, 0)) for guid, hops in _hops(self.begin, way, self.processes).items()
            }
        return distances


def _hops(begin: list[str], way: Mapping[str, list[str]], processes: Container[str]) -> dict[str, int]:
    reached = dict.fromkeys(begin, 0)
    layer = begin
    while layer:
        following: list[str] = []
        for guid in layer:
            for other in way.get(guid, ()):
                if other not in reached:
                    reached[other] = reached[guid] + (guid in processes)
                    following.append(other)
        layer = following
    return reached


def _is_process(catalog: Catalog, type_name: str, known: dict[str, bool]) -> bool:
    """Whether a type is Atlas's ``Process`` or below it; ``known`` remembers."""
    if type_name not in known:
        known[type_name] = type_name == "Process"
        supers = (catalog.type_definition(type_name) or {}).get("superTypes") or ()
        known[type_name] = known[type_name] or any(_is_process(catalog, name, known) for name in supers)
    return known[type_name]


# --- where to start --------------------------------------------------------------------------------------------------


def _starts(catalog: Catalog, asked: Ref) -> tuple[tuple[Ref, ...], tuple[str, ...]]:
    if asked.type_name == identity.Endpoint.type_name:
        return _endpoint_starts(catalog, asked)
    if asked.type_name == identity.Model.type_name:
        return _model_starts(catalog, asked)
    return (asked,), ()


def _endpoint_starts(catalog: Catalog, asked: Ref) -> tuple[tuple[Ref, ...], tuple[str, ...]]:
    entity = catalog.get(asked.type_name, asked.qualified_name)
    if entity is None:
        raise _not_found(catalog, asked)
    current = entity["attributes"].get("currentDeployment")
    if not current:
        raise InvalidInputError(f"endpoint {labels.name(asked)} has no deployment yet, so no lineage leads to it")
    start = Ref(identity.Deployment.type_name, current)
    return (start,), (f"an endpoint stands for its current deployment: {labels.name(start)}",)


def _model_starts(catalog: Catalog, asked: Ref) -> tuple[tuple[Ref, ...], tuple[str, ...]]:
    if catalog.get(asked.type_name, asked.qualified_name) is None:
        raise _not_found(catalog, asked)
    key = identity.token(asked.qualified_name)
    headers = catalog.search(
        identity.Build.type_name, {"modelKey": key}, attributes=("qualifiedName", "createTime"), limit=10_000
    )
    newest = sorted(headers, key=lambda header: header["attributes"].get("createTime") or 0, reverse=True)
    builds = tuple(Ref(identity.Build.type_name, header["attributes"]["qualifiedName"]) for header in newest[:_BUILDS])
    note = f"a model stands for its builds: {len(builds)} of {len(headers)}, newest first"
    return (asked, *builds), (note,) if builds else ()


def _lineage(catalog: Catalog, start: Ref, direction: Toward, depth: int) -> Json:
    try:
        return catalog.lineage(start.type_name, start.qualified_name, direction=_DIRECTIONS[direction], depth=depth)
    except CatalogRefusedError as error:
        if catalog.type_definition(start.type_name) is None:
            raise _no_type(catalog, start) from None
        if catalog.get(start.type_name, start.qualified_name) is None:
            raise _not_found(catalog, start) from None
        if error.status == 404:  # ATLAS-404-00-011: it is there, and its type has no lineage
            raise _no_lineage(start) from None
        raise


def _no_lineage(start: Ref) -> InvalidInputError:
    hint = ": ask with --dag-id and --run-id" if start.type_name in ("mlgov_dag_run", "mlgov_task_run") else ""
    return InvalidInputError(
        f"a {start.type_name} has no lineage of its own; wanted a data set, a process, a build, a deployment, "
        f"an endpoint or a model{hint}"
    )


def _no_type(catalog: Catalog, asked: Ref) -> EntityNotFoundError:
    types = {item["name"] for item in catalog.type_definitions().get("entityDefs") or ()}
    near = _near(asked.type_name, types) or ", ".join(
        sorted(name for name in types if asked.type_name.lower() in name.lower())[:5]
    )
    said = f"{catalog.identity} has no type {asked.type_name!r}" + (f"; did you mean {near}?" if near else "")
    return EntityNotFoundError(said, error_code="ATLAS-404-00-001", status=404)


def _not_found(catalog: Catalog, asked: Ref) -> EntityNotFoundError:
    """The error for what is not there, which names what is."""
    said = f"{catalog.identity} has no {asked.type_name} named {asked.qualified_name!r}"
    headers = catalog.search(asked.type_name, attributes=("qualifiedName", "name"), limit=1000)
    names = {str(header["attributes"].get("qualifiedName")) for header in headers}
    same = {
        str(header["attributes"].get("qualifiedName"))
        for header in headers
        if asked.qualified_name in (header["attributes"].get("name"), _short(header))
    }
    near = ", ".join(map(repr, sorted(same)[:3])) or _near(asked.qualified_name, names)
    if near:
        said += f"; did you mean {near}?"
    elif names:
        said += f"; there are {len(names)} of that type, such as {min(names)!r}"
    else:
        said += "; there is none of that type"
    return EntityNotFoundError(said, error_code="ATLAS-404-00-009", status=404)


def _short(header: Json) -> str:
    return str(header["attributes"].get("qualifiedName")).rpartition("@")[0]


def _near(name: str, names: Iterable[str]) -> str:
    return ", ".join(map(repr, difflib.get_close_matches(name, sorted(names), n=3, cutoff=0.6)))


# --- what was found --------------------------------------------------------------------------------------------------


def _graph(catalog: Catalog, found: _Found, direction: Toward) -> Graph:
    present = found.reach(direction, old=False)
    data = [guid for guid in found.headers if guid not in found.processes]
    known = facts.of_entities(catalog, (found.ref(guid) for guid in data if not found.deleted(guid)))
    nodes = [_node(found, guid, known, old=guid not in present) for guid in data]
    steps = [_step(found, guid, old=guid not in present) for guid in found.processes]
    return Graph(
        nodes=tuple(
            sorted(_distinct(nodes), key=lambda node: (node.name, node.ref.type_name, node.ref.qualified_name))
        ),
        steps=tuple(
            sorted(_distinct(steps), key=lambda step: (step.name, step.ref.type_name, step.ref.qualified_name))
        ),
        edges=_distinct_edges(Edge(found.ref(source), found.ref(target), old) for source, target, old in found.edges()),
    )


def _node(found: _Found, guid: str, known: Mapping[Ref, Mapping[str, Any]], *, old: bool) -> Node:
    ref = found.ref(guid)
    name = labels.name(ref, (found.headers[guid].get("attributes") or {}).get("name"))
    return Node(ref, labels.kind(ref.type_name), name, known.get(ref, {}), deleted=found.deleted(guid), old=old)


def _step(found: _Found, guid: str, *, old: bool) -> Step:
    ref = found.ref(guid)
    attributes: Mapping[str, Any] = found.processes[guid].get("attributes") or {}
    values = {key: attributes[key] for key in _STEP_FACTS if attributes.get(key)}
    task = f"{values['dagId']}.{values['taskId']}" if "dagId" in values and "taskId" in values else None
    name = labels.clean(task or labels.name(ref, attributes.get("name")))
    return Step(ref, labels.role(ref.type_name), name, facts=values, deleted=found.deleted(guid), old=old)


Item = TypeVar("Item", Node, Step)


def _distinct(items: Iterable[Item]) -> list[Item]:
    """Each name once: a deleted entity and its successor share it, and the one that lives stands for both."""
    best: dict[Ref, Item] = {}
    for item in items:
        other = best.get(item.ref)
        if other is None or (item.deleted, item.old) < (other.deleted, other.old):
            best[item.ref] = item
    return list(best.values())


def _distinct_edges(edges: Iterable[Edge]) -> tuple[Edge, ...]:
    """Each pair of ends once: an edge that was deleted and made again is there."""
    best: dict[tuple[Ref, Ref], Edge] = {}
    for edge in edges:
        ends = (edge.source, edge.target)
        if ends not in best or best[ends].old:
            best[ends] = edge
    return tuple(sorted(best.values(), key=edge_key))
