"""Runs ``mlgov`` in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from lineage_world import AIR

Result = subprocess.CompletedProcess[str]
RUN = ("lineage", "--dag-id", "shop", "--run-id", "manual__1")


def environment(home: Path, **more: str) -> dict[str, str]:
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("AIRFLOW", "MLGOV", "OPENLINEAGE"))}
    return kept | {"AIRFLOW_HOME": str(home), "AIRFLOW__MLGOV__NAMESPACE": AIR} | more


def mlgov(home: Path, *arguments: str, **more: str) -> Result:
    return subprocess.run(
        [sys.executable, "-m", "airflow_provider_mlgov", *arguments],
        env=environment(home, **more),
        capture_output=True,
        text=True,
        timeout=120,
    )


def one_line(result: Result) -> str:
    """The error: one line on stderr, and nothing on stdout."""
    assert result.stdout == ""
    (line,) = result.stderr.splitlines()
    assert line.startswith("mlgov: ")
    return line
