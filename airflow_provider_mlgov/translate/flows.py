"""What an event says of which input feeds which output.

Three facets say it: ``lineage`` of the job (for datasets and columns; it supersedes the others), ``columnLineage`` and
``lineage`` of an output. Dependencies of a whole dataset (a filter, a join) come from ``dataset`` and from INDIRECT
transformations: they feed the dataset, but are no edges of columns.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

from airflow_provider_mlgov.errors import InvalidNameError
from airflow_provider_mlgov.model.entity import Ref
from airflow_provider_mlgov.translate.datasets import End
from airflow_provider_mlgov.translate.events import facet
from airflow_provider_mlgov.translate.names import Names
from airflow_provider_mlgov.translate.naming import FAMILIES
from airflow_provider_mlgov.translate.reading import CUT
from airflow_provider_mlgov.translate.texts import called, plain

Json = Mapping[str, Any]

_WORDS = 1_000
_MASKED = "MASKED"
_PASSING = 10
"""Steps that data in memory is followed back."""
_MOST_FOLLOWED = 10_000
"""Such steps in one event: each may lead to many others."""


@dataclass(frozen=True)
class InputField:
    """A column that another one is made of."""

    dataset: Ref
    column: str
    kinds: tuple[str, ...] = ()
    """IDENTITY, TRANSFORMATION, AGGREGATION …"""
    masking: bool = False
    words: tuple[str, ...] = ()
    told: Json = field(default_factory=dict)
    """The same as JSON, for people."""


@dataclass
class Flow:
    """What one output is made of."""

    inputs: set[Ref] = field(default_factory=set)
    columns: dict[str, list[InputField]] = field(default_factory=dict)
    is_certain: bool = False
    """All inputs of the output are known: the facet says which they are."""
    is_open: bool = False
    """It is made of data that ended with the run, and nothing says what that was made of."""


@dataclass(frozen=True)
class _Said:
    """What a facet says of one output, whatever its form."""

    whole: list[Json]
    """Datasets that feed it as a whole."""
    columns: dict[str, list[Json]]
    """Fields of datasets that each of its columns is made of, with their ``transformations``."""
    is_certain: bool
    is_open: bool = False
    """Something else that goes into the output is not told."""
    is_cut: bool = False
    """More was told, but the event was too large to keep it."""


def read_flows(
    job: Json, outputs: list[End], names: Names, ends: dict[Ref, End], warnings: list[str]
) -> dict[Ref, Flow]:
    """The flows into ``outputs``, where something says them.

    Datasets that only these facets name are added to ``ends``. Where the job says what its outputs are made of, one that it does
    not speak of, and that does not speak for itself, is made of nothing.
    """
    reader = _Reader(names, ends, warnings)
    reader.read_passing(job)
    of_job: dict[Ref, list[_Said | None]] = {}
    for entry, end in _entries(job, reader):
        of_job.setdefault(end.ref, []).append(_of_lineage(entry))
    is_told = _is_whole(facet(job, "lineage"), of_job, warnings)
    flows: dict[Ref, Flow] = {}
    for end in outputs:
        by_job = [said for said in of_job.get(end.ref, ()) if said is not None]
        said = _together([*by_job] or _by_name(end, warnings))
        if said is not None:
            flow = reader.flow(said)
            if (
                flow.inputs or flow.is_certain or said.is_cut
            ):  # columns of no columns (a count) do not say what was read
                flows[end.ref] = flow
        elif is_told:
            flows[end.ref] = Flow(is_certain=True)
    return flows


def _is_whole(found: Json, of_job: Mapping[Ref, list[_Said | None]], warnings: list[str]) -> bool:
    """Whether the facet ``lineage`` of the job says all: then an output that it does not speak of is made of nothing."""
    if not found or CUT in found:
        return bool(found)
    entries = found.get("entries")
    entries = entries if isinstance(entries, list) else []
    known = [entry for entry in entries if _is_entry(entry)]
    if not known or len(known) != len(entries) or any(said is None for each in of_job.values() for said in each):
        warnings.append(
            "the facet lineage of the job cannot be read as a whole: what it does not say counts as not told"
        )
        return False
    return any(entry["type"] == "DATASET" for entry in known)


def _is_entry(entry: object) -> bool:
    """Whether this is an entry of the facet ``lineage`` of a job, of a kind that we know."""
    return isinstance(entry, dict) and (
        entry.get("type") == "JOB"
        or (entry.get("type") == "DATASET" and all(isinstance(entry.get(key), str) for key in ("namespace", "name")))
    )


def with_told(job: Json, outputs: Sequence[End], gone: Iterable[Ref], names: Names, warnings: list[str]) -> list[End]:
    """``outputs``, and data that only the facet ``lineage`` of the job says is made; what is ``gone`` after the run is none."""
    known = {*gone, *(end.ref for end in outputs)}
    told = {
        end.ref: end
        for entry, end in _entries(job, _Reader(names, {}, warnings))
        if end.ref not in known and (entry.get("inputs") or entry.get("fields")) and end.family is not FAMILIES["ml"]
    }
    return [*outputs, *(told[ref] for ref in sorted(told))]


def _entries(job: Json, reader: _Reader) -> Iterator[tuple[Json, End]]:
    """The entries for datasets of the facet ``lineage`` of a job."""
    for entry in _objects(facet(job, "lineage").get("entries")):
        if entry.get("type") == "DATASET" and (end := reader.end(entry)) is not None:
            yield entry, end


def _by_name(end: End, warnings: list[str]) -> list[_Said | None]:
    """What is said of an output under each of its names; of a partition that nothing is said of, None."""
    for facets in [name.facets for name in end.names] or [end.facets]:
        warnings += [
            f"the facet {name} of {end.ref.qualified_name} cannot be read: it says nothing"
            for name in ("lineage", "columnLineage")
            if (found := facet(facets, name)) and not _is_readable(found, name)
        ]
    if not end.names:
        return [_said(end.facets)]
    told = [(bool(name.partition), _said(name.facets)) for name in end.names]
    return [said for is_part, said in told if is_part or said is not None] or [None]


def _together(told: list[_Said | None]) -> _Said | None:
    """What is said of one output under several names (its partitions), or in several entries."""
    known = [said for said in told if said is not None]
    if len(known) == len(told) == 1:
        return known[0]
    if not known:
        return None
    columns: dict[str, list[Json]] = {}
    for said in known:
        for name, items in said.columns.items():
            columns.setdefault(name, []).extend(items)
    return _Said(
        [item for said in known for item in said.whole],
        columns,
        is_certain=all(said.is_certain for said in known),
        is_open=len(known) < len(told),
        is_cut=any(said.is_cut for said in known),
    )


def _said(facets: Json) -> _Said | None:
    """What the facets of a dataset say of what it is made of, or None.

    Where `lineage` says that it is of nothing and `columnLineage` that it is of something, they are of two producers: the latter.
    """
    said = _of_lineage(found) if (found := facet(facets, "lineage")) else None
    columns = facet(facets, "columnLineage")
    if said is not None and (said.whole or said.columns or not columns):
        return said
    return _of_columns(columns) if columns else None


def _is_readable(found: Json, name: str) -> bool:
    """Whether a facet of a dataset has the form that the specification gives it, as far as it says what feeds what."""
    if CUT in found:
        return True
    whole, fields, of_field = (
        ("inputs", "fields", "inputs") if name == "lineage" else ("dataset", "fields", "inputFields")
    )
    if not found.keys() & {whole, fields} or not isinstance(found.get(whole, []), list):
        return False
    columns = found.get(fields, {})
    return isinstance(columns, dict) and all(
        isinstance(item, dict) and isinstance(item.get(of_field, []), list) for item in columns.values()
    )


def _of_lineage(found: Json) -> _Said | None:
    """An entry of the facet ``lineage``, or that facet of a dataset; None where it has another form."""
    if not _is_readable(found, "lineage"):
        return None
    fields = found.get("fields")
    columns = {
        str(name): list(_objects(item.get("inputs")))
        for name, item in (fields.items() if isinstance(fields, dict) else ())
        if isinstance(item, dict)
    }
    return _Said(
        [item for item in _objects(found.get("inputs")) if item.get("type") != "JOB"], columns, is_certain=True
    )


def _of_columns(found: Json) -> _Said | None:
    """The facet ``columnLineage``. Since version 1-2-0 it names what feeds the whole dataset too: then nothing is missing."""
    fields, whole = found.get("fields"), found.get("dataset")
    columns: dict[str, list[Json]] = {}
    for name, item in fields.items() if isinstance(fields, dict) else ():
        if isinstance(item, dict):
            sources = list(_objects(item.get("inputFields")))
            kind, words = item.get("transformationType"), item.get("transformationDescription")
            if kind or words:  # as older versions say it: once for all sources
                older = {"transformations": [{"type": kind, "description": words}]}
                sources = [source if source.get("transformations") else {**source, **older} for source in sources]
            columns[str(name)] = sources
    if not columns and not whole and CUT not in found:
        return None
    return _Said(
        list(_objects(whole)), columns, is_certain=isinstance(whole, list) and bool(whole), is_cut=CUT in found
    )


class _Reader:
    def __init__(self, names: Names, ends: dict[Ref, End], warnings: list[str]) -> None:
        self._names = names
        self._ends = ends
        self._warnings = warnings
        self._known: dict[tuple[str, str], tuple[End | None, bool]] = {}
        self._passing: dict[tuple[str, str], _Said | None] = {}
        """What the job says of data that ended with the run."""
        self._whole: dict[tuple[str, str], list[Json]] = {}
        self._followed = 0

    def read_passing(self, job: Json) -> None:
        """Learn what the facet ``lineage`` of the job says of data that only passed data on."""
        for entry in _objects(facet(job, "lineage").get("entries")):
            if entry.get("type") == "DATASET" and self._find(entry) == (None, True):
                name = (entry["namespace"], entry["name"])
                self._passing[name] = _together(
                    [said for said in (self._passing.get(name), _of_lineage(entry)) if said]
                )

    def flow(self, said: _Said) -> Flow:
        """What is said, with the entities that are meant."""
        flow = Flow(is_certain=said.is_certain, is_open=said.is_open)
        for item in said.whole:
            flow.inputs.update(ref for ref, _ in self._sources(item, flow))
        for name, items in said.columns.items():
            direct = [
                made_of
                for item in items
                for ref, source in self._sources(item, flow)
                if (made_of := _input_field(ref, source)) is not None
            ]
            if direct:
                flow.columns[name] = direct
        return flow

    def end(self, item: Json) -> End | None:
        """The dataset that is named, added to the ends if it is not one yet."""
        return self._find(item)[0]

    def _sources(self, item: Json, flow: Flow, through: tuple[Json, ...] = ()) -> Iterable[tuple[Ref, Json]]:
        """The dataset that is named, or what it is made of where it ended with the run; `Flow.is_open` if nobody says that."""
        end, is_passing = self._find(item)
        if end is not None:
            ref = end.ref
            flow.inputs.add(ref)
            return ((ref, item),)
        return self._behind(item, flow, through) if is_passing else ()

    def _behind(self, item: Json, flow: Flow, through: tuple[Json, ...]) -> Iterator[tuple[Ref, Json]]:
        name = (item["namespace"], item["name"])
        said = self._passing.get(name) or _said(self._names.facets(*name))
        self._followed += 1
        is_endless = len(through) >= _PASSING or self._followed > _MOST_FOLLOWED
        if said is None or is_endless or any(_is_same(item, other) for other in through):
            flow.is_open = True
            return
        column = item.get("field")
        for inner in said.columns.get(column, []) if isinstance(column, str) else self._datasets(name, said):
            yield from self._sources({**inner, "transformations": _steps(inner, item)}, flow, (*through, item))
        for inner in said.whole:
            yield from self._sources(inner, flow, (*through, item))

    def _datasets(self, name: tuple[str, str], said: _Said) -> list[Json]:
        """Each dataset that any column of data in memory is made of, once and as a whole: which column of it, nobody says."""
        if name not in self._whole:
            found = {(str(one.get("namespace")), str(one.get("name"))): one for one in chain(*said.columns.values())}
            self._whole[name] = [{"namespace": one.get("namespace"), "name": one.get("name")} for one in found.values()]
        return self._whole[name]

    def _find(self, item: Json) -> tuple[End | None, bool]:
        """The dataset that is named, if it is one in Atlas; and whether it only passed data on and ended with the run."""
        namespace, name = item.get("namespace"), item.get("name")
        if not isinstance(namespace, str) or not isinstance(name, str):
            return None, False
        if (namespace, name) not in self._known:
            self._known[namespace, name] = self._named(namespace, name)
        return self._known[namespace, name]

    def _named(self, namespace: str, name: str) -> tuple[End | None, bool]:
        try:
            named = self._names.of(namespace, name)
        except InvalidNameError as error:
            self._warnings.append(f"{called(name)} that lineage names is left out: {error}")
            return None, False
        if not named.entities:
            return None, not named.is_ignored
        return self._ends.setdefault(named.entities[-1].ref, End(named.family, named.entities, {}, {})), False


def _is_same(item: Json, other: Json) -> bool:
    return all(item.get(key) == other.get(key) for key in ("namespace", "name", "field"))


def _steps(first: Json, second: Json) -> list[Json]:
    """Two transformations after each other; after or before a filter, all is a filter."""
    steps = [list(_objects(item.get("transformations"))) for item in (first, second)]
    return next((part for part in steps if _is_indirect(part)), [*steps[0], *steps[1]])


def _is_indirect(steps: list[Json]) -> bool:
    """Whether it is only a filter, a join or the like."""
    return bool(steps) and all(step.get("type") == "INDIRECT" for step in steps)


def _input_field(dataset: Ref, item: Json) -> InputField | None:
    """The column of ``dataset`` that ``item`` names; None where it names none, or only a filter, a join or the like."""
    column, steps = item.get("field"), list(_objects(item.get("transformations")))
    if not isinstance(column, str) or not column or _is_indirect(steps):
        return None
    direct = [step for step in steps if step.get("type") != "INDIRECT"]
    kinds = tuple(dict.fromkeys(kind for step in direct if (kind := _kind(step))))
    words = tuple(dict.fromkeys(text for step in direct if (text := plain(step.get("description"), _WORDS))))
    masking = any(step.get("masking") is True or step.get("type") == _MASKED for step in direct)
    transformations = [_told(step) for step in steps if any(step.values())]
    told = {"dataset": dataset.qualified_name, "column": column, "transformations": transformations}
    return InputField(dataset, column, kinds, masking, words, told)


def _kind(step: Json) -> str | None:
    """``IDENTITY`` of ``DIRECT``/``IDENTITY``; older facets have it as the type itself."""
    return plain(step.get("subtype"), 100) or plain(step.get("type"), 100)


def _told(step: Json) -> Json:
    return {
        key: value if isinstance(value, bool) else plain(value, _WORDS)
        for key, value in step.items()
        if key in ("type", "subtype", "description", "masking") and isinstance(value, (str, bool)) and value != ""
    }


def _objects(value: object) -> Iterator[Json]:
    for item in value if isinstance(value, list) else ():
        if isinstance(item, dict):
            yield item
