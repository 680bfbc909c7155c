"""Reading OpenLineage events, and uniting those of one run.

A run's state is a join: every event is lifted into a state of its own, and two states are joined key by key, each
time taking the greater by one total order (event time, then terminal before others, then canonical JSON). So events
may come in any order, any number of times, and by several doors: the state is the same. An event that says nothing
erases nothing.

The state is plain JSON::

    {"v": 1, "kind": "run" | "job" | "dataset", "key": …,
     "job": register, "started": µs | null, "first": µs, "since": µs,
     "run": {facet: register}, "jobFacets": {facet: register},
     "inputs" | "outputs": {namespace: {name: {"facets": {facet: register}, "roleFacets": {facet: register}}}},
     "aliases": {namespace: {name: {namespace: {name: type}}}},
     "ends": {how it is known: register}, "outcomes": {"COMPLETE success reported": true}}

A register is ``[event time in µs, rank, value]``. The facets in `KEYWISE` have one register per key
(``mlgov_ml.metrics``): two doors may each know a part of them. ``since`` is only there where the run was done again:
what was told before it belongs to an earlier life of the run.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from airflow_provider_mlgov.errors import InvalidEventError
from airflow_provider_mlgov.model.identity import token
from airflow_provider_mlgov.model.ml import FACET as ML_FACET
from airflow_provider_mlgov.translate.texts import json_text
from airflow_provider_mlgov.translate.times import microseconds

Json = dict[str, Any]

AIRFLOW_FACET = "mlgov_airflow"
"""Our run facet: what Airflow knows of the task run or DAG run."""
KEYWISE = (AIRFLOW_FACET, ML_FACET)
"""Facets whose keys are facts of their own."""
EVENT_TYPES = ("START", "RUNNING", "COMPLETE", "ABORT", "FAIL", "OTHER")
TERMINAL = frozenset({"COMPLETE", "FAIL", "ABORT"})

_EMPTY: tuple[object, ...] = (None, "", [], {})
_FORM = "wanted an OpenLineage run event (run and job), job event (job) or dataset event (dataset)"


# --- reading ---------------------------------------------------------------------------------------------------------


def read_event(document: object) -> Json:
    """An event in normal form: what it needs is there, and everything has the type that OpenLineage gives it.

    Raises `InvalidEventError` where an event says neither when nor what. Facets and other parts of a wrong type are
    left out; a dataset without namespace or name is kept as such, so that translation can warn. The document is not
    changed; the result shares its facets.
    """
    if not isinstance(document, dict):
        raise InvalidEventError(f"the event is {_found(document)}; {_FORM}: send a JSON object")
    time = document.get("eventTime")
    if microseconds(time) is None:
        raise InvalidEventError(
            f"eventTime is {_found(time)}; wanted a time such as '2026-01-31T12:00:00.000Z': let the producer set it"
        )
    event: Json = {"eventTime": time}
    if document.get("dataset") is not None and document.get("job") is None and document.get("run") is None:
        found = _required(document, "dataset", "namespace", "name")
        event["dataset"] = {**found, "facets": _facets(document["dataset"].get("facets"))}
        return event
    if document.get("run") is not None:
        event["eventType"] = _event_type(document.get("eventType"))
        run = _required(document, "run", "runId")
        event["run"] = {**run, "facets": _facets(document["run"].get("facets"))}
    job = _required(document, "job", "namespace", "name")
    event["job"] = {**job, "facets": _facets(document["job"].get("facets"))}
    event["inputs"] = _datasets(document.get("inputs"), "inputFacets")
    event["outputs"] = _datasets(document.get("outputs"), "outputFacets")
    return event


def _found(value: object) -> str:
    """What was found, short enough for a message."""
    if value is None:
        return "missing"
    if isinstance(value, (dict, list)):
        return f"a JSON {'object' if isinstance(value, dict) else 'list'}"
    return repr(value)[:100]


def _event_type(value: object) -> str:
    if value is None:
        return "OTHER"
    if isinstance(value, str) and value.upper() in EVENT_TYPES:
        return value.upper()
    raise InvalidEventError(
        f"eventType is {_found(value)}; wanted one of {', '.join(EVENT_TYPES)}: let the producer set it"
    )


def _required(document: Mapping[str, Any], part: str, *names: str) -> dict[str, str]:
    """The texts ``names`` of the object ``part``, none of them empty."""
    found = document.get(part)
    if not isinstance(found, dict):
        raise InvalidEventError(
            f"{part} is {_found(found)}; {_FORM}: send {part} as a JSON object with {' and '.join(names)}"
        )
    for name in names:
        value = found.get(name)
        if not isinstance(value, str) or not value.strip():
            raise InvalidEventError(
                f"{part}.{name} is {_found(value)}; wanted a text that is not empty: let the producer set it"
            )
    return {name: found[name] for name in names}


def _facets(value: object) -> Json:
    """The facets that are objects and say something; one that says ``_deleted`` says something."""
    if not isinstance(value, dict):
        return {}
    return {
        name: facet
        for name, facet in value.items()
        if isinstance(facet, dict)
        and any(item not in _EMPTY for key, item in facet.items() if not str(key).startswith("_") or key == "_deleted")
    }


def _datasets(value: object, role: str) -> list[Json]:
    datasets: list[Json] = []
    for item in value if isinstance(value, list) else ():
        found = item if isinstance(item, dict) else {}
        dataset: Json = {
            name: text if isinstance(text := found.get(name), str) else "" for name in ("namespace", "name")
        }
        if facets := _facets(found.get("facets")):
            dataset["facets"] = facets
        if facets := _facets(found.get(role)):
            dataset[role] = facets
        datasets.append(dataset)
    return datasets


def run_key(event: Mapping[str, Any]) -> str:
    """What groups events: the run id, and Airflow's own where it is known; a job or dataset event stands alone.

    OpenLineage's run id of a task comes from its logical date (or ``run_after``): two DAG runs of one date share it.
    """
    own = _own_key(event)
    run = _airflow_run(event.get("run", {}).get("facets", {}))
    return f"{own}/{token(run)[:8]}" if run else own


def live(state: Json | None, events: Sequence[Json]) -> tuple[Json | None, bool]:
    """A run's state after further events, and whether they began the run anew; the order of ``events`` does not matter.

    A run that was deleted and done again has the same name, and what its earlier life did is over: it begins anew when
    it starts after an end (a task that deferred starts again before its end, a retry is another run). Events from
    before that moment are left out, however late they come. Where the two lives were united before the end between
    them was known, they stay united: nothing that was told is lost.
    """
    begins = [began for event in events if (began := _began(event)) is not None]
    ends = [_time(event) for event in events if event.get("eventType") in TERMINAL]
    since: int | None = None
    if state is not None:
        since = state.get("since")
        begins += [began for began in (state["started"], _start_time(facet(state["run"], AIRFLOW_FACET))) if began]
        ends += [max(register[0] for register in state["ends"].values())] if state["ends"] else []
    if over := [end for end in ends if end < max(begins, default=0)]:
        since = max(min(began for began in begins if began > max(over)), since or 0)
    counts = [event for event in events if since is None or _time(event) >= since]
    anew = state is not None and since is not None and bool(counts) and state["job"][0] < since
    united = None if anew else state
    for event in counts:
        united = unite(united, event)
    return (united if united is None or since is None else {**united, "since": since}), anew


def _began(event: Json) -> int | None:
    """When the run began, by an event that says so."""
    if event.get("eventType") == "START":
        return _time(event)
    return _start_time(event.get("run", {}).get("facets", {}).get(AIRFLOW_FACET, {}))


def _start_time(words: Mapping[str, Any]) -> int | None:
    return microseconds(words.get("startTime"))


def _time(event: Json) -> int:
    return microseconds(event.get("eventTime")) or 0


def _own_key(event: Mapping[str, Any]) -> str:
    if "run" in event:
        return str(event["run"]["runId"])
    return hashlib.sha256(json_text(event).encode()).hexdigest()[:32]


def _airflow_run(facets: Mapping[str, Any]) -> str | None:
    """Airflow's run id, as either door says it."""
    found = facets.get(AIRFLOW_FACET, {}).get("runId")
    for name in ("airflow", "airflowDagRun"):
        dag_run = facets.get(name, {}).get("dagRun")
        found = found or (dag_run.get("run_id") if isinstance(dag_run, dict) else None)
    return found if isinstance(found, str) and found else None


