"""Importing the package, and one operator on top of Airflow, costs next to nothing: it loads Python files, no more.

How long it takes is measured by `benchmarks/import_cost.py`; a test has no business with a clock.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from typing import Any

import pytest

HEAVY = frozenset(
    (
        "grpc",
        "numpy",
        "openlineage",
        "pandas",
        "pyapacheatlas",
        "requests",
        "rich",
        "sklearn",
        "sqlalchemy",
        "sqlite3",
        "starlette",
        "uvicorn",
    )
)
"""Top-level packages that must be imported where they are used, inside functions."""

WATCH = """
import json, os, sys
{before}
touched, loaded = [], set(sys.modules)
WATCHED = (
    "open", "os.listdir", "os.mkdir", "os.remove", "os.rename", "os.system", "sqlite3.connect", "subprocess.Popen",
)
def watch(event, arguments):
    if event.startswith(("socket.", "urllib.")):
        touched.append([event, repr(arguments)])
    elif event in WATCHED:
        target = os.fspath(arguments[0]) if arguments and isinstance(arguments[0], (str, bytes, os.PathLike)) else ""
        if isinstance(target, bytes):
            target = target.decode()
        a_module = target.endswith((".py", ".pyc", ".so")) or ".pyc." in target
        on_the_path = event == "os.listdir" and any(target.startswith(entry) for entry in sys.path if entry)
        if not a_module and not on_the_path:
            touched.append([event, target])
sys.addaudithook(watch)
{imports}
new = set(sys.modules) - loaded
json.dump({{"touched": touched, "new": sorted(new)}}, sys.stdout)
"""


def observe(imports: str, before: str = "") -> dict[str, Any]:
    """Run imports in a fresh Python; tell what they touched and which modules they loaded."""
    script = WATCH.format(before=before, imports=imports)
    with tempfile.TemporaryDirectory() as home:
        answer = subprocess.run(
            [sys.executable, "-B", "-c", script],
            capture_output=True, text=True, check=False, env={**os.environ, "AIRFLOW_HOME": home},
        )  # fmt: skip
    assert answer.returncode == 0, answer.stderr
    seen: dict[str, Any] = json.loads(answer.stdout.splitlines()[-1])
    return seen


def test_the_package_alone_loads_nothing_of_its_own_and_nothing_foreign() -> None:
    seen = observe("import airflow_provider_mlgov")
    assert seen["touched"] == []
    assert [name for name in seen["new"] if name != "__future__"] == ["airflow_provider_mlgov"]


@pytest.mark.dag_run
def test_an_operator_on_top_of_airflow_touches_nothing_and_loads_nothing_heavy() -> None:
    pytest.importorskip("airflow")
    seen = observe(
        "import airflow_provider_mlgov\nfrom airflow_provider_mlgov.operators.train import TrainModelOperator",
        before="from airflow_provider_mlgov._compat import BaseOperator\nfor name in [m for m in sys.modules if"
        " m.startswith('airflow_provider_mlgov')]: del sys.modules[name]",
    )
    assert seen["touched"] == []
    assert any(name.startswith("airflow_provider_mlgov.operators") for name in seen["new"])
    assert not {name.split(".")[0] for name in seen["new"]} & HEAVY


def test_the_watch_sees_a_file_a_socket_and_a_heavy_module() -> None:
    seen = observe(
        "import socket, tempfile, requests\ntempfile.TemporaryFile().close()\n"
        "s = socket.socket(); s.settimeout(1); s.connect_ex(('127.0.0.1', 9)); s.close()"
    )
    events = {event for event, _ in seen["touched"]}
    assert {"open", "socket.connect"} <= events
    assert "requests" in seen["new"]
