"""SIGKILL at every step between an event and its acknowledgement: the next life of the host ends as if nothing had happened."""

from __future__ import annotations

import json
import random
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_mlgov.catalog.embedded import EmbeddedCatalog
from airflow_provider_mlgov.delivery.bounds import NO_BOUNDS, Bounds
from airflow_provider_mlgov.delivery.outbox import Outbox
from airflow_provider_mlgov.delivery.sender import Sender
from airflow_provider_mlgov.delivery.spool import Spool
from airflow_provider_mlgov.errors import CatalogRefusedError, CatalogUnavailableError
from airflow_provider_mlgov.translate.options import TranslateOptions
from catalog_content import content, difference
from delivery_events import dataset, task_event, task_run
from dying import KILLED, Lines, Step, in_child

FIRST = [
    *task_run(task="a", inputs=[dataset("db.s.in", columns=2)], outputs=[dataset("db.s.x", columns=2)]),
    *task_run(task="b", seconds=8, inputs=[dataset("db.s.x")], outputs=[dataset("db.s.y")]),
]
GROWN = [task_event("COMPLETE", task="b", seconds=13, inputs=[dataset("db.s.more")])]
LATE = [*task_run(task="c", seconds=20, inputs=[dataset("db.s.y")], outputs=[dataset("db.s.z")])]
POISON = {"neither": "run nor job"}


class Catalog(EmbeddedCatalog):
    """As a real Atlas it may still be at work when its caller is gone; and it refuses a column until it is mended."""

    linger = 60.0
    mended = False

    def write(self, entities: Any, **more: Any) -> Any:
        if not self.mended and any("x.c1" in entity["attributes"]["qualifiedName"] for entity in entities):
            raise CatalogRefusedError("a bad value", error_code="ATLAS-404-00-007", status=404)
        return super().write(entities, **more)


