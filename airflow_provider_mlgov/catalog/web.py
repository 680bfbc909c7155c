"""What our HTTP servers have in common: which host names are ours, and bodies of a limited size, depth and time."""

from __future__ import annotations

import asyncio
import ipaddress
import zlib
from typing import TYPE_CHECKING

from airflow_provider_mlgov.catalog.slow import BODY_SECONDS

if TYPE_CHECKING:
    from starlette.requests import Request

LOOPBACK = ("localhost", "127.0.0.1", "::1")
OBJECTS_LIMIT = 1_000_000
"""JSON objects and lists in a body: each takes many times its bytes when it is read."""
DEPTH_LIMIT = 64
"""How deeply a body may be nested."""


def host_name(header: str) -> str:
    """The name in a ``Host`` header, without the port."""
    if header.startswith("["):
        return header[1:].partition("]")[0]
    return header.partition(":")[0].lower()


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches a server at ``host``."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


async def read_body(request: Request, limit: int, seconds: float = BODY_SECONDS) -> bytes | None:
    """The body; None if it is larger than ``limit``, without reading more of it. `asyncio.TimeoutError` after ``seconds``."""
    return await asyncio.wait_for(_read(request, limit), seconds)


async def _read(request: Request, limit: int) -> bytes | None:
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size > limit:
            return None
        parts.append(part)
    return b"".join(parts)


def has_many_objects(raw: bytes) -> bool:
    """Whether a body holds more than `OBJECTS_LIMIT` objects and lists, told before it is read."""
    return raw.count(b"{") + raw.count(b"[") > OBJECTS_LIMIT


def is_deep(document: object) -> bool:
    """Whether a JSON document is nested more than `DEPTH_LIMIT` levels deep."""
    level = [document]
    for _ in range(DEPTH_LIMIT):
        level = [
            item
            for holder in level
            for item in (holder.values() if isinstance(holder, dict) else holder if isinstance(holder, list) else ())
            if isinstance(item, (dict, list))
        ]
        if not level:
            return False
    return True


def unzipped(raw: bytes, limit: int) -> bytes | None:
    """The content of a gzip body; None if it is larger than ``limit``, without unpacking more. `ValueError` if it is none."""
    unpacker = zlib.decompressobj(wbits=31)
    try:
        content = unpacker.decompress(raw, limit + 1)
    except zlib.error as error:
        raise ValueError(str(error)) from None
    if len(content) > limit or unpacker.unconsumed_tail:
        return None
    if unpacker.unused_data:
        raise ValueError("something comes after its end")
    if not unpacker.eof:
        raise ValueError("it ends too early")
    return content
