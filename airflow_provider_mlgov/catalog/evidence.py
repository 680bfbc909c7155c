"""Whether what a catalogue has of an entity is what was sent of it.

Atlas's consumer drops messages without a word, so that something was sent says nothing: a read has to find it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Json = dict[str, Any]


def was_touched(before: Json | None, now: Json | None) -> bool:
    """Whether an entity came to be, or was written, between two looks."""
    if now is None:
        return False
    if before is None or before.get("guid") != now.get("guid"):
        return True
    return before.get("updateTime") != now.get("updateTime")


def missing_attribute(sent: Mapping[str, Any], stored: Json) -> str | None:
    """The name of an attribute that is not stored as it was sent; None if there is none.

    What the type does not have is not missed: Atlas leaves it out without a word, however it is sent.
    """
    attributes = stored.get("attributes") or {}
    for name, value in sent.items():
        if name in attributes and not _same(value, attributes[name]):
            return name
    return None


def missing_relation(sent: Mapping[str, Any], stored: Json, guids: Mapping[str, str]) -> str | None:
    """The name of a relationship that is not stored as it was sent. ``guids`` are those of negative ones; None if all is there.

    ``stored`` is to be read with its relationships.
    """
    related: Json = stored.get("relationshipAttributes") or {}
    for name, value in sent.items():
        held = related.get(name) or []
        active = [end for end in (held if isinstance(held, list) else [held]) if _is_active(end)]
        for end in value if isinstance(value, list) else [value]:
            if not any(_is_meant(end, other, guids) for other in active):
                return name
    return None


def _is_active(end: Json) -> bool:
    return bool(end.get("entityStatus", "ACTIVE") == end.get("relationshipStatus", "ACTIVE") == "ACTIVE")


def _is_meant(sent: Json, stored: Json, guids: Mapping[str, str]) -> bool:
    guid: str | None = sent.get("guid")
    if guid is not None:
        return bool(guids.get(guid, guid) == stored.get("guid"))
    unique: Json = (
        stored.get("uniqueAttributes") or {}
    )  # only some answers have it; without it any end of the name will do
    name = sent.get("uniqueAttributes", {}).get("qualifiedName")
    return bool(unique.get("qualifiedName", name) == name)


def _same(sent: Any, stored: Any) -> bool:
    """Whether ``stored`` may be what Atlas makes of ``sent``: it keeps numbers, flags and texts by the type of the attribute."""
    if sent is None or sent == stored:
        return True
    if isinstance(sent, Mapping):
        if not isinstance(stored, Mapping):
            return False
        if "guid" in sent or "uniqueAttributes" in sent:
            return True  # a reference: relationships are looked at as such
        return all(name in stored and _same(value, stored[name]) for name, value in sent.items())
    if isinstance(sent, list | tuple):
        if not sent:
            return not stored
        return isinstance(stored, list) and len(sent) == len(stored) and all(map(_same, sent, stored))
    return bool(_scalar(sent) == _scalar(stored))


def _scalar(value: Any) -> Any:
    """Numbers and texts of them are the same, and so are a flag and its text; what is unset reads as 0, false or nothing."""
    if value is None or value == "" or value is False:
        return 0.0
    if value is True:
        return "true"
    text = str(value)
    try:
        return float(text)
    except ValueError:
        return 0.0 if text.lower() == "false" else text.lower() if text.lower() == "true" else text
