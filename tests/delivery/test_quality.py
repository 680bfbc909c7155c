"""What was found out about datasets that were dropped or got another name, told in any order."""

from __future__ import annotations

from itertools import permutations
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_mlgov.catalog.embedded import EmbeddedCatalog
from airflow_provider_mlgov.delivery.outbox import Outbox
from airflow_provider_mlgov.delivery.renames import in_order
from airflow_provider_mlgov.delivery.sender import Sender
from airflow_provider_mlgov.delivery.spool import Spool
from airflow_provider_mlgov.errors import CatalogBusyError, CatalogUnavailableError
from airflow_provider_mlgov.model.entity import Change, Ref
from airflow_provider_mlgov.model.identity import token
from tests.delivery.test_any_order import OPTIONS, catalogued
from tests.delivery.test_any_portion import DB, TESTED, data, event, orders, quality

Json = dict[str, Any]
GCS = "gs://lake"


def checked(run: int, name: str, namespace: str = DB) -> Json:
    """A run whose tests fail, and which fails for that: nothing else is told of the dataset."""
    return event(run, run, [data(name, namespace, **TESTED)], [], kind="FAIL", job=f"tests{run}")


def measured(run: int, name: str, namespace: str = DB) -> Json:
    return event(run, run, [], [data(name, namespace, dataQualityMetrics={"rowCount": run})], job=f"makes{run}")


def dropped(run: int, name: str, namespace: str = DB) -> Json:
    return event(run, run, [], [data(name, namespace, lifecycleStateChange={"lifecycleStateChange": "DROP"})], job="d")


def renamed(run: int, old: str, new: str, namespace: str = DB) -> Json:
    before = {"namespace": namespace, "name": data(old, namespace)["name"]}
    facet = {"lifecycleStateChange": "RENAME", "previousIdentifier": before}
    return event(run, run, [], [data(new, namespace, lifecycleStateChange=facet)], job="r")


def told(found: Json) -> dict[str, tuple[int, int]]:
    """By dataset: how many tests fail, and how many rows there are."""
    results = quality(found)
    assert all(result["datasetKey"] == token(result["datasetName"]) for result in results)
    return {
        f"{result['datasetName']}, {result['name']}": (result.get("failed") or 0, result.get("rowCount") or 0)
        for result in results
    }


def of(name: str) -> str:
    return f"db:5432/d.s.{name}@primary, quality of s.{name}"


INSIDE = "gs://lake/d2/in/@primary, quality of in"


@pytest.mark.parametrize(
    ("events", "wanted"),
    [
        ([checked(1, "a"), renamed(2, "a", "b")], {of("b"): (1, 0)}),
        ([checked(1, "a"), renamed(2, "a", "b"), measured(3, "b")], {of("b"): (1, 3)}),
        ([checked(1, "a"), renamed(2, "a", "b"), measured(3, "a")], {of("b"): (1, 0), of("a"): (0, 3)}),
        ([checked(1, "a"), renamed(2, "a", "b"), renamed(3, "b", "c")], {of("c"): (1, 0)}),
        ([checked(1, "a"), renamed(2, "a", "b"), dropped(3, "b")], {}),
        ([measured(1, "a"), checked(2, "a"), dropped(3, "a")], {}),
        ([checked(1, "a"), dropped(2, "a"), measured(3, "a")], {of("a"): (0, 3)}),
        ([measured(1, "d/in", GCS), renamed(2, "d", "d2", GCS), checked(3, "d2/in", GCS)], {INSIDE: (1, 1)}),
        ([measured(1, "d/in", GCS), checked(2, "d/in", GCS), dropped(3, "d", GCS)], {}),
    ],
)
def test_what_was_found_out_goes_with_its_dataset(
    events: list[Json], wanted: dict[str, tuple[int, int]], tmp_path: Path
) -> None:
    for number, portions in enumerate(orders(events)):
        assert told(catalogued(tmp_path / str(number), portions)) == wanted, portions


def test_what_was_found_out_about_a_path_is_of_the_table_that_it_turns_out_to_be(tmp_path: Path) -> None:
    table = {"identifiers": [{"namespace": "hive://m:9083", "name": "d.t", "type": "TABLE"}]}
    path = "/wh/t", "hdfs://nn"
    events = [
        event(1, 1, [], [data(*path, dataQualityMetrics={"rowCount": 1})], kind="RUNNING"),
        event(1, 2, [], [data(*path)]),
        event(1, 3, [], [data(*path, symlinks=table)]),
    ]
    for number, portions in enumerate(orders(events)):
        assert told(catalogued(tmp_path / str(number), portions)) == {"d.t@primary, quality of t": (0, 1)}, number


