"""Runs that nobody needs any more: found by when they ended, deleted in batches.

What a run did is kept: builds, deployments, data and the processes between them. Only the runs themselves, with what each read and
wrote, and their states, go. It may be stopped and begun again at any time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice

from airflow_provider_mlgov.catalog.catalog import Catalog, Json
from airflow_provider_mlgov.model.identity import DagRun, JobRun, TaskRun

BATCH = 100
_LOOKED_AT = 10_000
"""Runs that are looked up at once: what belongs to others is passed over each time."""
OF_AIRFLOW = (TaskRun.type_name, DagRun.type_name)
OF_JOBS = (JobRun.type_name,)


def old_runs(catalog: Catalog, type_name: str, namespace: str, before: int) -> Iterator[Json]:
    """The headers of runs of this type and namespace that ended before a time (epoch milliseconds), each once.

    A run that has not ended, or of which nobody knows when, is none of them.
    """
    if catalog.type_definition(type_name) is None:
        return
    seen: set[str] = set()
    offset = 0
    while page := catalog.search(
        type_name, below={"endTime": before}, attributes=("endTime", "state"), limit=BATCH, offset=offset
    ):
        offset += len(page)
        for header in page:
            told = header.get("attributes") or {}
            is_over = bool(told.get("state") and told.get("endTime"))
            if is_over and header["guid"] not in seen and str(told["qualifiedName"]).endswith(f"@{namespace}"):
                seen.add(header["guid"])
                yield header


def purge(
    catalog: Catalog, type_name: str, namespace: str, before: int, done: Callable[[int], None], *, for_good: bool = True
) -> None:
    """Delete the runs that `old_runs` finds; ``done`` is told of each batch how many they were.

    ``for_good`` also removes what Atlas keeps of deleted entities: `CatalogRefusedError` for who lacks the right to do that.
    """
    gone: set[str] = set()  # a deleted run may be found for a second yet
    while found := list(islice(_names(catalog, type_name, namespace, before, gone), _LOOKED_AT)):
        for start in range(0, len(found), BATCH):
            batch = found[start : start + BATCH]
            catalog.delete_by_guid(batch)
            if for_good:
                catalog.purge(batch)
            done(len(batch))
        gone.update(found)


def _names(catalog: Catalog, type_name: str, namespace: str, before: int, gone: set[str]) -> Iterator[str]:
    for header in old_runs(catalog, type_name, namespace, before):
        if header["guid"] not in gone:
            yield header["guid"]
