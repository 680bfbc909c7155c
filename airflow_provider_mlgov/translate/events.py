"""Uniting the OpenLineage events of one run, as `airflow_provider_mlgov.translate.reading` gives them.

A run's state is a join: every event is lifted into a state of its own, and two states are joined key by key, each
time taking the greater by one total order (event time, then terminal before others, then canonical JSON). So events
may come in any order, any number of times, and by several doors: the state is the same. An event that says nothing
erases nothing.

The state is plain JSON::

    {"v": 1, "kind": "run" | "job" | "dataset", "key": …,
     "job": register, "started": µs | null, "first": µs, "last": µs, "since": µs,
     "run": {facet: register}, "jobFacets": {facet: register},
     "inputs" | "outputs": {namespace: {name: {"facets": {facet: register}, "roleFacets": {facet: register}, "at": µs}}},
     "aliases": {namespace: {name: {namespace: {name: type}}}},
     "ends": {how it is known: register}, "outcomes": {"COMPLETE success reported": true},
     "leftOut": {what had a wrong type: true}}

A register is ``[event time in µs, rank, value]``. The facets in `KEYWISE` have one register per key
(``mlgov_ml.metrics``): two doors may each know a part of them. ``since`` is only there where the run was done again:
what was told before it belongs to an earlier life of the run. ``applicationAliases`` are no part of the join: the sender
adds those that other steps of a Spark application told.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from airflow_provider_mlgov.model.identity import token
from airflow_provider_mlgov.model.ml import FACET as ML_FACET
from airflow_provider_mlgov.translate.reading import EMPTY
from airflow_provider_mlgov.translate.texts import json_text
from airflow_provider_mlgov.translate.times import microseconds

Json = dict[str, Any]

AIRFLOW_FACET = "mlgov_airflow"
"""Our run facet: what Airflow knows of the task run or DAG run."""
_AIRFLOW_FACETS = (AIRFLOW_FACET, "airflow", "airflowDagRun")
"""Run facets that tell Airflow's own run id: ours, and the OpenLineage provider's."""
KEYWISE = (AIRFLOW_FACET, ML_FACET)
"""Facets whose keys are facts of their own."""
TERMINAL = frozenset({"COMPLETE", "FAIL", "ABORT"})


def run_key(event: Mapping[str, Any]) -> str:
    """What groups events: the run id, and Airflow's own where it is known; the job, of job events; a dataset event stands alone.

    OpenLineage's run id of a task comes from its logical date (or ``run_after``): two DAG runs of one date share it.
    """
    if "run" not in event and "job" in event:
        return f"job~{token(event['job']['namespace'], event['job']['name'])}"
    own = _own_key(event).replace("%", "%25").replace("/", "%2F").replace("~", "%7E")  # no run id looks like two parts
    if event.get("foreign") is True:  # a run id is no secret: who knows it does not speak for the jobs of others
        return f"{own}~{token(event.get('job', {}).get('namespace', ''))[:8]}"
    run = _airflow_run(event.get("run", {}).get("facets", {}))
    return f"{own}/{token(run)[:8]}" if run else own


def live(state: Json | None, events: Sequence[Json]) -> tuple[Json | None, bool]:
    """A run's state after further events, and whether they began the run anew; the order of ``events`` does not matter.

    A run of Airflow's that was deleted and done again has the same name, and what its earlier life did is over: it begins anew when
    it starts after an end (a task that deferred starts again before its end, a retry is another run). Events from
    before that moment are left out, however late they come. Where the two lives were united before the end between
    them was known, they stay united: nothing that was told is lost. Elsewhere a run id is used once: a late START only adds.
    """
    if not (any(map(_is_airflow, events)) or (state is not None and _was_airflow(state))):
        united = state
        for event in events:
            united = unite(united, event)
        return united, False
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
    if not counts and state is None:
        counts, since = list(events), None  # clocks that differ: what is told of one life only is not of an earlier one
    anew = state is not None and since is not None and bool(counts) and state["job"][0] < since
    united = None if anew else state
    for event in counts:
        united = unite(united, event)
    return (united if united is None or since is None else {**united, "since": since}), anew


def _is_airflow(event: Json) -> bool:
    return _airflow_run(event.get("run", {}).get("facets", {})) is not None


def _was_airflow(state: Json) -> bool:
    return _airflow_run({name: facet(state["run"], name) for name in _AIRFLOW_FACETS}) is not None


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
    for name in _AIRFLOW_FACETS[1:]:
        dag_run = facets.get(name, {}).get("dagRun")
        found = found or (dag_run.get("run_id") if isinstance(dag_run, dict) else None)
    return found if isinstance(found, str) and found else None


def application_of(state: Mapping[str, Any]) -> str | None:
    """The run of the Spark application that this run is a step of, or is itself: its steps know one path by one name."""
    if state["kind"] != "run" or facet(state["jobFacets"], "jobType").get("integration") != "SPARK":
        return None
    return _application(facet(state["run"], "parent"), state["job"][2]["namespace"])


def told_aliases(event: Mapping[str, Any]) -> tuple[str | None, Json]:
    """The aliases that an event tells, and the run of the Spark application that it is of; None where it is of none."""
    facets = event.get("job", {}).get("facets", {})
    if facets.get("jobType", {}).get("integration") != "SPARK" or "run" not in event:
        return None, {}
    found: Json = {}
    for dataset in (*event["inputs"], *event["outputs"]):
        _add_aliases(found, dataset)
    return _application(event["run"].get("facets", {}).get("parent", {}), event["job"]["namespace"]), found


def _application(parent: Mapping[str, Any], namespace: str) -> str | None:
    """A run id is no secret: who knows that of an application does not speak for the jobs of another namespace."""
    run = parent.get("run")
    found = run.get("runId") if isinstance(run, dict) else None
    return f"{token(namespace)[:8]}~{found}" if isinstance(found, str) and found else None


# --- uniting ---------------------------------------------------------------------------------------------------------


def unite(state: Json | None, event: Json) -> Json:
    """The state after ``event`` (as `read_event` gives it), whatever came before. Neither argument is changed."""
    lifted = _lift(event)
    return lifted if state is None else _join(state, lifted)


def is_terminal(state: Mapping[str, Any]) -> bool:
    """Whether the run is known to have ended. Job and dataset events are complete in themselves."""
    return state["kind"] != "run" or bool(state["ends"])


def is_streaming(state: Mapping[str, Any]) -> bool:
    """Whether the job never ends by itself, so that what it did so far counts before its end."""
    return facet(state["jobFacets"], "jobType").get("processingType") in ("STREAMING", "SERVICE")


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


def datasets_of(state: Mapping[str, Any], direction: str) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    """The datasets of one direction that count.

    All that any event named; but of job events, and of a producer whose events are complete pictures (``COMPLETE_SNAPSHOT``),
    those of the newest event that shows any, as that shows them.
    """
    pattern = facet(state["jobFacets"], "jobType").get("emissionPattern")
    is_snapshot = isinstance(pattern, dict) and pattern.get("eventContentMode") == "COMPLETE_SNAPSHOT"
    if not is_snapshot and state["kind"] != "job":
        yield from each(state[direction])
        return
    newest = newest_picture(state)
    for namespace, name, entry in each(state[direction]):
        if entry["at"] == newest:
            yield (
                namespace,
                name,
                {**entry, **{role: _told_at(entry[role], newest) for role in ("facets", "roleFacets")}},
            )


def newest_picture(state: Mapping[str, Any]) -> int:
    """When data was last named, in µs; 0 if it never was."""
    return max((entry["at"] for side in ("inputs", "outputs") for _, _, entry in each(state[side])), default=0)


def _told_at(registers: Mapping[str, Any], time: int) -> Json:
    """The facets that were told at this time: an older picture's say nothing of a newer one."""
    return {name: register for name, register in registers.items() if register[0] == time}


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
        "last": time,
        "run": _registers(run, time, rank),
        "jobFacets": {},
        "inputs": {},
        "outputs": {},
        "aliases": {},
        "ends": {},
        "outcomes": {},
    }
    if odd := event.get("leftOut"):
        state["leftOut"] = dict.fromkeys(odd, True)
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
                if item not in EMPTY and not str(key).startswith("_")
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
        "at": time,
    }
    names = state[direction].setdefault(namespace, {})
    names[name] = _join_dataset(names[name], entry) if name in names else entry
    _add_aliases(state["aliases"], dataset)