def test_what_is_in_a_directory_that_gets_another_name_is_called_so_too(tmp_path: Path) -> None:
    events = [measured(1, "d/e/f", GCS), renamed(2, "d", "d2", GCS), measured(3, "d2/e/f", GCS)]
    for number, order in enumerate([*permutations(events), *permutations(events[:2])]):
        found = catalogued(tmp_path / str(number), [[one] for one in order])
        names = {
            key.partition(" ")[2]: (entity["attributes"]["datasetName"], entity["attributes"]["datasetKey"])
            for key, entity in found.items()
            if key.startswith("mlgov_gcs_directory")
        }
        wanted = {f"gs://lake/{name}@primary": name for name in ("d2/", "d2/e/", "d2/e/f/")}
        assert names == {key: (name, token(key)) for key, name in wanted.items()}, number


def made(run: int, name: str, source: str) -> Json:
    columns = {"fields": [{"name": f"of_{source}", "type": "int"}]}
    return event(run, run, [data(source)], [data(name, schema=columns)], job=f"makes{run}")


REPLACED = [
    made(1, "t", "x"),
    made(2, "t_new", "y"),
    checked(3, "t_new"),
    renamed(4, "t", "t_old"),
    renamed(5, "t_new", "t"),
]
DROPPED = [made(1, "t", "x"), made(2, "t_new", "y"), checked(3, "t_new"), dropped(4, "t"), renamed(5, "t_new", "t")]
SWAPPED = [
    *(made(1, "a", "x"), made(2, "b", "y"), checked(3, "a")),
    *(renamed(4, "a", "c"), renamed(5, "b", "a"), renamed(6, "c", "b")),
]


@pytest.mark.parametrize(
    ("events", "results", "edges"),
    [
        (REPLACED, {of("t"): (1, 0)}, {("x", "t_old"), ("y", "t")}),
        (DROPPED, {of("t"): (1, 0)}, {("y", "t")}),
        (SWAPPED, {of("b"): (1, 0)}, {("x", "b"), ("y", "a")}),
    ],
)
@pytest.mark.parametrize("cut", [0, 1, 2, 3, 4, 5, None])
def test_a_name_that_is_used_again_is_that_of_the_new_dataset(
    events: list[Json], results: Json, edges: set[tuple[str, str]], cut: int | None, tmp_path: Path
) -> None:
    """In one portion, in two, or each event by itself."""
    portions = (
        [[one] for one in events] if cut is None else [portion for portion in (events[:cut], events[cut:]) if portion]
    )
    found = catalogued(tmp_path / "told", portions)
    assert told(found) == results
    columns = {key.rpartition("d.s.")[2].partition("@")[0] for key in found if key.startswith("rdbms_column")}
    assert columns == {f"{table}.of_{source}" for source, table in edges}
    assert flows(found) == edges


def flows(found: Json) -> set[tuple[str, str]]:
    return {
        (source.rpartition(".")[2], table.rpartition(".")[2])
        for key, entity in found.items()
        if key.startswith("mlgov_job_process")
        for source in entity["relations"]["inputs"]
        for table in entity["relations"]["outputs"]
    }


@pytest.mark.parametrize("before", [False, True])
def test_a_result_of_a_table_that_takes_the_place_of_a_dropped_one_stays_however_late(
    before: bool, tmp_path: Path
) -> None:
    """Told late or again: the drop was of the table that had the name before."""
    old, new, test = made(1, "t", "x"), made(2, "t_new", "y"), checked(3, "t_new")
    swap = [dropped(4, "t"), renamed(5, "t_new", "t")]
    first = [old] if before else []
    for number, portions in enumerate(
        (
            [[*first, new, test, *swap], [test]],
            [[*first, new, *swap], [test]],
            [[*first, *swap], [new, test]],
            [[*first, *swap], [test, new]],
            [[*first, new, test, *swap], [*first, new, test, *swap]],
        )
    ):
        found = catalogued(tmp_path / str(number), portions)
        assert (told(found), flows(found)) == ({of("t"): (1, 0)}, {("y", "t")}), portions
    if before:
        found = catalogued(tmp_path / "older", [[old, new, test, *swap], [old]])
        assert (told(found), flows(found)) == ({of("t"): (1, 0)}, {("y", "t")})


