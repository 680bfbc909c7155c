"""Partitions are parts of a table, not tables: ``…/sales/dt=2026-01-31/part-0.parquet`` is of ``…/sales``."""

from __future__ import annotations

import re

_SEGMENT = re.compile(r"[A-Za-z_][\w.-]*=[^/]*")
_FILE = re.compile(r".+\.[A-Za-z][A-Za-z0-9]{0,9}")
_BIGQUERY = re.compile(r"(?P<table>.+?)(?P<part>\$[0-9A-Za-z_]+|@-?\d+(?:--?\d*)?)")


def fold(family: str, name: str, *, has_paths: bool) -> tuple[str, str]:
    """``name`` without its partition, and the partition (``dt=2026-01-31/hour=3``), empty if there is none.

    A path is never folded to nothing: a bucket that holds partitions only keeps them. ``models/lr=0.01.pkl`` is a file that has
    settings in its name, and no partition.
    """
    if family == "bigquery":
        found = _BIGQUERY.fullmatch(name)
        return (found["table"], found["part"]) if found else (name, "")
    if not has_paths or "=" not in name:
        return name, ""
    parts = name.split("/")
    folders = parts[:-1] if _FILE.fullmatch(parts[-1]) else parts
    first = next((index for index, part in enumerate(folders) if _SEGMENT.fullmatch(part)), None)
    if first is None or not any(parts[:first]):
        return name, ""
    partition = [part for part in folders[first:] if _SEGMENT.fullmatch(part)]
    return "/".join(parts[:first]), "/".join(partition)
