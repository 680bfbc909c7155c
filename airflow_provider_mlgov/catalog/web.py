"""What our HTTP servers have in common: which host names are ours, and bodies of a limited size."""

from __future__ import annotations

import ipaddress
import zlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from starlette.requests import Request

LOOPBACK = ("localhost", "127.0.0.1", "::1")


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


async def read_body(request: Request, limit: int) -> bytes | None:
    """The body; None if it is larger than ``limit``, without reading more of it."""
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size > limit:
            return None
        parts.append(part)
    return b"".join(parts)


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
