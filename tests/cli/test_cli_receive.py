"""``mlgov receive`` and ``mlgov token``, with OpenLineage's own client."""

from __future__ import annotations

import json
import time
import uuid
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_mlgov.catalog.embedded import EmbeddedCatalog
from airflow_provider_mlgov.cli.receive import _Sending
from airflow_provider_mlgov.delivery.draining import SendReport
from airflow_provider_mlgov.delivery.spool import Spool
from airflow_provider_mlgov.model.identity import TaskRun
from cli_runs import mlgov, one_line
from delivery_events import task_event
from lineage_world import AIR
from receiving import Receiver, receiving


def sent_by_the_client(url: str, token: str, name: str, **config: Any) -> None:
    """A start and an end, as openlineage-python sends them."""
    from openlineage.client import OpenLineageClient
    from openlineage.client.event_v2 import InputDataset, Job, OutputDataset, Run, RunEvent, RunState
    from openlineage.client.transport.http import HttpConfig, HttpTransport

    transport = HttpTransport(
        HttpConfig.from_dict({"url": url, "auth": {"type": "api_key", "apiKey": token}, "timeout": 10, **config})
    )
    client = OpenLineageClient(transport=transport)
    run, job = Run(str(uuid.uuid4())), Job("client", name)
    for state in (RunState.START, RunState.COMPLETE):
        client.emit(
            RunEvent(
                eventTime=datetime.now(timezone.utc).isoformat(),
                producer="https://example.org/test",
                eventType=state,
                run=run,
                job=job,
                inputs=[InputDataset("postgres://db:5432", "shop.public.orders")],
                outputs=[OutputDataset("postgres://db:5432", f"shop.public.{name}")],
            )
        )
    client.close()


def test_what_openlineage_sends_is_in_the_catalogue(home: Path) -> None:
    with receiving(home) as receiver:
        sent_by_the_client(receiver.url, receiver.token, "plain")
        sent_by_the_client(receiver.url, receiver.token, "zipped", compression="gzip")
        with pytest.raises(Exception, match="401"):
            sent_by_the_client(receiver.url, "wrong", "foreign")
    log = (home / "receiver.log").read_text()
    assert receiver.token not in log
    assert "Traceback" not in log
    if mlgov(home, "spool", "status").returncode == 0:
        mlgov(home, "spool", "drain")
    catalog = EmbeddedCatalog(home / "mlgov" / "catalog.db")
    try:
        for name, edges in (("plain", 1), ("zipped", 1)):
            lineage = catalog.lineage("rdbms_table", f"db:5432/shop.public.{name}@primary", direction="INPUT", depth=1)
            assert len(lineage["relations"]) == 2 * edges
        assert catalog.get("rdbms_table", "db:5432/shop.public.foreign@primary") is None
    finally:
        catalog.close()


