"""What is recorded: whole DAGs, tasks and operators can be left out or chosen, by option and in the DAG file."""

from __future__ import annotations

from typing import Any, TypeVar

from airflow_provider_mlgov.settings import Settings

T = TypeVar("T")
PARAM = "_mlgov_lineage"
"""The param that carries the choice: params are what Airflow keeps through mapping and serialisation."""


def disable_lineage(thing: T) -> T:
    """Leave a DAG, with all tasks it has now, or a task (operator, or what a ``@task`` call returns) out of the lineage."""
    return _choose(thing, chosen=False)


def enable_lineage(thing: T) -> T:
    """Record a DAG, with all tasks it has now, or a task: chooses where ``[mlgov] selective`` is on, undoes `disable_lineage`."""
    return _choose(thing, chosen=True)


def _choose(thing: T, *, chosen: bool) -> T:
    from airflow_provider_mlgov._compat import Param

    target: Any = getattr(thing, "operator", None) if not hasattr(thing, "params") else thing
    if target is None:
        raise TypeError(
            f"{thing!r} is neither a DAG nor a task: wanted a DAG, an operator, or what a @task call returns"
        )
    for task in getattr(target, "task_dict", {}).values():
        task.params[PARAM] = Param(chosen, const=chosen)
    target.params[PARAM] = Param(chosen, const=chosen)
    return thing


def _choice(thing: Any) -> bool | None:
    params = getattr(thing, "params", None)
    value = params.get(PARAM) if params is not None and hasattr(params, "get") else None
    return value if isinstance(value, bool) else getattr(value, "value", None)


def task_recorded(settings: Settings, dag_id: str, task_id: str, task: Any, dag: Any = None) -> bool:
    """Whether this task is recorded. ``task`` may be a serialised operator, or None where only its names are known."""
    if not settings.records(dag_id, task_id, operator_path(task)):
        return False
    choice = _choice(task)
    if choice is None:
        choice = _choice(dag if dag is not None else getattr(task, "dag", None))
    return choice is True if settings.selective else choice is not False


def dag_recorded(settings: Settings, dag_id: str, dag: Any) -> bool:
    """Whether the runs of this DAG are recorded: where ``selective`` is on, also if only one of its tasks was chosen."""
    if not settings.records(dag_id):
        return False
    choice = _choice(dag)
    if settings.selective and choice is not True:
        return any(_choice(task) is True for task in getattr(dag, "task_dict", {}).values())
    return choice is not False


def operator_path(task: Any) -> str | None:
    """The full path of the operator's class; of a serialised operator too."""
    if task is None:
        return None
    kind = getattr(task, "operator_class", type(task))
    if isinstance(kind, dict):  # serialised and mapped
        return f"{kind.get('_task_module')}.{kind.get('task_type') or kind.get('_task_type')}"
    module = getattr(task, "_task_module", None) or kind.__module__
    return f"{module}.{getattr(task, 'task_type', kind.__name__)}"
