"""Tables that live no longer than the work of their run: by the names that platforms and tools give them."""

from __future__ import annotations

import re

_TEMPORARY = {
    "sqlserver": re.compile(r"(?:.*\.)?#[^.]+|tempdb\..*", re.IGNORECASE),
    "postgres": re.compile(r"(?:.*\.)?pg_temp(?:_\d+)?\..+", re.IGNORECASE),
    "hive": re.compile(r".*(?:values__tmp__table__\d+|_temp-[0-9a-f-]{36})", re.IGNORECASE),
    "bigquery": re.compile(r".+\._[0-9a-f]{32,40}\.anon[0-9a-z_-]+"),
}
_UNDER_CONSTRUCTION = re.compile(r"(?P<name>.+?)__dbt_(?:tmp|backup)", re.IGNORECASE)


def is_temporary(family: str, name: str) -> bool:
    """Whether the table is gone when its run is over."""
    pattern = _TEMPORARY.get(family)
    return pattern is not None and pattern.fullmatch(name) is not None


def settled(name: str) -> str:
    """The name that the table gets when it is ready: dbt builds ``orders`` as ``orders__dbt_tmp``."""
    found = _UNDER_CONSTRUCTION.fullmatch(name)
    return found["name"] if found else name
