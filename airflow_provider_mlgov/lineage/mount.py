"""The receiver inside Airflow 3's API server: ``<api server>/mlgov/api/v1/lineage`` where ``[mlgov] receiver_mount`` is on."""

from __future__ import annotations

import logging
import math
import time
from typing import Any

from airflow_provider_mlgov.errors import MlgovError

log = logging.getLogger(__name__)

PREFIX = "/mlgov"
_WAKE_SECONDS = 1.0


class MountedReceiver:
    """An ASGI application that is made when it is called first: a plugin is loaded by processes that never serve it."""

    def __init__(self) -> None:
        self._app: Any = None
        self._complaint = ""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve one call."""
        if self._app is None:
            try:
                self._app = _create()
            except MlgovError as error:
                if str(error) != self._complaint:
                    log.error("The mounted receiver lets nobody in: %s", error)
                self._complaint = str(error)
        await (self._app or _unusable())(scope, receive, send)


def _unusable() -> Any:
    """What answers until somebody has mended the settings or the tokens: each call looks again."""
    from starlette.responses import JSONResponse

    return JSONResponse({"error": "the receiver cannot be used; its log says why"}, 503, {"Retry-After": "10"})


def _create() -> Any:
    from airflow_provider_mlgov.assembly import masker, open_outbox
    from airflow_provider_mlgov.lineage.child import wake
    from airflow_provider_mlgov.lineage.receiver import create_app
    from airflow_provider_mlgov.lineage.tokens import FILE, Tokens
    from airflow_provider_mlgov.settings import Settings

    settings = Settings.load()
    tokens = Tokens(settings.spool_folder / FILE)
    tokens.prepare()
    woken = -_WAKE_SECONDS

    def kept() -> None:
        nonlocal woken
        if time.monotonic() - woken >= _WAKE_SECONDS:
            woken = time.monotonic()
            wake(settings)

    mask = masker()
    outbox = open_outbox(settings, mask=lambda text: tokens.hide(mask(text)))
    return create_app(
        tokens, outbox, kept, hosts=settings.receiver_hosts or None, rate=settings.receiver_rate or math.inf
    )
