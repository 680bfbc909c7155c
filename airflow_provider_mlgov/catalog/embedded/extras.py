"""Labels, custom attributes and business metadata: what hangs on an entity beside its type's attributes."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from airflow_provider_mlgov.catalog.catalog import Json
from airflow_provider_mlgov.catalog.embedded.faults import invalid_instance, refused
from airflow_provider_mlgov.catalog.embedded.registry import Registry, applicable
from airflow_provider_mlgov.catalog.embedded.values import InvalidValueError, Normaliser, java_text
from airflow_provider_mlgov.catalog.embedded.work import Row, Work

_WORD = re.compile(r"[a-zA-Z0-9\u4e00-\u9fff_-]*")
_LONGEST = 50


def checked_labels(labels: Iterable[object]) -> list[str]:
    """Labels in order, or Atlas's error for the first bad one."""
    found = sorted({str(label) for label in labels})
    for label in found:
        if len(label) > _LONGEST:
            raise refused("400-00-08F", f"Invalid label: {label}, label size should not be greater than {_LONGEST}")
        if not _WORD.fullmatch(label):
            raise refused("400-00-090", f"Invalid label: {label}, label should contain alphanumeric characters, _ or -")
    return found


def checked_custom(attributes: Mapping[str, Any]) -> dict[str, str]:
    """Custom attributes, or Atlas's error for the first bad key."""
    for key in attributes:
        if len(key) > _LONGEST:
            raise refused(
                "400-00-08C", f"Invalid key: {key} in custom attribute, key size should not be greater than {_LONGEST}"
            )
        if not _WORD.fullmatch(key):
            raise refused(
                "400-00-08D",
                f"Invalid key: {key} in custom attribute, key should only contain alphanumeric characters, _ or -",
            )
    return {key: java_text(value) for key, value in attributes.items()}


def set_labels(work: Work, row: Row, labels: Iterable[object]) -> None:
    """Make these the labels of an entity."""
    row.labels = checked_labels(labels)
    work.save(row)


def set_business(work: Work, row: Row, given: Mapping[str, Any], *, overwrite: bool) -> None:
    """Set business attributes; ``overwrite`` drops those of the same metadata that are not given."""
    checked = checked_business(work.types, row.type_name, given, strict=True)
    for name, values in checked.items():
        before = {} if overwrite else row.business.get(name, {})
        row.business[name] = before | values
    if overwrite:
        row.business = {name: values for name, values in row.business.items() if name in checked}
    work.save(row)


def remove_business(work: Work, row: Row, given: Mapping[str, Any]) -> None:
    """Remove business attributes: those named, or all of a metadata where none is named."""
    for name, attributes in given.items():
        if not attributes:
            row.business.pop(name, None)
        else:
            row.business[name] = {
                key: value for key, value in row.business.get(name, {}).items() if key not in attributes
            }
    row.business = {name: values for name, values in row.business.items() if values}
    work.save(row)


def checked_business(
    types: Registry, type_name: str, given: Mapping[str, Any], *, strict: bool
) -> dict[str, dict[str, Any]]:
    """Business attributes as they are stored.

    ``strict`` refuses what does not apply or is too long; a payload that creates takes what it can.
    """
    supers = set(types.entity_type(type_name).supers)
    normaliser = Normaliser(types, lambda _type, value: dict(value))
    found: dict[str, dict[str, Any]] = {}
    problems: list[str] = []
    for name, values in given.items():
        definition = types.find(name, "BUSINESS_METADATA")
        if definition is None or not isinstance(values, Mapping):
            if strict:
                problems.append(f"{name}: invalid business-metadata")
            continue
        for item in definition["attributeDefs"]:
            if item["name"] not in values:
                continue
            if not applicable(item) & supers:
                if strict:
                    problems.append(f"{name}: business-metadata not applicable to entity-type {type_name}")
                continue
            _set(types, normaliser, name, item, values[item["name"]], found, problems, strict=strict)
    if problems:
        raise invalid_instance(problems)
    return found


def _set(
    types: Registry,
    normaliser: Normaliser,
    name: str,
    item: Json,
    value: Any,
    found: dict[str, dict[str, Any]],
    problems: list[str],
    *,
    strict: bool,
) -> None:
    attribute = types.own_attributes(name)[item["name"]]
    path = f"{name}.{attribute.name}"
    try:
        stored = normaliser.attribute(attribute, value, path)
    except InvalidValueError as error:
        problems.append(str(error))
        return
    longest = None if not strict else (item.get("options") or {}).get("maxStrLength")
    if isinstance(stored, str) and longest is not None and len(stored) > int(longest):
        problems.append(f"{path}: invalid length of value for type {attribute.type_name}")
        return
    found.setdefault(name, {})[attribute.name] = stored
