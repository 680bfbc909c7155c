"""Prints tables of measurements: plain text, so that they can be kept in a file and compared."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from importlib.metadata import version


def heading(title: str) -> None:
    """Print what is measured and on what."""
    print(f"\n{title}")
    print(f"Airflow {version('apache-airflow')}, Python {platform.python_version()}, {os.cpu_count()} cores\n")


def table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print rows in columns: words to the left, figures to the right."""
    cells = [[_text(cell) for cell in row] for row in rows]
    widths = [max(len(row[column]) for row in [list(header), *cells]) for column in range(len(header))]
    figures = [all(isinstance(row[column], int | float) for row in rows) for column in range(len(header))]
    for row in [list(header), ["-" * width for width in widths], *cells]:
        aligned = [
            cell.rjust(width) if figure else cell.ljust(width)
            for cell, width, figure in zip(row, widths, figures, strict=True)
        ]
        print("  ".join(aligned).rstrip())


def _text(cell: object) -> str:
    return f"{cell:.2f}" if isinstance(cell, float) else str(cell)
