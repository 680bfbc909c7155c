"""Forwarding: a host that does not write to the catalogue sends its events to one that does.

An event leaves the spool when the receiver (`mlgov receive`) has it on its own disk. Sending it twice does no harm.
"""

from __future__ import annotations

import gzip
import json
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_provider_mlgov.catalog.atlas_errors import retry_after
from airflow_provider_mlgov.catalog.bounded import CODINGS, OversizeError, adapter_class, body_of
from airflow_provider_mlgov.catalog.bounded import Deadline as CallDeadline
from airflow_provider_mlgov.delivery.deadline import Deadline
from airflow_provider_mlgov.delivery.draining import Draining, SendReport
from airflow_provider_mlgov.delivery.refused import Refused
from airflow_provider_mlgov.errors import CatalogBusyError, CatalogUnavailableError
from airflow_provider_mlgov.masking import shown

if TYPE_CHECKING:
    import requests
    from typing_extensions import Unpack

    from airflow_provider_mlgov.delivery.draining import DrainingOptions
    from airflow_provider_mlgov.delivery.spool import Spool

log = logging.getLogger(__name__)

Json = dict[str, Any]

PATH = "/api/v1/lineage/batch"
_EVENTS_PER_CALL = 200
_BYTES_PER_CALL = 4 * 2**20
_TOO_LARGE, _WRONG = 413, (400, 422)
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
_REFUSED_IN_A_ROW = 1000
"""A receiver that took none of so many will not take the next either: that is not one event, that is all of them."""


