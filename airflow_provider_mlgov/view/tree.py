"""Lineage as a tree for a terminal or a text file: states are words, colours only help."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from airflow_provider_mlgov.model.entity import Ref
from airflow_provider_mlgov.view import labels, words
from airflow_provider_mlgov.view.outline import Branch, natural, outline
from airflow_provider_mlgov.view.values import FAILED, Attempt, Graph, Node, RunGraph, Standing, Step, WalkGraph

if TYPE_CHECKING:
    from rich.console import Group, RenderableType
    from rich.table import Table
    from rich.text import Text
    from rich.tree import Tree

_KIND_STYLE = {
    "model": "magenta",
    "build": "magenta",
    "evaluation": "blue",
    "deployment": "green",
    "endpoint": "bold green",
}
_STATE_STYLE = {"success": "green", "skipped": "yellow", "up_for_retry": "yellow", "running": "cyan"}
_GROUPED = 12
"""From so many successful runs of one mapped task on, they share one line."""


def tree(view: RunGraph | WalkGraph) -> Group:
    """The view as something that rich can print."""
    from rich.console import Group
    from rich.text import Text

    parts: list[RenderableType] = [*(_run_head(view) if isinstance(view, RunGraph) else _walk_head(view)), Text()]
    parts += [Text("Lineage", style="bold"), *_lineage(view)]
    if isinstance(view, RunGraph):
        parts += [Text(), Text(f"Task runs ({len(view.attempts)})", style="bold"), _attempts(view.attempts)]
    if view.endpoints or isinstance(view, WalkGraph):
        parts += [Text(), *_endpoints(view.endpoints)]
    return Group(*parts)


def _joined(said: Iterable[str]) -> str:
    return " · ".join(said)


# --- heads -----------------------------------------------------------------------------------------------------------


def _run_head(view: RunGraph) -> list[Text]:
    from rich.text import Text

    run = view.run
    title = Text.assemble("DAG run ", (labels.clean(run.dag_id), "bold"), " · ", (labels.clean(run.run_id), "bold"))
    state = run.state or ("running" if run.known else "not recorded itself yet; this is what its task runs say")
    line = Text(state, style=_style(state))
    begun, ended = labels.moment(run.started), labels.moment(run.ended)
    said = []
    if begun:
        until = f" to {ended:%H:%M:%S}" if ended else ""
        said.append(f"{begun:%Y-%m-%d %H:%M:%S}{until} UTC")
    if begun and ended:
        said.append(labels.duration((ended - begun).total_seconds()))
    said += [labels.clean(word) for word in (run.run_type, run.dag_version) if word]
    said.append(f"Airflow {labels.clean(run.namespace)}")
    line.append(" · " + _joined(said), style="default")
    return [title, line]


def _walk_head(view: WalkGraph) -> list[Text]:
    from rich.text import Text

    ways = {"up": "what it was made of", "down": "what was made of it", "both": "what it was made of, and what of it"}
    depth = f"{words.plural(view.depth, 'hop')} far" if view.depth else "all of it"
    asked = (f"{labels.kind(view.asked.type_name)} ", "bold"), (labels.name(view.asked), "bold")
    lines = [Text.assemble(*asked), Text(f"{ways[view.direction]} · {depth}")]
    lines += [Text(labels.clean(note), style="dim") for note in view.notes]
    if view.cut:
        lines.append(
            Text(f"stopped after {words.plural(view.depth, 'hop')}: there may be more (--depth 0)", style="yellow")
        )
    return lines


# --- the tree --------------------------------------------------------------------------------------------------------


def _lineage(view: RunGraph | WalkGraph) -> list[RenderableType]:
    from rich.text import Text

    graph = words.with_endpoints(view)
    if not graph.steps:
        return [
            Text("none: no task run that succeeded read or wrote anything" if isinstance(view, RunGraph) else "none")
        ]
    upward = isinstance(view, WalkGraph) and view.direction == "up"
    painter = _Painter(graph, view, upward=upward)
    first = view.start if isinstance(view, WalkGraph) else ()
    return list(map(painter.paint, outline(graph, painter.rank, upward=upward, first=first)))


class _Painter:
    """Makes rich's trees of branches."""

    def __init__(self, graph: Graph, view: RunGraph | WalkGraph, *, upward: bool) -> None:
        self._members: Mapping[Ref, Node | Step] = {item.ref: item for item in graph.members}
        self._attempts = {attempt.ref: attempt for attempt in view.attempts} if isinstance(view, RunGraph) else {}
        self._starts = frozenset(view.start if isinstance(view, WalkGraph) else ())
        self._standings = {standing.ref: standing for standing in view.endpoints}
        self._arrow = "← " if upward else "→ "

    def rank(self, ref: Ref) -> tuple[object, ...]:
        """Endpoints first, then steps in the order in which they began, then data by name."""
        item = self._members[ref]
        if isinstance(item, Step):
            begun = [self._attempts[run].started or 0 for run in item.runs if run in self._attempts]
            return (
                1,
                min(begun, default=0),
                natural(words.step_title(item, self._attempts)),
                ref.type_name,
                ref.qualified_name,
            )
        return 0 if item.kind == "endpoint" else 2, 0, natural(item.name), ref.type_name, ref.qualified_name

    def paint(self, root: Branch) -> Tree:
        """One tree, without recursion: a chain may be long."""
        from rich.tree import Tree

        painted = Tree(self._label(root), guide_style="dim")
        waiting = [(root, painted)]
        while waiting:
            branch, place = waiting.pop()
            for child in branch.children:
                grown = place.add(self._label(child))
                if not child.reference:
                    waiting.append((child, grown))
        return painted

    def _label(self, branch: Branch) -> Text:
        from rich.text import Text

        item = self._members[branch.ref]
        if isinstance(item, Step):
            text = Text.assemble((self._arrow, "dim"), (words.step_title(item, self._attempts), "bold yellow"))
            said = [] if branch.reference else words.of_step(item, self._attempts)
        else:
            text = Text.assemble((f"{item.kind} ", "dim"), (item.name, _KIND_STYLE.get(item.kind, "cyan")))
            said = [] if branch.reference else self._said(item)
        gone = item.deleted or item.old
        if branch.old and not gone and branch.ref not in self._standings:
            said.append("no longer: this edge was deleted")
        if branch.reference:
            said.append(f"in full under {self._title(branch.home)}" if branch.home else "in full above")
        if said:
            text.append("  " + _joined(said), style="dim" if branch.reference else "default")
        if gone:
            text.stylize("dim")
        return text

    def _title(self, ref: Ref) -> str:
        item = self._members[ref]
        if isinstance(item, Step):
            return f"{self._arrow}{words.step_title(item, self._attempts)}"
        return f"{item.kind} {item.name}"

    def _said(self, node: Node) -> list[str]:
        said = words.of_node(node)
        if node.ref in self._standings:
            standing = self._standings[node.ref]
            said = [labels.clean(standing.url)] if standing.url else []
            said.append(words.of_standing(standing))
        if node.ref in self._starts:
            said.append("the start of this walk")
        return said


