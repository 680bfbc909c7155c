"""The file of the embedded catalogue: made, shared, refused."""

from __future__ import annotations

import multiprocessing
import os
import sqlite3
import threading
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_mlgov.catalog.embedded import EmbeddedCatalog
from airflow_provider_mlgov.catalog.types.definitions import our_types
from airflow_provider_mlgov.errors import CatalogBusyError, CatalogRefusedError, CatalogUnavailableError


def table(name: str, guid: str = "-1", **attributes: Any) -> dict[str, Any]:
    return {"typeName": "hive_table", "guid": guid, "attributes": {"qualifiedName": name, "name": name, **attributes}}


def test_nothing_happens_before_the_first_use(tmp_path: Path) -> None:
    EmbeddedCatalog(tmp_path / "deep" / "catalog.db").close()
    assert list(tmp_path.iterdir()) == []


def test_the_file_is_made_for_its_owner_only(tmp_path: Path) -> None:
    catalog = EmbeddedCatalog(tmp_path / "deep" / "catalog.db")
    assert catalog.status()["Status"] == "ACTIVE"
    catalog.write([table("a")])
    assert {file.name: file.stat().st_mode & 0o777 for file in (tmp_path / "deep").iterdir()} == {
        "catalog.db": 0o600,
        "catalog.db-wal": 0o600,
        "catalog.db-shm": 0o600,
    }
    assert catalog.identity == str(tmp_path / "deep" / "catalog.db")
    catalog.close()


def test_what_was_written_is_there_after_reopening(tmp_path: Path) -> None:
    first = EmbeddedCatalog(tmp_path / "c.db")
    first.create_types(our_types())
    first.write([table("a")])
    first.close()
    second = EmbeddedCatalog(tmp_path / "c.db")
    assert second.get("hive_table", "a")
    assert second.type_definition("mlgov_dag")
    second.close()


