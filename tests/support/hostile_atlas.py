"""An Atlas that misbehaves as it is told, and works in between: the served embedded catalogue behind a server of the tests."""

from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

from airflow_provider_mlgov.catalog.embedded import EmbeddedCatalog
from airflow_provider_mlgov.catalog.server import create_app
from asgi import Client
from fake_atlas import FakeServer, Handler, answer

Wanted = Callable[[str, str], bool]
"""Whether a request of this method and path meets the fault."""


def everything(method: str, path: str) -> bool:
    return True


def the_write(method: str, path: str) -> bool:
    return method == "POST" and path.startswith("/api/atlas/v2/entity/bulk")


class HostileAtlas:
    """``fault`` answers the requests that are ``wanted``; ``late``: after the call was done, so that only its answer is lost."""

    def __init__(self, path: Path, **options: Any) -> None:
        self.catalog = EmbeddedCatalog(path)
        self.fault: Handler | None = None
        self.wanted: Wanted = everything
        self.late = False
        self.met = 0
        """How many requests met the fault."""
        self.paths: list[str] = []
        self._options = options
        self.server = FakeServer(self._handle, **options)
        self.port = self.server.port

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def restart(self, path: Path) -> None:
        """With other data."""
        self.catalog.close()
        self.catalog = EmbeddedCatalog(path)

    def stop(self) -> None:
        """Nobody listens any more."""
        self.server.close()

    def start(self, **options: Any) -> None:
        """Listen again, on the same port."""
        self.server = FakeServer(self._handle, port=self.port, **options)

    def close(self) -> None:
        self.server.close()
        self.catalog.close()

    def handle_well(self, client: socket.socket, request: str) -> None:
        """Answer as Atlas would: for a fault that befalls only some calls."""
        fault, self.fault = self.fault, None
        self._handle(client, request)
        self.fault = fault

    def _handle(self, client: socket.socket, request: str) -> None:
        head, _, body = request.partition("\r\n\r\n")
        first, *lines = head.split("\r\n")
        method, path, _ = first.split(" ")
        self.paths.append(f"{method} {path}")
        hostile = self.fault is not None and self.wanted(method, path)
        self.met += hostile
        if self.fault is not None and hostile and not self.late:
            self.fault(client, request)
            return
        if path.endswith("/admin/session"):  # the embedded catalogue has no users
            answer("200 OK", '{"userName": "admin", "atlas.entity.create.allowed": false}')(client, request)
            return
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
        status, answered, content = Client(create_app(self.catalog))(
            method,
            path,
            raw=body.encode(),
            headers={"content-type": headers.get("content-type", ""), "x-xsrf-header": "valid"},
        )
        if self.fault is not None and hostile:
            self.fault(client, request)
            return
        encoded = content.encode()
        client.sendall(
            f"HTTP/1.1 {status} OK\r\nContent-Type: {answered.get('content-type', '')}\r\n"
            f"Content-Length: {len(encoded)}\r\n\r\n".encode()
            + encoded
        )
