"""Texts that Atlas can keep: capped, without characters that it or UTF-8 refuses."""

from __future__ import annotations

import json
import math
import re
from typing import Any
from urllib.parse import quote, unquote

from airflow_provider_mlgov.model.identity import token

MAX_ERROR = 4_000
"""Characters kept of an error message."""
MAX_TEXT = 100_000
"""Characters kept of a text that is not indexed (a query, a description)."""
MAX_NAME = 1_200
"""Characters of one part of a name, as a URL has it: Atlas takes query parameters of 4,096, and a name has up to three parts."""
MAX_INDEXED = 8_000
"""Characters kept of an indexed text: at four bytes each below 32,766, where Atlas stalls."""


_SURELY_SHORT = MAX_NAME // 12
"""No character takes more than twelve in a URL."""
_HALF_CHARACTER = re.compile("%.?$")


def plain(value: object, limit: int = MAX_INDEXED) -> str | None:
    """``value`` as one line for a name or an indexed attribute, or None if it is no text or empty."""
    if not isinstance(value, str):
        return None
    text = value[: limit + 1]
    if not text.isprintable():
        text = "".join(char if char.isprintable() else " " for char in text)
    return shorten(text.strip(), limit) or None


def long(value: object, limit: int = MAX_TEXT) -> str | None:
    """``value`` as a text of several lines, or None if it is no text or empty."""
    if not isinstance(value, str) or not value:
        return None
    text = shorten(value, limit)
    return text.encode("utf-8", "replace").decode() if not text.isascii() else text


def fits(name: str) -> bool:
    """Whether a request could carry ``name``."""
    return len(name) <= _SURELY_SHORT or (
        len(name) <= MAX_NAME and len(quote(name, safe="", errors="replace")) <= MAX_NAME
    )


def nameable(name: str) -> str:
    """``name``, cut where no request could carry it (a whole query as a name): then it ends in its digest."""
    if fits(name):
        return name
    quoted = quote(name, safe="", errors="replace")
    whole = _HALF_CHARACTER.sub("", quoted[: MAX_NAME - 33])
    return f"{unquote(whole, errors='ignore')}~{token(name)}"


def shorten(text: str, limit: int) -> str:
    """``text``, cut to ``limit`` characters with an ellipsis at the end."""
    return text if len(text) <= limit else text[: limit - 1] + "…"


def called(name: str) -> str:
    """A dataset of this ``name`` as warnings speak of it, whose namespace may be what is wrong."""
    return f"dataset {shorten(name, 200)!r}" if name.strip() else "a dataset"


_ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"))


def json_text(value: Any) -> str:
    """Canonical JSON: sorted keys, no spaces, ASCII only: the same value gives the same bytes."""
    return _ENCODER.encode(value)


def named_values(values: dict[str, Any]) -> str | None:
    """A mapping as canonical JSON list of ``{"name", "value"}``, or None if it is empty.

    NaN and infinities as texts.
    """
    if not values:
        return None
    items = [
        {"name": name, "value": str(value) if isinstance(value, float) and not math.isfinite(value) else value}
        for name, value in sorted(values.items())
    ]
    return json_text(items)
