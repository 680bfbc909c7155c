"""The doors inside Airflow: listener, `[lineage] backend`, OpenLineage transport; and what users call inside tasks and DAGs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow_provider_mlgov.lineage.backend import AtlasLineageBackend as AtlasLineageBackend
    from airflow_provider_mlgov.lineage.choice import disable_lineage as disable_lineage
    from airflow_provider_mlgov.lineage.choice import enable_lineage as enable_lineage
    from airflow_provider_mlgov.lineage.said import read as read
    from airflow_provider_mlgov.lineage.said import wrote as wrote
    from airflow_provider_mlgov.lineage.transport import AtlasTransport as AtlasTransport

_NAMES = {
    "AtlasLineageBackend": "backend",
    "AtlasTransport": "transport",
    "disable_lineage": "choice",
    "enable_lineage": "choice",
    "read": "said",
    "wrote": "said",
}
__all__ = ["AtlasLineageBackend", "AtlasTransport", "disable_lineage", "enable_lineage", "read", "wrote"]


def __getattr__(name: str) -> Any:
    if name not in _NAMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(f"{__name__}.{_NAMES[name]}"), name)
