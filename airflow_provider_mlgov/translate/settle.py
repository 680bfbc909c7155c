"""What depends on what the catalogue already has: the rules of `Entity` made final.

The sender asks for the stored form of `lookups`, and `settle` gives entities that may be written as they are.
Whatever the order in which runs arrive, and however often, the catalogue ends up the same, with three exceptions that
Atlas leaves no better answer to: when a build is made again under the same key, the run that arrived first keeps its
lineage; a deployment that arrives late does not shorten the time that its predecessor is said to have served; and what
people may edit (owner, description) is what the event says that arrives first.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from itertools import pairwise
from types import MappingProxyType
from typing import Any

from airflow_provider_mlgov.model.entity import Entity, Marks, Ref
from airflow_provider_mlgov.translate.naming.hive import UNKNOWN
from airflow_provider_mlgov.translate.texts import json_text

Json = dict[str, Any]
Stored = Mapping[Ref, Mapping[str, Any]]

FACTS_TIME = "factsTime"
DEPLOYMENT, ENDPOINT, MODEL = "mlgov_model_deployment", "mlgov_endpoint", "mlgov_model"

_MAKINGS = frozenset({"mlgov_train_process", "mlgov_evaluate_process", "mlgov_deploy_process"})
"""Processes that are named after what they make: their ends are those of the run that made it."""

_REQUIRED = {
    "aws_s3_v2_directory": ("objectPrefix",),
    "hive_column": ("type",),
    "hive_storagedesc": ("compressed",),
    "mlgov_model_build": ("version",),
    DEPLOYMENT: ("createTime", "deployedTime", "status", "cpuMillicores"),
}
"""Attributes that Atlas wants in every write, even where the stored value stays."""
_OF_SUBTYPES = frozenset({"objectPrefix"})
"""Those of directories, which a rule may give a subtype, whose name says nothing of them."""
_RUNS = frozenset({"mlgov_task_run", "mlgov_dag_run", "mlgov_job_run"})


@dataclass(frozen=True)
class Update:
    """A partial update of an entity that is not in the batch."""

    type_name: str
    qualified_name: str
    attributes: Mapping[str, Any]


@dataclass(frozen=True)
class Settled:
    """What to write: first `entities`, in this order, then `updates`."""

    entities: tuple[Entity, ...]
    """With final attributes: `Entity.create_only`, `Entity.described` and `Entity.latest` are empty."""
    updates: tuple[Update, ...] = ()
    warnings: tuple[str, ...] = ()


def merge(entities: Iterable[Entity]) -> tuple[Entity, ...]:
    """Each entity once, where it first came: parents stay before their children.

    Of several that speak of one entity, the newest `Entity.latest` counts, and of what describes it each attribute that was told
    last.
    """
    merged: dict[tuple[str, str], Entity] = {}
    for entity in entities:
        key = (entity.type_name, entity.qualified_name)
        known = merged.get(key)
        merged[key] = entity if known is None or known is entity else _merged(known, entity)
    return tuple(merged.values())


def lookups(entities: Iterable[Entity], stored: Stored | None = None) -> list[Ref]:
    """The entities whose stored form `settle` needs.

    With what was found, a second call names those that only the first finds lead to (the deployment an endpoint
    points at).
    """
    if stored is None:
        return [entity.ref for entity in entities if _needs_stored(entity)]
    current = (
        _attributes(stored, entity.ref).get("currentDeployment")
        for entity in entities
        if entity.type_name == ENDPOINT and entity.latest
    )
    found = (Ref(DEPLOYMENT, name) for name in current if name)
    return [ref for ref in dict.fromkeys(found) if ref not in stored]


def settle(
    entities: Iterable[Entity], stored: Stored, described: Mapping[Ref, Mapping[str, int]] = MappingProxyType({})
) -> Settled:
    """Entities as they are to be written.

    ``stored`` is Atlas's entity JSON of those among `lookups` that exist; ``described`` is when attributes of data were told
    before, by `Entity.described`.
    """
    batch = merge(entities)
    changed, updates = _succession(batch, stored)
    settled: list[Entity] = []
    warnings: list[str] = []
    for entity in batch:
        entity = changed.get(entity.ref, entity)
        known = _attributes(stored, entity.ref) if entity.ref in stored else None
        if known is not None and entity.type_name in _MAKINGS and _is_other_run(entity, known):
            warnings.append(f"{entity.qualified_name} was done again; its lineage stays that of {known['lastRun']}")
            entity = replace(
                entity, attributes={"name": entity.attributes["name"], **_kept(entity, known)}, relations={}
            )
        if known is not None and _is_told_already(entity, known):
            continue
        final = _final(_undescribed(entity, described.get(entity.ref, {}), known), known)
        settled.append(replace(final, marks=_missing(entity.marks, stored.get(entity.ref))) if entity.marks else final)
    return Settled(tuple(settled), tuple(updates), tuple(warnings))


def _undescribed(entity: Entity, times: Mapping[str, int], known: Mapping[str, Any] | None) -> Entity:
    """``entity`` with what describes it among its attributes, but for what was told of a later time already.

    Where it is not remembered when, what is stored is as old as the newest of its facts.
    """
    if not entity.described:
        return entity
    stored = known or {}
    is_older = _is_older(entity, stored)
    newest: Json = {}
    for name, (time, value) in entity.described.items():
        since = times.get(name, stored.get(FACTS_TIME) if stored.get(name) else None)
        if since is None or time > since or (time == since and not is_older):
            newest[name] = value
    return replace(entity, attributes={**entity.attributes, **_told(newest, stored)}, described={})


def _told(attributes: Mapping[str, Any], stored: Mapping[str, Any]) -> Json:
    """Without what is not told, where nothing is stored that it takes back."""
    return {name: value for name, value in attributes.items() if value is not None or stored.get(name) is not None}


def _is_told_already(entity: Entity, known: Mapping[str, Any]) -> bool:
    """Whether it is a column of Hive's of which nothing is new.

    It is left as it is, since its table may have it among the partition keys, which Hive's hook tells apart and nobody else.
    """
    return entity.type_name == "hive_column" and not entity.marks and not _stands_in(known)


def _stands_in(attributes: Mapping[str, Any]) -> bool:
    """Whether a column of Hive's stands in for one of which only the name is known: whatever is told of it is better."""
    return attributes.get("type") in (None, UNKNOWN)