def test_a_host_that_forwards(home: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Its events go to the receiver of another host, by a Connection, and from there to the catalogue."""
    away = tmp_path_factory.mktemp("away")
    name = uuid.uuid4().hex[:8]
    for number in range(3):
        Spool(away / "mlgov" / "spool").append(task_event("COMPLETE", task=f"t{number}", dag=name, namespace=AIR))

    def forwarding(receiver: Receiver, token: str) -> dict[str, str]:
        connection = {"conn_type": "atlas", "host": receiver.url, "password": token}
        return {"AIRFLOW__MLGOV__FORWARD_CONN_ID": "there", "AIRFLOW_CONN_THERE": json.dumps(connection)}

    with receiving(home) as receiver:
        worker = mlgov(home, "token", "add", "worker", "--airflow", "--own-facets").stdout.strip()
        refused = mlgov(away, "spool", "drain", **forwarding(receiver, "wrong-wrong-wrong"))
        assert refused.returncode == 3, refused.stderr
        assert "answered 401" in refused.stderr
        sent = mlgov(away, "spool", "drain", **forwarding(receiver, worker))
        assert sent.returncode == 0, sent.stderr
        assert sent.stdout.startswith("sent 3 events")
        plain = mlgov(home, "token", "add", "plain").stdout.strip()
        Spool(away / "mlgov" / "spool").append(task_event("COMPLETE", task="t3", dag=name, namespace=AIR))
        kept = mlgov(away, "spool", "drain", **forwarding(receiver, plain))
        assert (kept.returncode, "refuses 1 that wait" in kept.stderr) == (3, True)
        status = mlgov(away, "spool", "status", **forwarding(receiver, plain)).stdout
        assert "refused       1 of those that wait, by the receiver: token 'plain'" in status
        assert mlgov(away, "spool", "drain", **forwarding(receiver, worker)).returncode == 0
        told = mlgov(away, "doctor", "--no-airflow", **forwarding(receiver, worker)).stdout
        assert f"events go to the receiver at {receiver.url}: ready" in told
    assert (
        f"{receiver.url}: it cannot be reached"
        in mlgov(away, "doctor", "--no-airflow", **forwarding(receiver, worker)).stdout
    )
    assert worker not in (home / "receiver.log").read_text()
    catalog = EmbeddedCatalog(home / "mlgov" / "catalog.db")
    try:
        for number in range(3):
            run = TaskRun(AIR, name, "r1", f"t{number}", -1, 1)
            assert catalog.get(run.type_name, str(run)) is not None
    finally:
        catalog.close()
    assert not (away / "mlgov" / "catalog.db").exists()


class Failing:
    """A sender with a bug, which is gone after two sends."""

    def __init__(self) -> None:
        self.sends = 0

    def sender(self) -> Failing:
        return self

    def send(self, *_: Any) -> SendReport:
        self.sends += 1
        if self.sends <= 2:
            raise AttributeError("a bug")
        return SendReport("done")


def sends(context: Failing, often: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a receiver send so often."""
    monkeypatch.setattr(_Sending, "_PAUSE", 0.01)
    with _Sending(context, paused=False):  # type: ignore[arg-type]
        end = time.monotonic() + 30
        while context.sends < often and time.monotonic() < end:
            time.sleep(0.01)
    assert context.sends >= often


def test_a_bug_in_sending_is_said_and_does_not_end_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    sends(Failing(), 4, monkeypatch)
    assert capsys.readouterr().err.count("events wait: unexpected AttributeError: a bug") == 1


class Stuck(Failing):
    """A sender of a spool that has a file which cannot be read: it is met by every third send."""

    def send(self, *_: Any) -> SendReport:
        self.sends += 1
        return SendReport("nothing") if self.sends % 3 else SendReport("spool", reason="1 files cannot be read")


def test_what_keeps_events_is_said_once_though_nothing_is_tried_in_between(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    sends(Stuck(), 12, monkeypatch)
    assert capsys.readouterr().err.count("events wait: 1 files cannot be read") == 1


def test_tokens(home: Path) -> None:
    made = mlgov(home, "token", "add", "spark", "--job-namespace", "spark*", "--airflow")
    assert made.returncode == 0, made.stderr
    assert mlgov(home, "token", "show", "spark").stdout == made.stdout
    listed = mlgov(home, "token", "list").stdout
    assert listed == "spark  jobs: spark*; runs of Airflow\n"
    assert made.stdout.strip() not in listed
    assert "already" in one_line(mlgov(home, "token", "add", "spark"))
    assert mlgov(home, "token", "remove", "spark").returncode == 0
    assert mlgov(home, "token", "show", "spark").returncode == 1
    file = home / "mlgov" / "spool" / "receiver-tokens.json"
    assert json.loads(file.read_text())["tokens"] == []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--host", "0.0.0.0"), "without TLS"),  # noqa: S104 - refused
        (("--certificate", "x.pem"), "belong together"),
        (("--certificate", "x.pem", "--key", "y.pem"), "is no file"),
        (("--certificate", "/etc/passwd", "--key", "/etc/passwd"), "are no certificate and its key"),
    ],
)
def test_what_would_show_tokens_is_refused(home: Path, arguments: tuple[str, ...], said: str) -> None:
    result = mlgov(home, "receive", "--port", "39998", *arguments)
    assert result.returncode == 2
    assert said in one_line(result)
