"""Attribute values brought into the form of their type, with Atlas's coercions: what it takes, and what it makes of it."""

from __future__ import annotations

import datetime
import decimal
import math
import re
from collections.abc import Callable, Mapping
from typing import Any

from airflow_provider_mlgov.catalog.embedded.registry import Attribute, Registry

_INTEGERS = {"byte": 7, "short": 15, "int": 31, "long": 63}
_WHOLE = re.compile(r"[+-]?\d+")
_DECIMAL = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
_ISO = re.compile(r"(\d{4})-(\d{2})-(\d{2})T(\d{2}):(\d{2}):(\d{2})\.(\d+)Z")
_UNSET: Mapping[str, Any] = {
    **dict.fromkeys(("byte", "short", "int", "long", "date"), 0),
    **dict.fromkeys(("float", "double"), 0.0),
    "boolean": False,
}
"""What Atlas stores where nothing is given."""

Reference = Callable[[str, Mapping[str, Any]], dict[str, Any]]
"""Resolves a reference in an attribute of an entity type."""


class InvalidValueError(ValueError):
    """A value does not fit its type; the message is Atlas's."""

    def __init__(self, path: str, value: object, type_name: str) -> None:
        super().__init__(f"{path}={java_text(value)}: invalid value for type {type_name}")


def java_text(value: object) -> str:
    """A value as Java prints it: what a string attribute makes of anything that is no string."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return _java_double(value)
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}={java_text(item)}" for key, item in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(java_text(item) for item in value) + "]"
    return str(value)


def storable(text: str) -> str:
    """Text without lone surrogates, which no UTF-8 can hold."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def unset(attribute: Attribute) -> Any:
    """What an attribute holds that nobody set."""
    if attribute.default is not None:
        return attribute.default
    return _UNSET.get(attribute.type_name) if attribute.optional else None


def emptied(attribute: Attribute) -> Any:
    """What a partial update with null leaves: nothing, but an empty text where the attribute is required."""
    if attribute.optional or attribute.default is not None:
        return unset(attribute)
    return "" if attribute.type_name == "string" else _UNSET.get(attribute.type_name)


class Normaliser:
    """Brings values into the form of their types."""

    def __init__(self, registry: Registry, reference: Reference) -> None:
        self._registry = registry
        self._reference = reference

    def attribute(self, attribute: Attribute, value: Any, path: str) -> Any:
        """The value of an attribute; None gives what is stored where nothing is set."""
        if value is None or (value == "" and attribute.type_name == "date"):
            if isinstance(attribute.default, str) and attribute.type_name != "string":
                return self.value(attribute.type_name, attribute.default, path)
            return unset(attribute)
        return self.value(attribute.type_name, value, path)

    def value(self, type_name: str, value: Any, path: str) -> Any:
        """A value that is not None, as ``type_name`` wants it."""
        if type_name == "string":
            return storable(value if isinstance(value, str) else java_text(value))
        if type_name.startswith("array<"):
            return self._array(type_name, value, path)
        if type_name.startswith("map<"):
            return self._map(type_name, value, path)
        if type_name in _SIMPLE:
            return _SIMPLE[type_name](type_name, value, path)
        return self._named(type_name, value, path)

    def _array(self, type_name: str, value: Any, path: str) -> list[Any]:
        if not isinstance(value, (list, tuple)):
            raise InvalidValueError(path, value, type_name)
        inner = type_name[len("array<") : -1].strip()
        return [self.value(inner, item, f"{path}[{index}]") for index, item in enumerate(value) if item is not None]

    def _map(self, type_name: str, value: Any, path: str) -> dict[str, Any]:
        if not isinstance(value, Mapping):
            raise InvalidValueError(path, value, type_name)
        inner = type_name[len("map<") : -1].split(",", 1)[1].strip()
        return {
            java_text(key): None if item is None else self.value(inner, item, f"{path}.{key}")
            for key, item in value.items()
        }

    def _named(self, type_name: str, value: Any, path: str) -> Any:
        definition = self._registry.definitions.get(type_name)
        category = definition["category"] if definition else None
        if definition and category == "ENUM":
            for element in definition.get("elementDefs") or ():
                if isinstance(value, str) and element["value"].lower() == value.lower():
                    return element["value"]
        elif category == "STRUCT" and isinstance(value, Mapping):
            return self._struct(type_name, value, path)
        elif category == "ENTITY" and isinstance(value, Mapping):
            return self._reference(type_name, value)
        raise InvalidValueError(path, value, type_name)

    def _struct(self, type_name: str, value: Mapping[str, Any], path: str) -> dict[str, Any]:
        given = value["attributes"] if isinstance(value.get("attributes"), Mapping) else value
        return {
            "typeName": type_name,
            "attributes": {
                name: self.attribute(attribute, given.get(name), f"{path}.{name}")
                for name, attribute in self._registry.all_attributes(type_name).items()
            },
        }


def _java_double(value: float) -> str:
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    if value == 0 or 1e-3 <= abs(value) < 1e7:
        return repr(value)
    shortest = decimal.Decimal(repr(value)).normalize()
    exponent = shortest.adjusted()
    mantissa = str(shortest.scaleb(-exponent))
    return f"{mantissa if '.' in mantissa else mantissa + '.0'}E{exponent}"


def _integer(type_name: str, value: Any, path: str) -> int:
    if isinstance(value, str) and _WHOLE.fullmatch(value):
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not _is_finite(value):
        raise InvalidValueError(path, value, type_name)
    number = int(value)
    bits = _INTEGERS.get(type_name)
    if bits is not None and not -(2**bits) <= number < 2**bits:
        raise InvalidValueError(path, value, type_name)
    return number


def _is_finite(value: float) -> bool:
    return isinstance(value, int) or math.isfinite(value)


def _decimal(type_name: str, value: Any, path: str) -> float:
    if isinstance(value, str) and _DECIMAL.fullmatch(value.strip()):
        value = float(value)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise InvalidValueError(path, value, type_name)
    try:
        number = float(value)
    except OverflowError:
        raise InvalidValueError(path, value, type_name) from None
    if not math.isfinite(number):  # JSON has no word for them
        raise InvalidValueError(path, value, type_name)
    return number


def _boolean(type_name: str, value: Any, path: str) -> bool:
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.lower() in ("true", "false"):
        return value.lower() == "true"
    raise InvalidValueError(path, value, type_name)


def _date(type_name: str, value: Any, path: str) -> int:
    match = _ISO.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        try:
            return _integer("long", value, path)
        except InvalidValueError:
            raise InvalidValueError(path, value, type_name) from None
    try:
        year, month, day, hour, minute, second = (int(part) for part in match.groups()[:6])
        moment = datetime.datetime(year, month, day, hour, minute, second, tzinfo=datetime.timezone.utc)
    except ValueError:
        raise InvalidValueError(path, value, type_name) from None
    # Atlas reads the digits after the point as milliseconds, however many there are.
    return int(moment.timestamp()) * 1000 + int(match[7])


_SIMPLE: Mapping[str, Callable[[str, Any, str], Any]] = {
    **dict.fromkeys((*_INTEGERS, "biginteger"), _integer),
    **dict.fromkeys(("float", "double", "bigdecimal"), _decimal),
    "boolean": _boolean,
    "date": _date,
}