def _needs_stored(entity: Entity) -> bool:
    return bool(
        entity.create_only
        or entity.latest
        or entity.marks
        or entity.type_name in _MAKINGS
        or (entity.type_name == MODEL and "aliases" in entity.attributes)
    )


def _attributes(stored: Stored, ref: Ref) -> Mapping[str, Any]:
    return (stored.get(ref) or {}).get("attributes") or {}


def _merged(left: Entity, right: Entity) -> Entity:
    if left.type_name in _MAKINGS and _is_other_run(right, left.attributes):
        return left
    newest = _newest(left, right)
    first, second = (right, left) if left.type_name == "hive_column" and _stands_in(left.create_only) else (left, right)
    return replace(
        left,
        attributes={**left.attributes, **right.attributes, **_aliases(left.attributes, right.attributes)},
        described=_described(left if newest is right else right, newest),
        create_only={**second.create_only, **first.create_only},
        latest=newest.latest,
        as_of=newest.as_of,
        relations={**left.relations, **right.relations},
        marks=left.marks.united(right.marks) if right.marks else left.marks,
        about=newest.about,
        named=min(left.named, right.named),
        dropped=max(left.dropped, right.dropped),
    )


def _described(older: Entity, newer: Entity) -> Json:
    """What describes either, each as it was told last; told at one time, as the newer run says it."""

    def order(entity: Entity) -> tuple[int, bool, str]:
        time, value = entity.described[name]
        return time, entity is newer and bool(entity.latest), json_text(value)

    united = {**older.described, **newer.described}
    for name in older.described.keys() & newer.described.keys():
        united[name] = max(older, newer, key=order).described[name]
    return united


