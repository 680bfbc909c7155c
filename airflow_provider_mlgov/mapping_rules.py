"""The file of mapping rules (``[mlgov] mapping_rules``): TOML or YAML, checked against ``mapping_rules.schema.json``.

What the rules mean is in `airflow_provider_mlgov.translate.rules`. An error names the file, the line and what was wanted.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator, Sequence
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_provider_mlgov.errors import ConfigurationError
from airflow_provider_mlgov.model.entity import Ref
from airflow_provider_mlgov.model.identity import holds_control
from airflow_provider_mlgov.translate.rules import NO_RULES, FacetRule, NamespaceRule, Rules, TagRule

if TYPE_CHECKING:
    from jsonschema.exceptions import ValidationError

Json = dict[str, Any]
Lines = dict[tuple[str | int, ...], int]
"""Where each part of a document begins: its path to the line."""

_HEADER = re.compile(r"\s*\[\[\s*([\w-]+)\s*\]\]")
_SINGLE = re.compile(r"\s*\[\s*([\w-]+)\s*\]")
_LONG_TEXT = re.compile(r"\"{3}.*?\"{3}|'{3}.*?'{3}", re.S)
_NO_REGEX = (re.error, OverflowError, RecursionError)
"""What Python raises for a regular expression that is none."""
_NO_DATA = frozenset({"Referenceable", "Asset", "DataSet", "Infrastructure", "Process", "ProcessExecution"})
"""Types of Atlas's that no data is of: what is above the types of data, and beside them."""
_DEEP = 50
"""So many brackets are never open at once in rules, whatever stands in their texts."""
_KEY = re.compile(r"\s*(?:\"([^\"]+)\"|'([^']+)'|([\w-]+))\s*=")


def read_rules(path: Path) -> Rules:
    """The rules of a file; none for an empty path. `ConfigurationError` that names the line.

    A file that did not change is read once per process.
    """
    if path == Path():
        return NO_RULES
    try:
        status = path.stat()
        return _read(path, status.st_mtime_ns, status.st_size)
    except OSError as error:
        raise ConfigurationError(
            f"[mlgov] mapping_rules is {path}, which cannot be read: {error.strerror}; wanted a TOML or YAML file"
        ) from None


@lru_cache(maxsize=8)
def _read(path: Path, time: int, size: int) -> Rules:  # noqa: ARG001 - they tell one state of the file from another
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"{path} is no UTF-8 text: {error}; save it as UTF-8") from None
    document, lines = _parsed(path, text)
    check(document, lines, path)
    return _rules(document, lines, str(path))


def schema() -> Json:
    """The published JSON schema."""
    text = resources.files(__package__).joinpath("mapping_rules.schema.json").read_text(encoding="utf-8")
    found: Json = json.loads(text)
    return found


def check(document: Json, lines: Lines, path: Path) -> None:
    """Raise `ConfigurationError` with all that is wrong in ``document``, a line each."""
    from jsonschema import Draft202012Validator, FormatChecker

    formats = FormatChecker(())
    formats.checks("regex", raises=_NO_REGEX)(_is_regex)
    validator = Draft202012Validator(schema(), format_checker=formats)
    wrong = [(_line(lines, place), said) for error in validator.iter_errors(document) for place, said in _errors(error)]
    wrong += [(_line(lines, place), said) for place, said in _unknown(document)]
    if wrong:
        told = [f"{path}, line {line}: {text}" for line, text in sorted(set(wrong))]
        raise ConfigurationError("; ".join(told) + "; `mlgov rules check` checks the file again")


def _is_regex(value: object) -> bool:
    return not isinstance(value, str) or bool(re.compile(value))


Place = list[str | int]


def _errors(error: ValidationError) -> Iterator[tuple[Place, str]]:
    """Where the error is, and what: each key that is not known, or what is wrong."""
    place = list(error.absolute_path)
    if error.validator == "additionalProperties":
        known = error.schema["properties"]
        for key in sorted(map(str, error.instance.keys() - known.keys())):
            yield [*place, key], f"{_words([*place, key])} is not known; wanted one of {', '.join(known)}"
    elif error.validator == "format":
        yield place, f"{_words(place)}: {error.instance!r:.300} is no regular expression: {error.cause}"
    elif error.validator in ("anyOf", "minProperties"):
        yield place, f"{_words(place)} says nothing; wanted match, regex or name, and what to do with it"
    else:
        yield place, f"{_words(place)}: {error.message[:300]}"


def _words(place: Place) -> str:
    return ".".join(str(part) for part in place) or "the file"


def _unknown(document: Json) -> Iterator[tuple[Place, str]]:
    """What a schema cannot tell well: families, groups, names and types that are none, and rules that do nothing."""
    from airflow_provider_mlgov.translate.naming import FAMILIES

    for place, text in _texts(document):
        if place[-1] != "regex" and holds_control(text):
            yield place, f"{_words(place)} holds a control character, which no name has; remove it"
    rules = document.get("namespaces")
    for index, item in enumerate(rules if isinstance(rules, list) else ()):
        if not isinstance(item, dict):
            continue
        place = ["namespaces", index]
        kind = item.get("type")
        if isinstance(kind, str) and (kind in _NO_DATA or Ref(kind, "").is_process):
            text = f"{_words([*place, 'type'])} is {kind!r}; wanted a type of data, a subtype of the one it stands for"
            yield [*place, "type"], text
        family = item.get("family")
        if isinstance(family, str) and family not in FAMILIES:
            text = f"{_words([*place, 'family'])} is {family!r}; wanted one of {', '.join(FAMILIES)}"
            yield [*place, "family"], text
        regex, alias = item.get("regex"), item.get("alias")
        if isinstance(regex, str) and isinstance(alias, str) and (error := _wrong_alias(regex, alias)) is not None:
            yield [*place, "alias"], f"{_words([*place, 'alias'])}: {error}"
        if len(item) > 1 and not item.keys() - {"match", "regex", "name"}:
            yield place, f"{_words(place)} says nothing; wanted what to do with it"


