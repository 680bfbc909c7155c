"""Handing over: a host whose spool will die with it puts its events into a folder or an object storage, for a host that sends.

::

    <path>/new/<name>.json     batches of events, in the form of the spool's files, each written once and whole
    <path>/odd/<name>          what is damaged or not ours, with its reason in <name>.reason

`Handover` is the side of the worker, `collect` that of the host that sends: an event is on its disk before the object is deleted,
so a crash in between doubles an event, which does no harm.
"""

from __future__ import annotations

import errno
import json
import logging
import os
import re
import secrets
import stat
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from airflow_provider_mlgov.delivery.deadline import Deadline
from airflow_provider_mlgov.delivery.draining import Draining, SendReport
from airflow_provider_mlgov.delivery.durable import aside, sync
from airflow_provider_mlgov.delivery.forward import batches_of
from airflow_provider_mlgov.delivery.packing import LaterVersionError, packed, unpacked
from airflow_provider_mlgov.errors import CatalogUnavailableError, InvalidEventError

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from airflow_provider_mlgov.delivery.draining import DrainingOptions
    from airflow_provider_mlgov.delivery.outbox import Outbox
    from airflow_provider_mlgov.delivery.spool import Spool

log = logging.getLogger(__name__)

NEW, ODD = "new", "odd"
MOST = 500
"""Objects that are collected in one round."""
_NAME = re.compile(r"\d{20}-[0-9a-f]{16}\.json")
_BYTES_LIMIT = 64 * 2**20
_UNREAD = 3
"""Where so many objects cannot be read, and none could, the place cannot be used."""
_left: dict[tuple[str, str], bool] = {}
"""Objects, by place and name, that this process left where they are, and whether it looks at them again: last, and said once."""
_SHARE = 0.6
"""Of the time of a send, what the receiver has where there is one, before the events are handed over."""


class OddObjectError(Exception):
    """What has the name of an object, and will never be one that can be read."""


class _UnreadError(Exception):
    """One object cannot be read now."""


class Objects(Protocol):
    """A place of objects with names such as ``new/…``. Its errors may be any: whose they are is not known here."""

    def put(self, name: str, content: bytes) -> None:
        """Write an object, so that others see all of it or nothing."""
        ...

    def list(self, folder: str) -> list[tuple[str, int]]:
        """The names in a folder, with their sizes; none where it is not there yet."""
        ...

    def get(self, name: str) -> bytes | None:
        """What an object holds; None if it is gone. `OddObjectError` if it is none."""
        ...

    def move(self, name: str, to: str) -> None:
        """Give an object another name."""
        ...

    def remove(self, name: str) -> None:
        """Delete an object; it may be gone."""
        ...


