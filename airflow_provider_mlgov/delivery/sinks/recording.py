"""A sink for tests, of this package and of those who use it: it keeps what it is given, and fails when told to."""

from __future__ import annotations

from collections.abc import Callable

from airflow_provider_mlgov.delivery.deadline import Deadline
from airflow_provider_mlgov.delivery.sinks.sink import Delivered, Parcel
from airflow_provider_mlgov.model.entity import Entity, Ref


class RecordingSink:
    """Keeps parcels in memory.

    ``failures`` are raised by the next deliveries, one each; ``refuse`` gives the reason to refuse an entity, or None.
    """

    def __init__(
        self, *, failures: list[Exception] | None = None, refuse: Callable[[Entity], str | None] | None = None
    ) -> None:
        self.parcels: list[Parcel] = []
        self.failures = failures if failures is not None else []
        self.closed = False
        self._refuse = refuse

    @property
    def entities(self) -> dict[Ref, Entity]:
        """The newest form of every entity taken."""
        return {entity.ref: entity for parcel in self.parcels for entity in parcel.entities if not self._reason(entity)}

    def deliver(self, parcel: Parcel, deadline: Deadline) -> Delivered:  # noqa: ARG002 - the protocol's
        """Take the parcel, or fail as told."""
        if self.failures:
            raise self.failures.pop(0)
        self.parcels.append(parcel)
        refused = {entity.ref: reason for entity in parcel.entities if (reason := self._reason(entity))}
        return Delivered(written=len(parcel.entities) - len(refused), refused=refused)

    def close(self) -> None:
        """Remember that it was closed."""
        self.closed = True

    def _reason(self, entity: Entity) -> str | None:
        return self._refuse(entity) if self._refuse else None
