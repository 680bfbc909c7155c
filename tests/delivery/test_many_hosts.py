"""Two hosts and one catalogue: workers of the second send through the receiver of the first, so that one writes at a time."""

from __future__ import annotations

import multiprocessing
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_mlgov.catalog.atlas import AtlasCatalog
from airflow_provider_mlgov.catalog.embedded import EmbeddedCatalog
from airflow_provider_mlgov.delivery.draining import Draining
from airflow_provider_mlgov.delivery.forward import Forwarder
from airflow_provider_mlgov.delivery.outbox import Outbox
from airflow_provider_mlgov.delivery.sender import Sender
from airflow_provider_mlgov.delivery.spool import Spool
from airflow_provider_mlgov.lineage import receiver
from airflow_provider_mlgov.lineage.tokens import Tokens
from airflow_provider_mlgov.translate.options import TranslateOptions
from delivery_events import dataset, task_event
from searching import names_of
from serving import served

OPTIONS = TranslateOptions(airflow_namespace="test")
PROCESSES = 8


class Hosts:
    """The first host has a receiver and sends; the second forwards."""

    def __init__(self, folder: Path, make_catalog: Callable[[], Any]) -> None:
        self.first, self.second = Spool(folder / "first"), Spool(folder / "second")
        self._make_catalog = make_catalog
        tokens = Tokens(folder / "tokens.json")
        self._token = tokens.add("worker", airflow=True, own_facets=True).token
        self.app = receiver.create_app(tokens, Outbox(self.first), lambda: None)
        self.url = ""

    def on_first(self) -> Draining:
        return Sender(self.first, self._make_catalog, OPTIONS)

    def on_second(self) -> Draining:
        return Forwarder(self.second, self.url, self._token)


@pytest.fixture
def hosts(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[tuple[Hosts, Any]]:
    if request.param == "atlas":
        catalog = request.getfixturevalue("atlas")
        url = request.getfixturevalue("atlas_url")
        made = Hosts(tmp_path, lambda: AtlasCatalog(url))
    else:
        catalog = EmbeddedCatalog(tmp_path / "catalog.db")
        made = Hosts(tmp_path, lambda: EmbeddedCatalog(tmp_path / "catalog.db"))
    with served(made.app) as made.url:
        yield made, catalog


def work(hosts: Hosts, number: int, name: str, names: int, barrier: Any) -> None:
    """A worker that runs tasks: each ends, reports, and sends. Every table is named by two workers, one of either host."""
    spool, draining = (hosts.first, hosts.on_first()) if number % 2 else (hosts.second, hosts.on_second())
    mine = number // 2
    barrier.wait(30)
    for index in range(mine, names, PROCESSES // 2):
        table = dataset(f"{name}.s.t{index}", f"postgres://{name}.test:5432")
        Outbox(spool).put(task_event("COMPLETE", task=f"t{number}_{index}", dag=name, outputs=[table]))
        draining.send(5)


@pytest.mark.parametrize("hosts", ["embedded", pytest.param("atlas", marks=pytest.mark.atlas)], indirect=True)
@pytest.mark.parametrize("names", [60, pytest.param(200, marks=pytest.mark.long)])
def test_no_name_is_made_twice(hosts: tuple[Hosts, Any], names: int) -> None:
    world, catalog = hosts
    name = f"d{uuid.uuid4().hex[:12]}"
    context = multiprocessing.get_context("fork")
    barrier = context.Barrier(PROCESSES)
    processes = [
        context.Process(target=work, args=(world, number, name, names, barrier)) for number in range(PROCESSES)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join(300)
        assert process.exitcode == 0
    # a slow machine may have spent a task's budget, after which the breaker makes the next wait
    assert world.on_second().send(60, despite_breaker=True).outcome in ("done", "nothing")
    assert world.on_first().send(300, despite_breaker=True).outcome in ("done", "nothing")
    assert not world.first.dead_letters()
    assert not world.second.dead_letters()

    for type_name, wanted in (("rdbms_table", names), ("mlgov_task_run", 2 * names), ("rdbms_instance", 1)):
        counted = names_of(catalog, type_name, name, wanted)
        assert (len(counted), set(counted.values())) == (wanted, {1})
