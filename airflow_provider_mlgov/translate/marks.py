"""Tags and kept facets: what becomes classifications, labels and custom attributes.

A rule says what a tag becomes. Without one it becomes a label, where its text is one that Atlas takes, else a custom attribute.
A column's tags are those with a ``field``.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from airflow_provider_mlgov.model.entity import NO_MARKS, Classification, Marks
from airflow_provider_mlgov.translate.events import facet
from airflow_provider_mlgov.translate.rules import Rules
from airflow_provider_mlgov.translate.texts import json_text, plain, shorten

Json = Mapping[str, Any]

_WORD = re.compile(r"[A-Za-z0-9_\u4e00-\u9fff-]{1,50}")
MAX_CUSTOM = 500
"""Characters that Atlas takes as a custom attribute."""
_OF_CLIENT = "OPENLINEAGE_CLIENT"
"""Who tags each run with the version of its client library: the run says its producer otherwise."""
_TRUE = frozenset({"", "true", "yes", "1"})


class Tag(NamedTuple):
    """A tag of OpenLineage."""

    key: str
    value: str


def dataset_marks(facets: Json, rules: Rules, warnings: list[str]) -> Marks:
    """What the tags of a dataset come to, and the facets that are kept by rule."""
    return marks_of(tags_of(facets), facets, rules, warnings)


def field_marks(facets: Json, rules: Rules, warnings: list[str]) -> dict[str, Marks]:
    """What the tags of columns come to, by column."""
    tags: dict[str, list[Tag]] = defaultdict(list)
    for column, tag in _tags(facets):
        if isinstance(column, str):
            tags[column].append(tag)
    return {column: marks_of(tags[column], {}, rules, warnings) for column in sorted(tags)}


def marks_of(tags: Iterable[Tag], facets: Json, rules: Rules, warnings: list[str]) -> Marks:
    """Tags, and the facets that a rule keeps, as Atlas has them."""
    marks = NO_MARKS.united(*(_mark(tag, rules, warnings) for tag in tags))
    custom = {}
    for rule in rules.facets:
        kept = rule.value(facet(facets, rule.facet)) if rule.facet in facets else None
        if kept not in (None, "", [], {}):
            text = kept if isinstance(kept, str) else json_text(kept)
            custom[rule.attribute] = shorten(text, MAX_CUSTOM)
    return marks.united(Marks(custom=tuple(sorted(custom.items())))) if custom else marks


def tags_of(facets: Json) -> Iterator[Tag]:
    """The tags of a job, a run or a whole dataset."""
    return (tag for column, tag in _tags(facets) if column is None)


def _tags(facets: Json) -> Iterator[tuple[Any, Tag]]:
    """Each tag, after the column that it is of."""
    tags = facet(facets, "tags").get("tags")
    for item in tags if isinstance(tags, list) else ():
        if not isinstance(item, dict) or item.get("source") == _OF_CLIENT:
            continue
        if key := plain(item.get("key"), 1_000):
            value = item.get("value")
            text = value if isinstance(value, str) else json_text(value) if value is not None else ""
            yield item.get("field") or None, Tag(key, plain(text) or "")


def _mark(tag: Tag, rules: Rules, warnings: list[str]) -> Marks:
    rule = rules.tag(tag.key, tag.value)
    if rule is None:
        text = tag.key if tag.value.lower() in _TRUE else f"{tag.key}_{tag.value}"
        if _WORD.fullmatch(text):
            return Marks(labels=frozenset({text}))
        return _custom(re.sub(r"[^A-Za-z0-9_-]", "_", tag.key)[:50], tag, warnings)
    marks = NO_MARKS
    if rule.classification:
        marks = marks.united(Marks(classifications=frozenset({Classification(rule.classification, rule.propagate)})))
    if rule.label:
        marks = marks.united(Marks(labels=frozenset({rule.label})))
    return marks.united(_custom(rule.attribute, tag, warnings)) if rule.attribute else marks


def _custom(key: str, tag: Tag, warnings: list[str]) -> Marks:
    if not _WORD.fullmatch(key):
        warnings.append(
            f"tag {tag.key!r} is left out: wanted a key of letters, digits, _ and -; a rule can give it one"
        )
        return NO_MARKS
    return Marks(custom=((key, shorten(tag.value or "true", MAX_CUSTOM)),))
