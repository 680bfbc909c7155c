"""Recorded events into a catalogue, by `mlgov replay`, beside pyapacheatlas's ``upload_entities`` with the same entities.

Both write 1,000 events: those of a real Airflow, Spark and dbt (``tests/translate/events``), again and again under other run
ids. Ours waits on disk, unites, settles and coalesces; theirs is one call per event with what that event comes to, as a script
would do it. The real Atlas is the one that MLGOV_TEST_ATLAS names; each side has names of its own.
"""

from __future__ import annotations

import json
import os
import tempfile
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from airflow_provider_mlgov.catalog.atlas import AtlasCatalog
from airflow_provider_mlgov.catalog.catalog import Catalog
from airflow_provider_mlgov.catalog.embedded import EmbeddedCatalog
from airflow_provider_mlgov.catalog.types.apply import ensure_types
from airflow_provider_mlgov.delivery.batch import to_atlas
from airflow_provider_mlgov.delivery.clean import clean
from airflow_provider_mlgov.delivery.outbox import Outbox
from airflow_provider_mlgov.delivery.sender import Sender
from airflow_provider_mlgov.delivery.spool import Spool
from airflow_provider_mlgov.translate.events import run_key, unite
from airflow_provider_mlgov.translate.options import TranslateOptions
from airflow_provider_mlgov.translate.reading import read_event
from airflow_provider_mlgov.translate.settle import settle
from airflow_provider_mlgov.translate.translation import translate
from real_atlas import place_of
from table import heading, table

EVENTS = Path(__file__).resolve().parent.parent / "tests" / "translate" / "events"
COUNT = 1_000


def main() -> None:
    """Measure and print."""
    heading(f"{COUNT} recorded events into a catalogue")
    events = list(make_events())
    rows: list[list[object]] = []
    with tempfile.TemporaryDirectory() as folder:
        embedded = EmbeddedCatalog(Path(folder) / "catalog.db")
        rows.append(["mlgov, embedded catalogue", *ours(embedded, events, Path(folder) / "embedded")])
    url = os.environ.get("MLGOV_TEST_ATLAS")
    if url:
        place, login = place_of(url)
        with tempfile.TemporaryDirectory() as folder:
            rows.append(["mlgov, real Atlas", *ours(AtlasCatalog(place, login), events, Path(folder))])
        rows.append(["pyapacheatlas, real Atlas", *theirs(place, login, events)])
    table(["what", "events", "seconds", "events/s", "failed calls"], rows)


def make_events() -> Iterator[dict[str, Any]]:
    """The events, each round under run ids of its own."""
    recorded = [
        json.loads(line)
        for path in sorted(EVENTS.glob("*.ndjson"))
        for line in path.read_text(encoding="utf-8").splitlines()
    ]
    for number in range(COUNT):
        round_, index = divmod(number, len(recorded))
        text = json.dumps(recorded[index])
        run = recorded[index]["run"]["runId"]
        yield json.loads(text.replace(run, str(uuid.uuid5(uuid.NAMESPACE_URL, f"{round_}/{run}"))))


def ours(catalog: Catalog, events: list[dict[str, Any]], folder: Path) -> tuple[int, float, float, int]:
    """Spool, translate and send."""
    ensure_types(catalog)
    at = f"b{uuid.uuid4().hex[:8]}"
    spool = Spool(folder / "spool")
    outbox = Outbox(spool)
    begun = time.perf_counter()
    for event in events:
        outbox.put(event)
    while spool.has_waiting():
        report = Sender(spool, lambda: catalog, TranslateOptions(at, at, at), breaker_interval=0.0).send()
        assert report.outcome in ("done", "nothing"), report
    seconds = time.perf_counter() - begun
    assert not spool.dead_letters()
    return len(events), seconds, len(events) / seconds, 0


def theirs(place: str, login: tuple[str, str], events: list[dict[str, Any]]) -> tuple[int, float, float, int]:
    """One call per event."""
    from pyapacheatlas.auth import BasicAuthentication
    from pyapacheatlas.core import AtlasClient

    client = AtlasClient(endpoint_url=f"{place}/api/atlas/v2", authentication=BasicAuthentication(*login))
    at = f"b{uuid.uuid4().hex[:8]}"
    options = TranslateOptions(at, at, at)
    states: dict[str, Any] = {}
    batches = []
    for document in events:
        event = clean(read_event(document))
        key = run_key(event)
        states[key] = unite(states.get(key), event)
        batches.append(to_atlas(settle(translate(states[key], options).entities, {}).entities))
    failed = 0
    begun = time.perf_counter()
    for batch in batches:
        try:
            client.upload_entities(batch)
        except BaseException as error:  # its errors are no Exception
            if isinstance(error, KeyboardInterrupt):
                raise
            failed += 1
            if failed == 1:
                print(f"the first failed call: {type(error).__name__}: {error}"[:500])
    seconds = time.perf_counter() - begun
    return len(events), seconds, len(events) / seconds, failed


if __name__ == "__main__":
    main()