class Forwarder(Draining):
    """Drains a spool into the receiver at ``url``, with its token."""

    destination = "receiver"

    def __init__(
        self,
        spool: Spool,
        url: str,
        token: str,
        *,
        verify: bool | str = True,
        cert: tuple[str, str] | None = None,
        timeout: tuple[float, float] = (3.0, 10.0),
        sleep: Callable[[float], None] = time.sleep,
        **more: Unpack[DrainingOptions],
    ) -> None:
        super().__init__(spool, **more)
        self.url = url
        self._token = token
        self._options: Json = {"verify": verify, "cert": cert, "allow_redirects": False}
        self._timeout = timeout
        self._sleep = sleep
        self._pauses = (more.get("breaker_interval", 60.0), more.get("breaker_cap", 600.0))
        self._refused = Refused(spool.root, *self._pauses)
        self._refused_now = 0
        self._by_hand = False

    def health(self) -> str:
        """``ready``, or what is wrong with the receiver."""
        import requests

        try:
            with _session() as session:
                response = session.get(f"{self.url}/health", timeout=self._timeout, **self._options)
        except requests.RequestException as error:
            return f"it cannot be reached ({type(error).__name__})"
        return "ready" if response.status_code == 200 else f"it answers {response.status_code}"

    def _send(self, report: SendReport, deadline: Deadline, *, despite_breaker: bool) -> None:
        self._by_hand = despite_breaker
        super()._send(report, deadline, despite_breaker=despite_breaker)

    def _drain(self, report: SendReport, deadline: Deadline) -> None:
        """The receiver works where it took all but what it refused, and its breaker stays closed for what comes."""
        super()._drain(report, deadline)
        if report.outcome == "done" and self._refused.names:
            report.outcome, report.reason = "unavailable" if self._refused_now else "open", self._refusal()

    def _deliver_all(self, report: SendReport, deadline: Deadline) -> None:
        self._refused = Refused(self._spool.root, *self._pauses)
        self._refused_now = 0
        before = set(self._refused.names)
        try:
            with _session() as session:
                self._deliver_past(session, report, deadline)
        finally:
            self._refused.save()
            if not before.issuperset(self._refused.names):
                log.warning("Other events go past what was refused: %s", self._refusal())
        self._spool.tidy()

    def _deliver_past(self, session: requests.Session, report: SendReport, deadline: Deadline) -> None:
        """Send what waits; what was refused before is the last, and only now and then."""
        opening = self.breaker.opening()
        # What did not get through is tried in smaller parts: its disk may be slow, and a batch is acknowledged as a whole.
        events = max(1, _EVENTS_PER_CALL >> min(opening.failures, 10)) if opening else _EVENTS_PER_CALL
        before = dict(self._refused.names)
        while True:
            waiting = {path.name: path for path in self._spool.waiting()}
            self._refused.keep(waiting)
            paths = [path for name, path in waiting.items() if name not in self._refused.names]
            if not paths:
                break
            deadline.check()
            if not self._go_through(session, batches_of(self._spool, paths, events), report, deadline):
                raise CatalogUnavailableError(self._refusal())
        again = [waiting[name] for name in before if name in self._refused.names]
        if again and (self._refused.is_due or self._by_hand):
            taken = report.events
            self._go_through(session, batches_of(self._spool, again, events), report, deadline)
            self._refused.tried(taken=report.events > taken)

    def _go_through(
        self,
        session: requests.Session,
        batches: Iterator[list[tuple[Path, str]]],
        report: SendReport,
        deadline: Deadline,
    ) -> bool:
        """Send batches, past the events that are refused; False where none of very many was taken."""
        in_a_row = 0
        for batch in batches:
            taken = report.events
            self._forward(session, batch, report, deadline)
            in_a_row = 0 if report.events > taken else in_a_row + len(batch)
            if in_a_row >= _REFUSED_IN_A_ROW:
                return False
            deadline.check()
        return True

    def _forward(
        self, session: requests.Session, batch: Sequence[tuple[Path, str]], report: SendReport, deadline: Deadline
    ) -> None:
        """Send a batch, in halves where it is too large; bury what is refused for what it says, keep what may be taken later."""
        status, answer = self._patiently(session, batch, deadline)
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
            raise CatalogUnavailableError(self._answered(status, answer))
        full = ""
        for index, (path, text) in enumerate(batch):
            refusal = failed.get(index)
            if refusal is None:
                report.events += 1
            elif refusal.get("retriable"):
                full = str(refusal.get("reason"))  # its disk: nothing else will be taken now
                continue
            elif refusal.get("status") not in (*_WRONG, _TOO_LARGE):
                self._refused.add(path.name, str(refusal.get("reason")))  # the token lacks a right: it may be given one
                self._refused_now += 1
                continue
            else:
                self._spool.bury([json.loads(text)], f"the receiver refused it: {refusal.get('reason')}", first=path)
                report.events += 1
                report.dead += 1
            self._spool.acknowledge([path])
            self._refused.names.pop(path.name, None)
        if full:
            raise CatalogUnavailableError(f"the receiver at {self.url} does not take events: {full}")

    def _refusal(self) -> str:
        count = len(self._refused.names)
        return f"the receiver at {self.url} refuses {count} that wait, the last since {self._refused.reason}"

    def _patiently(
        self, session: requests.Session, batch: Sequence[tuple[Path, str]], deadline: Deadline
    ) -> tuple[int, Json]:
        """The answer to a batch; where the receiver says when to come again, and that is soon, what it says then."""
        for attempt in range(1, _TRIES + 1):
            deadline.check(_LEAST_SECONDS)
            status, answer, wait = self._call(session, batch, deadline)
            if status not in _LATER:
                return status, answer
            fits = wait is not None and wait <= _LONGEST_WAIT and wait + _LEAST_SECONDS < deadline.left()
            if wait is None or not fits or attempt == _TRIES:
                raise CatalogBusyError(self._answered(status, answer), retry_after=wait)
            self._sleep(wait)
        raise AssertionError("tries is at least 1")

    def _call(
        self, session: requests.Session, batch: Sequence[tuple[Path, str]], deadline: Deadline
    ) -> tuple[int, Json, float | None]:
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
                response = session.post(
                    f"{self.url}{PATH}", body, headers=headers, timeout=timeout, stream=True, **self._options
                )
                answer = _json_of(response)
            except (requests.RequestException, OSError, ValueError) as error:
                # ValueError: what urllib3 says when the deadline takes the socket away at a bad moment.
                if deadline.left() <= 0 and seconds < _FAIR_SECONDS:
                    deadline.check()
                what = "no whole answer in time" if call.expired else type(error).__name__
                raise CatalogUnavailableError(
                    f"the receiver at {self.url} cannot be reached ({what}); is `mlgov receive` running there?"
                ) from None
        wait = retry_after(response.headers.get("Retry-After"))
        return response.status_code, answer if isinstance(answer, dict) else {}, wait

    def _answered(self, status: int, answer: Json) -> str:
        return f"the receiver at {self.url} answered {status}: {shown(answer.get('error') or 'no reason')[:300]}"


def batches_of(spool: Spool, paths: Sequence[Path], events: int = _EVENTS_PER_CALL) -> Iterator[list[tuple[Path, str]]]:
    """The events of ``paths``, as many at once as go into one call, at most ``events``."""
    batch: list[tuple[Path, str]] = []
    size = 0
    for path in paths:
        event = spool.read(path)
        if event is None:
            continue
        text = json.dumps(event, separators=(",", ":"))
        if batch and (len(batch) >= events or size + len(text) > _BYTES_PER_CALL):
            yield batch
            batch, size = [], 0
        batch.append((path, text))
        size += len(text)
    if batch:
        yield batch


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
