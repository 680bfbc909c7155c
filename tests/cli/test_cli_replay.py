"""``mlgov replay``: files of events into the catalogue."""

from __future__ import annotations

import json
from pathlib import Path

from airflow_provider_mlgov.catalog.embedded import EmbeddedCatalog
from cli_runs import mlgov, one_line

EVENTS = Path(__file__).parents[1] / "translate" / "events" / "airflow-3.3.ndjson"


def spark_event(number: int) -> str:
    return json.dumps(
        {
            "eventType": "COMPLETE",
            "eventTime": f"2026-11-23T10:00:00.{number:06}Z",
            "run": {"runId": f"0194b2f0-0000-7000-8000-{number:012}"},
            "job": {"namespace": "spark", "name": "app"},
            "inputs": [{"namespace": "hive://m:9083", "name": "shop.orders"}],
            "outputs": [{"namespace": "s3://bucket", "name": f"out/{number % 3}"}],
        }
    )


def entities(home: Path, type_name: str) -> list[str]:
    catalog = EmbeddedCatalog(home / "mlgov" / "catalog.db")
    try:
        return sorted(header["attributes"]["qualifiedName"] for header in catalog.search(type_name, {}, limit=5000))
    finally:
        catalog.close()


def test_recorded_events(home: Path) -> None:
    result = mlgov(home, "replay", str(EVENTS))
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith(f"replayed {len(EVENTS.read_text(encoding='utf-8').splitlines())} events as ")
    first = entities(home, "mlgov_task_run")
    assert first
    assert mlgov(home, "replay", str(EVENTS)).returncode == 0
    assert entities(home, "mlgov_task_run") == first


def test_what_was_stopped_goes_on(home: Path) -> None:
    """The catalogue goes away after the first portion: what was sent is not sent again."""
    path = home / "events.ndjson"
    path.write_text("\n".join(spark_event(number) for number in range(700)) + "\nno event\n", encoding="utf-8")
    away = mlgov(home, "replay", str(path), "--catalog", "http://127.0.0.1:1", AIRFLOW__MLGOV__ATLAS_CONN_ID="")
    assert away.returncode == 3
    assert "cannot be reached" in one_line(away)
    notes = home / "mlgov" / "spool" / "replay"
    assert not notes.exists()
    whole = mlgov(home, "replay", str(path))
    assert whole.returncode == 1
    assert whole.stdout.startswith("replayed 700 events as ")
    assert "byte " in whole.stderr
    assert "1 lines were no events" in whole.stderr
    assert len(entities(home, "mlgov_job_run")) == 700
    assert len(entities(home, "mlgov_job_process")) == 3
    assert list(notes.iterdir()) == []


def test_it_goes_on_from_its_note(home: Path) -> None:
    path = home / "events.ndjson"
    lines = [spark_event(number) + "\n" for number in range(20)]
    path.write_text("".join(lines), encoding="utf-8")
    from airflow_provider_mlgov.cli.replay import _File

    _File.open(path, home / "mlgov" / "spool" / "replay").reached(sum(len(line) for line in lines[:15]))
    result = mlgov(home, "replay", str(path))
    assert "goes on where it was stopped" in result.stderr
    assert result.stdout.startswith("replayed 5 events as ")
    path.write_text("".join(reversed(lines)), encoding="utf-8")
    assert mlgov(home, "replay", str(path)).stdout.startswith("replayed 20 events as ")


def test_wrong_usage(home: Path) -> None:
    assert mlgov(home, "replay").returncode == 2
    assert mlgov(home, "replay", "x", "--rate", "0").returncode == 2
    missing = mlgov(home, "replay", "nowhere.ndjson")
    assert missing.returncode == 2
    assert "nowhere.ndjson cannot be read" in one_line(missing)


def test_what_is_left_out_is_said(home: Path) -> None:
    path = home / "events.ndjson"
    event = json.loads(spark_event(1)) | {"outputs": [{"namespace": "file", "name": ""}]}
    path.write_text(json.dumps(event) + "\n", encoding="utf-8")
    result = mlgov(home, "replay", str(path))
    assert result.returncode == 0
    assert "warning: a dataset among the outputs is left out: name of a dataset is ''" in result.stderr
