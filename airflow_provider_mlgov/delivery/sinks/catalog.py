"""The sink that writes to a catalogue: a real Atlas, the served embedded one, or the embedded one."""

from __future__ import annotations

import contextlib
import json
import logging
import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

from airflow_provider_mlgov.delivery.batch import batches
from airflow_provider_mlgov.delivery.deadline import Deadline
from airflow_provider_mlgov.delivery.history import History
from airflow_provider_mlgov.delivery.readback import never_shrink
from airflow_provider_mlgov.delivery.sinks.catalog_work import TRIES, UnansweredError, Work
from airflow_provider_mlgov.delivery.sinks.sink import Delivered, Parcel, RunShare
from airflow_provider_mlgov.delivery.state import SenderState
from airflow_provider_mlgov.errors import (
    CatalogBusyError,
    CatalogDroppedError,
    CatalogRefusedError,
    CatalogUnavailableError,
    EntityNotFoundError,
)
from airflow_provider_mlgov.model.entity import Entity, Ref
from airflow_provider_mlgov.translate.settle import Settled, lookups, settle

if TYPE_CHECKING:
    from airflow_provider_mlgov.catalog.catalog import Catalog

log = logging.getLogger(__name__)

Json = dict[str, Any]
T = TypeVar("T")

_PAUSE, _LONGEST_PAUSE = 0.2, 5.0
_ANY_TYPE = "Referenceable"
_SEARCH_PAGE, _SEARCH_LIMIT = 500, 5_000
_LEAST_SECONDS = 0.5
"""With less time left no write is begun: one that is cut off blocks the next sender for a minute."""
_TYPES_FACT, _SIZE_FACT, _SUSPECT_FACT = "types", "batch size", "suspect"
_RUN_KEYS = {"mlgov_task_run": ("taskKey", "taskKey"), "mlgov_job_run": ("jobKey", "workerKey")}
"""What names the worker on a process, and on those of its runs."""


