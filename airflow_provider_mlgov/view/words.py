"""Facts in words for a reader; all formats but JSON speak them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

from airflow_provider_mlgov.model.entity import Ref
from airflow_provider_mlgov.view import labels
from airflow_provider_mlgov.view.outline import natural
from airflow_provider_mlgov.view.values import FAILED, Attempt, Edge, Graph, Node, RunGraph, Standing, Step, WalkGraph

_METRICS = 4
"""Metrics that are shown beside a build; JSON has all."""
_TITLES = 4
"""Names of mapped task runs that are shown beside what they did together."""


def number(value: object) -> str:
    """``0.9722``, ``1,797``, ``1.2e-05``."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return labels.clean(value)
    return f"{value:,}" if isinstance(value, int) else f"{value:.4g}"


def size(count: float) -> str:
    """``512 B``, ``1.4 MB``."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} B" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"


def plural(count: int, word: str) -> str:
    """``1 row``, ``2 rows``."""
    return f"{count:,} {word}" if count == 1 else f"{count:,} {word}s"


def of_facts(facts: Mapping[str, Any]) -> list[str]:
    """What is worth saying of data, a build, an evaluation or a deployment in one line."""
    return [labels.clean(say(facts[key])) for key, say in _SAY.items() if facts.get(key) is not None]


def _metrics(values: Mapping[str, Any]) -> str:
    shown = [f"{name} {number(values[name])}" for name in sorted(values)[:_METRICS]]
    if len(values) > _METRICS:
        shown.append(f"{len(values) - _METRICS} more metrics")
    return ", ".join(shown)


_SAY: Mapping[str, Callable[[Any], str]] = {
    "aliases": lambda names: "alias " + ", ".join(names),
    "split": lambda name: f"{name} split",
    "rowCount": lambda count: plural(count, "row"),
    "fileCount": lambda count: plural(count, "file"),
    "size": size,
    "version": lambda version: f"version {version}",
    "algorithm": str,
    "metrics": _metrics,
    "registered": lambda _: "registered",
    "outcome": str,
    "status": str,
}


def of_node(node: Node) -> list[str]:
    """A node in words, without its kind and name."""
    # The version of a build says less than its key, which is in its name.
    said = of_facts({key: value for key, value in node.facts.items() if key != "version" or node.kind != "build"})
    if node.deleted:
        said.append("deleted from the catalogue")
    elif node.old:
        said.append("no longer: only deleted lineage leads here")
    return said


def of_step(step: Step, attempts: Mapping[Ref, Attempt]) -> list[str]:
    """A step in words, without its name."""
    said = [step.role] if step.role != "processing" else []
    runs = [attempts[ref] for ref in step.runs if ref in attempts]
    if len(runs) == 1:
        said += of_attempt(runs[0])
    elif runs:
        said.append(f"{plural(len(runs), 'task run')}: {_counts(runs)}")
    if step.facts.get("lastRun"):
        said.append(f"last: {labels.run_name(step.facts['lastRun']).removeprefix(step.name).lstrip('., ')}")
    if step.facts.get("lastState"):
        said.append(labels.clean(step.facts["lastState"]))
    if step.deleted or step.old:
        said.append("deleted from the catalogue" if step.deleted else "no longer: its edges were deleted")
    return said


def step_title(step: Step, attempts: Mapping[Ref, Attempt]) -> str:
    """The task with its map indices: ``train[2]``."""
    titles = sorted({attempts[ref].title for ref in step.runs if ref in attempts}, key=natural)
    if not titles:
        return step.name
    more = [f"and {len(titles) - _TITLES} more"] if len(titles) > _TITLES else []
    return labels.clean(", ".join(titles[:_TITLES] + more))


def of_attempt(attempt: Attempt) -> list[str]:
    """An attempt in words, without its task."""
    said = [state(attempt)]
    if attempt.try_number > 1:
        said.append(f"try {attempt.try_number}")
    if attempt.map_label:
        said.append(labels.clean(attempt.map_label))
    if attempt.seconds is not None:
        said.append(labels.duration(attempt.seconds))
    return said + [word for word in (source(attempt),) if word]


def state(attempt: Attempt) -> str:
    """Airflow's word for how it ended."""
    return labels.clean(attempt.state) if attempt.state else "running"


def source(attempt: Attempt) -> str:
    """Who said how it ended, if it was not the task itself."""
    return {"manual": "set by hand", "reconciled": "learnt when the run ended"}.get(attempt.state_source or "", "")


def _counts(runs: Iterable[Attempt]) -> str:
    counts: dict[str, int] = {}
    for run in runs:
        counts[state(run)] = counts.get(state(run), 0) + 1
    return ", ".join(f"{count} {word}" for word, count in sorted(counts.items()))


def error_line(text: str) -> str:
    """The line of an error that says most: the last one of a traceback, else the first."""
    lines = [labels.clean(line) for line in text.splitlines() if labels.clean(line)]
    if not lines:
        return ""
    return lines[-1] if lines[0].startswith("Traceback") else lines[0]


def failed(attempt: Attempt) -> bool:
    """Whether it did not do its work, whatever came later."""
    return attempt.state in FAILED


# --- endpoints -------------------------------------------------------------------------------------------------------


def of_standing(standing: Standing) -> str:
    """What an endpoint serves now, seen from this graph."""
    if standing.serves_now:
        serving = next(service for service in standing.services if service.now)
        return f"serves {serving.build_name} now"
    if standing.idle:
        return "serves nothing now: its newest deployment is stopped"
    if standing.current_build_name:
        return f"has moved on: it serves {standing.current_build_name} now, which is outside this graph"
    return "serves nothing of this graph now"


def summary(standings: Iterable[Standing]) -> str:
    """How many endpoints serve a build of this graph now, and how many ever did."""
    standings = tuple(standings)
    now = sum(standing.serves_now for standing in standings)
    return f"{plural(now, 'endpoint')} now, {len(standings)} ever"


def with_endpoints(view: RunGraph | WalkGraph) -> Graph:
    """The graph with its endpoints as members, each behind the deployments it served."""
    graph = view.graph
    names = {standing.ref: standing for standing in view.endpoints}
    nodes = [
        Node(ref, "endpoint", f"{standing.environment}/{standing.name}", {"url": standing.url} if standing.url else {})
        for ref, standing in names.items()
    ]
    edges = [
        Edge(service.ref, standing.ref, old=not service.now)
        for standing in view.endpoints
        for service in standing.services
    ]
    return replace(graph, nodes=graph.nodes + tuple(nodes), edges=graph.edges + tuple(edges))
