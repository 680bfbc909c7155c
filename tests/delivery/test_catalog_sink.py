"""The sender with catalogues: the three kinds of failure, growth of ends, late events, the note of a call in flight."""

import time

import pytest

from airflow_provider_mlgov.catalog.embedded import EmbeddedCatalog
from airflow_provider_mlgov.delivery.outbox import Outbox
from airflow_provider_mlgov.delivery.sender import Sender
from airflow_provider_mlgov.delivery.spool import Spool
from airflow_provider_mlgov.errors import CatalogBusyError, CatalogRefusedError, CatalogUnavailableError
from airflow_provider_mlgov.translate.options import TranslateOptions
from delivery_events import NOW, dataset, task_event, task_run

OPTIONS = TranslateOptions(airflow_namespace="test")
RUN = "dags/shop/runs/r1/tasks/load/-1/1@test"


class Faulty:
    """A catalogue whose writes go wrong where ``fault`` says so: it is called with the names of a batch."""

    linger = 0.0

    def __init__(self, catalog):
        self._catalog = catalog
        self.fault = lambda names: None
        self.writes = []

    def __getattr__(self, name):
        return getattr(self._catalog, name)

    def write(self, entities, **more):
        names = [entity["attributes"]["qualifiedName"] for entity in entities]
        self.writes.append(names)
        error = self.fault(names)
        if error:
            raise error
        return self._catalog.write(entities, **more)


@pytest.fixture
def spool(tmp_path):
    return Spool(tmp_path / "spool")


@pytest.fixture
def catalog(tmp_path):
    catalog = Faulty(EmbeddedCatalog(tmp_path / "catalog.db"))
    yield catalog
    catalog.close()


def put(spool, events):
    for event in events:
        Outbox(spool).put(event)


def send(spool, catalog, budget=None, **more):
    return Sender(
        spool, lambda: catalog, OPTIONS, **{"sleep": lambda seconds: None, "breaker_interval": 0.0, **more}
    ).send(budget)


def count(catalog, type_name):
    return len(catalog.search(type_name, limit=1000))


def table_run(**more):
    return task_run(inputs=[dataset("db.s.src", columns=5)], outputs=[dataset("db.s.dst", columns=5)], **more)


def test_a_task_run_reaches_the_catalogue(spool, catalog):
    put(spool, table_run())
    assert send(spool, catalog).outcome == "done"
    assert catalog.get("mlgov_task_run", RUN)["attributes"]["state"] == "success"
    (process,) = catalog.search("mlgov_task_process")
    relations = catalog.lineage("mlgov_task_process", process["attributes"]["qualifiedName"])["relations"]
    assert len(relations) == 2


def test_sending_again_changes_nothing(spool, catalog):
    put(spool, table_run())
    send(spool, catalog)
    before = {name: count(catalog, name) for name in ("Asset", "Process", "ProcessExecution")}
    put(spool, table_run())
    assert send(spool, catalog).outcome == "done"
    assert {name: count(catalog, name) for name in before} == before


def test_what_people_edit_stays(spool, catalog):
    put(spool, table_run())
    send(spool, catalog)
    catalog.update("mlgov_task", "dags/shop/tasks/load@test", {"owner": "eve"})
    put(spool, table_run(run="r2"))
    send(spool, catalog)
    (spool.root / "sender.db").unlink()
    put(spool, table_run(run="r3"))
    send(spool, catalog)
    assert catalog.get("mlgov_task", "dags/shop/tasks/load@test")["attributes"]["owner"] == "eve"


def refuses(part):
    def fault(names):
        if any(part in name for name in names):
            return CatalogRefusedError("bad value", error_code="ATLAS-404-00-007", status=404)
        return None

    return fault


def test_a_refused_column_is_set_aside_and_the_rest_is_written(spool, catalog):
    catalog.fault = refuses("src.c3")
    put(spool, table_run())
    report = send(spool, catalog)
    assert (report.outcome, report.events, report.dead) == ("done", 2, 1)
    (letter,) = spool.dead_letters()
    assert len(letter.parts) == 1
    assert "src.c3" in letter.parts[0]
    assert catalog.get("mlgov_task_run", RUN)["attributes"]["state"] == "success"
    assert count(catalog, "mlgov_task_process") == 1
    catalog.fault = lambda names: None
    spool.retry()
    assert send(spool, catalog).dead == 0
    assert spool.counts().dead == 0


