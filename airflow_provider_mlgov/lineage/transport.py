"""The second door: a transport of OpenLineage's, for ``[openlineage] transport``.

``{"type": "airflow_provider_mlgov.lineage.AtlasTransport"}``; everything else comes from the options of ``[mlgov]``.
"""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Any

import attrs
from openlineage.client.serde import Serde
from openlineage.client.transport.transport import Config, Transport

from airflow_provider_mlgov.settings import Settings

if TYPE_CHECKING:
    from openlineage.client.client import Event

log = logging.getLogger(__name__)
_ENDS = ("COMPLETE", "FAIL", "ABORT")


@attrs.define
class AtlasConfig(Config):
    """Has no options of its own."""

    @classmethod
    def from_dict(cls, params: dict[str, Any]) -> AtlasConfig:
        """Read the transport's configuration."""
        unknown = sorted(set(params) - {"type"})
        if unknown:
            log.warning("The AtlasTransport knows no %s: its options are those of section [mlgov]", ", ".join(unknown))
        return cls()


class AtlasTransport(Transport):
    """Puts OpenLineage events on disk, and sends what waits at the end of a run.

    Airflow's provider gives an event 10 s and then kills the process, so nothing here may hang: the event is on disk first, and
    sending keeps to ``[mlgov] send_budget``. Where our listener is on too, sending is left to it: the provider calls the transport
    in a fork of the task process, in which Connections must not be looked up.
    """

    kind = "atlas"
    config_class = AtlasConfig

    def __init__(self, config: AtlasConfig | None = None) -> None:
        super().__init__()
        self.config = config or AtlasConfig()
        self._settings = Settings.load(tolerant=True)

    def emit(self, event: Event) -> None:
        """Take an event. An exception becomes a warning in the log of the task (the provider sees to that)."""
        from airflow_provider_mlgov.assembly import open_outbox, open_sender
        from airflow_provider_mlgov.lineage.many_hosts import complain_once

        document = json.loads(Serde.to_json(event))
        open_outbox(self._settings).put(document)
        if document.get("eventType") in _ENDS and not self._settings.enabled:
            complain_once(self._settings)
            open_sender(self._settings).send(self._settings.send_budget)

    def close(self, timeout: float = -1) -> bool:  # noqa: ARG002 - the signature is OpenLineage's
        """Nothing is left to do: what was not sent is on disk."""
        return True
