"""Clients that take their time: a server of ours waits only so long for a call, and for an answer to be taken."""

from __future__ import annotations

import asyncio
import time
from typing import Any

HEAD_SECONDS = 10.0
"""For the head of a call: uvicorn itself would wait for ever once it has begun."""
ANSWER_SECONDS = 60.0
"""For a client to take what it was sent."""
BODY_SECONDS = 60.0
"""For the body of a call."""
MOST_CONNECTIONS = 500
"""Connections at once; beyond that the answer is 503."""


def server_options(
    *, head_seconds: float = HEAD_SECONDS, answer_seconds: float = ANSWER_SECONDS, most: int = MOST_CONNECTIONS
) -> dict[str, Any]:
    """What uvicorn has to be told besides application and address."""
    return {
        "http": _protocol(head_seconds, answer_seconds),
        "ws": "none",
        "limit_concurrency": most,
        "log_level": "warning",
        "proxy_headers": False,  # an address that the caller gives is not believed
        "server_header": False,
    }


def _protocol(head_seconds: float, answer_seconds: float) -> type[asyncio.Protocol]:
    from uvicorn.protocols.http.h11_impl import H11Protocol

    class Watched(H11Protocol):
        """Looks from time to time what its connection waits for, and since when."""

        _watch: asyncio.TimerHandle | None = None
        _waits_for: tuple[str, int] = ("", 0)
        _since = 0.0

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            self._look()

        def connection_lost(self, exc: Exception | None) -> None:
            if self._watch is not None:
                self._watch.cancel()
            super().connection_lost(exc)

        def _look(self) -> None:
            found, now = self._state(), time.monotonic()
            if found != self._waits_for:
                self._waits_for, self._since = found, now
            limit = {"head": head_seconds, "answer": answer_seconds}.get(found[0])
            if limit is not None and now - self._since >= limit:
                self.transport.abort()
                return
            self._watch = self.loop.call_later(min(head_seconds, answer_seconds) / 4, self._look)

        def _state(self) -> tuple[str, int]:
            cycle = self.cycle
            if cycle is None or cycle.response_complete:
                return "head", id(cycle)
            return ("answer" if self.flow.write_paused else "work"), id(cycle)

    return Watched
