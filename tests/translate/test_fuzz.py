"""Mutated events of real producers: each gives entities or one clear error, in bounded time and memory.

Mutations are seeded, so that a failure can be repeated: the message names the seed.
"""

from __future__ import annotations

import copy
import gc
import json
import random
import resource
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_mlgov.delivery.batch import to_atlas
from airflow_provider_mlgov.delivery.clean import clean
from airflow_provider_mlgov.errors import InvalidEventError
from airflow_provider_mlgov.translate.events import unite
from airflow_provider_mlgov.translate.reading import read_event
from airflow_provider_mlgov.translate.settle import settle
from airflow_provider_mlgov.translate.translation import translate
from translate_events import OPTIONS, at, by_type, one, run_id, task_event, translated

EVENTS = Path(__file__).parent / "events"
SEEDS = [
    json.loads(line)
    for path in sorted(EVENTS.glob("*.ndjson"))
    for line in path.read_text(encoding="utf-8").splitlines()
]
ODD: list[Any] = [
    None,
    True,
    0,
    -1,
    2**63,
    1e308,
    float("nan"),
    "",
    " ",
    "\x00\x07",
    "\ud800",
    "é\u202e💥",
    "a" * 50_000,
    "../../etc/passwd",
    "@",
    "a/b@c%d",
    "hive://",
    "postgres://[::1",
    "mlgov://x",
    "models/m",
    [],
    {},
    [None],
    [[]],
    {"": ""},
    {"name": None},
    {"fields": [{}]},
    {"identifiers": [{"namespace": "hive://m", "name": "d.t", "type": "TABLE"}]},
    {"fields": {"x": {"inputFields": [{"namespace": "file", "name": "/a", "field": "y"}]}}},
    {
        "entries": [
            {"type": "DATASET", "namespace": "file", "name": "/a", "inputs": [{"namespace": "file", "name": "/b"}]}
        ]
    },
    {"hierarchy": [{"type": "DATABASE", "name": "d"}, {"type": "TABLE", "name": "\n"}]},
    {"lifecycleStateChange": "DROP"},
    {"lifecycleStateChange": "RENAME", "previousIdentifier": {"namespace": "file", "name": "/old"}},
    {"tags": [{"key": "k", "value": 1}]},
    {"_deleted": True},
    {"assertions": [{"success": True, "assertion": 7}]},
]
KEYS = """
facets inputs outputs namespace name symlinks columnLineage lineage schema lifecycleStateChange hierarchy tags catalog
dataSource jobType eventType runId dataQualityAssertions mlgov_airflow mlgov_ml
""".split()
LONGEST_SECONDS = 2.0


def places(value: Any, found: list[tuple[Any, Any]]) -> list[tuple[Any, Any]]:
    for key, item in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        found.append((value, key))
        places(item, found)
    return found


def mutated(rng: random.Random) -> Any:
    event = copy.deepcopy(rng.choice(SEEDS))
    for _ in range(rng.randint(1, 6)):
        found = places(event, [])
        if not found:
            return event
        holder, key = rng.choice(found)
        kind = rng.randrange(5)
        if kind == 0:
            holder[key] = copy.deepcopy(rng.choice(ODD))
        elif kind == 1 and isinstance(holder, dict):
            del holder[key]
        elif kind == 2 and isinstance(holder, dict):
            holder[rng.choice(KEYS)] = copy.deepcopy(rng.choice(ODD))
        elif kind == 3:  # a part of it in another place
            other, name = rng.choice(found)
            holder[key] = copy.deepcopy(other[name])
        elif isinstance(holder, list):
            holder.append(copy.deepcopy(holder[key]))
    return event


def takes(event: Any) -> bool:
    """Whether it becomes entities that a request can carry; False for one clear error."""
    try:
        kept = clean(read_event(event))
    except InvalidEventError as error:
        if "wanted" not in str(error) or len(str(error)) > 1_000:
            raise AssertionError(f"an unclear error: {str(error)[:2_000]}") from error
        return False
    state = json.loads(json.dumps(unite(None, read_event(kept))))
    translation = translate(state, OPTIONS)
    settled = settle(translation.entities, {})
    for entity in settled.entities:
        assert entity.qualified_name, entity
        assert entity.attributes.get("name") or entity.type_name == "hive_storagedesc", entity
    json.dumps(to_atlas(settled.entities), ensure_ascii=False, allow_nan=False).encode()
    return True


def fuzz(count: int, first: int) -> tuple[int, float]:
    """How many were taken, and the processor seconds that the slowest needed."""
    taken, slowest = 0, 0.0
    for seed in range(first, first + count):
        event = mutated(random.Random(seed))
        begun = time.process_time()
        try:
            taken += takes(event)
        except Exception as error:
            raise AssertionError(f"seed {seed}: {type(error).__name__}: {error}") from error
        slowest = max(slowest, time.process_time() - begun)
    return taken, slowest


def test_mutated_events() -> None:
    taken, slowest = fuzz(2_000, 0)
    assert 200 < taken < 2_000
    assert slowest < LONGEST_SECONDS


@pytest.mark.long
def test_many_mutated_events() -> None:
    fuzz(10_000, 1_000_000)
    gc.collect()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    begun = time.monotonic()
    taken, slowest = fuzz(100_000, 0)
    gc.collect()
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    seconds = time.monotonic() - begun
    said = f"100,000 mutated events: {taken} taken, {100_000 - taken} refused, slowest {slowest:.3f} s, "
    sys.stdout.write(f"\n{said}{seconds:.0f} s in all, memory grown by {grown:.0f} MB\n")
    assert slowest < LONGEST_SECONDS
    assert grown < 200


