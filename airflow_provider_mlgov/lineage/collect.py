"""What a task read and wrote, from every documented place, all united.

Operator methods (``get_openlineage_facets_on_…``), the hook lineage collector, inlets and outlets (rendered by us on a copy:
Airflow 3 does not) with the runtime extras of assets and the targets of aliases, and the facts said in the task.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from airflow_provider_mlgov.lineage import declared
from airflow_provider_mlgov.lineage.datasets import from_asset
from airflow_provider_mlgov.lineage.facts import Attempt, Facts
from airflow_provider_mlgov.lineage.limited import Allowance, one_line
from airflow_provider_mlgov.lineage.ml_assets import is_ours
from airflow_provider_mlgov.lineage.plain import plain
from airflow_provider_mlgov.masking import shown, trace_of

Json = dict[str, Any]
Phase = Literal["start", "complete", "failure"]
log = logging.getLogger(__name__)

_METHODS: Mapping[Phase, tuple[str, ...]] = {
    "start": ("get_openlineage_facets_on_start",),
    "complete": ("get_openlineage_facets_on_complete", "get_openlineage_facets_on_start"),
    "failure": (
        "get_openlineage_facets_on_failure",
        "get_openlineage_facets_on_complete",
        "get_openlineage_facets_on_start",
    ),
}
_SHARE_BESIDE_TEMPLATES = 0.75
"""What an operator's method may take of the time where templates come after it: data would have the wrong names without them."""
_GROUPS = ("facets", "inputFacets", "outputFacets")


@dataclass
class Collected:
    """The datasets and facets of one event."""

    inputs: list[Json] = field(default_factory=list)
    outputs: list[Json] = field(default_factory=list)
    run_facets: Json = field(default_factory=dict)
    job_facets: Json = field(default_factory=dict)

    def add(self, direction: Literal["inputs", "outputs"], dataset: Any) -> None:
        """Add a dataset; one that is there already gains the facets it lacks."""
        namespace, name = (dataset.get("namespace"), dataset.get("name")) if isinstance(dataset, dict) else (None, None)
        if not namespace or not name:
            log.warning("A dataset without namespace or name is left out of the lineage: %.200s", shown(dataset))
            return
        datasets: list[Json] = getattr(self, direction)
        for other in datasets:
            if (other["namespace"], other["name"]) == (namespace, name):
                for group in _GROUPS:
                    if dataset.get(group):
                        other[group] = {**dataset[group], **(other.get(group) or {})}
                return
        datasets.append(dict(dataset))

    def add_operator_lineage(self, lineage: Any) -> None:
        """Add what an operator's own method returned."""
        for direction in ("inputs", "outputs"):
            for dataset in getattr(lineage, direction, None) or ():
                self.add(direction, plain(dataset))
        self.run_facets.update(plain(getattr(lineage, "run_facets", None) or {}))
        self.job_facets.update(plain(getattr(lineage, "job_facets", None) or {}))

    def add_facts(self, facts: Facts) -> None:
        """Add what was said in the task; facets said there win."""
        for direction in ("inputs", "outputs"):
            for dataset in getattr(facts, direction):
                self.add(direction, plain(dataset))
        self.run_facets.update(plain(facts.run_facets))
        self.job_facets.update(plain(facts.job_facets))


_too_slow: set[tuple[str, str, str]] = set()
"""Methods that this process did not wait for: (DAG, task, method). They are not asked a second time."""


def from_operator(task: Any, task_instance: Any, phase: Phase, allowance: Allowance, share: float = 1.0) -> Any:
    """What the operator's own OpenLineage method returns, or None; foreign code, so within a ``share`` of the time."""
    for name in _METHODS[phase]:
        method = getattr(task, name, None)
        if callable(method):
            asked = (task.dag_id, task.task_id, name)
            if asked in _too_slow:
                return None
            arguments = () if name.endswith("on_start") else (task_instance,)
            begun, seconds = time.monotonic(), allowance.left() * share
            found = allowance.limited(f"{name} of task {task.task_id}", lambda: method(*arguments), share)  # noqa: B023 - called here
            if found is None and 0 < seconds <= time.monotonic() - begun:
                _too_slow.add(asked)
            return found
    return None


