"""The sink ``kafka``, on the real Atlas's own broker and consumer."""

from __future__ import annotations

import json
import random
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_mlgov.catalog.atlas import AtlasCatalog
from airflow_provider_mlgov.catalog.kafka import KafkaChannel
from airflow_provider_mlgov.catalog.messaged import MessagedAtlas
from airflow_provider_mlgov.catalog.messages import create, envelopes, fence
from airflow_provider_mlgov.delivery.outbox import Outbox
from airflow_provider_mlgov.delivery.sender import Sender
from airflow_provider_mlgov.delivery.spool import Spool
from airflow_provider_mlgov.errors import (
    CatalogDroppedError,
    CatalogPendingError,
    CatalogRefusedError,
    EntityNotFoundError,
)
from airflow_provider_mlgov.translate.options import TranslateOptions
from delivery_events import dataset, task_event, task_run
from kafka_proxy import KafkaProxy

pytestmark = pytest.mark.atlas
OPTIONS = TranslateOptions(airflow_namespace="test")
CLIENT = {"broker.address.family": "v4"}


@pytest.fixture
def name() -> str:
    return f"k{uuid.uuid4().hex[:12]}"


@pytest.fixture
def channel(atlas_kafka: str, tmp_path: Path) -> Callable[..., KafkaChannel]:
    def make(server: str = atlas_kafka, **more: Any) -> KafkaChannel:
        return KafkaChannel({"bootstrap.servers": server, **CLIENT}, tmp_path / "kafka.json", **more)

    return make


@pytest.fixture
def messaged(atlas: AtlasCatalog, atlas_url: str, channel: Callable[..., KafkaChannel]) -> Iterator[MessagedAtlas]:
    made = MessagedAtlas(atlas_url).by(channel())
    yield made
    made.close()


def database(name: str, **attributes: Any) -> dict:
    return {
        "typeName": "hive_db",
        "guid": "-1",
        "attributes": {"qualifiedName": f"{name}@p", "name": name, "clusterName": "p", **attributes},
    }


# --- the catalogue by messages ----------------------------------------------------------------------------------------
def test_writing_updating_and_deleting_by_message(messaged: MessagedAtlas, name: str) -> None:
    table = {"typeName": "hive_table", "guid": "-2", "attributes": {"qualifiedName": f"{name}.t@p", "name": "t"}}
    table["relationshipAttributes"] = {"db": {"typeName": "hive_db", "guid": "-1"}}
    answer = messaged.write([database(name), table])
    found = messaged.get("hive_table", f"{name}.t@p", relationships=True)
    assert found
    assert found["relationshipAttributes"]["db"]["guid"] == answer["guidAssignments"]["-1"]
    assert {each["guid"] for each in answer["mutatedEntities"]["CREATE"]} == set(answer["guidAssignments"].values())

    again = messaged.write([database(name), table])  # nothing is changed by it
    assert again == {"mutatedEntities": {"CREATE": []}, "guidAssignments": answer["guidAssignments"]}
    messaged.write([database(name, description="new")])
    messaged.update("hive_table", f"{name}.t@p", {"comment": "told", "retention": 7})
    found = messaged.get("hive_table", f"{name}.t@p")
    assert found
    assert (found["attributes"]["comment"], found["attributes"]["retention"]) == ("told", 7)
    database_now = messaged.get("hive_db", f"{name}@p")
    assert database_now
    assert database_now["attributes"]["description"] == "new"

    messaged.delete("hive_table", f"{name}.t@p")
    assert messaged.get("hive_table", f"{name}.t@p") is None
    assert messaged.delete("hive_table", f"{name}.t@p") == {}
    with pytest.raises(EntityNotFoundError):
        messaged.update("hive_table", f"{name}.t@p", {"comment": "too late"})


def test_what_atlas_drops_is_told_from_what_it_has_not_read(messaged: MessagedAtlas, name: str) -> None:
    with pytest.raises(CatalogDroppedError, match="is not there"):
        messaged.write(
            [database(name), {**database(f"{name}2", createTime="no date"), "guid": "-2", "typeName": "hive_table"}]
        )
    assert messaged.get("hive_db", f"{name}@p") is None
    messaged.write([database(name)])  # nothing is left under way
    with pytest.raises(CatalogRefusedError, match="no type 'nosuch'"):
        messaged.write([database(f"{name}3"), {**database(f"{name}4"), "guid": "-2", "typeName": "nosuch"}])


@pytest.mark.parametrize("kind", ["compressed", "cut"])
def test_a_message_above_the_limit_arrives(messaged: MessagedAtlas, name: str, kind: str) -> None:
    text = "ab" * 700_000 if kind == "compressed" else random.Random(name).randbytes(1_000_000).hex()
    document = database(name, parameters={"large": text})
    assert len(envelopes(create([document]))) == (1 if kind == "compressed" else 2)
    messaged.write([document])
    found = messaged.get("hive_db", f"{name}@p")
    assert found
    assert found["attributes"]["parameters"]["large"] == text


