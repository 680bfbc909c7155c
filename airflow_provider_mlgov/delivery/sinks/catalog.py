"""The sink that writes to a catalogue: a real Atlas, the served embedded one, or the embedded one."""

from __future__ import annotations

import contextlib
import logging
import random
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

from airflow_provider_mlgov.delivery.batch import batches, in_order, without_dependents
from airflow_provider_mlgov.delivery.deadline import Deadline
from airflow_provider_mlgov.delivery.history import History
from airflow_provider_mlgov.delivery.readback import never_shrink
from airflow_provider_mlgov.delivery.sinks.catalog_retiring import Retiring
from airflow_provider_mlgov.delivery.sinks.catalog_suspects import Suspects
from airflow_provider_mlgov.delivery.sinks.catalog_work import TRIES, UnansweredError, UnknownTypeError, Work
from airflow_provider_mlgov.delivery.sinks.sink import Delivered, Parcel, RunShare
from airflow_provider_mlgov.delivery.state import SenderState
from airflow_provider_mlgov.errors import (
    CatalogBusyError,
    CatalogDroppedError,
    CatalogRefusedError,
    CatalogUnavailableError,
    EntityNotFoundError,
    ForeignAnswerError,
    names_one,
)
from airflow_provider_mlgov.model.entity import Entity, Ref
from airflow_provider_mlgov.translate.settle import FACTS_TIME, Settled, lookups, merge, settle

if TYPE_CHECKING:
    from airflow_provider_mlgov.catalog.catalog import Catalog

log = logging.getLogger(__name__)

Json = dict[str, Any]
T = TypeVar("T")

