"""Spark applications: their steps are runs of their own, and what one of them calls by its path another tells the table of.

A table that is made by a query is written by a nested step, which knows only the path. So aliases count for all steps of an
application that tell none themselves, where tables follow each other at one path those that were told nearest in time; what was
sent of a step before such an alias of one of its paths was told is sent again under the right name.

An application may have many thousand steps and tables. So each telling is looked at once, what a step meant is looked up by its
paths and not by all that is known, and steps are told again in parcels like any other: what a step was sent with is remembered.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Collection, Container, Iterator, Mapping
from typing import Any

from airflow_provider_mlgov.delivery.state import SenderState
from airflow_provider_mlgov.errors import InvalidNameError
from airflow_provider_mlgov.translate.events import application_of, each, facet, told_aliases
from airflow_provider_mlgov.translate.naming import name_entities
from airflow_provider_mlgov.translate.naming.partitions import fold
from airflow_provider_mlgov.translate.options import TranslateOptions
from airflow_provider_mlgov.translate.texts import json_text
from airflow_provider_mlgov.translate.times import microseconds

Json = dict[str, Any]
Path = tuple[str, str]
"""Namespace and name of data that is called by where it lies; no slash at the end."""
Tellings = list[list[Any]]
"""When a path was said to be of which tables, in time: ``[µs, {namespace: {name: "TABLE"}}]``."""
Place = tuple[str, Path]
"""A path as the steps of one application know it."""

_MOST_TELLINGS = 200


class Applications:
    """The aliases of the applications whose events wait, with what ``state`` remembers of them."""

    def __init__(self, state: SenderState, options: TranslateOptions) -> None:
        self._state = state
        self._options = options
        self._told: dict[Place, None] = {}
        """Of which paths the events that wait tell tables, as long as the steps that were sent have not been looked at since."""
        self._known: dict[Place, Tellings] = {}
        """What was told of the paths that were asked for: in events that wait, and in those that are remembered."""
        self._again: dict[str, list[tuple[Place, int, int]]] = {}
        """The runs that are to be told again, and the paths by which they were found, with the run's first and last time."""

    def learn(self, event: Mapping[str, Any]) -> None:
        """Take in the aliases that an event tells."""
        application, aliases = told_aliases(event)
        if application is None:
            return
        time = microseconds(event["eventTime"]) or 0
        for path, others in self._by_path(aliases):
            if (tables := _tables(others)) and _add(self._tellings(application, path), time, tables):
                self._told[application, path] = None

    def known_to(self, state: Json) -> Json:
        """The ``state`` of a run, and beside its own aliases those of its paths that any step of its application told."""
        application = application_of(state)
        if application is None:
            return state
        wanted: Json = {}
        for path in _paths(state):
            for namespace, names in self._meant((application, path), state["first"], state["last"]).items():
                wanted.setdefault(namespace, {}).update(names)
        return {**state, "applicationAliases": wanted} if wanted else state

    @property
    def again(self) -> Container[str]:
        """The keys of the runs that were found to be told again and were not since."""
        return self._again.keys()

    def steps_to_tell_again(self, besides: Collection[str]) -> Iterator[str]:
        """The keys of runs that were sent while another table of one of their paths was the nearest, or none; remembered ones.

        They are found as they are asked for. Who is not told again, or passed over, is found once more by the next call.
        """
        yield from (key for key in self._again if key not in besides)
        while self._told:
            place, _ = self._told.popitem()
            yield from (key for key in self._look(place) if key not in besides)

    def remember(self, key: str, state: Json) -> None:
        """A run was sent with what is known; inside a transaction of the state."""
        self._again.pop(key, None)
        self._state.forget_steps(key)  # paths that it has no more
        application = application_of(state)
        if application is None:
            return
        first, last = state["first"], state["last"]
        for path, _ in self._by_path(state["aliases"]):
            if tellings := self._tellings(application, path):
                self._state.remember_alias(application, *path, tellings)
        steps = [(*path, first, last, self._meant((application, path), first, last)) for path in sorted(_paths(state))]
        self._state.remember_steps(application, key, steps)

    def pass_over(self, key: str) -> None:
        """A run cannot be told again: it counts as told, or each send would begin with it; inside a transaction of the state."""
        for place, first, last in self._again.pop(key, ()):
            application, path = place
            self._state.remember_steps(application, key, [(*path, first, last, self._meant(place, first, last))])

    def _look(self, place: Place) -> list[str]:
        """Find the runs that are to be told again for what was told of a place; their keys, of those that were not found before."""
        application, (namespace, name) = place
        found = []
        for run, path, first, last, meant in self._state.steps(application, namespace, name):
            step = application, (namespace, path)
            if self._meant(step, first, last) != meant:
                if run not in self._again:
                    found.append(run)
                self._again.setdefault(run, []).append((step, first, last))
        return found

    def _meant(self, place: Place, first: int, last: int) -> Json:
        """Which tables a path, and what it is within, was of between these times: the told nearest, of two as near the later."""
        application, path = place
        found: Json = {}
        for namespace, name in _with_outer(path):
            if tellings := self._tellings(application, (namespace, name)):
                found.setdefault(namespace, {})[name] = _nearest(tellings, first, last)
        return found

    def _tellings(self, application: str, path: Path) -> Tellings:
        if (application, path) not in self._known:
            known = self._known[application, path] = []
            for time, tables in self._state.tellings(application, *path):
                _add(known, time, tables)
        return self._known[application, path]

    def _by_path(self, aliases: Json) -> Iterator[tuple[Path, Json]]:
        for namespace, names in aliases.items():
            for name, others in names.items():
                yield (namespace, self._whole(namespace, name).rstrip("/")), others

    def _whole(self, namespace: str, name: str) -> str:
        """What a path is a partition of, where partitions are folded: whose a partition is, all of it is."""
        try:
            is_partition = "=" in name and name_entities(namespace, name, self._options).partition
        except InvalidNameError:
            return name
        return fold("", name, has_paths=True)[0] if is_partition else name