# --- a process that ends in between -----------------------------------------------------------------------------------
@pytest.mark.parametrize("sent", ["good", "dropped", "unknown"])
def test_what_an_earlier_process_sent_has_to_be_read_first(
    atlas: AtlasCatalog, channel: Callable[..., KafkaChannel], tmp_path: Path, name: str, sent: str
) -> None:
    note = tmp_path / "kafka.json"
    document = database(name) if sent != "dropped" else {**database(name), "typeName": "nosuch"}
    killed = channel()
    killed.send(envelopes(create([document])), 20)
    assert note.exists()
    if sent == "unknown":
        note.write_text('{"topic": "ATLAS_HOOK", "places": null, "fenced": false}')
    killed.close()
    following = channel()
    until = time.monotonic() + 60
    while note.exists():
        try:
            following.catch_up(lambda: envelopes(fence()))
        except CatalogPendingError:
            assert time.monotonic() < until
    following.close()
    assert (atlas.get("hive_db", f"{name}@p") is not None) == (sent != "dropped")


def test_who_reads_nothing_is_behind(channel: Callable[..., KafkaChannel], name: str, tmp_path: Path) -> None:
    made = channel(group=f"nobody-{name}")
    made.send(envelopes(fence()), 20)
    with pytest.raises(CatalogPendingError, match="kafka_group"):
        made.catch_up(lambda: envelopes(fence()))
    size = _end(made)
    with pytest.raises(CatalogPendingError):
        made.catch_up(lambda: envelopes(fence()))
    assert _end(made) == size  # the topic does not grow by waiting
    assert (tmp_path / "kafka.json").exists()
    made.close()


def _end(channel: KafkaChannel) -> list[tuple[int, int]]:
    return channel._ends()


# --- the sink ---------------------------------------------------------------------------------------------------------
TYPES = {
    "mlgov_dag": 1,
    "mlgov_task": 3,
    "mlgov_dag_run": 1,
    "mlgov_task_run": 4,
    "mlgov_task_process": 3,
    "rdbms_db": 1,
    "rdbms_table": 3,
    "rdbms_column": 9,
}
"""What comes of `shop`."""


def stored(atlas: AtlasCatalog, name: str) -> dict[str, Any]:
    """All entities of ``name`` with their attributes and the edges that are alive."""
    found = {}
    for type_name in TYPES:
        for header in atlas.search(type_name, limit=10_000):
            if name in header["attributes"]["qualifiedName"]:
                entity = atlas.get_by_guid(header["guid"], relationships=True)
                assert entity
                edges = {
                    (relation, end["guid"])
                    for relation, value in entity["relationshipAttributes"].items()
                    for end in (value if isinstance(value, list) else [value] if value else [])
                    if end["relationshipStatus"] == end["entityStatus"] == "ACTIVE"
                }
                plain = {
                    key: value
                    for key, value in entity["attributes"].items()
                    if key not in entity["relationshipAttributes"]
                }
                if plain.get(
                    "io"
                ):  # of a failed attempt that is forgotten, the text is united anew: what it names is what counts
                    io = json.loads(plain["io"])
                    named = sorted((each["typeName"], each["qualifiedName"]) for each in io["datasets"])
                    plain["io"] = named, io["inputs"], io["outputs"], len(io["processes"])
                found[entity["guid"]] = (entity["typeName"], plain, edges)
    return found


def differing(first: dict[str, Any], second: dict[str, Any]) -> Iterator[tuple]:
    """What differs between two looks, in words."""
    assert first.keys() == second.keys()
    for guid, (type_name, attributes, edges) in first.items():
        for key, value in attributes.items():
            if second[guid][1][key] != value:
                yield type_name, key, value, second[guid][1][key]
        if edges != second[guid][2]:
            yield type_name, edges ^ second[guid][2]


def shop(name: str) -> list[dict]:
    """A DAG run of three tasks, one of which failed first."""
    first, second, third = (dataset(f"{name}.s.t{number}", columns=3) for number in range(3))
    failed = task_event("FAIL", dag=name, task="sum", inputs=[first])
    return [
        *task_run(dag=name, task="load", outputs=[first]),
        failed,
        *task_run(dag=name, task="sum", try_number=2, inputs=[first, third], outputs=[second]),
        *task_run(dag=name, task="copy", inputs=[second], outputs=[third]),
    ]


