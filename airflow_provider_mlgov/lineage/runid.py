"""OpenLineage run ids, computed exactly as Airflow's OpenLineage provider does, without importing it (that costs a second).

Spark, dbt and others name their Airflow parent by these ids, and the events of both doors meet in them.
"""

from __future__ import annotations

import hashlib
from datetime import datetime, timezone
from uuid import UUID


def task_run_id(namespace: str, dag_id: str, task_id: str, try_number: int, map_index: int, instant: datetime) -> str:
    """The run id of one attempt. ``instant`` is the logical date, or ``run_after`` where there is none."""
    return _static_uuid(instant, f"{namespace}.{dag_id}.{task_id}.{try_number}.{map_index}")


def dag_run_id(namespace: str, dag_id: str, clear_number: int, instant: datetime) -> str:
    """The run id of a DAG run; clearing the run gives it another one."""
    return _static_uuid(instant, f"{namespace}.{dag_id}.{clear_number}")


def _static_uuid(instant: datetime, data: str) -> str:
    """`openlineage.client.uuid.generate_static_uuid`: a UUIDv7 whose random part is a digest."""
    instant = instant.astimezone(timezone.utc)
    digest = hashlib.sha1(instant.isoformat().encode() + data.encode(), usedforsecurity=False).digest()
    value = (int(instant.timestamp() * 1000) & 0xFFFFFFFFFFFF) << 80 | int.from_bytes(digest, "big") >> 84
    value = value & ~(0xF000 << 64) | 7 << 76
    return str(UUID(int=value & ~(0xC000 << 48) | 0x8000 << 48))