class Life:
    """All that happens on a host, in parts; each is done again where it was not finished, as its user would."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.spool = Spool(folder / "spool")
        self.slept: list[float] = []

    def go_on(self) -> None:
        """Do what was not done before."""
        for part in (
            self.foreign,
            self.first,
            self.down,
            self.refusing,
            self.grown,
            self.retried,
            self.bounded,
            self.late,
        ):
            if part.__name__ not in self._done():
                part()
                self._note(part.__name__)

    def foreign(self) -> None:
        self.spool.prepare()
        (self.spool.root / "new" / "foreign.txt").write_text("not ours")

    def first(self) -> None:
        self._put(FIRST)
        self._put([POISON], self.spool.append)

    def down(self) -> None:
        def factory() -> Any:
            raise CatalogUnavailableError("down")

        self._send(factory)

    def refusing(self) -> None:
        self._send(self._catalog, despite_breaker=True)

    def grown(self) -> None:
        self._put(GROWN)
        self._send(self._catalog)

    def retried(self) -> None:
        self._retry()
        self._send(self._mended)

    def bounded(self) -> None:
        def factory() -> Any:
            raise CatalogUnavailableError("down")

        self._put(LATE)
        self._send(factory, Bounds(size=1))

    def late(self) -> None:
        self._retry()
        self._send(self._mended, despite_breaker=True)

    def _send(self, factory: Callable[[], Any], bounds: Bounds = NO_BOUNDS, *, despite_breaker: bool = False) -> None:
        Sender(
            self.spool,
            factory,
            TranslateOptions(airflow_namespace="test"),
            batch_size=10,
            bounds=bounds,
            sleep=self.slept.append,
        ).send(despite_breaker=despite_breaker)

    def _catalog(self) -> Catalog:
        return Catalog(self.folder / "catalog.db")

    def _mended(self) -> Catalog:
        catalog = self._catalog()
        catalog.mended = True
        return catalog

    def _retry(self) -> None:
        """Let all but the poison wait again."""
        self.spool.retry([letter.name for letter in self.spool.dead_letters() if letter.events != (POISON,)])

    def _put(self, events: list[Any], put: Callable[[Any], object] | None = None) -> None:
        """Put those whose `put` did not return in an earlier life."""
        for event in events:
            name = json.dumps(event)
            if name not in self._done():
                (put or Outbox(self.spool).put)(event)
                self._note(name)

    def _done(self) -> list[str]:
        ledger = self.folder / "ledger"
        return ledger.read_text().splitlines() if ledger.exists() else []

    def _note(self, name: str) -> None:
        with (self.folder / "ledger").open("a") as ledger:
            ledger.write(name + "\n")

    def end(self) -> tuple[Any, ...]:
        """What is left: the catalogue, the events of dead letters, what was set aside; with nothing that waits."""
        counts = self.spool.counts()
        assert counts.waiting == 0
        odd = {path.name for path in (self.spool.root / "odd").iterdir()}
        aside = {name for name in odd if not name.endswith(".reason")}
        assert {f"{name}.reason" for name in aside} <= odd
        catalog = self._catalog()
        found = content(catalog)
        deleted = [
            each for each in catalog.search("mlgov_task_process", include_deleted=True) if each["status"] == "DELETED"
        ]
        catalog.close()
        dead = [(letter.events, letter.parts) for letter in self.spool.dead_letters()]
        return found, dead, len(aside), len(deleted)


STEPS = [
    Step("nothing is on disk", "os:fsync", "before"),
    Step("written to tmp and fsynced", "os:fsync", "after"),
    Step("about to be renamed", "pathlib:Path.rename", "before"),
    Step("renamed, and its folder not fsynced", "pathlib:Path.rename", "after"),
    Step("in the spool", ".spool:Spool.append", "after"),
    Step("the last event of two runs in the spool", ".spool:Spool.append", "after", 4),
    Step("the lock's file opened", "fcntl:flock", "before"),
    Step("the lock taken", "fcntl:flock", "after"),
    Step("the breaker's new file written", "pathlib:Path.replace", "before"),
    Step("the breaker open", "pathlib:Path.replace", "after"),
    Step("the breaker open, the lock held", ".breaker:Breaker.failed", "after"),
    Step("the lock about to be freed", "filelock:FileLock.release", "before"),
    Step("the lock freed", "filelock:FileLock.release", "after"),
    Step("the state opened", ".state:SenderState.__init__", "after"),
    Step("a foreign file about to be set aside", ".spool:Spool._set_aside", "before"),
    Step("a foreign file set aside", ".spool:Spool._set_aside", "after"),
    Step("events read", ".runs:RunReader.read", "after"),
    Step("a run's state read", ".state:SenderState.run", "after"),
    Step("translated", ".runs:translate", "after", 2),
    Step("types about to be applied", ".sinks.catalog:CatalogSink._ensure_types", "before"),
    Step("types applied and not remembered", ".state:SenderState.set_fact", "before"),
    Step("types applied", ".state:SenderState.set_fact", "after"),
    Step("looked up and settled", ".sinks.catalog:CatalogSink._settled", "after"),
    Step("what is made noted", ".state:SenderState.begin_making", "after"),
    Step("the note about to begin", ".state:SenderState.begin_call", "before", 2),
    Step("the note begun, the call not sent", ".state:SenderState.begin_call", "after", 2),
    Step("inside the call", "airflow_provider_mlgov.catalog.embedded.edges:create", "after", 3),
    Step("the call answered, nobody told", "airflow_provider_mlgov.catalog.embedded:EmbeddedCatalog.write", "after", 2),
    Step("the note about to end", ".state:SenderState.end_call", "before", 2),
    Step("the note ended", ".state:SenderState.end_call", "after", 2),
    Step("the refused batch halved", ".sinks.catalog_work:Work._halve", "before"),
    Step("names about to be remembered", ".state:SenderState.remember", "before"),
    Step("names remembered", ".sinks.catalog:CatalogSink._remember", "after"),
    Step("what was made remembered", ".state:SenderState.end_making", "after"),
    Step(
        "the old process about to be deleted",
        "airflow_provider_mlgov.catalog.embedded:EmbeddedCatalog.delete",
        "before",
    ),
    Step("the old process deleted", "airflow_provider_mlgov.catalog.embedded:EmbeddedCatalog.delete", "after"),
    Step("a dead letter about to be written", ".spool:Spool.bury", "before"),
    Step("a dead letter written and not named", "pathlib:Path.rename", "before", 7),
    Step("a dead letter written, its events wait", ".spool:Spool.bury", "after"),
    Step("a dead letter of parts written, its events wait", ".spool:Spool.bury", "after", 2),
    Step("the run's state about to be saved", ".state:SenderState.save_run", "before"),
    Step("the run's state saved and not committed", ".state:SenderState.save_run", "after"),
    Step("the run's state committed", ".drain:Drain._acknowledge", "before", 2),
    Step("about to be acknowledged", ".spool:Spool.acknowledge", "before", 2),
    Step("half acknowledged", "pathlib:Path.unlink", "after", 2),
    Step("acknowledged", ".spool:Spool.acknowledge", "after", 2),
    Step("about to forget old runs", ".state:SenderState.expire", "before"),
    Step("old runs forgotten and not committed", ".state:SenderState.expire", "after"),
    Step("tidied", ".spool:Spool.tidy", "after"),
    Step("the breaker about to be closed", ".breaker:Breaker.succeeded", "before"),
    Step("the breaker closed", ".breaker:Breaker.succeeded", "after"),
    Step("a retry begun", ".spool:Spool.retry", "before"),
    Step("one event of two retried", ".spool:Spool.append", "after", 7),
    Step("all retried", ".spool:Spool.retry", "after"),
    Step("a second retry begun", ".spool:Spool.retry", "before", 2),
    Step("bounds about to be kept", ".draining:trim", "before"),
    Step("beyond the bounds, buried and still waiting", ".spool:Spool.bury", "after", 3),
    Step("bounds kept", ".draining:trim", "after"),
]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, ...]:
    life = Life(tmp_path_factory.mktemp("undisturbed"))
    life.go_on()
    end = life.end()
    content_, dead, aside, deleted = end
    assert len(content_) > 20
    assert (dead, aside, deleted) == ([((POISON,), ())], 1, 1)
    assert not life.slept
    return end


def same(found: tuple[Any, ...], wanted: tuple[Any, ...]) -> None:
    assert not difference(found[0], wanted[0])
    assert found[1:] == wanted[1:]


@pytest.mark.parametrize("step", STEPS, ids=lambda step: step.name)
def test_a_host_that_is_killed_there_ends_as_if_it_had_not(
    tmp_path: Path, undisturbed: tuple[Any, ...], step: Step
) -> None:
    life = Life(tmp_path)
    assert in_child(life.go_on, step.install) == KILLED
    life.go_on()
    same(life.end(), undisturbed)
    in_flight = step.name in ("the note begun, the call not sent", "inside the call", "the call answered, nobody told")
    assert bool(life.slept) == (in_flight or step.name == "the note about to end")


def killed_at_lines(folder: Path, undisturbed: tuple[Any, ...], kills: int) -> None:
    """Kill one host again and again, each time some lines of the delivery after it went on."""
    lines = Lines()
    (folder / "whole").mkdir()
    whole = Life(folder / "whole")
    assert in_child(lambda: (whole.go_on(), (folder / "lines").write_text(str(lines.count))), lines.install) == 0
    total = int((folder / "lines").read_text())
    assert total > 1_000
    chance = random.Random(5)
    for number in range(kills):
        (folder / str(number)).mkdir()
        life = Life(folder / str(number))
        at = chance.randrange(1, total)
        assert in_child(life.go_on, Lines(at).install) == KILLED
        if number % 2:  # and again, in the middle of the mending
            in_child(life.go_on, Lines(chance.randrange(1, total)).install)
        life.go_on()
        same(life.end(), undisturbed)
    sys.stdout.write(f"{kills} hosts killed at any of {total} lines of the delivery, every other one twice\n")


def test_killed_at_any_line(tmp_path: Path, undisturbed: tuple[Any, ...]) -> None:
    killed_at_lines(tmp_path, undisturbed, 6)


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_killed_at_a_great_many_lines(tmp_path: Path, undisturbed: tuple[Any, ...]) -> None:
    killed_at_lines(tmp_path, undisturbed, 300)
