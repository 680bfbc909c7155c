"""Every name of Airflow that moved or differs between 2.11 and 3.x, in one place; no other module asks which version runs.

Names load on first use (module ``__getattr__``): importing this module imports nothing of Airflow.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow.configuration import AirflowConfigParser
    from airflow.plugins_manager import AirflowPlugin as AirflowPlugin
    from airflow.sdk import Asset as Asset
    from airflow.sdk import BaseHook as BaseHook
    from airflow.sdk import BaseOperator as BaseOperator
    from airflow.sdk._shared.listeners import hookimpl as hookimpl
    from airflow.sdk.lineage import HookLineageReader as HookLineageReader

    conf: AirflowConfigParser

_SDK = "airflow.providers.common.compat.sdk"
_NAMES: dict[str, str] = {
    # airflow.configuration; from 3.2 on task processes have a lighter one of their own in airflow.sdk.configuration
    "conf": _SDK,
    # airflow.hooks.base -> airflow.sdk
    "BaseHook": _SDK,
    # airflow.models.baseoperator -> airflow.sdk
    "BaseOperator": _SDK,
    # airflow.models.dag -> airflow.sdk
    "DAG": _SDK,
    # airflow.models.xcom_arg -> airflow.sdk
    "XComArg": _SDK,
    # airflow.models.param -> airflow.sdk
    "Param": _SDK,
    # airflow.plugins_manager -> airflow.sdk.plugins_manager
    "AirflowPlugin": _SDK,
    # airflow.listeners -> airflow.sdk._shared.listeners
    "hookimpl": _SDK,
    # airflow.lineage.hook -> airflow.sdk.lineage
    "HookLineageReader": _SDK,
    "get_hook_lineage_collector": _SDK,
    # airflow.datasets.Dataset -> airflow.sdk.Asset, DatasetAlias -> AssetAlias
    "Asset": _SDK,
    "AssetAlias": _SDK,
    # airflow.io.path -> airflow.sdk
    "ObjectStoragePath": _SDK,
    # airflow.exceptions -> airflow.sdk.exceptions
    "AirflowNotFoundException": _SDK,
    # airflow.operators.python -> airflow.sdk; raises RuntimeError outside of a task
    "get_current_context": _SDK,
    # airflow.utils.log.secrets_masker -> airflow.sdk.log
    "redact": _SDK,
    # airflow.stats -> airflow.sdk.observability.stats
    "Stats": _SDK,
}


def __getattr__(name: str) -> Any:
    try:
        module = _NAMES[name]
    except KeyError:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}") from None
    import importlib
    import warnings

    with warnings.catch_warnings():
        # On 2.11 some of the old places warn that they will move; that they are old is the point of this module.
        warnings.simplefilter("ignore", DeprecationWarning)
        value = getattr(importlib.import_module(module), name)
    globals()[name] = value
    return value


@cache
def airflow_version() -> str:
    """The version of the installed Airflow, such as ``3.3.2``, without importing it."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("apache-airflow-core")  # from 3.0 on; apache-airflow is but a shell around it
    except PackageNotFoundError:
        return version("apache-airflow")


@cache
def is_airflow_3() -> bool:
    """Whether this is Airflow 3 (release candidates included)."""
    return not airflow_version().startswith("2.")


def converters() -> dict[str, Any]:
    """The ``to_openlineage_converter`` of each URI scheme for which an installed provider registered one."""
    manager: Any
    try:
        # 3.2 and later: a manager that task processes may use
        from airflow.sdk.providers_manager_runtime import ProvidersManagerTaskRuntime

        manager = ProvidersManagerTaskRuntime()
    except ImportError:
        from airflow.providers_manager import ProvidersManager

        manager = ProvidersManager()
    # 2.11 knows them as dataset_to_openlineage_converters
    found = getattr(manager, "asset_to_openlineage_converters", None)
    return dict(found or getattr(manager, "dataset_to_openlineage_converters", None) or {})


