"""Calls ASGI applications without a network."""

from __future__ import annotations

import asyncio
import json
from typing import Any


class Client:
    """Calls an ASGI application without a network."""

    def __init__(self, app: Any) -> None:
        self._app = app

    def __call__(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        raw: bytes | None = None,
        headers: dict[str, str] | None = None,
    ) -> tuple[int, dict[str, str], str]:
        content = raw if raw is not None else b"" if body is None else json.dumps(body).encode()
        path, _, query = path.partition("?")
        sent = {"host": "127.0.0.1:21000", **(headers or {})}
        scope = {
            "type": "http",
            "method": method,
            "path": path,
            "raw_path": path.encode(),
            "query_string": query.encode(),
            "headers": [(name.encode(), value.encode()) for name, value in sent.items()],
            "http_version": "1.1",
            "scheme": "http",
            "server": ("127.0.0.1", 21000),
            "client": ("127.0.0.1", 1),
            "root_path": "",
        }
        messages: list[Any] = []

        async def receive() -> Any:
            return {"type": "http.request", "body": content, "more_body": False}

        async def send(message: Any) -> None:
            messages.append(message)

        async def call() -> None:
            try:
                await self._app(scope, receive, send)
            except Exception:  # Starlette answers, then lets the error through to the server's log
                if not messages:
                    raise

        asyncio.run(call())
        answered = {name.decode(): value.decode() for name, value in messages[0]["headers"]}
        return messages[0]["status"], answered, b"".join(one.get("body", b"") for one in messages[1:]).decode()
