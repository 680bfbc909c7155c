"""Executors that run tasks on many hosts, and whether this Airflow is set up for that."""

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING

from airflow_provider_mlgov.lineage.tokens import FILE
from airflow_provider_mlgov.settings import ConfGet, airflow_conf_get

if TYPE_CHECKING:
    from airflow_provider_mlgov.delivery.draining import SendReport
    from airflow_provider_mlgov.settings import Settings

log = logging.getLogger(__name__)

_ONE_HOST = frozenset({"LocalExecutor", "SequentialExecutor", "DebugExecutor"})
_EXECUTOR = re.compile(r"\w*Executor\b")
_said: set[str] = set()
"""What this process has complained of."""


def executors_elsewhere(read: ConfGet = airflow_conf_get) -> list[str]:
    """The executors of ``[core] executor`` that may run tasks on other hosts: all but those that are known not to."""
    return [name for name in _EXECUTOR.findall(read("core", "executor") or "") if name not in _ONE_HOST]


def complaint(settings: Settings, read: ConfGet = airflow_conf_get) -> str:
    """What is wrong where tasks run on many hosts and this one writes by itself; empty if nothing is."""
    names = executors_elsewhere(read)
    if not names or settings.forward_conn_id or settings.handover_path or settings.spool_shared:
        return ""
    if settings.collect_path or (settings.spool_folder / FILE).exists():
        return ""  # this is the host that writes for the others
    if not settings.atlas_conn_id:
        said = "each of its hosts has an embedded catalogue of its own, and nobody sees the whole"
    else:
        said = "hosts that write to one Atlas by themselves make duplicates, which nothing can find later"
    return (
        f"{', '.join(dict.fromkeys(names))} runs tasks on other hosts, and this one writes to the catalogue by itself: {said}. "
        "Let one host write: set [mlgov] forward_conn_id or handover_path on the others (docs/operations.md, Workers on many hosts)"
    )


def complain_of_left(settings: Settings, report: SendReport | None) -> None:
    """Say where events of a host that may end with its task were left behind."""
    if not (settings.forward_conn_id or settings.handover_path):
        return
    if report is None or report.outcome not in ("done", "nothing", "locked"):
        reason = "sending took too long" if report is None else report.reason
        log.warning(
            "Lineage of this task waits in %s (%s). Should that folder end with this host, as that of a pod does, it is lost: "
            "[mlgov] handover_path, or a volume for it, keeps it",
            settings.spool_folder,
            reason,
        )


def complain_once(settings: Settings) -> None:
    """Say it, once per process: in the log of each task until it is mended."""
    said = complaint(settings)
    if said and said not in _said:
        _said.add(said)
        log.error("Lineage: %s", said)
