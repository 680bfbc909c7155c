"""What Atlas makes of values; every expectation was measured on Atlas 2.1.0."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_mlgov.catalog.embedded.registry import Registry
from airflow_provider_mlgov.catalog.embedded.values import InvalidValueError, Normaliser, java_text

ENUM = {"name": "e", "category": "ENUM", "elementDefs": [{"value": "ONE"}, {"value": "TWO"}]}


@pytest.fixture(scope="module")
def normaliser() -> Normaliser:
    return Normaliser(Registry({"e": ENUM}), lambda _type, value: dict(value))


@pytest.mark.parametrize(
    ("type_name", "given", "stored"),
    [
        ("string", 5, "5"),
        ("string", True, "true"),
        ("string", 1.5, "1.5"),
        ("string", {"x": 1}, "{x=1}"),
        ("string", [1, "a"], "[1, a]"),
        ("string", "", ""),
        ("int", "12", 12),
        ("int", 1.7, 1),
        ("long", 2**40, 2**40),
        ("boolean", "TRUE", True),
        ("double", "1.5", 1.5),
        ("double", 1, 1.0),
        ("date", "5", 5),
        ("date", -5, -5),
        ("date", "2020-01-01T10:00:00.000Z", 1577872800000),
        ("date", "2020-01-01T10:00:00.123456Z", 1577872923456),
        ("e", "one", "ONE"),
        ("array<string>", ["a", 1, None], ["a", "1"]),
        ("array<int>", ["1", 2], [1, 2]),
        ("map<string,string>", {"a": 1, "c": None, "d": {"x": 1}}, {"a": "1", "c": None, "d": "{x=1}"}),
    ],
)
def test_taken(normaliser: Normaliser, type_name: str, given: Any, stored: Any) -> None:
    found = normaliser.value(type_name, given, "t.a")
    assert found == stored
    assert type(found) is type(stored)


@pytest.mark.parametrize(
    ("type_name", "given"),
    [
        ("int", "x"),
        ("int", True),
        ("int", ""),
        ("int", " 5"),
        ("int", 2**31),
        ("long", 2**63),
        ("int", float("nan")),
        ("boolean", 1),
        ("boolean", "x"),
        ("double", "x"),
        ("double", float("inf")),
        ("double", 10**400),
        ("date", "2020-01-01T10:00:00Z"),
        ("date", "2020-01-01"),
        ("date", "2020-13-01T10:00:00.000Z"),
        ("date", True),
        ("e", "X"),
        ("e", 1),
        ("e", {"value": "ONE"}),
        ("array<string>", "x"),
        ("array<string>", {"a": 1}),
        ("map<string,string>", [1]),
        ("hive_serde", "x"),
    ],
)
def test_refused(normaliser: Normaliser, type_name: str, given: Any) -> None:
    with pytest.raises(InvalidValueError, match="invalid value for type"):
        normaliser.value(type_name, given, "t.a")


def test_a_member_of_a_list_is_named(normaliser: Normaliser) -> None:
    with pytest.raises(InvalidValueError, match=r"^t\.a\[1\]=x: invalid value for type int$"):
        normaliser.value("array<int>", [1, "x"], "t.a")


def test_structs_get_all_their_attributes(normaliser: Normaliser) -> None:
    plain = normaliser.value("hive_serde", {"name": "s"}, "t.a")
    assert plain["typeName"] == "hive_serde"
    assert plain["attributes"]["name"] == "s"
    assert plain == normaliser.value("hive_serde", {"typeName": "hive_serde", "attributes": {"name": "s"}}, "t.a")


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "null"), (1e300, "1.0E300"), (1.5e7, "1.5E7"), (0.0001, "1.0E-4"), (0.5, "0.5"), (0.0, "0.0")],
)
def test_java_text(value: Any, text: str) -> None:
    assert java_text(value) == text
