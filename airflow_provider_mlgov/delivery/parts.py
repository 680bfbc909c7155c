"""Which names are those of parts: of columns, and of what is in a directory. They begin with the name of the whole.

Not all that begins so is a part: files and topics have dots in their names, so `orders.csv` lies beside `orders`, not in it. What
is deleted or forgotten with another dataset is decided here.
"""

from __future__ import annotations

from collections.abc import Iterator

from airflow_provider_mlgov.model.entity import Ref

_MARKS = {"rdbms_column": ".", "hive_column": ".", "ozone_bucket": "."}
"""What stands between the name of what contains it and its own, by type; of all others it is a slash."""


def is_part(ref: Ref, whole: Ref) -> bool:
    """Whether that is the ``whole``, or what is in it: neither `orders_old` nor `orders.csv` is part of `orders`.

    Nor is what is called so on another cluster, or is of another type.
    """
    name, start = whole.qualified_name, head(whole.qualified_name)
    if head(ref.qualified_name) == start:
        return ref == whole
    begins = ref.qualified_name.startswith(start)  # most do not
    return begins and start in _heads(ref) and renamed(ref.qualified_name, name, name) is not None


def around(ref: Ref) -> Iterator[str]:
    """Its name, and those that what contains it may have."""
    at = ref.qualified_name.rpartition("@")[2]
    for name in _heads(ref):
        yield from (name, f"{name}/", f"{name}@{at}", f"{name}/@{at}")


def renamed(name: str, old: str, new: str) -> str | None:
    """The name of a column, or of what is in a directory, after its dataset got a new name; None if it has nothing of the old."""
    if name.startswith(old):
        return new + name[len(old) :]
    (old_head, _, at), (new_head, _, new_at) = old.rpartition("@"), new.rpartition("@")
    if old_head and name.startswith(old_head) and name.endswith(f"@{at}"):
        return f"{new_head}{name[len(old_head) : len(name) - len(at)]}{new_at}"
    return None


def head(name: str) -> str:
    """What the names of all that is in a dataset of this ``name`` begin with."""
    return (name.rpartition("@")[0] or name).rstrip("/")


def _heads(ref: Ref) -> set[str]:
    """The `head` of its name, and those of what may contain it."""
    name = head(ref.qualified_name)
    found = {name}
    if ref.type_name == "mlgov_field":  # of a file, whose name may have that mark too
        name = name.rpartition("#")[0]
        found.add(name.rstrip("/"))
    mark = _MARKS.get(ref.type_name, "/")
    return found | {name[:place].rstrip("/") for place, char in enumerate(name) if char == mark}
