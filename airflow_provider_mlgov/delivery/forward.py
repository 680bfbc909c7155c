"""Forwarding: a host that does not write to the catalogue sends its events to one that does.

An event leaves the spool when the receiver (`mlgov receive`) has it on its own disk. Sending it twice does no harm.
"""

from __future__ import annotations

import gzip
import json
import logging
import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_provider_mlgov.catalog.atlas_errors import retry_after
from airflow_provider_mlgov.catalog.bounded import CODINGS, OversizeError, adapter_class, body_of
from airflow_provider_mlgov.catalog.bounded import Deadline as CallDeadline
from airflow_provider_mlgov.delivery.deadline import BudgetSpentError, Deadline
from airflow_provider_mlgov.delivery.draining import Draining, SendReport
from airflow_provider_mlgov.delivery.refused import Refused
from airflow_provider_mlgov.errors import CatalogBusyError, CatalogError, CatalogUnavailableError
from airflow_provider_mlgov.masking import shown

if TYPE_CHECKING:
    import requests
    from typing_extensions import Unpack

    from airflow_provider_mlgov.delivery.draining import DrainingOptions
    from airflow_provider_mlgov.delivery.spool import Spool

log = logging.getLogger(__name__)

Json = dict[str, Any]
Batch = Sequence[tuple[Path, str]]
"""Events to send at once, each with its file."""

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
_OF_ALL = (301, 302, 303, 307, 308, 401, 404)
"""What is said of the URL or of the token, and so of every event."""
_WITNESSES = 4
"""So many events are sent alone to see whether the receiver takes any, where it did not answer as one."""
_FAILURES_IN_A_ROW = 8
"""After so many calls without a receiver's answer it is looked again whether it takes any: about as many halve a full batch."""
_REFUSED_IN_A_ROW = 1000
"""A receiver that took none of so many will not take the next either: that is not one event, that is all of them."""


class _NoneTakenError(CatalogUnavailableError):
    """What stands at the URL does not answer as a receiver to any event."""


