"""``mlgov doctor --duplicates`` on a real Atlas."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from cli_runs import mlgov, one_line
from twin_making import TwinMaker


@pytest.mark.atlas
def test_twins_are_said_and_repaired_when_asked(home: Path, atlas: Any, atlas_url: str) -> None:
    parts = urlsplit(atlas_url)
    login = {"MLGOV_ATLAS_USER": str(parts.username), "MLGOV_ATLAS_PASSWORD": str(parts.password)}
    asked = ("doctor", "--duplicates", "--type", "rdbms_column", "--catalog", f"http://{parts.hostname}:{parts.port}")
    maker = TwinMaker(atlas_url, 2)
    maker.make()
    name = maker.name("i.d.t.c")
    keeper, *others = maker.guids("rdbms_column", "i.d.t.c")
    said = mlgov(home, *asked, **login)
    assert said.returncode == 1
    assert f"rdbms_column  {name}" in said.stdout
    assert f"keeper  {keeper}" in said.stdout
    assert f"twin    {others[0]}" in said.stdout
    assert "1 table" in said.stdout
    assert maker.count("i.d.t.c", "rdbms_column") == 1 + len(others), "a dry run"
    done = mlgov(home, *asked, "--repair", **login)
    assert done.returncode == 0, done.stdout
    assert f"kept    {keeper}" in done.stdout
    assert maker.count("i.d.t.c", "rdbms_column") == 1
    again = mlgov(home, *asked, **login)
    assert name not in again.stdout
    assert "entities of 1 types" in again.stdout
    maker.close()


def test_an_embedded_catalogue_has_none(home: Path, catalog: Path) -> None:
    result = mlgov(home, "doctor", "--duplicates")
    assert result.returncode == 0, result.stderr
    assert str(catalog) in result.stdout
    assert "no name is there twice" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [(("--repair",), "give that too"), (("--duplicates", "--type", "nonsense"), "has no type nonsense")],
)
def test_wrong_usage(home: Path, catalog: Path, arguments: tuple[str, ...], said: str) -> None:
    assert catalog.exists()
    result = mlgov(home, "doctor", *arguments)
    assert result.returncode == 2
    assert said in one_line(result)


def test_a_host_that_forwards_repairs_nothing(home: Path, catalog: Path) -> None:
    assert catalog.exists()
    connection = "http://:a-token-of-a-receiver@127.0.0.1:1"
    result = mlgov(
        home,
        "doctor",
        "--duplicates",
        "--repair",
        AIRFLOW__MLGOV__FORWARD_CONN_ID="receiver",
        AIRFLOW_CONN_RECEIVER=connection,
    )
    assert result.returncode == 2, result.stdout
    assert "on the host of the receiver" in result.stderr