def test_what_needs_a_refused_one_is_refused_with_it(spool, catalog):
    catalog.fault = refuses("dst@")
    put(spool, table_run())
    send(spool, catalog)
    (letter,) = spool.dead_letters()
    kinds = {part.split()[0] for part in letter.parts}
    assert "mlgov_task_process" in kinds
    assert "mlgov_task_run" not in kinds
    assert catalog.get("mlgov_task_run", RUN) is not None


def test_forbidden_everything_is_unavailable(spool, catalog):
    put(spool, table_run())
    catalog.fault = lambda names: CatalogRefusedError("no", error_code="ATLAS-403-00-001", status=403)
    assert send(spool, catalog).outcome == "unavailable"
    assert (spool.counts().waiting, spool.counts().dead) == (2, 0)


def test_a_deadlock_is_tried_again(spool, catalog):
    errors = [CatalogBusyError("deadlock"), CatalogBusyError("deadlock")]
    catalog.fault = lambda names: errors.pop() if errors else None
    put(spool, table_run())
    assert send(spool, catalog).outcome == "done"
    assert len(catalog.writes) == 3


def test_the_culprit_of_a_busy_answer_is_found_and_set_aside(spool, catalog):
    catalog.fault = lambda names: CatalogBusyError("500") if any("src.c3" in name for name in names) else None
    put(spool, table_run())
    report = send(spool, catalog)
    assert (report.outcome, report.dead) == ("done", 1)
    assert "takes the others" in spool.dead_letters()[0].reason


def test_busy_with_everything_keeps_everything(spool, catalog):
    catalog.fault = lambda names: CatalogBusyError("503")
    put(spool, table_run())
    assert send(spool, catalog).outcome == "busy"
    assert (spool.counts().waiting, spool.counts().dead) == (2, 0)
    assert len(catalog.writes) < 30
    catalog.fault = lambda names: None
    assert send(spool, catalog).outcome == "done"


def test_unavailable_in_the_middle_keeps_what_was_not_written(spool, catalog):
    for number in range(10):
        put(spool, table_run(task=f"t{number}"))
    catalog.fault = lambda names: CatalogUnavailableError("gone") if len(catalog.writes) > 2 else None
    report = send(spool, catalog, batch_size=20)
    assert report.outcome == "unavailable"
    assert spool.counts().waiting == 20 - report.events
    catalog.fault = lambda names: None
    assert send(spool, catalog, batch_size=20).outcome == "done"
    assert count(catalog, "mlgov_task_run") == 10


def test_a_type_that_vanished_is_applied_again(spool, catalog):
    put(spool, table_run())
    send(spool, catalog)
    errors = [CatalogRefusedError("unknown type", error_code="ATLAS-400-00-014", status=400)]
    catalog.fault = lambda names: errors.pop() if errors else None
    put(spool, table_run(run="r2"))
    report = send(spool, catalog)
    assert (report.outcome, report.dead) == ("done", 0)


def test_ends_that_grow_replace_the_process(spool, catalog):
    put(spool, table_run())
    send(spool, catalog)
    (old,) = catalog.search("mlgov_task_process")
    put(spool, [task_event("COMPLETE", seconds=6, inputs=[dataset("db.s.more")])])
    send(spool, catalog)
    (new,) = catalog.search("mlgov_task_process")
    assert new["guid"] != old["guid"]
    assert len(catalog.lineage("mlgov_task_process", new["attributes"]["qualifiedName"])["relations"]) == 3


@pytest.mark.parametrize("forget", [False, True])
def test_a_process_that_another_run_did_stays(spool, catalog, forget):
    put(spool, table_run() + table_run(run="r2", seconds=10))
    send(spool, catalog)
    if forget:
        (spool.root / "sender.db").unlink()
    put(
        spool,
        [task_event("COMPLETE", seconds=20, inputs=[dataset("db.s.more")], outputs=[dataset("db.s.dst")], run="r2")],
    )
    send(spool, catalog)
    assert count(catalog, "mlgov_task_process") == 2


def test_a_late_event_of_a_forgotten_run_shrinks_nothing(spool, catalog):
    put(spool, table_run())
    send(spool, catalog)
    before = catalog.get("mlgov_task_run", RUN)["attributes"]
    (spool.root / "sender.db").unlink()
    put(spool, [task_event("COMPLETE", seconds=5, at=NOW, inputs=[dataset("db.s.src")])])
    assert send(spool, catalog).outcome == "done"
    after = catalog.get("mlgov_task_run", RUN)["attributes"]
    assert set(before["processKey"].split()) <= set(after["processKey"].split())
    assert "db.s.dst" in after["io"]
    assert after["state"] == "success"
    full = max(
        (
            catalog.lineage("mlgov_task_process", each["attributes"]["qualifiedName"])
            for each in catalog.search("mlgov_task_process")
        ),
        key=lambda walk: len(walk["relations"]),
    )
    assert len(full["relations"]) == 2


