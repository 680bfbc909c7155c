"""The HTTP of a receiver (`mlgov receive`), as who sends to it sees it: one connection, each call within its time."""

from __future__ import annotations

import gzip
import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_provider_mlgov.catalog.atlas_errors import retry_after
from airflow_provider_mlgov.catalog.bounded import CODINGS, OversizeError, adapter_class, body_of
from airflow_provider_mlgov.catalog.bounded import Deadline as CallDeadline
from airflow_provider_mlgov.delivery.deadline import NO_DEADLINE, Deadline
from airflow_provider_mlgov.errors import CatalogBusyError, CatalogUnavailableError
from airflow_provider_mlgov.masking import shown

if TYPE_CHECKING:
    import requests
    from typing_extensions import Self

Json = dict[str, Any]
Batch = Sequence[tuple[Path, str]]
"""Events to send at once, each with its file."""

PATH = "/api/v1/lineage/batch"
_LATER = (408, 429, 502, 503, 504)
_TRIES = 5
"""How often a batch is sent, where the receiver says when it will take it."""
_LONGEST_WAIT, _LEAST_SECONDS = 30.0, 0.5
_EVENT_SECONDS = 0.1
"""What the receiver may take for each event, beside the time-out of the connection: it writes each to its disk."""
_MOST_BYTES = 2**20
"""Of an answer, which is a few words for each event that is refused."""
_CALL_SECONDS = 60.0
"""What a call may take in all."""
_FAIR_SECONDS = 2.0
"""Who does not answer within these is away; with less time nothing is known of him."""


class NoAnswerError(CatalogUnavailableError):
    """Nobody answered, or not in time."""


class ReceiverHttp:
    """What stands at ``url``; open while it is entered."""

    def __init__(
        self,
        url: str,
        token: str,
        *,
        verify: bool | str,
        cert: tuple[str, str] | None,
        timeout: tuple[float, float],
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.url = url
        self._token = token
        self._options: Json = {"verify": verify, "cert": cert, "allow_redirects": False}
        self._timeout = timeout
        self._sleep = sleep

    def __enter__(self) -> Self:
        self._session = _session()
        return self

    def __exit__(self, *_: object) -> None:
        self._session.close()

    def health(self, deadline: Deadline = NO_DEADLINE) -> str:
        """``ready``, or what is wrong with the receiver."""
        import requests

        seconds = min(deadline.left(), sum(self._timeout))
        if seconds < _LEAST_SECONDS:
            return "there is no time to ask it"
        timeout = (min(self._timeout[0], seconds), min(self._timeout[1], seconds))
        try:
            with _session() as session, CallDeadline(seconds):
                response = session.get(f"{self.url}/health", timeout=timeout, **self._options)
        except (requests.RequestException, OSError, ValueError) as error:
            return f"it cannot be reached ({type(error).__name__})"
        return "ready" if response.status_code == 200 else f"it answers {response.status_code}"

    def send(self, batch: Batch, deadline: Deadline, *, tries: int = _TRIES) -> tuple[int, Json]:
        """The answer to a batch; where the receiver says when to come again, and that is soon, what it says then."""
        for attempt in range(1, tries + 1):
            deadline.check(_LEAST_SECONDS)
            status, answer, wait = self._call(batch, deadline)
            if status not in _LATER:
                return status, answer
            fits = wait is not None and wait <= _LONGEST_WAIT and wait + _LEAST_SECONDS < deadline.left()
            if wait is None or not fits or attempt == tries:
                raise CatalogBusyError(self.answered(status, answer), retry_after=wait)
            self._sleep(wait)
        raise AssertionError("tries is at least 1")

    def _call(self, batch: Batch, deadline: Deadline) -> tuple[int, Json, float | None]:
        """Status, answer, and the seconds after which to come again."""
        import requests

        body = gzip.compress(f"[{','.join(text for _, text in batch)}]".encode(), 5)
        headers = {
            "Authorization": f"Bearer {self._token}",
            "Content-Type": "application/json",
            "Content-Encoding": "gzip",
            "Accept-Encoding": CODINGS,
        }
        seconds = min(deadline.left(), _CALL_SECONDS)
        timeout = (min(self._timeout[0], seconds), min(self._timeout[1] + len(batch) * _EVENT_SECONDS, seconds))
        with CallDeadline(seconds) as call:
            try:
                response = self._session.post(
                    f"{self.url}{PATH}", body, headers=headers, timeout=timeout, stream=True, **self._options
                )
                answer = _json_of(response)
                if call.expired:  # an answer that ends within its headers looks like an empty one
                    raise TimeoutError
            except (requests.RequestException, OSError, ValueError) as error:
                # ValueError: what urllib3 says when the deadline takes the socket away at a bad moment.
                if deadline.left() <= 0 and seconds < _FAIR_SECONDS:
                    deadline.check()
                what = "no whole answer in time" if call.expired else type(error).__name__
                raise NoAnswerError(
                    f"the receiver at {self.url} cannot be reached ({what}); is `mlgov receive` running there?"
                ) from None
        wait = retry_after(response.headers.get("Retry-After"))
        return response.status_code, answer if isinstance(answer, dict) else {}, wait

    def answered(self, status: int, answer: Json) -> str:
        """What it said, with its name."""
        return f"the receiver at {self.url} {said(status, answer)}"


def said(status: int, answer: Json) -> str:
    """What an answer says."""
    return f"answered {status}: {shown(answer.get('error') or 'no reason')[:300]}"


def _session() -> requests.Session:
    """Keeps its connection open, and nothing else: no cookies, no login from ~/.netrc, no wait without an end."""
    from http.cookiejar import DefaultCookiePolicy

    import requests

    session = requests.Session()
    session.trust_env = False
    session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
    for scheme in ("http://", "https://"):
        session.mount(scheme, adapter_class()(pool_connections=1, pool_maxsize=1))
    return session


def _json_of(response: requests.Response) -> Any:
    try:
        return json.loads(body_of(response, _MOST_BYTES))
    except OversizeError as error:
        return {"error": f"{error}: is that a receiver?"}
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError):
        return {"error": "an answer that is no JSON: is that a receiver?"}
