from __future__ import annotations

from dataclasses import fields

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_mlgov.errors import InvalidNameError
from airflow_provider_mlgov.model import identity
from airflow_provider_mlgov.model.identity import QualifiedName, TaskRun, decode_part, encode_part, token

CLASSES = QualifiedName.__subclasses__()
TEXT = st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1)


def values(cls):
    return st.fixed_dictionaries(
        {field.name: st.integers() if field.type in ("int", int) else TEXT for field in fields(cls)}
    )


def test_every_name_of_the_design_is_a_class():
    assert len(CLASSES) == 22
    assert len({cls.type_name for cls in CLASSES}) == 21  # columns of tasks and of jobs are of one type


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
@given(data=st.data())
def test_names_round_trip(cls, data):
    name = cls(**data.draw(values(cls)))
    assert cls.parse(str(name)) == name
    assert name.key == token(str(name))


@given(st.sampled_from(CLASSES), st.data())
def test_two_names_of_a_class_are_two_texts(cls, data):
    left, right = cls(**data.draw(values(cls))), cls(**data.draw(values(cls)))
    assert (left == right) == (str(left) == str(right))


@given(TEXT)
def test_parts_round_trip(text):
    encoded = encode_part(text)
    assert decode_part(encoded) == text
    assert not set(encoded) & {"/", "@"}


def test_examples():
    assert (
        str(TaskRun("air", "shop", "manual__2026", "g.load", -1, 2))
        == "dags/shop/runs/manual__2026/tasks/g.load/-1/2@air"
    )
    assert str(identity.Build("cat", "shop", "churn", "a/b@c%")) == "ml/shop/models/churn/builds/a%2Fb%40c%25@cat"
    assert identity.Build("cat", "shop", "churn", "1").family == identity.Model("cat", "shop", "churn")


@pytest.mark.parametrize("part", ["", "a\nb", "\x00", "\ud800", None, 3])
def test_parts_that_cannot_be(part):
    with pytest.raises(InvalidNameError, match="dag of a Dag"):
        identity.Dag("air", part)


@pytest.mark.parametrize("number", ["1", True, None, 1.5])
def test_numbers_are_whole(number):
    with pytest.raises(InvalidNameError, match="whole number"):
        TaskRun("air", "d", "r", "t", -1, number)


@pytest.mark.parametrize("text", ["", "dags/d", "dags/@air", "dags/d/e@air", "dags/d@air@b", "ml/d@air"])
def test_what_is_no_name_is_refused(text):
    with pytest.raises(InvalidNameError, match="is no Dag"):
        identity.Dag.parse(text)


def test_a_number_that_is_none_is_refused():
    with pytest.raises(InvalidNameError, match="is no TaskRun"):
        TaskRun.parse("dags/d/runs/r/tasks/t/x/1@air")
