"""What ``[lineage] backend`` names: the switch that works on both Airflows.

Airflow 2.11 makes an object of the class and calls it after each success. It only collects what lives in the context of the task
and nothing else sees (runtime extras of assets); the listener reports. Airflow 3 dropped the setting: the listener reads it itself.
"""

from __future__ import annotations

import logging
from typing import Any

from airflow_provider_mlgov._compat import lineage_backend_base
from airflow_provider_mlgov.masking import shown, trace_of

log = logging.getLogger(__name__)


class AtlasLineageBackend(lineage_backend_base()):  # type: ignore[misc] # a base that one of the versions does not have
    """Collects for the listener. Never raises: on 2.11 that would fail the user's task."""

    def send_lineage(self, operator: Any, inlets: Any = None, outlets: Any = None, context: Any = None) -> None:  # noqa: ARG002
        """Keep what assets said in this run."""
        try:
            from airflow_provider_mlgov.lineage.declared import runtime_of
            from airflow_provider_mlgov.lineage.facts import attempt_of
            from airflow_provider_mlgov.lineage.listener import RUNTIME

            if context:
                RUNTIME[attempt_of(context["ti"])] = runtime_of(context, operator)
        except Exception as error:  # noqa: BLE001 - an exception here would fail the user's task
            log.warning("Extras of assets are left out of the lineage: %s: %s", type(error).__name__, shown(error))
            log.debug("Details:\n%s", trace_of(error))