def has_metrics() -> bool:
    """Whether Airflow's metrics go anywhere: to StatsD, Datadog or OpenTelemetry."""
    from airflow_provider_mlgov._compat import conf

    return any(
        conf.getboolean("metrics", name, fallback=False) for name in ("statsd_on", "statsd_datadog_enabled", "otel_on")
    )


def plugins() -> tuple[set[str], dict[str, str]]:
    """The names of the plugins that Airflow loads, and what failed to: its source and the error. Loads them."""
    from airflow import plugins_manager

    plugins_manager.ensure_plugins_loaded()
    names = {str(plugin["name"]) for plugin in plugins_manager.get_plugin_info()}
    # 3.1 and earlier have a global variable
    errors = getattr(plugins_manager, "get_import_errors", lambda: getattr(plugins_manager, "import_errors", {}))()
    return names, dict(errors)


def hook_lineage_collected() -> Any | None:
    """What hooks reported in this process (``HookLineage``), or None.

    Creating the collector imports the URI handlers of all providers, which takes seconds: one that nobody made has nothing.
    """
    import sys

    # 3.2 and later: a cached function; before that a global variable
    module = sys.modules.get("airflow.sdk.lineage")
    if module is not None:
        if not module.get_hook_lineage_collector.cache_info().currsize:
            return None
    else:
        module = sys.modules.get("airflow.lineage.hook")
        if module is None or getattr(module, "_hook_lineage_collector", None) is None:
            return None
    collector = module.get_hook_lineage_collector()
    return collector.collected_assets if getattr(collector, "has_collected", False) else None


def lineage_backend_base() -> type:
    """`airflow.lineage.backend.LineageBackend`, which 2.11 wants as the base of a backend and 3.x does not have."""
    if is_airflow_3():
        return object
    from airflow.lineage.backend import LineageBackend

    base: type = LineageBackend
    return base


def is_database_object(instance: object) -> bool:
    """Whether a task instance comes from Airflow's database: on 3.x that means it was not reported by its own task process."""
    return hasattr(type(instance), "__table__")


class Loaded:
    """An object of Airflow's database, of which only that can be read which is loaded: what is not would ask the database."""

    _NAMES = frozenset({"dag_id", "run_id", "task_id", "map_index", "try_number"})
    """Without these nobody knows what is spoken of, so they are worth a query."""

    def __init__(self, instance: Any) -> None:
        from sqlalchemy import inspect

        self._instance = instance
        self._unloaded = frozenset(inspect(instance).unloaded) - self._NAMES

    def __getattr__(self, name: str) -> Any:
        if name in self._unloaded:
            raise AttributeError(f"{name} is not loaded")
        return getattr(self._instance, name)


def loaded(instance: Any) -> Any:
    """``instance``, without what its database would have to be asked for."""
    return Loaded(instance) if is_database_object(instance) else instance


def database_session() -> Any:
    """A session on Airflow's database, as a context manager: not for task processes, which have none on 3.x."""
    from airflow.utils.session import create_session

    return create_session()


def models() -> tuple[Any, Any, Any]:
    """The database models of DAG runs, earlier tries and task instances."""
    from airflow.models.dagrun import DagRun
    from airflow.models.taskinstance import TaskInstance
    from airflow.models.taskinstancehistory import TaskInstanceHistory

    return DagRun, TaskInstanceHistory, TaskInstance


def serialized_dag(dag_id: str, session: Any) -> Any | None:
    """The DAG as Airflow's database has it, or None."""
    from airflow.models.serialized_dag import SerializedDagModel

    return SerializedDagModel.get_dag(dag_id, session=session)


def close_thread_session() -> None:
    """End the database session of this thread, if it has one: on 2.11 there is one per thread."""
    import sys

    if is_airflow_3() or "airflow.settings" not in sys.modules:
        return
    session = getattr(sys.modules["airflow.settings"], "Session", None)
    if session is not None:
        session.remove()
