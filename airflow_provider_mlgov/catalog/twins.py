"""Twins: several active entities of one type and qualifiedName. Atlas makes them when two clients create a name at once.

Only one of them is found by its name; the others still carry edges, and what people said of them. Where somebody deleted one of
a pair alone, the other is found no more, and the next write makes another. `merging` mends both.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from airflow_provider_mlgov.catalog.catalog import Catalog, Json
from airflow_provider_mlgov.catalog.types.definitions import our_types
from airflow_provider_mlgov.model.entity import Ref

TEMPORARY = "mlgov-repair:"
"""What the name of an entity begins with while its twins are deleted. One that is found had its repair cut off."""
BUILT_IN = tuple(
    """
    hive_db hive_table hive_storagedesc hive_column rdbms_instance rdbms_db rdbms_table rdbms_column aws_s3_bucket
    aws_s3_pseudo_dir aws_s3_v2_bucket aws_s3_v2_directory adls_gen2_account adls_gen2_container adls_gen2_directory
    hbase_namespace hbase_table kafka_topic ozone_volume ozone_bucket ozone_key fs_path ml_project
    """.split()
)
"""Atlas's own types that we write (with their subtypes), what contains others first."""
PAGE = 500
"""Entities that are looked at with one search."""


@dataclass(frozen=True)
class Twins:
    """The entities of one name."""

    ref: Ref
    found: str | None
    """The guid of the one that a look by name finds: it is kept. None where none is found any more."""
    others: tuple[str, ...]
    """The guids of those that are not found by their name."""


def scanned_types() -> tuple[str, ...]:
    """The types to scan, what contains others first; each stands for its subtypes too."""
    ours = {each["name"]: each["superTypes"] for each in our_types()["entityDefs"]}
    return (*BUILT_IN, *(name for name, parents in ours.items() if not any(parent in ours for parent in parents)))


def find_twins(catalog: Catalog, type_name: str, looked_at: Callable[[int], None] = lambda _count: None) -> list[Twins]:
    """The twins among the entities of a type and its subtypes.

    Page by page: each entity is looked up by its name, and those that another one answers for are remembered, no more.
    ``looked_at`` is told how many entities each page had.
    """
    hidden: dict[Ref, dict[str, None]] = {}
    found: dict[Ref, str | None] = {}
    offset = 0
    while page := catalog.search(type_name, attributes=("qualifiedName",), limit=PAGE, offset=offset):
        offset += len(page)
        for ref, guid, named in _looked_up(catalog, type_name, page):
            if guid != named:
                hidden.setdefault(ref, {})[guid] = None
                found[ref] = named
        looked_at(len(page))
    twins = []
    for ref, guids in hidden.items():
        active = tuple(guid for guid in guids if _is_active(catalog, guid))  # a deleted one is found for a second yet
        if active:
            twins.append(Twins(ref, found[ref], active))
    return sorted(twins, key=lambda each: (len(each.ref.qualified_name), each.ref))


def _looked_up(catalog: Catalog, type_name: str, page: Sequence[Json]) -> Iterator[tuple[Ref, str, str | None]]:
    """Each entity of a page: its name (the one that it should have), its guid, and whose guid a look by that name finds."""
    refs = [(Ref(each["typeName"], own_name(each["attributes"]["qualifiedName"])), each["guid"]) for each in page]
    by_name = catalog.get_many(type_name, [ref.qualified_name for ref, _ in refs])
    for ref, guid in refs:
        answer: Json | None = by_name.get(ref.qualified_name)
        if answer is not None and answer["typeName"] != ref.type_name:  # another type has the same name
            answer = catalog.get(ref.type_name, ref.qualified_name)
            answer = answer if answer is not None and answer["typeName"] == ref.type_name else None
        yield ref, guid, None if answer is None else answer["guid"]


def own_name(qualified_name: str) -> str:
    """The qualifiedName without what a repair puts before it."""
    return qualified_name.removeprefix(TEMPORARY)


def _is_active(catalog: Catalog, guid: str) -> bool:
    entity = catalog.get_by_guid(guid)
    return entity is not None and entity.get("status", "ACTIVE") == "ACTIVE"


def members(catalog: Catalog, twins: Twins) -> list[Json]:
    """The active entities of ``twins`` with their relationships, the one to keep first.

    That is the one that is found by name; else one whose repair was cut off, since it has what the others had; else the one
    that most hangs on.
    """
    guids = [twins.found, *twins.others] if twins.found else list(twins.others)
    entities = (catalog.get_by_guid(guid, relationships=True) for guid in guids)
    active = [each for each in entities if each is not None and each.get("status", "ACTIVE") == "ACTIVE"]
    return sorted(active, key=lambda each: _rank(each, twins.found))


def _rank(entity: Json, found: str | None) -> tuple[bool, bool, int, int]:
    name = entity["attributes"]["qualifiedName"]
    return (
        entity["guid"] != found,
        not name.startswith(TEMPORARY),
        -sum(1 for _ in edges(entity)),
        int(entity.get("createTime") or 0),
    )


def edges(entity: Json) -> Iterator[tuple[str, Json]]:
    """The active relationships of an entity: the attribute, and what it refers to."""
    for name, value in (entity.get("relationshipAttributes") or {}).items():
        for item in value if isinstance(value, list) else [value]:
            if item and item.get("entityStatus", "ACTIVE") == item.get("relationshipStatus", "ACTIVE") == "ACTIVE":
                yield name, item


def own_classifications(entity: Json) -> list[Json]:
    """Those that were put on it, and not on what it was made of."""
    return [
        item for item in entity.get("classifications") or () if item.get("entityGuid") in (None, entity.get("guid"))
    ]


def described(entity: Json) -> dict[str, Any]:
    """What hangs on an entity: how many edges of each kind, and what people said of it."""
    counts: dict[str, int] = {}
    terms: list[str] = []
    for name, item in edges(entity):
        if name == "meanings":
            terms.append(str(item.get("displayText") or item["guid"]))
        else:
            counts[name] = counts.get(name, 0) + 1
    told: dict[str, Any] = {
        "edges": dict(sorted(counts.items())),
        "labels": sorted(entity.get("labels") or ()),
        "classifications": sorted(item["typeName"] for item in own_classifications(entity)),
        "terms": sorted(terms),
        "customAttributes": sorted(entity.get("customAttributes") or ()),
        "businessAttributes": sorted(entity.get("businessAttributes") or ()),
        "owner": entity["attributes"].get("owner") or None,
    }
    return {name: value for name, value in told.items() if value}
