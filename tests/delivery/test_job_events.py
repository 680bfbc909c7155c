"""Job events say what a job does: a later one replaces what an earlier one said. And events of a far future."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_mlgov.catalog.embedded import EmbeddedCatalog
from airflow_provider_mlgov.delivery.outbox import Outbox
from airflow_provider_mlgov.delivery.sender import Sender
from airflow_provider_mlgov.delivery.spool import Spool
from airflow_provider_mlgov.translate.options import TranslateOptions

Json = dict[str, Any]


def event(minute: int, source: str | None, **more: Any) -> Json:
    table = {"namespace": "postgres://db:5432", "facets": {}}
    return {
        "eventTime": f"2026-01-31T01:{minute:02}:00Z",
        "producer": "https://example.com",
        "schemaURL": "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/JobEvent",
        "job": {"namespace": "jobs", "name": "nightly"},
        **({"inputs": [{**table, "name": source}], "outputs": [{**table, "name": "d.s.out"}]} if source else {}),
        **more,
    }


def sources(folder: Path, events: tuple[Json, ...]) -> list[list[str]]:
    spool = Spool(folder / "spool")
    for one in events:
        Outbox(spool).put(one)
        Sender(spool, lambda: EmbeddedCatalog(folder / "c.db"), TranslateOptions(), breaker_interval=0.0).send()
    assert not spool.dead_letters()
    catalog = EmbeddedCatalog(folder / "c.db")
    try:
        found = []
        for header in catalog.search("mlgov_job_process"):
            entity = catalog.get_by_guid(header["guid"], relationships=True)
            assert entity is not None
            found.append([item["displayText"] for item in entity["relationshipAttributes"]["inputs"]])
        return found
    finally:
        catalog.close()


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_the_newest_job_event_counts(order: tuple[int, ...], tmp_path: Path) -> None:
    told = [event(1, "d.s.old"), event(2, "d.s.new"), event(3, None)]  # the last says nothing of data
    assert sources(tmp_path, tuple(told[number] for number in order)) == [["s.new"]]


def test_what_a_run_did_stays(tmp_path: Path) -> None:
    run = event(1, "d.s.old", run={"runId": "3f0c9a5e-0000-7000-8000-000000000001"}, eventType="COMPLETE")
    found = sources(tmp_path, (run, event(2, "d.s.old"), event(3, "d.s.new")))
    assert sorted(found) == [["s.new"], ["s.old"]]


def test_an_event_of_a_far_future_is_a_dead_letter(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool")
    Outbox(spool).put({**event(1, "d.s.a"), "eventTime": "2999-01-01T00:00:00Z"})
    Sender(spool, lambda: EmbeddedCatalog(tmp_path / "c.db"), TranslateOptions(), breaker_interval=0.0).send()
    (letter,) = spool.dead_letters()
    assert "days ahead of this machine's clock" in letter.reason
