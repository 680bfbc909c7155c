"""An Atlas that misbehaves, and what a catalogue holds that was never troubled."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_mlgov.catalog.embedded import EmbeddedCatalog
from failing_catalogs import Faulty
from hostile_atlas import HostileAtlas
from hostile_hosts import EVENTS, whole
from odd_receivers import Answer, serve


@pytest.fixture
def atlas_at(tmp_path: Path) -> Iterator[Callable[..., HostileAtlas]]:
    made: list[HostileAtlas] = []

    def start(**options: Any) -> HostileAtlas:
        made.append(HostileAtlas(tmp_path / "catalog.db", **options))
        return made[-1]

    yield start
    for each in made:
        each.close()


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("undisturbed")
    return whole(folder, EVENTS)


@pytest.fixture
def answering() -> Iterator[Callable[[Answer], str]]:
    """Starts receivers that answer as a test wants."""
    servers: list[ThreadingHTTPServer] = []

    def start(answer: Answer) -> str:
        servers.append(serve(answer))
        return f"http://127.0.0.1:{servers[-1].server_address[1]}"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture
def catalog(tmp_path: Path) -> Any:
    embedded = EmbeddedCatalog(tmp_path / "catalog.db")
    yield Faulty(embedded)
    embedded.close()
