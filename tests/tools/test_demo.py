from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

import demo

TOOL = Path(demo.__file__)


def run(home: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(home), "MLGOV_DEMO_HOME": str(home), **variables}
    return subprocess.run(
        [sys.executable, str(TOOL), *arguments],
        capture_output=True,
        text=True,
        env=environment,
        check=False,
        timeout=120,
    )


def test_the_connection_of_an_atlas() -> None:
    assert json.loads(demo.connection("http://admin:p%40ss@atlas:21000")) == {
        "conn_type": "atlas",
        "host": "atlas",
        "port": 21000,
        "login": "admin",
        "password": "p@ss",
    }
    assert json.loads(demo.connection("https://atlas"))["host"] == "https://atlas"


@pytest.mark.parametrize("url", ["atlas:21000", "ftp://atlas", "http://"])
def test_what_is_no_atlas_is_refused_without_a_trace(tmp_path: Path, url: str) -> None:
    done = run(tmp_path, "run", MLGOV_DEMO_ATLAS=url)
    assert done.returncode == 1
    assert "wanted http://user:password@host:21000" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_users_own_airflow_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__CORE__EXECUTOR", "CeleryExecutor")
    found = demo.Demo(tmp_path).environment()
    assert "AIRFLOW__CORE__EXECUTOR" not in found
    assert found["AIRFLOW_HOME"] == str(tmp_path / "airflow")


def test_stopping_what_never_ran(tmp_path: Path) -> None:
    done = run(tmp_path, "stop")
    assert (done.returncode, done.stdout.strip()) == (0, "no scoring server was started here")


def test_tasks_are_shown_as_they_start(capsys: pytest.CaptureFixture[str]) -> None:
    seen: set[str] = set()
    for line in ("[DAG TEST] starting task_id=a map_index=-1", "x", "[DAG TEST] starting task_id=g.b map_index=2"):
        demo.show_progress(line, seen)
    demo.show_progress("[DAG TEST] starting task_id=a map_index=-1", seen)
    assert capsys.readouterr().out.split("\n") == ["  a", "  g.b[2]", "  a again", ""]
