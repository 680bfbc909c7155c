import errno
import os
import stat
import subprocess
import tempfile
import time
from pathlib import Path

import pytest

from airflow_provider_mlgov.delivery.spool import Spool
from airflow_provider_mlgov.errors import SpoolError


@pytest.fixture
def spool(tmp_path):
    return Spool(tmp_path / "spool")


def test_events_come_back_oldest_first(spool):
    paths = [spool.append({"n": number}) for number in range(20)]
    assert spool.waiting() == paths
    assert [spool.read(path) for path in paths] == [{"n": number} for number in range(20)]
    spool.acknowledge(paths[:5])
    assert spool.waiting() == paths[5:]
    assert spool.counts().waiting == 15


def test_an_unused_spool_is_empty(spool):
    assert (spool.waiting(), spool.has_waiting(), spool.dead_letters()) == ([], False, [])
    assert not spool.root.exists()


@pytest.mark.parametrize("umask", [0, 0o077])
def test_modes_do_not_depend_on_the_umask(tmp_path, umask):
    before = os.umask(umask)
    try:
        spool = Spool(tmp_path / "spool")
        path = spool.append({})
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert {stat.S_IMODE(folder.stat().st_mode) for folder in (spool.root, path.parent)} == {0o700}


def test_dead_letters_wait_again_after_retry(spool):
    spool.bury([{"n": 1}, {"n": 2}], "two parts", parts=["hive_column a.b"])
    other = spool.bury([{"n": 3}], "bad")
    (first, second) = spool.dead_letters()
    assert (first.reason, first.parts, first.events) == ("two parts", ("hive_column a.b",), ({"n": 1}, {"n": 2}))
    assert spool.retry([first.name]) == 2
    assert [letter.name for letter in spool.dead_letters()] == [other.name] == [second.name]
    assert [spool.read(path) for path in spool.waiting()] == [{"n": 1}, {"n": 2}]
    assert spool.retry() == 1
    assert spool.counts().dead == 0


def damaged(path, kind):
    content = path.read_bytes()
    head, body = content.split(b"\n", 1)
    if kind == "cut":
        path.write_bytes(content[:-5])
    elif kind == "changed":
        path.write_bytes(head + b"\n" + body.replace(b"1", b"2"))
    elif kind == "empty":
        path.write_bytes(b"")
    elif kind == "zeros":
        path.write_bytes(b"\0" * len(content))
    elif kind == "list":
        path.write_bytes(b"[1]\n" + body)


@pytest.mark.parametrize("kind", ["cut", "changed", "empty", "zeros", "list"])
def test_a_damaged_file_is_set_aside_with_its_reason(spool, kind):
    path, good = spool.append({"n": 1}), spool.append({"n": 3})
    damaged(path, kind)
    content = path.read_bytes()
    assert spool.read(path) is None
    assert spool.waiting() == [good]
    (aside,) = [file for file in (spool.root / "odd").iterdir() if file.suffix == ".json"]
    assert aside.read_bytes() == content
    assert aside.with_name(aside.name + ".reason").read_text().strip()
    assert spool.counts().odd == 1


@pytest.mark.parametrize("event", [None, 5, [1, 2], "text"])
def test_what_is_no_object_is_set_aside_and_not_taken_for_a_file_that_is_gone(spool, event):
    """As a dead letter it stays, with its reason; who lets it wait again finds it set aside."""
    spool.bury([event], "no event")
    assert [letter.events for letter in spool.letters()] == [(event,)]
    assert spool.retry() == 1
    (path,) = spool.waiting()
    assert spool.read(path) is None
    assert (spool.has_waiting(), spool.counts().odd) == (False, 1)
    (said,) = (spool.root / "odd").glob("*.reason")
    assert "wanted a JSON object" in said.read_text()


def test_foreign_things_are_set_aside(spool):
    good = spool.append({})
    (spool.root / "new" / "notes.txt").write_text("mine")
    (spool.root / "new" / "folder").mkdir()
    (spool.root / "new" / good.name.replace(".json", "").__add__("x.json")).write_text("{}")
    (spool.root / "new" / ("0" * 20 + "-1-000000-00000000.json")).symlink_to("/etc/hostname")
    assert spool.waiting() == [good]
    assert spool.counts().odd == 4
    assert Path("/etc/hostname").exists()


def test_a_file_that_is_gone_is_no_error(spool):
    path = spool.append({})
    spool.acknowledge([path])
    spool.acknowledge([path])
    assert spool.read(path) is None
    assert spool.counts().odd == 0


def test_leftovers_of_killed_writers_go_after_a_while(spool):
    spool.append({})
    old, young = spool.root / "tmp" / "old", spool.root / "tmp" / "young"
    old.touch()
    young.touch()
    os.utime(old, (0, time.time() - 7200))
    spool.tidy()
    assert not old.exists()
    assert young.exists()


def test_a_full_disk_is_one_clear_error(spool, monkeypatch):
    good = spool.append({"n": 1})

    def full(handle, content):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(SpoolError, match=r"cannot write an event in .*No space left on device"):
        spool.append({"n": 2})
    monkeypatch.undo()
    assert spool.waiting() == [good]
    assert not list((spool.root / "tmp").iterdir())


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root")
def test_a_really_full_disk(tmp_path):
    with tempfile.TemporaryDirectory() as folder:
        if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", folder], check=False).returncode:
            pytest.skip("no right to mount")
        try:
            spool = Spool(Path(folder) / "spool")
            kept = []

            def fill():
                while True:
                    kept.append(spool.append({"text": "x" * 2000}))

            with pytest.raises(SpoolError, match="No space left"):
                fill()
            assert kept
            assert spool.waiting() == kept
            spool.acknowledge(kept[:2])
            spool.append({})
        finally:
            subprocess.run(["umount", folder], check=True)


def test_short_writes_are_completed(spool, monkeypatch):
    write = os.write
    monkeypatch.setattr(os, "write", lambda handle, content: write(handle, bytes(content[:7])))
    path = spool.append({"text": "x" * 100})
    monkeypatch.undo()
    assert spool.read(path) == {"text": "x" * 100}


@pytest.mark.parametrize("root", ["/proc/mlgov", "/dev/null/spool"])
def test_an_unwritable_place_is_one_clear_error(root):
    with pytest.raises(SpoolError, match="cannot make the spool"):
        Spool(root).append({})


def test_dead_letters_are_read_one_at_a_time(spool, monkeypatch):
    """There may be very many of them, of some hundred events each."""
    names = [spool.bury([{"n": number}] * 3, "bad").name for number in range(4)]
    read = []
    original = Path.read_bytes

    def reading(path):
        read.append(path.name)
        return original(path)

    monkeypatch.setattr(Path, "read_bytes", reading)
    assert next(spool.letters()).name == names[0]
    assert read == names[:1]
    assert spool.letters_before(time.time() + 1) == names
    assert spool.letters_before(time.time() - 60) == []
    assert read == names[:1]
    assert spool.retry([names[2]]) == 3
    assert read == [names[0], names[2]]


def test_a_dead_letter_whose_first_line_is_damaged_has_no_age(spool):
    path = spool.bury([{"n": 1}], "bad")
    path.write_bytes(b"[]\n{}\n")
    assert spool.letters_before(time.time() + 1) == []
    assert path.exists()