_PAUSE, _LONGEST_PAUSE = 0.2, 5.0
_LONGEST_WAIT = 30.0
"""A server that wants to be left alone for longer (``Retry-After``) is: the breaker waits, and nobody sleeps with the lock."""
_ANY_TYPE = "Referenceable"
_LEAST_SECONDS = 0.5
"""With less time left no write is begun: one that is cut off blocks the next sender for a minute."""
_TYPES_FACT, _SIZE_FACT = "types", "batch size"


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
    ) -> None:
        self.catalog = catalog
        self.retries = 0
        """How often a call was made again."""
        self._name = catalog.identity
        self._state = state
        self._batch_size = batch_size
        self._apply_types = apply_types
        self._linger: float = getattr(catalog, "linger", 60.0)
        self._sleep = sleep
        self._once_more = True
        """Whether a call is made again that was answered as all may be."""
        self.suspects = Suspects(state, self._name)

    def close(self) -> None:
        """Release the catalogue's connections."""
        self.catalog.close()

    def deliver(self, parcel: Parcel, deadline: Deadline) -> Delivered:
        """Write the parcel. See `Sink`."""
        self._once_more = True
        with self._bounded(deadline):
            self.await_open_call(deadline)
            self._ensure_types(deadline)
            try:
                return self._deliver(parcel, Work(self, deadline))
            except UnknownTypeError as error:
                lacked = self._ensure_types(deadline, again=True)
                if lacked:  # somebody emptied it, so what was looked up and settled before is wrong
                    with self._state.transaction():
                        self._state.begin_anew(self._name)
                work = Work(self, deadline, types_are_there=True)
                if lacked:
                    work.delivered.warnings.append(f"types were missing in the catalogue and applied again: {error}")
                return self._deliver(parcel, work)

    def _deliver(self, parcel: Parcel, work: Work) -> Delivered:
        deadline = work.deadline
        self.suspects.is_again = parcel.again
        history = History(parcel, self.catalog, self._name, self._state, lambda call: self.patiently(call, deadline))
        if told_again := history.rename():
            parcel = replace(parcel, entities=merge([*parcel.entities, *told_again]))
        history.take_back()
        if parcel.again:
            self.forget(entity.ref for entity in parcel.entities)
        with work.knowing_types():
            settled, stored, described = self._settled(parcel, deadline)
            if parcel.again:
                settled = replace(settled, entities=self._still_there(settled.entities, deadline))
        settled = replace(settled, entities=history.without_gone(settled.entities, stored))
        history.begin()
        work.delivered.warnings += settled.warnings
        work.delivered.refused |= self.suspects.set_aside(settled.entities)
        work.look_again(self.suspects.forbidden(settled.entities))
        for batch in batches(settled.entities, self._size(), self.suspects.apart):
            work.write(batch)
        work.finish()
        for update in settled.updates:
            self._update(update.type_name, update.qualified_name, update.attributes, work)
        work.mark()
        self._remember(work, stored, described, parcel)
        history.end(work.created)
        history.drop()
        work.delivered.warnings += history.warnings
        shares = [share for share in parcel.runs if not share.processes & work.delivered.refused.keys()]
        kept = {entity.ref for entity in parcel.entities}
        retiring = Retiring(self.catalog, self._name, self._state, lambda call: self.patiently(call, deadline))
        work.delivered.warnings += retiring.retire(shares, kept)
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
    def await_open_call(self, deadline: Deadline) -> None:
        """A call that nobody saw end may still create its names: two creators at once make duplicates."""
        note = self._state.note(self._name)
        if note is None:
            return
        wait = self._linger - note.age
        if wait > 0:
            deadline.check(wait)
            log.info("A call to %s was cut off and may still be at work there; waiting %.0f s", self._name, wait)
            self._sleep(wait)
        with self._state.transaction():
            self._state.forget(self._name, note.names)
        self._state.end_call(self._name)

    def _ensure_types(self, deadline: Deadline, *, again: bool = False) -> bool:
        """See to it that the catalogue has our types; whether it lacked any."""
        from airflow_provider_mlgov.catalog.types.apply import apply, plan
        from airflow_provider_mlgov.catalog.types.definitions import our_types_digest

        if not again and self._state.fact(self._name, _TYPES_FACT) == our_types_digest():
            return False
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
        return not found.is_empty

    def _settled(
        self, parcel: Parcel, deadline: Deadline
    ) -> tuple[Settled, dict[Ref, Json], dict[Ref, dict[str, int]]]:
        new = {share.run for share in parcel.runs if share.new}
        stored: dict[Ref, Json] = {}
        marked = {entity.ref for entity in parcel.entities if entity.marks}
        given_up = {ref for share in parcel.runs for ref in share.given_up if ref.is_process}
        wanted = {*lookups(parcel.entities), *given_up.intersection(entity.ref for entity in parcel.entities)} - new
        while wanted:
            found = self._stored(wanted, deadline, marked)
            stored |= found
            wanted = set(lookups(parcel.entities, stored)) - new if found else set()
        left = self._without_given_up(stored, parcel.runs)
        stored |= left
        described = self._state.described(self._name, [entity.ref for entity in parcel.entities if entity.described])
        settled = settle(parcel.entities, stored, described)
        settled = replace(settled, entities=tuple(_without_last(one, left.get(one.ref)) for one in settled.entities))
        forgotten = {share.run: share.processes for share in parcel.runs if share.forgotten}
        for told in parcel.entities:
            if told.ref in forgotten and told.ref in stored and told.latest:
                attributes = stored[told.ref].get("attributes", {})
                kept = never_shrink(settled.entities, told, forgotten[told.ref], attributes)
                settled = replace(settled, entities=tuple(kept))
        return settled, stored, described

    def _still_there(self, entities: Sequence[Entity], deadline: Deadline) -> tuple[Entity, ...]:
        """Those that are in the catalogue, of what was there when it was delivered before."""
        there = self._stored({entity.ref for entity in entities}, deadline, set())
        absent = {entity.ref: "it was deleted" for entity in entities if entity.ref not in there}
        return tuple(without_dependents(in_order(entities), absent)[0])

    def _without_given_up(self, stored: Mapping[Ref, Json], shares: Iterable[RunShare]) -> dict[Ref, Json]:
        """Those of ``stored`` that say what a run says no more: another run's word counts in its place, though it is older.

        It may have given a process up in an earlier delivery than that of who did it before.
        """
        now = {(ref, share.name) for share in shares for ref in share.given_up & stored.keys()}
        found = {}
        for ref, entity in stored.items():
            attributes = entity.get("attributes", {})
            last = attributes.get("lastRun") or ""  # of a process: a job event told of it last, which has no run
            if ((last or ref.is_process) and (ref, last) in now) or (
                ref.is_process and last in self._state.who_gave_up(ref)
            ):
                known = {name: value for name, value in attributes.items() if name != FACTS_TIME}
                found[ref] = {**entity, "attributes": known}
        return found

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

    def forget(self, refs: Iterable[Ref]) -> None:
        """Somebody changed these by other ways: they are looked up again."""
        with self._state.transaction():
            self._state.forget(self._name, refs)

    # --- writing -----------------------------------------------------------------------------------------------------
    def write(self, documents: list[Json], refs: list[Ref]) -> Json:
        """One call, with its note."""
        if not self._linger:
            return self.catalog.write(documents)
        self._state.begin_call(self._name, refs)
        try:
            answer = self.catalog.write(documents)
        except CatalogBusyError as error:
            if error.unanswered:  # the note stays, and the next attempt is smaller
                self._state.set_fact(self._name, _SIZE_FACT, str(max(1, len(refs) // 2)))
                raise UnansweredError(str(error), retry_after=error.retry_after) from error
            self._state.end_call(self._name)
            raise
        except MemoryError:  # nobody saw it end
            raise
        except Exception:
            self._state.end_call(self._name)
            raise
        self._state.end_call(self._name)
        return answer

    def patiently(self, call: Callable[[], T], deadline: Deadline, *, tries: int = TRIES) -> T:
        """``call``, tried again with full jitter while the catalogue is busy and time is left.

        Once more, too, where somebody else answered, or all may be refused so: one of two servers behind a proxy may do that. If it
        is no better then, no other call of this delivery is made twice for that.
        """
        is_again = False
        for attempt in range(1, tries + 1):
            deadline.check(_LEAST_SECONDS)
            try:
                return call()
            except (UnansweredError, CatalogDroppedError):
                raise
            except (ForeignAnswerError, CatalogRefusedError) as error:
                self._once_more = self._once_more and (names_one(error) or not is_again)
                last = attempt == tries or deadline.left() <= _LEAST_SECONDS
                if names_one(error) or last or not self._once_more:
                    raise
                is_again = True
                self.retries += 1
            except CatalogBusyError as error:
                if attempt == tries:
                    raise
                longest = min(_LONGEST_PAUSE, _PAUSE * 2**attempt)
                pause = error.retry_after if error.retry_after is not None else random.uniform(0, longest)  # noqa: S311
                if pause > _LONGEST_WAIT or deadline.left() <= pause + _LEAST_SECONDS:
                    raise
                self.retries += 1
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

    def _remember(
        self, work: Work, stored: Mapping[Ref, Json], dated: Mapping[Ref, Mapping[str, int]], parcel: Parcel
    ) -> None:
        asked = set(lookups(parcel.entities))  # of others it is not known what the catalogue has
        known = {}
        for entity in work.written:
            if entity.ref in asked and _keeps(entity.ref):
                before = stored.get(entity.ref, {}).get("attributes", {})
                known[entity.ref] = {"attributes": {**before, **entity.attributes}}
        written = {entity.ref for entity in work.written}
        told = {
            entity.ref: entity.described for entity in parcel.entities if entity.described and entity.ref in written
        }
        times = {ref: _later(dated.get(ref, {}), described) for ref, described in told.items()}
        with self._state.transaction():
            self._state.forget_given_up((ref, share.name) for share in parcel.runs for ref in share.processes)
            self._state.remember(self._name, known)
            self._state.remember_described(
                self._name, {ref: after for ref, after in times.items() if after != dated.get(ref)}
            )
        self.suspects.delivered({entity.ref for entity in parcel.entities})
        if not parcel.again and self._state.fact(self._name, _SIZE_FACT):
            self._state.set_fact(self._name, _SIZE_FACT, None)


def _without_last(entity: Entity, given_up: Json | None) -> Entity:
    """A process that its last run gave up, and of which only a job event tells: no run did it last."""
    if given_up is None or not entity.ref.is_process or FACTS_TIME in entity.attributes:
        return entity
    known = given_up["attributes"]
    last = {name: None for name in ("lastRun", "lastState") if known.get(name)}
    return replace(entity, attributes={**entity.attributes, **last, FACTS_TIME: None})


_ASKED_FOR = frozenset({"mlgov_endpoint", "mlgov_job_run", "mlgov_model", "mlgov_model_deployment", "mlgov_task_run"})
"""Types whose stored form decides what is kept: never taken from memory, since another host may have written it."""


def _later(before: Mapping[str, int], described: Mapping[str, tuple[int, Any]]) -> dict[str, int]:
    """When each attribute was told, the later of both times."""
    return {**before, **{name: max(time, before.get(name, time)) for name, (time, _) in described.items()}}


def _keeps(ref: Ref) -> bool:
    """Whether it may be remembered what the catalogue has of it."""
    return ref.type_name not in _ASKED_FOR
