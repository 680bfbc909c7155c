"""Models, endpoints and data as one writes them in DAGs: in ``inlets``, ``outlets`` and ``schedule``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow_provider_mlgov.assets.datasets import Data as Data
    from airflow_provider_mlgov.assets.datasets import file as file
    from airflow_provider_mlgov.assets.datasets import table as table
    from airflow_provider_mlgov.assets.ml import Endpoint as Endpoint
    from airflow_provider_mlgov.assets.ml import Model as Model

_HOMES = {"Data": "datasets", "file": "datasets", "table": "datasets", "Endpoint": "ml", "Model": "ml"}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    value = getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value
