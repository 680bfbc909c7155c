"""``mlgov doctor --duplicates``: entities that were made twice under one name, and their repair."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import datetime, timezone
from typing import Any

from airflow_provider_mlgov.catalog.catalog import Catalog, Json
from airflow_provider_mlgov.catalog.merging import Merged, Merger
from airflow_provider_mlgov.catalog.twins import TEMPORARY, Twins, described, find_twins, members, scanned_types
from airflow_provider_mlgov.cli.context import Context
from airflow_provider_mlgov.cli.delivery import writer
from airflow_provider_mlgov.cli.output import remark, say
from airflow_provider_mlgov.delivery.deadline import Deadline
from airflow_provider_mlgov.delivery.sender import Sender
from airflow_provider_mlgov.delivery.sinks.catalog import CatalogSink
from airflow_provider_mlgov.errors import ConfigurationError, InvalidInputError

_REMARK_SECONDS = 10.0
_PORTION = 20
"""So many names are repaired before others may send in between."""
_LOCK_SECONDS = 120.0
_SHOWN = 100


def duplicates(context: Context, types: Sequence[str] | None, *, repair: bool) -> int:
    """Say which names are there several times, and with ``repair`` make one of them. Exit code 1 if some are left."""
    if repair:
        sender = writer(context)
    with context.catalog() as catalog:
        found = _found(catalog, types or scanned_types())
        if not found:
            return 0
        if not repair:
            for twins in found[:_SHOWN]:
                _show(catalog, twins)
            if len(found) > _SHOWN:
                remark(f"{_SHOWN} of {len(found)} are shown")
            say()
            say("nothing was changed: --repair makes one of each, with what all of them have")
            return 1
    failed = 0
    for start in range(0, len(found), _PORTION):
        failed += _repaired(sender, found[start : start + _PORTION])
    say()
    say(f"{len(found) - failed} names repaired{f', {failed} are as they were' if failed else ''}")
    sender.send(_LOCK_SECONDS)  # what could not be sent meanwhile
    return 1 if failed else 0


def _found(catalog: Catalog, types: Sequence[str]) -> list[Twins]:
    """The twins of all types; what was looked at is said."""
    progress = _Progress()
    found: list[Twins] = []
    known = {each["name"] for each in catalog.type_definitions()["entityDefs"]}
    scanned = [each for each in types if each in known]
    absent = [each for each in types if each not in known]
    for type_name in scanned:
        found += find_twins(catalog, type_name, progress.add)
    if absent and not scanned:
        raise InvalidInputError(f"{catalog.identity} has no type {', '.join(absent)}; see `mlgov types show`")
    lacking = f"; not there: {', '.join(absent)}" if absent else ""
    say(
        f"looked at {progress.total} entities of {len(scanned)} types and their subtypes in {catalog.identity}{lacking}"
    )
    say(f"{len(found)} names have twins or are not found" if found else "no name is there twice")
    return found


class _Progress:
    """How many entities were looked at, said now and then."""

    def __init__(self) -> None:
        self.total = 0
        self._said = time.monotonic()

    def add(self, count: int) -> None:
        self.total += count
        if time.monotonic() - self._said > _REMARK_SECONDS:
            self._said = time.monotonic()
            remark(f"{self.total} entities so far")


def _show(catalog: Catalog, twins: Twins) -> None:
    """A name, and what hangs on each of its entities."""
    entities = members(catalog, twins)
    say()
    say(f"{twins.ref.type_name}  {twins.ref.qualified_name}")
    for number, entity in enumerate(entities):
        made = datetime.fromtimestamp(int(entity.get("createTime") or 0) / 1000, timezone.utc)
        state = ""
        if entity["attributes"]["qualifiedName"].startswith(TEMPORARY):
            state = ", a repair was cut off"
        elif twins.found is None:
            state = ", not found by name"
        role = "keeper" if number == 0 else "twin"
        say(f"  {role:<6}  {entity['guid']}  made {made:%Y-%m-%d %H:%M:%S} by {entity.get('createdBy')}{state}")
        say(f"          {_words(described(entity))}")


def _words(told: dict[str, Any]) -> str:
    edges: Json = told.pop("edges", {})
    said = [", ".join(f"{count} {name}" for name, count in edges.items())] if edges else ["no edges"]
    said += [f"{name}: {', '.join(value) if isinstance(value, list) else value}" for name, value in told.items()]
    return " · ".join(said)


def _repaired(sender: Sender, found: Sequence[Twins]) -> int:
    """Repair some while nobody else sends; how many failed."""
    failed = 0
    with sender.exclusive(_LOCK_SECONDS) as sink:
        if not isinstance(sink, CatalogSink):
            raise ConfigurationError("only a catalogue can be repaired, and events go elsewhere from here")
        deadline = Deadline(None)
        sink.await_open_call(deadline)
        merger = Merger(sink.catalog, lambda call: sink.patiently(call, deadline))
        for twins in found:
            merged = merger.merge(twins)
            sink.forget([twins.ref])
            failed += merged.failure is not None
            _say(merged)
    return failed


def _say(merged: Merged) -> None:
    say()
    say(f"{merged.ref.type_name}  {merged.ref.qualified_name}")
    if merged.failure:
        say(f"  FAILED  {merged.failure}")
    elif not merged.keeper:
        say("  nothing to do any more")
    else:
        moved = ", ".join(f"{count} {what}" for what, count in merged.moved.items()) or "nothing was missing"
        say(f"  kept    {merged.keeper}, found by name again; it got from the others: {moved}")
        for guid in merged.removed:
            say(f"  deleted {guid}")
