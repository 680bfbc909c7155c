"""Several sinks: what commands and the doctor say of each."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from airflow_provider_mlgov.delivery.outbox import Outbox
from airflow_provider_mlgov.delivery.spool import Spool
from cli_runs import mlgov
from delivery_events import task_event

SINKS = {"AIRFLOW__MLGOV__SINKS": "catalog, file", "AIRFLOW__MLGOV__NAMESPACE": "test"}


@pytest.fixture
def spools(home: Path) -> tuple[Spool, Spool]:
    first = Spool(home / "mlgov" / "spool")
    return first, Spool(first.root / "sinks" / "file")


@pytest.fixture
def waiting(spools: tuple[Spool, Spool]) -> tuple[Spool, Spool]:
    first, second = spools
    Outbox(first, also=[second]).put(task_event("COMPLETE", task="load"))
    return spools


def test_each_sink_is_counted_and_drained(home: Path, waiting: tuple[Spool, Spool]) -> None:
    shown = mlgov(home, "spool", "status", **SINKS).stdout
    assert shown.count("waiting       1,") == 2
    assert "sink          catalog\n" in shown
    assert "\nsink          file\n" in shown
    assert "COMPLETE shop.load" in mlgov(home, "spool", "list", "--sink", "file", **SINKS).stdout
    one = mlgov(home, "spool", "drain", "--sink", "file", **SINKS)
    assert one.returncode == 0, one.stderr
    assert [spool.counts().waiting for spool in waiting] == [1, 0]
    lines = [json.loads(line) for line in (home / "mlgov" / "entities.ndjson").read_text().splitlines()]
    assert "mlgov_task_run" in {line["typeName"] for line in lines}
    rest = mlgov(home, "spool", "drain", **SINKS)
    assert rest.returncode == 0, rest.stderr
    assert [spool.counts().waiting for spool in waiting] == [0, 0]
    assert (home / "mlgov" / "catalog.db").exists()


def test_one_that_is_down_is_named_and_the_other_is_sent(home: Path, waiting: tuple[Spool, Spool]) -> None:
    (home / "mlgov" / "entities.ndjson").mkdir(parents=True)  # nobody can write there
    result = mlgov(home, "spool", "drain", **SINKS)
    assert result.returncode == 3
    assert "file: cannot append to" in result.stderr
    assert [spool.counts().waiting for spool in waiting] == [0, 1]
    doctor = mlgov(home, "doctor", **SINKS).stdout
    assert "breaker of file" in doctor
    assert "spool of catalog" in doctor


def test_what_waits_for_a_sink_that_is_no_more_is_said(home: Path, waiting: tuple[Spool, Spool]) -> None:
    only = {**SINKS, "AIRFLOW__MLGOV__SINKS": "catalog"}
    assert "1 events wait for it, and it is no more in [mlgov] sinks" in mlgov(home, "doctor", **only).stdout
    listed = mlgov(home, "spool", "list", "--sink", "file", **only)
    assert "COMPLETE shop.load" in listed.stdout
    refused = mlgov(home, "spool", "drain", "--sink", "file", **only)
    assert refused.returncode == 2
    assert "no more in [mlgov] sinks" in refused.stderr
    (name,) = (path.name for path in waiting[1].waiting())
    assert mlgov(home, "spool", "drop", "--sink", "file", name, "--yes", **only).returncode == 0
    assert [spool.counts().waiting for spool in waiting] == [1, 0]


@pytest.mark.usefixtures("waiting")
def test_a_sink_that_nobody_knows(home: Path) -> None:
    result = mlgov(home, "spool", "list", "--sink", "fil", **SINKS)
    assert result.returncode == 2
    assert "wanted one of catalog, file" in result.stderr
    wrong = mlgov(home, "spool", "drain", **{**SINKS, "AIRFLOW__MLGOV__SINKS": "catalog, kafka"})
    assert wrong.returncode == 2
    assert "makes duplicates" in wrong.stderr
