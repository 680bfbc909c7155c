"""A TCP proxy in front of a Kafka broker, which can be taken away and brought back.

A client asks the first broker where the brokers are, and goes there: so the answers are changed to name the proxy.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import threading


class KafkaProxy:
    """Listens on a port of its own for the broker at ``server``."""

    def __init__(self, server: str) -> None:
        self._host, _, port = server.partition(":")
        self._port = int(port)
        self._listener: socket.socket | None = None
        self._open: list[socket.socket] = []
        self.port = 0
        self.start()

    @property
    def server(self) -> str:
        return f"{self._host}:{self.port}"

    def start(self) -> None:
        """Let clients through, on the same port as before."""
        self._listener = socket.create_server(("127.0.0.1", self.port))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def stop(self) -> None:
        """Refuse and cut all connections."""
        if self._listener is not None:
            self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
            self._listener = None
        for each in self._open:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()
        self._open.clear()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
                broker = socket.create_connection((self._host, self._port))
            except OSError:
                return
            self._open += [client, broker]
            threading.Thread(target=self._copy, args=(client, broker), daemon=True).start()
            threading.Thread(target=self._copy_answers, args=(broker, client), daemon=True).start()

    def _copy(self, source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                target.sendall(data)

    def _copy_answers(self, broker: socket.socket, client: socket.socket) -> None:
        host = self._host.encode()
        real, ours = (host + struct.pack(">i", port) for port in (self._port, self.port))
        with contextlib.suppress(OSError, EOFError):
            while True:
                head = _exactly(broker, 4)
                answer = _exactly(broker, struct.unpack(">i", head)[0])
                client.sendall(head + answer.replace(real, ours))


def _exactly(source: socket.socket, size: int) -> bytes:
    parts = bytearray()
    while len(parts) < size:
        data = source.recv(size - len(parts))
        if not data:
            raise EOFError
        parts += data
    return bytes(parts)
