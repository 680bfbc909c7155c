"""HTTP calls that end: no later than their deadline, and with an answer that fits into memory."""

from __future__ import annotations

import contextlib
import socket
import threading
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import requests
    from typing_extensions import Self

_local = threading.local()  # .deadline: of the call that this thread is making


class Deadline:
    """Cuts a call off when its time is over: a server that drips bytes outlives every read time-out.

    A call inside of another, such as that for a token, ends with either of both.
    """

    def __init__(self, seconds: float) -> None:
        self.expired = False
        self._around: Deadline | None = None
        self._socket: socket.socket | None = None
        self._timer = threading.Timer(seconds, self._expire)
        self._timer.daemon = True

    @property
    def over(self) -> bool:
        """Whether it has expired, or one around it."""
        return self.expired or (self._around is not None and self._around.over)

    def watch(self, connected: socket.socket | None) -> None:
        """Take the socket of the call; called by the connection that makes it."""
        if self._around is not None:
            self._around.watch(connected)
        self._socket = connected
        if self.expired:
            self._cut()

    def __enter__(self) -> Self:
        self._timer.start()  # first: a machine without a thread to spare must leave nothing behind
        self._around = getattr(_local, "deadline", None)
        _local.deadline = self
        return self

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()
        self._socket = None
        _local.deadline = self._around

    def _expire(self) -> None:
        self.expired = True
        self._cut()

    def _cut(self) -> None:
        if self._socket is not None:
            with contextlib.suppress(OSError):  # closed in the same moment
                # Not the method of an SSLSocket, which would touch TLS state that the other thread is using.
                socket.socket.shutdown(self._socket, socket.SHUT_RDWR)


CODINGS = "gzip, deflate"
"""The compressions that we ask for: those of which a piece becomes a thousand times as large at most."""
_PIECE = 16 * 1024


class OversizeError(Exception):
    """The body of an answer is larger than any that is expected, or nobody can say how large it will be."""


def body_of(response: requests.Response, most: int) -> bytes:
    """The body of an answer that was asked for with ``stream=True``, unpacked; `OversizeError` beyond ``most`` bytes."""
    coding = response.headers.get("Content-Encoding", "").strip().lower()
    body = bytearray()
    with response:
        if coding not in ("", "identity", "gzip", "x-gzip", "deflate"):  # several, one in the other, or not asked for
            raise OversizeError(f"an answer in the coding {coding[:50]!r}")
        for piece in response.iter_content(_PIECE):
            body += piece
            if len(body) > most:
                raise OversizeError(f"more than {most // 2**20} MB")
    return bytes(body)


@cache
def adapter_class() -> type[requests.adapters.HTTPAdapter]:
    """An adapter whose connections show their socket to the deadline of the call."""
    from requests.adapters import HTTPAdapter
    from urllib3.connection import HTTPConnection, HTTPSConnection
    from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

    def watched(base: Any) -> Any:
        class Watched(base):  # type: ignore[misc]
            def connect(self) -> None:
                super().connect()
                self._show()

            def request(self, *args: Any, **kwargs: Any) -> None:
                self._show()  # a connection that is used again
                super().request(*args, **kwargs)

            def _show(self) -> None:
                deadline = getattr(_local, "deadline", None)
                if deadline is not None:
                    deadline.watch(self.sock)

        return Watched

    class HttpPool(HTTPConnectionPool):
        ConnectionCls = watched(HTTPConnection)

    class HttpsPool(HTTPSConnectionPool):
        ConnectionCls = watched(HTTPSConnection)

    class Adapter(HTTPAdapter):
        def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
            super().init_poolmanager(*args, **kwargs)
            self.poolmanager.pool_classes_by_scheme = {"http": HttpPool, "https": HttpsPool}

        def proxy_manager_for(self, proxy: str, **kwargs: Any) -> Any:
            manager = super().proxy_manager_for(proxy, **kwargs)
            if not proxy.lower().startswith("socks"):  # those have connections of their own
                manager.pool_classes_by_scheme = {"http": HttpPool, "https": HttpsPool}
            return manager

    return Adapter
