"""A graph as a forest: every member once in full, under the one it hangs on most deeply, and elsewhere by reference."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace

from airflow_provider_mlgov.model.entity import Ref
from airflow_provider_mlgov.view.values import Edge, Graph

Rank = Callable[[Ref], tuple[object, ...]]
"""Gives what members are sorted by."""


@dataclass
class Branch:
    """A member of the graph at one place of the forest."""

    ref: Ref
    old: bool = False
    """Whether the edge that leads here was deleted."""
    reference: bool = False
    """Whether the member is shown in full at another place."""
    home: Ref | None = None
    """Of a reference: what the member hangs on there; None if it is a root."""
    children: list[Branch] = field(default_factory=list)


def natural(text: str) -> tuple[tuple[int, int, str], ...]:
    """A key by which ``train[2]`` comes before ``train[10]``."""
    parts = re.split(r"(\d+)", text)
    return tuple((1, int(part), "") if index % 2 else (0, 0, part) for index, part in enumerate(parts))


def outline(graph: Graph, rank: Rank, *, upward: bool = False, first: Iterable[Ref] = ()) -> list[Branch]:
    """The forest of ``graph``: from the sources down, or, ``upward``, from what was made up to its sources.

    ``first`` names the members to begin with where that is open (in a cycle).
    """
    edges = [replace(edge, source=edge.target, target=edge.source) for edge in graph.edges] if upward else graph.edges
    members = sorted([member.ref for member in graph.members], key=rank)
    following: dict[Ref, list[Edge]] = {ref: [] for ref in members}
    leading: dict[Ref, list[Edge]] = {ref: [] for ref in members}
    for edge in edges:
        following[edge.source].append(edge)
        leading[edge.target].append(edge)
    order = _order(members, following, leading, first)
    homes = _homes(order, leading)
    branches = {ref: Branch(ref) for ref in members}
    for source, found in following.items():
        for edge in sorted(found, key=lambda edge: rank(edge.target)):
            at_home = homes.get(edge.target) == edge
            child = branches[edge.target] if at_home else Branch(edge.target, reference=True, home=_home(homes, edge))
            child.old = edge.old
            branches[source].children.append(child)
        branches[source].children.sort(key=lambda branch: branch.reference)
    return [branches[ref] for ref in sorted(members, key=order.__getitem__) if ref not in homes]


def _home(homes: Mapping[Ref, Edge], edge: Edge) -> Ref | None:
    home = homes.get(edge.target)
    return home.source if home else None


def _order(
    members: list[Ref], following: Mapping[Ref, list[Edge]], leading: Mapping[Ref, list[Edge]], first: Iterable[Ref]
) -> dict[Ref, int]:
    """A topological order: the position of each member; an edge that closes a cycle leads backwards."""
    sources = [ref for ref in members if not leading[ref]]
    finished: list[Ref] = []
    seen: set[Ref] = set()
    for root in [*reversed(sources), *(ref for ref in first if ref in following), *reversed(members)]:
        if root not in seen:
            _visit(root, following, seen, finished)
    return {ref: position for position, ref in enumerate(reversed(finished))}


def _visit(root: Ref, following: Mapping[Ref, list[Edge]], seen: set[Ref], finished: list[Ref]) -> None:
    """Depth first from ``root``, without recursion: a chain may be long."""
    seen.add(root)
    stack = [(root, iter(following[root]))]
    while stack:
        ref, rest = stack[-1]
        for edge in rest:
            if edge.target not in seen:
                seen.add(edge.target)
                stack.append((edge.target, iter(following[edge.target])))
                break
        else:
            finished.append(ref)
            stack.pop()


def _homes(order: Mapping[Ref, int], leading: Mapping[Ref, list[Edge]]) -> dict[Ref, Edge]:
    """The edge under which each member is shown in full: one of now if there is one, and of these the deepest."""
    depth: dict[Ref, int] = {}
    homes: dict[Ref, Edge] = {}
    for ref in sorted(order, key=order.__getitem__):
        forward = [edge for edge in leading[ref] if order[edge.source] < order[ref]]
        depth[ref] = max((depth[edge.source] + 1 for edge in forward), default=0)
        if forward:
            homes[ref] = max(forward, key=lambda edge: (not edge.old, depth[edge.source], -order[edge.source]))
    return homes