@dataclass
class _Pass:
    """One going through what is to be sent."""

    session: requests.Session
    paths: Sequence[Path]
    report: SendReport
    deadline: Deadline
    done: set[Path] = field(default_factory=set)
    """What was answered for, also out of its turn."""


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
        self._trust = 0
        """How many calls more may fail before it is looked whether the receiver takes any."""
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
        self._refused_now = self._trust = 0
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
            if not self._go_through(_Pass(session, paths, report, deadline), events):
                raise CatalogUnavailableError(self._refusal())
        again = [waiting[name] for name in before if name in self._refused.names]
        if again and (self._refused.is_due or self._by_hand):
            taken = report.events
            # Alone, where one at which the receiver fails was among them.
            for size in (events, 1) if len(again) > 1 else (1,):
                try:
                    self._go_through(_Pass(session, again, report, deadline), size)
                    break
                except (
                    CatalogBusyError,
                    CatalogUnavailableError,
                ):  # that is known of these: the breaker is for what comes
                    self._refused_now += 1
                again = [path for path in again if path.name in self._refused.names]
            self._refused.tried(taken=report.events > taken)

    def _go_through(self, work: _Pass, events: int) -> bool:
        """Send what is to be sent, past the events that are refused; False where none of very many was taken."""
        in_a_row = 0
        for batch in batches_of(self._spool, work.paths, work.deadline, events):
            taken = work.report.events
            self._forward(work, batch)
            in_a_row = 0 if work.report.events > taken else in_a_row + len(batch)
            if in_a_row >= _REFUSED_IN_A_ROW:
                return False
            work.deadline.check()
        return True

    def _forward(self, work: _Pass, batch: Batch) -> None:
        """Send a batch, in halves where it is too large or one of it does not get through."""
        batch = [(path, text) for path, text in batch if path not in work.done]
        if not batch:
            return
        try:
            status, answer = self._patiently(work.session, batch, work.deadline)
        except (CatalogBusyError, CatalogUnavailableError) as error:
            asks_for_time = isinstance(error, CatalogBusyError) and error.retry_after is not None
            if len(batch) > 1 or asks_for_time:
                raise
            self._trust = 0
            self._check_that_it_takes_others(work, batch, error)
            self._refuse(work, batch[0][0], str(error))
            return
        if self._is_told(work, batch, status, answer):
            return
        if status in _OF_ALL:
            raise CatalogUnavailableError(self._answered(status, answer))
        if status != _TOO_LARGE or len(batch) == 1:
            self._check_that_it_takes_others(work, batch, _NoneTakenError(self._answered(status, answer)))
        if len(batch) == 1:
            self._refuse(work, batch[0][0], _said(status, answer))
            return
        half = len(batch) // 2
        self._forward(work, batch[:half])
        self._forward(work, batch[half:])

    def _check_that_it_takes_others(self, work: _Pass, batch: Batch, error: CatalogError) -> None:
        """Raise ``error`` where the receiver does not answer as one to any of a few events: then ``batch`` is not to blame.

        Chosen by lot: many that wait may be the trouble, and each send is to have a new chance.
        """
        if self._trust:
            self._trust -= 1
            return
        tried = work.done | {path for path, _ in batch if len(batch) == 1}
        others = [path for path in work.paths if path not in tried]
        try:
            takes_any = self._takes_any(work, random.sample(others, min(_WITNESSES, len(others))))
        except (BudgetSpentError, CatalogError) as other:
            raise error from other
        if not takes_any:
            raise error

    def _takes_any(self, work: _Pass, paths: Sequence[Path]) -> bool:
        """Send events alone until the receiver answers as one; those before are refused by that."""
        failed: list[tuple[Path, str]] = []
        for witness in batches_of(self._spool, paths, work.deadline, 1):
            status, answer = self._patiently(work.session, witness, work.deadline)
            if self._is_told(work, witness, status, answer):
                for each in failed:
                    self._refuse(work, *each)
                return True
            failed.append((witness[0][0], _said(status, answer)))
        return False

    def _refuse(self, work: _Pass, path: Path, said: str) -> None:
        """The receiver takes others and not this event: it waits, and is tried again now and then."""
        work.done.add(path)
        self._refused.add(path.name, f"it takes others, and {said}")
        self._refused_now += 1

    def _is_told(self, work: _Pass, batch: Batch, status: int, answer: Json) -> bool:
        """Do what a receiver says of each event: bury what is refused for what it says, keep what may be taken later.

        False if this is no answer of a receiver to this batch.
        """
        report = work.report
        if status == _TOO_LARGE and len(batch) == 1 and isinstance(answer.get("limit"), int):
            failed = {0: {"reason": str(answer.get("error")), "status": status}}
        elif status == 200 and (told := _failed(answer, len(batch))) is not None:
            failed, self._trust = told, _FAILURES_IN_A_ROW
        else:
            return False
        work.done.update(path for path, _ in batch)
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
        return True

    def _refusal(self) -> str:
        count = len(self._refused.names)
        return f"the receiver at {self.url} refuses {count} that wait, the last since {self._refused.reason}"

    def _patiently(self, session: requests.Session, batch: Batch, deadline: Deadline) -> tuple[int, Json]:
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

    def _call(self, session: requests.Session, batch: Batch, deadline: Deadline) -> tuple[int, Json, float | None]:
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
                if call.expired:  # an answer that ends within its headers looks like an empty one
                    raise TimeoutError
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
        return f"the receiver at {self.url} {_said(status, answer)}"


def _said(status: int, answer: Json) -> str:
    return f"answered {status}: {shown(answer.get('error') or 'no reason')[:300]}"


def batches_of(
    spool: Spool, paths: Sequence[Path], deadline: Deadline, events: int = _EVENTS_PER_CALL
) -> Iterator[list[tuple[Path, str]]]:
    """The events of ``paths``, as many at once as go into one call, at most ``events``."""
    batch: list[tuple[Path, str]] = []
    size = 0
    for path in paths:
        if not deadline.left():
            deadline.check()
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
