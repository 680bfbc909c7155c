"""Hosts whose events go to a hostile Atlas, what is hostile about it, and what must be true once it is well again."""

from __future__ import annotations

import socket
import time
from pathlib import Path
from typing import Any

import requests  # noqa: F401 - so that no budget pays for the import

from airflow_provider_mlgov.catalog.atlas import AtlasCatalog
from airflow_provider_mlgov.catalog.embedded import EmbeddedCatalog
from airflow_provider_mlgov.catalog.types.apply import apply
from airflow_provider_mlgov.catalog.types.definitions import our_types_digest
from airflow_provider_mlgov.delivery.draining import SendReport
from airflow_provider_mlgov.delivery.outbox import Outbox
from airflow_provider_mlgov.delivery.sender import Sender
from airflow_provider_mlgov.delivery.spool import Spool
from airflow_provider_mlgov.delivery.state import SenderState
from airflow_provider_mlgov.translate.options import TranslateOptions
from catalog_content import content, difference
from delivery_events import dataset, task_run
from fake_atlas import Handler
from hostile_atlas import HostileAtlas

OPTIONS = TranslateOptions(airflow_namespace="test")
EVENTS = [
    *task_run(task="a", inputs=[dataset("db.s.in", columns=2)], outputs=[dataset("db.s.x", columns=2)]),
    *task_run(task="b", seconds=8, inputs=[dataset("db.s.x")], outputs=[dataset("db.s.y")]),
]
BUDGET = 3.0
"""Of the sends that a slow fault is to use up; the others have a great deal of time."""
SLACK = 8.0
"""Seconds that a slow machine may add. Without the budget each of the slow faults takes half a minute."""
HTML = "<html><head><title>Sign in</title></head><body>…</body></html>"
ATLAS_404 = '{"errorCode": "ATLAS-404-00-007", "errorMessage": "Invalid instance creation/updation parameters passed"}'
ATLAS_409 = '{"errorCode": "ATLAS-409-00-002", "errorMessage": "a conflict"}'
ATLAS_403 = '{"errorCode": "ATLAS-403-00-001", "errorMessage": "admin is not authorized"}'


def hang(client: socket.socket, _: str) -> None:
    client.recv(1)  # until the other side gives up


def drip(client: socket.socket, _: str) -> None:
    client.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n")
    for _ in range(60):
        client.sendall(b" ")
        time.sleep(0.5)


def drip_headers(client: socket.socket, _: str) -> None:
    client.sendall(b"HTTP/1.1 200 OK\r\nX-Slow: ")
    for _ in range(60):
        client.sendall(b"x")
        time.sleep(0.5)


def close(said: str) -> Handler:
    def handler(client: socket.socket, _: str) -> None:
        client.sendall(said.encode())
        client.shutdown(socket.SHUT_RDWR)

    return handler


class Host:
    """A host whose events go to a hostile Atlas."""

    def __init__(self, folder: Path, url: str) -> None:
        self.spool = Spool(folder / "spool")
        self.url = url
        self.options: dict[str, Any] = {}
        self.slept: list[float] = []
        self.batch_size = 15

    def knows_types(self) -> None:
        """The types were applied by an earlier send: that alone takes a slow machine longer than the budget."""
        apply(EmbeddedCatalog(self.spool.root.parent / "catalog.db"))
        self.spool.prepare()
        state = SenderState(self.spool.root / "sender.db")
        state.set_fact(self.url, "types", our_types_digest())
        state.close()

    def put(self, events: list[dict[str, Any]]) -> None:
        for event in events:
            Outbox(self.spool).put(event)

    def send(self, budget: float | None = BUDGET, **more: Any) -> SendReport:
        catalog = AtlasCatalog(self.url, ("admin", "secret"), **self.options)
        sender = Sender(self.spool, lambda: catalog, OPTIONS, batch_size=self.batch_size, sleep=self._sleep)
        began = time.monotonic()
        report = sender.send(budget, **more)
        assert budget is None or time.monotonic() - began < budget + SLACK
        return report

    def _sleep(self, seconds: float) -> None:
        self.slept.append(seconds)

    @property
    def opening(self) -> Any:
        return Sender(self.spool, dict, OPTIONS).breaker.opening()


def whole(folder: Path, events: list[dict[str, Any]]) -> Any:
    """What a catalogue holds that had these events and no trouble."""
    catalog = EmbeddedCatalog(folder / "catalog.db")
    for event in events:
        Outbox(Spool(folder / "spool")).put(event)
    assert Sender(Spool(folder / "spool"), lambda: catalog, OPTIONS).send().outcome == "done"
    found = content(catalog)
    catalog.close()
    return found


def heals(host: Host, atlas: HostileAtlas, undisturbed: Any) -> None:
    """All arrives when the server works, and nothing of what was sent before makes a difference."""
    atlas.fault = None
    report = host.send(None, despite_breaker=True)
    assert report.outcome == "done", report.reason
    assert host.opening is None
    counts = host.spool.counts()
    assert (counts.waiting, counts.dead, counts.odd) == (0, 0, 0)
    assert not difference(content(atlas.catalog), undisturbed)
