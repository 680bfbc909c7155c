"""A real Atlas that is written to by messages and read by REST.

A message counts as delivered when a read finds what it says. Types, labels and classifications have no message: they go by REST.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from airflow_provider_mlgov.catalog.atlas import AtlasCatalog
from airflow_provider_mlgov.catalog.atlas_forms import DONE
from airflow_provider_mlgov.catalog.catalog import Json
from airflow_provider_mlgov.catalog.channel import Channel, NotificationChannel
from airflow_provider_mlgov.catalog.evidence import missing_attribute, missing_relation, was_touched
from airflow_provider_mlgov.catalog.messages import create, delete, envelopes, fence, update
from airflow_provider_mlgov.errors import (
    CatalogBusyError,
    CatalogDroppedError,
    CatalogPendingError,
    CatalogRefusedError,
    EntityNotFoundError,
)

log = logging.getLogger(__name__)

PER_MESSAGE = 50
"""Entities in one message: Atlas's consumer cuts what is longer (``atlas.notification.consumer.commit.batch.size``)."""
_ANY_TYPE = "Referenceable"
_ASK_AFTER, _FENCE_AFTER = 1.0, 2.0
"""Seconds after which the channel is asked whether a message was consumed, and after which one is sent behind it."""
_FIRST_PAUSE, _LONGEST_PAUSE = 0.01, 0.25
_UNKNOWN_TYPE = "ATLAS-400-00-014"
_DROPPED = "ATLAS-DROPPED"

Found = dict[tuple[str, str], Json]
"""What was found, by type and qualifiedName."""


