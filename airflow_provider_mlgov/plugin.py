"""The Airflow plugin: registers the listener where recording is switched on, and costs nothing where it is not."""

from __future__ import annotations

from typing import Any

from airflow_provider_mlgov._compat import AirflowPlugin
from airflow_provider_mlgov.settings import is_enabled


def _listeners() -> list[Any]:
    from airflow_provider_mlgov.lineage.listener import AtlasListener

    return [AtlasListener()]


def _readers() -> list[Any]:
    from airflow_provider_mlgov._compat import HookLineageReader

    return [HookLineageReader]


class MlgovPlugin(AirflowPlugin):
    """Registers the listener, and a reader without which Airflow collects nothing of what hooks report."""

    name = "mlgov"
    listeners = _listeners() if is_enabled() else []
    hook_lineage_readers = _readers() if listeners else []
