"""What every door puts its events into: cleaned, then on disk, for good when `Outbox.put` returns."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from airflow_provider_mlgov.delivery.clean import CleanOptions, Mask, clean
from airflow_provider_mlgov.translate.reading import read_event

if TYPE_CHECKING:
    from airflow_provider_mlgov.delivery.spool import Spool


class Outbox:
    """Checks, cleans and appends events. The only way into the spool from outside."""

    def __init__(
        self,
        spool: Spool,
        mask: Mask | None = None,
        options: CleanOptions | None = None,
        *,
        also: Sequence[Spool] = (),
    ) -> None:
        """``also``: the spools of further sinks, each of which gets every event too."""
        self.spool = spool
        self._also = tuple(also)
        self._mask = mask
        self._options = options or CleanOptions()

    def put(self, event: object, *, foreign: bool = False) -> Path:
        """Keep ``event``. `InvalidEventError` if it is not OpenLineage, `SpoolError` if it cannot be written.

        ``foreign``: whoever sent it may not speak for Airflow, so it is never united with a run of Airflow's.
        """
        kept = clean(read_event(event), self._mask, self._options)
        return self.spool.append({**kept, "foreign": True} if foreign else kept, self._also)
