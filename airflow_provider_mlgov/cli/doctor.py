"""``mlgov doctor``: does recording work here, and if not, why."""

from __future__ import annotations

import json
import os
import platform
import time
from argparse import Namespace
from collections.abc import Iterator
from dataclasses import fields, replace
from pathlib import Path

from airflow_provider_mlgov import __version__, _compat
from airflow_provider_mlgov.assembly import collects, open_kafka, open_spool, open_spools
from airflow_provider_mlgov.catalog.catalog import Catalog
from airflow_provider_mlgov.catalog.types.apply import plan
from airflow_provider_mlgov.cli.context import Context, conf_get
from airflow_provider_mlgov.cli.duplicates import duplicates
from airflow_provider_mlgov.cli.findings import Finding, Verdict, show
from airflow_provider_mlgov.cli.health import last_result
from airflow_provider_mlgov.cli.loaded import asset_findings, plugin_findings, scheme_findings
from airflow_provider_mlgov.cli.output import age, say
from airflow_provider_mlgov.cli.spool import breaker_words, left_behind
from airflow_provider_mlgov.delivery.forward import Forwarder
from airflow_provider_mlgov.delivery.results import Results
from airflow_provider_mlgov.delivery.spool import Spool
from airflow_provider_mlgov.errors import ConfigurationError, InvalidInputError, MlgovError
from airflow_provider_mlgov.lineage import followup
from airflow_provider_mlgov.mapping_rules import read_rules
from airflow_provider_mlgov.settings import BACKEND, Settings

TRANSPORT = "airflow_provider_mlgov.lineage.AtlasTransport"
_LOOKED_AT = 200
"""Waiting events that are read: those of a later version become the oldest ones."""
_LONG_SECONDS = 600.0
"""What waits longer than this was forgotten, or belongs to a task that still runs."""


def doctor(arguments: Namespace) -> int:
    """Check everything that can be checked from here; exit code 1 if anything is wrong."""
    context = Context.of(arguments)
    if bool(arguments.dag_id) != bool(arguments.run_id) or (arguments.task_id and not arguments.dag_id):
        raise InvalidInputError("a DAG run has two names: give --dag-id and --run-id")
    if arguments.duplicates:
        return duplicates(context, arguments.type, repair=arguments.repair)
    if arguments.repair or arguments.type:
        raise InvalidInputError("--repair and --type say what to do with --duplicates: give that too")
    sections = [
        ("Airflow and ways in", [*_versions(), *_doors(context), *_loaded(context, arguments)]),
        ("Settings", list(_settings(context))),
        (
            "Names of datasets",
            [*_rules(context), *scheme_findings(), *([] if arguments.no_airflow else asset_findings())],
        ),
        ("Catalogue", [*_many_hosts(context), *_forwarding(context), *_handover(context), *_catalog(context)]),
        ("Delivery", list(_spool(context))),
    ]
    if arguments.dag_id:
        sections.append((f"Tasks of {arguments.dag_id}, {arguments.run_id}", list(_tasks(context, arguments))))
    wrong = show(sections)
    say()
    say("all well" if not wrong else f"{wrong} wrong: mend the lines marked WRONG, from the top")
    return 1 if wrong else 0


def _loaded(context: Context, arguments: Namespace) -> Iterator[Finding]:
    if arguments.no_airflow:
        yield Finding("note", "plugin", "not looked at: --no-airflow")
    else:
        yield from plugin_findings(context.settings)


def _tasks(context: Context, arguments: Namespace) -> Iterator[Finding]:
    """Why the tasks of a DAG run have no lineage."""
    from airflow_provider_mlgov.lineage.absence import explained, tasks_of

    namespace = context.namespace(arguments.namespace)
    spool = open_spool(context.settings)
    run = (namespace, arguments.dag_id, arguments.run_id)
    try:
        with context.catalog() as catalog:
            tasks, failure = tasks_of(context.settings, spool, catalog, *run)
    except MlgovError:  # it is among the findings already
        tasks, failure = tasks_of(context.settings, spool, None, *run)
    if failure:
        yield Finding("note", "Airflow", f"cannot be asked ({failure}): tasks that were never recorded are not known")
    tasks = [task for task in tasks if arguments.task_id in (None, task.task_id)]
    if not tasks:
        yield Finding("WRONG", "tasks", f"nobody knows such a task of run {arguments.run_id!r} of {arguments.dag_id!r}")
    for task in tasks:
        verdict, said = explained(task, is_recording=context.settings.enabled)
        yield Finding(verdict, task.task_id, said)


