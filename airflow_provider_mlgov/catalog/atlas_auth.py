"""How to be let in by Atlas or the gateway before it: name and password, a token, tokens from an OAuth 2 server, or Kerberos.

Each is a callable that requests calls for every call it sends. A secret is in no message and no ``repr``.
"""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from airflow_provider_mlgov.catalog.bounded import CODINGS, Deadline, OversizeError, adapter_class, body_of
from airflow_provider_mlgov.catalog.kerberos import Negotiate
from airflow_provider_mlgov.catalog.web import is_loopback
from airflow_provider_mlgov.errors import CatalogUnavailableError, ConfigurationError

if TYPE_CHECKING:
    import requests

_EARLY_SECONDS = 30.0
"""A token is not used so shortly before its end."""
_TIMEOUT = (3.0, 10.0)
_MOST_BYTES = 2**20
_TOKEN_SECONDS = 15.0
"""What a call for a token may take in all: other threads wait for it."""


@dataclass(frozen=True)
class Bearer:
    """A token that somebody made."""

    token: str = field(repr=False)

    def __post_init__(self) -> None:
        if not self.token or not self.token.isascii() or not self.token.isprintable() or " " in self.token:
            raise ConfigurationError(
                "the bearer token is empty or no token: wanted letters and digits without spaces, as password"
            )

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """Add the token."""
        request.headers["Authorization"] = f"Bearer {self.token}"
        return request


@dataclass(frozen=True)
class ClientCredentials:
    """Tokens from an OAuth 2 server, by the client credentials grant (RFC 6749, section 4.4).

    A token is kept until shortly before its end, or until Atlas refuses it. `ConfigurationError` for an address without TLS that
    is not this machine's, `CatalogUnavailableError` where no token is to be had.
    """

    token_url: str
    client_id: str
    client_secret: str = field(repr=False)
    scope: str = ""
    verify: bool | str = True
    clock: Callable[[], float] = time.monotonic
    _kept: dict[str, Any] = field(default_factory=dict, repr=False, compare=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False, compare=False)

    def __post_init__(self) -> None:
        parts = urlsplit(self.token_url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.username is not None:
            raise ConfigurationError("token_url is no address; wanted https://host/path of the OAuth 2 token endpoint")
        if parts.scheme == "http" and not is_loopback(parts.hostname):
            raise ConfigurationError(
                f"token_url is {self._shown_url!r}; wanted https: the client's secret is sent there"
            )

    @property
    def _shown_url(self) -> str:
        return re.split(r"[?#;]", self.token_url, maxsplit=1)[0]

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """Add a token, and forget it if it is refused."""
        token = self.token()
        request.headers["Authorization"] = f"Bearer {token}"
        heard = lambda response, **_: self._heard(response.status_code, token)  # noqa: E731
        request.hooks["response"].append(heard)
        return request

    def token(self) -> str:
        """A token that holds for a while yet."""
        with self._lock:
            if self._kept.get("until", 0.0) <= self.clock():
                self._kept.update(self._fetched())
            return str(self._kept["token"])

    def _heard(self, status: int, token: str) -> None:
        if status == 401 and self._kept.get("token") == token:
            self._kept["until"] = 0.0

    def _fetched(self) -> dict[str, Any]:
        import requests
        from requests.auth import HTTPBasicAuth

        data = {"grant_type": "client_credentials"} | ({"scope": self.scope} if self.scope else {})
        login = HTTPBasicAuth(self.client_id.encode(), self.client_secret.encode())
        with Deadline(_TOKEN_SECONDS) as deadline, requests.Session() as session:
            session.mount(self.token_url, adapter_class()())
            try:
                response = session.post(
                    self.token_url,
                    data,
                    headers={"Accept-Encoding": CODINGS},
                    auth=login,
                    timeout=_TIMEOUT,
                    verify=self.verify,
                    allow_redirects=False,
                    stream=True,
                )
                body = body_of(response, _MOST_BYTES)
                answer = json.loads(body) if response.status_code == 200 else None
            except OversizeError as error:
                raise self._failed(str(error)) from None
            except (requests.RequestException, OSError, ValueError, RecursionError) as error:
                # ValueError: what urllib3 says when a deadline takes the socket away at a bad moment.
                raise self._failed("no whole answer in time" if deadline.over else type(error).__name__) from None
        if not isinstance(answer, dict):
            raise self._failed(f"status {response.status_code}")
        token, kind = answer.get("access_token"), str(answer.get("token_type", "Bearer"))
        if not isinstance(token, str) or kind.lower() != "bearer":
            raise self._failed(f"an answer without a bearer token, of kind {kind[:50]!r}")
        seconds = answer.get("expires_in")
        lasts = float(seconds) if isinstance(seconds, (int, float)) and not isinstance(seconds, bool) else 300.0
        return {"token": Bearer(token).token, "until": self.clock() + max(lasts - _EARLY_SECONDS, lasts / 2)}

    def _failed(self, found: str) -> CatalogUnavailableError:
        return CatalogUnavailableError(
            f"no token from {self._shown_url}: {found}; check the client's name and secret, token_url and scope"
        )


Auth = tuple[str, str] | Bearer | ClientCredentials | Negotiate
"""A name and a password, or what adds a token or a ticket to each call."""
