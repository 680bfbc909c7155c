"""From `[mlgov] sinks` to senders."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_mlgov.assembly import open_draining, open_outbox, open_sender, open_spools
from airflow_provider_mlgov.catalog.atlas import AtlasCatalog
from airflow_provider_mlgov.delivery.abreast import Abreast
from airflow_provider_mlgov.delivery.forward import Forwarder
from airflow_provider_mlgov.errors import ConfigurationError
from airflow_provider_mlgov.hooks.kafka import kafka_config
from airflow_provider_mlgov.settings import Settings
from delivery_events import dataset, task_event


def settings(folder: Path, *sinks: str, **more: Any) -> Settings:
    home = {
        "spool_folder": folder / "spool",
        "embedded_path": folder / "catalog.db",
        "sink_file": folder / "out.ndjson",
    }
    return Settings(sinks=sinks, namespace="test", **{**home, **more})


@pytest.mark.parametrize(
    ("sinks", "more", "names"),
    [
        ((), {}, ("catalog",)),
        (("file",), {}, ("file",)),
        (("catalog", "file"), {}, ("catalog", "file")),
        (("kafka", "embedded", "file"), {"atlas_conn_id": "a", "kafka_conn_id": "k"}, ("kafka", "embedded", "file")),
        ((), {"forward_conn_id": "f"}, ("forward",)),
        (("kafka", "file"), {"forward_conn_id": "f"}, ("forward", "file")),
        (("file", "kafka"), {"forward_conn_id": "f"}, ("forward", "file")),
    ],
)
def test_the_names(tmp_path: Path, sinks: tuple[str, ...], more: dict, names: tuple[str, ...]) -> None:
    read = settings(tmp_path, *sinks, **more)
    assert read.sink_names == names
    assert read.further_sinks == names[1:]
    folders = [spool.root for spool in open_spools(read).values()]
    assert folders == [tmp_path / "spool", *(tmp_path / "spool" / "sinks" / name for name in names[1:])]


@pytest.mark.parametrize(
    ("sinks", "more", "said"),
    [
        (("rest",), {}, "wanted some of catalog, kafka"),
        (("file", "file"), {}, "each once"),
        (("catalog", "kafka"), {"atlas_conn_id": "a", "kafka_conn_id": "k"}, "makes duplicates"),
        (("catalog", "embedded"), {}, "one file without atlas_conn_id"),
        (("kafka",), {"kafka_conn_id": "k"}, "atlas_conn_id is empty"),
        (("kafka",), {"atlas_conn_id": "a"}, "kafka_conn_id is empty"),
        (("file", "notification"), {}, "atlas_conn_id is empty"),
    ],
)
def test_what_does_not_go_together_keeps_events_waiting(
    tmp_path: Path, sinks: tuple[str, ...], more: dict, said: str
) -> None:
    read = settings(tmp_path, *sinks, **more)
    open_outbox(read).put(task_event("COMPLETE"))  # never an error of a task
    with pytest.raises(ConfigurationError, match=said):
        open_sender(read)
    assert len(list((tmp_path / "spool" / "new").iterdir())) == 1


def test_one_sink_is_a_sender_and_several_are_side_by_side(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, airflow_home: object
) -> None:
    monkeypatch.setenv(
        "AIRFLOW_CONN_F",
        json.dumps({"conn_type": "atlas", "host": "http://127.0.0.1:1", "password": "receiver-token-9f2c"}),
    )
    assert not isinstance(open_sender(settings(tmp_path, "file")), Abreast)
    assert isinstance(open_sender(settings(tmp_path, "none", "file")), Abreast)
    assert isinstance(open_draining(settings(tmp_path, "kafka", "file", forward_conn_id="f"), "forward"), Forwarder)
    read = settings(tmp_path, "catalog", "file", "none")
    open_outbox(read).put(task_event("COMPLETE"))
    report = open_sender(read).send(60)
    assert (report.outcome, report.events) == ("done", 3), report
    assert "mlgov_task_run" in (tmp_path / "out.ndjson").read_text()


def test_a_connection_to_kafka(monkeypatch: pytest.MonkeyPatch, airflow_home: object) -> None:
    def connect(**fields: Any) -> None:
        monkeypatch.setenv("AIRFLOW_CONN_K", json.dumps({"conn_type": "kafka", **fields}))

    connect(extra={"bootstrap.servers": "b:9092", "security.protocol": "SSL", "error_cb": "os.abort"})
    assert kafka_config("k") == {"bootstrap.servers": "b:9092", "security.protocol": "SSL"}
    connect(host="b", port=9092, login="u", password="broker-login-9f2c")
    assert kafka_config("k") == {
        "bootstrap.servers": "b:9092",
        "sasl.username": "u",
        "sasl.password": "broker-login-9f2c",
    }
    connect(login="u")
    with pytest.raises(ConfigurationError, match="names no broker"):
        kafka_config("k")
    with pytest.raises(ConfigurationError, match="'missing' does not exist"):
        kafka_config("missing")


def test_a_wrong_configuration_of_the_client_is_said_without_its_values(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, airflow_home: object
) -> None:
    extra = {"bootstrap.servers": "b:9092", "security.protocol": "nonsense", "ssl.key.password": "canary-9"}
    monkeypatch.setenv("AIRFLOW_CONN_K", json.dumps({"conn_type": "kafka", "extra": extra}))
    monkeypatch.setenv("AIRFLOW_CONN_A", json.dumps({"conn_type": "atlas", "host": "http://127.0.0.1:1"}))
    read = settings(tmp_path, "kafka", "file", atlas_conn_id="a", kafka_conn_id="k")
    open_outbox(read).put(task_event("COMPLETE"))
    report = open_sender(read).send(60)
    assert report.outcome == "unavailable"
    assert "Kafka's configuration is wrong" in str(report.reason)
    assert "canary-9" not in str(report.reason)
    assert {name: spool.counts().waiting for name, spool in open_spools(read).items()} == {"kafka": 1, "file": 0}


@pytest.mark.atlas
def test_kafka_and_a_file_by_connections(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    airflow_home: object,
    atlas: AtlasCatalog,
    atlas_url: str,
    atlas_kafka: str,
) -> None:
    extra = {"bootstrap.servers": atlas_kafka, "broker.address.family": "v4"}
    monkeypatch.setenv("AIRFLOW_CONN_K", json.dumps({"conn_type": "kafka", "extra": extra}))
    host = atlas_url.rpartition("@")[2]
    monkeypatch.setenv(
        "AIRFLOW_CONN_A",
        json.dumps({"conn_type": "atlas", "host": f"http://{host}", "login": "admin", "password": "admin"}),
    )
    read = settings(tmp_path, "kafka", "file", atlas_conn_id="a", kafka_conn_id="k")
    dag = f"d{tmp_path.parent.name}{tmp_path.name}"[:40]
    open_outbox(read).put(task_event("COMPLETE", dag=dag, outputs=[dataset(f"{dag}.s.t")]))
    report = open_sender(read).send(120)
    assert (report.outcome, report.events, report.dead) == ("done", 2, 0), report
    assert atlas.get("mlgov_dag", f"dags/{dag}@test") is not None
    assert f"dags/{dag}@test" in (tmp_path / "out.ndjson").read_text()
