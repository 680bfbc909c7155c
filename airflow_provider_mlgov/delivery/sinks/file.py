"""A sink that appends entities to a file: one line of Atlas's JSON each, in the order of writing."""

from __future__ import annotations

import json
import os
from pathlib import Path

from airflow_provider_mlgov.delivery.batch import final_attributes, in_order
from airflow_provider_mlgov.delivery.deadline import Deadline
from airflow_provider_mlgov.delivery.sinks.sink import Delivered, Parcel
from airflow_provider_mlgov.errors import CatalogUnavailableError
from airflow_provider_mlgov.model.entity import Ref

_CHUNK = 65_536


class FileSink:
    """Entities as NDJSON; references are by qualifiedName. Nothing is settled: what is stored elsewhere is not known here."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = Path(path)

    def deliver(self, parcel: Parcel, deadline: Deadline) -> Delivered:  # noqa: ARG002 - the protocol's
        """Append the parcel: all of it, or nothing."""
        lines = []
        for entity in in_order(parcel.entities):
            document = {
                "typeName": entity.type_name,
                "attributes": {**final_attributes(entity), "qualifiedName": entity.qualified_name},
                "relationshipAttributes": {
                    name: value.to_atlas() if isinstance(value, Ref) else [ref.to_atlas() for ref in value]
                    for name, value in entity.relations.items()
                },
            }
            lines.append(json.dumps(document, ensure_ascii=False, separators=(",", ":")) + "\n")
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            handle = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
            try:
                _append(handle, "".join(lines).encode())
            finally:
                os.close(handle)
        except OSError as error:
            raise CatalogUnavailableError(
                f"cannot append to {self._path}: {error.strerror}; give the file sink a writable path"
            ) from error
        return Delivered(written=len(lines))

    def close(self) -> None:
        """Nothing is held between deliveries."""


def _append(handle: int, content: bytes) -> None:
    """Write ``content``, for good. What a full disk or a killed writer leaves of a line is taken away again."""
    end = _end_of_lines(handle)
    os.ftruncate(handle, end)
    try:
        rest = memoryview(content)
        while rest:
            rest = rest[os.write(handle, rest) :]
        os.fsync(handle)
    except OSError:
        os.ftruncate(handle, end)
        raise


def _end_of_lines(handle: int) -> int:
    """Where the last whole line ends."""
    end = os.fstat(handle).st_size
    while end:
        start = max(0, end - _CHUNK)
        found = os.pread(handle, end - start, start).rfind(b"\n")
        if found >= 0:
            return start + found + 1
        end = start
    return 0
