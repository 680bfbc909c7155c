"""The reproducibility record of a build: what one needs to make it again, as canonical JSON with a digest."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

VERSION = 1


def make_record(parts: Mapping[str, Mapping[str, Any]]) -> tuple[str, str]:
    """The record of ``parts`` (``run``, ``code``, ``environment`` …) and its digest.

    What is unknown (None) is left out and named in ``missing``, so that a gap is seen.
    """
    missing = sorted(
        f"{part}.{name}" for part, facts in parts.items() for name, value in facts.items() if value is None
    )
    known = {part: {name: value for name, value in facts.items() if value is not None} for part, facts in parts.items()}
    text = canonical({"v": VERSION, **known, "missing": missing})
    return text, digest(text)


def canonical(value: object) -> str:
    """JSON with sorted keys and without white space: equal values, equal texts. Refuses NaN and infinity."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def digest(text: str) -> str:
    """``sha256:…`` of a text."""
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()