def unanswered():
    return CatalogBusyError("no answer within 5 s", unanswered=True)


def test_after_an_unanswered_write_nothing_is_written_for_a_minute(spool, catalog):
    catalog.linger = 60.0
    put(spool, table_run())
    catalog.fault = lambda names: unanswered()
    assert send(spool, catalog, budget=5).outcome == "busy"
    assert len(catalog.writes) == 1
    catalog.fault = lambda names: None
    assert send(spool, catalog, budget=5).outcome == "budget"
    assert len(catalog.writes) == 1
    slept = []
    report = send(spool, catalog, sleep=slept.append)
    assert report.outcome == "done"
    assert 55 < sum(slept) <= 60
    assert len(catalog.writes[1]) == max(1, len(catalog.writes[0]) // 2)


def test_a_write_in_which_memory_ran_out_was_not_seen_to_end(spool, catalog):
    catalog.linger = 60.0
    put(spool, table_run())
    catalog.fault = lambda names: MemoryError()
    assert send(spool, catalog).outcome == "unavailable"
    catalog.fault = lambda names: None
    slept = []
    assert send(spool, catalog, sleep=slept.append).outcome == "done"
    assert 55 < sum(slept) <= 60


def test_what_the_catalogue_never_answers_is_found_and_set_aside(spool, catalog):
    catalog.linger = 60.0
    put(spool, table_run())
    catalog.fault = lambda names: unanswered() if any("src.c3" in name for name in names) else None
    for _ in range(12):
        if send(spool, catalog).outcome == "done":
            break
    assert spool.counts().waiting == 0
    (letter,) = spool.dead_letters()
    assert len(letter.parts) == 1
    assert "src.c3" in letter.parts[0]


def test_the_embedded_catalogue_needs_no_note():
    assert EmbeddedCatalog.linger == 0.0


def test_a_corrupt_embedded_file_keeps_everything(spool, tmp_path, caplog):
    path = tmp_path / "broken.db"
    path.write_bytes(b"this is no database" * 1000)
    put(spool, table_run())
    for _ in range(3):
        report = send(spool, EmbeddedCatalog(path), breaker_interval=60.0)
    assert report.outcome == "open"
    assert len(caplog.records) == 1
    assert str(path) in caplog.text
    assert spool.counts().waiting == 2
    assert path.read_bytes().startswith(b"this is no database")


def test_the_budget_holds_with_slow_answers(spool, catalog):
    catalog.fault = lambda names: time.sleep(0.2)
    for number in range(30):
        put(spool, table_run(task=f"t{number}"))
    begun = time.monotonic()
    report = send(spool, catalog, budget=1.5, batch_size=20)
    assert time.monotonic() - begun < 2.5
    assert report.outcome == "budget"
    assert 0 < report.events < 60


def test_types_are_left_alone_where_that_is_wanted(spool, catalog):
    put(spool, table_run())
    report = send(spool, catalog, apply_types=False)
    assert report.outcome == "unavailable"
    assert "run 'mlgov types apply'" in report.reason
    assert spool.counts().waiting
    assert catalog.type_definition("mlgov_task") is None


def test_a_run_done_again_that_fails_gives_up_what_it_did_first(spool, catalog):
    put(spool, table_run())
    assert send(spool, catalog).outcome == "done"
    assert count(catalog, "mlgov_task_process") == 1
    put(spool, [task_event("START", seconds=60), task_event("FAIL", seconds=61, state="failed")])
    assert send(spool, catalog).outcome == "done"
    assert count(catalog, "mlgov_task_process") == 0


@pytest.mark.parametrize("late", ["db.s.aaa", "db.s.zzz"])
def test_a_run_that_grew_shows_what_it_read(spool, catalog, late):
    put(spool, table_run())
    assert send(spool, catalog).outcome == "done"
    put(spool, [task_event("COMPLETE", seconds=5, inputs=(dataset(late),))])
    assert send(spool, catalog).outcome == "done"
    run = catalog.get("mlgov_task_run", RUN)["attributes"]
    (process,) = catalog.search("mlgov_task_process", attributes=["processKey"])
    assert run["processKey"] == process["attributes"]["processKey"]
    assert late in run["io"]
