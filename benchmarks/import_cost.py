"""What importing the package and one operator costs on top of an imported Airflow. Goal: at most 20 ms.

Each row is the median of fresh Python processes.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile

from table import heading, table

PROCESSES = 9
GOAL = 20.0

AIRFLOW = """
import airflow
try:
    from airflow.sdk import BaseOperator
except ImportError:
    from airflow.models.baseoperator import BaseOperator
import airflow.plugins_manager
"""
STEPS = {
    "Airflow and its BaseOperator": AIRFLOW,
    "import airflow_provider_mlgov": "import airflow_provider_mlgov",
    "one operator (TrainModelOperator)": "from airflow_provider_mlgov.operators.train import TrainModelOperator",
}


def main() -> None:
    """Measure and print."""
    parts = [f"start = clock()\n{step}\ntimes.append(clock() - start)" for step in STEPS.values()]
    script = "\n".join(
        ["import json, time", "clock, times = time.perf_counter, []", *parts, "print(json.dumps(times))"]
    )
    runs = [measure(script) for _ in range(PROCESSES)]
    milliseconds = [statistics.median(column) * 1000 for column in zip(*runs, strict=True)]
    heading("Import cost, each step on top of the ones above it")
    rows: list[tuple[str, float, str]] = [(name, each, "") for name, each in zip(STEPS, milliseconds, strict=True)]
    ours = sum(milliseconds[1:])
    table(
        ("step", "ms", "goal"),
        [*rows, ("ours in all", ours, f"at most {GOAL:.0f}: {'met' if ours <= GOAL else 'MISSED'}")],
    )


def measure(script: str) -> list[float]:
    """Run the steps once in a fresh process."""
    with tempfile.TemporaryDirectory() as home:
        answer = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", script],
            capture_output=True, text=True, check=True, env={**os.environ, "AIRFLOW_HOME": home},
        )  # fmt: skip
    times: list[float] = json.loads(answer.stdout.splitlines()[-1])
    return times


if __name__ == "__main__":
    main()
