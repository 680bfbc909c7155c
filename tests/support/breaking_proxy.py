"""A TCP proxy in front of a server that the test cuts, lets hang and restores: to its clients the server goes and comes back."""

from __future__ import annotations

import contextlib
import select
import socket
import threading
from typing import Literal

Mode = Literal["pass", "refuse", "hang", "cut"]


class BreakingProxy:
    """``pass``: bytes go both ways. ``refuse``: nobody listens. ``hang``: calls are taken and nothing is answered.
    ``cut``: a call reaches the server, and the connection breaks before its answer arrives."""

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._listener: socket.socket | None = None
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._mode: Mode = "pass"
        self.calls: dict[Mode, int] = {"pass": 0, "refuse": 0, "hang": 0, "cut": 0}
        """Connections taken, by what the proxy did then."""
        self.port = self._listen(0)

    def become(self, mode: Mode) -> None:
        """From now on do this; connections that are open break, as when a server dies."""
        with self._lock:
            self._mode = mode
            broken, self._open = self._open, set()
        for each in broken:
            _end(each)
        if mode == "refuse" and self._listener is not None:
            _end(self._listener)
            self._listener = None
        elif mode != "refuse" and self._listener is None:
            self._listen(self.port)

    def close(self) -> None:
        """Stop."""
        self.become("refuse")

    def _listen(self, port: int) -> int:
        listener = socket.create_server(("127.0.0.1", port))
        self._listener = listener
        threading.Thread(target=self._accept, args=(listener,), daemon=True).start()
        found: int = listener.getsockname()[1]
        return found

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            with self._lock:
                mode = self._mode
                self.calls[mode] += 1
                self._open.add(client)
            if mode != "hang":
                threading.Thread(target=self._carry, args=(client, mode), daemon=True).start()

    def _carry(self, client: socket.socket, mode: Mode) -> None:
        with contextlib.suppress(OSError, ValueError), socket.create_connection(self._target) as server:
            with self._lock:
                self._open.add(server)
            while True:
                ready, _, _ = select.select([client, server], [], [])
                if mode == "cut" and server in ready:
                    break
                data = [(each, each.recv(65536)) for each in ready]
                if not all(some for _, some in data):
                    break
                for each, some in data:
                    (server if each is client else client).sendall(some)
        _end(client)


def _end(each: socket.socket) -> None:
    with contextlib.suppress(OSError):
        each.shutdown(socket.SHUT_RDWR)
    each.close()
