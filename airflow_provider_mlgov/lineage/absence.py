"""Why a task of a DAG run has no lineage: the most asked question, answered from all that is known.

Airflow's database says what ran, settings and DAG what is recorded, the spool what is under way, the catalogue what arrived.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib import import_module
from typing import TYPE_CHECKING, Any, Literal

from airflow_provider_mlgov.lineage.choice import operator_path, task_recorded
from airflow_provider_mlgov.lineage.reconcile import attempts_in_catalog
from airflow_provider_mlgov.settings import Settings
from airflow_provider_mlgov.translate.runs import mapping

if TYPE_CHECKING:
    from airflow_provider_mlgov.catalog.catalog import Catalog
    from airflow_provider_mlgov.delivery.spool import Spool

Json = Mapping[str, Any]
Verdict = Literal["ok", "note", "WRONG"]

_METHODS = ("get_openlineage_facets_on_start", "get_openlineage_facets_on_complete")
_OURS = "airflow_provider_mlgov."
_ATTRIBUTES = ("state", "operator", "io", "lineageErrors")
_EXAMPLE = (
    "inlets=[table('postgres://db:5432', 'shop.public.orders')], outlets=[file('s3://lake/features.parquet')]), "
    "with table and file of airflow_provider_mlgov.assets"
)


@dataclass(frozen=True)
class Task:
    """What is known of one task of a DAG run."""

    task_id: str
    states: tuple[str, ...] | None = None
    """Of its newest attempts in Airflow, one per map index; None where Airflow cannot be asked."""
    operator: str = ""
    """Its class, with the module where that is known."""
    left_out: str = ""
    """What leaves it out of the recording."""
    runs: tuple[Json, ...] = ()
    """Its attempts in the catalogue."""
    waiting: int = 0
    """Its events in the spool."""
    dead: tuple[tuple[str, str], ...] = ()
    """Dead letters with events of it: name and reason."""


@dataclass
class _Spooled:
    waiting: int = 0
    dead: list[tuple[str, str]] = field(default_factory=list)


def tasks_of(
    settings: Settings, spool: Spool, catalog: Catalog | None, namespace: str, dag_id: str, run_id: str
) -> tuple[list[Task], str]:
    """All tasks of a DAG run that anybody knows, and why Airflow could not be asked (empty if it could)."""
    tasks: dict[str, Task] = {}
    failure = ""
    try:
        tasks = _in_airflow(settings, dag_id, run_id)
    except Exception as error:  # noqa: BLE001 - no database, another schema, a DAG that is gone: the rest is said all the same
        failure = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
    runs: dict[str, list[Json]] = {}
    for attempt, attributes in attempts_in_catalog(catalog, namespace, dag_id, run_id, _ATTRIBUTES) if catalog else ():
        runs.setdefault(attempt.task_id, []).append(attributes)
    spooled = _in_spool(spool, dag_id, run_id)
    for task_id in sorted({*tasks, *runs, *spooled}):
        task = tasks.get(task_id) or Task(task_id, None if failure else ())
        found = spooled.get(task_id, _Spooled())
        stored = tuple(runs.get(task_id, ()))
        operator = task.operator or next((str(run["operator"]) for run in stored if run.get("operator")), "")
        tasks[task_id] = replace(
            task, operator=operator, runs=stored, waiting=found.waiting, dead=tuple(dict.fromkeys(found.dead))
        )
    return [tasks[task_id] for task_id in sorted(tasks)], failure


def explained(task: Task, *, is_recording: bool) -> tuple[Verdict, str]:
    """Whether the task has lineage, and if not, why and what to do."""
    reads, writes = _ends(task.runs)
    if task.dead:
        name, reason = task.dead[0]
        return "WRONG", f"dead letter: {reason} (`mlgov spool show {name}`)"
    if reads or writes:
        return _present(task, reads, writes)
    if task.waiting:
        return "note", f"{task.waiting} of its events wait in the spool: `mlgov spool drain` sends them"
    if task.left_out:
        return "note", f"left out: {task.left_out}"
    states = task.states if task.states is not None else tuple(str(run.get("state") or "") for run in task.runs)
    if not task.runs:
        return _unrecorded(states, task.states is None, is_recording=is_recording)
    if "success" not in states:
        return "note", f"{_words(states)}: only a task that succeeded has read and written"
    return "note", _silent(task.operator)


def _present(task: Task, reads: int, writes: int) -> tuple[Verdict, str]:
    errors = next((str(run["lineageErrors"]) for run in task.runs if run.get("lineageErrors")), "")
    said = f"{reads} read, {writes} written"
    if errors:
        return "note", f"{said}; its producer could not read all: {errors[:500]}"
    if reads and writes:
        return "ok", said
    lacking, option = ("outputs", "outlets") if reads else ("inputs", "inlets")
    return "note", f"{said}: it says no {lacking}, so it connects nothing; declare {option}, if it has any"


def _unrecorded(states: Sequence[str], is_blind: bool, *, is_recording: bool) -> tuple[Verdict, str]:
    if is_blind:
        return "note", "the catalogue knows nothing of it"
    if not states or not set(states) & {"success", "failed", "skipped", "upstream_failed", "removed"}:
        return "note", f"{_words(states)}: it has not ended yet"
    if not is_recording:
        return "WRONG", f"{_words(states)}, and was not recorded: the listener is off, see above"
    where = (
        "recording was off when it ran, or that host has another configuration or spool (run `mlgov doctor` and `mlgov spool "
        "status` there); its log has a line of mlgov if something failed"
    )
    return "WRONG", f"{_words(states)}, and was not recorded: {where}"


def _silent(operator: str) -> str:
    """What to do about an operator that said nothing."""
    name = operator.rpartition(".")[2] or "its operator"
    if operator.startswith(_OURS):
        return f"{name} was given nothing to read or write"
    if _has_method(operator):
        return (
            f"{name} has an OpenLineage method, which found nothing: the task's log says what it could not read. Declare what it "
            f"reads and writes beside it, like this: {_call(name)}{_EXAMPLE}"
        )
    return f"{name} reports nothing of itself: declare inlets and outlets, like this: {_call(name)}{_EXAMPLE}"


def _call(name: str) -> str:
    return "@task(" if name.startswith("_") or "Decorated" in name else f"{name}(…, "


def _has_method(operator: str) -> bool:
    module, _, name = operator.rpartition(".")
    try:
        kind = getattr(import_module(module), name) if module else None
    except Exception:  # noqa: BLE001 - a class of the DAG file, or one that is not installed here
        return False
    return any(hasattr(kind, method) for method in _METHODS)


def _words(states: Sequence[str]) -> str:
    return ", ".join(sorted({state or "no state yet" for state in states})) or "no attempt yet"


def _ends(runs: Sequence[Json]) -> tuple[int, int]:
    """How many datasets were read and written, by the attempts that succeeded."""
    reads: set[str] = set()
    writes: set[str] = set()
    for run in runs:
        try:
            io = mapping(json.loads(str(run.get("io") or "{}")))
        except ValueError:
            continue
        names = [str(item.get("qualifiedName")) for item in io.get("datasets", ())]
        if io.get("processes") or run.get("state") == "success":
            reads.update(names[index] for index in io.get("inputs", ()))
            writes.update(names[index] for index in io.get("outputs", ()))
    return len(reads), len(writes)


# --- who knows what ---------------------------------------------------------------------------------------------------


def _in_airflow(settings: Settings, dag_id: str, run_id: str) -> dict[str, Task]:
    from airflow_provider_mlgov._compat import database_session, models, serialized_dag

    _, _, present = models()
    states: dict[str, list[str]] = {}
    operators: dict[str, str] = {}
    with database_session() as session:
        for row in session.query(present).filter_by(dag_id=dag_id, run_id=run_id):
            states.setdefault(row.task_id, []).append(str(getattr(row.state, "value", row.state) or ""))
            operators[row.task_id] = row.operator or ""
        dag = serialized_dag(dag_id, session)
    known = dict(getattr(dag, "task_dict", {}))
    return {
        task_id: Task(
            task_id,
            tuple(states.get(task_id, ())),
            operator_path(known.get(task_id)) or operators.get(task_id, ""),
            _left_out(settings, dag_id, task_id, known.get(task_id), dag),
        )
        for task_id in {*states, *known}
    }


def _left_out(settings: Settings, dag_id: str, task_id: str, task: Any, dag: Any) -> str:
    if option := settings.left_out_by(dag_id, task_id, operator_path(task)):
        return f"[mlgov] {option}"
    if task_recorded(settings, dag_id, task_id, task, dag):
        return ""
    return (
        "[mlgov] selective is on, and neither DAG nor task was chosen"
        if settings.selective
        else "disable_lineage in the DAG"
    )


def _in_spool(spool: Spool, dag_id: str, run_id: str) -> dict[str, _Spooled]:
    found: dict[str, _Spooled] = {}
    for path in spool.waiting():
        for task_id in _tasks((spool.read(path),), dag_id, run_id):
            found.setdefault(task_id, _Spooled()).waiting += 1
    for letter in spool.letters():
        for task_id in _tasks(letter.events, dag_id, run_id):
            reason = " ".join(letter.reason.split())[:300]
            found.setdefault(task_id, _Spooled()).dead.append((letter.name, reason))
    return found


def _tasks(events: Sequence[Any], dag_id: str, run_id: str) -> Iterator[str]:
    """The tasks of the DAG run that events speak of, by our facet or the OpenLineage provider's."""
    for event in events:
        facets = mapping(mapping(mapping(event).get("run")).get("facets"))
        ours, theirs = mapping(facets.get("mlgov_airflow")), mapping(facets.get("airflow"))
        task = ours.get("taskId") or mapping(theirs.get("task")).get("task_id")
        dag = ours.get("dagId") or mapping(theirs.get("dag")).get("dag_id")
        run = ours.get("runId") or mapping(theirs.get("dagRun")).get("run_id")
        if task and (dag, run) == (dag_id, run_id):
            yield str(task)
