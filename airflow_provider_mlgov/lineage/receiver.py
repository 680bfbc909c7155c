"""The OpenLineage endpoint: ``POST /api/v1/lineage``, for Spark, dbt, Flink and whoever else speaks OpenLineage over HTTP.

It only appends to the spool, and answers when the event is on disk. Who sends needs a token: see
`airflow_provider_mlgov.lineage.tokens`.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from airflow_provider_mlgov.catalog.rate import Rate, address_of
from airflow_provider_mlgov.catalog.web import (
    DEPTH_LIMIT,
    OBJECTS_LIMIT,
    has_many_objects,
    host_name,
    is_deep,
    read_body,
    unzipped,
)
from airflow_provider_mlgov.errors import ConfigurationError, InvalidEventError, MlgovError, SpoolError
from airflow_provider_mlgov.lineage.tokens import Token, Tokens
from airflow_provider_mlgov.masking import trace_of
from airflow_provider_mlgov.translate.reading import read_event

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response

    from airflow_provider_mlgov.delivery.outbox import Outbox

log = logging.getLogger(__name__)

Json = dict[str, Any]

PATH = "/api/v1/lineage"
BODY_LIMIT = 16 * 2**20
"""Bytes of a body, as it comes and unpacked."""
EVENTS_LIMIT = 1_000
"""Events of one batch."""
EVENTS_A_SECOND = 2_000.0
"""Events that one token may send, in the long run; ten times that at once."""
_STRANGERS = 10.0
"""Calls a second without a valid token, from one address; ten times that at once."""


def create_app(
    tokens: Tokens,
    outbox: Outbox,
    kept: Callable[[], None],
    *,
    hosts: tuple[str, ...] | None = None,
    rate: float = EVENTS_A_SECOND,
) -> Starlette:
    """The ASGI application. ``kept`` is called after events were kept; ``hosts`` are the only names it answers to, if given.

    ``rate`` is how many events a second one token may send.
    """
    try:
        from starlette.applications import Starlette
        from starlette.concurrency import run_in_threadpool
        from starlette.responses import JSONResponse
        from starlette.routing import Route
    except ImportError as error:
        raise ConfigurationError(
            "receiving needs Starlette and uvicorn: pip install 'airflow-provider-mlgov[server]'"
        ) from error
    receiver = _Receiver(tokens, outbox, kept, rate)

    async def lineage(request: Request) -> Response:
        status, answer = receiver.refusal(request, hosts)
        token, wait = None, 0
        if status == 200:
            header = request.headers.get("authorization", "")
            status, answer, token, wait = await run_in_threadpool(receiver.login, header, address_of(request.scope))
        if token is None:
            return JSONResponse(answer, status, _headers(status, wait))
        try:
            raw = await read_body(request, BODY_LIMIT)
        except asyncio.TimeoutError:
            return JSONResponse({"error": "the body took too long"}, 408, {"Connection": "close"})
        batch = request.url.path.rstrip("/").endswith("/batch")
        encoding = request.headers.get("content-encoding", "")
        status, answer = await run_in_threadpool(receiver.receive, raw, encoding, token, batch=batch)
        return JSONResponse(answer, status, _headers(status))

    async def health(request: Request) -> Response:
        wait = receiver.strangers.wait(address_of(request.scope))
        if wait:
            return JSONResponse({"error": "too many calls"}, 429, _headers(429, wait))
        return JSONResponse({"status": "ready"})

    async def failed(request: Request, error: Exception) -> Response:
        log.error("%s %s failed:\n%s", request.method, request.url.path, trace_of(error))
        return JSONResponse({"error": "the receiver failed; its log says why"}, 500)

    routes = [Route(path + slash, lineage, methods=["POST"]) for path in (PATH, f"{PATH}/batch") for slash in ("", "/")]
    return Starlette(routes=[*routes, Route("/health", health)], exception_handlers={Exception: failed})


def _headers(status: int, wait: int = 10) -> dict[str, str]:
    if status in (429, 503):
        return {"Retry-After": str(wait)}
    return {"WWW-Authenticate": "Bearer"} if status == 401 else {}


class _Receiver:
    def __init__(self, tokens: Tokens, outbox: Outbox, kept: Callable[[], None], rate: float) -> None:
        self.strangers = Rate(_STRANGERS, 10 * _STRANGERS)
        self._events = Rate(rate, 10 * rate)
        self._tokens = tokens
        self._outbox = outbox
        self._kept = kept
        self._complaint = ""

    def refusal(self, request: Request, hosts: tuple[str, ...] | None) -> tuple[int, Json]:
        """What is wrong with a call before its body is read; 200 if nothing is."""
        if hosts is not None and host_name(request.headers.get("host", "")) not in hosts:
            return 421, {"error": "this server answers only to its own name"}
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind != "application/json":
            return 415, {"error": f"the content type is {kind[:100] or 'not said'}; wanted application/json"}
        return 200, {}

    def login(self, header: str, address: str) -> tuple[int, Json, Token | None, int]:
        """Who calls, and how many seconds it has to wait. Strangers share no bucket with who has a token."""
        try:
            token = self._tokens.find(header)
        except ConfigurationError as error:
            if str(error) != self._complaint:
                log.error("Nobody is let in: %s", error)
            self._complaint = str(error)
            return 503, {"error": "the receiver's tokens cannot be read; its log says why"}, None, 10
        self._complaint = ""
        wait = self.strangers.wait(address) if token is None else self._events.wait(token.name)
        if wait:
            return 429, {"error": f"too many calls; send again after {wait} s"}, None, wait
        if token is None:
            return 401, {"error": "no token, or a wrong one; wanted Authorization: Bearer TOKEN"}, None, 0
        return 200, {}, token, 0

    def receive(self, raw: bytes | None, encoding: str, token: Token, *, batch: bool) -> tuple[int, Json]:
        """Keep what a body holds, and say what became of it."""
        if encoding.lower() == "gzip" and raw is not None:
            try:
                raw = unzipped(raw, BODY_LIMIT)
            except ValueError as error:
                return 400, {"error": f"the body is no gzip: {error}"}
        elif encoding.lower() not in ("", "identity", "gzip"):
            return 415, {"error": f"the content encoding is {encoding[:100]}; wanted gzip or none"}
        if raw is None:
            return 413, {"error": f"the body has more than {BODY_LIMIT} bytes", "mlgov_limit": BODY_LIMIT}
        if has_many_objects(raw):
            return 413, {
                "error": f"the body has more than {OBJECTS_LIMIT} objects and lists; send fewer events at once",
                "mlgov_limit": OBJECTS_LIMIT,
            }
        try:
            body = json.loads(raw)
        except (ValueError, RecursionError) as error:
            return 400, {"error": f"the body is no JSON: {error}"[:500]}
        if not batch and not isinstance(body, list):
            return self._single(body, token)
        if not isinstance(body, list):
            return 400, {"error": "the batch is no list; wanted a JSON list of events"}
        if len(body) > EVENTS_LIMIT:
            return 413, {
                "error": f"the batch has {len(body)} events; wanted at most {EVENTS_LIMIT}",
                "mlgov_limit": EVENTS_LIMIT,
            }
        self._events.wait(token.name, len(body) - 1)  # the call itself has cost one
        return self._batch(body, token)

    def _single(self, event: object, token: Token) -> tuple[int, Json]:
        try:
            status, reason = self._keep(event, token)
        except SpoolError as error:
            return self._unkept(error)
        if reason is not None:
            return status, {"error": reason}
        self._kept()
        return 201, {"status": "success"}

    def _batch(self, events: list[Any], token: Token) -> tuple[int, Json]:
        failed: list[Json] = []
        for index, event in enumerate(events):
            try:
                status, reason = self._keep(event, token)
            except SpoolError as error:
                if index == 0:
                    return self._unkept(error)
                failed += [
                    {"index": late, "reason": "the spool cannot be written", "retriable": True}
                    for late in range(index, len(events))
                ]
                break
            if reason is not None:
                failed.append({"index": index, "reason": reason, "retriable": False, "status": status})
        if len(failed) < len(events):
            self._kept()
        retriable = sum(item["retriable"] for item in failed)
        return 200, {
            "status": "partial_success" if failed else "success",
            "summary": {
                "received": len(events),
                "successful": len(events) - len(failed),
                "failed": len(failed),
                "retriable": retriable,
                "non_retriable": len(failed) - retriable,
            },
            "failed_events": failed,
        }

    def _keep(self, document: object, token: Token) -> tuple[int, str | None]:
        """Keep one event; the status and the reason where it is refused."""
        if is_deep(document):
            return 400, f"the event is nested more than {DEPTH_LIMIT} levels deep"
        try:
            event = read_event(document)
        except InvalidEventError as error:
            return 422, str(error)
        reason = token.refusal(event)
        if reason is not None:
            return 403, reason
        try:
            self._outbox.put(event, foreign=not token.airflow)
        except SpoolError:
            raise
        except MlgovError as error:
            return 422, str(error)
        return 201, None

    @staticmethod
    def _unkept(error: SpoolError) -> tuple[int, Json]:
        log.error("Events cannot be kept: %s", error)
        return 503, {"error": "the event could not be written to disk; send it again later"}
