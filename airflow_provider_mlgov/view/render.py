"""The formats in which lineage can be had."""

from __future__ import annotations

from typing import Literal, get_args

from airflow_provider_mlgov.view.values import RunGraph, WalkGraph

Format = Literal["tree", "mermaid", "dot", "json"]
FORMATS: tuple[Format, ...] = get_args(Format)

_ENDLESS = 100_000
"""Width of a text that is piped on: no line is broken."""
_ASCII = str.maketrans({"→": "->", "←": "<-", "·": "-", "…": "...", "×": "x"})


def render(
    view: RunGraph | WalkGraph,
    form: Format = "tree",
    *,
    color: bool = False,
    width: int | None = None,
    ascii_only: bool = False,
) -> str:
    """The view as text. ``color``, ``width`` and ``ascii_only`` (no line drawing) are for the tree alone."""
    if form == "json":
        import json

        from airflow_provider_mlgov.view.document import document

        return json.dumps(document(view), indent=2, ensure_ascii=ascii_only)
    if form in ("mermaid", "dot"):
        from airflow_provider_mlgov.view import diagrams

        return diagrams.mermaid(view) if form == "mermaid" else diagrams.dot(view)
    return _tree(view, color=color, width=width, ascii_only=ascii_only)


def _tree(view: RunGraph | WalkGraph, *, color: bool, width: int | None, ascii_only: bool) -> str:
    import io

    from rich.console import Console

    from airflow_provider_mlgov.view.tree import tree

    class Output(io.StringIO):
        encoding = "ascii" if ascii_only else "utf-8"  # rich draws its guides by this

    console = Console(
        file=Output(),
        width=width or _ENDLESS,
        force_terminal=color,
        color_system="standard" if color else None,
        highlight=False,
        markup=False,
        emoji=False,
        soft_wrap=False,
        legacy_windows=False,
    )
    with console.capture() as capture:
        console.print(tree(view))
    text = "\n".join(line.rstrip() for line in capture.get().rstrip("\n").split("\n"))
    return text.translate(_ASCII) if ascii_only else text