def _newest(left: Entity, right: Entity) -> Entity:
    if not left.latest and not right.latest:
        return right if (right.as_of or -1) > (left.as_of or -1) else left
    return right if _order(right.latest, right.as_of) > _order(left.latest, left.as_of) else left


def _order(latest: Mapping[str, Any], as_of: object) -> tuple[bool, bool, int, str]:
    """What makes one `Entity.latest` beat another: that something is known, then time, then the names in it."""
    name = latest.get("currentDeployment") or latest.get("lastRun") or ""
    tie = f"{name} {json_text(dict(latest))}"
    return bool(latest), latest.get("state") != "unknown", as_of if isinstance(as_of, int) else -1, tie


def _final(entity: Entity, known: Mapping[str, Any] | None) -> Entity:
    """``entity`` with the attributes that are written, given those that are stored (None if it is new)."""
    latest = {**entity.latest, FACTS_TIME: entity.as_of} if entity.latest else {}
    if known is None:
        return Entity(
            entity.type_name,
            entity.qualified_name,
            {**entity.create_only, **entity.attributes, **_told(latest, {})},
            relations=entity.relations,
        )
    if _is_older(entity, known):
        latest = {}
    elif latest:
        latest[FACTS_TIME] = max(entity.as_of or 0, known.get(FACTS_TIME) or 0)
    attributes = {**entity.attributes, **_told(latest, known)}
    if entity.type_name == "hive_column" and _stands_in(known):
        attributes |= {
            name: value for name, value in entity.create_only.items() if known.get(name) in (None, 0, UNKNOWN)
        }
    if entity.type_name == MODEL:
        attributes |= _aliases(known, entity.attributes)
    if entity.type_name == DEPLOYMENT:
        attributes |= _in_service(known, attributes)
    for name in _REQUIRED.get(entity.type_name, entity.create_only.keys() & _OF_SUBTYPES):
        if name not in attributes:
            value = known.get(name)
            if value is None:
                value = entity.create_only.get(name, entity.latest.get(name))
            attributes[name] = value
    return Entity(entity.type_name, entity.qualified_name, attributes, relations=entity.relations)


def _is_older(entity: Entity, known: Mapping[str, Any]) -> bool:
    """Whether what is stored is newer than its `Entity.latest`."""
    if not entity.latest or known.get(FACTS_TIME) is None:
        return False
    # What one run says, told again of the same time, is what all its events come to; other ties go by name.
    same_run = entity.type_name in _RUNS or bool(
        known.get("lastRun") and known["lastRun"] == entity.latest.get("lastRun")
    )
    if same_run and known[FACTS_TIME] == entity.as_of:
        return False
    if entity.type_name in _RUNS and entity.latest.get("state") and not known.get("state"):
        return False  # it ended, whenever something else of it was told
    stored = {name: known[name] for name in entity.latest if known.get(name) is not None}
    return _order(stored, known[FACTS_TIME]) > _order(entity.latest, entity.as_of)


def _missing(marks: Marks, stored: Mapping[str, Any] | None) -> Marks:
    """The marks that are not there yet. Custom attributes are written as a whole, so those that are there come along."""
    if stored is None:
        return marks
    known = stored.get("customAttributes") or {}
    custom = {**known, **dict(marks.custom)}
    named = {item.get("typeName") for item in stored.get("classifications") or ()}
    return Marks(
        marks.labels - set(stored.get("labels") or ()),
        frozenset(item for item in marks.classifications if item.type_name not in named),
        tuple(sorted(custom.items())) if custom != known else (),
    )


