"""Writes the pages of docs/ that are made from the code: configuration, types, commands.

    python tools/docs.py            writes them
    python tools/docs.py --check    writes nothing; exit code 1 names what is out of date

Needs the package without Airflow.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

DOCS = Path(__file__).resolve().parent.parent / "docs"
MADE = "<!-- Made by `make docs` from {source}; change that. -->"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="only say what is out of date")
    check = parser.parse_args(arguments).check
    old = []
    for name, lines in (("configuration.md", configuration()), ("types.md", types()), ("cli.md", commands())):
        page, text = DOCS / name, "\n".join(lines) + "\n"
        if page.exists() and page.read_text(encoding="utf-8") == text:
            continue
        old.append(name)
        if not check:
            page.write_text(text, encoding="utf-8")
            print(f"written: docs/{name}")
    if check and old:
        print(f"out of date: {', '.join(f'docs/{name}' for name in old)}. Run `make docs`", file=sys.stderr)
        return 1
    return 0


def configuration() -> Iterator[str]:
    """Write the reference of the options."""
    from airflow_provider_mlgov.settings import OPTIONS, SECTION

    yield "# Configuration"
    yield ""
    yield MADE.format(source="`airflow_provider_mlgov/settings.py`")
    yield ""
    yield f"Section `[{SECTION}]` of `airflow.cfg`. Each option is also an environment variable:"
    yield "`AIRFLOW__MLGOV__<OPTION>`. Recording is off until `enabled` is true or `[lineage] backend` names"
    yield "`airflow_provider_mlgov.lineage.AtlasLineageBackend`; the two are one switch, on Airflow 2.11 and 3.x."
    yield ""
    yield from table(
        ("option", "type", "default", "since"),
        [(f"[`{o.name}`](#{o.name})", o.kind, code(o.default), o.version_added) for o in OPTIONS],
    )
    for option in OPTIONS:
        yield ""
        yield f"## {option.name}"
        yield ""
        yield option.description
        yield ""
        yield "```ini"
        yield f"[{SECTION}]"
        yield f"{option.name} = {option.example if option.example is not None else option.default}".rstrip()
        yield "```"


def types() -> Iterator[str]:
    """Write the reference of the types."""
    from airflow_provider_mlgov.catalog.types.definitions import our_types

    definitions = our_types()
    entities = definitions["entityDefs"]
    yield "# Types"
    yield ""
    yield MADE.format(source="`airflow_provider_mlgov/catalog/types/mlgov.json`")
    yield ""
    yield "What `mlgov types apply` makes in the catalogue, beside Atlas's own types. All our attributes are optional."
    yield "One that is **indexed** can be searched for. Inherited ones (`qualifiedName`, `inputs` …) are Atlas's."
    yield ""
    yield from table(
        ("type", "super type", "what it is"),
        [
            (f"[`{e['name']}`](#{e['name']})", code(", ".join(e["superTypes"])), e.get("description", ""))
            for e in entities
        ],
    )
    for entity in entities:
        yield ""
        yield f"## {entity['name']}"
        yield ""
        yield f"{entity.get('description', '')}. Extends {code(', '.join(entity['superTypes']))}."
        if entity["attributeDefs"]:
            yield ""
            yield from table(
                ("attribute", "type", "indexed", "meaning"),
                [
                    (code(a["name"]), code(a["typeName"]), "yes" if a["isIndexable"] else "", a.get("description", ""))
                    for a in entity["attributeDefs"]
                ],
            )
    yield ""
    yield "## Relationships"
    yield ""
    yield from table(
        ("relationship", "kind", "ends"),
        [
            (code(r["name"]), r["relationshipCategory"].lower(), f"{end(r['endDef1'])} and {end(r['endDef2'])}")
            for r in definitions["relationshipDefs"]
        ],
    )


def end(definition: dict[str, Any]) -> str:
    """Write one end of a relationship."""
    return code(f"{definition['type']}.{definition['name']}")


def commands() -> Iterator[str]:
    """Write the reference of the command line, from its own parser."""
    from airflow_provider_mlgov.cli.main import _parser

    yield "# Commands"
    yield ""
    yield MADE.format(source="the parser in `airflow_provider_mlgov/cli`")
    yield ""
    yield "`mlgov` is installed with the package. It reads the same configuration as Airflow does (`AIRFLOW_HOME`,"
    yield "`airflow.cfg`, environment), unless an option says otherwise."
    yield from command(_parser(), "mlgov")


def command(parser: argparse.ArgumentParser, name: str) -> Iterator[str]:
    """Write one command and those below it."""
    below = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    if not below or name == "mlgov":
        yield ""
        yield f"## {name}"
        yield ""
        yield parser.description or ""
        options = [action for action in parser._actions if action not in below and action.dest != "help"]
        if options:
            yield ""
            yield from table(("argument", "meaning"), [(code(signature(each)), text(each)) for each in options])
        if parser.epilog:
            yield ""
            yield parser.epilog
    for group in below:
        for child, sub in group.choices.items():
            yield from command(sub, f"{name} {child}")


def signature(action: argparse.Action) -> str:
    """Write an argument as one types it."""
    value = "" if action.nargs == 0 else str(action.metavar or "")
    if isinstance(action.metavar, tuple):
        value = " ".join(action.metavar)
    if not value and action.nargs != 0:
        value = "|".join(map(str, action.choices)) if action.choices else action.dest.upper()
    return f"{', '.join(action.option_strings)} {value}".strip()


def text(action: argparse.Action) -> str:
    """Write what an argument means, with its default."""
    words = (action.help or "").replace("%(default)s", str(action.default)).replace("%%", "%")
    return (
        words
        if action.default in (None, False, argparse.SUPPRESS) or str(action.default) in words
        else (f"{words} (default: {action.default})")
    )


def code(value: str) -> str:
    """Write a value as code, and nothing for nothing."""
    return f"`{value}`" if value else ""


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """Write a Markdown table."""
    yield f"| {' | '.join(header)} |"
    yield f"|{'---|' * len(header)}"
    for row in rows:
        cells = " | ".join(cell.replace("|", "\\|") for cell in row)
        yield f"| {cells} |"


if __name__ == "__main__":
    sys.exit(main())
