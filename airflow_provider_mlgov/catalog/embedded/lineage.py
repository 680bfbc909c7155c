"""The lineage walk: from data through processes to data, hop by hop."""

from __future__ import annotations

import json

from airflow_provider_mlgov.catalog.catalog import Direction, Json
from airflow_provider_mlgov.catalog.embedded import reading
from airflow_provider_mlgov.catalog.embedded.faults import refused
from airflow_provider_mlgov.catalog.embedded.work import Row, Work

_INPUTS, _OUTPUTS = "dataset_process_inputs", "process_dataset_outputs"

# One hop: the processes that made (or read) some data, and what these read (or made). As in Atlas, deleted edges count, and a
# process without anything on its far side is not shown.
_HOP = """
SELECT near.guid, near.end1, near.end2, far.guid, far.end2
FROM edge AS near JOIN edge AS far ON far.end1 = near.end1 AND far.type = :far
WHERE near.type = :near AND near.end2 IN (SELECT value FROM json_each(:data))
"""


class _Walk:
    """What a walk has found so far."""

    def __init__(self, work: Work) -> None:
        self._work = work
        self.entities: dict[int, None] = {}
        self.relations: dict[str, tuple[int, int]] = {}

    def add(self, guid: str, process: int, data: int, *, is_input: bool) -> None:
        """Note an edge, as it points in the graph."""
        self.entities |= {process: None, data: None}
        self.relations[guid] = (data, process) if is_input else (process, data)

    def follow(self, data: set[int], depth: int, *, upstream: bool) -> None:
        """Walk from ``data``; a negative depth has no limit."""
        near, far = (_OUTPUTS, _INPUTS) if upstream else (_INPUTS, _OUTPUTS)
        seen: set[int] = set()
        while data and depth != 0:
            seen |= data
            reached: set[int] = set()
            parameters = {"near": near, "far": far, "data": json.dumps(list(data))}
            for near_guid, process, here, far_guid, there in self._work.connection.execute(_HOP, parameters):
                self.add(near_guid, process, here, is_input=not upstream)
                self.add(far_guid, process, there, is_input=upstream)
                reached.add(there)
            data, depth = reached - seen, depth - 1

    def leave(self, process: int, depth: int, *, upstream: bool) -> None:
        """Walk from a process: its own edges, then one hop less than ``depth``."""
        edge_type = _INPUTS if upstream else _OUTPUTS
        query = "SELECT guid, end2 FROM edge WHERE end1 = ? AND type = ?"
        found = self._work.connection.execute(query, (process, edge_type)).fetchall()
        for guid, data in found:
            self.add(guid, process, data, is_input=upstream)
        self.follow({data for _, data in found}, depth - 1, upstream=upstream)


def lineage(work: Work, row: Row, direction: Direction, depth: int) -> Json:
    """Atlas's lineage answer for an entity."""
    entity_type = work.types.entity_type(row.type_name)
    if not entity_type.is_a("DataSet") and not entity_type.is_a("Process"):
        raise refused(
            "404-00-011",
            f"Given instance guid {row.guid} with type {row.type_name} is not a valid lineage entity type.",
        )
    walk = _Walk(work)
    hops = depth or -1
    for upstream in (True, False):
        if direction in ("BOTH", "INPUT" if upstream else "OUTPUT"):
            if entity_type.is_a("DataSet"):
                walk.follow({row.id}, hops, upstream=upstream)
            else:
                walk.leave(row.id, hops, upstream=upstream)
    rows = work.rows(walk.entities)
    guids = {found.id: found.guid for found in rows}
    return {
        "baseEntityGuid": row.guid,
        "lineageDirection": direction,
        "lineageDepth": depth,
        "guidEntityMap": {header["guid"]: header for header in reading.headers(work, rows)},
        "relations": [
            {"fromEntityId": guids[start], "toEntityId": guids[end], "relationshipId": guid}
            for guid, (start, end) in walk.relations.items()
        ],
    }
