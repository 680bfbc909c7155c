"""The documentation says what the code does: generated pages are fresh, links lead somewhere, options are declared."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import docs
from airflow_provider_mlgov.options import OPTIONS

ROOT = Path(__file__).resolve().parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
ELSEWHERE = re.compile(r"https?://|mailto:")


def anchors(page: Path) -> set[str]:
    """Give the anchors that a page's headings make."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading).strip().lower().replace(" ", "-") for heading in headings}


def test_generated_pages_are_up_to_date(capsys: pytest.CaptureFixture[str]) -> None:
    assert docs.main(["--check"]) == 0, capsys.readouterr().err


def test_a_stale_page_is_named_and_then_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(docs, "DOCS", tmp_path)
    assert docs.main(["--check"]) == 1
    assert "docs/configuration.md" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
    assert docs.main([]) == 0
    assert docs.main(["--check"]) == 0


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if ELSEWHERE.match(target):
            continue
        path, _, anchor = target.partition("#")
        other = (page.parent / path).resolve() if path else page
        assert other.exists(), f"{target} is not there"
        if anchor:
            assert anchor in anchors(other), f"{target}: no such heading"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_options_that_a_page_sets_are_declared(page: Path) -> None:
    declared = {option.name for option in OPTIONS}
    text = page.read_text(encoding="utf-8")
    for block in re.findall(r"^\[mlgov\]\n((?:[^\n\[`]+\n)*)", text, re.MULTILINE):
        assert set(re.findall(r"^(\w+) *=", block, re.MULTILINE)) <= declared
    assert {name.lower() for name in re.findall(r"AIRFLOW__MLGOV__([A-Z0-9_]+)", text)} <= declared


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_that_a_page_names_exist(page: Path) -> None:
    known = {line.removeprefix("## mlgov").strip() for line in docs.commands() if line.startswith("## mlgov")}
    first = {name.split()[0] for name in known if name}
    text = page.read_text(encoding="utf-8")
    assert set(re.findall(r"(?:^|`)\$? ?mlgov ([a-z]+)", text, re.MULTILINE)) <= first


def test_python_in_the_readme_is_a_dag_file_that_loads(tmp_path: Path) -> None:
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    assert blocks
    for block in blocks:
        answer = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", block],
            capture_output=True, text=True, check=False, env={**os.environ, "AIRFLOW_HOME": str(tmp_path)},
        )  # fmt: skip
        assert answer.returncode == 0, answer.stderr


def test_every_make_command_of_a_page_is_in_the_makefile() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    for page in PAGES:
        named = set(re.findall(r"(?:^|`)make ([a-z-]+)", page.read_text(encoding="utf-8"), re.MULTILINE))
        assert named <= targets, page
