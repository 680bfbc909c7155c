"""The messages of Atlas's topic ``ATLAS_HOOK``: their form, and what becomes of those that are too large.

A message above Atlas's limit is compressed; what is still too large is cut into parts, which must arrive in order in one partition.
"""

from __future__ import annotations

import base64
import gzip
import json
import time
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from airflow_provider_mlgov import __version__

Json = dict[str, Any]

LONGEST = 1_000_000 - 512
"""Bytes of a message: ``atlas.notification.message.max.length.bytes``, less what Atlas keeps for the envelope."""
_USER = "mlgov"
_VERSION = {"version": "1.0.0"}


def create(entities: Sequence[Json]) -> Json:
    """Create or update: what REST does by ``entity/bulk``."""
    return {
        "type": "ENTITY_CREATE_V2",
        "user": _USER,
        "entities": {"entities": list(entities), "referredEntities": {}},
    }


def update(type_name: str, qualified_name: str, attributes: Mapping[str, Any]) -> Json:
    """Change these attributes of an entity and leave the rest."""
    return {
        "type": "ENTITY_PARTIAL_UPDATE_V2",
        "user": _USER,
        "entityId": _by_name(type_name, qualified_name),
        "entity": {"entity": {"typeName": type_name, "attributes": dict(attributes)}, "referredEntities": {}},
    }


def delete(type_name: str, qualified_name: str) -> Json:
    """Soft-delete an entity. One that is absent is no error."""
    return {"type": "ENTITY_DELETE_V2", "user": _USER, "entities": [_by_name(type_name, qualified_name)]}


def fence() -> Json:
    """A message that does nothing and cannot fail: Atlas commits its offset, and with it those of dropped ones before."""
    return delete("Process", f"mlgov fence {uuid.uuid4()}")


def envelopes(message: Json, *, longest: int = LONGEST) -> list[bytes]:
    """``message`` as Atlas's consumer reads it: one text, or several to be sent in order."""
    whole = _text(
        {
            "source": {"source": _USER, "version": __version__},
            "version": _VERSION,
            "msgCompressionKind": "NONE",
            "msgSplitIdx": 1,
            "msgSplitCount": 1,
            "msgCreatedBy": _USER,
            "msgCreationTime": int(time.time() * 1000),
            "spooled": False,
            "message": message,
        }
    )
    if len(whole) <= longest:
        return [whole]
    packed = base64.b64encode(gzip.compress(whole, 6)).decode()
    parts = [packed[start : start + longest] for start in range(0, len(packed), longest)]
    common = {"version": _VERSION, "msgId": uuid.uuid4().hex, "msgCompressionKind": "GZIP"}
    if len(parts) == 1:
        return [_text({**common, "msgSplitIdx": 1, "msgSplitCount": 1, "message": packed})]
    return [
        _text({**common, "msgSplitIdx": index, "msgSplitCount": len(parts), "message": part})
        for index, part in enumerate(parts)
    ]


def _by_name(type_name: str, qualified_name: str) -> Json:
    return {"typeName": type_name, "uniqueAttributes": {"qualifiedName": qualified_name}}


def _text(document: Json) -> bytes:
    return json.dumps(document, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