def _add(tellings: Tellings, time: int, tables: Json) -> bool:
    """Put in what was told of a path; whether a step may mean another table since.

    What tells the same as those before and after it changes nothing: that spares a look at all steps of a job that writes to one
    table again and again. But who told it already and waits still may be what a send was cut off at, before all steps were told.
    """
    index = bisect_left(tellings, time, key=_time)
    if index < len(tellings) and tellings[index][0] == time:
        known = tellings[index][1]
        if json_text(tables) < json_text(known):  # of one time the first by name, whoever is heard first
            tellings[index] = [time, tables]
            return True
        return bool(tables == known)
    tellings.insert(index, [time, tables])
    beside = [*tellings[max(index - 1, 0) : index], *tellings[index + 1 : index + 2]]
    if len(tellings) > _MOST_TELLINGS:
        _thin(tellings)
    return not beside or any(other != tables for _, other in beside)


def _thin(tellings: Tellings) -> None:
    """Leave one out: it is kept with every step that names the path, and a stream's steps do so for ever.

    All are wanted, since what is told later of a time in between may part any two that tell the same. So where too many are
    known one goes whose neighbours tell the same as it does, where they are the nearest to each other: that is missed the least.
    Where there is none, the oldest.
    """
    same = (
        (tellings[index + 1][0] - tellings[index - 1][0], index)
        for index in range(1, len(tellings) - 1)
        if tellings[index - 1][1] == tellings[index][1] == tellings[index + 1][1]
    )
    del tellings[min(same, default=(0, 0))[1]]


def _nearest(tellings: Tellings, first: int, last: int) -> Json:
    """Which tables were told nearest to what was between these times: the last one before its end, or the first one after it."""
    after = bisect_right(tellings, last, key=_time)
    near = tellings[max(after - 1, 0) : after + 1]
    tables: Json = min(near, key=lambda told: (max(told[0] - last, first - told[0], 0), -told[0]))[1]
    return tables


def _time(told: list[Any]) -> int:
    time: int = told[0]
    return time


def _with_outer(path: Path) -> Iterator[Path]:
    """A path, and what it may be a partition of."""
    namespace, name = path
    yield path
    while "/" in name:
        name = name.rpartition("/")[0]
        yield namespace, name


def _tables(others: Json) -> Json:
    """The tables among the other names of a path."""
    tables = {
        namespace: {name: kind for name, kind in names.items() if kind == "TABLE"}
        for namespace, names in others.items()
    }
    return {namespace: names for namespace, names in tables.items() if names}


def _paths(state: Json) -> set[Path]:
    """What a run reads and writes, and what a dataset of its was called before: any name may be a path, below a bucket `orders`."""
    found = set()
    for direction in ("inputs", "outputs"):
        for namespace, name, dataset in each(state[direction]):
            before = facet(dataset["facets"], "lifecycleStateChange").get("previousIdentifier")
            found |= {(namespace, name)}
            if isinstance(before, dict):
                found |= {(str(before.get("namespace")), str(before.get("name")))}
    return {(namespace, name.rstrip("/")) for namespace, name in found}