def _aliases(left: Mapping[str, Any], right: Mapping[str, Any]) -> Json:
    """Aliases of a model from both sides: each moves forward in time only."""
    if "aliases" not in right:
        return {}
    aliases: dict[str, tuple[int, str]] = {}
    for side in (left, right):
        times = side.get("aliasTimes") or {}
        for alias, key in (side.get("aliases") or {}).items():
            told = (int(times.get(alias) or 0), key)
            aliases[alias] = max(aliases.get(alias, told), told)
    return {
        "aliases": {alias: aliases[alias][1] for alias in sorted(aliases)},
        "aliasTimes": {alias: str(aliases[alias][0]) for alias in sorted(aliases)},
    }


def _in_service(known: Mapping[str, Any], attributes: Mapping[str, Any]) -> Json:
    """The times of a deployment whose revision was put into service a second time: they move forward in time only."""
    times: Json = {}
    if "deployedTime" in attributes and known.get("status") != "unknown":
        times["deployedTime"] = max(attributes["deployedTime"], known.get("deployedTime") or 0)
    if attributes.get("status") == "deployed" and known.get("stoppedTime"):
        times["stoppedTime"] = 0  # what Atlas gives for a time that was never set
    return times


def _is_other_run(entity: Entity, known: Mapping[str, Any]) -> bool:
    return bool(known.get("lastRun")) and known["lastRun"] != entity.attributes.get("lastRun")


def _kept(entity: Entity, known: Mapping[str, Any]) -> Json:
    """The required attributes of a process that stays as it is stored."""
    return {name: known.get(name) or entity.attributes[name] for name in ("userName",) if name in entity.attributes}


# --- deployments that follow each other at an endpoint -----------------------------------------------------------------


@dataclass(frozen=True, order=True)
class _Served:
    """A deployment that was put into service at a time."""

    time: int
    name: str
    entity: Entity | None = field(default=None, compare=False)
    """None where it is only known from the stored endpoint."""


def _succession(batch: Iterable[Entity], stored: Stored) -> tuple[dict[Ref, Entity], list[Update]]:
    """Each deployment stopped when the next one at its endpoint was put into service.

    Gives those of the batch that changed, and updates for those that are not in it.
    """
    batch = tuple(batch)
    endpoints = {entity.attributes["endpointKey"]: entity.ref for entity in batch if entity.type_name == ENDPOINT}
    served: dict[str, list[_Served]] = defaultdict(list)
    for entity in batch:
        if entity.type_name == DEPLOYMENT and entity.latest.get("status") == "deployed" and entity.as_of is not None:
            served[entity.attributes["endpointKey"]].append(_Served(entity.as_of, entity.qualified_name, entity))
    changed: dict[Ref, Entity] = {}
    updates: list[Update] = []
    for key, row in served.items():
        endpoint = _attributes(stored, endpoints[key]) if key in endpoints else {}
        current, since = endpoint.get("currentDeployment"), endpoint.get(FACTS_TIME)
        if current and isinstance(since, int) and all((one.time, one.name) != (since, current) for one in row):
            row.append(_Served(since, current))
        row.sort()
        for one, follower in pairwise(row):
            if one.name == follower.name:
                continue
            stopped = {"status": "stopped", "stoppedTime": follower.time}
            if one.entity is not None:
                # Told again: who followed it first is known already, and the endpoint may have moved on since.
                before = _attributes(stored, one.entity.ref).get("stoppedTime") or follower.time
                end = before if one.time < before < follower.time else follower.time
                changed[one.entity.ref] = replace(
                    one.entity, latest={**one.entity.latest, **stopped, "stoppedTime": end}, as_of=end
                )
            elif _still_serves(_attributes(stored, Ref(DEPLOYMENT, one.name)), follower.time):
                updates.append(Update(DEPLOYMENT, one.name, {**stopped, FACTS_TIME: follower.time}))
    return changed, updates


def _still_serves(known: Mapping[str, Any], time: int) -> bool:
    """Whether a stored deployment has to be stopped: it was not before, and nothing later is known of it."""
    return known.get("status") != "stopped" and (known.get(FACTS_TIME) or 0) <= time
