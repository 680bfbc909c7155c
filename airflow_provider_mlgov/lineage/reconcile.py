"""Closing what no task process reported: attempts that were killed, skipped by a branch, upstream_failed, or set by hand.

When a DAG run has ended, Airflow's database says how its attempts ended, tries before the last included. What the catalogue does
not know yet becomes an event with ``stateSource`` reconciled. What Airflow cannot tell either is ``unknown``.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from airflow_provider_mlgov.errors import (
    CatalogBusyError,
    CatalogRefusedError,
    CatalogUnavailableError,
    ConfigurationError,
    SpoolError,
)
from airflow_provider_mlgov.lineage import event, followup
from airflow_provider_mlgov.lineage.facts import Attempt, attempt_of
from airflow_provider_mlgov.model.identity import DagRun, TaskRun
from airflow_provider_mlgov.settings import Settings

if TYPE_CHECKING:
    from airflow_provider_mlgov.catalog.catalog import Catalog

Json = dict[str, Any]
log = logging.getLogger(__name__)
_FAILED = frozenset({"failed", "up_for_retry"})
_MOST_ATTEMPTS, _PAGE = 10_000, 500
_ALL_FAIL = (CatalogUnavailableError, CatalogBusyError, ConfigurationError, SpoolError)
"""What fails one note fails the others too."""


@dataclass(frozen=True)
class Ended:
    """How an attempt ended, according to Airflow's database."""

    attempt: Attempt
    state: str
    facts: Json
    end: datetime | None
    told: datetime | None = None
    """When Airflow wrote it down: later than `end` where somebody changed the state by hand."""


def reconcile(settings: Settings, *, age: float = 0.0) -> int:
    """Follow up on the notes older than ``age`` seconds; returns how many were settled. A note stays if anything goes wrong.

    Asks Airflow's database, so it runs neither in a task process of Airflow 3 nor inside the scheduler. What it finds waits in the
    spool: send afterwards. Send before it too, since what the catalogue does not know counts as not reported.
    """
    settled = 0
    failure: Exception | None = None
    for path, note in followup.claimed(settings, age=age):
        try:
            _settle(settings, note)
        except Exception as error:  # noqa: BLE001 - raised below: one note that cannot be settled does not keep others from it
            failure = failure or error
            followup.put_off(path)
            if isinstance(error, _ALL_FAIL):
                break
        else:
            path.unlink(missing_ok=True)
            settled += 1
    if failure is not None:
        raise failure
    return settled


def _settle(settings: Settings, note: Json) -> None:
    dag_id, run_id = str(note.get("dagId")), str(note.get("runId"))
    if isinstance(note.get("attempt"), dict):
        _report_attempt(settings, dag_id, run_id, note["attempt"])
    else:
        reconcile_run(settings, dag_id, run_id, frozenset(note.get("skip") or ()))


def close_open(settings: Settings, *, age: float = 0.0) -> int:
    """Report the ends of DAG runs that ended over ``age`` seconds ago without a word; returns how many.

    2.11 tells no listener when a person sets the state of a run, and a scheduler may be killed before it tells. Whether the
    attempts of such a run were reported is then looked up as for any other.
    """
    closed = 0
    for dag_id, run_id in followup.open_runs(settings):
        run, state = _run_in_airflow(dag_id, run_id)
        if run is None:
            followup.forget_open(settings, dag_id, run_id)
        elif state in ("success", "failed") and (
            run.end_date is None or (event.now() - run.end_date).total_seconds() >= age
        ):
            _put_run(settings, run, state)
            followup.note_run(settings, dag_id, run_id)
            closed += 1
    return closed


def _run_in_airflow(dag_id: str, run_id: str) -> tuple[event.Run | None, str]:
    """A DAG run and its state in Airflow's database."""
    from airflow_provider_mlgov._compat import database_session, models

    dag_run_model = models()[0]
    with database_session() as session:
        found = session.query(dag_run_model).filter_by(dag_id=dag_id, run_id=run_id).one_or_none()
        return (
            (None, "")
            if found is None
            else (event.run_of(found), str(getattr(found.state, "value", found.state) or ""))
        )


def _put_run(settings: Settings, run: event.Run, state: str) -> None:
    from airflow_provider_mlgov.assembly import open_outbox
    from airflow_provider_mlgov.lineage.listener import common_facts

    ends = {"state": state, "stateSource": "reconciled", "endTime": event.iso(run.end_date)}
    ours = event.facet(run, **{**common_facts(settings), **ends, "startTime": event.iso(run.start_date)})
    namespace = event.openlineage_namespace()
    open_outbox(settings).put(
        event.dag_event(event.EVENT_TYPES[state], run, ours, job_namespace=namespace, time=run.end_date)
    )


def reconcile_run(settings: Settings, dag_id: str, run_id: str, skip: frozenset[str] = frozenset()) -> int:
    """Close what is open of one DAG run, without the tasks in ``skip``; returns how many events that took."""
    run, ended = _from_airflow(dag_id, run_id)
    known = _from_catalog(settings, dag_id, run_id)
    events = 0
    for end in ended:
        stored = known.pop(end.attempt, None)
        same = stored is not None and (stored == end.state or {stored, end.state} <= _FAILED)
        if (
            same
            or end.attempt.task_id in skip
            or not settings.records(dag_id, end.attempt.task_id, end.facts.get("operator"))
        ):
            continue
        _put(settings, run, end, "reconciled")
        events += 1
    for attempt, stored in known.items():
        if not stored and attempt not in _still_open(dag_id, run_id):
            _put(settings, run, Ended(attempt, "unknown", {}, None), "reconciled")
            events += 1
    return events


