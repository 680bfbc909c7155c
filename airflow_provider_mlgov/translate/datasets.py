"""Datasets of an event: which Atlas entities they are, and what their facets say of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, NamedTuple

from airflow_provider_mlgov.errors import InvalidNameError
from airflow_provider_mlgov.model import ml
from airflow_provider_mlgov.model.entity import Change, Entity, Marks, Ref, dated
from airflow_provider_mlgov.translate.events import datasets_of, facet, join_registers
from airflow_provider_mlgov.translate.marks import MAX_CUSTOM, dataset_marks
from airflow_provider_mlgov.translate.names import Names
from airflow_provider_mlgov.translate.naming import Family
from airflow_provider_mlgov.translate.naming.family import fold
from airflow_provider_mlgov.translate.naming.ml import ENDPOINTS
from airflow_provider_mlgov.translate.options import TranslateOptions
from airflow_provider_mlgov.translate.texts import called, json_text, long, plain, shorten

Json = Mapping[str, Any]

_MOST_PARTITIONS = 100
_LIFECYCLE = "lifecycleStateChange"


class Name(NamedTuple):
    """One of several names of a dataset in one event."""

    partition: str
    facets: dict[str, Any]
    role: dict[str, Any]


@dataclass(frozen=True)
class End:
    """A dataset that a run read or wrote."""

    family: Family
    entities: tuple[Entity, ...]
    """As its name tells them: parents first, the dataset itself last."""
    facets: dict[str, Any]
    role: dict[str, Any]
    """Facets of the dataset as an input or an output of this run."""
    thing: ml.Thing | None = None
    """What it is, if it is one of ours."""
    partitions: tuple[str, ...] = ()
    """The partitions of it that were read or written."""
    location: str = ""
    """Where its files are, if another name counts."""
    names: tuple[Name, ...] = ()
    """What was said under each of its names, where it has several."""

    @property
    def ref(self) -> Ref:
        """The entity that becomes an end of processes."""
        return self.entities[-1].ref

    @property
    def split(self) -> str | None:
        """Which part of the data a task used it as (train, test …)."""
        split = plain(facet(self.role, "mlgov_io").get("split"), 100)
        return split.lower() if split else None

    @property
    def lifecycle(self) -> str:
        """What was done to it as a whole: CREATE, DROP, OVERWRITE …, or an empty text."""
        return (plain(facet(self.facets, _LIFECYCLE).get(_LIFECYCLE), 100) or "").upper()


def read_ends(state: Json, direction: str, names: Names, warnings: list[str]) -> list[End]:
    """The datasets of one direction, each once, sorted by type and name.

    What cannot be named is left out with a warning, and so is what has no identity; what a rule ignores, without one.
    """
    ends: dict[Ref, End] = {}
    for namespace, name, dataset in datasets_of(state, direction):
        try:
            named = names.of(namespace, name)
        except InvalidNameError as error:
            if not (namespace.startswith(f"{ml.SCHEME}://") and name.startswith(ENDPOINTS)):
                warnings.append(f"{called(name)} among the {direction} is left out: {error}")
            elif not _is_deployed(state[direction], namespace, name):
                warnings.append(
                    f"endpoint {name!r} among the {direction} is left out: no deployment says which build is behind it"
                )
            continue
        if not named.entities:
            if not named.is_ignored:
                warnings.append(f"{namespace} {name} among the {direction} is left out: {named.left_out}")
            continue
        end = End(
            named.family,
            named.entities,
            _of_whole(dataset["facets"]) if named.is_part else dataset["facets"],
            dataset["roleFacets"],
            partitions=(named.partition,) if named.partition else (),
            location=named.location,
        )
        if (twin := ends.get(end.ref)) is not None:
            end = _united(twin, end)
        if namespace.startswith(f"{ml.SCHEME}://"):
            end = replace(end, thing=ml.from_dataset(namespace, name, {ml.FACET: dict(facet(end.facets, ml.FACET))}))
        ends[end.ref] = end
    return [ends[ref] for ref in sorted(ends, key=lambda ref: (ref.type_name, ref.qualified_name))]


def _of_whole(facets: dict[str, Any]) -> dict[str, Any]:
    """What the facets of a part say of the whole: a partition that is dropped leaves the table where it was."""
    state = plain(facet(facets, _LIFECYCLE).get(_LIFECYCLE), 100)
    if (state or "").upper() not in ("DROP", "RENAME"):
        return facets
    return {name: register for name, register in facets.items() if name != _LIFECYCLE}


def _united(one: End, other: End) -> End:
    """Two names of one dataset."""
    return replace(
        one,
        facets=join_registers(one.facets, other.facets),
        role=join_registers(one.role, other.role),
        partitions=tuple(sorted({*one.partitions, *other.partitions}))[:_MOST_PARTITIONS],
        location=max(one.location, other.location),
        names=(*_names(one), *_names(other)),
    )


def _names(end: End) -> tuple[Name, ...]:
    return end.names or (Name(end.partitions[0] if end.partitions else "", end.facets, end.role),)


def _is_deployed(datasets: Json, namespace: str, name: str) -> bool:
    place = name.removeprefix(ENDPOINTS)
    return any(f"/deployments/{place}/" in other for other in datasets[namespace])


def without_dropped(
    outputs: Sequence[End], names: Names, time: int, warnings: list[str]
) -> tuple[list[End], list[Change]]:
    """The outputs that are there after the run, and what it dropped and renamed, ``time`` being when."""
    kept: list[End] = []
    changes: list[Change] = []
    for end in outputs:
        if end.lifecycle == "DROP" and end.thing is None:
            changes.append(Change("drop", end.ref, time, chain=end.entities))
            continue
        kept.append(end)
        old = _previous(end, names) if end.lifecycle == "RENAME" else None
        if end.lifecycle == "RENAME" and old is None:
            warnings.append(f"{end.ref.qualified_name} got another name, and nothing says which it had")
        if old is not None and _is_inside(end, old[-1]):
            before = old[-1].qualified_name  # nothing moves into itself; told twice, it would move deeper
            warnings.append(
                f"{end.ref.qualified_name} is inside {before}, whose new name it cannot be: the rename is left out"
            )
        elif old is not None and old[-1].ref != end.ref:
            name = end.entities[-1].attributes["name"]
            changes.append(Change("rename", old[-1].ref, time, end.ref, name, end.entities, old))
    return kept, changes


def _is_inside(end: End, whole: Entity) -> bool:
    """Whether a path lies below another."""
    start = whole.qualified_name.rpartition("@")[0].rstrip("/") + "/"
    return end.family.has_paths and end.ref != whole.ref and end.ref.qualified_name.startswith(start)


def _previous(end: End, names: Names) -> tuple[Entity, ...] | None:
    """What the dataset was in the catalogue, its entities themselves where no other; None where nothing says that."""
    identifier = facet(end.facets, _LIFECYCLE).get("previousIdentifier")
    if not isinstance(identifier, dict):
        return None
    try:
        named = names.before(str(identifier.get("namespace") or ""), str(identifier.get("name") or ""), end.facets)
    except InvalidNameError:
        return None
    if not named.entities or named.is_part:
        return end.entities  # a name that is not in the catalogue: nothing there is called otherwise now
    return named.entities if named.entities[-1].type_name == end.ref.type_name else _beside(end, named.entities[-1])


def _beside(end: End, previous: Entity) -> tuple[Entity, ...] | None:
    """The table whose files were at ``previous``: Spark names a table by its path when it gets another name.

    A catalogue that places tables itself calls their folders as it calls them, so the folder beside tells the name before.
    """
    folder, _, now = end.location.rpartition("/")
    before, _, name = previous.qualified_name.rpartition("@")[0].rstrip("/").rpartition("/")
    *parents, table = end.entities
    head, separator, at = table.qualified_name.rpartition("@")
    called = table.attributes["name"]
    is_placed = folder and folder == before and now.lower() == called.lower()
    if not is_placed or not name or not head.endswith(f".{called}"):
        return None
    name = fold(name, end.family.case)
    qualified = f"{head.removesuffix(called)}{name}{separator}{at}"
    return (*parents, replace(table, qualified_name=qualified, attributes={**table.attributes, "name": name}))


def data_entities(
    end: End, told: int | None, options: TranslateOptions, warnings: list[str], facts: Json = MappingProxyType({})
) -> Iterator[Entity]:
    """Parents and the dataset itself, with what its facets say; ``told`` is when it was read or written.

    Documentation and owner are written on creation only. ``facts`` are what no run will say.
    """
    *parents, entity = end.entities
    yield from parents
    described: dict[str, Any] = {}
    create_only = dict(entity.create_only)
    if end.family.kind_attribute and (kind := plain(facet(end.facets, "datasetType").get("datasetType"), 100)):
        (create_only if end.family.is_hooked else described)[end.family.kind_attribute] = kind
    if "datasetKey" in entity.attributes:
        described |= _own_attributes(end)
    if description := long(facet(end.facets, "documentation").get("description")):
        create_only["description"] = description
    if owner := first_owner(facet(end.facets, "ownership")):
        create_only["owner"] = owner
    marks = dataset_marks({**end.facets, **end.role}, options.rules, warnings)
    if custom := _custom(end, is_own="datasetKey" in entity.attributes, told=facts):
        marks = marks.united(Marks(custom=custom))
    yield replace(entity, described=dated(described, told), create_only=create_only, as_of=told, marks=marks)
    if end.location and entity.type_name == "hive_table":
        yield _storage(entity, end.location, renamed=told if end.lifecycle == "RENAME" else None)


def _own_attributes(end: End) -> dict[str, Any]:
    """What only our own types have an attribute for."""
    storage, catalog = facet(end.facets, "storage"), facet(end.facets, "catalog")
    found = {
        "sourceUri": plain(facet(end.facets, "dataSource").get("uri")),
        "storageLayer": plain(storage.get("storageLayer"), 100),
        "fileFormat": plain(storage.get("fileFormat"), 100),
        "catalogName": plain(catalog.get("name"), 1_000),
        "owners": all_owners(facet(end.facets, "ownership")) or None,
    }
    return {name: value for name, value in found.items() if value is not None}


def _custom(end: End, *, is_own: bool, told: Json) -> tuple[tuple[str, str], ...]:
    """What neither the type nor a run has a place for."""
    found = {**told, "subType": plain(facet(end.facets, "datasetType").get("subType"), 100)}
    owners = all_owners(facet(end.facets, "ownership"))
    if not is_own and len(owners) > 1:
        found["owners"] = ", ".join(owners)
    texts = {key: value if isinstance(value, str) else json_text(value) for key, value in found.items() if value}
    return tuple((key, shorten(text, MAX_CUSTOM)) for key, text in sorted(texts.items()))


def _storage(table: Entity, place: str, *, renamed: int | None) -> Entity:
    """Where the files of a Hive table are, as the hook says it; what the hook knows better is kept.

    Only a table that got another name, at ``renamed``, takes its files along: what was known of their place is of the name before.
    """
    location = {"location": place}
    moved = dated(location, renamed)
    create_only = {"compressed": False, **({} if moved else location)}
    qualified = f"{table.qualified_name}_storage"
    relations = {"table": table.ref}
    return Entity("hive_storagedesc", qualified, create_only=create_only, described=moved, relations=relations)


def first_owner(ownership: Json) -> str | None:
    """Atlas has one owner: the first that is named (``***`` is what a masker left)."""
    return next((name for name, _ in _owners(ownership)), None)


def all_owners(ownership: Json) -> list[str]:
    """All that are named, each with its kind: ``team:ml (MAINTAINER)``."""
    return [f"{name} ({kind})" if kind else name for name, kind in _owners(ownership)]


def _owners(ownership: Json) -> Iterator[tuple[str, str | None]]:
    owners = ownership.get("owners")
    for item in owners if isinstance(owners, list) else ():
        name = plain(item.get("name")) if isinstance(item, dict) else None
        if name and name.strip("*"):
            yield name, plain(item.get("type"), 100)
