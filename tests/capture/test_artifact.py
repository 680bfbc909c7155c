from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from airflow_provider_mlgov.capture.artifact import Artifact, artifact
from airflow_provider_mlgov.capture.packages import installed, packages_digest


def test_a_file(tmp_path: Path) -> None:
    path = tmp_path / "a model.bin"
    path.write_bytes(b"abc")
    expected = Artifact(path.as_uri(), "sha256:" + hashlib.sha256(b"abc").hexdigest(), 3)
    assert artifact(path) == expected
    assert artifact(str(path)) == expected
    assert artifact(path.as_uri()) == expected


def test_a_folder_is_known_by_names_and_content(tmp_path: Path) -> None:
    for folder, names in (("one", ("a", "b")), ("two", ("b", "a")), ("three", ("a", "c"))):
        for name in names:
            (tmp_path / folder / "sub").mkdir(parents=True, exist_ok=True)
            (tmp_path / folder / "sub" / name).write_text("same")
    one, two, three = (artifact(tmp_path / name) for name in ("one", "two", "three"))
    assert one.digest == two.digest != three.digest
    assert one.size == 8


def test_what_is_elsewhere_is_only_named() -> None:
    assert artifact("s3://bucket/model.bin") == Artifact("s3://bucket/model.bin")


def test_nothing_there(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        artifact(tmp_path / "none")


def test_packages() -> None:
    assert any(line.startswith("pytest==") for line in installed())
    assert list(installed()) == sorted(installed())
    assert packages_digest() == packages_digest()
    assert packages_digest().startswith("sha256:")
