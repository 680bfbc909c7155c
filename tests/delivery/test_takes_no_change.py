"""A catalogue that can change nothing, and answers well to what is there already, or goes away bit by bit: no run is to blame."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from airflow_provider_mlgov.delivery.runs import RunReader
from airflow_provider_mlgov.errors import CatalogBusyError
from delivery_events import dataset
from failing_catalogs import ERRORS, RENAMED, Faulty, Sending, poisonous


class NoStorage(Faulty):
    """What keeps its data takes no change, as where a disk below it is full; it answers to all that is there already."""

    is_full = True

    def __getattr__(self, name: str) -> Any:
        found = super().__getattr__(name)
        return self._write if name == "write" and self.is_full else found

    def _write(self, entities: Any) -> Any:
        for entity in entities:
            name = entity["attributes"]["qualifiedName"]
            stored = self.catalog.get_many(entity["typeName"], [name]).get(name)
            known = {} if stored is None else stored["attributes"]
            told = {key: value for key, value in entity["attributes"].items() if not isinstance(value, dict | list)}
            if stored is None or any(known.get(key) != value for key, value in told.items()):
                raise CatalogBusyError("500")
        return self.catalog.write(entities)


@pytest.mark.parametrize("runs", [1, 8])
@pytest.mark.parametrize("columns", [0, 5])
def test_a_catalogue_that_takes_no_change_loses_nothing(tmp_path: Path, catalog: Any, runs: int, columns: int) -> None:
    """All tables are known, so each run has something that is answered well, and so has what was taken before."""
    full = NoStorage(catalog.catalog)
    full.is_full = False
    host = Sending(tmp_path, full)
    host.put(("t", columns))
    assert host.send() == ("done", 0, 0)
    full.is_full = True
    for number in range(runs):
        host.write(f"task{number}", dataset("db.s.t", columns=columns), 100.0 + number)
    assert [host.send() for _ in range(5)] == [("busy", 2 * runs, 0)] * 5
    full.is_full = False
    assert host.send() == ("done", 0, 0)
    assert len(full.search("mlgov_task_run", limit=50)) == 1 + runs


def test_who_takes_no_change_for_days_is_taken_to_be_well(
    tmp_path: Path, catalog: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So a run at which it fails for other reasons does not block for ever those that change the same name."""
    host = Sending(tmp_path, catalog)
    host.write("t0", RENAMED, 0)
    assert host.send() == ("done", 0, 0)
    host.write("poison", RENAMED, 10)
    host.write("t1", RENAMED, 20)
    catalog.fault = poisonous("write", ERRORS["busy"])
    assert [host.send() for _ in range(3)] == [("busy", 4, 0)] * 3
    monkeypatch.setattr(RunReader, "have_waited", lambda reader, runs: 4 * 86_400.0)
    for _ in range(3):
        host.send()
    assert (host.spool.has_waiting(), host.spool.counts().dead) == (False, 1)


def test_who_was_stuck_while_a_catalogue_went_away_is_tried_again(tmp_path: Path, catalog: Any) -> None:
    """One entity fails alone, others are taken; then everything fails."""
    host, has_failed, has_gone = Sending(tmp_path, catalog), [False], [False]
    host.put(("t", 5))

    def write(entities: Any) -> Any:
        names = [entity["attributes"]["qualifiedName"] for entity in entities]
        has_failed[0] = has_failed[0] or names == ["dags/d@test"]
        if has_gone[0] or len(names) > 1 or names == ["dags/d@test"]:
            raise CatalogBusyError("500")
        has_gone[0] = has_failed[0]
        return catalog.catalog.write(entities)

    catalog.write = write
    assert [host.send() for _ in range(3)] == [("busy", 2, 0)] * 3
    assert has_gone == [True]
    del catalog.write
    assert host.send() == ("done", 0, 0)
