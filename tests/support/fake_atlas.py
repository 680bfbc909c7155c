"""A server that answers as it is told, and calls to it."""

from __future__ import annotations

import socket
import ssl
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from airflow_provider_mlgov.catalog.atlas import AtlasCatalog
from airflow_provider_mlgov.errors import CatalogError

Handler = Callable[[socket.socket, str], None]
SECRET = "pass-word-Ü"


class FakeServer:
    """Answers each request on its port with the next of its handlers, and with the last one ever after."""

    def __init__(self, *handlers: Handler, tls: ssl.SSLContext | None = None, port: int = 0) -> None:
        self.requests: list[str] = []
        self.connections = 0
        self._handlers = list(handlers)
        self._tls = tls
        self._listener = socket.create_server(("127.0.0.1", port))
        self._open: list[socket.socket] = []
        self._closing = False
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def port(self) -> int:
        return int(self._listener.getsockname()[1])

    def close(self) -> None:
        self._closing = True
        socket.create_connection(self._listener.getsockname()).close()
        self._thread.join()
        self._listener.close()
        for each in self._open:
            each.close()

    def _accept(self) -> None:
        while not self._closing:
            client, _ = self._listener.accept()
            self._open.append(client)
            self.connections += not self._closing
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        try:
            if self._tls is not None:
                client = self._tls.wrap_socket(client, server_side=True)
                self._open.append(client)
            while request := _read_request(client):
                self.requests.append(request)
                handler = self._handlers.pop(0) if len(self._handlers) > 1 else self._handlers[0]
                handler(client, request)
        except OSError:
            pass  # the other side has gone
        client.close()


def _read_request(client: socket.socket) -> str:
    data = b""
    while b"\r\n\r\n" not in data:
        more = client.recv(65536)
        if not more:
            return ""
        data += more
    head, _, body = data.partition(b"\r\n\r\n")
    length = next((int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")), 0)
    while len(body) < length:
        body += client.recv(65536)
    return (head + b"\r\n\r\n" + body).decode(errors="replace")  # a body may be compressed


def answer(status: str, body: str = "", content_type: str = "application/json", **headers: str) -> Handler:
    lines = [f"HTTP/1.1 {status}", f"Content-Type: {content_type}", f"Content-Length: {len(body.encode())}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return lambda client, _: client.sendall(("\r\n".join(lines) + "\r\n\r\n" + body).encode())


ENTITY = answer(
    "200 OK", '{"entity": {"guid": "1", "typeName": "t", "attributes": {}}}', Set_Cookie="ATLASSESSIONID=abc"
)


def drip(client: socket.socket, _: str) -> None:
    client.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
    for _ in range(50):
        client.sendall(b" ")
        time.sleep(0.1)


def packed(status: str, body: bytes, coding: str = "gzip") -> Handler:
    """An answer whose body is packed already, or said to be."""
    head = (
        f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Encoding: {coding}\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return lambda client, _: client.sendall(head.encode() + body)


def bomb(megabytes: int) -> bytes:
    """So many megabytes of spaces, a thousandth as large."""
    packer = zlib.compressobj(9, wbits=31)
    pieces = [packer.compress(b" " * 2**20) for _ in range(megabytes)]
    return b"".join([*pieces, packer.flush()])


@contextmanager
def opened(server: FakeServer | str, path: str = "", **options: object) -> Iterator[AtlasCatalog]:
    url = server if isinstance(server, str) else server.url
    catalog = AtlasCatalog(url + path, **{"auth": ("user", SECRET), "timeout": (1.0, 1.0), **options})  # type: ignore[arg-type]
    try:
        yield catalog
    finally:
        catalog.close()


def failure(server: FakeServer | str, **options: object) -> CatalogError:
    with opened(server, **options) as catalog, pytest.raises(CatalogError) as caught:
        catalog.get("hive_table", "a.b@c")
    text = str(caught.value)
    assert SECRET not in text
    assert "\n" not in text
    assert catalog.identity in text
    return caught.value
