"""Inlets and outlets: whatever stands there, as OpenLineage datasets."""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from airflow_provider_mlgov.lineage import ml_assets
from airflow_provider_mlgov.lineage.datasets import dataset, from_asset, from_uri
from airflow_provider_mlgov.lineage.facts import Attempt
from airflow_provider_mlgov.lineage.plain import plain
from airflow_provider_mlgov.masking import shown

Json = dict[str, Any]
Extra = Mapping[str, Any]
log = logging.getLogger(__name__)
_warned: set[str] = set()


@dataclass(frozen=True)
class Runtime:
    """What assets said in this run. It lives in the context of the task, which on 2.11 only the lineage backend sees."""

    extras: Mapping[str, Extra] = field(default_factory=dict)
    """By URI: the extra that the task gave the event of a declared outlet."""
    targets: Mapping[str, tuple[tuple[str, Extra], ...]] = field(default_factory=dict)
    """By the name of an alias: the assets added to it, with their extras."""
    read: Mapping[str, tuple[Extra, ...]] = field(default_factory=dict)
    """By URI of an inlet of ours: extras of asset events that say what is read; the first that knows decides."""


def runtime_of(context: Mapping[str, Any], task: Any) -> Runtime:
    """Read what assets said from the context of a task."""
    events: Any = context.get("outlet_events")
    extras: dict[str, Extra] = {}
    targets: dict[str, tuple[tuple[str, Extra], ...]] = {}
    for outlet in task.outlets if events is not None else ():
        if _is_alias(outlet):
            accessor = events[outlet]
            found = (
                getattr(accessor, "asset_alias_events", None) or getattr(accessor, "dataset_alias_events", None) or ()
            )
            targets[outlet.name] = tuple(_target(event) for event in found)
        elif _is_asset(outlet):
            extras[outlet.uri] = dict(events[outlet].extra or {})
    read = {
        asset.uri: tuple(_read_extras(context, asset))
        for asset in task.inlets
        if _is_asset(asset) and ml_assets.is_ours(asset.uri)
    }
    return Runtime(extras, targets, read)


def _target(event: Any) -> tuple[str, Extra]:
    if isinstance(event, Mapping):  # 2.11
        return str(event["dest_dataset_uri"]), dict(event.get("extra") or {})
    return str(event.dest_asset_key.uri), {**(getattr(event, "dest_asset_extra", None) or {}), **(event.extra or {})}


def _read_extras(context: Mapping[str, Any], asset: Any) -> Iterable[Extra]:
    """Extras that say which build is read: of this run's own event, else of the events that triggered the run."""
    run = context.get("run_id")
    inlet_events = context.get("inlet_events")
    if inlet_events is not None:
        events = inlet_events[asset]
        for index in range(1, min(len(events), 20) + 1):
            event = events[-index]
            if getattr(event, "source_run_id", None) == run and event.extra:
                yield event.extra
                break
    triggering = context.get("triggering_asset_events") or context.get("triggering_dataset_events") or {}
    for key in triggering:
        if str(getattr(key, "uri", key)) == asset.uri:
            for event in reversed(list(triggering[key])):
                yield event.extra or {}


class Reader:
    """Turns the inlets and outlets of one attempt into datasets."""

    def __init__(
        self,
        task: Any,
        attempt: Attempt,
        namespace: str,
        runtime: Runtime,
        render: Callable[[Any], Any] | None,
    ) -> None:
        self._task = task
        self._attempt = attempt
        self._namespace = namespace
        self._runtime = runtime
        self._render = render

    def inputs(self, thing: Any, known: Iterable[Json]) -> list[Json]:
        """The datasets that an inlet stands for."""
        found = []
        for uri, extra in self._assets(thing):
            if ml_assets.is_ours(uri):
                extras = (extra, *self._runtime.read.get(uri, ()))
                found.append(ml_assets.input_(uri, extras, known))
            else:
                found.append(from_asset(self._rendered(uri), extra))
        return [item for item in found if item is not None] if _is_asset_like(thing) else self._other(thing, "inlet")

    def outputs(self, thing: Any, known: Iterable[Json]) -> list[Json]:
        """The datasets that an outlet stands for."""
        found = []
        for uri, extra in self._assets(thing):
            extra = {**extra, **self._runtime.extras.get(uri, {})}
            if ml_assets.is_ours(uri):
                found.append(ml_assets.output(uri, extra, self._attempt, self._namespace, known))
            else:
                found.append(from_asset(self._rendered(uri), extra))
        return [item for item in found if item is not None] if _is_asset_like(thing) else self._other(thing, "outlet")

    def _assets(self, thing: Any) -> Iterable[tuple[str, Extra]]:
        if _is_alias(thing):
            yield from self._runtime.targets.get(thing.name, ())
        elif _is_asset(thing):
            yield thing.uri, thing.extra or {}
        elif _is_asset_like(thing):  # AssetAny, AssetAll
            for _, asset in thing.iter_assets():
                yield asset.uri, asset.extra or {}

    def _other(self, thing: Any, what: str) -> list[Json]:
        if callable(getattr(thing, "to_dataset", None)):  # a Build, Model … of model.ml
            return [thing.to_dataset()]
        if isinstance(thing, str):
            found = from_uri(self._rendered(thing))
            return [found] if found else self._unknown(thing, what)
        thing = self._rendered(thing)
        if isinstance(thing, Mapping):
            return [plain(thing)] if thing.get("namespace") and thing.get("name") else self._unknown(thing, what)
        if hasattr(thing, "cluster") and hasattr(thing, "database"):
            return [_table(thing)]
        if isinstance(getattr(thing, "url", None), str):
            found = from_uri(thing.url) or dataset("file", thing.url)
            return [found]
        if hasattr(thing, "namespace") and hasattr(thing, "name"):  # OpenLineage's Dataset
            return [plain(thing)]
        return self._unknown(thing, what)

    def _unknown(self, thing: Any, what: str) -> list[Json]:
        kind = f"{type(thing).__module__}.{type(thing).__qualname__}"
        if kind not in _warned:
            _warned.add(kind)
            log.warning(
                "%s %.100s of task %s is left out of the lineage: nothing says which dataset a %s is; "
                "use an Asset, a File or Table, or an OpenLineage Dataset",
                what.capitalize(),
                shown(repr(thing)),
                self._task.task_id,
                kind,
            )
        return []

    def _rendered(self, value: Any) -> Any:
        """``value`` rendered, on a copy; unchanged where it holds no template."""
        if self._render is None or "{" not in repr(value):
            return value
        return self._render(copy.deepcopy(value))


def _is_asset(thing: Any) -> bool:
    return isinstance(getattr(thing, "uri", None), str) and hasattr(thing, "extra")


def _is_alias(thing: Any) -> bool:
    from airflow_provider_mlgov._compat import AssetAlias

    return isinstance(thing, AssetAlias)


def _is_asset_like(thing: Any) -> bool:
    return _is_asset(thing) or _is_alias(thing) or callable(getattr(thing, "iter_assets", None))


def _table(table: Any) -> Json:
    """`Table` of common.compat, or of 2.11's own entities."""
    facets: Json = {}
    if table.columns:
        columns = ({"name": col.name, "type": col.data_type, "description": col.description} for col in table.columns)
        facets["schema"] = {"fields": [plain(column) for column in columns]}
    if table.owners:
        facets["ownership"] = {"owners": [{"name": f"user:<{owner.email}>", "type": ""} for owner in table.owners]}
    if table.description:
        facets["documentation"] = {"description": table.description}
    return dataset(str(table.cluster), f"{table.database}.{table.name}", facets)
