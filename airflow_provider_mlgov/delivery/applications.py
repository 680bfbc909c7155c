"""Spark applications: their steps are runs of their own, and what one of them calls by its path another tells the table of.

A table that is made by a query is written by a nested step, which knows only the path. So aliases count for all steps of an
application; what was sent of a step before its alias was told is sent again under the right name.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from airflow_provider_mlgov.delivery.state import SenderState
from airflow_provider_mlgov.translate.events import application_of, join_aliases, told_aliases

Json = dict[str, Any]


class Applications:
    """The aliases of the applications whose events wait, with what ``state`` remembers of them."""

    def __init__(self, state: SenderState) -> None:
        self._state = state
        self._told: dict[str, Json] = {}
        self._stored: dict[str, Json] = {}

    def learn(self, event: Mapping[str, Any]) -> None:
        """Take in the aliases that an event tells."""
        application, aliases = told_aliases(event)
        if application is not None and aliases:
            self._told[application] = join_aliases(self._told.get(application, {}), aliases)

    def known_to(self, state: Json) -> Json:
        """The ``state`` of a run with the aliases that any step of its application told."""
        application = application_of(state)
        if application is None:
            return state
        aliases = self._aliases(application)
        return {**state, "aliases": join_aliases(state["aliases"], aliases)} if aliases else state

    def steps_to_tell_again(self, besides: Collection[str]) -> Iterator[str]:
        """The keys of runs that were sent without an alias that is known now."""
        for application in self._told:
            if self._aliases(application) != self._stored[application]:
                yield from (key for key in self._state.steps(application) if key not in besides)

    def remember(self, key: str, state: Json) -> None:
        """A run was sent with what is known; inside a transaction of the state."""
        application = application_of(state)
        if application is not None:
            aliases = self._aliases(application)
            self._state.remember_application(application, aliases, key)
            self._stored[application] = aliases

    def _aliases(self, application: str) -> Json:
        if application not in self._stored:
            self._stored[application] = self._state.aliases(application)
        return join_aliases(self._stored[application], self._told.get(application, {}))
