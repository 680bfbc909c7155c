"""The receiver in Airflow 3's API server: mounted by Airflow's own code, where it is switched on."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from airflow_provider_mlgov._compat import is_airflow_3
from airflow_provider_mlgov.lineage.mount import MountedReceiver
from airflow_provider_mlgov.lineage.receiver import PATH
from airflow_provider_mlgov.lineage.tokens import FILE, Tokens
from airflow_provider_mlgov.settings import Settings
from asgi import Client
from cli_runs import environment

SUPPORT = Path(__file__).parents[1] / "support"
SERVER = """
import json, sys, warnings
warnings.simplefilter("ignore")
sys.path.insert(0, sys.argv[1])
from fastapi import FastAPI
from airflow.api_fastapi.app import init_plugins
from airflow_provider_mlgov.lineage import child
from asgi import Client

woken = []
child.wake = woken.append
app = FastAPI()
init_plugins(app)
client = Client(app)
event = {"eventTime": "2026-01-31T12:00:00Z", "run": {"runId": "r"}, "job": {"namespace": "n", "name": "j"}}
path = "/mlgov/api/v1/lineage"
before = client("POST", path, event, headers={"content-type": "application/json"})[0]
if before == 401:
    from airflow_provider_mlgov.settings import Settings
    folder = Settings.load().spool_folder
    token = json.loads((folder / "receiver-tokens.json").read_text())["tokens"][0]["token"]
    headers = {"authorization": f"Bearer {token}", "content-type": "application/json", "host": "airflow.example.org"}
    after = client("POST", path, event, headers=headers)[0]
    print(json.dumps([before, after, len(list((folder / "new").iterdir())), len(woken)]))
else:
    print(json.dumps([before]))
"""

pytestmark = pytest.mark.skipif(not is_airflow_3(), reason="Airflow 2.11 has no API server that takes applications")


def mounted(home: Path, **more: str) -> list[int]:
    result = subprocess.run(
        [sys.executable, "-c", SERVER, str(SUPPORT)],
        env=environment(home, **more),
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert result.returncode == 0, result.stderr
    answer: list[int] = json.loads(result.stdout.splitlines()[-1])
    return answer


def test_it_is_there_where_it_is_switched_on(tmp_path: Path) -> None:
    assert mounted(tmp_path, AIRFLOW__MLGOV__RECEIVER_MOUNT="True") == [401, 201, 1, 1]


@pytest.mark.long
def test_it_answers_to_its_own_names_only(tmp_path: Path) -> None:
    """The first call of the test names the host ``127.0.0.1``."""
    more = {"AIRFLOW__MLGOV__RECEIVER_MOUNT": "True", "AIRFLOW__MLGOV__RECEIVER_HOSTS": "lineage.example.org"}
    assert mounted(tmp_path, **more) == [421]


def test_what_cannot_be_used_answers_503_and_is_said_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(Settings, "load", lambda: Settings(spool_folder=tmp_path, embedded_path=tmp_path / "c.db"))
    Tokens(tmp_path / FILE).prepare()
    (tmp_path / FILE).chmod(0o644)
    client = Client(MountedReceiver())
    headers = {"content-type": "application/json"}
    for _ in range(2):
        assert client("POST", PATH, {}, headers=headers)[0] == 503
    assert caplog.text.count("chmod 600") == 1
    (tmp_path / FILE).chmod(0o600)
    assert client("POST", PATH, {}, headers=headers)[0] == 401
    (tmp_path / FILE).chmod(0o644)
    for _ in range(2):
        assert client("POST", PATH, {}, headers=headers)[0] == 503
    assert caplog.text.count("chmod 600") == 2


def test_it_is_not_there_otherwise(tmp_path: Path) -> None:
    assert mounted(tmp_path) == [404]
    assert not (tmp_path / "mlgov").exists()
