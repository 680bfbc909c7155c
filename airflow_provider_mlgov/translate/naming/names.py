"""From a name to entities: the user's rules, then hints of the event's facets, then the family's own convention."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import pairwise
from typing import Any

from airflow_provider_mlgov.errors import InvalidNameError
from airflow_provider_mlgov.model.entity import Entity, Ref
from airflow_provider_mlgov.model.identity import check_text
from airflow_provider_mlgov.translate.naming import fallback, partitions, rdbms, temporary
from airflow_provider_mlgov.translate.naming.families import FAMILIES, family_of
from airflow_provider_mlgov.translate.naming.family import Family, fold, segments
from airflow_provider_mlgov.translate.naming.spelling import canonical, without_driver
from airflow_provider_mlgov.translate.options import TranslateOptions
from airflow_provider_mlgov.translate.rules import Decided
from airflow_provider_mlgov.translate.texts import fits


@dataclass(frozen=True)
class Hints:
    """What facets tell of a name."""

    hierarchy: tuple[str, ...] = ()
    """The parts of the name, from the outermost (facet ``hierarchy``): better than splitting at dots."""
    database: str = ""
    """The database (facet ``dataSource``), for names that begin at the schema."""


NO_HINTS = Hints()

_NAMESPACE = "namespace of a dataset"
_TABLE = re.compile(r"[\w$#-]+")
_LONGEST_KEPT = 2_000
"""Characters of a name that is remembered: thousands of them are."""
MAX_LEVELS = 100
"""Levels of a path that get an entity each."""


@dataclass(frozen=True)
class Named:
    """What a name comes to."""

    family: Family
    entities: tuple[Entity, ...] = ()
    """Parents first, the dataset itself last; empty where it is `left_out`."""
    partition: str = ""
    """The partition that was folded into the dataset."""
    is_part: bool = False
    """The name is that of a part of the dataset, or of its next state: what is done to that is not done to the dataset."""
    location: str = ""
    """Where its files are, if the data was called by its path and another name counts."""
    left_out: str = ""
    """Why there is nothing of it in the catalogue; empty where there is."""
    is_ignored: bool = False
    """It is left out because a rule says so."""
    why: tuple[str, ...] = ()
    """Each decision that was made, in words."""


def is_catalog(namespace: str, name: str, options: TranslateOptions) -> bool:
    """Whether this is a table that is kept in a catalogue, which says better what data is than a physical path.

    A name that does not have the form of one says nothing.
    """
    try:
        return name_entities(namespace, name, options).family.is_catalog
    except InvalidNameError:
        return False


def name_entities(namespace: str, name: str, options: TranslateOptions, hints: Hints = NO_HINTS) -> Named:
    """What a dataset is in Atlas.

    Raises `InvalidNameError` for an empty name, a control character, or one of our own names in a wrong form. A namespace may be
    empty (Flink sends such for tables of most connectors) where a rule says which is meant, or ignores the dataset.
    """
    if len(namespace) + len(name) > _LONGEST_KEPT:
        return _name_entities.__wrapped__(namespace, name, options, hints)
    return _name_entities(namespace, name, options, hints)


@lru_cache(maxsize=8192)
def _name_entities(namespace: str, name: str, options: TranslateOptions, hints: Hints) -> Named:
    namespace, name = namespace.strip(), name.strip()
    check_text(name, "name of a dataset")
    check_text(namespace or name, _NAMESPACE)  # an empty one may mean another
    why: list[str] = []
    names = _meant(namespace, name, options, why)
    meant = names[-1]
    decided = options.rules.decisions(names, name, canonical)
    key = decided["family"].value if "family" in decided else family_of(meant)
    family = FAMILIES[key]
    why.append(f"family {key}: {_reason(decided.get('family'), options, _built_in(key, meant))}")
    if ignored := decided.get("ignore"):
        if ignored.value:
            return Named(family, left_out=_reason(ignored, options, "ignored"), is_ignored=True, why=tuple(why))
    elif reason := _no_identity(family, key, name, options):
        return Named(family, left_out=reason, why=tuple(why))
    check_text(meant, _NAMESPACE)
    if "case" in decided:
        family = replace(family, case=decided["case"].value)
    if family.case != "keep" or "case" in decided:
        why.append(f"{family.case} case: {_reason(decided.get('case'), options, 'as the platform folds names')}")
    kept, partition = _folded(key, family, name, options, decided.get("partitions"), why)
    told = _options(key, family, options, decided, why)
    is_long = not (fits(meant) and fits(kept))
    is_deep = family.has_paths and kept.count("/") > MAX_LEVELS
    entities = None if is_long or is_deep else _entities(family, meant, kept, told, hints, why)
    is_fallen = entities is None
    if entities is None:
        what = "too long" if is_long else "too deep" if is_deep else f"of no form that family {key} knows"
        why.append(f"family other: {kept[:100]!r} is {what}")
        entities = fallback.entities(meant, fold(kept, family.case), told)
    if not is_fallen or key == "other":
        entities = _typed(family, names, kept, entities, told, why)
    elif "type" in decided:
        why.append(f"not of type {decided['type'].value}, since the name has another form than data of that type")
    if is_fallen:
        family = replace(FAMILIES["other"], case=family.case)
    return Named(family, entities, partition, is_part=kept != name, why=tuple(why))


def _meant(namespace: str, name: str, options: TranslateOptions, why: list[str]) -> tuple[str, ...]:
    """``namespace``, and those that are meant by it: by rules, and without a driver, of which rules may speak, too."""
    names, rules = options.rules.meant(namespace, name, canonical)
    reasons = [_place(rule, options) for rule in rules]
    if (plain := without_driver(names[-1])) != names[-1]:
        more, rules = options.rules.meant(plain, name, canonical)
        names += more
        reasons += ["built in, a driver says nothing", *(_place(rule, options) for rule in rules)]
    for (one, other), reason in zip(pairwise(names), reasons, strict=True):
        why.append(f"{one or 'an empty namespace'} means {other}: {reason}")
    return names


def _folded(
    key: str, family: Family, name: str, options: TranslateOptions, folds: Decided | None, why: list[str]
) -> tuple[str, str]:
    """The name of the whole that ``name`` is a part or the next state of, and which partition it is."""
    if folds is not None and not folds.value:
        why.append(f"partitions are kept: {_place(folds.rule, options)}")
        whole, partition = name, ""
    else:
        whole, partition = partitions.fold(key, name, has_paths=family.has_paths)
    if partition:
        why.append(f"partition {partition} is folded into {whole}: built in; a rule with partitions = false keeps it")
    settled = temporary.settled(whole)
    if settled != whole:
        why.append(f"{whole} becomes {settled}: built in, as dbt names a table that is not ready")
    return settled, partition


def _no_identity(family: Family, key: str, name: str, options: TranslateOptions) -> str:
    if not family.is_durable:
        return "data in memory means nothing outside its run"
    if options.rules.is_temporary(name):
        return f"a temporary table, by a rule of {options.rules.source}"
    return "a temporary table" if temporary.is_temporary(key, name) else ""


def _options(
    key: str, family: Family, options: TranslateOptions, decided: dict[str, Decided], why: list[str]
) -> TranslateOptions:
    """The options as the rules change them for one dataset."""
    changed: dict[str, Any] = {}
    if place := decided.get("atlas_namespace"):
        named = ("airflow_namespace", "catalog_namespace", "platform_namespace", "cluster_namespace")
        changed |= dict.fromkeys(named, place.value)
        why.append(f"@{place.value}: {_reason(place, options, '')}")
    if case := decided.get("case"):
        changed["case"] = case.value
    for option, name, has_effect in (
        ("scheme", "s3_scheme", key in ("s3", "s3_v1")),
        ("rdbms_names", "rdbms_names", family.column is rdbms.column),
        ("schema", "schema", family.schema_of is not None),
    ):
        if found := decided.get(option):
            changed[name] = found.value
            where = " for a name that has none" if option == "schema" else ""
            where = where if has_effect else f" has no effect on {key}"
            why.append(f"{option} {found.value or 'unknown'}{where}: {_reason(found, options, '')}")
    return replace(options, **changed) if changed else options


def _typed(
    family: Family,
    names: tuple[str, ...],
    name: str,
    entities: tuple[Entity, ...],
    options: TranslateOptions,
    why: list[str],
) -> tuple[Entity, ...]:
    """``entities`` with the types that rules give: the dataset, and each directory that it is in by what is said of its own name.

    A directory is so of one type, whether it is named itself or what is in it. What directories are in (a bucket) is none.
    """
    rules = options.rules
    if not any(rule.type for rule in rules.namespaces):
        return entities
    kind = entities[-1].type_name
    if family.has_paths:
        inner = family.entities(names[-1], "/a/b/c/d", options)
        kind = inner[-1].type_name if inner else ""
        name = "/" * name.startswith("/") + "/".join(segments(name))
    decided = rules.type_of(names, name, canonical, is_path=family.has_paths)
    if decided is not None and entities[-1].type_name == kind:
        why.append(f"type {decided.value}: {_reason(decided, options, '')}")
    elif decided is not None:
        why.append(f"not of type {decided.value}, which is one of what is in it")
    new: dict[Ref, Ref] = {}
    for entity in reversed(entities if family.has_paths else entities[-1:]):
        if decided is not None and entity.type_name == kind:
            new[entity.ref] = Ref(decided.value, entity.qualified_name)
        if family.has_paths:
            name = name.rpartition("/")[0]
            decided = rules.type_of(names, name, canonical, is_path=True)
    return tuple(
        replace(
            entity,
            type_name=new.get(entity.ref, entity.ref).type_name,
            relations={
                end: new.get(ref, ref) if isinstance(ref, Ref) else ref for end, ref in entity.relations.items()
            },
        )
        for entity in entities
    )


def _entities(
    family: Family, namespace: str, name: str, options: TranslateOptions, hints: Hints, why: list[str]
) -> tuple[Entity, ...] | None:
    folded = fold(name, family.case)
    if family.parts is not None:
        parts = tuple(fold(part, family.case) for part in hints.hierarchy[-family.levels :])
        if len(parts) == family.levels and f".{'.'.join(parts)}".endswith(f".{folded}"):
            entities = family.parts(namespace, parts, options)
            if entities is not None:
                why.append(f"parts {' / '.join(parts)}: facet hierarchy")
                return entities
    entities = family.entities(namespace, folded, options)
    missing = family.levels - folded.count(".") - 1
    if entities is not None or missing not in (1, 2):
        return entities
    database = fold(hints.database, family.case)
    is_told = len(hints.hierarchy) >= family.levels  # of other parts than the name's, so there is nothing to guess
    if missing == 2:  # a table alone, as Great Expectations names it; or a query
        is_table = _TABLE.fullmatch(folded) is not None and not is_told
        return _in_default_schema(family, namespace, database, folded, options, why) if is_table else None
    if not is_told and (not database or folded.startswith(f"{database}.")):
        entities = _in_default_schema(family, namespace, *folded.partition(".")[::2], options, why)
    if database and entities is None:
        why.append(f"database {hints.database}: facet dataSource")
        entities = family.entities(namespace, f"{database}.{folded}", options)
    return entities


def _in_default_schema(
    family: Family, namespace: str, database: str, table: str, options: TranslateOptions, why: list[str]
) -> tuple[Entity, ...] | None:
    """The table of a name without a schema: Spark names tables of JDBC by the database and what it was told to read.

    Where the first part is a schema that each database has, it is the database that is not said.
    """
    if family.schema_of is None or not database or "." in database:
        return None
    built_in = family.schema_of(namespace)
    schema = fold(built_in if options.schema is None else options.schema, family.case)
    if not schema or database.lower() in {schema.lower(), built_in.lower(), *rdbms.SYSTEM_SCHEMAS}:
        return None
    entities = family.entities(namespace, f"{database}.{schema}.{table}", options)
    if entities is not None and options.schema is None:
        why.append(f"schema {schema}: built in, as the platform's default for a name that has none")
    return entities


def _built_in(key: str, namespace: str) -> str:
    return "no family has its scheme" if key == "other" else f"by the scheme of {namespace}"


def _reason(decided: Decided | None, options: TranslateOptions, built_in: str) -> str:
    return f"built in, {built_in}" if decided is None else _place(decided.rule, options)


def _place(rule: Any, options: TranslateOptions) -> str:
    return f"rule in line {rule.line} of {options.rules.source}"