def _versions() -> Iterator[Finding]:
    text = f"mlgov {__version__}, Airflow {_compat.airflow_version()}, Python {platform.python_version()}"
    yield Finding("ok", "versions", text)


def _doors(context: Context) -> Iterator[Finding]:
    backend = (conf_get("lineage", "backend") or "").strip()
    if context.settings.enabled:
        why = f"[lineage] backend = {backend}" if backend.endswith(BACKEND.rpartition(".")[2]) else "[mlgov] enabled"
        yield Finding("ok", "listener", f"on, by {why}")
    else:
        recorded = (
            "only what the OpenLineage provider sees is recorded, without metrics, keys and data that were said in tasks, and "
            "without table(…) and file(…) among inlets and outlets"
            if _sends_to_us()
            else "nothing is recorded"
        )
        yield Finding("WRONG", "listener", f"off: {recorded}; set [lineage] backend = {BACKEND} in airflow.cfg")
    yield _transport()


def _sends_to_us() -> bool:
    """Whether the OpenLineage provider uses our transport."""
    return not _is_disabled() and TRANSPORT.rpartition(".")[2] in (conf_get("openlineage", "transport") or "")


def _is_disabled() -> bool:
    """Whether the OpenLineage provider is switched off."""
    return (conf_get("openlineage", "disabled") or "").strip().lower() in ("true", "t", "1")


def _transport() -> Finding:
    """Whether the OpenLineage provider sends to us too."""
    text = conf_get("openlineage", "transport") or ""
    if _is_disabled():
        return Finding("ok", "OpenLineage", "its provider is disabled; what the listener sees is recorded")
    if not text.strip():
        return Finding("ok", "OpenLineage", "no transport of ours is set; what the listener sees is recorded")
    try:
        document = json.loads(text)
    except ValueError as error:
        return Finding("WRONG", "OpenLineage", f"[openlineage] transport is no JSON: {error}")
    if _sends_to_us() and isinstance(document, dict):
        return Finding("ok", "OpenLineage", f"its provider sends to us too, by [openlineage] transport = {TRANSPORT}")
    return Finding("ok", "OpenLineage", "its provider sends elsewhere; what the listener sees is recorded")


def _settings(context: Context) -> Iterator[Finding]:
    defaults = Settings()
    for item in fields(Settings):
        value = getattr(context.settings, item.name)
        if item.name != "enabled" and value != getattr(defaults, item.name):
            yield Finding("ok", f"[mlgov] {item.name}", ", ".join(value) if isinstance(value, tuple) else str(value))
    try:
        yield Finding("ok", "namespace", f"this Airflow is {context.namespace()!r} in the catalogue")
    except ConfigurationError as error:
        yield Finding("WRONG", "namespace", str(error))
    if context.is_embedded and not os.environ.get("AIRFLOW_HOME"):
        yield Finding("note", "AIRFLOW_HOME", "is not set; ~/airflow is meant")


def _many_hosts(context: Context) -> Iterator[Finding]:
    """Whether one host writes, where tasks run on many."""
    from airflow_provider_mlgov.lineage.many_hosts import complaint

    if said := complaint(context.settings, conf_get):
        yield Finding("WRONG", "many hosts", said)
    if context.settings.spool_shared and context.is_embedded:
        yield Finding(
            "WRONG",
            "[mlgov] spool_shared",
            "the embedded catalogue is a file for one host: hosts that share a spool need an Atlas ([mlgov] atlas_conn_id)",
        )


