"""Real DAG runs in which everything that can go wrong around recording does: tasks never notice, and one line says it."""

from __future__ import annotations

import json
import os
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from airflow_env import Recording, new_dag
from airflow_provider_mlgov._compat import Asset, BaseOperator
from airflow_provider_mlgov.lineage.aside import ASIDE

pytestmark = [pytest.mark.dag_run, pytest.mark.filterwarnings("default")]
IN, OUT = "s3://lake/raw/a.csv", "s3://lake/clean/a.csv"


class Sleepy(BaseOperator):
    """Its OpenLineage method takes a minute."""

    def execute(self, context: Any) -> None:
        pass

    def get_openlineage_facets_on_start(self) -> None:
        return None

    def get_openlineage_facets_on_complete(self, ti: Any) -> None:
        time.sleep(900)


class SleepyFromTheStart(BaseOperator):
    """It has only the method for the start, which is asked at the end too."""

    def execute(self, context: Any) -> None:
        pass

    def get_openlineage_facets_on_start(self) -> None:
        time.sleep(900)


class Exits(BaseOperator):
    """Its OpenLineage method ends the process."""

    def execute(self, context: Any) -> None:
        pass

    def get_openlineage_facets_on_start(self) -> None:
        raise SystemExit(3)


class Endless(BaseOperator):
    """Its OpenLineage method calls itself."""

    def execute(self, context: Any) -> None:
        pass

    def get_openlineage_facets_on_complete(self, ti: Any) -> None:
        self.get_openlineage_facets_on_complete(ti)


class Foreign:
    """An outlet that nobody knows."""

    def __repr__(self) -> str:
        return "Foreign()"

    def serialize(self) -> dict[str, Any]:
        return {}


def run_one(recording: Recording, operator: Any, **kwargs: Any) -> Any:
    with new_dag() as dag:
        operator(task_id="work", inlets=[Asset(IN)], **{"outlets": [Asset(OUT)], **kwargs})
    return recording.run(dag)


def quiet(**kwargs: Any) -> Any:
    from airflow.providers.standard.operators.python import PythonOperator

    return PythonOperator(python_callable=lambda: None, **kwargs)


def test_an_operator_whose_method_sleeps(recording: Recording) -> None:
    recording.options(collect_timeout="0.5")
    began = time.monotonic()
    assert run_one(recording, Sleepy).state == "success"
    assert time.monotonic() - began < 400  # a loaded machine may be slow, and the method takes longer
    assert recording.attempts() == {("work", -1, 1): "success"}
    assert len(recording.process_ends()) == 1
    [line] = recording.log.lines
    assert "took longer than 0.5 s" in line


def test_a_method_that_was_too_slow_is_not_asked_again(recording: Recording) -> None:
    recording.options(collect_timeout="0.5")
    assert run_one(recording, SleepyFromTheStart).state == "success"
    assert recording.attempts() == {("work", -1, 1): "success"}
    [line] = recording.log.lines
    assert "get_openlineage_facets_on_start of task work took longer" in line


def test_an_operator_whose_method_exits(recording: Recording) -> None:
    assert run_one(recording, Exits).state == "success"
    assert recording.attempts() == {("work", -1, 1): "success"}
    assert len(recording.process_ends()) == 1
    assert {line.partition(" (")[0] for line in recording.log.lines} == {
        "get_openlineage_facets_on_start of task work failed: SystemExit: 3"
    }


def test_an_operator_whose_method_never_ends(recording: Recording) -> None:
    assert run_one(recording, Endless).state == "success"
    assert recording.attempts() == {("work", -1, 1): "success"}
    [line] = [line for line in recording.log.lines if "on_complete" in line]
    assert line.startswith("get_openlineage_facets_on_complete of task work failed: RecursionError")


def test_a_template_that_hangs(recording: Recording) -> None:
    """It is waited for once, whatever number of inlets and outlets want it."""
    asked = []

    def hangs() -> str:
        asked.append(1)
        time.sleep(60)
        return "never"

    recording.options(collect_timeout="0.5")
    with new_dag(user_defined_macros={"hangs": hangs}) as dag:
        quiet(
            task_id="work",
            inlets=[Asset(f"s3://lake/{n}-{{{{ hangs() }}}}.csv") for n in range(3)],
            outlets=[Asset(OUT)],
        )
    assert recording.run(dag).state == "success"
    assert len(asked) == 1
    assert recording.attempts() == {("work", -1, 1): "success"}
    [line] = recording.log.lines
    assert line.startswith("A template of inlets or outlets took longer than 0.5 s")


