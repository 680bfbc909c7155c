"""OpenLineage's objects as JSON."""

from __future__ import annotations

import json
from datetime import datetime, timezone
from enum import Enum
from typing import Any

import attrs
import pytest

from airflow_provider_mlgov.lineage.plain import plain


class Color(Enum):
    RED = "red"


@attrs.define
class Inner:
    value: Any = None


@attrs.define
class Outer:
    name: str
    inner: Inner | None = None
    many: list[Inner] = attrs.field(factory=list)


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        (Outer("a"), {"name": "a", "many": []}),
        (Outer("a", Inner(Color.RED), [Inner(1)]), {"name": "a", "inner": {"value": "red"}, "many": [{"value": 1}]}),
        (datetime(2026, 1, 1, tzinfo=timezone.utc), "2026-01-01T00:00:00+00:00"),
        ({1: float("nan"), "b": None}, {"1": "nan"}),
        (("a", {"b"}), ["a", ["b"]]),
        (b"bytes", "bytes"),
        (True, True),
    ],
)
def test_plain(value: object, wanted: object) -> None:
    assert plain(value) == wanted
    json.dumps(plain(value), allow_nan=False)


def test_what_holds_itself_ends() -> None:
    loop: list[Any] = []
    loop.append(loop)
    json.dumps(plain(loop))


def test_facets_of_openlineage_are_what_its_own_serialiser_makes() -> None:
    from openlineage.client.event_v2 import Dataset
    from openlineage.client.facet_v2 import schema_dataset
    from openlineage.client.serde import Serde

    fields = [schema_dataset.SchemaDatasetFacetFields(name="a", type="int")]
    dataset = Dataset("s3://b", "k", facets={"schema": schema_dataset.SchemaDatasetFacet(fields=fields)})
    assert plain(dataset) == json.loads(Serde.to_json(dataset))
