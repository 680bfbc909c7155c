"""What a catalogue holds, in a form in which two of them can be compared."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

TYPES = (
    "mlgov_dag",
    "mlgov_task",
    "mlgov_dag_run",
    "mlgov_task_run",
    "mlgov_task_process",
    "mlgov_column_lineage",
    "mlgov_dataset",
    "rdbms_instance",
    "rdbms_table",
    "rdbms_column",
    "rdbms_db",
)
_PAGE = 1_000


def headers(catalog: Any, type_name: str, **more: Any) -> list[Any]:
    """All entities of a type, however many."""
    found: list[Any] = []
    while True:
        page = catalog.search(type_name, limit=_PAGE, offset=len(found), **more)
        found += page
        if len(page) < _PAGE:
            return found


def content(catalog: Any) -> dict[tuple[str, str], Any]:
    """Attributes and active relationships of everything, without what is another in each catalogue: guids and order.

    Fails where two entities have one name.
    """
    found: dict[tuple[str, str], Any] = {}
    for type_name in TYPES:
        for header in headers(catalog, type_name):
            name = header["attributes"]["qualifiedName"]
            assert (type_name, name) not in found, f"a twin: {type_name} {name}"
            entity = catalog.get(type_name, name, relationships=True)
            found[type_name, name] = _plain([entity["attributes"], _active(entity["relationshipAttributes"])])
    return found


def names_of(catalog: Any, type_name: str, part: str) -> Counter[str]:
    """How many entities have each of the names that hold ``part``."""
    names = (header["attributes"]["qualifiedName"] for header in headers(catalog, type_name))
    return Counter(name for name in names if part in name)


def difference(one: dict[Any, Any], other: dict[Any, Any]) -> dict[Any, Any]:
    """What is not the same in both, for a message that one can read."""
    return {key: (one.get(key), other.get(key)) for key in one.keys() | other.keys() if one.get(key) != other.get(key)}


def _active(relations: dict[str, Any]) -> dict[str, list[str]]:
    ends = {role: each if isinstance(each, list) else [each] for role, each in relations.items() if each}
    return {
        role: [each["displayText"] for each in some if each["relationshipStatus"] == "ACTIVE"]
        for role, some in ends.items()
    }


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items() if key != "guid"}
    if isinstance(value, list):
        return sorted(map(_plain, value), key=lambda item: json.dumps(item, sort_keys=True))
    return value
