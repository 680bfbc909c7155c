"""Datasets that are made, read, dropped and renamed, told in any order: the catalogue ends as the world did."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from tests.delivery.test_any_order import catalogued, shuffled

Json = dict[str, Any]

POSTGRES, S3 = "postgres://db:5432", "s3://lake"
TABLES = [(POSTGRES, f"shop.public.t{number}") for number in range(4)]
FOLDERS = [(S3, name) for name in ("in", "in/a", "in/b", "out", "out/a")]
COLUMNS = [{"name": "id", "type": "int"}, {"name": "mail", "type": "text"}]
AT = "db:5432/shop.public"
Name = tuple[str, str]


class World:
    """What is there, and what was told of it."""

    def __init__(self, seed: int, *, again: bool) -> None:
        self.rng = random.Random(seed)
        self.again = again
        """Whether what was dropped is made again."""
        self.there: set[Name] = set()
        self.used: set[Name] = set()
        """Names that are not used again."""
        self.events: list[Json] = []

    def dataset(self, name: Name, **facets: Json) -> Json:
        if name[0] == POSTGRES:
            facets["schema"] = {"fields": COLUMNS}
        return {"namespace": name[0], "name": name[1], "facets": facets}

    def tell(self, inputs: list[Json], outputs: list[Json]) -> None:
        number = len(self.events) + 1
        self.events.append(
            {
                "eventType": "COMPLETE",
                "eventTime": f"2026-01-31T01:{number:02}:00Z",
                "producer": "https://example.com",
                "schemaURL": "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent",
                "run": {"runId": str(UUID(int=number))},
                "job": {"namespace": "jobs", "name": f"job{number}"},
                "inputs": inputs,
                "outputs": outputs,
            }
        )

    def write(self) -> None:
        free = [name for name in [*TABLES, *FOLDERS] if name not in self.used and not self.is_under_used(name)]
        if free:
            name = self.rng.choice(free)
            sources = self.rng.sample(sorted(self.there), min(len(self.there), self.rng.randint(0, 2)))
            self.there.add(name)
            self.tell([self.dataset(source) for source in sources if source != name], [self.dataset(name)])

    def is_under_used(self, name: Name) -> bool:
        return any(name[0] == old[0] == S3 and f"{name[1]}/".startswith(f"{old[1]}/") for old in self.used)

    def drop(self) -> None:
        name = self.rng.choice(sorted(self.there))
        if not self.again:
            self.used.add(name)
        self.there -= {other for other in self.there if inside(other, name)}
        self.tell([], [self.dataset(name, lifecycleStateChange={"lifecycleStateChange": "DROP"})])

    def rename(self) -> None:
        old = self.rng.choice(sorted(self.there))
        new = (old[0], f"{old[1]}_{len(self.events)}")
        self.used.add(old)
        moved = {other for other in self.there if inside(other, old)}
        self.there = self.there - moved | {(old[0], new[1] + other[1][len(old[1]) :]) for other in moved}
        before = {"namespace": old[0], "name": old[1]}
        facet = {"lifecycleStateChange": "RENAME", "previousIdentifier": before}
        self.tell([], [self.dataset(new, lifecycleStateChange=facet)])

    def live(self, steps: int) -> None:
        for _ in range(steps):
            what = self.rng.choice([self.write, self.write, self.drop, self.rename]) if self.there else self.write
            what()


def inside(name: Name, whole: Name) -> bool:
    return name == whole or (name[0] == whole[0] == S3 and name[1].startswith(f"{whole[1]}/"))


def entity(name: Name) -> str:
    if name[0] == POSTGRES:
        return f"rdbms_table db:5432/{name[1]}@primary"
    return f"aws_s3_v2_directory s3a://lake/{name[1]}/@primary"


def check(seed: int, folder: Path, orders: int, *, again: bool) -> None:
    """What is made again after a drop is, told late, one with what it was: which processes it has depends on the order."""
    world = World(seed, again=again)
    world.live(10)
    wanted = catalogued(folder / "ordered", [[event] for event in world.events])
    tables = {key for key in wanted if key.startswith("rdbms_table")}
    assert tables == {entity(name) for name in world.there if name[0] == POSTGRES}
    assert {entity(name) for name in world.there} <= wanted.keys()
    for order in range(orders):
        found = catalogued(folder / str(order), shuffled(world.events, order))
        assert found.keys() == wanted.keys(), f"seed {seed}, order {order}"
        for key, value in wanted.items():
            what = ("attributes",) if again else ("attributes", "relations")
            for one in what:
                assert found[key][one] == value[one], f"seed {seed}, order {order}: {key}"


@pytest.mark.parametrize("again", [False, True])
@pytest.mark.parametrize("seed", range(8))
def test_any_history(seed: int, tmp_path: Path, again: bool) -> None:
    check(seed, tmp_path, 3, again=again)


@pytest.mark.long
@pytest.mark.parametrize("again", [False, True])
@pytest.mark.parametrize("seed", range(100, 150))
def test_any_history_often(seed: int, tmp_path: Path, again: bool) -> None:
    check(seed, tmp_path, 10, again=again)
