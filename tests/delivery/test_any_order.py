"""Recorded events in any order, any number of times and in any portions: the catalogue ends up the same."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_mlgov.catalog.embedded import EmbeddedCatalog
from airflow_provider_mlgov.catalog.types.definitions import our_types
from airflow_provider_mlgov.delivery.outbox import Outbox
from airflow_provider_mlgov.delivery.sender import Sender
from airflow_provider_mlgov.delivery.spool import Spool
from airflow_provider_mlgov.translate.options import TranslateOptions

EVENTS = Path(__file__).parents[1] / "translate" / "events"
RECORDED = sorted(EVENTS.glob("*.ndjson"))

OPTIONS = TranslateOptions(airflow_namespace="air")
TYPES = (
    "fs_path", "hdfs_path", "rdbms_table", "rdbms_column", "hive_table", "hive_storagedesc", "aws_s3_v2_directory", "kafka_topic",
    *(item["name"] for item in our_types()["entityDefs"]),
)  # fmt: skip


def recorded(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def catalogued(folder: Path, portions: list[list[dict[str, Any]]]) -> dict[str, Any]:
    """All active entities after these portions were sent, one send each, without guids and the times of writing."""
    spool, path = Spool(folder / "spool"), folder / "catalog.db"
    for portion in portions:
        for event in portion:
            Outbox(spool).put(event)
        report = Sender(spool, lambda: EmbeddedCatalog(path), OPTIONS, breaker_interval=0.0).send()
        assert report.outcome in ("done", "nothing"), report
    assert not spool.dead_letters()
    catalog = EmbeddedCatalog(path)
    try:
        found: dict[str, Any] = {}
        for type_name in TYPES:
            for header in catalog.search(type_name, limit=5_000):
                entity = catalog.get_by_guid(header["guid"], relationships=True)
                assert entity is not None
                relations = {
                    name: sorted(
                        f"{item['typeName']} {item['displayText']}"
                        for item in value
                        if item["relationshipStatus"] == "ACTIVE"
                    )
                    for name, value in entity["relationshipAttributes"].items()
                    if isinstance(value, list)
                }
                key = f"{entity['typeName']} {entity['attributes']['qualifiedName']}"
                attributes = {name: value for name, value in entity["attributes"].items() if not _differs(name, value)}
                found[key] = {"attributes": attributes, "relations": relations}
        return found
    finally:
        catalog.close()


def _differs(name: str, value: Any) -> bool:
    """References hold guids, and which run was heard of first is just that."""
    first = value[0] if isinstance(value, list) and value else value
    return name == "firstRun" or (isinstance(first, dict) and "guid" in first)


def shuffled(events: list[dict[str, Any]], seed: int) -> list[list[dict[str, Any]]]:
    rng = random.Random(seed)
    mixed = [*events, *rng.sample(events, len(events) // 2)]
    rng.shuffle(mixed)
    cuts = sorted(rng.sample(range(1, len(mixed)), min(4, len(mixed) - 1)))
    return [mixed[start:end] for start, end in zip([0, *cuts], [*cuts, len(mixed)], strict=True)]


def check(path: Path, folder: Path, seeds: range) -> None:
    events = recorded(path)
    wanted = catalogued(folder / "ordered", [events])
    assert any("process" in key for key in wanted)
    for seed in seeds:
        found = catalogued(folder / str(seed), shuffled(events, seed))
        assert found.keys() == wanted.keys(), f"seed {seed}"
        for key, entity in wanted.items():
            assert found[key] == entity, f"seed {seed}: {key}"


@pytest.mark.parametrize("path", RECORDED, ids=lambda path: path.stem)
def test_any_order(path: Path, tmp_path: Path) -> None:
    check(path, tmp_path, range(3))


@pytest.mark.long
@pytest.mark.parametrize("path", RECORDED, ids=lambda path: path.stem)
def test_any_order_often(path: Path, tmp_path: Path) -> None:
    check(path, tmp_path, range(100, 150))
