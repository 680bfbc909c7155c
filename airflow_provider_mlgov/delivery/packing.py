"""The content of a file of the spool: one JSON line that describes it (``v``, ``sha256``), and one JSON line per event."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

Json = dict[str, Any]

_VERSION = 1


class LaterVersionError(ValueError):
    """A file says that a later version of the package wrote it."""


def packed(head: Mapping[str, Any], events: Sequence[Mapping[str, Any]]) -> bytes:
    """The content of a file: what describes it, and ``events``."""
    body = "\n".join(json.dumps(event, separators=(",", ":"), allow_nan=False) for event in events).encode()
    head = {"v": _VERSION, "sha256": hashlib.sha256(body).hexdigest(), **head}
    return json.dumps(head, separators=(",", ":")).encode() + b"\n" + body + b"\n"


def unpacked(content: bytes) -> tuple[Json, list[Json]]:
    """What describes a file, and its events. `ValueError` says what is wrong with it."""
    first, _, body = content.removesuffix(b"\n").partition(b"\n")
    head = head_of(first)
    if hashlib.sha256(body).hexdigest() != head.get("sha256"):
        raise ValueError("its checksum does not fit: cut off or changed after it was written")
    try:
        return head, [json.loads(line) for line in body.split(b"\n")]
    except RecursionError:
        raise ValueError("it is nested too deeply: no event") from None


def head_of(first: bytes) -> Json:
    """What describes a file, by its first line. `ValueError` says what is wrong with it."""
    try:
        head = json.loads(first)
    except (ValueError, RecursionError):
        raise ValueError("its first line is no JSON: damaged, or not written by the spool") from None
    version = head.get("v") if isinstance(head, dict) else None
    if isinstance(version, int) and version > _VERSION:
        raise LaterVersionError(
            f"written by a later version of the package (form {version}; this one reads {_VERSION})"
        )
    if not isinstance(head, dict) or version != _VERSION:
        raise ValueError(f"its version is {head.get('v') if isinstance(head, dict) else head!r}; wanted {_VERSION}")
    return head