def _add_aliases(known: Json, dataset: Json) -> None:
    """Put the other names of a dataset to those that are known."""
    facets = dataset.get("facets", {})
    if "symlinks" in facets:
        names = known.setdefault(dataset["namespace"], {})
        names[dataset["name"]] = _join_aliases(names.get(dataset["name"], {}), _aliases(facets["symlinks"]))


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
    odd = {**left.get("leftOut", {}), **right.get("leftOut", {})}
    started = [time for time in (left["started"], right["started"]) if time is not None]
    return {
        "v": 1,
        "kind": left["kind"],
        "key": left["key"],
        "job": right["job"] if left["job"] is None else _newer(left["job"], right["job"]),
        "started": min(started, default=None),
        "first": min(left["first"], right["first"]),
        "last": max(left["last"], right["last"]),
        "run": join_registers(left["run"], right["run"]),
        "jobFacets": join_registers(left["jobFacets"], right["jobFacets"]),
        "inputs": _join_datasets(left["inputs"], right["inputs"]),
        "outputs": _join_datasets(left["outputs"], right["outputs"]),
        "aliases": _join_names(left["aliases"], right["aliases"], _join_aliases),
        "ends": join_registers(left["ends"], right["ends"]),
        "outcomes": {**left["outcomes"], **right["outcomes"]},
        **({"leftOut": odd} if odd else {}),
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
    joined: Json = {role: join_registers(left[role], right[role]) for role in ("facets", "roleFacets")}
    return {**joined, "at": max(left["at"], right["at"])}


def _join_aliases(left: Json, right: Json) -> Json:
    return _join_names(left, right, max)
