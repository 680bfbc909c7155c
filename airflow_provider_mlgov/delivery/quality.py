"""Quality results of datasets that were dropped or got another name: they go, or are told again, with their datasets.

A result is named after its dataset and related to nothing, since tests that fail tell it of data that may not be there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from airflow_provider_mlgov.model.entity import Entity, Ref
from airflow_provider_mlgov.translate.quality import FACTS, result_of
from airflow_provider_mlgov.translate.settle import FACTS_TIME

if TYPE_CHECKING:
    from airflow_provider_mlgov.catalog.catalog import Catalog
    from airflow_provider_mlgov.delivery.state import SenderState

Json = dict[str, Any]

_PARTS = frozenset(
    {"hive_column", "hive_storagedesc", "mlgov_column", "mlgov_field", "mlgov_quality_result", "rdbms_column"}
)
"""What has no results of its own."""


class QualityResults:
    """The quality results in a catalogue; ``at`` is its namespace.

    ``patiently`` makes a call, again where that helps; ``let_go`` deletes an entity.
    """

    def __init__(
        self,
        catalog: Catalog,
        name: str,
        at: str,
        state: SenderState,
        patiently: Callable[[Callable[[], Any]], Any],
        let_go: Callable[[Ref], bool],
    ) -> None:
        self._catalog = catalog
        self._name = name
        self._at = at
        self._state = state
        self._patiently = patiently
        self._let_go = let_go

    def told_again(self, renamed: Mapping[Ref, tuple[Ref, str | None]], time: int) -> Iterator[Entity]:
        """What was found out until ``time`` about datasets that were ``renamed`` then, told of the new names.

        Beside the new reference is what people see, where that changed too.
        """
        for old, entity in self._of(renamed).items():
            attributes, times = entity["attributes"], self._times(entity)
            early = {
                name: (told, attributes.get(name))
                for facet, told in times.items()
                if told <= time
                for name in FACTS[facet]
            }
            if early:
                to, shown = renamed[old]
                since = attributes.get(FACTS_TIME)
                latest = {"lastRun": attributes["lastRun"]} if attributes.get("lastRun") and since <= time else {}
                result = result_of(to, f"quality of {shown}" if shown else attributes["name"], self._at)
                yield Entity(
                    result.type_name,
                    result.qualified_name,
                    result.attributes,
                    described=early,
                    latest=latest,
                    as_of=since if latest else None,
                )

    def drop(self, times: Mapping[Ref, int]) -> None:
        """What was found out about these datasets until then counts no more."""
        for dataset, entity in self._of(times).items():
            ref = Ref(entity["typeName"], entity["attributes"]["qualifiedName"])
            told = self._times(entity)
            early = [facet for facet, time in told.items() if time <= times[dataset]]
            if len(early) == len(told):
                self._let_go(ref)
            elif early:
                over = dict.fromkeys(name for facet in early for name in FACTS[facet])
                self._patiently(
                    lambda ref=ref, over=over: self._catalog.update(ref.type_name, ref.qualified_name, over)  # type: ignore[misc]
                )
                with self._state.transaction():
                    self._state.forget(self._name, [ref])

    def _of(self, datasets: Iterable[Ref]) -> dict[Ref, Json]:
        """The results of these, as they are stored."""
        named = {result_of(ref, "", self._at).qualified_name: ref for ref in datasets if ref.type_name not in _PARTS}
        if not named:
            return {}
        type_name = "mlgov_quality_result"
        found = self._patiently(lambda: self._catalog.get_many(type_name, list(named)))
        return {named[name]: entity for name, entity in found.items()}

    def _times(self, entity: Json) -> dict[str, int]:
        """When each facet of a result was told, in epoch milliseconds; where that is forgotten, when anything was."""
        attributes = entity["attributes"]
        ref = Ref(entity["typeName"], attributes["qualifiedName"])
        times = self._state.described(self._name, [ref]).get(ref, {})
        return {
            facet: times.get(facet, attributes.get(FACTS_TIME) or 0)
            for facet in FACTS
            if attributes.get(facet) is not None
        }
