"""The embedded catalogue as an Atlas v2 server, so that pyapacheatlas and other Atlas clients can use it.

Statuses and bodies are Atlas's: errors of its own as JSON, everything else it does not understand as a plain-text 500.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hmac
import json
import logging
import math
import secrets
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from airflow_provider_mlgov.catalog.embedded import rest_entities, rest_graph, rest_types
from airflow_provider_mlgov.catalog.embedded.faults import message
from airflow_provider_mlgov.catalog.embedded.rest import NO_CONTENT, Call, Handler, MalformedCallError
from airflow_provider_mlgov.catalog.rate import Rate, address_of
from airflow_provider_mlgov.catalog.slow import server_options
from airflow_provider_mlgov.catalog.web import LOOPBACK, has_many_objects, host_name, is_deep, is_loopback, read_body
from airflow_provider_mlgov.errors import CatalogError, CatalogRefusedError, ConfigurationError
from airflow_provider_mlgov.masking import shown, trace_of

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response

    from airflow_provider_mlgov.catalog.embedded import EmbeddedCatalog

log = logging.getLogger(__name__)

BODY_LIMIT = 32 * 2**20
"""Bytes of a body that are read."""
_CALLS = 200.0
"""Calls a second of one address, in the long run; ten times that at once. A wrong login costs as much as twenty calls."""
_WRONG_LOGIN = 20.0
_ROOT = "/api/atlas"
_JSON = "application/json; charset=UTF-8"
_UNAUTHORIZED = "<html><head><title>Error 401</title></head><body><h2>HTTP ERROR 401 Unauthorized</h2></body></html>"

Login = tuple[str, str]
"""User and password."""


def create_app(
    catalog: EmbeddedCatalog,
    *,
    login: Login | None = None,
    hosts: tuple[str, ...] | None = None,
    body_limit: int = BODY_LIMIT,
    rate: Rate | None = None,
) -> Starlette:
    """The ASGI application that serves ``catalog``.

    ``login`` is asked for if given. ``hosts``, if given, are the only names a caller may use for this server: it keeps web pages
    from reaching a server on localhost by a name of their own. ``rate`` bounds the calls of one address.
    """
    try:
        from starlette.applications import Starlette
        from starlette.middleware import Middleware
        from starlette.routing import Route
    except ImportError as error:
        raise ConfigurationError(
            "serving the catalogue needs Starlette and uvicorn: pip install 'airflow-provider-mlgov[server]'"
        ) from error

    by_path: dict[str, dict[str, Handler]] = {}
    for method, path, handler in (*rest_types.routes(), *rest_entities.routes(), *rest_graph.routes()):
        by_path.setdefault(_ROOT + path, {})[method] = handler
    routes = [
        Route(path + slash, _endpoint(catalog, handlers, body_limit), methods=list(handlers))
        for path, handlers in by_path.items()
        for slash in ("", "/")
    ]
    return Starlette(
        routes=routes,
        middleware=[Middleware(_Guard, login=login, hosts=hosts, rate=rate)],
        exception_handlers={404: _unknown, 405: _unknown, Exception: _unexpected},
    )


def serve(
    catalog: EmbeddedCatalog,
    host: str = "127.0.0.1",
    port: int = 21000,
    *,
    login: Login | None = None,
    log_level: str = "warning",
) -> None:
    """Serve ``catalog`` until interrupted. A host that others can reach needs a login: see `check_login`."""
    check_login(host, login)
    local = is_loopback(host)
    app = create_app(
        catalog, login=login, hosts=LOOPBACK if local else None, rate=None if local else Rate(_CALLS, 10 * _CALLS)
    )
    import uvicorn

    uvicorn.run(app, host=host, port=port, **{**server_options(), "log_level": log_level})


def check_login(host: str, login: Login | None) -> None:
    """Raise `ConfigurationError` if serving on ``host`` with this ``login`` would let strangers in."""
    if not is_loopback(host) and login is None:
        raise ConfigurationError(
            f"serving on {host} lets every machine that reaches it read and change the catalogue; "
            "wanted a login (user and password), or the host 127.0.0.1"
        )
    if login is not None and not all(login):
        raise ConfigurationError("the login has an empty user or password; wanted both")


def _endpoint(
    catalog: EmbeddedCatalog, handlers: dict[str, Handler], body_limit: int
) -> Callable[[Request], Awaitable[Response]]:
    from starlette.concurrency import run_in_threadpool

    async def endpoint(request: Request) -> Response:
        handler = handlers.get("GET" if request.method == "HEAD" else request.method)
        if handler is None:
            return _logged("method not allowed")
        try:
            raw = await read_body(request, body_limit)
        except asyncio.TimeoutError:
            return _text(408, "The body took too long.", {"Connection": "close"})
        if raw is None:
            return _text(413, f"The body is larger than {body_limit} bytes.")
        return await run_in_threadpool(_answer, catalog, handler, request, raw)

    return endpoint


def _answer(catalog: EmbeddedCatalog, handler: Handler, request: Request, raw: bytes) -> Response:
    from starlette.responses import Response

    try:
        body = _parsed(request, raw)
        answer = handler(Call(catalog, request.path_params, request.query_params.multi_items(), body))
    except MalformedCallError as error:
        return _logged(str(error))
    except CatalogRefusedError as error:
        return _json(error.status, {"errorCode": error.error_code, "errorMessage": message(error)})
    except CatalogError as error:
        log.warning("the catalogue did not answer a call: %s", error)
        return _text(503, "The catalogue cannot be used now; its log says why.", {"Retry-After": "1"})
    return Response(status_code=204) if answer is NO_CONTENT else _json(200, answer)


def _parsed(request: Request, raw: bytes) -> Any:
    if request.method not in ("POST", "PUT", "DELETE") or not raw:
        return None
    kind = request.headers.get("content-type", "application/json").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise MalformedCallError(f"content type {kind}")
    if has_many_objects(raw):
        raise MalformedCallError("too many objects and lists")
    try:
        body = json.loads(raw, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise MalformedCallError(f"no JSON: {error}") from error
    if is_deep(body):
        raise MalformedCallError("nested too deeply")
    return body


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


def _json(status: int, content: Any) -> Response:
    from starlette.responses import Response

    text = json.dumps(content, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    # Lone surrogates are no UTF-8: they are replaced rather than the answer lost.
    return Response(text.encode("utf-8", "replace"), status_code=status, media_type=_JSON)


def _text(status: int, text: str, headers: dict[str, str] | None = None) -> Response:
    from starlette.responses import PlainTextResponse

    return PlainTextResponse(text, status_code=status, headers=headers)


def _logged(reason: str, kind: str = _JSON) -> Response:
    """Atlas's plain 500; the log has the reason under the same number."""
    number = secrets.token_hex(8)
    log.info("call refused (ID %s): %s", number, shown(reason))
    return _failed(number, kind)


