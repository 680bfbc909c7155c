"""The scoring server of the demo by itself: what it answers, and that it is started, replaced and stopped safely."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import pytest

SERVER = Path(__file__).parents[2] / "dags_examples" / "scoring" / "server.py"


@pytest.fixture(scope="module")
def server() -> Any:
    spec = spec_from_file_location("scoring_server", SERVER)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def model(tmp_path: Path) -> Path:
    import joblib
    from sklearn.linear_model import LogisticRegression

    path = tmp_path / "model.joblib"
    joblib.dump({"model": LogisticRegression().fit([[0.0, 1.0], [1.0, 0.0]], [0, 1]), "features": ["a", "b"]}, path)
    return path


@pytest.fixture
def folder(tmp_path: Path, server: Any) -> Iterator[Path]:
    yield tmp_path
    server.stop(tmp_path)


def command(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(SERVER), *map(str, arguments)], capture_output=True, text=True, check=False, timeout=60
    )


def ask(url: str, body: bytes | None = None) -> tuple[int, Any]:
    try:
        with urllib.request.urlopen(url, body, timeout=5) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)


def test_from_start_to_stop(server: Any, folder: Path, model: Path) -> None:
    started = command("start", "--folder", folder, "--model", model, "--build", "v1")
    assert started.returncode == 0, started.stderr
    state = json.loads(started.stdout)
    url = state["url"]
    assert server.read_state(folder) == state
    assert ask(f"{url}/health") == (200, {"build": "v1", "pid": state["pid"], "features": ["a", "b"]})
    status, answer = ask(f"{url}/score", json.dumps({"rows": [{"a": 1, "b": 0}, {"a": 0, "b": 1}]}).encode())
    assert (status, answer["build"]) == (200, "v1")
    assert answer["scores"][0] > 0.5 > answer["scores"][1]
    assert ask(f"{url}/score", b'{"rows": []}')[1]["scores"] == []
    for bad in (b"", b"{", b"[]", b'{"rows": [{"a": 1}]}', b'{"rows": [{"a": "x", "b": 1}]}', b'{"rows": 3}'):
        status, answer = ask(f"{url}/score", bad)
        assert status == 400, bad
        assert "wanted" in answer["error"]
    assert ask(f"{url}/elsewhere")[0] == 404
    assert ask(f"{url}/elsewhere", b"{}")[0] == 404

    replaced = json.loads(command("start", "--folder", folder, "--model", model, "--build", "v2").stdout)
    assert ask(f"{replaced['url']}/health")[1]["build"] == "v2"
    with pytest.raises(urllib.error.URLError):
        ask(f"{url}/health")

    assert "is stopped" in command("stop", "--folder", folder).stdout
    assert not (folder / "server.json").exists()
    assert "no scoring server was started here" in command("stop", "--folder", folder).stdout


def test_a_model_that_cannot_be_loaded(folder: Path) -> None:
    done = command("start", "--folder", folder, "--model", folder / "none.joblib", "--build", "v1")
    assert done.returncode == 1
    assert "No such file" in done.stderr
    assert not (folder / "server.json").exists()


def test_another_process_with_that_pid_is_left_alone(server: Any, tmp_path: Path) -> None:
    state = {"pid": os.getpid(), "url": "http://127.0.0.1:9", "build": "v1"}
    (tmp_path / "server.json").write_text(json.dumps(state))
    assert server.stop(tmp_path) == "the scoring server was not running any more"
    assert not (tmp_path / "server.json").exists()


@pytest.mark.parametrize("text", ["", "{", "[]", "{}"])
def test_a_damaged_state_file(server: Any, tmp_path: Path, text: str) -> None:
    (tmp_path / "server.json").write_text(text)
    assert server.stop(tmp_path) == "no scoring server was started here"


def test_start_needs_a_model(tmp_path: Path) -> None:
    done = command("start", "--folder", tmp_path)
    assert done.returncode == 2
    assert "needs --model" in done.stderr
