"""The user's own rules of mapping, evaluated before the built-in tables. How they are written in a file: `mapping_rules`.

For each decision the first rule that matches and says something about it counts, so the particular goes before the general.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from fnmatch import translate as glob_to_regex
from functools import lru_cache
from typing import Any, Literal, NamedTuple

Case = Literal["lower", "upper", "keep"]
RdbmsNames = Literal["default", "scheme", "plain", "sac"]
Spelling = Callable[[str], str]
"""Gives the one spelling of a namespace that may be written in several ways."""

_ALIAS_HOPS = 8
NO_WORDS = frozenset({"false", "no", "0", "off", "none"})
"""What a tag says by these is that it does not hold."""


@lru_cache(maxsize=1024)
def _glob(pattern: str) -> re.Pattern[str]:
    return re.compile(glob_to_regex(pattern))


@dataclass(frozen=True)
class NamespaceRule:
    """What to do with data whose OpenLineage namespace (and name) match. What is None is left to later rules."""

    line: int
    """Where it stands in the file."""
    match: str | None = None
    """Pattern of the namespace: ``*``, ``?`` and ``[…]``."""
    regex: str | None = None
    """The same as a regular expression over the whole namespace; `alias` may use its groups (``\\1``)."""
    name: str | None = None
    """Pattern of the dataset's name."""
    alias: str | None = None
    """The namespace that is meant: two names for one server."""
    family: str | None = None
    """The family that takes it, whatever its scheme."""
    atlas_namespace: str | None = None
    """What stands behind ``@`` in Atlas: the metadata namespace of that cluster's hooks."""
    scheme: str | None = None
    """The scheme that S3 paths have in Atlas."""
    rdbms_names: RdbmsNames | None = None
    """How relational databases and their tables are named in Atlas."""
    schema: str | None = None
    """The schema of tables whose names have none; empty: not even the platform's default."""
    case: Case | None = None
    """How names are folded."""
    partitions: bool | None = None
    """Whether partitions are folded into their table."""
    type: str | None = None
    """The type of the dataset's entity: a subtype of the one that it stands for."""
    ignore: bool | None = None
    """Whether it is left out."""

    def matches(self, namespace: str, name: str, spell: Spelling) -> bool:
        """Whether it speaks of this dataset: of its namespace as it is written, or as ``spell`` writes it."""
        if self.regex is not None and self._by_regex(namespace, spell) is None:
            return False
        if self.match is not None and _glob(self.match).fullmatch(namespace) is None:
            spelled = _glob(spell(self.match)).fullmatch(spell(namespace))
            if spelled is None:
                return False
        return self.name is None or _glob(self.name).fullmatch(name) is not None

    def _by_regex(self, namespace: str, spell: Spelling) -> re.Match[str] | None:
        if self.regex is None:
            return None
        return re.fullmatch(self.regex, namespace) or re.fullmatch(self.regex, spell(namespace))

    def aliased(self, namespace: str, spell: Spelling) -> str | None:
        """The namespace that is meant by ``namespace``, if this rule says one."""
        if self.alias is None or self.regex is None:
            return self.alias
        found = self._by_regex(namespace, spell)
        return found.expand(self.alias) if found is not None else None


@dataclass(frozen=True)
class TagRule:
    """What a tag of OpenLineage becomes: a classification, a label or a custom attribute; nothing where all are None."""

    line: int
    key: str
    """Pattern of the tag's key."""
    value: str | None = None
    """Pattern of its value. None: any but one that says no."""
    classification: str | None = None
    propagate: bool = False
    label: str | None = None
    attribute: str | None = None

    def matches(self, key: str, value: str) -> bool:
        """Whether it speaks of this tag."""
        if _glob(self.key).fullmatch(key) is None:
            return False
        return value.lower() not in NO_WORDS if self.value is None else _glob(self.value).fullmatch(value) is not None


@dataclass(frozen=True)
class FacetRule:
    """A facet that is otherwise ignored, kept as a custom attribute."""

    line: int
    facet: str
    attribute: str
    path: str = ""
    """Keys into the facet, separated by dots; empty: all of it, as JSON."""

    def value(self, facet: Mapping[str, Any]) -> Any:
        """What is kept of ``facet``, or None."""
        found: Any = {key: item for key, item in facet.items() if not key.startswith("_")}
        for key in self.path.split(".") if self.path else ():
            found = found.get(key) if isinstance(found, Mapping) else None
        return found


class Decided(NamedTuple):
    """What a rule decided, and the rule."""

    value: Any
    rule: NamespaceRule


@dataclass(frozen=True, eq=False)
class Rules:
    """All rules of one file. Compared by identity: one file that was read once."""

    source: str = ""
    """The file they were read from."""
    namespaces: tuple[NamespaceRule, ...] = ()
    temporary: tuple[str, ...] = ()
    """Patterns of names of temporary tables, beside the built-in ones."""
    tags: tuple[TagRule, ...] = ()
    facets: tuple[FacetRule, ...] = ()
    facet_names: frozenset[str] = field(init=False)
    """Facets to be kept that would be dropped otherwise."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "facet_names", frozenset(rule.facet for rule in self.facets))

    def meant(self, namespace: str, name: str, spell: Spelling) -> tuple[tuple[str, ...], list[NamespaceRule]]:
        """``namespace`` and those that are meant by it, the last one in the end; and the rules that said so, one per step.

        A circle of aliases ends before it closes.
        """
        said: list[NamespaceRule] = []
        names = [namespace]
        while len(said) < _ALIAS_HOPS:
            rule = next((rule for rule in self.namespaces if rule.alias and rule.matches(names[-1], name, spell)), None)
            other = rule.aliased(names[-1], spell) if rule is not None else None
            if rule is None or not other or other in names:
                break
            names.append(other)
            said.append(rule)
        return tuple(names), said

    def decisions(self, names: tuple[str, ...], name: str, spell: Spelling) -> dict[str, Decided]:
        """What is decided about a dataset, by option; ``names`` are its namespace and those that are meant by it."""
        decided: dict[str, Decided] = {}
        for rule in self._matching(names, name, spell):
            for option in _OPTIONS:
                value = getattr(rule, option)
                if value is not None:
                    decided.setdefault(option, Decided(value, rule))
        return decided

    def type_of(self, names: tuple[str, ...], name: str, spell: Spelling, *, is_path: bool) -> Decided | None:
        """The type alone, as for each level of a path. Patterns of paths may end in ``/``, as names in Atlas do."""
        for rule in self.namespaces:
            spelled = f"{name}/" if is_path and (rule.name or "").endswith("/") else name
            if rule.type and any(rule.matches(namespace, spelled, spell) for namespace in names):
                return Decided(rule.type, rule)
        return None

    def is_temporary(self, name: str) -> bool:
        """Whether one of the patterns says that it is a temporary table."""
        return any(_glob(pattern).fullmatch(name) for pattern in self.temporary)

    def tag(self, key: str, value: str) -> TagRule | None:
        """The first rule that speaks of this tag."""
        return next((rule for rule in self.tags if rule.matches(key, value)), None)

    def _matching(self, names: tuple[str, ...], name: str, spell: Spelling) -> Iterator[NamespaceRule]:
        for rule in self.namespaces:
            if any(rule.matches(namespace, name, spell) for namespace in names):
                yield rule


_OPTIONS = (
    "family", "atlas_namespace", "scheme", "rdbms_names", "schema", "case", "partitions", "type", "ignore",
)  # fmt: skip

NO_RULES = Rules()