def _report_attempt(settings: Settings, dag_id: str, run_id: str, said: Json) -> None:
    """Report what a daemon was told about one attempt; the rest of its facts come from the database."""
    attempt = Attempt(dag_id, run_id, str(said["taskId"]), int(said["mapIndex"]), int(said["tryNumber"]))
    run, ended = _from_airflow(dag_id, run_id)
    facts = next((end.facts for end in ended if end.attempt == attempt), {})
    time = datetime.fromtimestamp(float(said["time"]), timezone.utc)
    _put(
        settings,
        run,
        Ended(attempt, str(said["state"]), facts, time),
        str(said["stateSource"]),
        error=said.get("error"),
    )


def _put(settings: Settings, run: event.Run, end: Ended, source: str, *, error: str | None = None) -> None:
    from airflow_provider_mlgov.assembly import open_outbox
    from airflow_provider_mlgov.lineage.listener import common_facts

    ours = event.facet(
        run,
        **{
            **common_facts(settings),
            **end.facts,
            "taskId": end.attempt.task_id,
            "mapIndex": end.attempt.map_index,
            "tryNumber": end.attempt.try_number,
            "state": end.state,
            "stateSource": source,
            "endTime": event.iso(end.end),
        },
    )
    kind = event.EVENT_TYPES[end.state]
    namespace = event.openlineage_namespace()
    open_outbox(settings).put(
        event.task_event(kind, end.attempt, run, ours, job_namespace=namespace, time=end.told or end.end, error=error)
    )


def _from_airflow(dag_id: str, run_id: str) -> tuple[event.Run, list[Ended]]:
    """The DAG run, and how each of its attempts ended; attempts that still go on are left out."""
    from airflow_provider_mlgov._compat import database_session, models

    dag_run_model, *instance_models = models()
    ended: dict[Attempt, Ended] = {}
    with database_session() as session:
        dag_run = session.query(dag_run_model).filter_by(dag_id=dag_id, run_id=run_id).one_or_none()
        run = event.run_of(dag_run) if dag_run is not None else event.unknown_run(dag_id, run_id)
        for model in instance_models:  # the history first: where both know an attempt, the present row is right
            for row in session.query(model).filter_by(dag_id=dag_id, run_id=run_id):
                state = str(getattr(row.state, "value", row.state) or "")
                if state in event.EVENT_TYPES:
                    attempt = attempt_of(row)
                    ended[attempt] = Ended(
                        attempt, state, _facts_of(row), row.end_date, getattr(row, "updated_at", None)
                    )
    return run, list(ended.values())


def _facts_of(row: Any) -> Json:
    return {
        "operator": row.operator,
        "mapLabel": getattr(row, "rendered_map_index", None),
        "hostname": row.hostname or None,
        "userName": row.unixname,
        "startTime": event.iso(row.start_date),
    }


def _still_open(dag_id: str, run_id: str) -> frozenset[Attempt]:
    """Attempts that Airflow knows and that have not ended."""
    from airflow_provider_mlgov._compat import database_session, models

    _, _, present = models()
    with database_session() as session:
        rows = session.query(present).filter_by(dag_id=dag_id, run_id=run_id).all()
        return frozenset(
            attempt_of(row)
            for row in rows
            if str(getattr(row.state, "value", row.state) or "") not in event.EVENT_TYPES
        )


def _from_catalog(settings: Settings, dag_id: str, run_id: str) -> dict[Attempt, str]:
    """The attempts of a DAG run that the catalogue knows, with their state (empty while open)."""
    from airflow_provider_mlgov.assembly import open_catalog

    catalog = open_catalog(settings)
    try:
        found = attempts_in_catalog(catalog, settings.airflow_namespace, dag_id, run_id, ("state",))
        return {attempt: str(attributes.get("state") or "") for attempt, attributes in found}
    finally:
        catalog.close()


def attempts_in_catalog(
    catalog: Catalog, namespace: str, dag_id: str, run_id: str, attributes: Sequence[str]
) -> Iterator[tuple[Attempt, Mapping[str, Any]]]:
    """The attempts of a DAG run that the catalogue knows, with these attributes of their task runs."""
    run_key = DagRun(namespace, dag_id, run_id).key
    for offset in range(0, _MOST_ATTEMPTS, _PAGE):
        try:
            found = catalog.search(
                TaskRun.type_name, {"runKey": run_key}, attributes=tuple(attributes), limit=_PAGE, offset=offset
            )
        except CatalogRefusedError:
            return  # nothing was ever recorded: not even the types are there
        for header in found:
            told: Mapping[str, Any] = header.get("attributes") or {}
            name = TaskRun.parse(str(told["qualifiedName"]))
            yield Attempt(name.dag, name.run, name.task, name.map_index, name.try_number), told
        if len(found) < _PAGE:
            return
