"""Runs of long ago are deleted, and nothing else."""

from __future__ import annotations

import time
import uuid

import pytest

from airflow_provider_mlgov.catalog import retention
from airflow_provider_mlgov.catalog.catalog import Catalog
from airflow_provider_mlgov.model.identity import JobRun

DAY = 86_400_000
NOW = int(time.time() * 1000)
TYPE = JobRun.type_name


class Runs:
    """Runs of a namespace of their own."""

    def __init__(self, catalog: Catalog) -> None:
        self.catalog = catalog
        self.namespace = f"purge-{uuid.uuid4().hex[:8]}"

    def name(self, run: object, namespace: str | None = None) -> str:
        return str(JobRun(namespace or self.namespace, "n", "j", str(run)))

    def put(self, runs: dict[object, dict[str, object]], namespace: str | None = None) -> None:
        self.catalog.write(
            [
                {
                    "typeName": TYPE,
                    "guid": f"-{index}",
                    "attributes": {"qualifiedName": self.name(run, namespace), "name": "j", **attributes},
                }
                for index, (run, attributes) in enumerate(runs.items(), 1)
            ]
        )

    def ended(self, days: float) -> dict[str, object]:
        return {"state": "success", "endTime": NOW - int(days * DAY)}

    def old(self, days: float = 30) -> set[str]:
        found = retention.old_runs(self.catalog, TYPE, self.namespace, NOW - int(days * DAY))
        return {header["attributes"]["qualifiedName"] for header in found}


@pytest.fixture
def runs(catalog: Catalog) -> Runs:
    return Runs(catalog)


def test_old_runs_are_those_that_ended_before(runs: Runs) -> None:
    runs.put({1: runs.ended(40), 2: runs.ended(31), 3: runs.ended(29), 4: {}, 5: {"startTime": NOW - 90 * DAY}})
    runs.put({1: runs.ended(90)}, f"{runs.namespace}-other")
    wait(lambda: len(runs.old()) == 2)
    assert runs.old() == {runs.name(1), runs.name(2)}
    assert runs.old(35) == {runs.name(1)}


def wait(is_so) -> None:
    for _ in range(50):
        if is_so():
            return
        time.sleep(0.1)


def test_they_are_deleted_for_good_and_nothing_else(runs: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "BATCH", 4)
    runs.put({number: runs.ended(40) for number in range(10)} | {"new": runs.ended(1), "open": {}})
    wait(lambda: len(runs.old()) == 10)
    told: list[int] = []
    retention.purge(runs.catalog, TYPE, runs.namespace, NOW - 30 * DAY, told.append)
    assert told == [4, 4, 2]
    for number in range(10):
        assert runs.catalog.get(TYPE, runs.name(number)) is None
    for kept in ("new", "open"):
        assert runs.catalog.get(TYPE, runs.name(kept)) is not None
    wait(lambda: not runs.old())
    assert not runs.old()


def test_what_was_stopped_goes_on(runs: Runs) -> None:
    runs.put({number: runs.ended(40) for number in range(3)})
    wait(lambda: len(runs.old()) == 3)

    def stopped(_count: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        retention.purge(runs.catalog, TYPE, runs.namespace, NOW - 35 * DAY, stopped)
    told: list[int] = []
    wait(lambda: not runs.old())
    runs.put({"more": runs.ended(50)})
    wait(lambda: len(runs.old()) == 1)
    retention.purge(runs.catalog, TYPE, runs.namespace, NOW - 30 * DAY, told.append, for_good=False)
    assert told == [1]