Seen = frozenset[tuple[str, str, str, int, int]]


def hooks_seen() -> Seen:
    """What hooks of this process have reported so far; several tasks may share a process (``dag.test``)."""
    return frozenset(entry for entry, _, _ in _hook_entries())


def from_hooks(before: Seen) -> Iterable[tuple[Literal["inputs", "outputs"], Json]]:
    """The datasets that hooks reported since ``before``."""
    for entry, direction, asset in _hook_entries():
        if entry in before:
            continue
        found = guarded(f"asset {asset.uri} of a hook", lambda: from_asset(asset.uri, asset.extra))  # noqa: B023 - called here
        if found is not None:
            yield direction, found


def _hook_entries() -> Iterable[tuple[tuple[str, str, str, int, int], Literal["inputs", "outputs"], Any]]:
    from airflow_provider_mlgov._compat import hook_lineage_collected

    collected = hook_lineage_collected()
    if collected is None:
        return
    directions: tuple[Literal["inputs", "outputs"], ...] = ("inputs", "outputs")
    for direction in directions:
        for info in getattr(collected, direction):
            asset = getattr(info, "asset", None) or getattr(info, "dataset", None)
            if asset is not None and not is_ours(asset.uri):
                yield (direction, asset.uri, _shown(asset.extra), id(info.context), info.count), direction, asset


def _shown(thing: Any) -> str:
    """The ``repr`` of a foreign object, as a log may show it; where it has none, what can be said without asking it."""
    try:
        return shown(repr(thing))
    except (Exception, SystemExit):  # noqa: BLE001 - foreign code may raise anything, as in `guarded`
        return f"<{type(thing).__name__} at {id(thing):#x}>"


def guarded(what: str, call: Callable[[], Any]) -> Any:
    """The result of a quick call into foreign code, or None with one warning."""
    try:
        return call()
    except (Exception, SystemExit) as error:  # noqa: BLE001 - foreign code may raise anything; alarms and Ctrl-C go through
        log.warning("%s is left out of the lineage: %s: %s", shown(what), type(error).__name__, one_line(error))
        log.debug("Details:\n%s", trace_of(error))
        return None


def collect(
    task: Any,
    task_instance: Any,
    attempt: Attempt,
    *,
    phase: Phase,
    namespace: str,
    facts: Facts,
    hooks_before: Seen = frozenset(),
    runtime: declared.Runtime | None = None,
    render: Callable[[Any], Any] | None = None,
    allowance: Allowance | None = None,
) -> Collected:
    """All that is known of one attempt. At the start only the operator is asked: the rest is not final before the end.

    ``allowance`` is what foreign code may take, that of ``render`` too.
    """
    collected = Collected()
    share = _SHARE_BESIDE_TEMPLATES if phase != "start" and _has_templates(task) else 1.0
    lineage = from_operator(task, task_instance, phase, allowance or Allowance(3.0), share)
    if lineage is not None:
        collected.add_operator_lineage(lineage)
    if phase == "start":
        return collected
    collected.add_facts(facts)
    for direction, dataset in from_hooks(hooks_before):
        collected.add(direction, dataset)
    runtime = runtime or declared.Runtime()
    reader = declared.Reader(task, attempt, namespace, runtime, render)
    for thing in _listed(getattr(task, "inlets", None)):
        for dataset in guarded(f"inlet {_shown(thing):.100}", lambda: reader.inputs(thing, collected.inputs)) or ():  # noqa: B023
            collected.add("inputs", dataset)
    for thing in _listed(getattr(task, "outlets", None)):
        for dataset in guarded(f"outlet {_shown(thing):.100}", lambda: reader.outputs(thing, collected.outputs)) or ():  # noqa: B023
            collected.add("outputs", dataset)
    return collected


def _has_templates(task: Any) -> bool:
    return any("{{" in _shown(getattr(task, name, None)) for name in ("inlets", "outlets"))


def _listed(things: Any) -> list[Any]:
    return list(things) if isinstance(things, (list, tuple, set, frozenset)) else [things] if things else []
