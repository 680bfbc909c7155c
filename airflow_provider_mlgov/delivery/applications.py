"""Spark applications: their steps are runs of their own, and what one of them calls by its path another tells the table of.

A table that is made by a query is written by a nested step, which knows only the path. So aliases count for all steps of an
application that tell none themselves, where tables follow each other at one path those that were told nearest in time; what was
sent of a step before such an alias of one of its paths was told is sent again under the right name.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from airflow_provider_mlgov.delivery.state import SenderState
from airflow_provider_mlgov.translate.events import application_of, each, facet, join_aliases, told_aliases

Json = dict[str, Any]
Path = tuple[str, str]
"""Namespace and name of data that is called by where it lies."""


class Applications:
    """The aliases of the applications whose events wait, with what ``state`` remembers of them."""

    def __init__(self, state: SenderState) -> None:
        self._state = state
        self._told: dict[str, Json] = {}
        self._known: dict[str, Json] = {}
        """All aliases of an application: those that were told, and those that are remembered; see `told_aliases`."""

    def learn(self, event: Mapping[str, Any]) -> None:
        """Take in the aliases that an event tells."""
        application, aliases = told_aliases(event)
        if application is not None and aliases:
            self._told[application] = join_aliases(self._told.get(application, {}), aliases)
            self._known[application] = join_aliases(self._aliases(application), aliases)

    def known_to(self, state: Json) -> Json:
        """The ``state`` of a run, and beside its own aliases those of its paths that any step of its application told."""
        application = application_of(state)
        aliases = self._aliases(application) if application is not None else {}
        paths = _paths(state) if aliases else set()
        wanted: Json = {}
        for namespace, names in aliases.items():
            for name, others in names.items():
                if any(_is_within(path, (namespace, name)) for path in paths):
                    wanted.setdefault(namespace, {})[name] = _nearest(others, state["first"], state["last"])
        return {**state, "applicationAliases": wanted} if wanted else state

    def steps_to_tell_again(self, besides: Collection[str]) -> Iterator[str]:
        """The keys of runs that are remembered, and were sent before an alias of one of their paths was known.

        Where a path is of several tables in turn, of all: another may be nearer in time now.
        """
        found: dict[str, None] = {}
        for application, aliases in self._told.items():
            for namespace, names in aliases.items():
                for name in names:
                    times = {told[2:] for told in _tables(self._aliases(application)[namespace][name])}
                    steps = self._state.steps(application, namespace, name.rstrip("/"), aliased=len(times) > 1)
                    found |= dict.fromkeys(steps)
        return (key for key in found if key not in besides and self._state.run(key) is not None)

    def remember(self, key: str, state: Json) -> None:
        """A run was sent with what is known; inside a transaction of the state."""
        application = application_of(state)
        if application is None:
            return
        aliases = self._aliases(application)
        known = [(namespace, name) for namespace, names in aliases.items() for name in names]
        for namespace, names in state["aliases"].items():
            for name in names:
                if others := aliases.get(namespace, {}).get(name):  # else it was told too long ago
                    self._state.remember_alias(application, namespace, name, others)
        steps = {path: any(_is_within(path, other) for other in known) for path in _paths(state)}
        self._state.remember_step(application, key, steps)

    def _aliases(self, application: str) -> Json:
        if application not in self._known:
            self._known[application] = self._state.aliases(application)
        return self._known[application]


def _paths(state: Json) -> set[Path]:
    """What a run reads and writes by its path, and what a dataset of its was called before."""
    found = set()
    for direction in ("inputs", "outputs"):
        for namespace, name, dataset in each(state[direction]):
            before = facet(dataset["facets"], "lifecycleStateChange").get("previousIdentifier")
            found |= {(namespace, name)}
            if isinstance(before, dict):
                found |= {(str(before.get("namespace")), str(before.get("name")))}
    return {(namespace, name.rstrip("/")) for namespace, name in found if "/" in name}


def _tables(others: Json) -> list[tuple[str, str, int, int]]:
    """Namespace and name of each table among the other names of a path, with the first and last time that it was told."""
    return [
        (namespace, name, since, until)
        for namespace, names in others.items()
        for name, (kind, since, until) in names.items()
        if kind == "TABLE"
    ]


def _nearest(others: Json, first: int, last: int) -> Json:
    """The tables that were told nearest to these times, in the form of a run's state; as near before and after: the later."""
    found: dict[tuple[int, int], Json] = {}
    for namespace, name, since, until in _tables(others):
        order = (max(since - last, first - until, 0), -until)
        found.setdefault(order, {}).setdefault(namespace, {})[name] = "TABLE"
    return found[min(found)] if found else {}


def _is_within(path: Path, other: Path) -> bool:
    """Whether it is that place, or a partition of what is there."""
    return path[0] == other[0] and f"{path[1]}/".startswith(f"{other[1].rstrip('/')}/")
