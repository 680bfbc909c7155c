"""What a sink is: a place that entities go to."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from airflow_provider_mlgov.delivery.deadline import Deadline
from airflow_provider_mlgov.model.entity import Change, Entity, Ref


@dataclass(frozen=True)
class RunShare:
    """Which of a parcel's entities one run stands behind."""

    key: str
    """The run's key in the sender's state."""
    run: Ref | None
    """The entity of the run itself, where it has one."""
    processes: frozenset[Ref] = frozenset()
    given_up: frozenset[Ref] = frozenset()
    """What was written for it earlier and is not said any more, since its ends grew, it failed, or its job got another name: to be
    deleted unless another run has it, or somebody else does."""
    told: int = 0
    """When that was told, in epoch milliseconds."""
    new: bool = False
    """It has just begun: the catalogue cannot have it yet."""
    forgotten: bool = False
    """The sender remembers nothing of it, but the catalogue may: what is stored there must not shrink."""

    @property
    def name(self) -> str:
        """What the catalogue calls the run where it did something; empty where it has no entity, as of job events."""
        return "" if self.run is None else self.run.qualified_name


@dataclass(frozen=True)
class Parcel:
    """Entities to deliver together: each at most once, in the order of writing."""

    entities: tuple[Entity, ...]
    runs: tuple[RunShare, ...] = ()
    changes: tuple[Change, ...] = ()
    """Datasets that were dropped or renamed, oldest first."""
    at: str = ""
    """The catalogue's namespace (``[mlgov] catalogue_namespace``), which quality results are named with."""
    again: bool = False
    """It was delivered before, and is again to see whether anything is taken: what somebody deleted since stays away."""


@dataclass
class Delivered:
    """What became of a parcel. Everything that is not in ``refused`` was taken."""

    written: int = 0
    refused: dict[Ref, str] = field(default_factory=dict)
    """Entities that can never be taken as they are, with the reason."""
    warnings: list[str] = field(default_factory=list)


class Sink(Protocol):
    """A place that entities go to.

    ``deliver`` raises `CatalogUnavailableError` or `CatalogBusyError` when the place as a whole did not take the parcel, and
    `BudgetSpentError` when the time is over. Every delivery may be repeated.
    """

    def deliver(self, parcel: Parcel, deadline: Deadline) -> Delivered:
        """Take all of the parcel, except single entities that are refused for good."""
        ...

    def close(self) -> None:
        """Release what is held."""
        ...
