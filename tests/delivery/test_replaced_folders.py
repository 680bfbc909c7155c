"""Folders that take the place of others (`rm -r out; mv new out`): what was told of the old ones says nothing of the new."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.delivery.test_any_order import catalogued
from tests.delivery.test_quality import dropped, renamed
from tests.delivery.test_renamed_processes import S3, wrote

Json = dict[str, Any]


def made(run: int, source: str, folder: str, *, job: str = "load") -> Json:
    return wrote(run, source, folder, namespace=S3, job=job)


OTHER = [
    *(made(1, "x", "out/a"), dropped(2, "out/a", S3), made(3, "x", "out/a")),
    *(dropped(5, "out_9", S3), renamed(6, "out", "out_9", S3)),
]
PLACE = [made(1, "x", "out/a"), made(2, "x", "new/a"), dropped(3, "out", S3), renamed(4, "new", "out", S3)]
OF_ANOTHER = [made(1, "x", "out/a"), made(2, "y", "new/a"), dropped(3, "out", S3), renamed(4, "new", "out", S3)]
UNKNOWN = [made(1, "x", "out/a"), dropped(3, "out", S3), renamed(4, "new", "out", S3)]
ROTATED = [
    *(made(1, "x", "cur/a"), made(2, "y", "prev/a"), dropped(4, "cur", S3), renamed(5, "prev", "old", S3)),
    *(made(6, "z", "cur/b"), renamed(7, "cur", "prev", S3)),
]
SWAPPED = [
    *(made(1, "x", "out/a"), made(2, "y", "new/a"), dropped(3, "out/a", S3), made(4, "z", "out/b")),
    *(renamed(5, "new", "m", S3), renamed(6, "out", "new", S3), renamed(7, "m", "out", S3)),
]
OF_TWO = [made(1, "x", "out/a"), made(2, "y", "out/a", job="k"), dropped(3, "out", S3), renamed(4, "new", "out", S3)]
OF_TWO_REPLACED = [
    *(made(1, "x", "out/a"), made(2, "y", "out/a", job="k"), made(3, "z", "new/b")),
    *(dropped(4, "out", S3), renamed(5, "new", "out", S3)),
]


@pytest.mark.parametrize(
    ("events", "order"),
    [
        *((OTHER, order) for order in ("0 1 2 3 4 0", "1 2 3 4 0", "01234 0", "3 4 0 1 2 0")),
        *((PLACE, order) for order in ("0 1 2 3 0", "0123 0", "1 2 3 0", "3 2 1 0", "2 3 1 0 1 0")),
        *((OF_ANOTHER, order) for order in ("0 1 2 3 0", "0123 0")),
        *((ROTATED, order) for order in ("0 1 2 3 4 5 1", "0 1 2 3 4 5 0", "012345 1")),
        *((SWAPPED, order) for order in ("0 1 2 3 4 5 6 1", "0 1 2 3 4 5 6 0")),
        *((OF_TWO, order) for order in ("0 2 3 1", "0 23 1")),
        *((OF_TWO_REPLACED, order) for order in ("0 2 3 4 1", "0 2 3 4 1 0")),
        *((UNKNOWN, order) for order in ("2 1 0", "1 2 0", "0 2 1", "0 2 1 0", "2 1 0 0")),
    ],
)
def test_what_has_the_name_now_stays_as_it_is(events: list[Json], order: str, tmp_path: Path) -> None:
    wanted = shown(catalogued(tmp_path / "in order", [[one] for one in events]))
    portions = [[events[int(number)] for number in portion] for portion in order.split()]
    assert shown(catalogued(tmp_path / "told so", portions)) == wanted


def shown(found: Json) -> tuple[list[str], list[Json]]:
    """Folders, and the edges of processes."""
    folders = sorted(key for key in found if key.startswith("aws_s3"))
    processes = [entity["relations"] for key, entity in found.items() if key.startswith("mlgov_job_process")]
    return folders, sorted(processes, key=str)
