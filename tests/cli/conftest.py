"""A home of Airflow, and a catalogue in it."""

from __future__ import annotations

from pathlib import Path

import pytest

from airflow_provider_mlgov.catalog.embedded import EmbeddedCatalog
from airflow_provider_mlgov.catalog.types.apply import ensure_types
from lineage_world import World, shop_run


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path


@pytest.fixture
def catalog(home: Path) -> Path:
    """A catalogue with the run of a shop, where the defaults look for it."""
    path = home / "mlgov" / "catalog.db"
    path.parent.mkdir()
    embedded = EmbeddedCatalog(path)
    ensure_types(embedded)
    shop_run(World(embedded))
    embedded.close()
    return path
