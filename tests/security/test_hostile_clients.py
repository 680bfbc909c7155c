"""Clients that call too often, too slowly or without a right to: of the receiver and of the served catalogue."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_mlgov.catalog import web
from airflow_provider_mlgov.catalog.embedded import EmbeddedCatalog
from airflow_provider_mlgov.catalog.rate import Rate
from airflow_provider_mlgov.catalog.server import create_app as catalog_app
from airflow_provider_mlgov.catalog.slow import server_options
from airflow_provider_mlgov.delivery.forward import Forwarder
from airflow_provider_mlgov.delivery.outbox import Outbox
from airflow_provider_mlgov.delivery.spool import Spool
from airflow_provider_mlgov.lineage.receiver import PATH, create_app
from airflow_provider_mlgov.lineage.tokens import Token, Tokens
from asgi import Client

EVENT = {
    "eventTime": "2026-01-31T12:00:00Z",
    "eventType": "COMPLETE",
    "run": {"runId": "r1"},
    "job": {"namespace": "spark", "name": "j"},
}


class There:
    """A receiver."""

    def __init__(self, folder: Path, **options: Any) -> None:
        self.spool, self.tokens = Spool(folder / "there"), Tokens(folder / "tokens.json")
        self.token = self.tokens.add("worker")
        self.app = create_app(self.tokens, Outbox(self.spool), lambda: None, **options)

    def post(self, body: object, token: Token | None = None, path: str = PATH) -> tuple[int, dict[str, str], Any]:
        header = f"Bearer {token.token if token else 'wrong'}"
        headers = {"authorization": header, "content-type": "application/json"}
        status, answered, text = Client(self.app)("POST", path, body, headers=headers)
        return status, answered, json.loads(text)


def test_too_many_events_of_one_token(tmp_path: Path) -> None:
    there = There(tmp_path, rate=0.01)  # and so a burst of a tenth
    other = there.tokens.add("other")
    assert there.post(EVENT, there.token)[0] == 201
    status, headers, answer = there.post(EVENT, there.token)
    assert (status, answer) == (429, {"error": f"too many calls; send again after {headers['retry-after']} s"})
    assert 1 <= int(headers["retry-after"]) <= 100
    assert there.post(EVENT, other)[0] == 201, "the others go on"


def test_a_batch_counts_as_what_it_holds(tmp_path: Path) -> None:
    there = There(tmp_path, rate=1.0)
    assert there.post([EVENT] * 500, there.token, f"{PATH}/batch")[2]["summary"]["successful"] == 500
    status, headers, _ = there.post(EVENT, there.token)
    assert status == 429
    assert int(headers["retry-after"]) > 400


def test_strangers_are_slowed_down_and_do_not_hold_up_who_has_a_token(tmp_path: Path) -> None:
    there = There(tmp_path)
    found = [there.post(EVENT)[0] for _ in range(150)]
    assert found[0] == 401
    assert found.count(429) > 10
    assert Client(there.app)("GET", "/health")[0] == 429
    assert there.post(EVENT, there.token)[0] == 201


def test_the_forwarder_waits_as_long_as_it_is_told(tmp_path: Path) -> None:
    there, spool, slept = There(tmp_path, rate=20.0), Spool(tmp_path / "here"), []
    for number in range(600):
        spool.append({**EVENT, "run": {"runId": str(number)}})

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        time.sleep(seconds)

    with running(there.app) as port:
        options: Any = {"url": f"http://127.0.0.1:{port}", "token": there.token.token}
        report = Forwarder(spool, **options, sleep=lambda _: None).send(0.5)
        assert report.outcome in ("busy", "budget"), "it does not wait longer than the time of the send"
        assert report.events < 600
        (spool.root / "breaker.json").unlink(missing_ok=True)
        report = Forwarder(spool, **options, sleep=sleep).send(120)
    assert (report.outcome, report.dead) == ("done", 0), report
    assert slept
    assert len(there.spool.waiting()) == 600


def test_openlineages_own_client_waits_as_long_as_it_is_told(tmp_path: Path) -> None:
    from openlineage.client.transport.http import HttpConfig, HttpTransport

    there = There(tmp_path, rate=0.5)
    with running(there.app) as port:
        told = {"url": f"http://127.0.0.1:{port}", "auth": {"type": "api_key", "apiKey": there.token.token}}
        transport = HttpTransport(HttpConfig.from_dict(told))
        for number in range(7):  # five at once, then one in two seconds
            event = _run_event(number)
            transport.emit(event)
        transport.close()
    assert len(there.spool.waiting()) == 7


def _run_event(number: int) -> Any:
    import uuid

    from openlineage.client.event_v2 import Job, Run, RunEvent, RunState

    run = Run(str(uuid.UUID(int=number)))
    return RunEvent(
        eventTime="2026-01-31T12:00:00Z", eventType=RunState.COMPLETE, run=run, job=Job("n", "j"), producer="https://x"
    )


@contextmanager
def running(app: Any, **options: Any) -> Iterator[int]:
    """An application as our commands serve it; yields the port."""
    import uvicorn

    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, **server_options(**options)))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        assert thread.is_alive()
        time.sleep(0.01)
    try:
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        server.should_exit = True
        thread.join(20)


def closed(client: socket.socket) -> bytes:
    """What comes until the server closes the connection; `TimeoutError` if it does not."""
    client.settimeout(60)
    found = b""
    try:
        while more := client.recv(65536):
            found += more
    except ConnectionError:
        pass
    return found


@pytest.mark.parametrize(
    "sent", [b"", b"POST /api/v1/lineage HTT", b"POST /api/v1/lineage HTTP/1.1\r\nHost: 127.0.0.1\r\nX: "]
)
def test_a_head_that_never_ends(tmp_path: Path, sent: bytes) -> None:
    with (
        running(There(tmp_path).app, head_seconds=0.5) as port,
        socket.create_connection(("127.0.0.1", port)) as client,
    ):
        client.sendall(sent)
        assert closed(client) == b""


def test_a_head_that_drips(tmp_path: Path) -> None:
    with (
        running(There(tmp_path).app, head_seconds=0.5) as port,
        socket.create_connection(("127.0.0.1", port)) as client,
    ):
        client.sendall(b"POST /api/v1/lineage HTTP/1.1\r\n")
        with pytest.raises(ConnectionError):
            _drip(client)


def _drip(client: socket.socket) -> None:
    for number in range(600):
        client.sendall(b"X-%d: y\r\n" % number)
        time.sleep(0.05)


def test_a_body_that_never_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web.read_body, "__defaults__", (0.5,))
    there = There(tmp_path)
    head = (
        f"POST {PATH} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {there.token.token}\r\n"
        "Content-Type: application/json\r\nContent-Length: 1000\r\n\r\n{"
    )
    with running(there.app) as port, socket.create_connection(("127.0.0.1", port)) as client:
        client.sendall(head.encode())
        assert closed(client).startswith(b"HTTP/1.1 408")


def test_an_answer_that_nobody_takes(tmp_path: Path) -> None:
    from starlette.applications import Starlette
    from starlette.responses import StreamingResponse
    from starlette.routing import Route

    sent = 0

    async def endless() -> Any:
        nonlocal sent
        for _ in range(100_000):
            sent += 1
            yield b"x" * 65536

    async def answer(_: Any) -> Any:
        return StreamingResponse(endless())

    app = Starlette(routes=[Route("/", answer)])
    with running(app, answer_seconds=0.5) as port, socket.create_connection(("127.0.0.1", port)) as client:
        client.sendall(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        before = -1
        while sent != before:
            before = sent
            time.sleep(1)
        assert len(closed(client)) < 100_000 * 65536


def test_too_many_connections(tmp_path: Path) -> None:
    with running(There(tmp_path).app, most=5) as port:
        idle = [socket.create_connection(("127.0.0.1", port)) for _ in range(8)]
        with socket.create_connection(("127.0.0.1", port)) as client:
            client.sendall(b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
            assert closed(client).startswith(b"HTTP/1.1 503")
        for each in idle:
            each.close()


def test_the_served_catalogue(tmp_path: Path) -> None:
    catalog = EmbeddedCatalog(tmp_path / "catalog.db")
    try:
        app = Client(catalog_app(catalog, login=("ann", "pw"), rate=Rate(0.001, 30)))
        login = {"authorization": "Basic YW5uOnB3", "content-type": "application/json"}
        assert app("GET", "/api/atlas/admin/status", headers=login)[0] == 200
        deep = b"[" * 100 + b"]" * 100
        status, _, text = app("POST", "/api/atlas/v2/entity", raw=deep, headers=login)
        assert status == 500
        assert "Traceback" not in text
        found = [app("GET", "/api/atlas/admin/status")[0] for _ in range(4)]
        assert found == [401, 401, 429, 429], "wrong logins cost more than calls"
        status, headers, _ = app("GET", "/api/atlas/admin/status", headers=login)
        assert status == 429
        assert int(headers["retry-after"]) > 0
    finally:
        catalog.close()