class MessagedAtlas(AtlasCatalog):
    """An Atlas whose entities are created, updated and deleted by messages. ``patience``: how many seconds one may take."""

    def __init__(self, url: str, *args: Any, patience: float = 60.0, **options: Any) -> None:
        super().__init__(url, *args, **options)
        self._patience = patience
        self._channel: Channel = NotificationChannel(lambda path, body: self._answer("POST", path, body, DONE))
        self.linger = patience

    def by(self, channel: Channel) -> MessagedAtlas:
        """Send by ``channel`` in place of Atlas's REST. What an earlier process sent has to be consumed first."""
        self._channel = channel
        self.linger = 0.0 if channel.tells else self._patience
        try:
            channel.catch_up(lambda: envelopes(fence()))
        except BaseException:
            self.close()
            raise
        return self

    def close(self) -> None:
        """Close all connections."""
        self._channel.close()
        super().close()

    # --- what goes by message ----------------------------------------------------------------------------------------
    def write(self, entities: Sequence[Json], *, referred: Mapping[str, Json] | None = None) -> Json:
        """Create or update all of them, one message for some of them; see `Catalog`."""
        if referred:
            entities = [*referred.values(), *entities]
        if len(entities) > PER_MESSAGE:
            return self._in_portions(entities)
        claims = _Claims(entities, self._find(entities))
        if not self._send(
            create(entities),
            lambda: claims.hold(self._find(entities), lambda guids: self.get_many_by_guid(guids, relationships=True)),
            lambda: claims.is_begun(self.get),
        ):
            self._check_types(entities)
            raise CatalogDroppedError(
                f"Atlas's consumer at {self.identity} dropped {len(entities)} entities: {claims.lacking}; its log says why"
            )
        return claims.answer

    def update(self, type_name: str, qualified_name: str, attributes: Mapping[str, Any]) -> Json:
        """Change these attributes of an existing entity and leave the rest."""
        before = self.get(type_name, qualified_name)
        if before is None:
            raise EntityNotFoundError(
                f"{self.identity} has no {type_name} {qualified_name}; nothing was sent",
                error_code="ATLAS-404-00-009",
                status=404,
            )
        name = str(attributes.get("qualifiedName", qualified_name))

        def is_seen() -> bool:
            now = self.get(type_name, name)
            return now is not None and missing_attribute(attributes, now) is None and _ends_hold(attributes, now, self)

        if not self._send(update(type_name, qualified_name, attributes), is_seen):
            raise CatalogRefusedError(
                f"Atlas's consumer at {self.identity} dropped the update of {type_name} {qualified_name}; its log says why",
                error_code=_DROPPED,
                status=400,
            )
        return {"mutatedEntities": {"UPDATE": [{"guid": before["guid"], "typeName": type_name}]}}

    def delete(self, type_name: str, qualified_name: str) -> Json:
        """Soft-delete, with what it owns."""
        before = self.get(type_name, qualified_name)
        if before is None:
            return {}
        if not self._send(delete(type_name, qualified_name), lambda: self.get(type_name, qualified_name) is None):
            raise CatalogRefusedError(
                f"Atlas's consumer at {self.identity} dropped the deletion of {type_name} {qualified_name}; its log says why",
                error_code=_DROPPED,
                status=400,
            )
        return {"mutatedEntities": {"DELETE": [{"guid": before["guid"], "typeName": type_name}]}}

    # --- sending and looking -----------------------------------------------------------------------------------------
    def _send(
        self, message: Json, is_seen: Callable[[], bool], is_worth_looking: Callable[[], bool] = lambda: True
    ) -> bool:
        """Send ``message`` and look until it ``is_seen``: False if Atlas is done with it and it is not."""
        self._channel.send(envelopes(message), min(self._patience, self._http.left()))
        began = time.monotonic()
        pause, fenced = _FIRST_PAUSE, False
        while True:
            waited = time.monotonic() - began
            consumed = waited > _ASK_AFTER and self._channel.is_consumed()  # asked first: what is read then is final
            try:
                seen = (consumed or is_worth_looking()) and is_seen()
            except CatalogBusyError as error:  # what was sent stays sent: it is looked again
                log.debug("Atlas cannot be asked now whether a message arrived: %s", error)
                seen = consumed = False
            if seen or consumed:
                self._channel.done()
                return seen
            if self._channel.tells and waited > _FENCE_AFTER and not fenced:
                self._channel.follow(envelopes(fence()), min(self._patience, self._http.left()))
                fenced = True
            if self._http.left() <= pause or waited > self._patience:
                raise self._not_seen(waited)
            time.sleep(pause)
            pause = min(pause * 1.5, _LONGEST_PAUSE)

    def _not_seen(self, waited: float) -> Exception:
        said = f"what was sent to Atlas at {self.identity} by message is not to be seen there after {waited:.0f} s"
        if waited > self._patience and not self._channel.tells:
            # As a call that was not answered: the sender makes its batches smaller until the culprit is alone.
            error = CatalogBusyError(f"{said}: its consumer is behind, or has dropped it")
            error.__cause__ = TimeoutError(said)
            return error
        return CatalogPendingError(f"{said}: its consumer is behind; it is looked for again by the next send")

    def _in_portions(self, entities: Sequence[Json]) -> Json:
        """Several messages. What refers to an earlier one by its negative guid gets the guid that this was given."""
        guids: dict[str, str] = {}
        created: list[Json] = []
        for start in range(0, len(entities), PER_MESSAGE):
            answer = self.write([_with_guids(each, guids) for each in entities[start : start + PER_MESSAGE]])
            guids |= answer["guidAssignments"]
            created += answer["mutatedEntities"]["CREATE"]
        return {"mutatedEntities": {"CREATE": created}, "guidAssignments": guids}

    def _find(self, documents: Iterable[Json]) -> Found:
        """What the catalogue has of these, in one call where that does."""
        wanted = {(each["typeName"], each["attributes"]["qualifiedName"]) for each in documents}
        found: Found = {}
        if len({type_name for type_name, _ in wanted}) > 1:
            answers = self.get_many(_ANY_TYPE, sorted(name for _, name in wanted))
            found = {
                (type_name, name): answers[name]
                for type_name, name in wanted
                if answers.get(name, {}).get("typeName") == type_name
            }
            wanted = {key for key in wanted - found.keys() if key[1] in answers}  # another type has that name too
        for type_name in sorted({type_name for type_name, _ in wanted}):
            names = sorted(name for other, name in wanted if other == type_name)
            found |= {(type_name, name): entity for name, entity in self.get_many(type_name, names).items()}
        return found

    def _check_types(self, entities: Iterable[Json]) -> None:
        """Say so if something was dropped because somebody emptied the catalogue of its types."""
        for name in sorted({each["typeName"] for each in entities}):
            if self.type_definition(name) is None:
                raise CatalogRefusedError(f"{self.identity} has no type {name!r}", error_code=_UNKNOWN_TYPE, status=400)