def send(folder: Path, events: Sequence[dict], make: Callable[[], Any]) -> Any:
    spool = Spool(folder)
    for event in events:
        Outbox(spool).put(event)
    report = Sender(spool, make, OPTIONS, batch_size=50).send(240)
    assert (report.outcome, report.dead, spool.counts().waiting) == ("done", 0, 0), report
    return report


def twins(atlas: AtlasCatalog, name: str, wanted: Mapping[str, int]) -> None:
    """There are so many of each type, and each name once."""
    for type_name, count in wanted.items():
        until = time.monotonic() + 20
        while True:
            names = [header["attributes"]["qualifiedName"] for header in atlas.search(type_name, limit=10_000)]
            found = Counter(each for each in names if name in each)
            if len(found) >= count or time.monotonic() > until:
                break
            time.sleep(0.3)
        assert (len(found), set(found.values())) == (count, {1}), type_name


def test_a_dag_run_by_kafka_is_what_it_is_by_rest(
    atlas: AtlasCatalog, atlas_url: str, channel: Callable[..., KafkaChannel], tmp_path: Path, name: str
) -> None:
    send(tmp_path / "kafka", shop(name), lambda: MessagedAtlas(atlas_url).by(channel()))
    twins(atlas, name, TYPES)
    by_kafka = stored(atlas, name)
    assert Counter(type_name for type_name, _, _ in by_kafka.values()) == TYPES
    # The same from another spool, which remembers nothing: it ends in the same entities, attributes and edges.
    send(tmp_path / "rest", shop(name), lambda: AtlasCatalog(atlas_url))
    assert list(differing(by_kafka, stored(atlas, name))) == []
    twins(atlas, name, TYPES)


def test_one_poison_entity_becomes_a_dead_letter_and_the_rest_arrives(
    atlas: AtlasCatalog, atlas_url: str, channel: Callable[..., KafkaChannel], tmp_path: Path, name: str
) -> None:
    class Poisoned(MessagedAtlas):
        def write(self, entities: Sequence[dict], *, referred: Mapping[str, dict] | None = None) -> dict:
            for entity in entities:
                if "poison" in entity["attributes"]["qualifiedName"] and entity["typeName"] == "rdbms_table":
                    entity["attributes"]["createTime"] = "no date"
            return super().write(entities, referred=referred)

    spool = Spool(tmp_path / "spool")
    for event in (
        task_event("COMPLETE", dag=name, task="good", outputs=[dataset(f"{name}.s.good")]),
        task_event("COMPLETE", dag=name, task="bad", outputs=[dataset(f"{name}.s.poison")]),
    ):
        Outbox(spool).put(event)
    report = Sender(spool, lambda: Poisoned(atlas_url).by(channel()), OPTIONS, batch_size=50).send(240)
    assert (report.outcome, report.dead, spool.counts().waiting) == ("done", 1, 0), report
    (letter,) = spool.dead_letters()
    assert "dropped" in letter.reason
    assert any(f"{name}.s.poison" in part for part in letter.parts)
    assert letter.events[0]["job"]["name"] == f"{name}.bad"
    twins(atlas, name, {"mlgov_task_run": 2, "rdbms_table": 1})
    spool.retry()
    assert Sender(spool, lambda: MessagedAtlas(atlas_url).by(channel()), OPTIONS, batch_size=50).send(240).dead == 0
    twins(atlas, name, {"mlgov_task_run": 2, "rdbms_table": 2})


def test_a_broker_that_is_gone_and_comes_back_loses_nothing(
    atlas: AtlasCatalog,
    atlas_url: str,
    atlas_kafka: str,
    channel: Callable[..., KafkaChannel],
    tmp_path: Path,
    name: str,
) -> None:
    proxy = KafkaProxy(atlas_kafka)
    spool = Spool(tmp_path / "spool")
    sender = Sender(spool, lambda: MessagedAtlas(atlas_url).by(channel(proxy.server)), OPTIONS, batch_size=50)

    def put(*tasks: str) -> None:
        for task in tasks:
            Outbox(spool).put(task_event("COMPLETE", dag=name, task=task, outputs=[dataset(f"{name}.s.{task}")]))

    put("a")
    assert sender.send(120).outcome == "done"
    proxy.stop()
    put("b", "c")
    report = sender.send(4)
    assert report.outcome == "unavailable", report
    assert "Kafka at" in str(report.reason)
    assert spool.counts().waiting == 2
    assert sender.send(4).outcome == "open"
    put("d")
    proxy.start()
    until = time.monotonic() + 120
    while spool.has_waiting() and time.monotonic() < until:
        report = sender.send(60, despite_breaker=True)
    proxy.stop()
    assert (report.outcome, spool.counts().waiting, spool.counts().dead) == ("done", 0, 0), report
    assert sender.breaker.opening() is None
    twins(atlas, name, {"mlgov_task_run": 4, "mlgov_task": 4, "rdbms_table": 4})
