"""Files of a spool that the disk does not give back: the others go past them, and where none can be read all waits."""

import errno
import time
from pathlib import Path

import pytest

from airflow_provider_mlgov.cli.context import Context
from airflow_provider_mlgov.cli.doctor import _spool_of
from airflow_provider_mlgov.delivery.forward import Forwarder
from airflow_provider_mlgov.delivery.handover import FolderObjects, Handover, collect
from airflow_provider_mlgov.delivery.left import Left
from airflow_provider_mlgov.delivery.outbox import Outbox
from airflow_provider_mlgov.delivery.results import Results
from airflow_provider_mlgov.delivery.sender import Sender
from airflow_provider_mlgov.delivery.sinks.recording import RecordingSink
from airflow_provider_mlgov.delivery.spool import Spool
from airflow_provider_mlgov.errors import SpoolError
from airflow_provider_mlgov.lineage.receiver import create_app
from airflow_provider_mlgov.lineage.tokens import Tokens
from airflow_provider_mlgov.settings import Settings
from airflow_provider_mlgov.translate.options import TranslateOptions
from delivery_events import task_event
from serving import served


@pytest.fixture
def spool(tmp_path):
    return Spool(tmp_path / "spool")


@pytest.fixture
def broken(monkeypatch):
    """Paths that cannot be read."""
    paths = set()
    original = Path.read_bytes

    def reading(path):
        if path in paths:
            raise OSError(errno.EIO, "Input/output error")
        return original(path)

    monkeypatch.setattr(Path, "read_bytes", reading)
    return paths


@pytest.fixture
def clock(monkeypatch):
    """Seconds that went by for what is left where it is."""
    gone = [0.0]
    monkeypatch.setattr("airflow_provider_mlgov.delivery.spool._left", Left(lambda: gone[0]))
    return gone


def test_a_file_that_cannot_be_read_is_gone_past_and_tried_again_later(spool, broken, clock, caplog):
    bad, good = spool.append({"n": 1}), spool.append({"n": 2})
    broken.add(bad)
    for _ in range(3):
        assert spool.read(bad) is None
        assert spool.waiting() == [good]
        assert spool.waiting(1) == [good]
        assert spool.unread() == {bad: "Input/output error"}
        clock[0] += 61
        assert spool.waiting() == [bad, good]
    assert caplog.text.count(bad.name) == 1
    assert (spool.counts().waiting, spool.counts().odd) == (2, 0)
    assert spool.has(bad.name)
    broken.clear()
    assert spool.read(bad) == {"n": 1}
    assert spool.unread() == {}


def test_many_files_that_cannot_be_read_are_gone_past_while_others_can(spool, broken, clock):
    bad = [spool.append({"n": number}) for number in range(10)]
    good = spool.append({"n": 10})
    broken.update(bad)
    assert [spool.read(path) for path in bad] == [None] * 10
    assert spool.waiting() == [good]


def test_where_no_file_can_be_read_the_spool_is_in_trouble(spool, broken, clock):
    paths = [spool.append({"n": number}) for number in range(20)]
    broken.update(paths)
    assert [spool.read(path) for path in paths[:2]] == [None, None]
    with pytest.raises(
        SpoolError, match=r"cannot read any event in .*Input/output error; give the spool a folder that"
    ):
        spool.read(paths[2])
    assert len(spool.unread()) == 3


def test_doctor_names_it(spool, broken, clock, monkeypatch):
    bad = spool.append({"n": 1})
    spool.append({"n": 2})
    broken.add(bad)
    context = Context(Settings(spool_folder=spool.root))
    found = {finding.subject: finding.text for finding in _spool_of(context, spool, "") if finding.verdict == "WRONG"}
    assert found["file of the spool"].startswith(f"{bad} cannot be read (Input/output error)")


def test_what_a_process_lacks_is_no_fault_of_a_file(spool, monkeypatch, clock):
    path = spool.append({"n": 1})

    def many(_):
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(Path, "read_bytes", many)
    with pytest.raises(SpoolError, match="Too many open files"):
        spool.read(path)
    assert spool.waiting() == [path]