# --- tables ----------------------------------------------------------------------------------------------------------


def _attempts(attempts: tuple[Attempt, ...]) -> Table:
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, 2), pad_edge=False)
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True, justify="right")
    table.add_column(overflow="fold")
    for title, group in _grouped(attempts):
        attempt = group[0]
        took = "" if attempt.seconds is None or len(group) > 1 else labels.duration(attempt.seconds)
        state = words.state(attempt)
        tried = f"try {attempt.try_number}" if attempt.try_number else "never began"
        number = tried if len(group) == 1 else words.plural(len(group), "task run")
        table.add_row(
            Text(f"  {title}"),
            Text(number),
            Text(state, style=_style(attempt.state)),
            Text(took),
            Text(_remark(attempt, group)),
        )
    return table


def _grouped(attempts: tuple[Attempt, ...]) -> list[tuple[str, list[Attempt]]]:
    """Rows of the table: attempts alone, or many successes of one mapped task together."""
    alike: dict[str, list[Attempt]] = {}
    for attempt in attempts:
        if attempt.map_index >= 0 and attempt.state == "success" and attempt.try_number == 1:
            alike.setdefault(attempt.task_id, []).append(attempt)
    rows: list[tuple[str, list[Attempt]]] = []
    done: set[str] = set()
    for attempt in attempts:
        group = alike.get(attempt.task_id, [])
        if attempt not in group or len(group) < _GROUPED:
            rows.append((labels.clean(attempt.title), [attempt]))
        elif attempt.task_id not in done:
            done.add(attempt.task_id)
            rows.append((labels.clean(f"{attempt.task_id}[…]"), group))
    return rows


def _remark(attempt: Attempt, group: list[Attempt]) -> str:
    if len(group) > 1:
        return ""
    said = [labels.clean(attempt.map_label)] if attempt.map_label else []
    if attempt.error and attempt.state != "success":
        said.append(words.error_line(attempt.error))
    elif words.failed(attempt) and attempt.state_source is None and attempt.state != "upstream_failed":
        said.append("no error was reported")
    said += [word for word in (words.source(attempt),) if word]
    return _joined(said)


def _endpoints(endpoints: tuple[Standing, ...]) -> list[RenderableType]:
    from rich.text import Text

    if not endpoints:
        return [Text.assemble(("Endpoints", "bold"), "  none")]
    lines: list[RenderableType] = [Text.assemble(("Endpoints", "bold"), f"  {words.summary(endpoints)}")]
    for standing in endpoints:
        where = f"{standing.environment}/{standing.name}"
        url = f"  {labels.clean(standing.url)}" if standing.url else ""
        style = "green" if standing.serves_now else "yellow"
        lines.append(
            Text.assemble("  ", (labels.clean(where), "bold green"), url, "  ", (words.of_standing(standing), style))
        )
        for service in standing.services:
            when = "now    " if service.now else "earlier"
            status = f"  {service.status}" if service.status else ""
            lines.append(Text(f"    {when}  {service.build_name}{status}", style="default" if service.now else "dim"))
    return lines


def _style(state: str | None) -> str:
    return _STATE_STYLE.get(state or "running", "red" if state in FAILED else "default")
