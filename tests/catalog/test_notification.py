"""Messages by Atlas's REST, against a server that speaks it; Atlas 2.1, which lacks it, says no."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from airflow_provider_mlgov.catalog.atlas import AtlasCatalog
from airflow_provider_mlgov.catalog.embedded import EmbeddedCatalog
from airflow_provider_mlgov.catalog.messaged import MessagedAtlas
from airflow_provider_mlgov.catalog.server import create_app
from airflow_provider_mlgov.delivery.outbox import Outbox
from airflow_provider_mlgov.delivery.sender import Sender
from airflow_provider_mlgov.delivery.spool import Spool
from airflow_provider_mlgov.errors import CatalogPendingError, CatalogRefusedError, CatalogUnavailableError
from airflow_provider_mlgov.translate.options import TranslateOptions
from delivery_events import dataset, task_event, task_run
from serving import served

OPTIONS = TranslateOptions(airflow_namespace="test")


class Topic:
    """The embedded catalogue, served as Atlas is, with a topic before it that is consumed as messages come, or not at all."""

    def __init__(self, catalog: EmbeddedCatalog) -> None:
        self.catalog = catalog
        self.app = create_app(catalog)
        self.works = True
        self.kinds: list[str] = []
        self.dropped = 0

    async def __call__(self, scope: Any, receive: Callable[..., Any], send: Callable[..., Any]) -> None:
        if scope["type"] != "http" or not scope["path"].endswith("/v2/notification/topic/ATLAS_HOOK"):
            await self.app(scope, receive, send)
            return
        body = b""
        while True:
            part = await receive()
            body += part.get("body", b"")
            if not part.get("more_body"):
                break
        for envelope in json.loads(body):
            assert envelope["version"] == {"version": "1.0.0"}
            self.consume(envelope["message"])
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    def consume(self, message: dict) -> None:
        self.kinds.append(message["type"])
        if not self.works:
            return
        try:
            match_ = {
                "ENTITY_CREATE_V2": self.create,
                "ENTITY_PARTIAL_UPDATE_V2": self.update,
                "ENTITY_DELETE_V2": self.delete,
            }
            match_[message["type"]](message)
        except CatalogRefusedError:
            self.dropped += 1  # without a word, as Atlas does it

    def create(self, message: dict) -> None:
        if any("poison" in entity["attributes"]["qualifiedName"] for entity in message["entities"]["entities"]):
            raise CatalogRefusedError("poison", error_code="x", status=400)
        self.catalog.write(message["entities"]["entities"])

    def update(self, message: dict) -> None:
        about = message["entityId"]
        self.catalog.update(
            about["typeName"], about["uniqueAttributes"]["qualifiedName"], message["entity"]["entity"]["attributes"]
        )

    def delete(self, message: dict) -> None:
        for about in message["entities"]:
            self.catalog.delete(about["typeName"], about["uniqueAttributes"]["qualifiedName"])


@pytest.fixture
def topic(tmp_path):
    catalog = EmbeddedCatalog(tmp_path / "catalog.db")
    yield Topic(catalog)
    catalog.close()


def test_events_go_by_message_and_count_when_they_are_read(topic, tmp_path):
    spool = Spool(tmp_path / "spool")
    for event in task_run(outputs=[dataset("shop.public.t", columns=2)]):
        Outbox(spool).put(event)
    with served(topic) as url:
        report = Sender(spool, lambda: MessagedAtlas(url), OPTIONS, batch_size=50).send(60)
    assert (report.outcome, report.dead) == ("done", 0), report
    assert report.entities > 5
    assert set(topic.kinds) == {"ENTITY_CREATE_V2"}
    assert topic.catalog.search("rdbms_column", limit=10)


def test_updates_and_deletions_go_by_message(topic):
    from airflow_provider_mlgov.catalog.types.apply import ensure_types

    ensure_types(topic.catalog)
    with served(topic) as url:
        catalog = MessagedAtlas(url)
        many = [
            {
                "typeName": "hive_db",
                "guid": f"-{n}",
                "attributes": {"qualifiedName": f"d{n}@p", "name": "d", "clusterName": "p"},
            }
            for n in range(1, 121)
        ]
        answer = catalog.write(many)
        assert len(answer["guidAssignments"]) == 120
        catalog.update("hive_db", "d1@p", {"description": "told"})
        assert catalog.get("hive_db", "d1@p")["attributes"]["description"] == "told"
        catalog.delete("hive_db", "d1@p")
        assert catalog.get("hive_db", "d1@p") is None
        catalog.close()
    assert topic.kinds == [*["ENTITY_CREATE_V2"] * 3, "ENTITY_PARTIAL_UPDATE_V2", "ENTITY_DELETE_V2"]


@pytest.mark.long
def test_a_consumer_that_stands_still_loses_nothing(topic, tmp_path):
    spool = Spool(tmp_path / "spool")
    Outbox(spool).put(task_event("COMPLETE", outputs=[dataset("shop.public.t")]))
    topic.works = False
    with served(topic) as url:
        sender = Sender(spool, lambda: MessagedAtlas(url, patience=0.3), OPTIONS, batch_size=50, sleep=lambda _: None)
        for _ in range(12):  # many more than it takes to halve a batch to one
            assert sender.send(60, despite_breaker=True).outcome == "busy"
        assert (spool.counts().waiting, spool.counts().dead) == (1, 0)
        topic.works = True
        report = sender.send(60, despite_breaker=True)
    assert (report.outcome, report.dead) == ("done", 0), report


def test_the_time_of_a_task_says_nothing_of_a_message(topic):
    topic.works = False
    with served(topic) as url:
        catalog = MessagedAtlas(url, patience=60)
        with catalog.within(5), pytest.raises(CatalogPendingError, match="looked for again"):
            catalog.write([{"typeName": "hive_db", "guid": "-1", "attributes": {"qualifiedName": "d@p", "name": "d"}}])
        catalog.close()


def test_a_poison_entity_is_found_over_several_sends(topic, tmp_path):
    spool = Spool(tmp_path / "spool")
    for name in ("good", "poison"):
        Outbox(spool).put(task_event("COMPLETE", task=name, outputs=[dataset(f"shop.public.{name}")]))
    with served(topic) as url:
        sender = Sender(spool, lambda: MessagedAtlas(url, patience=0.5), OPTIONS, batch_size=50, sleep=lambda _: None)
        for _ in range(30):
            if sender.send(60, despite_breaker=True).outcome == "done":
                break
    assert topic.dropped > 1
    assert spool.counts().waiting == 0
    (letter,) = spool.dead_letters()  # of one run several entities were poison, each found by a send of its own
    assert "the catalogue takes the others but not this one" in letter.reason or "takes others" in letter.reason
    assert len([part for part in letter.parts if "poison" in part]) > 1
    assert topic.catalog.search("rdbms_table", limit=10)


@pytest.mark.atlas
def test_an_atlas_without_the_endpoint_says_so(atlas: AtlasCatalog, atlas_url: str) -> None:
    catalog = MessagedAtlas(atlas_url)
    with pytest.raises(CatalogUnavailableError, match="notification/topic"):
        catalog.write([{"typeName": "hive_db", "guid": "-1", "attributes": {"qualifiedName": "never@p", "name": "n"}}])
    assert catalog.get("hive_db", "never@p") is None
    catalog.close()