@pytest.fixture(params=["sender", "forwarder", "handover"])
def door(request, spool, tmp_path):
    """Each of the ways that events leave a spool."""
    if request.param == "sender":
        yield lambda: Sender(spool, RecordingSink, TranslateOptions(airflow_namespace="test"))
    elif request.param == "handover":
        yield lambda: Handover(spool, lambda: FolderObjects(tmp_path / "between"))
    else:
        tokens = Tokens(tmp_path / "tokens.json")
        token = tokens.add("worker", airflow=True, own_facets=True).token
        with served(create_app(tokens, Outbox(Spool(tmp_path / "there")), lambda: None)) as url:
            yield lambda: Forwarder(spool, url, token)


def test_all_ways_go_past_it_and_say_so(spool, broken, clock, door, caplog):
    paths = [Outbox(spool).put(task_event("COMPLETE", task=f"t{number}")) for number in range(4)]
    broken.add(paths[0])
    report = door().send()
    assert (report.outcome, report.events, report.dead) == ("spool", 3, 0)
    assert f"1 files cannot be read, {paths[0]} the first (Input/output error)" in report.reason
    assert [path for path in paths if path.exists()] == paths[:1]
    (last,) = Results(spool.root).last().values()  # what `mlgov health` looks at
    assert last["failed"]["reason"] == report.reason
    for _ in range(3):
        assert door().send().outcome == "nothing"
        clock[0] += 61
        assert door().send().outcome == "spool"
    assert caplog.text.count("cannot be read") == 1
    clock[0] += 61
    broken.clear()
    assert (door().send().outcome, spool.has_waiting()) == ("done", False)


def test_where_none_can_be_read_all_ways_say_that_everything_waits(spool, broken, clock, door):
    broken.update(Outbox(spool).put(task_event("COMPLETE", task=f"t{number}")) for number in range(20))
    for _ in range(2):
        report = door().send()
        assert (report.outcome, report.events, spool.counts().waiting) == ("spool", 0, 20)
        assert "cannot read any event" in report.reason


def test_many_files_of_a_later_version_cost_no_time(spool, clock):
    """Each is looked at once: compared with all before, 2,000 took 40 s."""
    first = spool.append({"n": 0})
    form = first.read_bytes().replace(b'"v":1', b'"v":99', 1)
    for number in range(10_000):
        (spool.root / "new" / f"{number:020d}-1-000000-00000000.json").write_bytes(form)
    first.unlink()
    Outbox(spool).put(task_event("COMPLETE"))
    began = time.monotonic()
    report = Sender(spool, RecordingSink, TranslateOptions(airflow_namespace="test")).send()
    assert (report.events, report.dead) == (1, 0)
    assert time.monotonic() - began < 20
    assert len(spool.of_later_versions()) == 10_000


def test_a_file_that_is_too_large_for_memory_is_set_aside(spool, clock):
    path = spool.append({"n": 1})
    with path.open("r+b") as file:
        file.truncate(2**42)  # without taking any room
    good = spool.append({"n": 2})
    assert spool.read(path) is None
    assert spool.waiting() == [good]
    (reason,) = (spool.root / "odd").glob("*.reason")
    assert reason.read_text() == f"it has {2**42} bytes; wanted at most {2**30}\n"


@pytest.mark.parametrize("length", [200, 235, 255])
@pytest.mark.parametrize("letter", ["x", "é"])
def test_a_file_with_a_long_name_is_set_aside(spool, length, letter):
    spool.prepare()
    (spool.root / "new" / (letter * length).encode()[:length].decode(errors="ignore")).write_text("?")
    good = spool.append({"n": 1})
    assert spool.waiting() == [good]
    assert spool.counts().odd == 1


def test_what_was_handed_over_with_a_long_name_is_set_aside(tmp_path):
    between = FolderObjects(tmp_path / "between")
    (tmp_path / "between" / "new").mkdir(parents=True)
    (tmp_path / "between" / "new" / ("0" * 250)).write_text("?")
    spool = Spool(tmp_path / "first")
    Outbox(spool).put(task_event("COMPLETE"))
    assert Handover(spool, lambda: between).send().outcome == "done"
    collected = collect(between, Outbox(Spool(tmp_path / "second")))
    assert (collected.events, collected.odd) == (1, 1)