# --- uniting ---------------------------------------------------------------------------------------------------------


def unite(state: Json | None, event: Json) -> Json:
    """The state after ``event`` (as `read_event` gives it), whatever came before. Neither argument is changed."""
    lifted = _lift(event)
    return lifted if state is None else _join(state, lifted)


def is_terminal(state: Mapping[str, Any]) -> bool:
    """Whether the run is known to have ended. Job and dataset events are complete in themselves."""
    return state["kind"] != "run" or bool(state["ends"])


def facet(registers: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """The newest value of a facet, ``{}`` if it is not there or was deleted."""
    if name in KEYWISE:
        prefix = name + "."
        return {key[len(prefix) :]: register[2] for key, register in registers.items() if key.startswith(prefix)}
    register = registers.get(name)
    if register is None or register[2].get("_deleted") is True:
        return {}
    value: Mapping[str, Any] = register[2]
    return value


def each(datasets: Mapping[str, Any]) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    """``(namespace, name, {"facets", "roleFacets"})`` of each dataset of one direction, in a fixed order."""
    for namespace in sorted(datasets):
        for name in sorted(datasets[namespace]):
            yield namespace, name, datasets[namespace][name]


def _lift(event: Json) -> Json:
    time = microseconds(event["eventTime"]) or 0
    kind = "run" if "run" in event else "job" if "job" in event else "dataset"
    event_type = event.get("eventType", "OTHER")
    rank = 1 if event_type in TERMINAL else 0
    run = event.get("run", {}).get("facets", {})
    state: Json = {
        "v": 1,
        "kind": kind,
        "key": _own_key(event),
        "job": None,
        "started": time if event_type == "START" else None,
        "first": time,
        "run": _registers(run, time, rank),
        "jobFacets": {},
        "inputs": {},
        "outputs": {},
        "aliases": {},
        "ends": {},
        "outcomes": {},
    }
    if kind == "dataset":
        _add(state, "outputs", event["dataset"], "outputFacets", time, rank)
        return state
    job = event["job"]
    state["job"] = [time, rank, {"namespace": job["namespace"], "name": job["name"]}]
    state["jobFacets"] = _registers(job["facets"], time, rank)
    for dataset in event["inputs"]:
        _add(state, "inputs", dataset, "inputFacets", time, rank)
    for dataset in event["outputs"]:
        _add(state, "outputs", dataset, "outputFacets", time, rank)
    if rank:
        _end(state, event_type, run.get(AIRFLOW_FACET, {}), time)
    return state


def _registers(facets: Mapping[str, Any], time: int, rank: int) -> Json:
    registers: Json = {}
    for name, value in facets.items():
        if name in KEYWISE:
            registers |= {
                f"{name}.{key}": [time, rank, item]
                for key, item in value.items()
                if item not in _EMPTY and not str(key).startswith("_")
            }
        elif name != "symlinks":
            registers[name] = [time, rank, value]
    return registers


def _add(state: Json, direction: str, dataset: Json, role: str, time: int, rank: int) -> None:
    """Put a dataset of an event into a state that is being made."""
    namespace, name = dataset["namespace"], dataset["name"]
    facets = dataset.get("facets", {})
    entry = {
        "facets": _registers(facets, time, rank),
        "roleFacets": _registers(dataset.get(role, {}), time, rank),
    }
    names = state[direction].setdefault(namespace, {})
    names[name] = _join_dataset(names[name], entry) if name in names else entry
    if "symlinks" in facets:
        aliases = _aliases(facets["symlinks"])
        names = state["aliases"].setdefault(namespace, {})
        names[name] = _join_aliases(names.get(name, {}), aliases)


def _aliases(symlinks: Mapping[str, Any]) -> Json:
    aliases: Json = {}
    identifiers = symlinks.get("identifiers")
    for item in identifiers if isinstance(identifiers, list) else ():
        if isinstance(item, dict) and isinstance(item.get("namespace"), str) and isinstance(item.get("name"), str):
            aliases.setdefault(item["namespace"], {})[item["name"]] = str(item.get("type") or "").upper()
    return aliases


def _end(state: Json, event_type: str, airflow: Mapping[str, Any], time: int) -> None:
    """Note how the run ended, by what the event knows.

    Airflow's own word, that nobody knows, or only OpenLineage's type.
    """
    word, source = airflow.get("state"), airflow.get("stateSource") or "reported"
    if not isinstance(word, str) or not word:
        word, source, known = None, None, "typed"
    else:
        known = "unknown" if word == "unknown" else "stated"
    end = {"eventType": event_type, "state": word, "source": source, "endTime": airflow.get("endTime")}
    state["ends"][known] = [time, 1, end]
    state["outcomes"][f"{event_type} {word or '-'} {source or '-'}"] = True


def _join(left: Json, right: Json) -> Json:
    started = [time for time in (left["started"], right["started"]) if time is not None]
    return {
        "v": 1,
        "kind": left["kind"],
        "key": left["key"],
        "job": right["job"] if left["job"] is None else _newer(left["job"], right["job"]),
        "started": min(started, default=None),
        "first": min(left["first"], right["first"]),
        "run": join_registers(left["run"], right["run"]),
        "jobFacets": join_registers(left["jobFacets"], right["jobFacets"]),
        "inputs": _join_datasets(left["inputs"], right["inputs"]),
        "outputs": _join_datasets(left["outputs"], right["outputs"]),
        "aliases": _join_names(left["aliases"], right["aliases"], _join_aliases),
        "ends": join_registers(left["ends"], right["ends"]),
        "outcomes": {**left["outcomes"], **right["outcomes"]},
    }


def _newer(left: list[Any], right: list[Any] | None) -> list[Any]:
    """The greater of two registers; canonical JSON is made only where the times are the same."""
    if right is None:
        return left
    if left[:2] != right[:2]:
        return left if left[:2] > right[:2] else right
    return left if left[2] is right[2] or json_text(left[2]) >= json_text(right[2]) else right


def join_registers(left: Json, right: Json) -> Json:
    """The newest of each: facets of one dataset that was told of twice."""
    joined = {**left, **right}
    for name in left.keys() & right.keys():
        joined[name] = _newer(left[name], right[name])
    return joined


def _join_names(left: Json, right: Json, join: Any) -> Json:
    """Join ``{namespace: {name: value}}``."""
    joined = dict(left)
    for namespace, names in right.items():
        known = joined.get(namespace, {})
        joined[namespace] = {
            **known,
            **{name: join(known[name], value) if name in known else value for name, value in names.items()},
        }
    return joined


def _join_datasets(left: Json, right: Json) -> Json:
    return _join_names(left, right, _join_dataset)


def _join_dataset(left: Json, right: Json) -> Json:
    return {role: join_registers(left[role], right[role]) for role in ("facets", "roleFacets")}


def _join_aliases(left: Json, right: Json) -> Json:
    return _join_names(left, right, max)
