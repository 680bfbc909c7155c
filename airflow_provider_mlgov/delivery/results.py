"""The last results of sending, in one small file beside the spool: it tells whether recording works, without asking anybody."""

from __future__ import annotations

import json
import logging
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

from airflow_provider_mlgov.delivery import small_file

log = logging.getLogger(__name__)

Json = dict[str, Any]
Kind = Literal["succeeded", "failed"]

_FILE = "results.json"
_VERSION = 1
_REASON = 500


class Results:
    """By destination (``catalogue``, ``receiver``): when something was delivered last, and when that failed last and why.

    It saves nobody anything and nothing depends on it: what cannot be written is not, and what cannot be read is unknown.
    """

    def __init__(self, root: Path, clock: Callable[[], float] = time.time) -> None:
        self._path = root / _FILE
        self._clock = clock

    def note(self, destination: str, kind: Kind, outcome: str, events: int, reason: str | None) -> None:
        """Remember how a send ended. Called under the sender's lock, or with nothing lost where two do it at once."""
        found = small_file.read(self._path)
        if found.get("v", _VERSION) > _VERSION:
            return
        entry: Json = {"time": self._clock(), "outcome": outcome, "events": events}
        if reason:
            entry["reason"] = " ".join(reason.split())[:_REASON]
        known = _destinations(found)
        document = {"v": _VERSION, "destinations": {**known, destination: {**known.get(destination, {}), kind: entry}}}
        temporary = self._path.with_name(f"{_FILE}.{os.getpid()}.tmp")
        try:
            temporary.write_text(json.dumps(document), encoding="utf-8")
            temporary.chmod(0o600)
            temporary.replace(self._path)
        except OSError as error:
            log.debug("The last results cannot be written: %s", error)

    def last(self) -> dict[str, dict[str, Json]]:
        """``{destination: {"succeeded": {"time", "outcome", "events"}, "failed": {…, "reason"}}}``, each where there was one."""
        found = small_file.read(self._path)
        return _destinations(found) if found.get("v") == _VERSION else {}


def _destinations(found: Json) -> dict[str, dict[str, Json]]:
    told = found.get("destinations")
    return {name: last for name, last in told.items() if isinstance(last, dict)} if isinstance(told, dict) else {}
