"""``mlgov translate``: events in, one a line, and what they become out."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from cli_runs import environment, mlgov, one_line
from lineage_world import AIR

EVENTS = Path(__file__).parents[1] / "translate" / "events" / "airflow-3.3.ndjson"


def documents(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def test_recorded_events(home: Path) -> None:
    result = mlgov(home, "translate", str(EVENTS))
    assert result.returncode == 0, result.stderr
    told = documents(result.stdout)
    assert len(told) == len(EVENTS.read_text(encoding="utf-8").splitlines())
    for document in told:
        assert set(document) == {"entities", "relationships", "warnings"}
        names = {(entity["typeName"], entity["attributes"]["qualifiedName"]) for entity in document["entities"]}
        for relationship in document["relationships"]:
            for end in (relationship["end1"], relationship["end2"]):
                assert (end["typeName"], end["qualifiedName"]) in names
    processes = [entity for document in told for entity in document["entities"] if "_process" in entity["typeName"]]
    assert processes
    assert all(entity["attributes"]["qualifiedName"].endswith(f"@{AIR}") for entity in processes)


def test_what_is_no_event(home: Path) -> None:
    event = EVENTS.read_text(encoding="utf-8").splitlines()[0]
    lines = ["{", "", "[]", '{"eventTime": 5}', "[" * 100_000, event]
    result = subprocess.run(
        [sys.executable, "-m", "airflow_provider_mlgov", "translate"],
        input="\n".join(lines),
        env=environment(home),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert result.returncode == 1
    assert result.stderr == ""
    told = documents(result.stdout)
    assert [document.get("line") for document in told] == [1, 3, 4, 5, None]
    assert all("wanted" in document["error"] for document in told[:4])
    assert told[4]["entities"]


@pytest.mark.parametrize("name", ["nowhere.ndjson", os.curdir])
def test_a_file_that_cannot_be_read(home: Path, name: str) -> None:
    result = mlgov(home, "translate", name)
    assert result.returncode == 2
    assert "cannot be read" in one_line(result)


def test_secrets_are_hidden(home: Path) -> None:
    event = json.loads(EVENTS.read_text(encoding="utf-8").splitlines()[0])
    event["inputs"] = [{"namespace": "postgres://user:canary-1@db:5432", "name": "shop.public.a"}]
    path = home / "events.ndjson"
    path.write_text(json.dumps(event), encoding="utf-8")
    assert "canary-1" not in mlgov(home, "translate", str(path)).stdout


def test_what_is_cut_for_its_size_is_said(home: Path, tmp_path: Path) -> None:
    source = {"namespace": "postgres://db:5432", "name": f"a.b.{'x' * 6_000}", "field": "c"}
    fields = {f"c{number}": {"inputFields": [source]} for number in range(3_000)}
    output = {"namespace": "postgres://db:5432", "name": "a.b.c", "facets": {"columnLineage": {"fields": fields}}}
    event = {
        "eventTime": "2026-01-31T12:00:00Z",
        "eventType": "COMPLETE",
        "run": {"runId": "01a215b4-872a-7e2b-85eb-e54578f5e016"},
        "job": {"namespace": "jobs", "name": "load"},
        "outputs": [output],
    }
    path = tmp_path / "large.ndjson"
    path.write_text(json.dumps(event))
    [document] = documents(mlgov(home, "translate", str(path)).stdout)
    assert any("columnLineage" in warning and "too large" in warning for warning in document["warnings"])
