"""``mlgov types``."""

from __future__ import annotations

import difflib
import json
from argparse import Namespace

from airflow_provider_mlgov.catalog.catalog import Json
from airflow_provider_mlgov.catalog.types import apply as types
from airflow_provider_mlgov.catalog.types.definitions import our_types
from airflow_provider_mlgov.cli.context import Context
from airflow_provider_mlgov.cli.output import say
from airflow_provider_mlgov.errors import InvalidInputError


def apply_types(arguments: Namespace) -> int:
    """Bring our types onto the catalogue, or say what that would do."""
    context = Context.of(arguments)
    if arguments.check and context.is_embedded and not context.settings.embedded_path.exists():
        say(f"missing: all {len(_definitions())} types, and {context.settings.embedded_path} itself")
        return 1
    with context.catalog(create=True) as catalog:
        plan = types.plan(catalog) if arguments.check else types.apply(catalog)
        for line in lines(plan, done=not arguments.check):
            say(line)
        if plan.is_empty:
            say(f"{catalog.identity} has all {len(_definitions())} types")
        return 1 if arguments.check and not plan.is_empty else 0


def lines(plan: types.Plan, *, done: bool) -> list[str]:
    """A plan in words."""
    create, extend = ("created", "extended") if done else ("missing", "incomplete")
    said = [f"{create}: {name}" for name in plan.missing]
    said += [f"{extend}: {name} ({', '.join(lacks)})" for name, lacks in plan.incomplete.items()]
    said += [f"of a later version, and stays: {name} ({', '.join(has)})" for name, has in plan.beyond.items()]
    return said + [f"cannot be changed: {conflict}" for conflict in plan.conflicts]


def show_types(arguments: Namespace) -> int:
    """Print our types."""
    definitions = _definitions()
    if arguments.name and arguments.name not in definitions:
        near = difflib.get_close_matches(arguments.name, definitions, n=3)
        hint = f"did you mean {', '.join(near)}?" if near else "see `mlgov types show`"
        raise InvalidInputError(f"{arguments.name!r} is none of our types; {hint}")
    if arguments.json:
        say(json.dumps(definitions[arguments.name] if arguments.name else our_types(), indent=2))
    elif arguments.name:
        _show(definitions[arguments.name])
    else:
        width = max(map(len, definitions))
        for name, definition in definitions.items():
            say(f"{name:<{width}}  {definition.get('description') or ''}")
    return 0


def _definitions() -> dict[str, Json]:
    return {each["name"]: each for part in our_types().values() for each in part}


def _show(definition: Json) -> None:
    say(f"{definition['name']}  {definition.get('description') or ''}")
    if definition.get("superTypes"):
        say(f"is a {', '.join(definition['superTypes'])}")
    rows = [
        (each["name"], each["typeName"], "indexed" if each.get("isIndexable") else "", each.get("description") or "")
        for each in definition.get("attributeDefs") or ()
    ]
    widths = [max((len(row[column]) for row in rows), default=0) for column in range(3)]
    for row in rows:
        say("  " + "  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=False)) + f"  {row[3]}")