def test_a_disk_that_hangs(recording: Recording, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each hook gives up after its budget, and what it wrote is there when the disk goes on."""
    free, synced = threading.Event(), os.fsync

    def slow(handle: int) -> None:
        free.wait(60)
        synced(handle)

    recording.options(send_budget="0.2")
    monkeypatch.setattr("airflow_provider_mlgov.delivery.spool.os.fsync", slow)
    with monkeypatch.context() as patch:
        patch.setattr(ASIDE, "settle", lambda seconds: True)  # nobody waits for the disk to go on
        assert run_one(recording, quiet).state == "success"
    lines = [line for line in recording.log.lines if "is still being written after 0.2 s" in line]
    assert len(lines) == 2  # START and end of the task; the DAG run's goes on beside the scheduler
    free.set()
    assert ASIDE.settle(60)
    recording.options(send_budget="5.0")
    recording.drain()
    assert recording.attempts() == {("work", -1, 1): "success"}


def test_an_outlet_of_a_foreign_class(recording: Recording) -> None:
    from airflow_provider_mlgov._compat import is_airflow_3

    # 2.11 itself fails a task with an outlet that is no JSON; a dict is foreign there.
    foreign: Any = Foreign() if is_airflow_3() else {"what": "is this"}
    assert run_one(recording, quiet, outlets=[foreign, Asset(OUT)]).state == "success"
    [line] = recording.log.lines
    assert line.startswith("Outlet ")
    assert "is left out of the lineage" in line
    assert len(recording.process_ends()) == 1


@pytest.mark.parametrize(
    ("connection", "says"),
    [
        ({"conn_type": "atlas", "host": "http://127.0.0.1:9"}, "127.0.0.1:9"),
        ({"conn_type": "atlas"}, "has no host"),
        (None, "does not exist"),
    ],
    ids=["unreachable", "no-host", "missing"],
)
def test_an_atlas_that_cannot_be_used(
    recording: Recording, monkeypatch: pytest.MonkeyPatch, connection: dict[str, Any] | None, says: str
) -> None:
    name = f"atlas_{says[0]}{len(says)}"
    if connection is not None:
        monkeypatch.setenv(f"AIRFLOW_CONN_{name.upper()}", json.dumps(connection))
    recording.options(atlas_conn_id=name)
    assert run_one(recording, quiet).state == "success"
    assert [event["eventType"] for event in recording.events()] == ["START", "COMPLETE", "COMPLETE"]
    [line] = recording.log.lines
    assert says in line

    recording.options(atlas_conn_id="")
    (recording.settings.spool_folder / "breaker.json").unlink(missing_ok=True)
    recording.drain()
    assert recording.attempts() == {("work", -1, 1): "success"}


def test_an_atlas_without_a_namespace(recording: Recording) -> None:
    recording.options(atlas_conn_id="some_atlas", namespace="")
    assert run_one(recording, quiet).state == "success"
    assert len(recording.events()) == 3
    [line] = recording.log.lines
    assert "[mlgov] namespace is empty" in line


def test_a_wrong_password(recording: Recording, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with refusing_server() as url:
        monkeypatch.setenv("AIRFLOW_CONN_ATLAS_401", json.dumps({"conn_type": "atlas", "host": url, "login": "admin"}))
        recording.options(atlas_conn_id="atlas_401")
        assert run_one(recording, quiet).state == "success"
    [line] = recording.log.lines
    assert "401" in line or "password" in line
    assert len(recording.events()) == 3


def refusing_server() -> Any:
    """Answers everything with 401."""
    import contextlib
    import threading
    from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(401)
            self.send_header("Content-Length", "0")
            self.end_headers()

        do_POST = do_PUT = do_GET  # noqa: N815 - the names are the library's

        def log_message(self, *args: Any) -> None:
            pass

    @contextlib.contextmanager
    def serve() -> Any:
        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        server.server_close()

    return serve()


def test_a_corrupt_catalogue(recording: Recording) -> None:
    recording.settings.embedded_path.write_bytes(b"this is no database" * 100)
    assert run_one(recording, quiet).state == "success"
    assert len(recording.events()) == 3
    [line] = recording.log.lines
    assert str(recording.settings.embedded_path) in line


def test_a_spool_that_cannot_be_written(recording: Recording, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    recording.options(spool_folder=str(tmp_path / "file" / "spool"))
    assert run_one(recording, quiet).state == "success"
    assert recording.log.lines
    assert all("is lost" in line for line in recording.log.lines)
    assert str(tmp_path / "file") in recording.log.lines[0]


def test_a_wrong_option(recording: Recording) -> None:
    recording.options(send_budget="soon")
    assert run_one(recording, quiet).state == "success"
    assert "[mlgov] send_budget is 'soon'" in recording.log.lines[0]
    recording.options(send_budget="5.0")


@pytest.mark.atlas
def test_a_real_atlas(recording: Recording, monkeypatch: pytest.MonkeyPatch, atlas_url: str) -> None:
    import uuid
    from urllib.parse import urlsplit

    parts = urlsplit(atlas_url)
    host = f"{parts.scheme}://{parts.hostname}:{parts.port}"
    connection = {"conn_type": "atlas", "host": host, "login": parts.username, "password": parts.password}
    monkeypatch.setenv("AIRFLOW_CONN_ATLAS_REAL", json.dumps(connection))
    namespace = f"air-{uuid.uuid4().hex[:8]}"
    recording.options(atlas_conn_id="atlas_real", namespace=namespace, send_budget="60")
    run = run_one(recording, quiet)
    assert run.state == "success"
    recording.drain()
    assert recording.events() == []

    from airflow_provider_mlgov.assembly import open_catalog
    from airflow_provider_mlgov.model.identity import TaskRun

    name = TaskRun(namespace, run.dag_id, run.run_id, "work", -1, 1)
    entity = open_catalog(recording.settings).get("mlgov_task_run", str(name))
    assert entity is not None
    assert entity["attributes"]["state"] == "success"
