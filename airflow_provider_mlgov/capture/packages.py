"""Which packages are installed, as one digest."""

from __future__ import annotations

import hashlib
import re
from functools import cache
from importlib.metadata import distributions


@cache
def installed() -> tuple[str, ...]:
    """``name==version`` of every installed distribution, names normalised, sorted."""
    found = set()
    for distribution in distributions():
        name = distribution.metadata["Name"]
        if name:  # a broken installation leaves folders without metadata behind
            found.add(f"{re.sub(r'[-_.]+', '-', name).lower()}=={distribution.version}")
    return tuple(sorted(found))


def packages_digest() -> str:
    """A digest of `installed`: the same set of packages, the same digest."""
    return "sha256:" + hashlib.sha256("\n".join(installed()).encode()).hexdigest()
