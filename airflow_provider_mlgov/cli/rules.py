"""``mlgov rules``: check a file of mapping rules, and explain what it makes of a name."""

from __future__ import annotations

import re
from argparse import Namespace
from dataclasses import replace
from pathlib import Path

from airflow_provider_mlgov.cli.context import conf_get
from airflow_provider_mlgov.cli.output import say
from airflow_provider_mlgov.errors import ConfigurationError, InvalidInputError, InvalidNameError
from airflow_provider_mlgov.mapping_rules import read_rules, schema
from airflow_provider_mlgov.masking import strip_url
from airflow_provider_mlgov.settings import Settings


def check(arguments: Namespace) -> int:
    """Say whether the file is right; exit code 1 and every error with its line if it is not."""
    path = _path(arguments.rules)
    if path == Path():
        raise InvalidInputError("there is nothing to check: [mlgov] mapping_rules is empty; give a file")
    try:
        rules = read_rules(path)
    except ConfigurationError as error:
        for line in re.split(rf"; (?={re.escape(str(path))}, line )|; `mlgov rules check`.*", str(error)):
            if line:
                say(line)
        return 1
    counts = (
        f"{len(rules.namespaces)} rules of namespaces, {len(rules.temporary)} patterns of temporary tables, "
        f"{len(rules.tags)} rules of tags, {len(rules.facets)} kept facets"
    )
    say(f"{path} is right: {counts}")
    return 0


def explain(arguments: Namespace) -> int:
    """Say which rule makes which type and qualifiedName of a dataset, and why; exit code 1 if it is no name."""
    from airflow_provider_mlgov.assembly import translate_options
    from airflow_provider_mlgov.translate.naming import name_entities

    settings = replace(Settings.load(conf_get), mapping_rules=_path(arguments.rules))
    if not settings.namespace:
        settings = replace(settings, atlas_conn_id="")  # a name is explained without an Airflow's own
    try:
        names = strip_url(arguments.namespace), strip_url(arguments.name)  # as events are cleaned before they are named
        named = name_entities(*names, translate_options(settings))
    except InvalidNameError as error:
        say(f"no entity: {error}")
        return 1
    for reason in named.why:
        say(reason)
    if named.left_out:
        say(f"left out: {named.left_out}")
    for entity in named.entities:
        say(f"{entity.type_name}  {entity.qualified_name}")
    return 0


def show_schema(arguments: Namespace) -> int:  # noqa: ARG001 - as all commands
    """Print the JSON schema of the file."""
    import json

    say(json.dumps(schema(), indent=2))
    return 0


def _path(given: str | None) -> Path:
    return Path(given).expanduser() if given else Settings.load(conf_get).mapping_rules
