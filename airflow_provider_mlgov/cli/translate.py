"""``mlgov translate``: what events become in Atlas, without a catalogue."""

from __future__ import annotations

import io
import json
import sys
from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from airflow_provider_mlgov.cli.context import conf_get
from airflow_provider_mlgov.cli.output import say
from airflow_provider_mlgov.errors import InvalidEventError, InvalidInputError
from airflow_provider_mlgov.settings import Settings

if TYPE_CHECKING:
    from airflow_provider_mlgov.delivery.clean import CleanOptions
    from airflow_provider_mlgov.model.entity import Change, Entity, Ref
    from airflow_provider_mlgov.translate.options import TranslateOptions

Json = dict[str, Any]


def translate_events(arguments: Namespace) -> int:
    """One event a line in, one JSON document a line out; exit code 1 if one of them is no event."""
    from airflow_provider_mlgov.assembly import clean_options, translate_options

    settings = Settings.load(conf_get)
    if arguments.rules:
        settings = replace(settings, mapping_rules=Path(arguments.rules).expanduser())
    cleaned, named = clean_options(settings), translate_options(settings)
    wrong = 0
    with _opened(arguments.file) as lines:
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            try:
                document = _translated(parsed(line), cleaned, named)
            except InvalidEventError as error:
                document = {"error": str(error), "line": number}
                wrong += 1
            say(json.dumps(document, ensure_ascii=False))
    return 1 if wrong else 0


@contextmanager
def _opened(name: str) -> Iterator[TextIO]:
    if name == "-":
        yield io.TextIOWrapper(sys.stdin.buffer, encoding="utf-8-sig", errors="replace")
        return
    try:
        file = Path(name).open(encoding="utf-8-sig", errors="replace")  # noqa: SIM115 - closed below; errors of the reader are its own
    except OSError as error:
        raise InvalidInputError(
            f"{name} cannot be read: {error.strerror}; wanted a file of OpenLineage events, one a line, or -"
        ) from error
    with file:
        yield file


def parsed(line: str) -> object:
    """The JSON of one line; `InvalidEventError` if it is none."""
    try:
        return json.loads(line)
    except ValueError as error:
        raise InvalidEventError(f"the line is no JSON: {error}; wanted one OpenLineage event") from None
    except RecursionError:
        raise InvalidEventError("the line is nested too deeply; wanted one OpenLineage event") from None


def _translated(event: object, cleaned: CleanOptions, named: TranslateOptions) -> Json:
    """What Atlas would get if it had none of it yet, as the spool would hand it on."""
    from airflow_provider_mlgov.delivery.clean import clean
    from airflow_provider_mlgov.translate.events import unite
    from airflow_provider_mlgov.translate.reading import read_event
    from airflow_provider_mlgov.translate.settle import settle
    from airflow_provider_mlgov.translate.translation import translate

    stored = read_event(clean(read_event(event), None, cleaned))
    translation = translate(unite(None, stored), named)
    settled = settle(translation.entities, {})
    return {
        "entities": [_entity(entity) for entity in settled.entities],
        "relationships": [
            {"name": name, "end1": _end(entity.ref), "end2": _end(ref)}
            for entity in settled.entities
            for name, value in entity.relations.items()
            for ref in (value if isinstance(value, tuple) else (value,))
        ],
        "warnings": [*translation.warnings, *settled.warnings, *map(_said, translation.changes)],
    }


def _said(change: Change) -> str:
    """What else happens, to an entity that is there already."""
    what = "is deleted" if change.to is None else f"is renamed to {change.to.qualified_name}"
    return f"{change.ref.type_name} {change.ref.qualified_name} {what}, if nothing newer is known of it"


def _entity(entity: Entity) -> Json:
    document: Json = {
        "typeName": entity.type_name,
        "attributes": {**entity.attributes, "qualifiedName": entity.qualified_name},
    }
    if entity.marks.labels:
        document["labels"] = sorted(entity.marks.labels)
    if entity.marks.classifications:
        document["classifications"] = [
            {"typeName": item.type_name, "propagate": item.propagate} for item in sorted(entity.marks.classifications)
        ]
    if entity.marks.custom:
        document["customAttributes"] = dict(entity.marks.custom)
    return document


def _end(ref: Ref) -> Json:
    return {"typeName": ref.type_name, "qualifiedName": ref.qualified_name}
