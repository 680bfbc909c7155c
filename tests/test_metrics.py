"""What is counted and timed in Airflow's own metrics."""

from __future__ import annotations

import gzip
import os
import subprocess
import sys
import threading
import time
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_mlgov import _compat
from airflow_provider_mlgov.assembly import metrics, open_sender
from airflow_provider_mlgov.catalog.embedded import EmbeddedCatalog
from airflow_provider_mlgov.delivery.draining import SendReport
from airflow_provider_mlgov.delivery.spool import Spool
from airflow_provider_mlgov.errors import CatalogBusyError
from airflow_provider_mlgov.settings import Settings
from cli_runs import environment
from delivery_events import task_event


class Stats:
    def __init__(self) -> None:
        self.told: dict[str, Any] = {}

    def incr(self, name: str, count: int = 1) -> None:
        self.told[name] = self.told.get(name, 0) + count

    def gauge(self, name: str, value: float) -> None:
        self.told[name] = value

    def timing(self, name: str, value: timedelta) -> None:
        assert isinstance(value, timedelta)
        self.told[name] = "timed"


@pytest.fixture
def stats(monkeypatch: pytest.MonkeyPatch, airflow_home: object) -> Stats:
    made = Stats()
    monkeypatch.setattr(_compat, "Stats", made, raising=False)
    monkeypatch.setenv("AIRFLOW__METRICS__STATSD_ON", "True")
    return made


def settings(folder: Path) -> Settings:
    return Settings(spool_folder=folder / "spool", embedded_path=folder / "catalog.db")


def test_a_send_is_counted(stats: Stats, tmp_path: Path) -> None:
    sender = open_sender(settings(tmp_path))
    assert sender.send().outcome == "nothing"
    assert stats.told == {}
    spool = Spool(tmp_path / "spool")
    spool.append(task_event("COMPLETE"))
    spool.append({"no": "event"})
    report = sender.send()
    assert stats.told == {
        "mlgov.events": 2,
        "mlgov.entities": report.entities,
        "mlgov.dead_letters": 1,
        "mlgov.sends.done": 1,
        "mlgov.send": "timed",
        "mlgov.spool.waiting": 0,
        "mlgov.spool.age": 0,
        "mlgov.spool.dead_letters": 1,
        "mlgov.breaker.open": 0,
    }


