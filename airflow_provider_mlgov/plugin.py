"""The Airflow plugin: registers listener and receiver where they are switched on, and costs nothing where they are not."""

from __future__ import annotations

from typing import Any

from airflow_provider_mlgov._compat import AirflowPlugin
from airflow_provider_mlgov.settings import has_mount, is_enabled


def _listeners() -> list[Any]:
    from airflow_provider_mlgov.lineage.listener import AtlasListener

    return [AtlasListener()]


def _readers() -> list[Any]:
    from airflow_provider_mlgov._compat import HookLineageReader

    return [HookLineageReader]


def _apps() -> list[dict[str, Any]]:
    from airflow_provider_mlgov.lineage.mount import PREFIX, MountedReceiver

    return [{"app": MountedReceiver(), "url_prefix": PREFIX, "name": "mlgov receiver"}]


class MlgovPlugin(AirflowPlugin):
    """Registers the listener, a reader without which Airflow collects nothing of what hooks report, and the receiver."""

    name = "mlgov"
    listeners = _listeners() if is_enabled() else []
    hook_lineage_readers = _readers() if listeners else []
    fastapi_apps = _apps() if has_mount() else []
