"""Forwarding: a host that does not write to the catalogue sends its events to one that does.

An event leaves the spool when the receiver (`mlgov receive`) has it on its own disk. Sending it twice does no harm.
"""

from __future__ import annotations

import json
import logging
import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_provider_mlgov.delivery.deadline import NO_DEADLINE, BudgetSpentError, Deadline
from airflow_provider_mlgov.delivery.draining import Draining, SendReport
from airflow_provider_mlgov.delivery.machine import lacking
from airflow_provider_mlgov.delivery.pace import MOST, Pace
from airflow_provider_mlgov.delivery.receiver_http import Batch, NoAnswerError, ReceiverHttp, said
from airflow_provider_mlgov.delivery.refused import Refused
from airflow_provider_mlgov.errors import CatalogBusyError, CatalogError, CatalogUnavailableError, asks_for_time

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from airflow_provider_mlgov.delivery.draining import DrainingOptions
    from airflow_provider_mlgov.delivery.spool import Spool

log = logging.getLogger(__name__)

Json = dict[str, Any]

_BYTES_PER_CALL = 4 * 2**20
_TOO_LARGE, _WRONG = 413, (400, 422)
_OF_ALL = (301, 302, 303, 307, 308, 401, 404)
"""What is said of the URL or of the token, and so most likely of every event."""
_FEW = 20
_WITNESSES, _FEW_WITNESSES = 4, 2
"""So many events are sent alone to see whether the receiver takes any, where it did not answer as one; few where that is of all."""
_FAILURES_IN_A_ROW = 8
"""After so many calls without a receiver's answer it is looked again whether it takes any: about as many halve a full batch."""
_REFUSED_IN_A_ROW = 1000
"""A receiver that took none of so many will not take the next either: that is not one event, that is all of them."""


class _NoneTakenError(CatalogUnavailableError):
    """What stands at the URL does not answer as a receiver to any event."""


class _OfAllError(_NoneTakenError):
    """It says so of the URL or of the token."""


@dataclass(frozen=True)
class _Failure:
    """Why a batch did not get through."""

    trouble: CatalogError | None
    """What all may have to wait for, unless others are taken; None where only the batch is too large."""
    reason: str