class _Claims:
    """What a message claims, and whether the catalogue has it."""

    def __init__(self, documents: Sequence[Json], before: Found) -> None:
        self._documents = {(each["typeName"], each["attributes"]["qualifiedName"]): each for each in documents}
        self._before = before
        self._now: Found = {}
        self.lacking = "nothing of them is there"

    def is_begun(self, get: Callable[[str, str], Json | None]) -> bool:
        """Whether one entity that was not as it is sent now is: all are written at once. Spares looks at all of them."""
        for key, document in self._documents.items():
            before = self._before.get(key)
            if before is None or missing_attribute(document["attributes"], before) is not None:
                return was_touched(before, get(*key))
        return True

    def hold(self, now: Found, related: Callable[[Iterable[str]], Mapping[str, Json]]) -> bool:
        """Whether ``now`` is what the message makes. ``related`` reads entities with their relationships."""
        self._now = now
        touched = False
        for key, document in self._documents.items():
            entity = now.get(key)
            if entity is None:
                self.lacking = f"{key[0]} {key[1]} is not there"
                return False
            if was_touched(self._before.get(key), entity):
                touched = True
            elif (name := missing_attribute(document["attributes"], entity)) is not None:
                self.lacking = f"{name} of {key[0]} {key[1]} is not as it was sent"
                return False
        return touched or self._are_related(related)

    def _are_related(self, related: Callable[[Iterable[str]], Mapping[str, Json]]) -> bool:
        """Nothing tells that the message was applied but that all is as it says: then the edges have to be, too."""
        guids = self.answer["guidAssignments"]
        told = {key: each["relationshipAttributes"] for key, each in self._documents.items() if _has_relations(each)}
        found = related(self._now[key]["guid"] for key in told) if told else {}
        for key, relations in told.items():
            if (name := missing_relation(relations, found.get(self._now[key]["guid"], {}), guids)) is not None:
                self.lacking = f"{name} of {key[0]} {key[1]} is not as it was sent"
                return False
        return True

    @property
    def answer(self) -> Json:
        """What REST would answer."""
        created = [{"guid": self._now[key]["guid"], "typeName": key[0]} for key in self._now if self._is_new(key)]
        guids = {
            each["guid"]: self._now[key]["guid"] for key, each in self._documents.items() if each.get("guid", "") != ""
        }
        return {"mutatedEntities": {"CREATE": created}, "guidAssignments": guids}

    def _is_new(self, key: tuple[str, str]) -> bool:
        before = self._before.get(key)
        return before is None or before["guid"] != self._now[key]["guid"]


def _ends_hold(attributes: Mapping[str, Any], now: Json, catalog: AtlasCatalog) -> bool:
    """Whether relationships among ``attributes``, such as the inputs of a process, are those of ``now``."""
    ends = {name: value for name, value in attributes.items() if _is_reference(value)}
    if not ends:
        return True
    related = catalog.get_by_guid(now["guid"], relationships=True) or {}
    return missing_relation(ends, related, {}) is None


def _has_relations(document: Json) -> bool:
    return bool(document.get("relationshipAttributes"))


def _is_reference(value: Any) -> bool:
    first = value[0] if isinstance(value, list) and value else value
    return isinstance(first, Mapping) and ("guid" in first or "uniqueAttributes" in first)


def _with_guids(document: Json, guids: Mapping[str, str]) -> Json:
    relations = document.get("relationshipAttributes")
    if not guids or not relations:
        return document

    def known(end: Json) -> Json:
        return {**end, "guid": guids[end["guid"]]} if end.get("guid") in guids else end

    mended = {
        name: [known(end) for end in value] if isinstance(value, list) else known(value)
        for name, value in relations.items()
    }
    return {**document, "relationshipAttributes": mended}
