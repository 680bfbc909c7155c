"""What is on disk is read by later versions, and an earlier version leaves what a later one wrote.

``tests/formats/first`` is what the first version wrote: never record it anew, but add what later versions write beside it.
"""

from __future__ import annotations

import gzip
import json
import logging
import shutil
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_mlgov.catalog.embedded import EmbeddedCatalog
from airflow_provider_mlgov.delivery.breaker import Breaker
from airflow_provider_mlgov.delivery.sender import Sender
from airflow_provider_mlgov.delivery.spool import Spool
from airflow_provider_mlgov.delivery.state import SenderState
from airflow_provider_mlgov.errors import CatalogUnavailableError, ConfigurationError, SpoolError
from airflow_provider_mlgov.lineage import followup
from airflow_provider_mlgov.lineage.tokens import Tokens
from airflow_provider_mlgov.model.entity import Ref
from airflow_provider_mlgov.settings import Settings
from airflow_provider_mlgov.translate.options import TranslateOptions
from delivery_events import task_event

RECORDED = Path(__file__).parent.parent / "formats"
RUN = ("mlgov_task_run", "dags/shop/runs/r1/tasks/load/-1/1@test")


@pytest.fixture(params=sorted(path.name for path in RECORDED.iterdir()))
def home(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A folder as that version left it: a run has begun and is in the catalogue, its end waits, another is a dead letter."""
    shutil.copytree(RECORDED / request.param, tmp_path, dirs_exist_ok=True)
    for path in list(tmp_path.rglob("*.db.gz")):
        path.with_suffix("").write_bytes(gzip.decompress(path.read_bytes()))
    (tmp_path / "spool" / "receiver-tokens.json").chmod(0o600)
    return tmp_path


def sender(home: Path) -> Sender:
    options = TranslateOptions(airflow_namespace="test")
    return Sender(Spool(home / "spool"), lambda: EmbeddedCatalog(home / "catalog.db"), options, keep_hours=1e6)


def settings(home: Path) -> Settings:
    return Settings(spool_folder=home / "spool", embedded_path=home / "catalog.db")


def test_what_waits_is_sent_and_united_with_what_was_sent(home: Path) -> None:
    before = EmbeddedCatalog(home / "catalog.db").get(*RUN)
    assert before is not None
    spool = Spool(home / "spool")
    (letter,) = spool.dead_letters()
    assert (letter.reason, letter.parts) == ("Atlas refused it", ("rdbms_table x",))
    assert spool.retry() == 1
    report = sender(home).send(despite_breaker=True)
    assert (report.outcome, report.events, report.dead) == ("done", 2, 0), report.reason
    after = EmbeddedCatalog(home / "catalog.db").get(*RUN)
    assert after is not None
    assert after["guid"] == before["guid"]
    assert after["attributes"]["state"] == "success"
    assert after["attributes"]["startTime"] == before["attributes"]["startTime"] != 0
    assert spool.counts().odd == 0


def test_the_other_files_are_read(home: Path) -> None:
    opening = Breaker(home / "spool" / "breaker.json").opening()
    assert opening is not None
    assert (opening.reason, opening.failures) == ("no route to host", 1)
    ((_, note),) = followup.notes(settings(home))
    assert (note["dagId"], note["runId"], note["skip"]) == ("shop", "r1", ["skipped"])
    (token,) = Tokens(home / "spool" / "receiver-tokens.json").all()
    assert (token.name, token.airflow, token.own_facets, token.jobs) == ("workers", True, True, ("*",))


@pytest.mark.parametrize("version", [0, 2])
def test_earlier_states_of_the_sender_are_read(tmp_path: Path, version: int) -> None:
    """They had fewer tables."""
    db = sqlite3.connect(tmp_path / "sender.db")
    db.executescript(
        "CREATE TABLE run (key TEXT PRIMARY KEY, state TEXT NOT NULL, ended INTEGER NOT NULL, touched REAL NOT NULL)"
        " WITHOUT ROWID; CREATE TABLE claim (type TEXT, name TEXT, run TEXT, PRIMARY KEY (type, name, run)) WITHOUT ROWID;"
        f"INSERT INTO run VALUES ('k', '{{\"a\": 1}}', 0, 1e10); PRAGMA user_version = {version};"
    )
    db.close()
    state = SenderState(tmp_path / "sender.db")
    known = state.run("k")
    assert known is not None
    assert known.state == {"a": 1}
    assert list(state.renamed()) == []
    state.close()


def test_a_state_that_did_not_say_who_gave_up_what_keeps_what_steps_told(tmp_path: Path) -> None:
    state = SenderState(tmp_path / "sender.db")
    with state.transaction():
        state.remember_alias("app", "hdfs://nn", "/wh/t", [[1, {"hive://m": {"d.t": "TABLE"}}]])
    state.close()
    db = sqlite3.connect(tmp_path / "sender.db")
    db.executescript("DROP TABLE given_up; PRAGMA user_version = 5;")
    db.close()
    state = SenderState(tmp_path / "sender.db")
    assert state.tellings("app", "hdfs://nn", "/wh/t") == [[1, {"hive://m": {"d.t": "TABLE"}}]]
    assert state.who_gave_up(Ref("mlgov_job_process", "p")) == set()
    state.close()


# --- what a later version wrote --------------------------------------------------------------------------------------
def test_an_event_of_a_later_version_stays_where_it_is(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    spool = Spool(tmp_path / "spool")
    later = [spool.append(task_event("COMPLETE", task="later")), spool.bury([task_event("COMPLETE")], "r")]
    for path in later:
        head, _, body = path.read_text().partition("\n")
        path.write_text(json.dumps({**json.loads(head), "v": 2}) + "\n" + body)
    ours = spool.append(task_event("COMPLETE"))
    caplog.set_level(logging.WARNING)
    for _ in range(2):
        report = sender(tmp_path).send()
        assert spool.dead_letters() == []
    assert report.outcome == "nothing"
    assert not ours.exists()
    assert all(path.exists() for path in later)
    assert spool.counts() == type(spool.counts())(waiting=1, dead=1, odd=0)
    assert spool.of_later_versions() == sorted(later)
    assert not spool.has_waiting()
    (said,) = [record.getMessage() for record in caplog.records if "later version" in record.getMessage()]
    assert str(later[0]) in said


def test_a_state_of_a_later_version_stays_and_events_wait(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool")
    spool.append(task_event("COMPLETE"))
    db = sqlite3.connect(tmp_path / "spool" / "sender.db")
    db.executescript("CREATE TABLE better (a); PRAGMA user_version = 99;")
    db.close()
    with pytest.raises(SpoolError, match="version 99, of a later version"):
        SenderState(tmp_path / "spool" / "sender.db")
    report = sender(tmp_path).send()
    assert report.outcome == "spool"
    assert "later version" in str(report.reason)
    assert spool.counts().waiting == 1
    db = sqlite3.connect(tmp_path / "spool" / "sender.db")
    assert db.execute("PRAGMA user_version").fetchone() == (99,)
    assert [row[0] for row in db.execute("SELECT name FROM sqlite_master")] == ["better"]
    db.close()


def test_a_breaker_of_a_later_version_is_left_and_closed(tmp_path: Path) -> None:
    path = tmp_path / "breaker.json"
    path.write_text('{"v": 2, "state": "half open"}')
    breaker = Breaker(path)
    assert breaker.allows()
    breaker.failed("no route")
    breaker.succeeded()
    assert json.loads(path.read_text()) == {"v": 2, "state": "half open"}


def test_a_note_of_a_later_version_stays(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    followup.note_run(settings(tmp_path), "d", "r")
    (path,) = (tmp_path / "spool" / "followup").iterdir()
    path.write_text(json.dumps({"v": 2, "run": "d/r"}))
    for _ in range(2):
        assert not followup.waiting(settings(tmp_path))
        assert list(followup.claimed(settings(tmp_path))) == []
    assert path.exists()
    assert sum("stays" in record.getMessage() for record in caplog.records) == 1


def test_tokens_of_a_later_version_let_nobody_in_and_stay(tmp_path: Path) -> None:
    tokens = Tokens(tmp_path / "tokens.json")
    tokens.add("workers")
    document: dict[str, Any] = {"version": 2, "tokens": {"hashed": []}}
    tokens.path.write_text(json.dumps(document))
    for call in (tokens.all, lambda: tokens.find("Bearer x"), lambda: tokens.add("more")):
        with pytest.raises(ConfigurationError, match="later version"):
            call()
    assert json.loads(tokens.path.read_text()) == document


def test_a_catalogue_of_a_later_version_stays(tmp_path: Path) -> None:
    catalog = EmbeddedCatalog(tmp_path / "catalog.db")
    catalog.status()
    catalog.close()
    db = sqlite3.connect(tmp_path / "catalog.db")
    db.execute("PRAGMA user_version = 9")
    db.close()
    before = (tmp_path / "catalog.db").read_bytes()
    with pytest.raises(CatalogUnavailableError, match="schema 9; this version of the package reads 1"):
        EmbeddedCatalog(tmp_path / "catalog.db").status()
    assert (tmp_path / "catalog.db").read_bytes() == before