def _handover(context: Context) -> Iterator[Finding]:
    """Whether what is handed over has a place, and how much of it waits there."""
    settings = context.settings
    for option, path in (("handover_path", settings.handover_path), ("collect_path", settings.collect_path)):
        if not path:
            continue
        try:
            waiting, odd = context.handed_over(path)
        except MlgovError as error:
            yield Finding("WRONG", option, str(error))
            continue
        if option == "collect_path" and not collects(settings):
            yield Finding("note", option, "not looked at: this host hands its own events on")
            continue
        said = f"{waiting} objects wait at {path}" + (f", {odd} were set aside there, in odd" if odd else "")
        yield Finding("note" if odd else "ok", option, said)


def _rules(context: Context) -> Iterator[Finding]:
    """The mapping rules, which come before what the package says."""
    if context.settings.mapping_rules == Path():
        return
    try:
        rules = read_rules(context.settings.mapping_rules)
    except ConfigurationError as error:
        yield Finding("WRONG", "mapping rules", str(error))
        return
    counts = f"{len(rules.namespaces)} of namespaces, {len(rules.tags)} of tags"
    yield Finding("ok", "mapping rules", counts)
    for rule in rules.namespaces:
        told = {"family": rule.family, "type": rule.type, "alias": rule.alias, "@": rule.atlas_namespace}
        said = ", ".join(f"{name} {value}" for name, value in told.items() if value) or "see the file"
        yield Finding("ok", f"  line {rule.line}", f"{rule.match or rule.regex or '*'}: {said}")


def _forwarding(context: Context) -> Iterator[Finding]:
    """Where events go on a host that does not write to the catalogue itself."""
    if not context.settings.forward_conn_id:
        return
    try:
        forwarder = context.sender("forward")
    except MlgovError as error:
        yield Finding("WRONG", "forwarding", str(error))
        return
    forwarder = getattr(forwarder, "first", None) or forwarder
    if isinstance(forwarder, Forwarder):
        health = forwarder.health()
        verdict: Verdict = "ok" if health == "ready" else "WRONG"
        yield Finding(verdict, "forwarding", f"events go to the receiver at {forwarder.url}: {health}")


def _catalog(context: Context) -> Iterator[Finding]:
    path = context.settings.embedded_path
    if (
        context.is_embedded
        and not path.exists()
        and (context.settings.forward_conn_id or context.settings.handover_path)
    ):
        return  # it is another host that has one
    if context.is_embedded and not path.exists():
        yield Finding("note", "catalogue", f"{path} is not there yet: the first recorded run makes it")
        return
    try:
        with context.catalog() as catalog:
            answer = catalog.status()
            state = str(answer.get("Status", "unknown"))
            version = f", Atlas {answer['Version']}" if answer.get("Version") else ""
            yield Finding(
                "ok" if state == "ACTIVE" else "WRONG", "catalogue", f"{catalog.identity} is {state}{version}"
            )
            todo = plan(catalog)
            unknown = list(_unknown_types(context, catalog))
    except MlgovError as error:
        yield Finding("WRONG", "catalogue", str(error))
        return
    for line, name in unknown:
        yield Finding(
            "WRONG", "mapping rules", f"line {line}: the catalogue has no type {name!r}; make it, or correct the rule"
        )
    if todo.conflicts:
        yield Finding("WRONG", "types", "; ".join(todo.conflicts))
    elif todo.is_empty:
        more = f"; a later version of the package added to {len(todo.beyond)} of them" if todo.beyond else ""
        yield Finding("ok", "types", f"complete{more}")
    else:
        lacking = f"{len(todo.missing)} missing, {len(todo.incomplete)} incomplete"
        manual = context.settings.types_apply == "manual"
        remedy = "run `mlgov types apply`" if manual else "the first recorded run adds them, or `mlgov types apply`"
        yield Finding("WRONG" if manual else "note", "types", f"{lacking}: {remedy}")


def _unknown_types(context: Context, catalog: Catalog) -> Iterator[tuple[int, str]]:
    """The types and classifications that mapping rules name and the catalogue lacks: what is named so would be refused."""
    try:
        rules = read_rules(context.settings.mapping_rules)
    except ConfigurationError:
        return  # it is among the findings already
    named = [(rule.line, rule.type) for rule in rules.namespaces]
    named += [(rule.line, rule.classification) for rule in rules.tags]
    for line, name in named:
        if name is not None and catalog.type_definition(name) is None:
            yield line, name


