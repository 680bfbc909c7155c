"""Spark applications: their steps are runs of their own, and what one of them calls by its path another tells the table of.

A table that is made by a query is written by a nested step, which knows only the path. So aliases count for all steps of an
application that tell none themselves, where tables follow each other at one path those that were told nearest in time; what was
sent of a step before such an alias of one of its paths was told is sent again under the right name.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from airflow_provider_mlgov.delivery.state import SenderState
from airflow_provider_mlgov.translate.events import application_of, each, facet, told_aliases
from airflow_provider_mlgov.translate.texts import json_text
from airflow_provider_mlgov.translate.times import microseconds

Json = dict[str, Any]
Path = tuple[str, str]
"""Namespace and name of data that is called by where it lies."""
Tellings = list[list[Any]]
"""When a path was said to be of which tables, in time: ``[µs, {namespace: {name: "TABLE"}}]``."""


class Applications:
    """The aliases of the applications whose events wait, with what ``state`` remembers of them."""

    def __init__(self, state: SenderState) -> None:
        self._state = state
        self._told: dict[str, set[Path]] = {}
        """The paths whose tables the events that wait tell, by application."""
        self._known: dict[str, dict[Path, Tellings]] = {}
        """All that an application told: in events that wait, and in those that are remembered."""

    def learn(self, event: Mapping[str, Any]) -> None:
        """Take in the aliases that an event tells."""
        application, aliases = told_aliases(event)
        if application is None:
            return
        time, known = microseconds(event["eventTime"]) or 0, self._tellings(application)
        for path, others in _by_path(aliases):
            if tables := _tables(others):
                known[path] = _united(known.get(path, []), [[time, tables]])
                self._told.setdefault(application, set()).add(path)

    def known_to(self, state: Json) -> Json:
        """The ``state`` of a run, and beside its own aliases those of its paths that any step of its application told."""
        application = application_of(state)
        known = self._tellings(application) if application is not None else {}
        wanted: Json = {}
        for path in _paths(state) if known else ():
            for namespace, names in _meant(known, path, state["first"], state["last"]).items():
                wanted.setdefault(namespace, {}).update(names)
        return {**state, "applicationAliases": wanted} if wanted else state

    def steps_to_tell_again(self, besides: Collection[str]) -> Iterator[str]:
        """The keys of runs that were sent while another table of one of their paths was the nearest, or none; remembered ones."""
        found: dict[str, None] = {}
        for application, paths in self._told.items():
            known = self._tellings(application)
            for namespace, name in paths:
                for run, path, first, last, meant in self._state.steps(application, namespace, name.rstrip("/")):
                    if _meant(known, (namespace, path), first, last) != meant:
                        found[run] = None
        return (key for key in found if key not in besides and self._state.run(key) is not None)

    def remember(self, key: str, state: Json) -> None:
        """A run was sent with what is known; inside a transaction of the state."""
        application = application_of(state)
        if application is None:
            return
        known, first, last = self._tellings(application), state["first"], state["last"]
        for path, _ in _by_path(state["aliases"]):
            if tellings := known.get(path):
                self._state.remember_alias(application, *path, tellings)
        steps = [(*path, first, last, _meant(known, path, first, last)) for path in sorted(_paths(state))]
        self._state.remember_steps(application, key, steps)

    def _tellings(self, application: str) -> dict[Path, Tellings]:
        if application not in self._known:
            self._known[application] = self._state.aliases(application)
        return self._known[application]


def _united(left: Tellings, right: Tellings) -> Tellings:
    """Both, in time. Of those in a row that tell the same, the first and the last are enough to find the nearest."""
    every = {(time, json_text(tables)): [time, tables] for time, tables in (*left, *right)}
    told = [every[key] for key in sorted(every)]
    return [
        each
        for index, each in enumerate(told)
        if not 0 < index < len(told) - 1 or not told[index - 1][1] == each[1] == told[index + 1][1]
    ]


def _meant(known: Mapping[Path, Tellings], path: Path, first: int, last: int) -> Json:
    """Which tables a path, and what it is within, was of between these times: the told nearest, of two as near the later."""
    found: Json = {}
    for other, tellings in known.items():
        if _is_within(path, other):
            nearest = min(tellings, key=lambda told: (max(told[0] - last, first - told[0], 0), -told[0]))
            found.setdefault(other[0], {})[other[1]] = nearest[1]
    return found


def _by_path(aliases: Json) -> Iterator[tuple[Path, Json]]:
    for namespace, names in aliases.items():
        for name, others in names.items():
            yield (namespace, name), others


def _tables(others: Json) -> Json:
    """The tables among the other names of a path."""
    tables = {
        namespace: {name: kind for name, kind in names.items() if kind == "TABLE"}
        for namespace, names in others.items()
    }
    return {namespace: names for namespace, names in tables.items() if names}


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


def _is_within(path: Path, other: Path) -> bool:
    """Whether it is that place, or a partition of what is there."""
    return path[0] == other[0] and f"{path[1]}/".startswith(f"{other[1].rstrip('/')}/")