class FolderObjects:
    """`Objects` in a folder, such as one on a network file system."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def __repr__(self) -> str:
        return str(self._root)

    def put(self, name: str, content: bytes) -> None:
        """See `Objects`."""
        target = self._root / name
        temporary = self._root / "tmp" / f"{target.name}.{secrets.token_hex(4)}"
        for folder in (target.parent, temporary.parent):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(target)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        with suppress(OSError):  # file systems over object storages know no such thing
            sync(target.parent)

    def list(self, folder: str) -> list[tuple[str, int]]:
        """See `Objects`."""
        found = []
        try:
            with os.scandir(self._root / folder) as entries:
                for entry in entries:
                    try:
                        found.append((entry.name, entry.stat(follow_symlinks=False).st_size))
                    except FileNotFoundError:
                        continue
        except FileNotFoundError:
            return []
        return found

    def get(self, name: str) -> bytes | None:
        """See `Objects`."""
        try:
            # A pipe would keep whoever opens it until somebody writes to it.
            handle = os.open(self._root / name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        except FileNotFoundError:
            return None
        except OSError as error:
            if error.errno in (errno.ELOOP, errno.ENXIO):  # a link, a socket
                raise OddObjectError("it is no ordinary file") from None
            raise
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            os.close(handle)
            raise OddObjectError("it is no ordinary file")
        with os.fdopen(handle, "rb") as file:
            return file.read()

    def move(self, name: str, to: str) -> None:
        """See `Objects`."""
        target = self._root / to
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        (self._root / name).rename(target)

    def remove(self, name: str) -> None:
        """See `Objects`."""
        (self._root / name).unlink(missing_ok=True)


class Handover(Draining):
    """Drains a spool into ``objects``; with ``first``, a forwarder, only what its receiver did not take in time."""

    breaker_file = "handover.json"
    destination = "place of handing over"

    def __init__(
        self,
        spool: Spool,
        open_objects: Callable[[], Objects],
        *,
        first: Draining | None = None,
        **more: Unpack[DrainingOptions],
    ) -> None:
        """``open_objects`` is called when something is handed over, under the lock."""
        super().__init__(spool, **more)
        self._open_objects = open_objects
        self.first = first

    def send(self, budget: float | None = None, *, despite_breaker: bool = False) -> SendReport:
        """See `Draining.send`."""
        if self.first is None:
            return super().send(budget, despite_breaker=despite_breaker)
        began = time.monotonic()
        share = None if budget is None else budget * _SHARE
        before = self.first.send(share, despite_breaker=despite_breaker)
        if before.outcome in ("done", "nothing") or not self._spool.has_waiting():
            return before
        left = None if budget is None else budget - (time.monotonic() - began)
        report = super().send(left, despite_breaker=despite_breaker)
        report.events += before.events
        report.dead += before.dead
        return report

    def _deliver_all(self, report: SendReport, deadline: Deadline) -> None:
        objects: Objects | None = None
        while paths := self._spool.waiting():
            deadline.check()
            for batch in batches_of(self._spool, paths, deadline):
                deadline.check()
                content = packed({}, [json.loads(text) for _, text in batch])
                name = f"{NEW}/{time.time_ns():020d}-{secrets.token_hex(8)}.json"
                try:
                    objects = objects or self._open_objects()
                    objects.put(name, content)
                except Exception as error:
                    raise CatalogUnavailableError(f"events cannot be handed over: {_said(error)}") from error
                report.events += len(batch)
                self._spool.acknowledge(path for path, _ in batch)
        self._spool.tidy()


@dataclass
class Collected:
    """What a round of collecting found."""

    events: int = 0
    dead: int = 0
    """Events that are no OpenLineage: dead letters of this host."""
    odd: int = 0
    """Objects that were set aside."""
    more: bool = False
    """Whether there are objects that this round did not take."""


def collect(objects: Objects, outbox: Outbox, *, most: int = MOST, budget: float | None = None) -> Collected:
    """Take what others handed over, oldest first, into this host's spool.

    `CatalogUnavailableError` where the place cannot be used, `SpoolError` where the spool cannot: then the objects wait.
    """
    deadline, collected = Deadline(budget), Collected()
    found = sorted(item for item in _tried(lambda: objects.list(NEW)) if _left.get((repr(objects), item[0]), True))
    fresh = [item for item in found if not _is_left(objects, item[0])]
    collected.more = len(fresh) > most
    read, unread = False, 0
    for name, size in [*fresh, *(item for item in found if item not in fresh)][:most]:
        if deadline.left() <= 0:
            collected.more = collected.more or not _is_left(objects, name)
            break
        try:
            reason = _unfit(name, size)
            if not reason:
                reason = _take(objects, f"{NEW}/{name}", outbox, collected)
                read = True
        except LaterVersionError as error:
            read = True
            _leave(objects, name, f"{error}: it waits for a host of that version", again=False)
            continue
        except _UnreadError as error:
            unread += 1
            if not read and unread in (_UNREAD, len(found)):
                _left[repr(objects), name] = True  # the next round begins with others
                raise CatalogUnavailableError(f"what was handed over cannot be read: {error}") from error
            _leave(objects, name, f"it cannot be read: {error}")
            continue
        if reason and not _is_left(objects, name):
            _set_aside(objects, name, reason, collected)
    return collected


def _unfit(name: str, size: int) -> str:
    """Why an object is not even read, where that is so."""
    if not _NAME.fullmatch(name):
        return "its name is not one that mlgov gives"
    return f"it has {size} bytes; wanted at most {_BYTES_LIMIT}" if size > _BYTES_LIMIT else ""


def counts(objects: Objects) -> tuple[int, int]:
    """How many objects wait, and how many were set aside. `CatalogUnavailableError` where the place cannot be used."""
    odd = _tried(lambda: objects.list(ODD))
    return len(_tried(lambda: objects.list(NEW))), sum(not name.endswith(".reason") for name, _ in odd)


def _take(objects: Objects, name: str, outbox: Outbox, collected: Collected) -> str:
    """Take the events of one object, then delete it; why it cannot be taken, where that is so."""
    try:
        content = objects.get(name)
    except OddObjectError as error:
        return str(error)
    except Exception as error:
        raise _UnreadError(_said(error)) from error
    if content is None:
        return ""  # another host collects too
    try:
        _, events = unpacked(content)
    except LaterVersionError:
        raise
    except (ValueError, RecursionError) as error:
        return str(error)
    for event in events:
        try:
            outbox.put(event, foreign=isinstance(event, dict) and bool(event.get("foreign")))
            collected.events += 1
        except InvalidEventError as error:
            outbox.spool.bury([event], f"it was handed over, and is no event: {error}")
            collected.dead += 1
    _tried(lambda: objects.remove(name))
    return ""


def _set_aside(objects: Objects, name: str, reason: str, collected: Collected) -> None:
    target = f"{ODD}/{aside(name)}"
    _tried(lambda: objects.put(f"{target}.reason", f"{reason}\n".encode()))
    try:
        objects.move(f"{NEW}/{name}", target)
    except Exception as error:  # noqa: BLE001 - whatever it is: it must not keep the others
        _tried(lambda: objects.remove(f"{target}.reason"))
        _leave(objects, name, f"{reason}, and it cannot be set aside: {_said(error)}")
        return
    log.warning("What was handed over as %s is set aside as %s: %s", name, target, reason)
    collected.odd += 1


def _leave(objects: Objects, name: str, reason: str, *, again: bool = True) -> None:
    if not _is_left(objects, name):
        log.warning("What was handed over as %s stays in %s: %s", name, objects, reason)
    _left[repr(objects), name] = again


def _is_left(objects: Objects, name: str) -> bool:
    return (repr(objects), name) in _left


def _tried(call: Callable[[], Any]) -> Any:
    try:
        return call()
    except Exception as error:
        raise CatalogUnavailableError(f"what was handed over cannot be read: {_said(error)}") from error


def _said(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