def _spool(context: Context) -> Iterator[Finding]:
    """The spool of each sink, and how to send by message where that is done."""
    try:
        spools = open_spools(context.settings)
    except ConfigurationError as error:
        yield Finding("WRONG", "sinks", str(error))
        spools = {"": open_spool(context.settings)}
    for name, spool in spools.items():
        said = f" of {name}" if len(spools) > 1 else ""
        option = "" if spool.root == context.settings.spool_folder else f" --sink {name}"
        for finding in [*_spool_of(context, spool, option), *_last_results(spool)]:
            yield replace(finding, subject=f"{finding.subject}{said}")
    if "kafka" in spools:
        yield _kafka(context, spools["kafka"])
    for name in left_behind(context.settings):
        waiting = open_spool(context.settings, name).counts().waiting
        if waiting:
            why = f"{waiting} events wait for it, and it is no more in [mlgov] sinks: put it there, or drop them"
            yield Finding("WRONG", f"sink {name}", f"{why} (`mlgov spool list --sink {name}`)")


def _kafka(context: Context, spool: Spool) -> Finding:
    """Whether the broker answers, and says how far Atlas has read."""
    try:
        channel = open_kafka(context.settings, spool)
        try:
            return Finding("ok", "kafka", channel.status())
        finally:
            channel.close()
    except MlgovError as error:
        return Finding("WRONG", "kafka", str(error))


def _spool_of(context: Context, spool: Spool, option: str) -> Iterator[Finding]:
    try:
        counts = spool.counts()
        place = spool.root if spool.root.exists() else next(folder for folder in spool.root.parents if folder.exists())
        if not os.access(place, os.W_OK | os.X_OK):
            yield Finding("WRONG", "spool", f"{place} cannot be written by this user")
        yield _waiting(context.settings, spool)
    except MlgovError as error:
        yield Finding("WRONG", "spool", str(error))
        return
    if counts.dead:
        yield Finding("WRONG", "dead letters", f"{counts.dead}: see `mlgov spool list --dead{option}`")
    try:
        for path in spool.waiting()[:_LOOKED_AT]:
            spool.read(path)
    except MlgovError as error:
        yield Finding("WRONG", "spool", str(error))
    for path, why in spool.unread().items():
        yield Finding(
            "WRONG", "file of the spool", f"{path} cannot be read ({why}): see to its disk, or `mlgov spool drop`"
        )
    if later := spool.of_later_versions():
        said = (
            f"{len(later)} files are of a later version of the package, and wait for it: use one version for this spool"
        )
        yield Finding("WRONG", "versions in the spool", said)
    if counts.odd:
        yield Finding("note", "set aside", f"{counts.odd} files in {spool.root / 'odd'}")
    breaker = breaker_words(spool)
    yield Finding("ok" if breaker == "closed" else "WRONG", "breaker", breaker)


def _last_results(spool: Spool) -> Iterator[Finding]:
    """When something was delivered last, and when that failed last."""
    last = Results(spool.root).last()
    if not last:
        yield Finding("ok", "last send", "nothing was sent from here yet")
    for destination, found in last.items():
        said, is_failing = last_result(found)
        yield Finding("WRONG" if is_failing else "ok", f"last send to {destination}", said)


def _waiting(settings: Settings, spool: Spool) -> Finding:
    """What waits, and whether anything will take it."""
    events = [spool.written(path) for path in spool.waiting()]
    runs = followup.written(settings)
    said = f"{len(events)} events wait in {spool.root}"
    if runs:
        said += f", and {len(runs)} notes about runs that ended"
    if not events and not runs:
        return Finding("ok", "spool", said)
    oldest = age(time.time() - min(events + runs))
    said += f", the oldest written {oldest}"
    if not settings.delivery_process:
        why = "[mlgov] delivery_process is off, so only the end of a task sends events: run `mlgov spool drain`"
        return Finding("WRONG", "spool", f"{said}; {why}")
    if time.time() - min(events + runs) > _LONG_SECONDS:
        why = "unless its task still runs, nothing takes them: is a scheduler running here? `mlgov spool drain` sends them"
        return Finding("WRONG", "spool", f"{said}; {why}")
    return Finding("note", "spool", said)
