"""Several processes, killed processes, any order: the catalogue ends with the same content."""

import multiprocessing
import socket
import threading
import time
import uuid

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airflow_provider_mlgov.catalog.atlas import AtlasCatalog
from airflow_provider_mlgov.catalog.embedded import EmbeddedCatalog
from airflow_provider_mlgov.delivery.outbox import Outbox
from airflow_provider_mlgov.delivery.sender import Sender
from airflow_provider_mlgov.delivery.spool import Spool
from airflow_provider_mlgov.translate.options import TranslateOptions
from catalog_content import content, names_of
from delivery_events import dataset, task_event, task_run

OPTIONS = TranslateOptions(airflow_namespace="test")


def sender(root, factory):
    return Sender(Spool(root), factory, OPTIONS)


def record(root, make_catalog, events, barrier):
    barrier.wait(30)
    for event in events:
        Outbox(Spool(root)).put(event)
    sender(root, make_catalog).send(60)


def in_processes(root, make_catalog, parts):
    context = multiprocessing.get_context("fork")
    barrier = context.Barrier(len(parts))
    processes = [context.Process(target=record, args=(root, make_catalog, part, barrier)) for part in parts]
    for process in processes:
        process.start()
    for process in processes:
        process.join(120)
        assert process.exitcode == 0


def same_table_from_eight(root, make_catalog, name):
    parts = [
        task_run(
            task=f"t{number}", dag=name, outputs=[dataset(f"{name}.s.new", f"postgres://{name}.test:5432", columns=3)]
        )
        for number in range(8)
    ]
    in_processes(root, make_catalog, parts)
    assert Spool(root).counts() == type(Spool(root).counts())(waiting=0, dead=0, odd=0)


def test_eight_processes_that_record_one_new_table_leave_one_entity(tmp_path):
    make = lambda: EmbeddedCatalog(tmp_path / "catalog.db")  # noqa: E731
    same_table_from_eight(tmp_path / "spool", make, "shop")
    catalog = make()
    assert list(names_of(catalog, "rdbms_table", "shop.s.new").values()) == [1]
    assert len(names_of(catalog, "mlgov_task_run", "dags/shop/")) == 8
    catalog.close()


WANTED = (
    ("rdbms_instance", 1),
    ("rdbms_db", 1),
    ("rdbms_table", 1),
    ("rdbms_column", 3),
    ("mlgov_dag", 1),
    ("mlgov_task_run", 8),
)


@pytest.mark.atlas
def test_eight_processes_that_record_one_new_table_leave_one_entity_in_atlas(tmp_path, atlas, atlas_url):
    for _ in range(3):
        name = f"d{uuid.uuid4().hex[:12]}"
        same_table_from_eight(tmp_path / name, lambda: AtlasCatalog(atlas_url), name)
        until = time.monotonic() + 10
        while len(names_of(atlas, "mlgov_task_run", f"dags/{name}/")) < 8 and time.monotonic() < until:
            time.sleep(0.2)
        for type_name, wanted in WANTED:
            found = names_of(atlas, type_name, name)
            assert len(found) == wanted
            assert set(found.values()) == {1}


@pytest.mark.atlas
def test_fewer_calls_than_events(tmp_path, atlas, atlas_url):
    name = f"d{uuid.uuid4().hex[:12]}"
    host = f"postgres://{name}.test:5432"
    catalog = AtlasCatalog(atlas_url)
    events = 0
    for number in range(10):
        task = number % 5
        ends = {"inputs": [dataset(f"{name}.s.t{task}", host)], "outputs": [dataset(f"{name}.s.t{task + 1}", host)]}
        for event in task_run(task=f"t{task}", dag=name, run=f"r{number // 5}", **ends):
            Outbox(Spool(tmp_path / "spool")).put(event)
            events += 1
        if task % 2 == 1 or number == 9:
            assert sender(tmp_path / "spool", lambda: catalog).send(30).outcome == "done"
    assert catalog.calls < events
    catalog.close()


EVENTS = [
    *task_run(task="a", outputs=[dataset("db.s.x", columns=2)]),
    task_event("FAIL", task="b", seconds=6, inputs=[dataset("db.s.x")]),
    *task_run(task="b", try_number=2, seconds=8, inputs=[dataset("db.s.x")], outputs=[dataset("db.s.y")]),
    task_event("RUNNING", task="b", try_number=2, seconds=7, inputs=[dataset("db.s.z")]),
]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("undisturbed")
    for event in EVENTS:
        Outbox(Spool(folder / "spool")).put(event)
    catalog = EmbeddedCatalog(folder / "catalog.db")
    sender(folder / "spool", lambda: catalog).send()
    found = content(catalog)
    catalog.close()
    assert found
    return found


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(order=st.permutations([*EVENTS, *EVENTS[:3]]), cut=st.integers(0, len(EVENTS) + 3))
def test_any_order_and_duplicates_over_two_processes_end_alike(undisturbed, tmp_path_factory, order, cut):
    folder = tmp_path_factory.mktemp("any")
    in_processes(folder / "spool", lambda: EmbeddedCatalog(folder / "catalog.db"), [order[:cut], order[cut:]])
    catalog = EmbeddedCatalog(folder / "catalog.db")
    sender(folder / "spool", lambda: catalog).send()
    assert content(catalog) == undisturbed
    catalog.close()


@pytest.fixture
def hanging():
    """A server that takes connections and never answers."""
    held = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def accept():
            while True:
                try:
                    held.append(server.accept()[0])
                except OSError:
                    return

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
        server.shutdown(socket.SHUT_RDWR)
    thread.join(5)
    for connection in held:
        connection.close()


def test_a_hanging_server_costs_one_budget_and_then_nothing(tmp_path, hanging):
    for event in task_run():
        Outbox(Spool(tmp_path / "spool")).put(event)
    times, outcomes = [], []
    for _ in range(3):
        catalog = AtlasCatalog(hanging, ("admin", "admin"))
        begun = time.monotonic()
        outcomes.append(sender(tmp_path / "spool", lambda catalog=catalog: catalog).send(1.5).outcome)
        times.append(time.monotonic() - begun)
        catalog.close()
    assert outcomes == ["busy", "open", "open"]
    assert times[0] < 2.5
    assert max(times[1:]) < 0.2
    assert Spool(tmp_path / "spool").counts().waiting == 2