async def _unknown(request: Request, _error: Exception) -> Response:
    return _logged(f"no such call: {request.method} {request.url.path}", kind="text/plain")


async def _unexpected(request: Request, error: Exception) -> Response:
    number = secrets.token_hex(8)
    log.error("%s %s failed (ID %s):\n%s", request.method, request.url.path, number, trace_of(error))
    return _failed(number)


def _failed(number: str, kind: str = _JSON) -> Response:
    from starlette.responses import Response

    # Text that calls itself JSON, as Atlas's does: clients must survive it.
    text = f"There was an error processing your request. It has been logged (ID {number})."
    return Response(text, status_code=500, media_type=kind)


class _Guard:
    """Refuses foreign host names, calls from web pages, and wrong logins."""

    def __init__(self, app: Any, login: Login | None, hosts: tuple[str, ...] | None, rate: Rate | None) -> None:
        self._app = app
        self._rate = Rate(math.inf, math.inf) if rate is None else rate
        self._login = login
        self._hosts = hosts

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
            refusal = self._refusal(scope["method"], headers, address_of(scope))
            if refusal is not None:
                await refusal(scope, receive, send)
                return
        await self._app(scope, receive, send)

    def _refusal(self, method: str, headers: dict[str, str], address: str) -> Response | None:
        from starlette.responses import HTMLResponse

        host = headers.get("host", "")
        if self._hosts is not None and host_name(host) not in self._hosts:
            return _text(400, "This server answers only to its own name.")
        wait = self._rate.wait(address)
        if wait:
            return _text(429, "Too many calls.", {"Retry-After": str(wait)})
        if self._login is not None and not _logged_in(headers.get("authorization", ""), self._login):
            self._rate.wait(address, _WRONG_LOGIN)
            return HTMLResponse(_UNAUTHORIZED, status_code=401)
        browser = headers.get("user-agent", "").startswith(("Mozilla", "Opera", "Chrome"))
        if browser and method not in ("GET", "HEAD", "OPTIONS") and "x-xsrf-header" not in headers:
            return _json(400, {"msgDesc": "Missing header or invalid Header value for CSRF Vulnerability Protection"})
        return None


def _logged_in(header: str, login: Login) -> bool:
    scheme, _, encoded = header.partition(" ")
    if scheme.lower() != "basic":
        return False
    try:
        given = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        return False
    return hmac.compare_digest(given, ":".join(login).encode())
