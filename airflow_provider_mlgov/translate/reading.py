"""Reading OpenLineage events: what has a wrong type is left out, and what no event can be without is asked for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import chain, islice
from typing import Any

from airflow_provider_mlgov.errors import InvalidEventError
from airflow_provider_mlgov.translate.times import microseconds

Json = dict[str, Any]

EVENT_TYPES = ("START", "RUNNING", "COMPLETE", "ABORT", "FAIL", "OTHER")
EMPTY: tuple[object, ...] = (None, "", [], {})
"""Values that say nothing."""
CUT = "mlgovCut"
"""The only key of a facet that was left out because its event was too large."""
MOST_DATASETS = 20_000
"""Datasets that one event may name."""
_MOST_ODD = 10
_FORM = "wanted an OpenLineage run event (run and job), job event (job) or dataset event (dataset)"


def read_event(document: object) -> Json:
    """An event in normal form: what it needs is there, and everything has the type that OpenLineage gives it.

    Raises `InvalidEventError` where an event says neither when nor what. Facets and other parts of a wrong type are
    left out, and ``leftOut`` says which; a dataset without namespace or name is kept as such, so that translation can
    warn. The document is not changed; the result shares its facets.
    """
    if not isinstance(document, dict):
        raise InvalidEventError(f"the event is {_found(document)}; {_FORM}: send a JSON object")
    time = document.get("eventTime")
    if microseconds(time) is None:
        raise InvalidEventError(
            f"eventTime is {_found(time)}; wanted a time such as '2026-01-31T12:00:00.000Z': let the producer set it"
        )
    event: Json = {"eventTime": time}
    if document.get("foreign") is True:
        event["foreign"] = True
    for direction in ("inputs", "outputs"):
        found = document.get(direction)
        if isinstance(found, list) and len(found) > MOST_DATASETS:
            raise InvalidEventError(
                f"{direction} has {len(found)} datasets; wanted at most {MOST_DATASETS}: let the producer name their folder"
            )
    if odd := list(islice(chain(_texts(document.get("leftOut")), _odd(document)), _MOST_ODD)):
        event["leftOut"] = odd
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


def _odd(document: Mapping[str, Any]) -> Iterator[str]:
    """What has a wrong type and is left out, so that translation can warn."""
    for part in ("run", "job", "dataset"):
        holder = document.get(part)
        if isinstance(holder, dict):
            yield from _odd_facets(holder, part, "facets")
    for direction, role in (("inputs", "inputFacets"), ("outputs", "outputFacets")):
        found = document.get(direction)
        if found is not None and not isinstance(found, list):
            yield f"{direction} is {_kind(found)}; wanted a list"
        for index, item in enumerate(found if isinstance(found, list) else ()):
            place = f"{direction}[{index}]"
            if not isinstance(item, dict):
                yield f"{place} is {_kind(item)}; wanted a JSON object"
                continue
            for name in ("namespace", "name"):
                if not isinstance(item.get(name), str):
                    yield f"{place}.{name} is {_kind(item.get(name))}; wanted a text"
            for group in ("facets", role):
                yield from _odd_facets(item, place, group)


def _odd_facets(holder: Mapping[str, Any], place: str, group: str) -> Iterator[str]:
    found = holder.get(group)
    if found is not None and not isinstance(found, dict):
        yield f"{place}.{group} is {_kind(found)}; wanted a JSON object"
    for name, facet in found.items() if isinstance(found, dict) else ():
        if facet is not None and not isinstance(facet, dict):
            yield f"{place}.{group}.{name[:100]} is {_kind(facet)}; wanted a JSON object"
        elif facet is not None and CUT in facet:
            yield f"{place}.{group}.{name[:100]}: {str(facet[CUT])[:200]}"


def _texts(value: object) -> Iterator[str]:
    return (item[:500] for item in (value if isinstance(value, list) else ()) if isinstance(item, str))


def _found(value: object) -> str:
    """What was found, short enough for a message."""
    if value is None:
        return "missing"
    if isinstance(value, (dict, list)):
        return f"a JSON {'object' if isinstance(value, dict) else 'list'}"
    return repr(value)[:100]


def _kind(value: object) -> str:
    """What kind of thing was found: a text in place of a facet may be a secret."""
    if isinstance(value, str):
        return "a text"
    return "a number" if isinstance(value, (int, float)) and not isinstance(value, bool) else _found(value)


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
    """The facets that are objects and say something."""
    if not isinstance(value, dict):
        return {}
    return {name: facet for name, facet in value.items() if isinstance(facet, dict) and _says_something(name, facet)}


def _says_something(name: str, facet: Json) -> bool:
    """Whether not all that it tells is empty; ``_deleted`` counts, and that data has no inputs (`lineage`)."""
    if name == "lineage" and facet.get("inputs") == []:
        return True
    return any(item not in EMPTY for key, item in facet.items() if not str(key).startswith("_") or key == "_deleted")


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
