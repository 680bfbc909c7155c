"""The delivery process: where it writes what it says."""

import stat

from airflow_provider_mlgov.lineage import child


def test_the_log_is_its_owners_and_grows(tmp_path):
    for text in (b"one\n", b"two\n"):
        with child._log_file(tmp_path) as log:
            log.write(text)
    path = tmp_path / child.LOG
    assert path.read_bytes() == b"one\ntwo\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_large_log_begins_anew(tmp_path, monkeypatch):
    monkeypatch.setattr(child, "_LOG_BYTES", 3)
    (tmp_path / child.LOG).write_bytes(b"long ago\n")
    with child._log_file(tmp_path) as log:
        log.write(b"now\n")
    assert (tmp_path / child.LOG).read_bytes() == b"now\n"
