"""Real producers send to a real receiver: a local Spark, a Flink and a dbt on DuckDB, as `tests/translate/events` records them."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from airflow_provider_mlgov.catalog.embedded import EmbeddedCatalog
from cli_runs import mlgov
from lineage_world import AIR
from receiving import receiving

EVENTS = Path(__file__).parents[1] / "translate" / "events"


def produced(script: str, home: Path) -> EmbeddedCatalog:
    """What the catalogue has after the producer of ``script`` sent its events."""
    with receiving(home) as receiver:
        command = [sys.executable, EVENTS / script, home / "unused", "--url", receiver.url, "--token", receiver.token]
        result = subprocess.run(command, capture_output=True, text=True, timeout=900)
        assert result.returncode == 0, result.stdout + result.stderr
    assert "Traceback" not in (home / "receiver.log").read_text()
    drained = mlgov(home, "spool", "drain")
    assert drained.returncode == 0, drained.stderr
    assert mlgov(home, "spool", "list", "--dead").stdout == ""
    return EmbeddedCatalog(home / "mlgov" / "catalog.db")


@pytest.mark.long
@pytest.mark.skipif(not (shutil.which("mvn") and shutil.which("java")), reason="needs a JDK and Maven")
def test_spark(tmp_path: Path) -> None:
    catalog = produced("record_spark.py", tmp_path)
    try:
        found = {header["attributes"]["qualifiedName"] for header in catalog.search("fs_path", limit=500)}
        totals = next(name for name in found if name.endswith(f"/warehouse/city_totals@{AIR}"))
        lineage = catalog.lineage("fs_path", totals, direction="INPUT", depth=1)
        sources = {item["attributes"]["qualifiedName"].rpartition("/")[2] for item in lineage["guidEntityMap"].values()}
        assert {f"orders@{AIR}", f"people@{AIR}"} <= sources
        assert not [name for name in found if name.endswith(f"/warehouse/people@{AIR}")], "it was dropped"
        assert not [name for name in found if "broken" in name], "its write failed"
        columns = catalog.search("mlgov_column_lineage", {"masking": True}, limit=100)
        assert [header["attributes"]["name"] for header in columns] == ["who"]
    finally:
        catalog.close()


@pytest.mark.long
@pytest.mark.skipif(
    not all(shutil.which(name) for name in ("mvn", "javac", "pg_config")), reason="needs a JDK, Maven and PostgreSQL"
)
def test_flink(tmp_path: Path) -> None:
    catalog = produced("record_flink.py", tmp_path)
    try:
        runs = catalog.search("mlgov_job_run", attributes=("state",), limit=100)
        states = [header["attributes"].get("state") for header in runs]
        assert {state: states.count(state) for state in set(states)} == {
            "success": 13,
            "failed": 2,
            "aborted": 1,
            None: 2,
        }
        lineage = catalog.lineage("kafka_topic", "io.merged@primary", direction="INPUT", depth=0)
        assert {item["attributes"]["qualifiedName"] for item in lineage["guidEntityMap"].values()} >= {
            f"io.{topic}@primary" for topic in ("clicks", "copies")
        }
        tables = {header["attributes"]["qualifiedName"] for header in catalog.search("rdbms_table", limit=100)}
        assert {name.rpartition("/")[2] for name in tables} == {
            f"shop.public.{name}@primary" for name in ("orders", "copies")
        }
    finally:
        catalog.close()


@pytest.mark.long
def test_dbt(tmp_path: Path) -> None:
    catalog = produced("record_dbt.py", tmp_path)
    try:
        table = f"duckdb://shop.duckdb/shop.main.big@{AIR}"
        lineage = catalog.lineage("rdbms_table", table, direction="INPUT", depth=0)
        assert {item["attributes"]["qualifiedName"] for item in lineage["guidEntityMap"].values()} >= {
            f"duckdb://shop.duckdb/shop.main.orders@{AIR}",
            f"duckdb://shop.duckdb/shop.main.totals@{AIR}",
        }
        (quality,) = catalog.search("mlgov_quality_result", {"failed": 1}, attributes=("passed",), limit=10)
        assert quality["attributes"]["passed"] == 2
    finally:
        catalog.close()
