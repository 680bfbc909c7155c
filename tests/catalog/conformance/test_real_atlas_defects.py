"""What the real Atlas does wrong and the product lives with: if one of these fails, Atlas got better."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from airflow_provider_mlgov.catalog.atlas import AtlasCatalog

pytestmark = pytest.mark.atlas

Put = Callable[..., str]
Unique = Callable[[str], str]


@pytest.fixture
def catalog(atlas: AtlasCatalog) -> AtlasCatalog:
    return atlas


def test_an_input_that_comes_back_is_lost(atlas: AtlasCatalog, unique: Unique, put: Put, ref: Any, ends: Any) -> None:
    guids = [put("mlgov_dataset", unique(name)) for name in "ab"]
    both = [ref("mlgov_dataset", unique(name)) for name in "ab"]
    for inputs in (both, both[:1], both):
        put("mlgov_task_process", unique("step"), relations={"inputs": inputs})
    assert ends("mlgov_task_process", unique("step"), "inputs") == {guids[0]}
    # A single relationship is what brings it back.
    atlas.relate("dataset_process_inputs", ref("mlgov_task_process", unique("step")), both[1])
    assert ends("mlgov_task_process", unique("step"), "inputs") == set(guids)


def test_a_newline_in_a_name_is_answered_with_forbidden(unique: Unique, put: Put, refused: Any) -> None:
    with refused("ATLAS-403-00-001"):
        put("mlgov_dataset", unique("a\nb"))


def test_a_fraction_of_six_digits_is_read_as_milliseconds(atlas: AtlasCatalog, unique: Unique, put: Put) -> None:
    put("mlgov_task_run", unique("a"), startTime="2023-11-14T22:13:20.123456Z")
    entity = atlas.get("mlgov_task_run", unique("a"))
    assert entity is not None
    assert entity["attributes"]["startTime"] == 1700000000000 + 123456
