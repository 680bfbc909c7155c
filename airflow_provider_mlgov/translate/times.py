"""Times of events: ISO 8601 as OpenLineage's producers really write it, to whole numbers."""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone
from functools import lru_cache

_LONGEST = 50
_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_ISO = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[T ](\d\d):(\d\d)(?::(\d\d)(?:[.,](\d{1,9}))?)?\s?(?:(Z|z)|([+-])(\d\d):?(\d\d)(?::\d\d)?)?",
    re.ASCII,
)


@lru_cache(maxsize=1024)
def _microseconds(text: str) -> int | None:
    match = _ISO.fullmatch(text)
    if match is None:
        return None
    year, month, day, hour, minute, second, fraction, _, sign, offset_hours, offset_minutes = match.groups()
    try:
        time = datetime(int(year), int(month), int(day), int(hour), int(minute), int(second or 0), tzinfo=timezone.utc)
    except ValueError:
        return None
    if sign:
        offset = int(offset_hours) * 60 + int(offset_minutes)
        minutes = -offset if sign == "+" else offset
    else:
        minutes = 0  # a time without a zone is read as UTC: Airflow's and OpenLineage's times are
    return (
        (time - _EPOCH) // timedelta(microseconds=1) + minutes * 60_000_000 + int((fraction or "0").ljust(6, "0")[:6])
    )


def microseconds(text: object) -> int | None:
    """Microseconds since the epoch of an ISO 8601 text with up to nine digits of fraction; None for anything else."""
    return _microseconds(text) if isinstance(text, str) and len(text) <= _LONGEST else None


def milliseconds(text: object) -> int | None:
    """Milliseconds since the epoch, as Atlas stores times."""
    time = microseconds(text)
    return None if time is None else time // 1000