@dataclass
class _Pass:
    """One going through what is to be sent."""

    paths: Sequence[Path]
    report: SendReport
    deadline: Deadline
    pace: Pace
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
        self._receiver = ReceiverHttp(url, token, verify=verify, cert=cert, timeout=timeout, sleep=sleep)
        self._pauses = (more.get("breaker_interval", 60.0), more.get("breaker_cap", 600.0))
        self._refused = Refused(spool.root, *self._pauses)
        self._refused_now = 0
        self._trust = 0
        """How many calls more may fail before it is looked whether the receiver takes any: it did a moment ago."""
        self._by_hand = False

    def health(self, deadline: Deadline = NO_DEADLINE) -> str:
        """``ready``, or what is wrong with the receiver."""
        return self._receiver.health(deadline)

    def _send(self, report: SendReport, deadline: Deadline, *, despite_breaker: bool) -> None:
        self._by_hand = despite_breaker
        super()._send(report, deadline, despite_breaker=despite_breaker)

    def _drain(self, report: SendReport, deadline: Deadline) -> None:
        """The receiver works where it took all but what it refused, and its breaker stays closed for what comes."""
        super()._drain(report, deadline)
        if report.outcome == "done" and (self._refused.names or self._refused.suspects):
            report.outcome, report.reason = "unavailable" if self._refused_now else "open", self._refusal()

    def _deliver_all(self, report: SendReport, deadline: Deadline) -> None:
        self._refused = Refused(self._spool.root, *self._pauses)
        self._refused_now = self._trust = 0
        before = set(self._refused.names)
        try:
            with self._receiver:
                self._deliver_past(report, deadline)
        finally:
            self._refused.save()
            if not before.issuperset(self._refused.names):
                log.warning("Other events go past what was refused: %s", self._refusal())
        self._spool.tidy()

    def _deliver_past(self, report: SendReport, deadline: Deadline) -> None:
        """Send what waits; then what was among events that got no answer; then, now and then, what was refused before."""
        refused = self._refused
        before = dict(refused.names)
        while True:
            waiting = {path.name: path for path in self._spool.waiting()}
            refused.keep(waiting)
            paths = [
                path for name, path in waiting.items() if name not in refused.names and name not in refused.suspects
            ]
            if not paths:
                break
            deadline.check()
            if not self._go_through(_Pass(paths, report, deadline, refused.pace)):
                raise CatalogUnavailableError(self._refusal())
        if refused.suspects:
            paths = [waiting[name] for name in refused.suspects if name in waiting]
            self._try_again(_Pass(paths, report, deadline, Pace(refused.suspected)), refused=False)
        again = [name for name in before if name in refused.names]
        if again and (refused.is_due or self._by_hand):
            # By lot, and alone where they are few: one that is held must not keep the others for ever.
            random.shuffle(again)
            size = 1 if len(again) <= _FEW else random.choice((1, MOST))  # noqa: S311 - no secret
            taken = report.events
            self._try_again(_Pass([waiting[name] for name in again], report, deadline, Pace(size)), refused=True)
            refused.tried(taken=report.events > taken)

    def _try_again(self, work: _Pass, *, refused: bool) -> None:
        """Send what did not get through before, or was ``refused``: where only that fails, the breaker stays closed."""
        is_ready = not work.report.events and self.health(work.deadline) == "ready"  # there may be no time to ask after
        try:
            self._go_through(work)
        except (_NoneTakenError, NoAnswerError, CatalogBusyError) as error:
            is_known = refused and isinstance(error, _NoneTakenError) and not isinstance(error, _OfAllError)
            if not (is_known or work.report.events or is_ready):
                raise
            self._refused_now += 1

    def _go_through(self, work: _Pass) -> bool:
        """Send what is to be sent, past the events that are refused; False where none of very many was taken."""
        in_a_row = 0
        for batch in batches_of(self._spool, work.paths, work.deadline, lambda: work.pace.size):
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
        if not batch or (failure := self._failure_of(work, batch)) is None:
            return
        if failure.trouble is not None:
            self._check_that_it_takes_others(work, batch, failure.trouble)
        if len(batch) == 1:
            self._refuse(work, batch[0][0], failure.reason)
            return
        half = len(batch) // 2
        self._forward(work, batch[:half])
        self._forward(work, batch[half:])

    def _failure_of(self, work: _Pass, batch: Batch) -> _Failure | None:
        """Send a batch; None if each event of it was answered for, or is left for later."""
        is_alone = len(batch) == 1
        try:
            status, answer = self._receiver.send(batch, work.deadline)
        except BudgetSpentError as error:
            name = batch[0][0].name
            if is_alone and self._trust and name in self._refused.suspects and self._refused.suspected == 1:
                self._refuse(work, batch[0][0], f"did not answer in what was left of the time: {error}")
            raise
        except (NoAnswerError, CatalogBusyError) as error:
            asks = asks_for_time(error)
            if asks and self.breaker.opening() is None and batch[0][0].name not in self._refused.suspects:
                raise  # it gets its time
            if not self._note_no_answer(work, batch) and asks:
                raise  # again: these go last then, and fewer at once
            return _Failure(error, str(error))
        except MemoryError as error:
            if not is_alone:
                return _Failure(None, lacking(error, "memory"))
            self._spool.leave(batch[0][0])
            return None
        if self._is_told(work, batch, status, answer):
            return None
        what = self._receiver.answered(status, answer)
        trouble = _OfAllError(what) if status in _OF_ALL else _NoneTakenError(what)
        return _Failure(None if status == _TOO_LARGE and not is_alone else trouble, said(status, answer))

    def _note_no_answer(self, work: _Pass, batch: Batch) -> bool:
        """The receiver may be away: what it took before shows little now, for one event, and nothing for many.

        Whether this is one that was suspected before.
        """
        is_known = len(batch) == 1 and batch[0][0].name in self._refused.suspects
        self._trust = min(self._trust, 1 if len(batch) == 1 else 0)
        work.pace.failed(len(batch))
        if batch[0][0].name not in self._refused.names:
            self._refused.suspect(path.name for path, _ in batch)
        return is_known

    def _check_that_it_takes_others(self, work: _Pass, batch: Batch, trouble: CatalogError) -> None:
        """Raise ``trouble`` where the receiver does not answer as one to any of a few events: then ``batch`` is not to blame.

        Chosen by lot: many that wait may be the trouble, and each send is to have a new chance.
        """
        is_of_all = isinstance(trouble, _OfAllError)
        if self._trust and not is_of_all:
            self._trust -= 1
            return
        tried = work.done | {path for path, _ in batch if len(batch) == 1}
        others = [path for path in work.paths if path not in tried]
        most = _FEW_WITNESSES if is_of_all else _WITNESSES
        try:
            takes_any = self._takes_any(work, random.sample(others, min(most, len(others))))
        except (BudgetSpentError, NoAnswerError, CatalogBusyError) as other:
            raise trouble from other
        if not takes_any:
            raise trouble

    def _takes_any(self, work: _Pass, paths: Sequence[Path]) -> bool:
        """Send events alone until the receiver answers as one; those before are refused by that."""
        failed: list[tuple[Path, str]] = []
        missed = False
        for witness in batches_of(self._spool, paths, work.deadline, lambda: 1):
            try:
                status, answer = self._receiver.send(witness, work.deadline, tries=1)
            except (NoAnswerError, CatalogBusyError):
                if missed:
                    raise
                missed = True  # this one may be another at which it fails
                continue
            if self._is_told(work, witness, status, answer):
                for each in failed:
                    self._refuse(work, *each)
                return True
            failed.append((witness[0][0], said(status, answer)))
        return False

    def _refuse(self, work: _Pass, path: Path, reason: str) -> None:
        """The receiver takes others and not this event: it waits, and is tried again now and then."""
        work.done.add(path)
        self._refused.clear([path.name])
        self._refused.add(path.name, f"it takes others, and {reason}")
        self._refused_now += 1

    def _is_told(self, work: _Pass, batch: Batch, status: int, answer: Json) -> bool:
        """Do what a receiver says of each event: bury what is refused for what it says, keep what may be taken later.

        False if this is no answer of a receiver to this batch.
        """
        report = work.report
        if status == _TOO_LARGE and len(batch) == 1 and isinstance(answer.get("mlgov_limit"), int):
            failed = {0: {"reason": str(answer.get("error")), "status": status}}
        elif status == 200 and (told := _failed(answer, len(batch))) is not None:
            failed, self._trust = told, _FAILURES_IN_A_ROW
        else:
            return False
        work.done.update(path for path, _ in batch)
        self._refused.clear(path.name for path, _ in batch)
        work.pace.took(len(batch))
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
        if not count:
            return f"the receiver at {self.url} takes others, but does not answer to {len(self._refused.suspects)} that wait"
        return f"the receiver at {self.url} refuses {count} that wait, the last since {self._refused.reason}"


def batches_of(
    spool: Spool, paths: Sequence[Path], deadline: Deadline, most: Callable[[], int] = lambda: MOST
) -> Iterator[list[tuple[Path, str]]]:
    """The events of ``paths``, as many at once as go into one call, at most ``most()``."""
    batch: list[tuple[Path, str]] = []
    size = 0
    for path in paths:
        if not deadline.left():
            deadline.check()
        event = spool.read(path)
        if event is None:
            continue
        text = json.dumps(event, separators=(",", ":"))
        if batch and (len(batch) >= most() or size + len(text) > _BYTES_PER_CALL):
            yield batch
            batch, size = [], 0
        batch.append((path, text))
        size += len(text)
    if batch:
        yield batch


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
