"""The topic ``ATLAS_HOOK``, by its broker: messages that are kept for good, and how far Atlas has read."""

from __future__ import annotations

import json
import logging
import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_provider_mlgov.errors import CatalogPendingError, CatalogUnavailableError, ConfigurationError

if TYPE_CHECKING:
    from confluent_kafka import Consumer, Producer

log = logging.getLogger(__name__)

_KEY = b"mlgov"
"""One key, hence one partition: messages of all hosts are applied one after the other, and parts stay in order."""
_ASK_SECONDS = 5.0
_CATCH_UP_SECONDS = 3.0


class KafkaChannel:
    """Produces with the acknowledgement of all replicas, and asks for the committed offset of Atlas's consumer group.

    ``note`` is a file that holds what is under way: where a process ends before its message was consumed, the next one waits for
    that. ``config`` is librdkafka's.
    """

    tells = True

    def __init__(
        self, config: Mapping[str, Any], note: Path, *, topic: str = "ATLAS_HOOK", group: str = "atlas"
    ) -> None:
        try:
            from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
        except ImportError as error:
            raise ConfigurationError(
                f"the sink kafka needs confluent-kafka ({error}): pip install 'airflow-provider-mlgov[kafka]'"
            ) from None
        self._error, self._place = KafkaException, TopicPartition
        self.servers = str(config.get("bootstrap.servers") or "")
        self._note = note
        self._topic = topic
        self._group = group
        common = {"client.id": "mlgov", **config}
        try:
            # A logger, or librdkafka writes to stderr.
            self._producer: Producer = Producer(
                {
                    "message.max.bytes": 1_048_576,
                    "compression.type": "none",
                    **common,
                    "acks": "all",
                    "enable.idempotence": True,
                },
                logger=log,
            )
            self._consumer: Consumer = Consumer(
                {**_without_producers(common), "group.id": group, "enable.auto.commit": False}, logger=log
            )
        except (KafkaException, TypeError, ValueError) as error:
            raise ConfigurationError(f"Kafka's configuration is wrong: {_said(error)}") from None
        self._sent: list[tuple[int, int]] = []
        """Partition and offset of the last part of what is under way."""

    def send(self, parts: Sequence[bytes], seconds: float) -> None:
        """See `Channel`."""
        self._write_note(None)
        self._sent = self._produce(parts, seconds)
        self._write_note(self._sent)

    def follow(self, parts: Sequence[bytes], seconds: float) -> None:
        """See `Channel`."""
        self._produce(parts, seconds)

    def is_consumed(self) -> bool:
        """Whether the group has committed what comes after it."""
        places = [self._place(self._topic, partition) for partition, _ in self._sent]
        if not places:
            return True
        try:
            committed = self._consumer.committed(places, timeout=_ASK_SECONDS)
        except self._error as error:
            if _is_forbidden(error):
                raise CatalogUnavailableError(
                    f"Kafka at {self.servers} does not say how far group {self._group!r} has read ({_said(error)}): "
                    "give this user DESCRIBE on that group, without which nobody can tell what Atlas dropped"
                ) from None
            log.debug("How far %s has read is not known: %s", self._group, error)
            return False
        offsets = {place.partition: place.offset for place in committed}
        return all(offsets[partition] > offset for partition, offset in self._sent)

    def status(self) -> str:
        """Whether the broker answers, and how far Atlas has read. `CatalogUnavailableError` with what is wrong."""
        ends = self._ends()
        self._sent = ends
        behind = "" if not ends or self.is_consumed() else "; Atlas has not yet read all that is there"
        self._sent = []
        return f"topic {self._topic} at {self.servers} has {len(ends)} partitions with messages{behind}"

    def catch_up(self, fence: Callable[[], Sequence[bytes]]) -> None:
        """See `Channel`."""
        noted = self._read_note()
        if noted is None:
            return
        self._sent = noted.places if noted.places is not None else self._ends()
        until = time.monotonic() + _CATCH_UP_SECONDS
        fenced = noted.fenced
        while not self.is_consumed():
            if not fenced:  # what Atlas dropped is committed only with the next message
                self.follow(fence(), _ASK_SECONDS)
                fenced = True
                self._write_note(self._sent, fenced=True)
            if time.monotonic() > until:
                raise CatalogPendingError(
                    f"Atlas has not yet read what was sent to topic {self._topic} before (group {self._group!r} at "
                    f"{self.servers}): is its consumer running, and is [mlgov] kafka_group its group?"
                )
            time.sleep(0.1)
        self.done()

    def done(self) -> None:
        """See `Channel`."""
        self._sent = []
        self._note.unlink(missing_ok=True)

    def close(self) -> None:
        """See `Channel`."""
        self._consumer.close()

    def _produce(self, parts: Sequence[bytes], seconds: float) -> list[tuple[int, int]]:
        """The partition and offset of the last part."""
        places: list[tuple[int, int]] = []
        failures: list[Any] = []

        def delivered(error: Any, message: Any) -> None:
            if error is None:
                places.append((message.partition(), message.offset()))
            else:
                failures.append(error)

        try:
            for part in parts:
                self._producer.produce(self._topic, part, key=_KEY, on_delivery=delivered)
            left = self._producer.flush(max(0.1, seconds))  # less than nothing would be without end
        except (self._error, BufferError) as error:
            failures.append(error)
            left = 0
        if left or failures:
            self._producer.purge()
            self._producer.flush(0)
            said = _said(failures[0]) if failures else f"no word within {seconds:.3g} s"
            raise CatalogUnavailableError(
                f"Kafka at {self.servers} did not take a message for topic {self._topic}: {said}; check the "
                "brokers, the connection of [mlgov] kafka_conn_id and the rights on the topic"
            )
        return [places[-1]]

    def _ends(self) -> list[tuple[int, int]]:
        """The last message of each partition: an earlier process ended in the middle of sending, so its message may be any."""
        try:
            found = self._consumer.list_topics(self._topic, timeout=_ASK_SECONDS).topics[self._topic].partitions
            ends = []
            for partition in found:
                low, high = self._consumer.get_watermark_offsets(
                    self._place(self._topic, partition), timeout=_ASK_SECONDS
                )
                if high > low:
                    ends.append((partition, high - 1))
        except self._error as error:
            raise CatalogUnavailableError(
                f"Kafka at {self.servers} cannot be asked about topic {self._topic}: {_said(error)}; check brokers and rights"
            ) from None
        return ends

    # --- the note ----------------------------------------------------------------------------------------------------
    def _write_note(self, places: list[tuple[int, int]] | None, *, fenced: bool = False) -> None:
        temporary = self._note.with_name(f"{self._note.name}.{os.getpid()}.tmp")
        document = {"topic": self._topic, "places": places, "fenced": fenced}
        try:
            with temporary.open("w", encoding="utf-8") as file:
                json.dump(document, file)
                file.flush()
                os.fsync(file.fileno())
            temporary.chmod(0o600)
            temporary.replace(self._note)
        except OSError as error:
            raise CatalogUnavailableError(
                f"cannot note in {self._note} what is sent to Kafka: {error.strerror}; give the spool a folder with free space"
            ) from error

    def _read_note(self) -> _Note | None:
        try:
            found = json.loads(self._note.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        except (OSError, ValueError):
            return _Note(None, fenced=False)
        if found.get("topic") != self._topic:
            return None  # another topic was meant then: nothing of it is under way here
        places = found.get("places")
        return _Note(None if places is None else [(int(p), int(o)) for p, o in places], fenced=bool(found["fenced"]))


class _Note:
    def __init__(self, places: list[tuple[int, int]] | None, *, fenced: bool) -> None:
        self.places = places
        self.fenced = fenced


_PRODUCERS = ("acks", "compression.", "enable.idempotence", "linger.", "message.", "queue.buffering.", "transactional.")


def _without_producers(config: Mapping[str, Any]) -> dict[str, Any]:
    """What a consumer knows, too: librdkafka warns of the rest."""
    return {name: value for name, value in config.items() if not name.startswith(_PRODUCERS)}


def _said(error: Any) -> str:
    """What librdkafka says of an error: its name and its words."""
    inner = error.args[0] if isinstance(error, Exception) and error.args else error
    return f"{inner.name()}: {inner.str()}" if hasattr(inner, "str") else str(inner)


def _is_forbidden(error: Any) -> bool:
    inner: Any = error.args[0] if error.args else None
    return hasattr(inner, "name") and "AUTHORIZATION" in str(inner.name())