# --- wrong types -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"inputs": {"a": 1}}, "left out: inputs is a JSON object; wanted a list"),
        ({"outputs": [7]}, "left out: outputs[0] is a number; wanted a JSON object"),
        ({"inputs": [{"namespace": 5, "name": "x"}]}, "left out: inputs[0].namespace is a number; wanted a text"),
        ({"inputs": [{"namespace": "file", "name": None}]}, "left out: inputs[0].name is missing; wanted a text"),
        ({"inputs": [{"namespace": "file", "name": "/a", "facets": []}]}, "inputs[0].facets is a JSON list"),
        (
            {"inputs": [{"namespace": "file", "name": "/a", "inputFacets": {"x": 1}}]},
            "inputs[0].inputFacets.x is a number",
        ),
        ({"job": {"namespace": "n", "name": "j", "facets": {"sql": "select"}}}, "job.facets.sql is a text"),
    ],
)
def test_what_has_a_wrong_type_is_said(change: dict[str, Any], said: str) -> None:
    event = {
        "eventTime": at(1),
        "run": {"runId": run_id("x")},
        "job": {"namespace": "n", "name": "j"},
        "eventType": "COMPLETE",
    }
    found = quick({**event, **change})
    assert any(said in warning for warning in found.warnings), found.warnings


# --- sizes -----------------------------------------------------------------------------------------------------------


def quick(event: Any, seconds: float = 5.0) -> Any:
    begun = time.thread_time()
    found = translated(clean(read_event(event)))
    assert time.thread_time() - begun < seconds
    return found


def table(name: str, **facets: Any) -> dict[str, Any]:
    return {"namespace": "postgres://db:5432", "name": f"d.s.{name}", "facets": facets}


def test_a_name_of_a_megabyte() -> None:
    huge = "n" * 1_000_000
    found = quick(
        task_event(inputs=[{"namespace": "file", "name": f"/{huge}"}, table(huge), {"namespace": huge, "name": "x"}])
    )
    for entity in found.entities:
        assert len(entity.qualified_name.encode()) < 40_000


def test_ten_thousand_columns() -> None:
    fields = [{"name": f"c{number}", "type": "int"} for number in range(10_000)]
    lineage = {f"c{number}": {"inputFields": [{**table("a"), "field": f"c{number}"}]} for number in range(10_000)}
    event = task_event(
        inputs=[table("a", schema={"fields": fields})], outputs=[table("b", columnLineage={"fields": lineage})]
    )
    found = translated(event)
    assert len(by_type(found, "mlgov_column_lineage")) == 10_000


@pytest.mark.parametrize("columns", [1, 10_000])
def test_ten_thousand_tags(columns: int) -> None:
    tags = [{"key": f"k{number}", "value": "two words", "field": f"c{number % columns}"} for number in range(10_000)]
    found = quick(task_event(outputs=[table("b", tags={"tags": tags})]))
    assert sum(len(column.marks.custom) for column in by_type(found, "rdbms_column")) == 10_000


def test_five_thousand_inputs() -> None:
    found = quick(task_event(inputs=[table(f"t{number}") for number in range(5_000)], outputs=[table("b")]))
    assert len(one(found, "mlgov_task_process").relations["inputs"]) == 5_000


def test_deep_nesting() -> None:
    fields: list[Any] = []
    for _ in range(200):
        fields = [{"name": "f", "type": "struct", "fields": fields}]
    found = quick(task_event(inputs=[table("a", schema={"fields": fields})]))
    assert 10 < len(by_type(found, "rdbms_column")) < 50


def test_symlinks_in_a_circle() -> None:
    def linked(namespace: str, name: str, *others: tuple[str, str]) -> dict[str, Any]:
        links = [{"namespace": place, "name": other, "type": "TABLE"} for place, other in others]
        return {"namespace": namespace, "name": name, "facets": {"symlinks": {"identifiers": links}}}

    found = quick(
        task_event(
            inputs=[
                linked("hdfs://n", "/a", ("hive://m", "d.a")),
                linked("hive://m", "d.a", ("hdfs://n", "/a"), ("arn:aws:glue:eu:1", "table/d/a")),
                linked("arn:aws:glue:eu:1", "table/d/a", ("hive://m", "d.a")),
            ]
        )
    )
    tables = {entity.qualified_name for entity in by_type(found, "hive_table")}
    assert tables == {"d.a@plat", "d.a@glue-eu-1"}


@pytest.mark.parametrize(
    "version",
    ["https://example.org/unknown.json", "https://openlineage.io/spec/facets/99-0-0/SchemaDatasetFacet.json", 7, None],
)
def test_facets_of_the_future(version: object) -> None:
    schema = {"_schemaURL": version, "fields": [{"name": "a", "type": "int", "new": {"x": 1}}], "more": [1, 2]}
    found = quick(task_event(inputs=[table("a", schema=schema)]))
    assert [entity.attributes["name"] for entity in by_type(found, "rdbms_column")] == ["a"]


def test_a_run_that_is_told_of_by_nothing_but_its_id() -> None:
    event = {"eventTime": at(1), "run": {"runId": run_id("x")}, "job": {"namespace": "n", "name": "j"}}
    assert [entity.type_name for entity in quick(event).entities] == ["mlgov_job", "mlgov_job_run"]