def test_a_result_of_a_table_that_got_its_name_in_two_steps_stays_when_told_again(tmp_path: Path) -> None:
    test = checked(1, "a")
    found = catalogued(tmp_path, [[test, dropped(2, "c"), renamed(3, "a", "b"), renamed(4, "b", "c")], [test]])
    assert told(found) == {of("c"): (1, 0)}


def test_a_result_stays_with_its_table_in_whatever_order_the_names_change(tmp_path: Path) -> None:
    events = [checked(1, "t_new"), renamed(2, "t", "t_old"), renamed(3, "t_new", "t")]
    for number, order in enumerate(permutations(events)):
        for cut in (1, 2, 3):
            portions = [portion for portion in (order[:cut], order[cut:]) if portion]
            found = catalogued(tmp_path / f"{number}-{cut}", [list(portion) for portion in portions])
            assert told(found) == {of("t"): (1, 0)}, portions


def test_a_renaming_that_was_cut_off_at_any_call_is_finished_by_the_next_send(tmp_path: Path) -> None:
    events = [measured(1, "d/in/a", GCS), measured(2, "d/b", GCS)], [renamed(3, "d", "d2", GCS)]
    assert cut_off_at_each_call(tmp_path, *events) > 10


def cut_off_at_each_call(folder: Path, before: list[Json], changes: list[Json]) -> int:
    """Send ``changes`` cut off at each call, and again: it ends the same, also when all is told once more. Gives how many calls."""
    wanted = catalogued(folder / "whole", [before, changes])
    then = catalogued(folder / "whole", [[*before, *changes]])
    for number in range(1, 1_000):
        catalog = CutOff(folder / str(number) / "catalog.db")
        spool = Spool(folder / str(number) / "spool")
        sender = Sender(spool, lambda catalog=catalog: catalog, OPTIONS, breaker_interval=0.0)
        for portion in (before, changes):
            for one in portion:
                Outbox(spool).put(one)
            catalog.left = number if portion is changes else 0
            report = sender.send()
        is_over = report.outcome == "done"
        catalog.left = 0
        sender.send()
        assert catalogued(folder / str(number), []) == wanted, number
        assert catalogued(folder / str(number), [[*before, *changes]]) == then, number
        if is_over:
            return number
    pytest.fail("it never came to an end")


CALLS = {
    *("get", "get_by_guid", "get_many", "get_many_by_guid", "search"),
    *("write", "update", "delete", "delete_by_guid"),
}


class CutOff(EmbeddedCatalog):
    """A catalogue that goes away at the call of number ``left``, counted from when that is set; 0: never."""

    left = 0

    def __getattribute__(self, name: str) -> Any:
        if name in CALLS and self.left:
            self.left -= 1
            if not self.left:
                raise CatalogUnavailableError("gone in the middle")
        return super().__getattribute__(name)

    def close(self) -> None:
        """It stays open: the next send uses it."""


def test_a_change_that_fails_for_a_moment_is_not_overtaken(tmp_path: Path) -> None:
    """What follows it waits, or would find the names as they were before."""

    class Busy(EmbeddedCatalog):
        left = 0

        def get(self, type_name: str, qualified_name: str, **more: Any) -> Any:
            if self.left and "d.s.t@" in qualified_name:
                self.left -= 1
                raise CatalogBusyError("503 Service Unavailable")
            return super().get(type_name, qualified_name, **more)

        def close(self) -> None:
            """It stays open: the next send uses it."""

    catalog, spool = Busy(tmp_path / "told" / "catalog.db"), Spool(tmp_path / "told" / "spool")
    for portion in (REPLACED[:3], REPLACED[3:]):
        for one in portion:
            Outbox(spool).put(one)
        catalog.left = 3 if portion == REPLACED[3:] else 0
        report = Sender(spool, lambda: catalog, OPTIONS, breaker_interval=0.0, sleep=lambda _: None).send()
        assert (report.outcome, report.dead) == ("done", 0)
    found = catalogued(tmp_path / "told", [])
    assert (told(found), flows(found)) == ({of("t"): (1, 0)}, {("x", "t_old"), ("y", "t")})


def test_changes_of_one_time_are_sorted_in_linear_time() -> None:
    def change(number: int) -> Change:
        return Change("rename", Ref("rdbms_table", f"{number}"), 1, Ref("rdbms_table", f"{number + 1}"))

    names = [change.ref.qualified_name for change in in_order(change(number) for number in range(20_000))]
    assert names == [str(number) for number in reversed(range(20_000))]
