"""``mlgov purge``: delete the runs of long ago, and builds only where they are asked for."""

from __future__ import annotations

import time
from argparse import Namespace
from datetime import datetime, timezone

from airflow_provider_mlgov.catalog.catalog import Catalog
from airflow_provider_mlgov.catalog.old_builds import delete_build, look_at, old_builds
from airflow_provider_mlgov.catalog.retention import OF_AIRFLOW, OF_JOBS, old_runs, purge
from airflow_provider_mlgov.cli.context import Context
from airflow_provider_mlgov.cli.delivery import writer
from airflow_provider_mlgov.cli.output import remark, say
from airflow_provider_mlgov.delivery.sinks.catalog import CatalogSink
from airflow_provider_mlgov.errors import CatalogRefusedError, ConfigurationError, InvalidInputError
from airflow_provider_mlgov.model.identity import Build, Model

_REMARK_SECONDS = 10.0
_LOCK_SECONDS = 120.0


def purge_runs(arguments: Namespace) -> int:
    """Say how many runs would be deleted, or delete them. Exit code 1 if there are some and ``--yes`` is missing."""
    context = Context.of(arguments)
    settings = context.settings
    before = _before(arguments.older_than, settings.state_hours)
    if arguments.builds:
        if arguments.namespace or arguments.job_runs:
            raise InvalidInputError(
                "--namespace and --job-runs say which runs go, and --builds is instead of runs: give one"
            )
        return _purge_builds(context, arguments, before)
    if arguments.deployments:
        raise InvalidInputError("--deployments says which builds go: give --builds PROJECT/MODEL too")
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


def _before(days: float, state_hours: float) -> int:
    """The time, in milliseconds, before which a run must have ended to go."""
    if days * 24 < state_hours:
        raise InvalidInputError(
            f"--older-than is within [mlgov] state_hours ({state_hours:g}): such runs may go on yet"
        )
    seconds = time.time() - days * 86400
    if seconds < 0:
        raise InvalidInputError(f"--older-than is {days:g} days: that is before 1970, and no run is so old")
    return int(seconds * 1000)


def _purge_builds(context: Context, arguments: Namespace, before: int) -> int:
    """Delete old builds of the models that were named, none of them in use; or say which."""
    namespace = context.settings.catalogue_namespace
    models = [_model(text, namespace) for text in arguments.builds]
    sender = writer(context) if arguments.yes else None
    with context.catalog() as catalog:
        if catalog.type_definition(Build.type_name) is None:
            say("there are no builds in this catalogue")
            return 0
        found = [
            build for model in models for build in old_builds(catalog, model, before, deployments=arguments.deployments)
        ]
    deleted = 0
    for build in found:
        if sender is not None and not build.kept:
            with sender.exclusive(_LOCK_SECONDS) as sink:
                if not isinstance(sink, CatalogSink):
                    raise ConfigurationError("only a catalogue can be purged, and events go elsewhere from here")
                # it may have been deployed since it was looked at
                build = look_at(sink.catalog, build.name, before, deployments=arguments.deployments)
                if not build.kept:
                    delete_build(sink.catalog, build, for_good=not arguments.keep_deleted)
        if build.kept:
            say(f"kept     {build.name}: {build.kept}")
        else:
            deleted += 1
            what = "deleted" if arguments.yes else "would go"
            say(f"{what:<8} {build.name}, and {len(build.guids) - 1} entities of it")
    if arguments.yes:
        say(f"{deleted} builds deleted")
    else:
        say(f"{deleted} builds would be deleted{': --yes does it' if deleted else ''}")
    if sender is not None:
        sender.send(_LOCK_SECONDS)  # what could not be sent meanwhile
    return 1 if deleted and not arguments.yes else 0


def _model(text: str, namespace: str) -> Model:
    project, slash, model = text.partition("/")
    if not (project and slash and model):
        raise InvalidInputError(f"--builds is {text!r}; wanted PROJECT/MODEL: the builds of one model")
    return Model(namespace, project, model)


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