class CatalogSink:
    """Looks up what is stored, settles, and writes in batches. To be used under the sender's lock.

    ``linger``: how many seconds a call whose caller is gone may still be at work in the catalogue; 0 where calls are
    transactions of this process. Taken from the catalogue's own ``linger``, if it has one.
    """

    def __init__(
        self,
        catalog: Catalog,
        state: SenderState,
        *,
        batch_size: int = 100,
        apply_types: bool = True,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.catalog = catalog
        self._name = catalog.identity
        self._state = state
        self._batch_size = batch_size
        self._apply_types = apply_types
        self._linger: float = getattr(catalog, "linger", 60.0)
        self._sleep = sleep
        self._clock = clock

    def close(self) -> None:
        """Release the catalogue's connections."""
        self.catalog.close()

    def deliver(self, parcel: Parcel, deadline: Deadline) -> Delivered:
        """Write the parcel. See `Sink`."""
        with self._bounded(deadline):
            self._await_open_call(deadline)
            self._ensure_types(deadline)
            history = History(
                parcel, self.catalog, self._name, self._state, lambda call: self.patiently(call, deadline)
            )
            history.look_back()
            history.rename()
            settled, stored = self._settled(parcel, deadline)
            settled = replace(settled, entities=history.without_gone(settled.entities, stored))
            history.begin()
            work = Work(self, deadline)
            work.delivered.warnings += settled.warnings
            work.delivered.refused |= self._suspects(settled.entities)
            for batch in batches(settled.entities, self._size()):
                work.write(batch)
            work.finish()
            for update in settled.updates:
                self._update(update.type_name, update.qualified_name, update.attributes, work)
            work.mark()
            self._remember(work, stored, parcel)
            history.end(work.created)
            history.drop()
            for share in parcel.runs:
                if not share.processes & work.delivered.refused.keys():
                    for process in sorted(share.given_up):
                        self._retire(process, share, deadline)
            return work.delivered

    def _bounded(self, deadline: Deadline) -> contextlib.AbstractContextManager[None]:
        """All calls end within the deadline, where the catalogue can do that."""
        within = getattr(self.catalog, "within", None)
        left = deadline.left()
        if within is None or left == float("inf"):
            return contextlib.nullcontext()
        bounded: contextlib.AbstractContextManager[None] = within(left)
        return bounded

    # --- before the first write --------------------------------------------------------------------------------------
    def _await_open_call(self, deadline: Deadline) -> None:
        """A call that nobody saw end may still create its names: two creators at once make duplicates."""
        note = self._state.note(self._name)
        if note is None:
            return
        wait = min(note.started + self._linger - self._clock(), self._linger)
        if wait > 0:
            deadline.check(wait)
            log.info("A call to %s was cut off and may still be at work there; waiting %.0f s", self._name, wait)
            self._sleep(wait)
        with self._state.transaction():
            self._state.forget(self._name, note.names)
        self._state.end_call(self._name)

    def _ensure_types(self, deadline: Deadline, *, again: bool = False) -> None:
        from airflow_provider_mlgov.catalog.types.apply import apply, plan
        from airflow_provider_mlgov.catalog.types.definitions import our_types_digest

        if not again and self._state.fact(self._name, _TYPES_FACT) == our_types_digest():
            return
        try:
            found = self.patiently(lambda: (apply if self._apply_types else plan)(self.catalog), deadline)
        except CatalogRefusedError as error:
            raise CatalogUnavailableError(
                f"the types cannot be applied to {self._name}: {error}; run 'mlgov types apply' as a user who may"
            ) from error
        if not self._apply_types and not found.is_empty:
            lacking = ", ".join([*found.missing, *found.incomplete, *found.conflicts])
            raise CatalogUnavailableError(
                f"{self._name} lacks types, and [mlgov] types_apply is manual: run 'mlgov types apply' ({lacking})"
            )
        self._state.set_fact(self._name, _TYPES_FACT, our_types_digest())

    def _settled(self, parcel: Parcel, deadline: Deadline) -> tuple[Settled, dict[Ref, Json]]:
        new = {share.run for share in parcel.runs if share.new}
        stored: dict[Ref, Json] = {}
        marked = {entity.ref for entity in parcel.entities if entity.marks}
        wanted = set(lookups(parcel.entities)) - new
        while wanted:
            found = self._stored(wanted, deadline, marked)
            stored |= found
            wanted = set(lookups(parcel.entities, stored)) - new if found else set()
        settled = settle(parcel.entities, stored)
        forgotten = {share.run: share.processes for share in parcel.runs if share.forgotten}
        for told in parcel.entities:
            if told.ref in forgotten and told.ref in stored and told.latest:
                attributes = stored[told.ref].get("attributes", {})
                kept = never_shrink(settled.entities, told, forgotten[told.ref], attributes)
                settled = replace(settled, entities=tuple(kept))
        return settled, stored

    def _stored(self, wanted: set[Ref], deadline: Deadline, marked: set[Ref]) -> dict[Ref, Json]:
        """What the catalogue has of these, asked for where it was not seen or written lately.

        Those that are ``marked`` are always asked for: people put marks there too.
        """
        found = self._state.known(self._name, (ref for ref in wanted - marked if _keeps(ref)))
        missing = sorted(wanted - found.keys())
        if len({ref.type_name for ref in missing}) > 1:
            # One call for all types. Where another type has the same name, that answer says nothing, and the type is asked for.
            answers = self._look_up(_ANY_TYPE, [ref.qualified_name for ref in missing], deadline)
            missing = [ref for ref in missing if ref.qualified_name in answers]
            right = {ref for ref in missing if answers[ref.qualified_name].get("typeName") == ref.type_name}
            found |= {ref: answers[ref.qualified_name] for ref in right}
            missing = [ref for ref in missing if ref not in right]
        for type_name in dict.fromkeys(ref.type_name for ref in missing):
            names = [ref.qualified_name for ref in missing if ref.type_name == type_name]
            found |= {
                Ref(type_name, name): entity for name, entity in self._look_up(type_name, names, deadline).items()
            }
        return found

    def _look_up(self, type_name: str, names: list[str], deadline: Deadline) -> dict[str, Json]:
        return self.patiently(lambda: self.catalog.get_many(type_name, names), deadline)

    # --- writing -----------------------------------------------------------------------------------------------------
    def write(self, documents: list[Json], refs: list[Ref]) -> Json:
        """One call, with its note."""
        if not self._linger:
            return self.catalog.write(documents)
        self._state.begin_call(self._name, refs)
        try:
            answer = self.catalog.write(documents)
        except CatalogBusyError as error:
            if error.__cause__ is not None:  # no answer was seen: the note stays, and the next attempt is smaller
                self._state.set_fact(self._name, _SIZE_FACT, str(max(1, len(refs) // 2)))
                raise UnansweredError(str(error)) from error
            self._state.end_call(self._name)
            raise
        except Exception:
            self._state.end_call(self._name)
            raise
        self._state.end_call(self._name)
        return answer

    def suspect(self, ref: Ref) -> None:
        """The catalogue took others and did not answer this one alone: it is set aside by the next delivery."""
        suspects = sorted({*self._suspected(), ref})
        self._state.set_fact(
            self._name, _SUSPECT_FACT, json.dumps([[each.type_name, each.qualified_name] for each in suspects])
        )

    def _suspected(self) -> set[Ref]:
        """All that were set aside since a delivery ended well: one after the other may be found, with a send for each."""
        found = json.loads(self._state.fact(self._name, _SUSPECT_FACT) or "[]")
        return {Ref(*each) for each in found if isinstance(each, list)}

    def _suspects(self, entities: Sequence[Entity]) -> dict[Ref, str]:
        suspects = self._suspected()
        reason = "the catalogue does not answer when it is written, alone, and takes others"
        return {entity.ref: reason for entity in entities if entity.ref in suspects}

    def types_again(self, deadline: Deadline) -> None:
        """The catalogue does not know a type: somebody may have emptied it."""
        self._ensure_types(deadline, again=True)

    def patiently(self, call: Callable[[], T], deadline: Deadline, *, tries: int = TRIES) -> T:
        """``call``, tried again with full jitter while the catalogue is busy and time is left."""
        for attempt in range(1, tries + 1):
            deadline.check(_LEAST_SECONDS)
            try:
                return call()
            except (UnansweredError, CatalogDroppedError):
                raise
            except CatalogBusyError as error:
                if attempt == tries:
                    raise
                longest = min(_LONGEST_PAUSE, _PAUSE * 2**attempt)
                pause = error.retry_after if error.retry_after is not None else random.uniform(0, longest)  # noqa: S311
                if deadline.left() <= pause + _LEAST_SECONDS:
                    raise
                self._sleep(pause)
        raise AssertionError("tries is at least 1")

    def _size(self) -> int:
        return min(self._batch_size, int(self._state.fact(self._name, _SIZE_FACT) or self._batch_size))

    def _update(self, type_name: str, qualified_name: str, attributes: Mapping[str, Any], work: Work) -> None:
        try:
            self.patiently(lambda: self.catalog.update(type_name, qualified_name, attributes), work.deadline)
        except EntityNotFoundError:
            return  # somebody deleted it: nothing to bring up to date
        except CatalogRefusedError as error:
            work.delivered.refused[Ref(type_name, qualified_name)] = str(error)

    def _remember(self, work: Work, stored: Mapping[Ref, Json], parcel: Parcel) -> None:
        asked = set(lookups(parcel.entities))  # of others it is not known what the catalogue has
        known = {}
        for entity in work.written:
            if entity.ref in asked and _keeps(entity.ref):
                before = stored.get(entity.ref, {}).get("attributes", {})
                known[entity.ref] = {"attributes": {**before, **entity.attributes}}
        with self._state.transaction():
            self._state.remember(self._name, known)
        for name in (_SIZE_FACT, _SUSPECT_FACT):
            if self._state.fact(self._name, name):
                self._state.set_fact(self._name, name, None)

    # --- processes that a run gave up --------------------------------------------------------------------------------
    def _retire(self, process: Ref, share: RunShare, deadline: Deadline) -> None:
        """Soft-delete a process that was written before the ends of its only run grew, or a job event replaced those of its job."""
        if self._state.claimed(process, besides=share.key):
            return
        entity = self.patiently(lambda: self.catalog.get(process.type_name, process.qualified_name), deadline)
        if entity is None or self._done_by_another(entity.get("attributes", {}), share.run, deadline):
            return
        self.patiently(lambda: self.catalog.delete(process.type_name, process.qualified_name), deadline)
        with self._state.transaction():
            self._state.forget(self._name, [process])

    def _done_by_another(self, attributes: Mapping[str, Any], run: Ref | None, deadline: Deadline) -> bool:
        """Whether the catalogue has another run that did this process; True where that cannot be found out.

        What a job event told of has no run: ``run`` is None.
        """
        if run is None:
            return bool(attributes.get("lastRun"))
        if "firstRun" in attributes:
            return {attributes["firstRun"], attributes.get("lastRun")} != {run.qualified_name}
        of_process, of_run = _RUN_KEYS.get(run.type_name, ("", ""))
        process_key = attributes.get("processKey")
        if not attributes.get(of_process) or not process_key:
            return True
        if attributes.get("lastRun") not in (None, run.qualified_name):
            return True
        for offset in range(0, _SEARCH_LIMIT, _SEARCH_PAGE):
            page = self.patiently(
                lambda offset=offset: self.catalog.search(  # type: ignore[misc]
                    run.type_name,
                    {of_run: attributes[of_process]},
                    attributes=("processKey",),
                    limit=_SEARCH_PAGE,
                    offset=offset,
                ),
                deadline,
            )
            for header in page:
                found = header.get("attributes", {})
                keys = str(found.get("processKey") or "").split()
                if process_key in keys and found.get("qualifiedName") != run.qualified_name:
                    return True
            if len(page) < _SEARCH_PAGE:
                return False
        return True


_ASKED_FOR = frozenset({"mlgov_endpoint", "mlgov_job_run", "mlgov_model", "mlgov_model_deployment", "mlgov_task_run"})
"""Types whose stored form decides what is kept: never taken from memory, since another host may have written it."""


def _keeps(ref: Ref) -> bool:
    """Whether it may be remembered what the catalogue has of it."""
    return ref.type_name not in _ASKED_FOR
