"""What a run read and wrote, as the JSON text ``io`` on its entity."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from airflow_provider_mlgov.model import identity
from airflow_provider_mlgov.model.entity import Change, Entity
from airflow_provider_mlgov.translate.datasets import End
from airflow_provider_mlgov.translate.events import facet
from airflow_provider_mlgov.translate.jobs import Done
from airflow_provider_mlgov.translate.roles import Work
from airflow_provider_mlgov.translate.texts import json_text, plain, shorten

Json = dict[str, Any]

IO_VERSION = 1
"""Version of the ``io`` text on a run."""
_LONGEST = 4_000
_COUNTS = ("rowCount", "size", "fileCount")


def done(
    inputs: Sequence[End],
    outputs: Sequence[End],
    work: Sequence[tuple[Work, Entity]] | None,
    changes: Iterable[Change] = (),
) -> Done:
    """What was read and written.

    A run that did not succeed (``work`` is None) wrote nothing; what it was going to write is ``declared``.
    """
    ends = {end.ref: end for end in (*inputs, *outputs)}
    place = {ref: index for index, ref in enumerate(ends)}
    reads = {end.ref: end for end in inputs}
    writes = {end.ref: end for end in outputs}
    io: Json = {
        "v": IO_VERSION,
        "datasets": [_dataset(end, reads.get(ref), writes.get(ref)) for ref, end in ends.items()],
        "inputs": [place[ref] for ref in reads],
        "outputs": [],
        "processes": [],
    }
    if work is None:
        io["declared"] = [place[ref] for ref in writes]
        return Done(json_text(io), "")
    io["outputs"] = [place[ref] for ref in writes]
    if dropped := [change.ref.qualified_name for change in changes if change.kind == "drop"]:
        io["dropped"] = dropped
    for item, entity in work:
        for ref in (*item.inputs, *item.outputs):
            if ref not in place:  # what the work names, though it was not among the inputs and outputs
                place[ref] = len(io["datasets"])
                io["datasets"].append(
                    {"typeName": ref.type_name, "qualifiedName": ref.qualified_name, "name": _named(ref)}
                )
        io["processes"].append(
            {
                "typeName": entity.type_name,
                "qualifiedName": entity.qualified_name,
                "inputs": [place[ref] for ref in item.inputs],
                "outputs": [place[ref] for ref in item.outputs],
            }
        )
    keys = [identity.token(entity.qualified_name) for _, entity in work]
    return Done(json_text(io), " ".join(keys))


def _named(ref: Any) -> str:
    if ref.type_name != identity.Build.type_name:
        return str(ref.qualified_name.rpartition("@")[0])
    name = identity.Build.parse(ref.qualified_name)
    return f"{name.model} {name.build}"


def _dataset(end: End, read: End | None, written: End | None) -> Json:
    """One dataset of ``io``: what was written of it counts before what was read."""
    entity = end.entities[-1]
    facts: Json = {
        "typeName": entity.type_name,
        "qualifiedName": entity.qualified_name,
        "name": entity.attributes["name"],
    }
    for told, statistics in ((read, "inputStatistics"), (written, "outputStatistics")):
        if told is None:
            continue
        facts |= facts_of_use(told)
        facts |= _counts(told, statistics)
        if told.split:
            facts["split"] = told.split
    return facts


def _counts(end: End, statistics: str) -> Json:
    """Rows, bytes and files of one use: of several partitions all together, if each of them says it."""
    told = [facet(name.role, statistics) for name in end.names if name.partition] or [facet(end.role, statistics)]
    if not told[0]:
        return {}
    return {
        name: sum(counts[name] for counts in told)
        for name in _COUNTS
        if all(is_count(counts.get(name)) for counts in told)
    }


def facts_of_use(end: End) -> Json:
    """What the facets of one use say that belongs to the run; to the dataset itself where there is no run."""
    facts: Json = {}
    if version := plain(facet(end.facets, "version").get("datasetVersion"), 500):
        facts["version"] = version
    facts |= _reports(end.role, facts.get("version"))
    if end.lifecycle:
        facts["lifecycle"] = end.lifecycle
    if end.partitions:
        facts["partitions"] = list(end.partitions)
    if end.location:
        facts["location"] = end.location
    for name in ("subset", "storage", "catalog"):
        found = facet(end.role if name == "subset" else end.facets, name)
        if found and (said := _short(found)):
            facts[name] = said
    return facts


def _reports(role: Mapping[str, Any], version: str | None) -> Json:
    """What Iceberg says of a scan or a commit; its snapshot is the version where nothing else says one."""
    facts: Json = {}
    for name in ("icebergScanReport", "icebergCommitReport"):
        found = facet(role, name)
        snapshot = found.get("snapshotId")
        if version is None and isinstance(snapshot, (int, str)):  # Java writes a long as a float, another number
            facts["version"] = str(snapshot)[:500]
        if found and (report := _short(found)):
            facts[name] = report
    return facts


def _short(found: Mapping[str, Any]) -> Any:
    """A facet without what says who made it; as a text with its end cut off where it is long."""
    said = {key: value for key, value in found.items() if not key.startswith("_")}
    text = json_text(said)
    return said if len(text) <= _LONGEST else shorten(text, _LONGEST)


def is_count(value: object) -> bool:
    """Whether this is a number of things."""
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**63
