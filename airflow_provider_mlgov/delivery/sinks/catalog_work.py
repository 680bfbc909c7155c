"""The writing of one parcel to a catalogue: batches are halved where they fail, until the culprit is alone."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from airflow_provider_mlgov.delivery.batch import to_atlas, without_dependents
from airflow_provider_mlgov.delivery.deadline import Deadline
from airflow_provider_mlgov.delivery.sinks.catalog_suspects import STRIKES
from airflow_provider_mlgov.delivery.sinks.sink import Delivered
from airflow_provider_mlgov.errors import CatalogBusyError, CatalogRefusedError
from airflow_provider_mlgov.model.entity import Entity, Ref

if TYPE_CHECKING:
    from airflow_provider_mlgov.delivery.sinks.catalog import CatalogSink

Json = dict[str, Any]

TRIES = 3
"""How often a call is made, where that may help."""
_STUCK_LIMIT = 3
_DOUBTFUL, _LITTLE_SECONDS = 8, 2.0
"""After so many refusals, or with so little time left, it is looked whether others are taken still."""
_UNKNOWN_TYPES = frozenset({"ATLAS-400-00-014", "ATLAS-404-00-001"})
_ALREADY_CLASSIFIED = "ATLAS-400-00-01A"


class UnansweredError(CatalogBusyError):
    """A write was cut off before its answer: nothing may be written until it is certainly over."""


class UnknownTypeError(CatalogRefusedError):
    """The catalogue does not know a type: it lacks ours, or an entity is of one that nobody made."""


class Work:
    """The writing of one parcel: what was written, what was refused, what the catalogue could not answer."""

    def __init__(self, sink: CatalogSink, deadline: Deadline, *, types_are_there: bool = False) -> None:
        """``types_are_there``: they were looked at a moment ago, so a type that is unknown is the fault of the entity."""
        self.deadline = deadline
        self._types_are_there = types_are_there
        self.delivered = Delivered()
        self.written: list[Entity] = []
        self.created: set[str] = set()
        """The guids of what was not there before."""
        self._sink = sink
        self._guids: dict[Ref, str] = {}
        self._stuck: dict[Ref, CatalogBusyError] = {}
        self._stuck_in_a_row = 0
        self._forbidden: CatalogRefusedError | None = None
        self._doubtful: list[Ref] = []
        """What was refused as all may be, since anything was written."""

    def write(self, batch: Sequence[Entity], *, tries: int = TRIES) -> None:
        """Write ``batch``; halve it where it fails, until the culprit is alone."""
        without = {**self.delivered.refused, **{ref: str(error) for ref, error in self._stuck.items()}}
        kept, left_out = without_dependents(batch, without)
        self.delivered.refused |= left_out
        if not kept:
            return
        try:
            with self.knowing_types():
                self._send(kept, tries)
        except UnansweredError:
            if len(kept) == 1 and self.written:
                self._sink.suspects.suspect(kept[0].ref)
            raise
        except UnknownTypeError:
            raise
        except CatalogRefusedError as error:
            if len(kept) == 1:
                self._refuse(kept[0].ref, error)
                return
            self._halve(kept, tries, is_remembered=error.may_concern_all)
        except CatalogBusyError as error:
            if len(kept) == 1:
                self._stuck[kept[0].ref] = error
                self._stuck_in_a_row += 1
                if self._stuck_in_a_row >= _STUCK_LIMIT:
                    raise
                return
            self._halve(kept, 2, is_remembered=True)

    def look_again(self, known: Sequence[Entity]) -> None:
        """Of what an earlier send found refused write one of each type, by lot: if that is refused still, so are all of it."""
        types: dict[str, list[Entity]] = defaultdict(list)
        for entity in known:
            if entity.ref not in self.delivered.refused:
                types[entity.type_name].append(entity)
        for entities in types.values():
            if (error := self._refusal_of(random.choice(entities))) is None:  # noqa: S311 - no secret
                self._sink.suspects.allow([entity.ref for entity in entities])
            else:
                self._forbidden = error
                self.delivered.refused |= {entity.ref: str(error) for entity in entities}

    def _refusal_of(self, entity: Entity) -> CatalogRefusedError | None:
        """How an entity is refused as all may be; None if it is not: whatever else it brings about shows when it is written."""
        try:
            self._note_created(self._call([entity], TRIES))
        except UnansweredError:
            self._sink.suspects.allow([entity.ref])
            raise
        except CatalogBusyError:
            return None
        except CatalogRefusedError as error:
            return error if error.may_concern_all else None
        return None

    def _refuse(self, ref: Ref, error: CatalogRefusedError) -> None:
        """It is refused; after some that were as all may be, look whether others are taken still, and remember these.

        A user may lack the right to a type of which there are more entities than a send has time for.
        """
        self.delivered.refused[ref] = str(error)
        if not error.may_concern_all:
            return
        self._forbidden = error
        self._doubtful.append(ref)
        if self.written and (len(self._doubtful) >= _DOUBTFUL or self.deadline.left() < _LITTLE_SECONDS):
            self._call([self.written[-1]], TRIES)
            self._others_are_taken()

    def _others_are_taken(self) -> None:
        """So it is known of what was refused before that it is that: the next send begins with this, should time be over."""
        self._forbidden = None
        if self._doubtful:
            self._sink.suspects.forbid(self._doubtful)
            self._doubtful = []

    @contextmanager
    def knowing_types(self) -> Iterator[None]:
        """What the catalogue says of an unknown type is `UnknownTypeError`, unless the types are there."""
        try:
            yield
        except CatalogRefusedError as error:
            if error.error_code in _UNKNOWN_TYPES and not self._types_are_there:
                raise UnknownTypeError(str(error), error_code=error.error_code, status=error.status) from error
            raise

    def mark(self) -> None:
        """Add labels and classifications. What the catalogue does not know is said, and costs nothing else."""
        catalog = self._sink.catalog
        for entity in self.written:
            guid, marks = self._guids.get(entity.ref), entity.marks
            if guid is None or not (marks.labels or marks.classifications):
                continue
            if marks.labels:
                self._mark(entity, partial(catalog.add_labels, guid, sorted(marks.labels)))
            for item in sorted(marks.classifications):
                classification = {"typeName": item.type_name, "propagate": item.propagate}
                self._mark(entity, partial(catalog.classify, guid, [classification]))

    def _mark(self, entity: Entity, call: Callable[[], None]) -> None:
        try:
            self._sink.patiently(call, self.deadline)
        except CatalogRefusedError as error:
            if error.error_code != _ALREADY_CLASSIFIED:
                self.delivered.warnings.append(f"a mark of {entity.qualified_name} was refused: {error}")

    def finish(self) -> None:
        """Decide about what could not be answered: culprits if others were written, else the catalogue as a whole."""
        if not self.written:
            if self._stuck:
                raise next(iter(self._stuck.values()))
            if self._forbidden is not None:
                raise self._forbidden
        if self._stuck_in_a_row or self._forbidden is not None:
            # Nothing was written since: it may be the catalogue that fails now. What it took before is written again, to see.
            self._call([self.written[-1]], TRIES)
        for ref, error in self._stuck.items():
            self.delivered.refused[ref] = f"the catalogue takes the others but not this one: {error}"

    def _halve(self, batch: list[Entity], tries: int, *, is_remembered: bool) -> None:
        """``is_remembered``: there may be too little time for all, and the next send goes on from here."""
        if is_remembered:
            self._sink.suspects.fails_at([entity.ref for entity in batch])
        middle = len(batch) // 2
        self.write(batch[:middle], tries=tries)
        self.write(batch[middle:], tries=tries)

    def _send(self, batch: list[Entity], tries: int) -> None:
        answer = self._call(batch, tries)
        self._stuck_in_a_row = 0
        self._others_are_taken()
        if self._stuck:  # what was stuck before is the culprit, should the time be over before all is done
            self._sink.suspects.suspect(next(reversed(self._stuck)), strikes=STRIKES)
        self.written += batch
        self.delivered.written += len(batch)
        self._note_created(answer)
        assigned = answer.get("guidAssignments") or {}
        for number, entity in enumerate(batch, 1):
            if isinstance(guid := assigned.get(f"-{number}"), str):
                self._guids[entity.ref] = guid

    def _note_created(self, answer: Json) -> None:
        created = (answer.get("mutatedEntities") or {}).get("CREATE") or ()
        self.created.update(header["guid"] for header in created)

    def _call(self, batch: list[Entity], tries: int) -> Json:
        documents, refs = to_atlas(batch, self._guids), [entity.ref for entity in batch]
        return self._sink.patiently(lambda: self._sink.write(documents, refs), self.deadline, tries=tries)
