"""A sink that keeps nothing: events are acknowledged and nobody records them."""

from __future__ import annotations

from airflow_provider_mlgov.delivery.deadline import Deadline
from airflow_provider_mlgov.delivery.sinks.sink import Delivered, Parcel


class NoSink:
    """Takes everything and keeps nothing."""

    def deliver(self, parcel: Parcel, deadline: Deadline) -> Delivered:  # noqa: ARG002 - the protocol's
        """Take the parcel."""
        return Delivered(written=len(parcel.entities))

    def close(self) -> None:
        """Nothing is held."""
