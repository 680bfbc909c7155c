"""What a catalogue finds, where its index may be a moment late."""

from __future__ import annotations

import time
from collections import Counter
from typing import Any


def names_of(catalog: Any, type_name: str, part: str, wanted: int, seconds: float = 15.0) -> Counter[str]:
    """The names of a type that hold ``part``, and how often each is found; waits until ``wanted`` names are there."""
    until = time.monotonic() + seconds
    while True:
        found = Counter(
            header["attributes"]["qualifiedName"]
            for header in catalog.search(type_name, limit=10_000)
            if part in header["attributes"]["qualifiedName"]
        )
        if len(found) >= wanted or time.monotonic() > until:
            return found
        time.sleep(0.2)
