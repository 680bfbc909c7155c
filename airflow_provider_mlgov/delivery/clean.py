"""What of an event may be kept: an allow list of facets, hidden secrets, masked texts, capped sizes.

Everything that enters the spool goes through `clean`; what it drops exists nowhere afterwards. Names (of datasets, columns,
jobs, parameters) are identities: they lose credentials inside URLs, but no masker touches them and no cap shortens them.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import cached_property, lru_cache
from typing import Any

from airflow_provider_mlgov.masking import (
    HIDDEN,
    hide_in_text,
    is_secret,
    is_secret_by_end,
    plain_names,
    strip_name,
    strip_url,
)
from airflow_provider_mlgov.translate.facets import Holder, Switch, behind_switches, names_of
from airflow_provider_mlgov.translate.reading import CUT
from airflow_provider_mlgov.translate.rules import NO_WORDS

Json = dict[str, Any]
Mask = Callable[[str], str]
_IsName = Callable[[object, frozenset[str]], bool]

_OURS = "mlgov_"
_FACTS = frozenset({"mlgov_ml"})
"""Facets whose parameters may be called ``eos_token``: there only whole names say that a value is secret."""
_IDENTITY = frozenset(
    """
    dagId dag_id eventTime eventType field name namespace producer runId run_id schemaURL taskId task_id type _producer _schemaURL
    """.split()
)
_COLUMN_KEYED = frozenset({"columnLineage", "columnMetrics", "fields"})
"""Objects whose keys are names of columns: a column may be called ``password``."""

_CONF = frozenset({"conf", "op_args", "op_kwargs", "params", "templates_dict"})
_ENVIRONMENT = frozenset({"env", "env_vars", "environment", "environment_variables", "environmentVariables"})
_VALUES = frozenset({"value", "values", "default"})
"""What stands beside a ``name`` or ``key`` as its value."""
_YES_NO = NO_WORDS | {"true", "yes", "on", "1"}
"""Values that give nothing away: a tag ``secret`` says whether data is, and rules for tags look at that."""
_STACK = frozenset({"stackTrace", "stack_trace", "traceback"})
_MAX_DEPTH = 32


@dataclass(frozen=True)
class CleanOptions:
    """What is kept beyond the default, and how much."""

    source_code: bool = False
    """Keep the ``sourceCode`` facet."""
    environment: bool = False
    """Keep environment variables."""
    environment_names: tuple[str, ...] = ("*",)
    """Patterns of the names of those that are kept."""
    conf: bool = False
    """Keep DAG run conf, params, ``op_args``, ``op_kwargs`` and execution parameters."""
    stack_traces: bool = False
    """Keep stack traces of errors."""
    facets: frozenset[str] = field(default_factory=frozenset)
    """Names of further facets to keep."""
    masked_names: frozenset[str] = field(default_factory=frozenset)
    """Names of further values to hide, beside the built-in ones."""
    value_limit: int = 100_000
    """Characters that one text may have."""
    event_limit: int = 16_000_000
    """Characters of JSON that one event may have."""


def clean(event: Mapping[str, Any], mask: Mask | None = None, options: CleanOptions | None = None) -> Json:
    """A copy of ``event`` that may be stored; ``mask`` replaces known secret values in a text.

    A text over its cap ends in ``… [mlgov: N characters cut]``. An event over its cap loses its longest texts first and then
    whole facets, each replaced by such a marker; never its names.
    """
    options = options or CleanOptions()
    washer = _Washer(mask or _unmasked, options)
    kept = {key: _part(key, value, washer) for key, value in event.items()}
    _fit(kept, options.event_limit)
    return kept


def _unmasked(text: str) -> str:
    return text


def _part(key: str, value: Any, washer: _Washer) -> Any:
    if key in ("run", "job") and isinstance(value, Mapping):
        kept = _with_facets(value, washer, {"facets": washer.allowed[key]})
        if washer.options.environment and key == "run":
            _keep_named(kept.get("facets", {}), washer.options.environment_names)
        return kept
    if key in ("inputs", "outputs") and isinstance(value, (list, tuple)):
        return [_dataset(item, washer) for item in value]
    if key == "dataset":
        return _dataset(value, washer)
    return washer.wash(value, key)


def _keep_named(facets: Json, names: tuple[str, ...]) -> None:
    """Leave out the environment variables and properties that no pattern names."""

    def is_named(name: object) -> bool:
        return any(fnmatchcase(str(name), pattern) for pattern in names)

    for facet, key in (("environmentVariables", "environmentVariables"), ("environment-properties",) * 2):
        if facet not in facets:
            continue
        found = facets[facet].get(key)
        if isinstance(found, list):
            kept: Any = [item for item in found if isinstance(item, dict) and is_named(item.get("name"))]
        else:
            kept = {name: value for name, value in found.items() if is_named(name)} if isinstance(found, dict) else {}
        of_facet = {name: value for name, value in facets[facet].items() if name.startswith("_")}
        facets[facet] = {**of_facet, key: kept}


def _dataset(value: Any, washer: _Washer) -> Any:
    if not isinstance(value, Mapping):
        return washer.wash(value)
    allowed = washer.allowed
    return _with_facets(
        value,
        washer,
        {"facets": allowed["dataset"], "inputFacets": allowed["input"], "outputFacets": allowed["output"]},
    )


def _with_facets(value: Mapping[str, Any], washer: _Washer, allowed: Mapping[str, frozenset[str]]) -> Json:
    kept: Json = {}
    for key, item in value.items():
        if key in allowed:
            names = allowed[key]
            facets = item if isinstance(item, Mapping) else {}
            kept[key] = {
                name: (washer.of_facts if name in _FACTS else washer).wash(facet, name)
                for name, facet in facets.items()
                if name in names or name.startswith(_OURS)
            }
        else:
            kept[key] = washer.wash(item, key)
    return named(kept)


def named(value: Json) -> Json:
    """``value``, where it names a dataset, without credentials in a name whose scheme is the namespace."""
    namespace, name = value.get("namespace"), value.get("name")
    if isinstance(namespace, str) and isinstance(name, str):
        value["name"] = strip_name(namespace, name)
    return value


@lru_cache(maxsize=16)
def _allowed(options: CleanOptions) -> Mapping[str, frozenset[str]]:
    """The facets that are kept, by what they are of."""
    switched: dict[Switch, bool] = {
        "send_code": options.source_code,
        "send_environment": options.environment,
        "send_conf": options.conf,
    }
    on = [switch for switch, is_on in switched.items() if is_on]
    holders: tuple[Holder, ...] = ("run", "job", "dataset", "input", "output")
    kept = options.facets - behind_switches(*on)  # a rule that keeps a facet does not turn its switch on
    return {holder: names_of(holder, *on) | kept for holder in holders}


class _Washer:
    """Copies a value without what must not be kept."""

    def __init__(self, mask: Mask, options: CleanOptions, is_name: _IsName = is_secret_by_end) -> None:
        self.options = options
        self._is_name = is_name
        self._mask = mask
        self._masked_names = plain_names(options.masked_names)
        dropped: frozenset[str] = frozenset()
        for keep, names in ((options.conf, _CONF), (options.environment, _ENVIRONMENT), (options.stack_traces, _STACK)):
            dropped |= frozenset() if keep else names
        self._dropped = dropped
        self.allowed = _allowed(options)

    @cached_property
    def of_facts(self) -> _Washer:
        """The same for facets of facts."""
        return _Washer(self._mask, self.options, is_secret)

    def wash(self, value: Any, key: object = None, depth: int = 0) -> Any:
        """``value``, which stands under ``key``, cleaned."""
        if isinstance(value, str):
            return self._text(value, key)
        if value is None or isinstance(value, (bool, int)):
            return value
        if isinstance(value, float):
            return value if math.isfinite(value) else str(value)
        if depth > _MAX_DEPTH:
            return "… [mlgov: nested too deeply]"
        if isinstance(value, Mapping):
            return self._object(value, key, depth)
        if isinstance(value, (list, tuple, set, frozenset)):
            return [self.wash(item, key, depth + 1) for item in value]
        return self._text(str(value), key)

    def _object(self, value: Mapping[Any, Any], key: object, depth: int) -> Json:
        columns = key in _COLUMN_KEYED
        hidden = not _VALUES.isdisjoint(value) and (self._secret(value.get("name")) or self._secret(value.get("key")))
        kept: Json = {}
        for name, item in value.items():
            is_column = columns and isinstance(item, Mapping)
            if name in self._dropped and not is_column:
                continue
            is_secret_value = not is_column and item not in (None, "") and self._secret(name)
            is_hidden = hidden and name in _VALUES and not (key == "tags" and self._is_plain_answer(value, item))
            if is_hidden or is_secret_value:
                kept[strip_url(str(name))] = HIDDEN
            else:
                kept[strip_url(str(name))] = self.wash(item, name, depth + 1)
        return named(kept)

    def _is_plain_answer(self, tag: Mapping[Any, Any], item: object) -> bool:
        """Whether a tag called like a secret only says yes or no. Of a name that the user listed, that may be the secret."""
        names = [str(tag[name]) for name in ("key", "name") if name in tag]
        is_listed = not self._masked_names.isdisjoint(plain_names(names)) or any(
            self._secret(name) and not self._is_name(name, frozenset()) for name in names
        )
        return isinstance(item, (str, int)) and str(item).strip().lower() in _YES_NO and not is_listed

    def _secret(self, name: object) -> bool:
        return self._is_name(name, self._masked_names)

    def _text(self, text: str, key: object) -> str:
        if not text.isascii():
            text = text.encode("utf-8", "replace").decode("utf-8")  # lone surrogates are no JSON
        if key in _IDENTITY:
            return strip_url(text)
        return _shorten(self._mask(hide_in_text(text)), self.options.value_limit)


def _shorten(text: str, limit: int) -> str:
    if len(text) <= limit:
        return text
    return f"{text[:limit]}… [mlgov: {len(text) - limit} characters cut]"


def _size(value: Any) -> int:
    return len(json.dumps(value, ensure_ascii=False, separators=(",", ":")))


def _fit(event: Json, limit: int) -> None:
    """Shorten texts, then replace facets, the largest first, until the event is within ``limit``."""
    excess = _size(event) - limit
    if excess <= 0:
        return
    for length, holder, key in sorted(_texts(event), key=lambda found: -found[0]):
        if excess <= 0:
            return
        holder[key] = _shorten(holder[key], 1_000)
        excess -= length - len(holder[key])
    for size, facets, name in sorted(_facets(event), key=lambda found: -found[0]):
        if excess <= 0:
            return
        facets[name] = {CUT: f"{size} characters cut: the event was too large"}
        excess -= size - _size(facets[name])


def _texts(value: Any) -> list[tuple[int, Any, Any]]:
    """Every text that may be shortened: its length, what holds it, and where."""
    found: list[tuple[int, Any, Any]] = []
    stack = [value]
    while stack:
        holder = stack.pop()
        items = holder.items() if isinstance(holder, dict) else enumerate(holder)
        for key, item in items:
            if isinstance(item, (dict, list)):
                stack.append(item)
            elif isinstance(item, str) and len(item) > 1_100 and key not in _IDENTITY:
                found.append((len(item), holder, key))
    return found


def _facets(event: Json) -> list[tuple[int, Json, str]]:
    """Every facet but those that say which run, state and thing it is: its size, what holds it, its name."""
    holders = [event.get("run"), event.get("job"), event.get("dataset")]
    for direction in ("inputs", "outputs"):
        holders += event.get(direction) or []
    found = []
    for holder in holders:
        for group in ("facets", "inputFacets", "outputFacets"):
            facets = holder.get(group) if isinstance(holder, dict) else None
            if isinstance(facets, dict):
                found += [
                    (_size(facet), facets, name)
                    for name, facet in facets.items()
                    if name not in ("mlgov_airflow", "mlgov_ml", "mlgov_io", "parent", "symlinks")
                ]
    return found
