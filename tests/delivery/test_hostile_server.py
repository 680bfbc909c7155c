"""Delivery to an Atlas that misbehaves: within the budget, nothing lost, the right kind of failure; once it is well all arrives."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest
import requests  # noqa: F401 - so that no budget pays for the import

from airflow_provider_mlgov.catalog.atlas import AtlasCatalog
from airflow_provider_mlgov.catalog.embedded import EmbeddedCatalog
from airflow_provider_mlgov.catalog.types.apply import apply
from airflow_provider_mlgov.catalog.types.definitions import our_types_digest
from airflow_provider_mlgov.delivery.draining import SendReport
from airflow_provider_mlgov.delivery.forward import Forwarder
from airflow_provider_mlgov.delivery.outbox import Outbox
from airflow_provider_mlgov.delivery.sender import Sender
from airflow_provider_mlgov.delivery.spool import Spool
from airflow_provider_mlgov.delivery.state import SenderState
from airflow_provider_mlgov.translate.options import TranslateOptions
from catalog_content import content, difference
from certificates import certificate_for
from delivery_events import dataset, task_run
from fake_atlas import FakeServer, Handler, answer
from hostile_atlas import HostileAtlas, the_write

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


def in_an_hour() -> str:
    return formatdate(time.time() + 3600, usegmt=True)


ATLAS_404 = '{"errorCode": "ATLAS-404-00-007", "errorMessage": "Invalid instance creation/updation parameters passed"}'
ATLAS_409 = '{"errorCode": "ATLAS-409-00-002", "errorMessage": "a conflict"}'
ATLAS_403 = '{"errorCode": "ATLAS-403-00-001", "errorMessage": "admin is not authorized"}'
UNUSABLE, BUSY, UNSEEN = "unavailable", "busy", "unseen"
"""`UNSEEN`: no answer was seen, so the write may have been done, and nothing may be written until it is certainly over."""

FAULTS: list[tuple[str, Handler, str]] = [
    ("hanging", hang, UNSEEN),
    ("one byte a second", drip, UNSEEN),
    ("one byte of its headers a second", drip_headers, UNSEEN),
    ("401", answer("401 Unauthorized", HTML, "text/html"), UNUSABLE),
    ("403", answer("403 Forbidden", HTML, "text/html"), UNUSABLE),
    ("403 of Atlas", answer("403 Forbidden", ATLAS_403), UNUSABLE),
    ("404", answer("404 Not Found", HTML, "text/html"), UNUSABLE),
    ("429, seconds", answer("429 Too Many Requests", "", Retry_After="3600"), BUSY),
    ("429, a date", answer("429 Too Many Requests", "", Retry_After=in_an_hour()), BUSY),
    ("500", answer("500 Server Error", "There was an error processing your request.", "text/plain"), BUSY),
    ("503", answer("503 Service Unavailable", HTML, "text/html"), BUSY),
    ("HTML", answer("200 OK", HTML, "text/html"), UNUSABLE),
    ("truncated JSON", answer("200 OK", '{"mutatedEntities": {"CREATE": ['), UNSEEN),
    ("closed at once", close(""), UNSEEN),
    ("closed in its headers", close("HTTP/1.1 200 OK\r\nContent-"), UNSEEN),
    ("closed in its answer", close('HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"entity":'), UNSEEN),
    ("a redirect", answer("302 Found", Location="http://elsewhere.test/login"), UNUSABLE),
    ("a redirect that keeps the method", answer("307 Temporary Redirect", Location="http://elsewhere.test/"), UNUSABLE),
]
SLOW = ("hanging", "one byte a second", "one byte of its headers a second")
PLACES = ("everything", "the write", "the answer to the write")


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


@pytest.fixture
def atlas_at(tmp_path: Path) -> Iterator[Callable[..., HostileAtlas]]:
    made: list[HostileAtlas] = []

    def start(**options: Any) -> HostileAtlas:
        made.append(HostileAtlas(tmp_path / "catalog.db", **options))
        return made[-1]

    yield start
    for each in made:
        each.close()


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("undisturbed")
    return whole(folder, EVENTS)


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


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize(("name", "fault", "kind"), FAULTS, ids=[name for name, _, _ in FAULTS])
def test_it_costs_one_budget_and_no_event(
    tmp_path: Path,
    atlas_at: Callable[..., HostileAtlas],
    undisturbed: Any,
    name: str,
    fault: Handler,
    kind: str,
    place: str,
) -> None:
    atlas = atlas_at()
    host = Host(tmp_path, atlas.url)
    host.put(EVENTS)
    host.knows_types()
    atlas.fault = fault
    budget = BUDGET if name in SLOW else 60.0
    if place != "everything":
        atlas.wanted, atlas.late = the_write, place == "the answer to the write"
    report = host.send(budget)
    assert report.outcome == ("unavailable" if kind == UNUSABLE else "busy"), report.reason
    assert (report.events, host.spool.counts().waiting, host.spool.counts().dead) == (0, len(EVENTS), 0)
    opening = host.opening
    assert opening is not None
    assert opening.reason == report.reason
    assert atlas.met
    met = atlas.met
    assert host.send().outcome == "open"  # the next task pays nothing
    assert atlas.met == met
    if name.startswith("429"):
        assert opening.until - opening.since > 500  # as long as it asked for, within the cap
        assert not [pause for pause in host.slept if pause > BUDGET]
    writes_unseen = kind == UNSEEN and place != "everything"
    host.slept.clear()
    heals(host, atlas, undisturbed)
    assert any(pause > 30 for pause in host.slept) == writes_unseen


@pytest.mark.parametrize("body", [ATLAS_404, ATLAS_409])
def test_an_error_of_atlas_about_one_entity_costs_only_that(
    tmp_path: Path, atlas_at: Callable[..., HostileAtlas], undisturbed: Any, body: str
) -> None:
    atlas = atlas_at()
    host = Host(tmp_path, atlas.url)
    host.put(EVENTS)
    status = "404 Not Found" if body == ATLAS_404 else "409 Conflict"
    refuse = answer(status, body)

    def fault(client: socket.socket, request: str) -> None:
        if "db.s.x.c1" in request:
            refuse(client, request)
        else:
            atlas.fault = None
            atlas._handle(client, request)
            atlas.fault = fault

    atlas.fault, atlas.wanted = fault, the_write
    report = host.send(None)
    assert (report.outcome, report.events, report.dead) == ("done", len(EVENTS), 1)
    (letter,) = host.spool.dead_letters()
    assert any("db.s.x.c1" in part for part in letter.parts)
    assert host.opening is None
    host.spool.retry()
    heals(host, atlas, undisturbed)


@pytest.mark.parametrize(
    "fault", [answer("500 Server Error", "oops", "text/plain"), answer("429 Slow Down", Retry_After="1")]
)
def test_a_poison_event_that_no_budget_of_a_task_outlives_blocks_nothing(
    tmp_path: Path, atlas_at: Callable[..., HostileAtlas], fault: Handler
) -> None:
    """The server is slow, and answers as if it were busy whenever it sees one table: the others arrive."""
    atlas = atlas_at()
    host = Host(tmp_path, atlas.url)
    host.put([*EVENTS, *task_run(task="c", seconds=20, outputs=[dataset("db.s.z", columns=30)])])

    def hostile(client: socket.socket, request: str) -> None:
        time.sleep(0.15)
        if "db.s.x.c1" in request:
            fault(client, request)
        else:
            atlas.fault = None
            atlas._handle(client, request)
            atlas.fault = hostile

    atlas.fault, atlas.wanted = hostile, the_write
    for _ in range(30):
        if host.send(3.0, despite_breaker=True).outcome in ("done", "nothing"):
            break
    assert host.spool.counts().waiting == 0
    assert any("db.s.x.c1" in part for letter in host.spool.dead_letters() for part in letter.parts)
    assert len(content(atlas.catalog)) > 40


@pytest.mark.parametrize(
    "fault",
    [
        answer("500 Server Error", "oops", "text/plain"),
        answer("414 URI Too Long", HTML, "text/html"),
        answer("403 Forbidden", ATLAS_403),
    ],
    ids=["500", "414", "403"],
)
@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_run_that_cannot_even_be_looked_up_blocks_nothing(
    tmp_path: Path, atlas_at: Callable[..., HostileAtlas], fault: Handler, place: int
) -> None:
    atlas = atlas_at()
    host = Host(tmp_path, atlas.url)
    host.knows_types()
    host.batch_size = 100  # all runs in one parcel
    names = ["a", "b", "c"]
    names[place] = "poison"
    for number, name in enumerate(names):
        host.put(task_run(task=name, dag=name, seconds=10 * number, outputs=[dataset(f"db.s.{name}")]))
    atlas.fault, atlas.wanted = fault, lambda method, path: method == "GET" and "poison" in path
    report = host.send(None)
    assert (report.outcome, report.events, report.dead) == ("done", 6, 1), report.reason
    (letter,) = host.spool.dead_letters()
    assert {event["job"]["name"] for event in letter.events} == {"poison.poison"}
    assert len(atlas.catalog.search("mlgov_task_run")) == 2
    atlas.fault = None
    host.spool.retry()
    assert host.send(None).dead == 0
    assert len(atlas.catalog.search("mlgov_task_run")) == 3


def test_an_outage_that_begins_in_the_middle_makes_no_dead_letters(
    tmp_path: Path, atlas_at: Callable[..., HostileAtlas], undisturbed: Any
) -> None:
    atlas = atlas_at()
    host = Host(tmp_path, atlas.url)
    host.knows_types()
    host.put(EVENTS)
    writes = 0

    def after_one(method: str, path: str) -> bool:
        nonlocal writes
        writes += the_write(method, path)
        return the_write(method, path) and writes > 1

    atlas.fault, atlas.wanted = answer("503 Service Unavailable", HTML, "text/html"), after_one
    report = host.send(None)
    assert (report.outcome, report.dead) == ("busy", 0), report.reason
    heals(host, atlas, undisturbed)


def test_refused(tmp_path: Path, atlas_at: Callable[..., HostileAtlas], undisturbed: Any) -> None:
    atlas = atlas_at()
    atlas.stop()
    host = Host(tmp_path, atlas.url)
    host.put(EVENTS)
    assert host.send(60.0).outcome == "unavailable"
    assert host.send(60.0).outcome == "open"
    assert host.spool.counts().waiting == len(EVENTS)
    atlas.start()
    heals(host, atlas, undisturbed)


def test_no_redirect_is_followed(tmp_path: Path, atlas_at: Callable[..., HostileAtlas], undisturbed: Any) -> None:
    elsewhere = FakeServer(answer("200 OK", "{}"))
    atlas = atlas_at()
    host = Host(tmp_path, atlas.url)
    host.put(EVENTS)
    for status in ("301 Moved", "302 Found", "307 Temporary Redirect", "308 Permanent Redirect"):
        atlas.fault = answer(status, Location=f"{elsewhere.url}/api/atlas/v2/entity/bulk")
        assert host.send(60.0, despite_breaker=True).outcome == "unavailable"
    elsewhere.close()
    assert not elsewhere.requests
    heals(host, atlas, undisturbed)


def test_a_wrong_certificate(tmp_path: Path, atlas_at: Callable[..., HostileAtlas], undisturbed: Any) -> None:
    certificate = certificate_for(tmp_path / "server.pem")
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate)
    atlas = atlas_at(tls=tls)
    host = Host(tmp_path, f"https://localhost:{atlas.port}")
    host.put(EVENTS)
    report = host.send(60.0)
    assert report.outcome == "unavailable"
    assert "certificate" in str(report.reason)
    assert not atlas.paths  # not even the login was said
    host.options["verify"] = str(certificate)
    heals(host, atlas, undisturbed)


def test_a_handshake_of_one_byte_a_second(tmp_path: Path) -> None:
    """Neither the connection's nor the reads' time-out ends it: each byte comes in time."""

    def serve(listener: socket.socket) -> None:
        client, _ = listener.accept()
        with client:
            try:
                for byte in b"\x16\x03\x03\x40\x00" + bytes(200):
                    client.sendall(bytes([byte]))
                    time.sleep(0.5)
            except OSError:
                return  # it was given up

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, args=(listener,), daemon=True)
        thread.start()
        host = Host(tmp_path, f"https://localhost:{listener.getsockname()[1]}")
        host.put(EVENTS)
        assert host.send(20.0).outcome in ("unavailable", "busy")
    thread.join(5)
    assert host.spool.counts().waiting == len(EVENTS)


def test_restarted_with_empty_data(tmp_path: Path, atlas_at: Callable[..., HostileAtlas]) -> None:
    """Types and entities are gone, though the sender remembers them: what comes then arrives as in a new catalogue."""
    atlas = atlas_at()
    host = Host(tmp_path, atlas.url)
    host.put(EVENTS[:2])
    assert host.send(None).outcome == "done"
    atlas.restart(tmp_path / "empty.db")
    host.put(EVENTS[2:])
    report = host.send(None)
    assert (report.outcome, report.dead) == ("done", 0), report.reason
    (tmp_path / "other").mkdir()
    assert not difference(content(atlas.catalog), whole(tmp_path / "other", EVENTS[2:]))


def test_restarted_with_empty_data_in_the_middle_of_a_run(
    tmp_path: Path, atlas_at: Callable[..., HostileAtlas]
) -> None:
    atlas = atlas_at()
    host = Host(tmp_path, atlas.url)
    host.put(EVENTS[:1])
    assert host.send(None).outcome == "done"
    atlas.restart(tmp_path / "empty.db")
    host.put(EVENTS[1:2])
    report = host.send(None)
    assert (report.outcome, report.dead) == ("done", 0), report.reason
    (tmp_path / "other").mkdir()
    assert not difference(content(atlas.catalog), whole(tmp_path / "other", EVENTS[:2]))


def test_no_cookie_is_sent_back(tmp_path: Path, atlas_at: Callable[..., HostileAtlas]) -> None:
    atlas = atlas_at()
    host = Host(tmp_path, atlas.url)
    host.put(EVENTS)
    atlas.fault = answer("503 Service Unavailable", Set_Cookie="ATLASSESSIONID=abc; Path=/")
    host.send(60.0)
    assert atlas.met > 1
    assert not [request for request in atlas.server.requests if "cookie:" in request.lower()]


class Receiver:
    """What takes the events of another host, and misbehaves."""

    def __init__(self, *handlers: Handler) -> None:
        self.server = FakeServer(*handlers)

    def forward(self, spool: Spool, budget: float) -> tuple[SendReport, Forwarder]:
        forwarder = Forwarder(spool, self.server.url, "token")
        began = time.monotonic()
        report = forwarder.send(budget, despite_breaker=True)
        assert time.monotonic() - began < budget + SLACK
        return report, forwarder


@pytest.mark.parametrize("fault", [hang, drip, drip_headers])
def test_a_slow_receiver_costs_one_budget(tmp_path: Path, fault: Handler) -> None:
    spool = Spool(tmp_path / "spool")
    for event in EVENTS:
        Outbox(spool).put(event)
    receiver = Receiver(fault)
    report, forwarder = receiver.forward(spool, BUDGET)
    receiver.server.close()
    assert report.outcome in ("busy", "unavailable")
    assert forwarder.breaker.opening() is not None
    assert spool.counts().waiting == len(EVENTS)


def test_a_receiver_that_wants_to_be_left_alone_is_and_gets_no_cookie(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool")
    for event in EVENTS:
        Outbox(spool).put(event)
    receiver = Receiver(answer("503 Unavailable", "{}", Retry_After="600", Set_Cookie="session=abc; Path=/"))
    for _ in range(2):
        report, forwarder = receiver.forward(spool, 60.0)
        assert report.outcome == "busy"
    receiver.server.close()
    opening = forwarder.breaker.opening()
    assert opening is not None
    assert opening.until - time.time() > 500
    assert len(receiver.server.requests) == 2
    assert not [request for request in receiver.server.requests if "cookie:" in request.lower()]