@pytest.mark.parametrize("content", [b"hello, this is no database", b"SQLite format 3\x00", os.urandom(8192)])
def test_a_foreign_file_is_left_alone(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "c.db"
    path.write_bytes(content)
    with pytest.raises(CatalogUnavailableError, match=r"no SQLite file; wanted .* left as it is"):
        EmbeddedCatalog(path).write([table("a")])
    assert path.read_bytes() == content
    assert [file.name for file in tmp_path.iterdir()] == ["c.db"]


def test_another_applications_database_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "c.db"
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE theirs (x)")
    connection.commit()
    connection.close()
    before = path.read_bytes()
    with pytest.raises(CatalogUnavailableError, match="another application"):
        EmbeddedCatalog(path).status()
    assert path.read_bytes() == before


def test_a_newer_schema_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "c.db"
    catalog = EmbeddedCatalog(path)
    catalog.status()
    catalog.close()
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    before = path.read_bytes()
    with pytest.raises(CatalogUnavailableError, match="schema 99; this version of the package reads 1"):
        EmbeddedCatalog(path).status()
    assert path.read_bytes() == before


def test_a_damaged_file_is_reported(tmp_path: Path) -> None:
    path = tmp_path / "c.db"
    catalog = EmbeddedCatalog(path)
    catalog.write([table(f"t{number}") for number in range(200)])
    catalog.close()
    content = path.read_bytes()
    damaged = content[:100] + os.urandom(len(content) - 100)
    path.write_bytes(damaged)
    with pytest.raises(CatalogUnavailableError, match=r"damaged .* left as it is"):
        EmbeddedCatalog(path).get("hive_table", "t1")
    assert path.read_bytes() == damaged


def test_an_empty_file_is_taken_for_a_new_one(tmp_path: Path) -> None:
    path = tmp_path / "c.db"
    path.touch()
    catalog = EmbeddedCatalog(path)
    catalog.write([table("a")])
    assert catalog.get("hive_table", "a")
    catalog.close()


def test_a_directory_in_its_place(tmp_path: Path) -> None:
    with pytest.raises(CatalogUnavailableError, match="cannot be opened"):
        EmbeddedCatalog(tmp_path).status()


def test_a_locked_file_is_busy(tmp_path: Path) -> None:
    path = tmp_path / "c.db"
    catalog = EmbeddedCatalog(path, timeout=0.1)
    catalog.status()
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    try:
        with pytest.raises(CatalogBusyError, match="locked"):
            catalog.write([table("a")])
        assert catalog.get("hive_table", "a") is None  # reading goes on
    finally:
        other.execute("ROLLBACK")
        other.close()
    catalog.write([table("a")])
    catalog.close()


def test_a_refused_call_leaves_the_connection_usable(tmp_path: Path) -> None:
    catalog = EmbeddedCatalog(tmp_path / "c.db")
    for _ in range(3):
        with pytest.raises(CatalogRefusedError):
            catalog.write([table("a"), {"typeName": "nix", "attributes": {}}])
    assert catalog.get("hive_table", "a") is None
    catalog.write([table("a")])
    catalog.close()


def _write_all(path: str, start: Any, failed: Any) -> None:
    try:
        catalog = EmbeddedCatalog(path)
        start.wait()
        for number in range(20):
            process = {
                "typeName": "mlgov_task_process",
                "guid": "-2",
                "attributes": {"qualifiedName": f"p{number}", "name": "p"},
                "relationshipAttributes": {"inputs": [{"guid": "-1"}], "outputs": [{"guid": "-3"}]},
            }
            catalog.write([table(f"in{number}"), process, table("shared", "-3")])
        catalog.close()
    except BaseException as error:
        failed.put(repr(error))
        raise


def test_eight_processes_that_write_the_same_names_make_one_entity_each(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    path, start, failed = tmp_path / "c.db", context.Barrier(8), context.Queue()
    catalog = EmbeddedCatalog(path)
    catalog.create_types(our_types())
    catalog.close()
    processes = [context.Process(target=_write_all, args=(str(path), start, failed)) for _ in range(8)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert failed.empty(), failed.get()
    assert [process.exitcode for process in processes] == [0] * 8
    assert sorted(header["attributes"]["name"] for header in catalog.search("hive_table")) == sorted(
        [f"in{number}" for number in range(20)] + ["shared"]
    )
    assert len(catalog.search("mlgov_task_process")) == 20
    assert len(catalog.lineage("hive_table", "shared", direction="INPUT")["relations"]) == 40
    catalog.close()


def _make(path: str, start: Any) -> None:
    start.wait()
    EmbeddedCatalog(path).write([table("a")])


def test_eight_processes_that_make_the_file_at_once(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    start = context.Barrier(8)
    processes = [context.Process(target=_make, args=(str(tmp_path / "c.db"), start)) for _ in range(8)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0] * 8
    catalog = EmbeddedCatalog(tmp_path / "c.db")
    assert len(catalog.search("hive_table")) == 1
    catalog.close()
    assert not [file for file in tmp_path.iterdir() if file.name.startswith(".")]


def test_a_catalogue_survives_a_fork(tmp_path: Path) -> None:
    catalog = EmbeddedCatalog(tmp_path / "c.db")
    catalog.write([table("parent")])
    child = os.fork()
    if child == 0:
        status = 1
        try:
            catalog.write([table("child")])
            status = 0 if catalog.get("hive_table", "parent") else 2
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert catalog.get("hive_table", "child")
    catalog.write([table("afterwards")])
    catalog.close()


def test_threads_share_a_catalogue(tmp_path: Path) -> None:
    catalog, errors = EmbeddedCatalog(tmp_path / "c.db"), []

    def write(number: int) -> None:
        try:
            for name in range(5):
                catalog.write([table(f"t{name}", comment=str(number))])
        except Exception as error:  # noqa: BLE001 - a thread's errors are looked at by the test
            errors.append(error)

    for _ in range(3):  # more threads than connections are kept for
        threads = [threading.Thread(target=write, args=(number,)) for number in range(10)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert errors == []
    assert len(catalog.search("hive_table")) == 5
    assert len(catalog._store._connections) <= 26
    catalog.close()
