"""``mlgov health``: by its exit code and its JSON."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from airflow_provider_mlgov.catalog.embedded import EmbeddedCatalog
from airflow_provider_mlgov.delivery.breaker import Breaker
from airflow_provider_mlgov.delivery.sender import Sender
from airflow_provider_mlgov.delivery.sinks.recording import RecordingSink
from airflow_provider_mlgov.delivery.spool import Spool
from airflow_provider_mlgov.errors import CatalogUnavailableError
from airflow_provider_mlgov.translate.options import TranslateOptions
from cli_runs import environment, mlgov
from delivery_events import task_event

OPTIONS = TranslateOptions(airflow_namespace="test")


def spool_of(home: Path) -> Spool:
    return Spool(home / "mlgov" / "spool")


def asked(home: Path, code: int, *arguments: str, **more: str) -> dict[str, Any]:
    result = mlgov(home, "health", "--format", "json", *arguments, **more)
    document: dict[str, Any] = json.loads(result.stdout)
    assert result.returncode == document["exitCode"] == code, result.stdout
    assert document["status"] == ("fine", "degraded", "unusable")[code]
    return document


def wrong(document: dict[str, Any]) -> dict[str, str]:
    return {check["name"]: check["text"] for check in document["checks"] if check["status"] != "fine"}


def test_a_new_host_is_fine(home: Path) -> None:
    document = asked(home, 0)
    assert document["spool"] == {"waiting": 0, "oldestSeconds": 0, "runsToClose": 0, "deadLetters": 0, "setAside": 0}
    assert document["breaker"] == {"open": False}
    assert document["lastResults"] == {}
    assert mlgov(home, "health").stdout == "fine\n"
    assert not (home / "mlgov").exists(), "it changes nothing"


def test_what_waits_is_fine_for_a_while(home: Path) -> None:
    path = spool_of(home).append(task_event("COMPLETE"))
    assert asked(home, 0)["spool"]["waiting"] == 1
    old = f"{time.time_ns() - 3600 * 10**9:020d}"
    path.rename(path.with_name(path.name.replace(path.name.partition("-")[0], old)))
    document = asked(home, 1)
    assert 3600 <= document["spool"]["oldestSeconds"] < 4000
    assert "1 events and 0 runs wait, the oldest for 60 min" in wrong(document)["waiting"]
    asked(home, 0, "--max-age", "7200")


def test_a_dead_letter_an_open_breaker_and_a_failed_send(home: Path) -> None:
    spool = spool_of(home)
    spool.append(task_event("COMPLETE"))
    failing = RecordingSink(failures=[CatalogUnavailableError("Atlas cannot be reached")])
    assert Sender(spool, lambda: failing, OPTIONS).send().outcome == "unavailable"
    spool.bury([task_event("COMPLETE")], "refused")
    document = asked(home, 1)
    assert set(wrong(document)) == {"dead letters", "breaker", "last send to the catalogue"}
    assert document["breaker"]["open"] is True
    assert "Atlas cannot be reached" in document["breaker"]["reason"]
    failed = document["lastResults"]["catalogue"]["failed"]
    assert (failed["outcome"], failed["reason"]) == ("unavailable", "Atlas cannot be reached")
    said = mlgov(home, "health")
    assert said.returncode == 1
    assert said.stdout.startswith("degraded: dead letters: 1 dead letters")
    sender = Sender(spool, lambda: EmbeddedCatalog(home / "catalog.db"), OPTIONS)
    assert sender.send(despite_breaker=True).outcome == "done"
    spool.drop([letter.name for letter in spool.dead_letters()])
    document = asked(home, 0)
    assert document["lastResults"]["catalogue"]["succeeded"]["events"] == 1
    assert document["lastResults"]["catalogue"]["failed"] == failed, "it is still told when it failed last"
    assert Breaker(spool.root / "breaker.json").opening() is None


def test_every_sink_counts(home: Path) -> None:
    sinks = {"AIRFLOW__MLGOV__SINKS": "none, file", "AIRFLOW__MLGOV__SINK_FILE": str(home / "out")}
    asked(home, 0, **sinks)
    spool = Spool(home / "mlgov" / "spool" / "sinks" / "file")
    spool.bury([task_event("COMPLETE")], "refused")
    Breaker(spool.root / "breaker.json").failed("no such device")
    document = asked(home, 1, **sinks)
    assert set(wrong(document)) == {"dead letters of file", "breaker of file"}
    assert "`mlgov spool list --dead --sink file`" in wrong(document)["dead letters of file"]
    assert document["spool"]["deadLetters"] == 0
    assert document["sinks"]["file"]["spool"]["deadLetters"] == 1
    told = mlgov(home, "doctor", "--no-airflow", **sinks).stdout
    assert "mlgov spool list --dead --sink file" in told
    assert "last send of file" in told
    dropped = mlgov(home, "spool", "drop", "--older-than", "0", "--yes", **sinks)
    assert dropped.stdout == "1 files deleted\n"
    assert not spool.dead_letters()


def test_a_wrong_option_is_unusable(home: Path) -> None:
    document = asked(home, 2, AIRFLOW__MLGOV__SEND_BUDGET="soon")
    assert "[mlgov] send_budget is 'soon'" in wrong(document)["configuration"]


def test_a_spool_that_cannot_be_written_is_unusable(home: Path) -> None:
    document = asked(home, 2, AIRFLOW__MLGOV__SPOOL_FOLDER="/proc/mlgov")
    assert "spool" in wrong(document)


def test_it_loads_neither_airflow_nor_a_client(home: Path) -> None:
    script = (
        "import sys; from airflow_provider_mlgov.cli.main import main; code = main(['health']);"
        "assert code == 0 and not {'airflow', 'requests', 'sqlite3'} & set(sys.modules), code"
    )
    subprocess.run([sys.executable, "-c", script], env=environment(home), check=True, timeout=60, capture_output=True)
