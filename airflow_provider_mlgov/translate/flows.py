"""What an event says of which input feeds which output.

Three facets say it: ``lineage`` of the job (for datasets and columns; it supersedes the others), ``columnLineage`` and
``lineage`` of an output. Dependencies of a whole dataset (a filter, a join) come from ``dataset`` and from INDIRECT
transformations: they feed the dataset, but are no edges of columns.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from airflow_provider_mlgov.errors import InvalidNameError
from airflow_provider_mlgov.model.entity import Ref
from airflow_provider_mlgov.translate.datasets import End
from airflow_provider_mlgov.translate.events import facet
from airflow_provider_mlgov.translate.names import Names
from airflow_provider_mlgov.translate.texts import plain

Json = Mapping[str, Any]

_WORDS = 1_000
_MASKED = "MASKED"


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


def read_flows(
    job: Json, outputs: list[End], names: Names, ends: dict[Ref, End], warnings: list[str]
) -> dict[Ref, Flow]:
    """The flows into ``outputs``, where something says them.

    Datasets that only these facets name are added to ``ends``.
    """
    reader = _Reader(names, ends, warnings)
    flows: dict[Ref, Flow] = {}
    for end in outputs:
        flow = reader.column_lineage(facet(end.facets, "columnLineage"))
        own = facet(end.facets, "lineage")
        flow = reader.lineage(own) if own else flow
        if flow.inputs or flow.columns:
            flows[end.ref] = flow
    written = {end.ref for end in outputs}
    for entry in _objects(facet(job, "lineage").get("entries")):
        output = reader.end(entry)
        if entry.get("type") == "DATASET" and output is not None and output.ref in written:
            flows[output.ref] = reader.lineage(entry, certain=True)
    return flows


class _Reader:
    def __init__(self, names: Names, ends: dict[Ref, End], warnings: list[str]) -> None:
        self._names = names
        self._ends = ends
        self._warnings = warnings
        self._known: dict[tuple[str, str], End | None] = {}

    def column_lineage(self, found: Json) -> Flow:
        """The facet ``columnLineage``."""
        flow = Flow()
        fields = found.get("fields")
        for name, item in fields.items() if isinstance(fields, dict) else ():
            if not isinstance(item, dict):
                continue
            whole = {"type": item.get("transformationType"), "description": item.get("transformationDescription")}
            self._column(flow, str(name), item.get("inputFields"), whole)
        for item in _objects(found.get("dataset")):
            if (end := self.end(item)) is not None:
                flow.inputs.add(end.ref)
        return flow

    def lineage(self, found: Json, *, certain: bool = False) -> Flow:
        """An entry of the facet ``lineage``, or that facet of a dataset."""
        flow = Flow(is_certain=certain)
        for item in _objects(found.get("inputs")):
            if item.get("type") != "JOB" and (end := self.end(item)) is not None:
                flow.inputs.add(end.ref)
        fields = found.get("fields")
        for name, item in fields.items() if isinstance(fields, dict) else ():
            if isinstance(item, dict):
                self._column(flow, str(name), item.get("inputs"), {})
        return flow

    def end(self, item: Json) -> End | None:
        """The dataset that is named, added to the ends if it is not one yet."""
        namespace, name = item.get("namespace"), item.get("name")
        if not isinstance(namespace, str) or not isinstance(name, str):
            return None
        if (namespace, name) not in self._known:
            self._known[namespace, name] = self._end(namespace, name)
        return self._known[namespace, name]

    def _end(self, namespace: str, name: str) -> End | None:
        try:
            named = self._names.of(namespace, name)
        except InvalidNameError as error:
            self._warnings.append(f"a dataset that lineage names is left out: {error}")
            return None
        if not named.entities:
            return None
        return self._ends.setdefault(named.entities[-1].ref, End(named.family, named.entities, {}, {}))

    def _column(self, flow: Flow, name: str, items: object, whole: Json) -> None:
        direct: list[InputField] = []
        for item in _objects(items):
            end = self.end(item)
            if end is None:
                continue
            flow.inputs.add(end.ref)
            column, steps = item.get("field"), list(_objects(item.get("transformations")))
            if not isinstance(column, str) or not column:
                continue
            if steps and all(step.get("type") == "INDIRECT" for step in steps):
                continue
            direct.append(_input_field(end.ref, column, steps or [whole]))
        if direct:
            flow.columns[name] = direct


def _input_field(dataset: Ref, column: str, steps: list[Json]) -> InputField:
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
