"""What a way to Atlas's topic has to do, and the one by Atlas's own REST."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from airflow_provider_mlgov.errors import CatalogBusyError, CatalogRefusedError, CatalogUnavailableError


class Channel(Protocol):
    """A way to the topic, on which one message of ours is under way at a time."""

    tells: bool
    """Whether `is_consumed` can say anything."""

    def send(self, parts: Sequence[bytes], seconds: float) -> None:
        """Put a message on the topic, for good when this returns. `CatalogUnavailableError` if that fails."""
        ...

    def follow(self, parts: Sequence[bytes], seconds: float) -> None:
        """Put another message behind that one, which only helps `is_consumed`."""
        ...

    def is_consumed(self) -> bool:
        """Whether Atlas is certainly done with what was sent, whatever came of it."""
        ...

    def catch_up(self, fence: Callable[[], Sequence[bytes]]) -> None:
        """`CatalogPendingError` while a message of an earlier process may be under way. ``fence`` makes one to send behind it."""
        ...

    def done(self) -> None:
        """Nothing is under way any more."""
        ...

    def close(self) -> None:
        """Release connections."""
        ...


class NotificationChannel:
    """``POST /api/atlas/v2/notification/topic/…``, which newer versions of Atlas have. It cannot say what was consumed."""

    tells = False

    def __init__(self, post: Callable[[str, bytes], object], topic: str = "ATLAS_HOOK") -> None:
        self._post = post
        self._topic = topic

    def send(self, parts: Sequence[bytes], seconds: float) -> None:  # noqa: ARG002 - the calls are bounded by the catalogue's `within`
        """Post the parts, one by one: a call may hold no more than one of the largest."""
        for part in parts:
            try:
                self._post(f"v2/notification/topic/{self._topic}", b"[" + part + b"]")
            except (CatalogBusyError, CatalogRefusedError) as error:
                # Atlas 2.1 answers 500 to a path that it does not have: what is overloaded cannot be told from what is absent.
                raise CatalogUnavailableError(
                    f"the message was not taken: {error}. This way needs an Atlas that has notification/topic, and a user with the "
                    "right service-notification-post; without them use kafka or catalog in [mlgov] sinks"
                ) from error

    def follow(self, parts: Sequence[bytes], seconds: float) -> None:
        """Not needed: nothing can be told from it."""

    def is_consumed(self) -> bool:
        """Nobody can say."""
        return False

    def catch_up(self, fence: Callable[[], Sequence[bytes]]) -> None:
        """Nobody can say; sending again does no harm."""

    def done(self) -> None:
        """Nothing is kept."""

    def close(self) -> None:
        """The connections are the catalogue's."""
