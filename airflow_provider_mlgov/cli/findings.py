"""What a command found out, and how it is shown: a line each, under headings; folded where a terminal shows it."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from airflow_provider_mlgov.cli.output import has_color, say, width
from airflow_provider_mlgov.masking import shown

Verdict = Literal["ok", "note", "WRONG"]
_COLORS: dict[Verdict, str] = {"ok": "32", "note": "33", "WRONG": "1;31"}
_INDENT = 2
_WIDEST_SUBJECT = 26


@dataclass(frozen=True)
class Finding:
    """One line of a report."""

    verdict: Verdict
    subject: str
    text: str


def show(sections: Iterable[tuple[str, Sequence[Finding]]]) -> int:
    """Print the findings under their headings; how many are wrong."""
    sections = [(title, findings) for title, findings in sections if findings]
    columns = max(60, width() or 0) if width() else None
    subjects = [finding.subject for _, findings in sections for finding in findings]
    column = min(_WIDEST_SUBJECT, max(map(len, subjects), default=0))
    for number, (title, findings) in enumerate(sections):
        if number:
            say()
        say(_painted(title, "1"))
        for finding in findings:
            _line(finding, column, columns)
    return sum(finding.verdict == "WRONG" for _, findings in sections for finding in findings)


def _line(finding: Finding, column: int, columns: int | None) -> None:
    head = f"{finding.subject:<{column}}  "
    text = shown(" ".join(finding.text.split()))
    start = _INDENT + 7 + len(head)
    lines = textwrap.wrap(text, columns - start, break_on_hyphens=False) if columns else [text]
    verdict = _painted(f"{finding.verdict:<5}", _COLORS[finding.verdict])
    say(f"{'':{_INDENT}}{verdict}  {head}{lines[0] if lines else ''}")
    for more in lines[1:]:
        say(f"{'':{start}}{more}")


def _painted(text: str, code: str) -> str:
    return f"\x1b[{code}m{text}\x1b[0m" if has_color() else text
