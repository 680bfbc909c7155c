"""Delivery to an Atlas that misbehaves: within the budget, nothing lost, the right kind of failure; once it is well all arrives."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Callable
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest

from catalog_content import content, difference
from certificates import certificate_for
from fake_atlas import FakeServer, Handler, answer
from hostile_atlas import HostileAtlas, the_write
from hostile_hosts import ATLAS_403, BUDGET, EVENTS, HTML, Host, close, drip, drip_headers, hang, heals, whole


def in_an_hour() -> str:
    return formatdate(time.time() + 3600, usegmt=True)


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
    # From what stands before Atlas, which may be at work on the call still.
    ("502", answer("502 Bad Gateway", HTML, "text/html"), UNSEEN),
    ("503", answer("503 Service Unavailable", HTML, "text/html"), UNSEEN),
    ("503, seconds", answer("503 Service Unavailable", HTML, "text/html", Retry_After="1"), BUSY),
    ("504", answer("504 Gateway Timeout", HTML, "text/html"), UNSEEN),
    ("HTML", answer("200 OK", HTML, "text/html"), UNUSABLE),
    *(
        (f"200 {body}", answer("200 OK", body), UNUSABLE)
        for body in (
            "{}",
            "null",
            "[]",
            '{"status": "maintenance"}',
            '{"error": "login required"}',
            '{"code": 401, "message": "Unauthorized"}',
            '{"entities": [{}]}',
            '{"mutatedEntities": {}}',
        )
    ),
    ("200, nested deep", answer("200 OK", "[" * 100_000), UNUSABLE),
    ("404 with a code of another's", answer("404 Not Found", '{"errorCode": "NOT_FOUND"}'), UNUSABLE),
    ("400 with a code of another's", answer("400 Bad Request", '{"errorCode": "INVALID_SESSION"}'), UNUSABLE),
    ("truncated JSON", answer("200 OK", '{"mutatedEntities": {"CREATE": ['), UNSEEN),
    ("closed at once", close(""), UNSEEN),
    ("closed in its headers", close("HTTP/1.1 200 OK\r\nContent-"), UNSEEN),
    ("closed in its answer", close('HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"entity":'), UNSEEN),
    ("a redirect", answer("302 Found", Location="http://elsewhere.test/login"), UNUSABLE),
    ("a redirect that keeps the method", answer("307 Temporary Redirect", Location="http://elsewhere.test/"), UNUSABLE),
]
SLOW = ("hanging", "one byte a second", "one byte of its headers a second")
PLACES = ("everything", "the write", "the answer to the write")


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


def test_a_write_that_a_gateway_gave_up_on_is_not_made_again_at_once(
    tmp_path: Path, atlas_at: Callable[..., HostileAtlas], undisturbed: Any
) -> None:
    """Atlas may be at work on it: two that create one name at once make twins."""
    atlas = atlas_at()
    host = Host(tmp_path, atlas.url)
    host.knows_types()
    host.put(EVENTS)
    atlas.fault, atlas.wanted = answer("504 Gateway Timeout", HTML, "text/html"), the_write
    assert host.send(None).outcome == "busy"
    assert (atlas.met, host.slept) == (1, [])
    heals(host, atlas, undisturbed)
    assert max(host.slept) > 30


def test_a_look_up_that_a_gateway_gave_up_on_is_made_again_at_once(
    tmp_path: Path, atlas_at: Callable[..., HostileAtlas]
) -> None:
    atlas = atlas_at()
    host = Host(tmp_path, atlas.url)
    host.knows_types()
    host.put(EVENTS)

    def once(method: str, path: str) -> bool:
        return method == "GET" and not atlas.met

    atlas.fault, atlas.wanted = answer("504 Gateway Timeout", HTML, "text/html"), once
    assert host.send(None).outcome == "done"
    assert (atlas.met, max(host.slept) < 30) == (1, True)


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


@pytest.mark.long
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
