"""Servers that misbehave."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator

import pytest

from fake_atlas import FakeServer, Handler


@pytest.fixture
def serve() -> Iterator[Callable[..., FakeServer]]:
    servers: list[FakeServer] = []

    def start(*handlers: Handler, tls: ssl.SSLContext | None = None) -> FakeServer:
        servers.append(FakeServer(*handlers, tls=tls))
        return servers[-1]

    yield start
    for server in servers:
        server.close()