def test_calls_that_were_made_again_are_counted(stats: Stats, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write, busy = EmbeddedCatalog.write, [CatalogBusyError("a deadlock", retry_after=0.0)] * 2

    def sometimes(catalog: EmbeddedCatalog, *arguments: Any, **more: Any) -> Any:
        if busy:
            raise busy.pop()
        return write(catalog, *arguments, **more)

    monkeypatch.setattr(EmbeddedCatalog, "write", sometimes)
    Spool(tmp_path / "spool").append(task_event("COMPLETE"))
    assert open_sender(settings(tmp_path)).send().outcome == "done"
    assert stats.told["mlgov.retries"] == 2


def test_what_waits_is_measured(stats: Stats, tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool")
    spool.append(task_event("COMPLETE"))
    metrics(spool)(SendReport("unavailable"), 1.0)
    assert stats.told["mlgov.spool.waiting"] == 1
    assert stats.told["mlgov.sends.unavailable"] == 1
    assert stats.told["mlgov.breaker.open"] == 1


def test_it_is_counted_once_a_minute_per_host(stats: Stats, tmp_path: Path) -> None:
    """Tasks end every second while very many events wait."""
    spool = Spool(tmp_path / "spool")
    for expected in (1, 1, 3):
        spool.append(task_event("COMPLETE"))
        metrics(Spool(spool.root))(SendReport("open"), 1.0)
        assert stats.told["mlgov.spool.waiting"] == expected
        if stats.told["mlgov.sends.open"] == 2:
            earlier = time.time() - 61
            os.utime(spool.root / "counted", (earlier, earlier))


def test_the_oldest_is_told_of(stats: Stats, tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool")
    for seconds in (30, 3600, 60):
        path = spool.append(task_event("COMPLETE"))
        path.rename(path.with_name(f"{time.time_ns() - seconds * 10**9:020d}{path.name[20:]}"))
    (spool.root / "new" / "0-not-ours").touch()
    metrics(spool)(SendReport("open"), 1.0)
    assert stats.told["mlgov.spool.waiting"] == 3
    assert 3600 <= stats.told["mlgov.spool.age"] < 4000


def test_nothing_is_counted_where_metrics_are_off(
    stats: Stats, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AIRFLOW__METRICS__STATSD_ON")
    spool = Spool(tmp_path / "spool")
    spool.append(task_event("COMPLETE"))
    metrics(spool)(SendReport("open"), 1.0)
    assert stats.told == {}
    assert not (spool.root / "counted").exists()


def test_metrics_that_fail_harm_nothing(stats: Stats, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []

    def broken(*gauge: Any) -> None:
        asked.append(gauge)
        raise OSError("no StatsD")

    monkeypatch.setattr(stats, "gauge", broken)
    Spool(tmp_path / "spool").append(task_event("COMPLETE"))
    assert open_sender(settings(tmp_path)).send().outcome == "done"
    assert asked


def test_airflows_own_take_them(airflow_home: object, tmp_path: Path) -> None:
    Spool(tmp_path / "spool").append(task_event("COMPLETE"))
    assert open_sender(settings(tmp_path)).send().outcome == "done"
    assert callable(_compat.Stats.incr)


# --- OpenTelemetry ---------------------------------------------------------------------------------------------------
SENDS = """
import sys
from pathlib import Path
import airflow
from opentelemetry import metrics
from airflow_provider_mlgov.assembly import open_sender
from airflow_provider_mlgov.delivery.spool import Spool
from airflow_provider_mlgov.settings import Settings
from delivery_events import task_event

folder = Path(sys.argv[1])
spool = Spool(folder / "spool")
spool.append(task_event("COMPLETE"))
spool.append({"no": "event"})
report = open_sender(Settings(spool_folder=folder / "spool", embedded_path=folder / "catalog.db")).send()
assert report.outcome == "done", report
metrics.get_meter_provider().force_flush()
print(report.entities)
"""


class Collector(ThreadingHTTPServer):
    """Takes what an OTLP exporter posts."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Posted)
        self.bodies: list[bytes] = []

    def values(self) -> dict[str, float]:
        """The last value of each metric; of timers, how many there were."""
        from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

        found: dict[str, float] = {}
        for body in self.bodies:
            for of_resource in ExportMetricsServiceRequest.FromString(body).resource_metrics:
                for metric in (metric for scope in of_resource.scope_metrics for metric in scope.metrics):
                    (point, *_) = getattr(metric, str(metric.WhichOneof("data"))).data_points
                    kind = point.WhichOneof("value") if hasattr(point, "as_double") else "count"
                    found[metric.name] = getattr(point, kind)
        return found


class Posted(BaseHTTPRequestHandler):
    server: Collector

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        assert self.path == "/v1/metrics"
        assert self.headers["Content-Type"] == "application/x-protobuf"
        self.server.bodies.append(body)
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        pass


@pytest.mark.skipif(not _compat.is_airflow_3(), reason="run with the OpenTelemetry of Airflow 3")
def test_opentelemetry_gets_them(tmp_path: Path) -> None:
    """Airflow's own exporter, to a collector that reads what it posts."""
    collector = Collector()
    thread = threading.Thread(target=collector.serve_forever)
    thread.start()
    try:
        result = subprocess.run(
            [sys.executable, "-c", SENDS, str(tmp_path)],
            env=environment(
                tmp_path,
                PYTHONPATH=str(Path(__file__).parent / "support"),
                AIRFLOW__METRICS__OTEL_ON="True",
                AIRFLOW__METRICS__OTEL_HOST="127.0.0.1",
                AIRFLOW__METRICS__OTEL_PORT=str(collector.server_port),
            ),
            capture_output=True,
            text=True,
            timeout=300,
        )
    finally:
        collector.shutdown()
        thread.join()
        collector.server_close()
    assert result.returncode == 0, result.stderr
    told = {name.removeprefix("airflow."): value for name, value in collector.values().items()}
    entities = float(result.stdout.split()[-1])
    assert told["mlgov.events"] == 2
    assert told["mlgov.entities"] == entities > 0
    assert told["mlgov.dead_letters"] == told["mlgov.spool.dead_letters"] == told["mlgov.sends.done"] == 1
    assert told["mlgov.spool.waiting"] == told["mlgov.spool.age"] == told["mlgov.breaker.open"] == 0
    assert "mlgov.send" in told
