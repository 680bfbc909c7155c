"""OpenLineage's attrs objects as plain JSON, without importing OpenLineage: whoever made the objects has done so."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime, timedelta
from enum import Enum
from pathlib import PurePath
from typing import Any

_MAX_DEPTH = 40


def plain(value: Any, depth: int = 0) -> Any:
    """``value`` as JSON; fields that are None are left out, what is unknown becomes its text."""
    if value is None or isinstance(value, (str, bool, int)):
        return value.value if isinstance(value, Enum) else value
    if depth > _MAX_DEPTH:
        return str(value)
    if isinstance(value, float):
        # NaN and infinity are no JSON
        return value if value - value == 0 else str(value)
    if isinstance(value, Enum):
        return plain(value.value, depth + 1)
    if isinstance(value, Mapping):
        return {str(key): plain(item, depth + 1) for key, item in value.items() if item is not None}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain(item, depth + 1) for item in value]
    return _object(value, depth)


def _object(value: Any, depth: int) -> Any:
    names = getattr(type(value), "__attrs_attrs__", None)
    if names is not None:
        fields = {item.name: getattr(value, item.name, None) for item in names}
        return {name: plain(item, depth + 1) for name, item in fields.items() if item is not None}
    if isinstance(value, (datetime, date)):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    if isinstance(value, PurePath):
        return str(value)
    # numpy's scalars say what they are by item()
    item = getattr(value, "item", None)
    if callable(item) and getattr(value, "ndim", None) == 0:
        return plain(item(), depth + 1)
    return str(value)
