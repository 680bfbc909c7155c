"""Lineage as the text of a diagram: Mermaid (which Markdown viewers draw) and DOT (Graphviz)."""

from __future__ import annotations

from airflow_provider_mlgov.model.entity import Ref
from airflow_provider_mlgov.view import labels, words
from airflow_provider_mlgov.view.values import Graph, Node, RunGraph, Step, WalkGraph

_MERMAID_ESCAPES = {"&": "&amp;", '"': "&quot;", "<": "&lt;", ">": "&gt;", "#": "&num;", "`": "&grave;", "\\": "&bsol;"}
_MERMAID_SHAPES = {
    "step": ("[[", "]]"),
    "build": ("{{", "}}"),
    "model": ("{{", "}}"),
    "deployment": ("([", "])"),
    "endpoint": ("((", "))"),
    "table": ("[(", ")]"),
}
_MERMAID_CLASSES = {
    "data": "fill:#e0f2fe,stroke:#0369a1,color:#0c4a6e",
    "step": "fill:#fef9c3,stroke:#a16207,color:#713f12",
    "learned": "fill:#f3e8ff,stroke:#7e22ce,color:#581c87",
    "serving": "fill:#dcfce7,stroke:#15803d,color:#14532d",
    "old": "fill:#f5f5f5,stroke:#a3a3a3,color:#525252,stroke-dasharray:4 3",
}
_DOT_SHAPES = {
    "step": "box",
    "build": "hexagon",
    "model": "hexagon",
    "deployment": "component",
    "endpoint": "doublecircle",
    "table": "cylinder",
}
_CLASS_OF_KIND = {
    "build": "learned",
    "model": "learned",
    "evaluation": "learned",
    "deployment": "serving",
    "endpoint": "serving",
}


def _ids(graph: Graph) -> dict[Ref, str]:
    ids = {node.ref: f"n{index}" for index, node in enumerate(graph.nodes)}
    return ids | {step.ref: f"s{index}" for index, step in enumerate(graph.steps)}


def _lines(item: Node | Step, view: RunGraph | WalkGraph) -> tuple[str, list[str]]:
    """Which kind of shape it is, and its lines of text."""
    if isinstance(item, Step):
        attempts = {attempt.ref: attempt for attempt in view.attempts} if isinstance(view, RunGraph) else {}
        return "step", [words.step_title(item, attempts), " · ".join(words.of_step(item, attempts))]
    standing = next((standing for standing in view.endpoints if standing.ref == item.ref), None)
    said = [words.of_standing(standing)] if standing else words.of_node(item)
    return item.kind, [item.kind, item.name, " · ".join(said)]


def _class(item: Node | Step) -> str:
    if item.deleted or item.old:
        return "old"
    return "step" if isinstance(item, Step) else _CLASS_OF_KIND.get(item.kind, "data")


def mermaid(view: RunGraph | WalkGraph) -> str:
    """A Mermaid flow chart, from left to right."""
    graph = words.with_endpoints(view)
    ids = _ids(graph)
    lines = ["flowchart LR"]
    members: dict[str, list[str]] = {}
    for item in graph.members:
        kind, said = _lines(item, view)
        text = "<br/>".join(
            "".join(_MERMAID_ESCAPES.get(char, char) for char in labels.clean(line)) for line in said if line
        )
        opening, closing = _MERMAID_SHAPES.get(kind, ("[", "]"))
        lines.append(f'  {ids[item.ref]}{opening}"{text}"{closing}')
        members.setdefault(_class(item), []).append(ids[item.ref])
    for edge in graph.edges:
        arrow = "-. was .->" if edge.old else "-->"
        lines.append(f"  {ids[edge.source]} {arrow} {ids[edge.target]}")
    for name, style in _MERMAID_CLASSES.items():
        if name in members:
            lines += [f"  classDef {name} {style}", f"  class {','.join(members[name])} {name}"]
    return "\n".join(lines)


def dot(view: RunGraph | WalkGraph) -> str:
    """A graph for Graphviz."""
    graph = words.with_endpoints(view)
    ids = _ids(graph)
    lines = ["digraph lineage {", "  rankdir=LR;", '  node [fontname="Helvetica", fontsize=11];']
    for item in graph.members:
        kind, said = _lines(item, view)
        text = "\\n".join(labels.clean(line).replace("\\", "\\\\").replace('"', '\\"') for line in said if line)
        old = ", style=dashed, color=gray50, fontcolor=gray40" if item.deleted or item.old else ""
        lines.append(f'  {ids[item.ref]} [shape={_DOT_SHAPES.get(kind, "note")}, label="{text}"{old}];')
    for edge in graph.edges:
        old = ' [style=dashed, color=gray50, label="was"]' if edge.old else ""
        lines.append(f"  {ids[edge.source]} -> {ids[edge.target]}{old};")
    lines.append("}")
    return "\n".join(lines)
