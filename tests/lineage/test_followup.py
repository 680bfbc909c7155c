"""Notes survive whatever happens while they are worked on."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_mlgov.delivery.spool import Spool
from airflow_provider_mlgov.errors import CatalogUnavailableError
from airflow_provider_mlgov.lineage import followup, reconcile
from airflow_provider_mlgov.lineage.child import Work
from airflow_provider_mlgov.settings import Settings


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(spool_folder=tmp_path / "spool", embedded_path=tmp_path / "catalog.db")


def skips(settings: Settings) -> list[list[str]]:
    return sorted(note["skip"] for _, note in followup.notes(settings))


def test_a_newer_note_of_the_same_run_is_not_removed_unread(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    followup.note_run(settings, "d", "r", ["old"])
    seen: list[Any] = []

    def slow(settings: Settings, dag_id: str, run_id: str, skip: frozenset[str]) -> int:
        seen.append(sorted(skip))
        if skip == {"old"}:
            followup.note_run(settings, "d", "r", ["new"])  # cleared, and ended again
        return 0

    monkeypatch.setattr(reconcile, "reconcile_run", slow)
    assert reconcile.reconcile(settings) == 1
    assert skips(settings) == [["new"]]
    assert reconcile.reconcile(settings) == 1
    assert seen == [["old"], ["new"]]
    assert not followup.waiting(settings)


def test_a_note_stays_if_the_work_fails(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    followup.note_run(settings, "d", "r", ["old"])

    def fails(*args: Any) -> int:
        raise OSError("no database")

    with monkeypatch.context() as patch:
        patch.setattr(reconcile, "reconcile_run", fails)
        for _ in range(2):
            with pytest.raises(OSError, match="no database"):
                reconcile.reconcile(settings)
    followup.note_run(settings, "d", "r", ["new"])
    assert skips(settings) == [["new"], ["old"]]
    monkeypatch.setattr(reconcile, "reconcile_run", lambda *args: 0)
    assert reconcile.reconcile(settings) == 2
    assert not followup.waiting(settings)


def test_a_note_that_cannot_be_settled_keeps_no_other_from_it(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    for run in ("bad", "good", "better"):
        followup.note_run(settings, "d", run)
    settled: list[str] = []

    def work(settings: Settings, dag_id: str, run_id: str, skip: frozenset[str]) -> int:
        if run_id == "bad":
            raise ValueError("nobody can read this")
        settled.append(run_id)
        return 0

    monkeypatch.setattr(reconcile, "reconcile_run", work)
    with pytest.raises(ValueError, match="nobody can read this"):
        reconcile.reconcile(settings)
    assert sorted(settled) == ["better", "good"]
    assert [note["runId"] for _, note in followup.notes(settings)] == ["bad"]


def test_a_catalogue_that_is_away_is_asked_once(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    for run in ("r", "s", "t"):
        followup.note_run(settings, "d", run)
    asked: list[str] = []

    def away(settings: Settings, dag_id: str, run_id: str, skip: frozenset[str]) -> int:
        asked.append(run_id)
        raise CatalogUnavailableError("away")

    monkeypatch.setattr(reconcile, "reconcile_run", away)
    with pytest.raises(CatalogUnavailableError):
        reconcile.reconcile(settings)
    assert len(asked) == 1
    assert len(list(followup.notes(settings))) == 3


def test_what_ended_is_no_open_run(settings: Settings) -> None:
    assert followup.open_runs(settings) == []
    followup.note_open(settings, "d", "r")
    followup.note_open(settings, "d", "s")
    (settings.spool_folder / "open" / "damaged.json").write_text("{")
    followup.note_run(settings, "d", "r")
    assert followup.open_runs(settings) == [("d", "s")]
    followup.forget_open(settings, "d", "s")
    assert followup.open_runs(settings) == []


def test_a_note_that_was_replaced_before_it_was_claimed_has_its_grace(settings: Settings) -> None:
    followup.note_run(settings, "d", "r", ["old"])
    followup.note_run(settings, "d", "s", ["other"])
    for path, _ in followup.notes(settings):
        os.utime(path, (time.time() - 60, time.time() - 60))
    found = followup.claimed(settings, age=30)
    first = next(found)[1]["runId"]
    replaced = "s" if first == "r" else "r"
    followup.note_run(settings, "d", replaced, ["new"])
    assert list(found) == []
    assert ["new"] in skips(settings)


def test_who_comes_second_gets_nothing(settings: Settings) -> None:
    for run in ("r", "s"):
        followup.note_run(settings, "d", run)
    found = followup.claimed(settings)
    next(found)[0].unlink()
    [(path, _)] = followup.notes(settings)
    path.unlink()  # another process had it
    assert list(found) == []


def odd(settings: Settings) -> dict[str, str]:
    """What was set aside, with its reason."""
    folder = settings.spool_folder / "odd"
    names = [path.name for path in folder.iterdir() if not path.name.endswith(".reason")] if folder.exists() else []
    return {name[9:]: (folder / f"{name}.reason").read_text() for name in names}


@pytest.mark.parametrize("text", ["", "{", "5", "[]", "null", "[" * 100_000, '{"v": 1}'])
@pytest.mark.parametrize("place", ["followup", "open"])
def test_what_is_damaged_is_set_aside(settings: Settings, place: str, text: str) -> None:
    followup.note_open(settings, "d", "s")
    followup.note_run(settings, "d", "r")
    folder = settings.spool_folder / place
    (folder / "run-damaged.json").write_text(text)
    assert [note["runId"] for _, note in followup.notes(settings)] == ["r"]
    assert followup.open_runs(settings) == [("d", "s")]
    assert len(list(folder.iterdir())) == 1
    assert "it is damaged: " in odd(settings)["run-damaged.json"]
    assert Spool(settings.spool_folder).counts().odd == 1


@pytest.mark.parametrize("place", ["followup", "open"])
@pytest.mark.parametrize("kind", ["folder", "link", "pipe", "bytes", "another user's"])
def test_what_is_no_note_holds_up_no_other(
    settings: Settings, place: str, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    followup.note_open(settings, "d", "s")
    followup.note_run(settings, "d", "r")
    path = settings.spool_folder / place / "a.json"
    if kind == "folder":
        path.mkdir()
    elif kind == "link":
        path.symlink_to("/etc/passwd")
    elif kind == "pipe":
        os.mkfifo(path)
    else:
        path.write_bytes(b"\xff\xfe")
    if kind == "another user's":
        read_text = Path.read_text

        def read(self: Path, encoding: str | None = None) -> str:
            if self.name.endswith("a.json"):
                raise PermissionError(13, "Permission denied")
            return read_text(self, encoding)

        monkeypatch.setattr(Path, "read_text", read)
    assert followup.waiting(settings)
    assert [note["runId"] for _, note in followup.notes(settings)] == ["r"]
    assert followup.open_runs(settings) == [("d", "s")]
    assert Work(settings, 0.0).waits()
    monkeypatch.undo()
    assert list(odd(settings)) == ["a.json"]


def test_what_cannot_be_set_aside_is_passed_over_and_said_once(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    followup.note_run(settings, "d", "r")
    (settings.spool_folder / "odd").write_text("no folder")
    (settings.spool_folder / "followup" / "a.json").mkdir()
    for _ in range(2):
        assert [note["runId"] for _, note in followup.notes(settings)] == ["r"]
    assert caplog.text.count("cannot be set aside") == 1


def test_a_note_of_a_clock_that_was_ahead_is_old(settings: Settings) -> None:
    followup.note_run(settings, "d", "r")
    [(path, _)] = followup.notes(settings)
    ahead = time.time() + 7 * 86400
    os.utime(path, (ahead, ahead))
    assert followup.waiting(settings)
    assert [note["runId"] for _, note in followup.claimed(settings, age=5)] == ["r"]


def test_the_clock_of_a_file_server_may_be_a_little_ahead(settings: Settings) -> None:
    followup.note_run(settings, "d", "r")
    [(path, _)] = followup.notes(settings)
    ahead = time.time() + 20
    os.utime(path, (ahead, ahead))
    assert list(followup.notes(settings, age=5)) == []
    assert followup.waiting(settings)


def test_a_note_is_on_the_disk_before_it_has_its_name(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[str] = []
    fsync = os.fsync

    def noted(handle: int) -> None:
        synced.append(Path(f"/proc/self/fd/{handle}").readlink().name)
        fsync(handle)

    monkeypatch.setattr(os, "fsync", noted)
    followup.note_run(settings, "d", "r")
    file, folder = synced
    assert file.endswith(".tmp")
    assert folder == "followup"


def test_a_sound_note_in_place_of_a_damaged_one_stays(settings: Settings) -> None:
    followup.note_run(settings, "d", "r", ["new"])
    [path] = (settings.spool_folder / "followup").iterdir()
    followup._set_aside(settings, path, ValueError("it was damaged when it was looked at"))
    assert odd(settings) == {}
    assert skips(settings) == [["new"]]
    assert json.loads(next(iter((settings.spool_folder / "followup").iterdir())).read_text())["runId"] == "r"
