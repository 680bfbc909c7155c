"""Names that were about to be written when a send was cut off: it is found out later whether they were made here."""

from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_mlgov.catalog.embedded import EmbeddedCatalog
from airflow_provider_mlgov.delivery.outbox import Outbox
from airflow_provider_mlgov.delivery.sender import Sender
from airflow_provider_mlgov.delivery.spool import Spool
from delivery_events import dataset, task_run
from fake_atlas import answer
from hostile_atlas import HostileAtlas
from hostile_hosts import EVENTS, HTML, OPTIONS, Host


class KilledError(BaseException):
    """The process ends here."""


class Counting(EmbeddedCatalog):
    """Counts its calls; ``killed``: its next write ends the process that asked for it."""

    killed = False

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.calls: list[str] = []

    def get(self, *args: Any, **more: Any) -> Any:
        self.calls.append("get")
        return super().get(*args, **more)

    def get_many(self, *args: Any) -> Any:
        self.calls.append("get_many")
        return super().get_many(*args)

    def write(self, *args: Any, **more: Any) -> Any:
        if self.killed:
            self.killed = False
            raise KilledError
        return super().write(*args, **more)

    def close(self) -> None:
        """It stays open: the next send uses it."""


def put(spool: Spool, events: list[Any]) -> None:
    for event in events:
        Outbox(spool).put(event)


@pytest.mark.parametrize(
    "fault", [answer("403 Forbidden", HTML, "text/html"), answer("500 Server Error", "oops", "text/plain")]
)
def test_a_name_that_nobody_may_ask_for_holds_nobody_else(
    tmp_path: Path, atlas_at: Callable[..., HostileAtlas], fault: Callable[[socket.socket, str], None]
) -> None:
    """A firewall does not like the name of one table: neither its event, nor what is remembered of it, keeps others from Atlas."""
    atlas = atlas_at()
    host = Host(tmp_path, atlas.url)
    host.knows_types()
    host.batch_size = 100
    host.put(EVENTS)
    assert host.send(None).outcome == "done"

    def firewall(client: socket.socket, request: str) -> None:
        if "poison" in request:
            fault(client, request)
        else:
            atlas.handle_well(client, request)

    atlas.fault = firewall
    host.put(task_run(task="p", outputs=[dataset("db.s.poison")]))
    for number in range(4):
        host.put(task_run(task=f"c{number}", seconds=20 + number, outputs=[dataset(f"db.s.z{number}")]))
        report = host.send(None, despite_breaker=True)
        assert (report.outcome, host.spool.counts().waiting) == ("done", 0)
    (letter,) = host.spool.dead_letters()
    assert {event["job"]["name"] for event in letter.events} == {"shop.p"}


def test_what_is_remembered_of_a_cut_off_send_costs_no_calls(tmp_path: Path) -> None:
    """However many names it was about to write: a slow catalogue that is asked for all of them would hold who waits."""
    catalog, spool = Counting(tmp_path / "catalog.db"), Spool(tmp_path / "spool")
    put(spool, task_run(task="first"))
    assert Sender(spool, lambda: catalog, OPTIONS).send().outcome == "done"
    put(spool, task_run(task="wide", outputs=[dataset(f"db.s.w{number}") for number in range(600)]))
    catalog.killed = True
    with pytest.raises(KilledError):
        Sender(spool, lambda: catalog, OPTIONS).send()
    spool.acknowledge(spool.waiting())  # by hand
    calls = []
    for task in ("a", "b"):
        put(spool, task_run(task=task, seconds=20))
        del catalog.calls[:]
        assert Sender(spool, lambda: catalog, OPTIONS).send().outcome == "done"
        calls.append(catalog.calls)
    assert len(calls[0]) == len(calls[1]) < 10


def test_what_came_to_be_before_the_cut_is_known_for_ones_own(tmp_path: Path) -> None:
    """So it is dropped by an event of a time before it was made, as if nothing had been cut off."""
    catalog, spool = Counting(tmp_path / "catalog.db"), Spool(tmp_path / "spool")
    original = catalog.write

    def killed_after(*args: Any, **more: Any) -> Any:
        original(*args, **more)
        raise KilledError

    put(spool, task_run(task="a", seconds=-7200, outputs=[dataset("db.s.x")]))
    catalog.write = killed_after  # type: ignore[method-assign]
    with pytest.raises(KilledError):
        Sender(spool, lambda: catalog, OPTIONS, batch_size=1000).send()
    catalog.write = original  # type: ignore[method-assign]
    assert Sender(spool, lambda: catalog, OPTIONS).send().outcome == "done"
    assert catalog.get("rdbms_table", "db.test:5432/db.s.x@primary") is not None
    dropped = {**dataset("db.s.x"), "facets": {"lifecycleStateChange": {"lifecycleStateChange": "DROP"}}}
    put(spool, task_run(task="drop", seconds=-3600, outputs=[dropped]))
    assert Sender(spool, lambda: catalog, OPTIONS).send().outcome == "done"
    assert catalog.get("rdbms_table", "db.test:5432/db.s.x@primary") is None
