"""What the sender remembers of applications, whose steps are runs: the paths that each named, and which tables these are."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from airflow_provider_mlgov.delivery.state_file import StateFile

Json = dict[str, Any]


class ApplicationsState(StateFile):
    """The part of the sender's state that is about applications."""

    def tellings(self, application: str, namespace: str, name: str) -> list[Any]:
        """Of which tables the steps of an application said a path is, with a slash at its end or without, as remembered."""
        rows = self._rows(
            "SELECT others FROM alias WHERE application = ? AND namespace = ? AND name IN (?, ?)",
            *(application, namespace, name, f"{name}/"),
        )
        return [told for row in rows for told in json.loads(row[0])]

    def remember_alias(self, application: str, namespace: str, name: str, others: list[Any]) -> None:
        """A step told of which table a path is; inside a `transaction`."""
        row = (application, namespace, name, json.dumps(others), self._clock())
        self._db.execute("INSERT OR REPLACE INTO alias VALUES (?, ?, ?, ?, ?)", row)

    def steps(self, application: str, namespace: str, path: str) -> list[tuple[str, str, int, int, Json]]:
        """The known runs that named this path, or what is in it: key, path, first and last time in µs, and what the path meant."""
        rows = [
            row
            for place, *values in (("path = ?", path), ("path >= ? AND path < ?", f"{path}/", f"{path}0"))
            for row in self._rows(
                f"SELECT run, path, first, last, meant FROM step WHERE application = ? AND namespace = ? AND {place} "  # noqa: S608 - constants
                "AND EXISTS (SELECT 1 FROM run WHERE key = step.run)",
                *(application, namespace, *values),
            )
        ]
        return [(run, path, first, last, json.loads(meant)) for run, path, first, last, meant in rows]

    def forget_steps(self, run: str) -> None:
        """Forget the paths of a run; inside a `transaction`."""
        self._db.execute("DELETE FROM step WHERE run = ?", (run,))

    def remember_steps(self, application: str, run: str, paths: Iterable[tuple[str, str, int, int, Json]]) -> None:
        """A run was sent, with these paths, each with its time and what it meant; inside a `transaction`."""
        self._db.executemany(
            "INSERT OR REPLACE INTO step VALUES (?, ?, ?, ?, ?, ?, ?)",
            [(application, *path, run, first, last, json.dumps(meant)) for *path, first, last, meant in paths],
        )
