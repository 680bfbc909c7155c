"""Forwarding: a host that does not write to the catalogue sends its events to one that does.

An event leaves the spool when the receiver (`mlgov receive`) has it on its own disk. Sending it twice does no harm.
"""

from __future__ import annotations

import gzip
import json
import logging
import math
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_provider_mlgov.catalog.atlas_errors import retry_after
from airflow_provider_mlgov.delivery.bounds import NO_BOUNDS, Bounds
from airflow_provider_mlgov.delivery.deadline import Deadline
from airflow_provider_mlgov.delivery.draining import Draining, Measure, SendReport
from airflow_provider_mlgov.errors import CatalogBusyError, CatalogUnavailableError
from airflow_provider_mlgov.masking import shown

if TYPE_CHECKING:
    import requests

    from airflow_provider_mlgov.delivery.spool import Spool

log = logging.getLogger(__name__)

Json = dict[str, Any]

PATH = "/api/v1/lineage/batch"
_EVENTS_PER_CALL = 200
_BYTES_PER_CALL = 4 * 2**20
_TOO_LARGE, _TOO_MANY, _WRONG = 413, 429, (400, 422)
_LONGEST_WAIT = 60.0
"""Seconds for which a receiver that has too much is waited for, where the time of the send allows it."""
_LATER = (429, 502, 503, 504)


class Forwarder(Draining):
    """Drains a spool into the receiver at ``url``, with its token."""

    def __init__(
        self,
        spool: Spool,
        url: str,
        token: str,
        *,
        verify: bool | str = True,
        cert: tuple[str, str] | None = None,
        timeout: tuple[float, float] = (3.0, 10.0),
        bounds: Bounds = NO_BOUNDS,
        measure: Measure | None = None,
        breaker_interval: float = 60.0,
        breaker_cap: float = 600.0,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        super().__init__(
            spool, bounds=bounds, measure=measure, breaker_interval=breaker_interval, breaker_cap=breaker_cap
        )
        self.url = url
        self._token = token
        self._options: Json = {"verify": verify, "cert": cert, "allow_redirects": False}
        self._timeout = timeout
        self._sleep = sleep

    def health(self) -> str:
        """``ready``, or what is wrong with the receiver."""
        import requests

        try:
            with _session() as session:
                response = session.get(f"{self.url}/health", timeout=self._timeout, **self._options)
        except requests.RequestException as error:
            return f"it cannot be reached ({type(error).__name__})"
        return "ready" if response.status_code == 200 else f"it answers {response.status_code}"

    def _deliver_all(self, report: SendReport, deadline: Deadline) -> None:
        with _session() as session:
            while paths := self._spool.waiting():
                for batch in self._batches(paths):
                    self._forward(session, batch, report, deadline)
                    deadline.check()
        self._spool.tidy()

    def _batches(self, paths: Sequence[Path]) -> Iterator[list[tuple[Path, str]]]:
        """The events of ``paths``, as many as go into one call."""
        batch: list[tuple[Path, str]] = []
        size = 0
        for path in paths:
            event = self._spool.read(path)
            if event is None:
                continue
            text = json.dumps(event, separators=(",", ":"))
            if batch and (len(batch) == _EVENTS_PER_CALL or size + len(text) > _BYTES_PER_CALL):
                yield batch
                batch, size = [], 0
            batch.append((path, text))
            size += len(text)
        if batch:
            yield batch

    def _forward(
        self, session: requests.Session, batch: Sequence[tuple[Path, str]], report: SendReport, deadline: Deadline
    ) -> None:
        """Send a batch, in halves where it is too large; bury what is refused for what it says, keep what may be taken later."""
        status, answer = self._call(session, batch)
        while status == _TOO_MANY and answer.get("wait", math.inf) < min(deadline.left(), _LONGEST_WAIT):
            self._sleep(answer["wait"])
            status, answer = self._call(session, batch)
        if status == _TOO_LARGE and len(batch) > 1:
            half = len(batch) // 2
            self._forward(session, batch[:half], report, deadline)
            self._forward(session, batch[half:], report, deadline)
            return
        if status == _TOO_LARGE:
            failed = {0: {"reason": str(answer.get("error")), "status": status}}
        elif status == 200 and (told := _failed(answer, len(batch))) is not None:
            failed = told
        else:
            raise self._unusable(status, answer)
        waits = ""
        for index, (path, text) in enumerate(batch):
            refusal = failed.get(index)
            if refusal is None:
                report.events += 1
            elif refusal.get("retriable") or refusal.get("status") not in (*_WRONG, _TOO_LARGE):
                waits = str(refusal.get("reason"))  # the disk there is full, or the token lacks a right: to be mended
                continue
            else:
                self._spool.bury([json.loads(text)], f"the receiver refused it: {refusal.get('reason')}")
                report.events += 1
                report.dead += 1
            self._spool.acknowledge([path])
        if waits:
            raise CatalogUnavailableError(f"the receiver at {self.url} does not take events: {waits}")

    def _call(self, session: requests.Session, batch: Sequence[tuple[Path, str]]) -> tuple[int, Json]:
        import requests

        body = gzip.compress(f"[{','.join(text for _, text in batch)}]".encode(), 5)
        headers = {
            "Authorization": f"Bearer {self._token}",
            "Content-Type": "application/json",
            "Content-Encoding": "gzip",
        }
        try:
            response = session.post(f"{self.url}{PATH}", body, headers=headers, timeout=self._timeout, **self._options)
            answer = response.json()
        except requests.exceptions.JSONDecodeError:
            answer = {"error": "an answer that is no JSON: is that a receiver?"}
        except requests.RequestException as error:
            raise CatalogUnavailableError(
                f"the receiver at {self.url} cannot be reached ({type(error).__name__}); is `mlgov receive` running there?"
            ) from None
        answer = answer if isinstance(answer, dict) else {}
        wait = retry_after(response.headers.get("Retry-After")) if response.status_code in _LATER else None
        return response.status_code, {**answer, "wait": wait} if wait is not None else answer

    def _unusable(self, status: int, answer: Json) -> Exception:
        said = f"the receiver at {self.url} answered {status}: {shown(answer.get('error') or 'no reason')[:300]}"
        if status in _LATER:
            return CatalogBusyError(said, retry_after=answer.get("wait"))
        return CatalogUnavailableError(said)


def _session() -> requests.Session:
    """A session without cookies, and without another login from ``~/.netrc``."""
    from http.cookiejar import DefaultCookiePolicy

    import requests

    session = requests.Session()
    session.trust_env = False
    session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
    return session


def _failed(answer: Json, sent: int) -> dict[int, Json] | None:
    """What was refused of a batch, by its place; None if this is no answer of a receiver to such a batch."""
    items, summary = answer.get("failed_events"), answer.get("summary")
    if not isinstance(items, list) or not isinstance(summary, dict) or summary.get("received") != sent:
        return None
    found: dict[int, Json] = {}
    for item in items:
        index = item.get("index") if isinstance(item, dict) else None
        if not isinstance(index, int) or not 0 <= index < sent:
            return None
        found[index] = item
    return found if len(found) == summary.get("failed") else None
