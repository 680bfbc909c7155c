"""Who did a process, as a catalogue can be asked for it: the runs of one task, or of one job."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple


class Worker(NamedTuple):
    """What all runs that did a process have in common."""

    run_type: str
    """Their ``typeName``."""
    attribute: str
    """What names the worker on each of them."""
    key: str

    @property
    def filters(self) -> dict[str, str]:
        """What its runs are searched by."""
        return {self.attribute: self.key}


def worker_of(process: Mapping[str, Any]) -> Worker | None:
    """By the attributes of a process of ours; None for one of columns, or of somebody else's."""
    if key := process.get("taskKey"):
        return Worker("mlgov_task_run", "taskKey", key)
    if key := process.get("jobKey"):
        return Worker("mlgov_job_run", "workerKey", key)
    return None
