"""HTTP to Atlas: one call, one answer, one clear error; never longer than its deadline."""

from __future__ import annotations

import contextlib
import json
import math
import os
import threading
import time
import weakref
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from airflow_provider_mlgov import __version__
from airflow_provider_mlgov.catalog.atlas_auth import Auth
from airflow_provider_mlgov.catalog.atlas_errors import (
    error_for_answer,
    error_for_failure,
    unreadable_answer,
    unusable_answer,
)
from airflow_provider_mlgov.catalog.bounded import CODINGS, Deadline, OversizeError, adapter_class, body_of
from airflow_provider_mlgov.errors import CatalogBusyError, ConfigurationError

if TYPE_CHECKING:
    import requests

_HEADERS = {
    "Accept": "application/json",
    "Accept-Encoding": CODINGS,
    "User-Agent": f"airflow-provider-mlgov/{__version__}",  # a browser's would ask for a CSRF token
    "X-XSRF-HEADER": "valid",
}
MOST_BYTES = 64 * 2**20
"""An answer of Atlas is smaller by far; what a server sends must not fill the memory of a task."""


@dataclass(frozen=True)
class Address:
    """Where Atlas is, and what to say to be let in."""

    base: str
    """Without credentials, without ``/api/atlas`` and without a slash at the end."""
    auth: Auth | None = field(repr=False)

    @classmethod
    def read(cls, url: str, auth: Auth | None) -> Address:
        """Take a URL apart; credentials in it count where ``auth`` is not given."""
        parts = urlsplit(url.strip())
        try:
            port = parts.port
        except ValueError:
            port = -1
        if parts.scheme not in ("http", "https") or not parts.hostname or port == -1:
            shown = url.rpartition("@")[2]
            raise ConfigurationError(f"{shown!r} is no address of an Atlas; wanted http(s)://host[:port][/base/path]")
        if auth is None and parts.username is not None:
            auth = (unquote(parts.username), unquote(parts.password or ""))
        path = parts.path.rstrip("/")
        for tail in ("/api/atlas/v2", "/api/atlas"):
            path = path.removesuffix(tail)
        return cls(f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{path}", auth)


class AtlasHttp:
    """Sends requests to one Atlas and returns its JSON. Safe in threads and after a fork; never tries twice."""

    def __init__(
        self,
        address: Address,
        *,
        timeout: tuple[float, float],
        deadline: float,
        verify: bool | str,
        cert: tuple[str, str] | None = None,
    ) -> None:
        self.address = address
        self._cert = cert
        self._timeout = timeout
        self._deadline = deadline
        self._verify = verify
        self._thread = threading.local()
        self._sessions: weakref.WeakSet[requests.Session] = weakref.WeakSet()
        self._calls: dict[tuple[int, int], int] = {}  # each thread counts for itself: no lock that a fork could catch

    @property
    def calls(self) -> int:
        """Requests made so far by this process."""
        pid = os.getpid()
        return sum(count for (process, _), count in list(self._calls.items()) if process == pid)

    @contextlib.contextmanager
    def within(self, seconds: float) -> Iterator[None]:
        """All calls that this thread makes inside the block together take at most so long."""
        before: float | None = getattr(self._thread, "until", None)
        until = time.monotonic() + seconds
        self._thread.until = until if before is None else min(before, until)
        try:
            yield
        finally:
            self._thread.until = before

    def call(self, method: str, path: str, body: bytes | None = None) -> Any:
        """The JSON of the answer, an empty object for a 204; anything that is not success raises."""
        import requests

        what = f"{method} {path.partition('?')[0]}"
        seconds = self._seconds(what)
        self._count()
        with Deadline(seconds) as deadline:
            try:
                response = self._session().request(
                    method,
                    f"{self.address.base}/api/atlas/{path}",
                    data=body,
                    headers={"Content-Type": "application/json"} if body is not None else None,
                    timeout=(min(self._timeout[0], seconds), min(self._timeout[1], seconds)),
                    verify=self._verify,
                    cert=self._cert,
                    allow_redirects=False,
                    stream=True,
                )
                content = body_of(response, MOST_BYTES)
            except OversizeError as error:
                raise unusable_answer(self.address.base, what, str(error)) from None
            except (requests.RequestException, OSError, ValueError) as error:
                # ValueError: what urllib3 says when the deadline takes the socket away at a bad moment.
                if not deadline.expired:
                    raise error_for_failure(self.address.base, what, error, read_timeout=self._timeout[1]) from error
        if deadline.expired:
            # Also without an exception: an answer that ends within its headers looks like an empty one.
            found = f"no complete answer to {what} within {seconds:.3g} s"
            raise CatalogBusyError(f"Atlas at {self.address.base}: {found}; try again later", unanswered=True)
        if not 200 <= response.status_code < 300:
            raise error_for_answer(self.address.base, what, response.status_code, response.headers, content)
        if response.status_code == 204:
            return {}
        try:
            return json.loads(content)
        except ValueError:
            raise unreadable_answer(self.address.base, what, response.headers, content) from None
        except RecursionError:
            raise unusable_answer(self.address.base, what, "JSON that is nested too deep") from None

    def close(self) -> None:
        """Close all connections; a later call opens new ones."""
        for session in list(self._sessions):
            session.close()

    def left(self) -> float:
        """Seconds that this thread has left by `within`; infinite outside of it."""
        until: float | None = getattr(self._thread, "until", None)
        return math.inf if until is None else until - time.monotonic()

    def _seconds(self, what: str) -> float:
        left = self.left()
        if left <= 0:
            raise CatalogBusyError(
                f"Atlas at {self.address.base}: no time left for {what}; it was not sent, try again later"
            )
        return min(self._deadline, left)

    def _count(self) -> None:
        key = (os.getpid(), threading.get_ident())
        self._calls[key] = self._calls.get(key, 0) + 1

    def _session(self) -> requests.Session:
        """This thread's session, which keeps its connection open; after a fork a new one: sockets cannot be shared."""
        if getattr(self._thread, "pid", None) != os.getpid():
            session = _new_session(self.address.auth)
            self._sessions.add(session)
            self._thread.pid, self._thread.session = os.getpid(), session
        held: requests.Session = self._thread.session
        return held


def _new_session(auth: Auth | None) -> requests.Session:
    from http.cookiejar import DefaultCookiePolicy

    import requests
    from requests.auth import HTTPBasicAuth

    session = requests.Session()
    # With Atlas's session cookie a wrong password would go on working.
    session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
    session.headers.update(_HEADERS)
    # Bytes, since requests would send text as Latin-1. Without a login say so, or requests looks into ~/.netrc.
    if isinstance(auth, tuple):
        session.auth = HTTPBasicAuth(*(part.encode() for part in auth))
    else:
        session.auth = auth or _no_login
    for scheme in ("http://", "https://"):
        session.mount(scheme, adapter_class()(pool_connections=1, pool_maxsize=1))
    return session


def _no_login(request: requests.PreparedRequest) -> requests.PreparedRequest:
    return request