def _texts(document: Json) -> Iterator[tuple[Place, str]]:
    """The texts of all rules."""
    for section, rules in document.items():
        for index, rule in enumerate(rules if isinstance(rules, list) else ()):
            if isinstance(rule, str):
                yield [section, index], rule
            for key, value in rule.items() if isinstance(rule, dict) else ():
                if isinstance(value, str):
                    yield [section, index, key], value


def _wrong_alias(regex: str, alias: str) -> Exception | None:
    """What is wrong with the alias; what is with the regular expression is said of that."""
    try:
        pattern = re.compile(regex)
    except _NO_REGEX:
        return None
    try:
        pattern.sub(alias, "")
    except (*_NO_REGEX, IndexError) as error:
        return error
    return None


def _line(lines: Lines, path: Sequence[str | int]) -> int:
    """Where a part is, or else the nearest that it is in."""
    for length in range(len(path), 0, -1):
        if (line := lines.get(tuple(path[:length]))) is not None:
            return line
    return 1


def _rules(document: Json, lines: Lines, source: str) -> Rules:
    def rules(section: str, kind: Any) -> tuple[Any, ...]:
        return tuple(
            kind(line=_line(lines, [section, index]), **item) for index, item in enumerate(document.get(section, ()))
        )

    return Rules(
        source,
        rules("namespaces", NamespaceRule),
        tuple(document.get("temporary", ())),
        rules("tags", TagRule),
        rules("facets", FacetRule),
    )


# --- files with line numbers -----------------------------------------------------------------------------------------


def _parsed(path: Path, text: str) -> tuple[Json, Lines]:
    try:
        document, lines = _read_as(path, text)
    except RecursionError:
        raise ConfigurationError(
            f"{path}, line {_deep_line(text)}: nested too deeply; rules have three levels"
        ) from None
    if not isinstance(document, dict):
        raise ConfigurationError(f"{path}, line 1: found no mapping; wanted namespaces, temporary, tags or facets")
    return document, lines


def _deep_line(text: str) -> int:
    """The first line with brackets that are deep in others; the parsers tell none."""
    depth = 0
    for number, line in enumerate(text.splitlines(), 1):
        for char in line:
            depth += (char in "[{") - (char in "]}")
            if depth > _DEEP:
                return number
    return 1


def _read_as(path: Path, text: str) -> tuple[Any, Lines]:
    if path.suffix.lower() == ".toml":
        return _toml(path, text), _toml_lines(text)
    if path.suffix.lower() in (".yaml", ".yml"):
        return _yaml(path, text)
    raise ConfigurationError(f"{path} is neither TOML nor YAML; name it .toml, .yaml or .yml")


def _toml(path: Path, text: str) -> Any:
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        place = re.search(r" \(at (?:line (\d+), column (\d+)|end of document)\)$", str(error))
        said, line, column = str(error), str(text.count("\n") + 1), ""
        if place is not None:
            said, line, column = said[: place.start()], place[1] or line, f" (column {place[2]})" if place[2] else ""
        raise ConfigurationError(f"{path}, line {line}: no TOML: {said}{column}") from None


def _toml_lines(text: str) -> Lines:
    """Lines of tables and keys. The parser tells none; where one is written in another way, that of its section counts."""
    lines: Lines = {}
    counts: dict[str, int] = {}
    at: tuple[str | int, ...] = ()
    text = _LONG_TEXT.sub(lambda found: "\n" * found[0].count("\n"), text)  # what looks like a table in it is none
    for number, line in enumerate(text.splitlines(), 1):
        if header := _HEADER.match(line):
            section = header[1]
            at = (section, counts.get(section, 0))
            counts[section] = counts.get(section, 0) + 1
            lines.setdefault((section,), number)
            lines[at] = number
        elif header := _SINGLE.match(line):
            at = (header[1],)
            lines.setdefault(at, number)
        elif key := _KEY.match(line):
            lines.setdefault((*at, key[1] or key[2] or key[3]), number)
    return lines


def _yaml(path: Path, text: str) -> tuple[Any, Lines]:
    import yaml

    lines: Lines = {}
    try:
        document, node = yaml.safe_load(text), yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        if mark is None:
            raise ConfigurationError(f"{path} is no YAML: {' '.join(str(error).split())}") from None
        said = "; ".join(filter(None, (getattr(error, "context", None), getattr(error, "problem", None))))
        raise ConfigurationError(f"{path}, line {mark.line + 1}: no YAML: {said} (column {mark.column + 1})") from None
    stack: list[tuple[tuple[str | int, ...], Any]] = [((), node)]
    while stack:
        place, node = stack.pop()
        if len(place) > 3:  # rules are no deeper; an alias of YAML may be endless
            continue
        if isinstance(node, yaml.MappingNode):
            for key, value in node.value:
                if (*place, str(key.value)) in lines:
                    where = _words([*place, str(key.value)])
                    raise ConfigurationError(f"{path}, line {key.start_mark.line + 1}: {where} is there twice")
                lines[(*place, str(key.value))] = key.start_mark.line + 1
                stack.append(((*place, str(key.value)), value))
        elif isinstance(node, yaml.SequenceNode):
            for index, value in enumerate(node.value):
                lines[(*place, index)] = value.start_mark.line + 1
                stack.append(((*place, index), value))
    return document if document is not None else {}, lines
