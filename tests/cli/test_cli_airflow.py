"""``mlgov`` where Airflow is involved: its connections, and its own command line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from airflow_provider_mlgov import _compat


def run(home: Path, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("AIRFLOW", "MLGOV", "OPENLINEAGE"))}
    database = f"sqlite:///{home}/airflow.db"
    settings = {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": database,
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
    }
    return subprocess.run(
        [sys.executable, "-m", *arguments], env=kept | settings | more, capture_output=True, text=True, timeout=120
    )


def test_a_connection_is_used(tmp_path: Path) -> None:
    connection = json.dumps({"conn_type": "atlas", "host": "http://127.0.0.1", "port": 1})
    result = run(
        tmp_path,
        "airflow_provider_mlgov",
        "catalog",
        "status",
        "--conn-id",
        "my_atlas",
        AIRFLOW_CONN_MY_ATLAS=connection,
    )
    assert result.returncode == 3
    assert "http://127.0.0.1:1 cannot be reached" in result.stderr
    assert result.stdout == ""


def test_a_connection_that_is_not_there(tmp_path: Path) -> None:
    result = run(tmp_path, "airflow_provider_mlgov", "catalog", "status", "--conn-id", "nothere")
    assert result.returncode == 2
    assert "'nothere' does not exist" in result.stderr
    assert result.stderr.splitlines()[-1].startswith("mlgov: ")  # without a database Airflow 2 logs that too


@pytest.mark.skipif(not _compat.is_airflow_3(), reason="providers add commands from Airflow 3 on")
def test_airflow_mlgov(tmp_path: Path) -> None:
    shown = run(tmp_path, "airflow", "mlgov", "types", "show", "mlgov_endpoint")
    assert shown.returncode == 0, shown.stderr
    assert "currentBuild" in shown.stdout
    usage = run(tmp_path, "airflow", "mlgov", "lineage")
    assert usage.returncode == 2
    assert "nothing says whose lineage" in usage.stderr
    assert "drain" in run(tmp_path, "airflow", "mlgov", "spool", "--help").stdout
