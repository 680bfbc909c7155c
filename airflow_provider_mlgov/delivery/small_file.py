"""Small JSON files beside a spool that save time, and that nothing depends on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def read(path: Path) -> dict[str, Any]:
    """The object in ``path``, with its version under ``v`` (the first had none); an empty one where there is nothing like it."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"), parse_constant=_refused)
    except (OSError, ValueError, RecursionError):
        return {}
    is_ours = isinstance(found, dict) and isinstance(found.get("v", 1), int)
    return found if is_ours else {}


def _refused(name: str) -> float:
    raise ValueError(f"{name} is no number to go by")
