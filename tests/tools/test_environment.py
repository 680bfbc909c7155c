"""The tool that makes the virtual environments: what it does where something is missing."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

import environment


@pytest.fixture
def no_python(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment, "version", lambda _: None)
    monkeypatch.setattr(environment, "find_uv", lambda _: None)


@pytest.mark.usefixtures("no_python")
def test_no_suitable_python_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(environment.SetupError, match=r"airflow-2\.11 needs Python 3\.10 to 3\.12.*make PYTHON="):
        environment.provide("airflow-2.11", tmp_path, optional=False)


@pytest.mark.usefixtures("no_python")
def test_what_is_optional_is_left_out_loudly(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    environment.provide("airflow-2.11", tmp_path, optional=True)
    assert "*** SKIPPED: airflow-2.11 needs Python 3.10 to 3.12" in capsys.readouterr().out


def test_a_shim_that_does_not_run_is_no_python(tmp_path: Path) -> None:
    shim = tmp_path / "python3.12"
    shim.write_text("#!/bin/sh\necho 'command not found' >&2; exit 127\n")
    shim.chmod(0o755)
    assert environment.version(str(shim)) is None
    assert environment.version(str(tmp_path / "absent")) is None
    assert environment.version(sys.executable) == sys.version_info[:2]


def test_a_ready_environment_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "airflow-3.3"
    (folder / "bin").mkdir(parents=True)
    (folder / "bin" / "python").symlink_to(sys.executable)
    (folder / environment.STAMP).write_text(environment.digest(environment.CONSTRAINTS / "airflow-3.3.txt"))
    monkeypatch.setattr(environment, "find_uv", lambda _: pytest.fail("nothing was to be done"))
    environment.provide("airflow-3.3", tmp_path, optional=False)


@pytest.mark.parametrize("name", ["airflow-3.3", "airflow-2.11"])
def test_constraints_are_names_versions_and_markers_only(name: str) -> None:
    lines = (environment.CONSTRAINTS / f"{name}.txt").read_text().splitlines()
    assert len(lines) > 100
    assert [line for line in lines if not re.fullmatch(r"[a-z0-9-]+==[0-9a-z.]+( ; [^/@]+)?", line)] == []
    airflow = name.removeprefix("airflow-")
    assert any(line.startswith(f"apache-airflow=={airflow}.") for line in lines)
