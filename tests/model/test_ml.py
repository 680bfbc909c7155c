from __future__ import annotations

import json
from dataclasses import fields

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_mlgov.errors import InvalidInputError, InvalidNameError
from airflow_provider_mlgov.model import ml

TEXT = st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1)
VALUES = st.dictionaries(
    st.text(), st.one_of(st.text(), st.integers(), st.floats(allow_nan=False), st.booleans(), st.none())
)


def things(cls):
    by_kind = {
        "bool": st.booleans(),
        "int": st.integers(),
        "str": TEXT,
        "dict": VALUES,
        "tuple": st.lists(TEXT).map(tuple),
    }
    given_fields = {}
    for field in fields(cls):
        kind = next(kind for kind in by_kind if str(field.type).startswith(kind))
        given_fields[field.name] = (
            by_kind[kind]
            if field.name in cls.identity
            else st.one_of(by_kind[kind], st.just(field.default if kind not in ("dict",) else {}))
        )
    return st.fixed_dictionaries(given_fields).map(lambda values: cls(**values))


@pytest.mark.parametrize("cls", [ml.Model, ml.Build, ml.Evaluation, ml.Deployment])
@given(data=st.data())
def test_things_travel_as_datasets(cls, data):
    thing = data.draw(things(cls))
    dataset = json.loads(json.dumps(thing.to_dataset()))
    assert ml.from_dataset(dataset["namespace"], dataset["name"], dataset["facets"]) == thing


@pytest.mark.parametrize(
    ("namespace", "name"),
    [
        ("mlgov://shop", "x/churn"),
        ("mlgov://shop", "models/"),
        ("mlgov://shop", "models/a/builds"),
        ("other://shop", "models/a"),
        ("mlgov://shop", "endpoints/p/e"),
        ("mlgov://", "models/a/builds//x"),
    ],
)
def test_other_names_are_refused(namespace, name):
    with pytest.raises(InvalidNameError, match="names nothing of ours"):
        ml.from_dataset(namespace, name)


def test_facts_of_a_wrong_type_are_left_out():
    facet = {
        "version": "7",
        "registered": 1,
        "artifactSize": True,
        "features": "x",
        "metrics": {"a": 1},
        "framework": 3,
        "aliases": ["a", 1],
    }
    assert ml.from_dataset("mlgov://shop", "models/m/builds/b", {"mlgov_ml": facet}) == ml.Build(
        project="shop", model="m", key="b", aliases=("a", "1")
    )


def test_metrics_travel_as_pairs():
    assert ml.pairs({"b": 2, "a": 1}) == [{"name": "a", "value": 1}, {"name": "b", "value": 2}]
    assert ml.unpairs([{"name": "a", "value": 1}, {"value": 2}, 3, {"name": "c", "value": []}]) == {"a": 1}


def test_derived_keys_differ_by_attempt_and_name():
    arguments = ("air", "d", "r", "t", -1, 1)
    keys = {
        ml.derived_key(*arguments),
        ml.derived_key(*arguments, "second"),
        ml.derived_key("air", "d", "r", "t", -1, 2),
    }
    assert len(keys) == 3
    assert {len(key) for key in keys} == {16}


def test_a_key_may_become_known_later():
    build = ml.Build(project="shop", model="m", key="?")
    assert ml.with_key(build, key="b1").key == "b1"
    with pytest.raises(InvalidInputError, match="no parts of the identity"):
        ml.with_key(build, version="1")
