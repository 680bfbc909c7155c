"""Whether a catalogue has what was sent."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_mlgov.catalog.evidence import missing_attribute, missing_relation, was_touched


@pytest.mark.parametrize(
    ("sent", "stored"),
    [
        ("a", "a"),
        (1, 1),
        (1, 1.0),
        (1, "1"),
        ("12", 12),
        (True, True),
        (True, "true"),
        (False, None),
        (None, "kept"),
        ("", 0),
        (0, None),
        ([], None),
        (["a", "b"], ["a", "b"]),
        ({"a": 1}, {"a": "1", "b": "2"}),
        ({"guid": "g"}, {"guid": "g", "typeName": "t"}),
    ],
)
def test_what_atlas_makes_of_a_value_is_the_same(sent: Any, stored: Any) -> None:
    assert missing_attribute({"x": sent}, {"attributes": {"x": stored}}) is None


@pytest.mark.parametrize(
    ("sent", "stored"),
    [
        ("a", "b"),
        ("a", None),
        (1, 2),
        (1, None),
        (True, False),
        (False, True),
        (["a"], ["a", "b"]),
        (["a"], None),
        (["a", "b"], ["b", "a"]),
        ({"a": 1}, {}),
        ({"a": 1}, None),
    ],
)
def test_another_value_is_missed(sent: Any, stored: Any) -> None:
    assert missing_attribute({"y": 1, "x": sent}, {"attributes": {"y": 1, "x": stored}}) == "x"


def test_what_the_type_does_not_have_is_not_missed() -> None:
    assert missing_attribute({"unknown": 1}, {"attributes": {"name": "n"}}) is None


def test_touched_by_being_made_or_written() -> None:
    assert not was_touched(None, None)
    assert was_touched(None, {"guid": "g", "updateTime": 1})
    assert not was_touched({"guid": "g", "updateTime": 1}, {"guid": "g", "updateTime": 1})
    assert was_touched({"guid": "g", "updateTime": 1}, {"guid": "g", "updateTime": 2})
    assert was_touched({"guid": "g", "updateTime": 1}, {"guid": "h", "updateTime": 1})


ENDS = {
    "inputs": [
        {"guid": "a", "entityStatus": "ACTIVE", "relationshipStatus": "ACTIVE"},
        {"guid": "b", "entityStatus": "ACTIVE", "relationshipStatus": "DELETED"},
        {"guid": "c", "entityStatus": "DELETED", "relationshipStatus": "ACTIVE"},
    ],
    "db": {"guid": "d", "uniqueAttributes": {"qualifiedName": "db@p"}},
}


@pytest.mark.parametrize(
    ("sent", "missed"),
    [
        ({"inputs": [{"guid": "a"}]}, None),
        ({"inputs": [{"guid": "-1"}]}, None),
        ({"inputs": [{"guid": "b"}]}, "inputs"),
        ({"inputs": [{"guid": "a"}, {"guid": "c"}]}, "inputs"),
        ({"db": {"guid": "d"}}, None),
        ({"db": {"guid": "a"}}, "db"),
        ({"db": {"uniqueAttributes": {"qualifiedName": "db@p"}}}, None),
        ({"db": {"uniqueAttributes": {"qualifiedName": "other@p"}}}, "db"),
        ({"outputs": [{"guid": "a"}]}, "outputs"),
        ({"outputs": []}, None),
    ],
)
def test_edges_have_to_be_alive(sent: Any, missed: str | None) -> None:
    assert missing_relation(sent, {"relationshipAttributes": ENDS}, {"-1": "a"}) == missed
