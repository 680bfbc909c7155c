"""Two versions of the package on one catalogue: the later one knows more optional attributes."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_mlgov.catalog.catalog import Catalog
from airflow_provider_mlgov.catalog.types import definitions
from airflow_provider_mlgov.catalog.types.apply import apply, plan
from airflow_provider_mlgov.delivery import runs
from airflow_provider_mlgov.delivery.sender import Sender
from airflow_provider_mlgov.delivery.spool import Spool
from airflow_provider_mlgov.translate.options import TranslateOptions
from delivery_events import dataset, task_event
from shop import _Kept

LATER = "mlgovTestOfALaterVersion"


class Versions:
    """This version, and a later one that has one more attribute of task runs and datasets."""

    def __init__(self, catalog: Catalog, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.catalog = catalog
        self.spool = Spool(folder / "spool")
        self.at = f"v{uuid.uuid4().hex[:10]}"
        self._monkeypatch = monkeypatch

    def send(self, *events: dict[str, Any], later: bool, apply_types: bool = True) -> str:
        for event in events:
            self.spool.append(event)
        options = TranslateOptions(airflow_namespace=self.at, catalog_namespace=self.at)
        with self._monkeypatch.context() as patch:
            if later:
                become_later(patch)
            definitions.our_types_digest.cache_clear()
            sender = Sender(self.spool, lambda: _Kept(self.catalog), options, apply_types=apply_types)
            report = sender.send(despite_breaker=True)
        definitions.our_types_digest.cache_clear()
        assert not self.spool.dead_letters()
        return f"{report.outcome} {report.reason or ''}".strip()

    def attributes(self, type_name: str, name: str) -> dict[str, Any]:
        entity = self.catalog.get(type_name, name)
        assert entity is not None
        found: dict[str, Any] = entity["attributes"]
        return found

    def event(self, kind: str, **more: Any) -> dict[str, Any]:
        return task_event(kind, namespace=self.at, **more)


def become_later(patch: pytest.MonkeyPatch) -> None:
    text: Callable[[str], str] = definitions._text
    translate = runs.translate

    def later_text(name: str) -> str:
        document = json.loads(text(name))
        for each in document["entityDefs"]:
            if each["name"] in ("mlgov_task_run", "mlgov_dataset"):
                each["attributeDefs"].append({"name": LATER, "typeName": "string"})
        return json.dumps(document)

    def later_translate(*arguments: Any) -> Any:
        translation = translate(*arguments)
        entities = tuple(
            replace(entity, attributes={**entity.attributes, LATER: "told"})
            if entity.type_name in ("mlgov_task_run", "mlgov_dataset")
            else entity
            for entity in translation.entities
        )
        return replace(translation, entities=entities)

    patch.setattr(definitions, "_text", later_text)
    patch.setattr(runs, "translate", later_translate)


@pytest.fixture
def versions(catalog: Catalog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Versions:
    return Versions(catalog, tmp_path, monkeypatch)


def test_both_write_to_one_spool_and_catalogue_by_turns(versions: Versions) -> None:
    run = f"dags/shop/runs/r1/tasks/load/-1/1@{versions.at}"
    table = dataset("events/a", "acme://x")
    name = f"acme:%2F%2Fx/events%2Fa@{versions.at}"
    assert versions.send(versions.event("START"), later=False) == "done"
    assert versions.send(versions.event("COMPLETE", seconds=5, outputs=(table,)), later=True) == "done"
    state = versions.attributes("mlgov_task_run", run)
    assert (state[LATER], state["state"]) == ("told", "success")
    assert versions.attributes("mlgov_dataset", name)[LATER] == "told"
    for number in range(2, 4):
        events = [
            versions.event("START", run=f"r{number}", inputs=(table,)),
            versions.event("COMPLETE", run=f"r{number}", seconds=number, inputs=(table,), outputs=(table,)),
            versions.event("COMPLETE", seconds=6, outputs=(table,)),
        ]
        assert versions.send(*events, later=False) == "done"
        assert versions.attributes("mlgov_task_run", run)[LATER] == "told", "the earlier version does not know it"
        assert versions.attributes("mlgov_dataset", name)[LATER] == "told"
        assert versions.send(versions.event("COMPLETE", run=f"l{number}", outputs=(table,)), later=True) == "done"
    of_earlier = versions.attributes("mlgov_task_run", f"dags/shop/runs/r3/tasks/load/-1/1@{versions.at}")
    assert of_earlier["state"] == "success"
    assert not of_earlier[LATER]


def test_an_earlier_version_takes_the_types_of_a_later_one_as_they_are(
    catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        become_later(patch)
        apply(catalog)
        assert plan(catalog).is_empty
    todo = plan(catalog)
    assert todo.is_empty
    assert LATER in todo.beyond["mlgov_task_run"]
    apply(catalog)
    definition = catalog.type_definition("mlgov_task_run")
    assert definition is not None
    assert LATER in {each["name"] for each in definition["attributeDefs"]}


def test_a_later_version_waits_for_its_types_where_it_may_not_make_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With [mlgov] types_apply = manual: events wait, the reason names what lacks, and the upgrade command mends it."""
    from airflow_provider_mlgov.catalog.embedded import EmbeddedCatalog

    catalog = EmbeddedCatalog(tmp_path / "catalog.db")
    apply(catalog)
    versions = Versions(catalog, tmp_path, monkeypatch)
    said = versions.send(versions.event("COMPLETE"), later=True, apply_types=False)
    assert said.startswith("unavailable")
    assert "run 'mlgov types apply' (mlgov_task_run" in said
    assert versions.spool.counts().waiting == 1
    with monkeypatch.context() as patch:
        become_later(patch)
        assert plan(catalog).incomplete == {"mlgov_task_run": (LATER,), "mlgov_dataset": (LATER,)}
        apply(catalog)
    assert versions.send(later=True, apply_types=False) == "done"
    catalog.close()
