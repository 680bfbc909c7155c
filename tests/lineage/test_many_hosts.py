"""Executors of many hosts: it is said where every host would write by itself, and only there."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_mlgov.delivery.draining import SendReport
from airflow_provider_mlgov.lineage import many_hosts
from airflow_provider_mlgov.lineage.many_hosts import complain_of_left, complain_once, complaint, executors_elsewhere
from airflow_provider_mlgov.lineage.tokens import FILE, Tokens
from airflow_provider_mlgov.settings import Settings


def reading(executor: str | None) -> Any:
    return lambda section, name: executor if (section, name) == ("core", "executor") else None


@pytest.mark.parametrize(
    ("executor", "elsewhere"),
    [
        (None, []),
        ("LocalExecutor", []),
        ("SequentialExecutor", []),
        ("CeleryExecutor", ["CeleryExecutor"]),
        ("LocalExecutor,KubernetesExecutor", ["KubernetesExecutor"]),
        ("LocalExecutor;team_a=CeleryExecutor", ["CeleryExecutor"]),
        ("CeleryKubernetesExecutor", ["CeleryKubernetesExecutor"]),
        ("airflow.providers.amazon.aws.executors.ecs.ecs_executor.AwsEcsExecutor", ["AwsEcsExecutor"]),
        ("airflow.executors.local_executor.LocalExecutor", []),
    ],
)
def test_executors(executor: str | None, elsewhere: list[str]) -> None:
    assert executors_elsewhere(reading(executor)) == elsewhere


def test_it_is_said_only_where_this_host_writes_by_itself(tmp_path: Path) -> None:
    read = reading("CeleryExecutor")
    alone = Settings(spool_folder=tmp_path, atlas_conn_id="atlas")
    assert "make duplicates" in complaint(alone, read)
    assert "embedded catalogue of its own" in complaint(replace(alone, atlas_conn_id=""), read)
    assert complaint(alone, reading("LocalExecutor")) == ""
    for settings in (
        replace(alone, forward_conn_id="receiver"),
        replace(alone, handover_path="/shared"),
        replace(alone, collect_path="/shared"),
        replace(alone, spool_shared=True),
    ):
        assert complaint(settings, read) == ""
    Tokens(tmp_path / FILE).prepare()
    assert complaint(alone, read) == ""


def test_it_is_said_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    monkeypatch.setattr(many_hosts.log, "error", lambda text, *more: said.append(text % more))
    monkeypatch.setattr(many_hosts, "_said", set())
    monkeypatch.setenv("AIRFLOW__CORE__EXECUTOR", "CeleryExecutor")
    for _ in range(3):
        complain_once(Settings(spool_folder=tmp_path, atlas_conn_id="atlas"))
    (line,) = said
    assert "CeleryExecutor runs tasks on other hosts" in line


def test_what_a_host_that_may_end_left_behind_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    forwarding = Settings(spool_folder=tmp_path, forward_conn_id="receiver")
    for settings, report in (
        (Settings(spool_folder=tmp_path), SendReport("unavailable")),
        (forwarding, SendReport("done")),
        (forwarding, SendReport("locked")),
    ):
        complain_of_left(settings, report)
    assert not caplog.records
    complain_of_left(forwarding, SendReport("unavailable", reason="the receiver is away"))
    complain_of_left(forwarding, None)
    assert "(the receiver is away)" in caplog.messages[0]
    assert "(sending took too long)" in caplog.messages[1]
