"""How many HTTP calls a DAG run costs Atlas, against the events that it sent. Goal: fewer calls than events.

Counted once the types exist. Needs a running Atlas: its address in MLGOV_TEST_ATLAS (such as http://localhost:21000),
login admin/admin.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import tempfile
import uuid
import warnings
from collections import Counter
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import airflow_here
from table import heading, table

TASKS = 10
RUNS = 3


def main() -> int:
    """Measure and print."""
    url = os.environ.get("MLGOV_TEST_ATLAS")
    if not url:
        print("http_calls: left out, MLGOV_TEST_ATLAS names no Atlas", file=sys.stderr)
        return 0
    logging.disable(logging.WARNING)
    warnings.simplefilter("ignore")
    calls: list[str] = []
    events: list[object] = []
    with tempfile.TemporaryDirectory() as folder:
        airflow_here.prepare(Path(folder) / "airflow", options(url, Path(folder)))
        count_calls(calls)
        count_events(events)
        dag = airflow_here.make_dag(f"http_calls_{uuid.uuid4().hex[:8]}", TASKS)
        rows = []
        for day in range(RUNS):
            calls.clear()
            events.clear()
            run = airflow_here.run(dag, day)
            assert str(run.state).rpartition(".")[2].lower() == "success", run.state
            name = "first run (makes the types)" if day == 0 else f"run {day + 1}"
            rows.append((name, len(events), len(calls), len(calls) / max(1, len(events)), waiting(Path(folder))))
            kinds = Counter(calls)
    heading(f"HTTP calls to Atlas for one DAG run of {TASKS} tasks, each sent when it ends")
    table(("", "events", "HTTP calls", "ratio", "still waiting"), rows)
    print("\nthe calls of the last run\n")
    table(("call", "times"), kinds.most_common())
    return 0


def options(url: str, folder: Path) -> dict[str, str]:
    """Give an Airflow that records in this Atlas."""
    parts = urlsplit(url)
    connection = {
        "conn_type": "atlas", "login": "admin", "password": "admin", "host": parts.hostname, "port": parts.port,
        "schema": parts.scheme,
    }  # fmt: skip
    return {
        "AIRFLOW_CONN_ATLAS_BENCHMARK": json.dumps(connection),
        "AIRFLOW__MLGOV__ENABLED": "True",
        "AIRFLOW__MLGOV__ATLAS_CONN_ID": "atlas_benchmark",
        "AIRFLOW__MLGOV__NAMESPACE": f"benchmark-{uuid.uuid4().hex[:8]}",
        "AIRFLOW__MLGOV__SPOOL_FOLDER": str(folder / "spool"),
        "AIRFLOW__OPENLINEAGE__DISABLED": "True",
    }


def waiting(folder: Path) -> int:
    """Count the events that the run left in the spool: the budget of its last task was over, or somebody else was sending."""
    from airflow_provider_mlgov.delivery.spool import Spool

    return Spool(folder / "spool").counts().waiting


def count_calls(into: list[str]) -> None:
    """Note every call that this process makes with requests."""
    import requests

    send = requests.Session.send

    def counted(self: requests.Session, request: requests.PreparedRequest, **arguments: Any) -> requests.Response:
        path = urlsplit(str(request.url)).path
        into.append(f"{request.method} {path}")
        return send(self, request, **arguments)

    requests.Session.send = counted  # type: ignore[method-assign]


def count_events(into: list[object]) -> None:
    """Note every event that goes into the spool."""
    from airflow_provider_mlgov.delivery.spool import Spool

    append = Spool.append

    def counted(self: Spool, event: Any, *arguments: Any, **named: Any) -> Any:
        into.append(event)
        return append(self, event, *arguments, **named)

    Spool.append = counted  # type: ignore[method-assign]


if __name__ == "__main__":
    sys.exit(main())
