"""What runs gave up: processes, data and runs that were written before something told later made them otherwise.

Whatever the portions in which events arrive, the catalogue ends as if all had come at once. What another run has stays, and so
does what somebody else made, or put to use since.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from airflow_provider_mlgov.delivery.letting_go import let_go
from airflow_provider_mlgov.delivery.patient import SEARCH_LIMIT, PatientCatalog
from airflow_provider_mlgov.delivery.sinks.sink import RunShare
from airflow_provider_mlgov.delivery.state import SenderState
from airflow_provider_mlgov.delivery.uses import Uses
from airflow_provider_mlgov.delivery.workers import worker_of
from airflow_provider_mlgov.model.entity import Ref

if TYPE_CHECKING:
    from airflow_provider_mlgov.catalog.catalog import Catalog

Json = dict[str, Any]


class Retiring:
    """To be used after all was written, under the sender's lock. ``patiently`` makes a call, again where that helps."""

    def __init__(
        self, catalog: Catalog, name: str, state: SenderState, patiently: Callable[[Callable[[], Any]], Any]
    ) -> None:
        self._catalog = catalog
        self._name = name
        self._state = state
        self._patiently = patiently
        self._calls = PatientCatalog(catalog, patiently)
        self._uses = Uses(self._calls, name, state)
        self._warnings: list[str] = []

    def retire(self, shares: Iterable[RunShare], kept: Collection[Ref]) -> list[str]:
        """Soft-delete what these runs gave up: processes, then data from the inside out. ``kept`` was written just now.

        Gives a warning for each that the catalogue does not let go.
        """
        givers: dict[Ref, list[RunShare]] = defaultdict(list)
        for share in shares:
            for ref in share.given_up:
                givers[ref].append(share)
        # Before any is deleted, since that forgets it; and whatever stays, since those who do it may give it up in later sends.
        given_up = [(ref, share.name) for ref in givers if ref.is_process for share in givers[ref]]
        if given_up:
            with self._state.transaction():
                self._state.remember_given_up(given_up)
        free = [
            ref
            for ref in sorted(givers.keys() - set(kept))
            if not self._state.claimed(ref, besides=[share.key for share in givers[ref]])
        ]
        processes = [ref for ref in free if ref.is_process]
        for ref in processes:
            entity = self._calls.get(ref, relationships=False)
            if entity is not None and not self._done_by_another(ref, entity.get("attributes", {})):
                self._delete(ref)
            else:  # for good: nobody who is remembered did it
                with self._state.transaction():
                    self._state.forget_who_gave_up(ref)
        others = [ref for ref in free if not ref.is_process]
        while others:
            found = {ref: self._calls.get(ref) for ref in others}
            gone = [ref for ref, entity in found.items() if entity is not None and self._uses.are_none(entity)]
            for ref in gone:
                self._delete(ref)
            others = [ref for ref in others if ref not in gone] if gone else []
        return self._warnings

    def _delete(self, ref: Ref) -> None:
        if (error := let_go(self._catalog, self._name, self._state, self._patiently, ref)) is not None:
            self._warnings.append(f"{ref.qualified_name} stays, though its run gave it up: {error}")

    def _done_by_another(self, process: Ref, attributes: Mapping[str, Any]) -> bool:
        """Whether the catalogue has another run that did this process; True where that cannot be found out.

        Who gave it up did not do it, however long it is the first or the last that the catalogue names.
        """
        names = self._state.who_gave_up(process)
        first, last = attributes.get("firstRun") or "", attributes.get("lastRun") or ""
        if process.type_name == "mlgov_column_lineage":
            return not {first, last} <= names
        if not last:  # what job events tell of has no run
            return False
        worker = worker_of(attributes)
        process_key = attributes.get("processKey")
        if last not in names or worker is None or not process_key:
            return True
        seen = 0
        for header in self._calls.search(worker.run_type, worker.filters, ("processKey",)):
            found = header.get("attributes", {})
            keys = str(found.get("processKey") or "").split()
            if process_key in keys and found.get("qualifiedName") not in names:
                return True
            seen += 1
        return seen >= SEARCH_LIMIT
