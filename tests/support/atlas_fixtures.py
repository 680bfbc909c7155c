"""The real Atlas of the tests, as a pytest plugin: one server for the whole run, all workers included.

``MLGOV_TEST_ATLAS=http://admin:admin@localhost:21000`` names a running one to use instead (tests make names of their own). Where a
``MLGOV_TEST_ATLAS_KAFKA=localhost:21027`` names its Kafka; without it the tests that need that are skipped, too. Where a
server cannot be had (no Maven, no network) the tests that need it are skipped, and the summary says so in red.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from filelock import FileLock

import atlas_server
from airflow_provider_mlgov.catalog.atlas import AtlasCatalog
from airflow_provider_mlgov.catalog.types.apply import ensure_types

NOT_TESTED = "no real Atlas"

_started: list[atlas_server.AtlasServer] = []  # kept, or Python would complain about a forgotten child


def _common_folder(config: pytest.Config) -> Path:
    """A folder that all workers of this run share, and no other run."""
    base: Path = config._tmp_path_factory.getbasetemp()  # type: ignore[attr-defined]
    return base.parent if hasattr(config, "workerinput") else base


@pytest.fixture(scope="session")
def atlas_url(request: pytest.FixtureRequest) -> str:
    """Where the real Atlas is, with the admin's login."""
    given = os.environ.get("MLGOV_TEST_ATLAS")
    if given:
        return given
    folder = _common_folder(request.config)
    note = folder / "atlas.json"
    with FileLock(folder / "atlas.lock"):
        if not note.exists():
            try:
                server = atlas_server.start(folder / "atlas")
            except atlas_server.MissingError as error:
                pytest.skip(f"{NOT_TESTED}: {error}")
            _started.append(server)
            kafka = f"localhost:{server.kafka}"
            note.write_text(json.dumps({"url": server.url, "kafka": kafka, "process": server.process.pid}))
        return str(json.loads(note.read_text())["url"])


@pytest.fixture(scope="session")
def atlas_kafka(request: pytest.FixtureRequest, atlas_url: str) -> str:
    """The broker that the real Atlas reads from."""
    if os.environ.get("MLGOV_TEST_ATLAS"):
        given = os.environ.get("MLGOV_TEST_ATLAS_KAFKA")
        return given or pytest.skip(f"{NOT_TESTED} with a known broker: MLGOV_TEST_ATLAS_KAFKA does not name one")
    return str(json.loads((_common_folder(request.config) / "atlas.json").read_text())["kafka"])


@pytest.fixture(scope="session")
def atlas(atlas_url: str) -> Iterator[AtlasCatalog]:
    """The real Atlas, with our types."""
    catalog = AtlasCatalog(atlas_url)
    ensure_types(catalog)
    yield catalog
    catalog.close()


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Stop the server when all workers are done."""
    if hasattr(session.config, "workerinput") or not hasattr(session.config, "_tmp_path_factory"):
        return
    note = _common_folder(session.config) / "atlas.json"
    if note.exists():
        process = int(json.loads(note.read_text())["process"])
        for server in _started:
            server.stop()
        if not _started:  # a worker's child, not ours
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGTERM)
        note.unlink()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say loudly if the real Atlas was left out."""
    reasons = {
        report.longrepr[2]
        for report in terminalreporter.stats.get("skipped", ())
        if isinstance(report.longrepr, tuple) and NOT_TESTED in report.longrepr[2]
    }
    for reason in sorted(reasons):
        terminalreporter.write_line(f"WARNING: the tests on a real Atlas did not run. {reason}", red=True, bold=True)
