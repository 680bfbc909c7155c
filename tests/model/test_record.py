from __future__ import annotations

import json

import pytest

from airflow_provider_mlgov.model.record import canonical, make_record


def test_a_record_names_its_gaps() -> None:
    text, digest = make_record({"code": {"commit": None, "dirty": False}, "run": {"dagId": "d"}})
    assert json.loads(text) == {"v": 1, "code": {"dirty": False}, "run": {"dagId": "d"}, "missing": ["code.commit"]}
    assert digest.startswith("sha256:")


def test_equal_facts_equal_bytes() -> None:
    assert make_record({"a": {"x": 1, "y": "é"}, "b": {}}) == make_record({"b": {}, "a": {"y": "é", "x": 1}})


def test_what_is_no_json_is_refused() -> None:
    with pytest.raises(ValueError, match="JSON"):
        canonical({"a": float("nan")})
