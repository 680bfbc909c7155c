"""What user code says inside a task about data: `read` and `wrote`."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from pathlib import PurePath
from typing import Any

from airflow_provider_mlgov.errors import InvalidInputError, InvalidNameError, MlgovError
from airflow_provider_mlgov.lineage import facts, ml_assets
from airflow_provider_mlgov.lineage.datasets import dataset, from_asset, from_uri
from airflow_provider_mlgov.lineage.plain import plain
from airflow_provider_mlgov.masking import shown

log = logging.getLogger(__name__)

Json = dict[str, Any]
Columns = Mapping[str, str] | Iterable[str]


def read(
    what: object,
    *,
    rows: int | None = None,
    size: int | None = None,
    files: int | None = None,
    version: object = None,
    split: str | None = None,
    columns: Columns | None = None,
) -> None:
    """Say that the running task read ``what``: an asset, `Data`, (namespace, name), URI, path or OpenLineage dataset.

    ``rows``, ``size`` (bytes) and ``files`` say how much of it was read, ``version`` which state of it, and ``split``
    what for: ``train``, ``test``, ``validation``. Where recording is off this does nothing. What does not say which dataset
    it is gets a line in the task's log, and never fails the task. ::

        read(table("sqlite:////data/shop.db", "customers"), rows=len(frame), version=digest, split="train")
    """
    roles = {"inputStatistics": _known(rowCount=rows, size=size, fileCount=files), "mlgov_io": _known(split=split)}
    facets = {name: facet for name, facet in roles.items() if facet}
    _record(lambda: facts.add_input({**_with_facets(what, version, columns), "inputFacets": facets}), "read")


def wrote(
    what: object,
    *,
    rows: int | None = None,
    size: int | None = None,
    files: int | None = None,
    version: object = None,
    columns: Columns | None = None,
) -> None:
    """Say that the running task wrote ``what``; see `read`. Assets of ours (`Model` …) belong into outlets."""
    statistics = _known(rowCount=rows, size=size, fileCount=files)
    facets = {"outputStatistics": statistics} if statistics else {}
    _record(lambda: facts.add_output({**_with_facets(what, version, columns), "outputFacets": facets}), "wrote")


def _record(add: Callable[[], None], what: str) -> None:
    try:
        add()
    except Exception as error:  # noqa: BLE001 - recording never hurts a task
        said = str(error) if isinstance(error, MlgovError) else f"{type(error).__name__}: {error}"
        log.warning("Not recorded what this task %s: %s", what, shown(said))


def to_dataset(what: object) -> Json:
    """``what`` as an OpenLineage dataset (JSON), or `InvalidInputError` if it does not say which dataset it is."""
    found: object
    if callable(getattr(what, "to_dataset", None)):
        found = what.to_dataset()  # type: ignore[attr-defined]
    elif isinstance(getattr(what, "uri", None), str):
        found = _asset(what)
    elif isinstance(what, PurePath):
        found = dataset("file", str(what))
    elif isinstance(what, str):
        found = dataset("file", what) if what.startswith("/") else from_uri(what)
    elif isinstance(what, tuple) and len(what) == 2:
        found = dataset(*what)
    else:
        found = plain(what)
    if not isinstance(found, dict) or not _is_text(found.get("namespace")) or not _is_text(found.get("name")):
        raise InvalidInputError(
            f"{what!r} does not say which dataset it is; wanted an asset, table(…), file(…), Data(namespace, name), "
            f"a pair of these, a URI or an OpenLineage dataset"
        )
    return {"namespace": found["namespace"], "name": found["name"], "facets": dict(found.get("facets") or {})}


def _asset(asset: Any) -> Json | None:
    extra = asset.extra or {}
    if not ml_assets.is_ours(asset.uri):
        return from_asset(asset.uri, extra)
    thing = ml_assets.parse(asset.uri, extra)
    if thing is None:
        raise InvalidNameError(f"{asset.uri} does not say which build is behind it: name the deployment")
    return thing.to_dataset()


def _with_facets(what: object, version: object, columns: Columns | None) -> Json:
    said = to_dataset(what)
    if version is not None:
        said["facets"]["version"] = {"datasetVersion": str(version)}
    if columns is not None:
        pairs = columns.items() if isinstance(columns, Mapping) else ((name, None) for name in columns)
        said["facets"]["schema"] = {"fields": [_known(name=str(name), type=kind) for name, kind in pairs]}
    return said


def _known(**values: object) -> Json:
    return {name: plain(value) for name, value in values.items() if value is not None}


def _is_text(value: object) -> bool:
    return isinstance(value, str) and bool(value.strip())
