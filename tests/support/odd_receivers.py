"""Receivers that answer whatever a test wants, and events for them."""

from __future__ import annotations

import gzip
import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from airflow_provider_mlgov.delivery.spool import Spool

Answer = Callable[[list[Any]], tuple[Any, ...]]
"""From the events of a call to its status, its body (an object, or bytes) and headers; a status of 0 cuts the call off."""


def event(number: int, size: int = 0) -> dict[str, Any]:
    return {
        "eventType": "COMPLETE",
        "eventTime": "2026-11-23T10:00:00Z",
        "run": {"runId": str(number), "facets": {}},
        "job": {"namespace": "n", "name": "j", "facets": {"documentation": {"description": "x" * size}}},
        "inputs": [],
        "outputs": [],
    }


def runs(spool: Spool) -> list[str]:
    return [found["run"]["runId"] for path in spool.waiting() if (found := spool.read(path))]


def whole(events: list[Any]) -> dict[str, Any]:
    return {"summary": {"received": len(events), "failed": 0}, "failed_events": []}


def refused(events: list[Any], **item: Any) -> dict[str, Any]:
    return {"summary": {"received": len(events), "failed": 1}, "failed_events": [{"index": 0, "reason": "r", **item}]}


def filled(tmp_path: Path) -> Spool:
    spool = Spool(tmp_path)
    for number in range(3):
        spool.append(event(number))
    return spool


def poisoned(status: int, said: Any, poison: set[int], calls: list[int]) -> Answer:
    """Takes everything but calls with one of these events."""

    def answer(events: list[Any]) -> tuple[Any, ...]:
        calls.append(len(events))
        return (status, said) if poison & {int(event["run"]["runId"]) for event in events} else (200, whole(events))

    return answer


def serve(answer: Answer) -> ThreadingHTTPServer:
    """A server of this process that answers so; whoever starts it shuts it down."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = gzip.decompress(self.rfile.read(int(self.headers["Content-Length"])))
            status, said, *headers = answer(json.loads(body))
            if not status:
                self.connection.close()
                return
            content = said if isinstance(said, bytes) else json.dumps(said).encode()
            self.send_response(status)
            for name, value in headers:
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: Any) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server
