"""``mlgov purge``: delete the runs of long ago."""

from __future__ import annotations

import time
from argparse import Namespace
from datetime import datetime, timezone

from airflow_provider_mlgov.catalog.catalog import Catalog
from airflow_provider_mlgov.catalog.retention import OF_AIRFLOW, OF_JOBS, old_runs, purge
from airflow_provider_mlgov.cli.context import Context
from airflow_provider_mlgov.cli.output import remark, say
from airflow_provider_mlgov.errors import CatalogRefusedError, InvalidInputError

_REMARK_SECONDS = 10.0


def purge_runs(arguments: Namespace) -> int:
    """Say how many runs would be deleted, or delete them. Exit code 1 if there are some and ``--yes`` is missing."""
    context = Context.of(arguments)
    settings = context.settings
    if arguments.older_than * 24 < settings.state_hours:
        raise InvalidInputError(
            f"--older-than is within [mlgov] state_hours ({settings.state_hours:g}): such runs may go on yet"
        )
    before = int((time.time() - arguments.older_than * 86400) * 1000)
    namespace = context.namespace(arguments.namespace)
    kinds = [(type_name, namespace) for type_name in OF_AIRFLOW]
    if arguments.job_runs:
        kinds += [(type_name, settings.catalogue_namespace) for type_name in OF_JOBS]
    with context.catalog() as catalog:
        if not arguments.yes:
            return 1 if sum(_said(catalog, *kind, before) for kind in kinds) else 0
        for type_name, at in kinds:
            count = _Count(type_name)
            try:
                purge(catalog, type_name, at, before, count.add, for_good=not arguments.keep_deleted)
            except CatalogRefusedError as error:
                if error.status == 403:
                    remark(
                        "the login may not do that: it takes the rights to delete and, without --keep-deleted, to purge"
                    )
                raise
            say(
                f"{count.total} {type_name} deleted{' (Atlas keeps them as deleted)' if arguments.keep_deleted else ''}"
            )
    return 0


class _Count:
    """How many were deleted, said now and then."""

    def __init__(self, type_name: str) -> None:
        self.total = 0
        self._type_name = type_name
        self._said = time.monotonic()

    def add(self, count: int) -> None:
        self.total += count
        if time.monotonic() - self._said > _REMARK_SECONDS:
            self._said = time.monotonic()
            remark(f"{self.total} {self._type_name} so far")


def _said(catalog: Catalog, type_name: str, namespace: str, before: int) -> int:
    """Say what would be deleted of one type; how many."""
    count, oldest = 0, before
    for header in old_runs(catalog, type_name, namespace, before):
        count += 1
        oldest = min(oldest, int(header["attributes"]["endTime"]))
    since = f", the oldest of {datetime.fromtimestamp(oldest / 1000, timezone.utc):%Y-%m-%d}" if count else ""
    say(f"{count} {type_name} of {namespace} would be deleted{since}{': --yes does it' if count else ''}")
    return count
