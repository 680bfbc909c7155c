"""``airflow mlgov …``: the same commands in Airflow's own command line (3.x, by provider info key ``cli``)."""

from __future__ import annotations

import argparse
import functools
import sys
from typing import TYPE_CHECKING, Any

from airflow_provider_mlgov.cli.commands import COMMANDS, Command, Group

if TYPE_CHECKING:
    from airflow.cli.cli_config import ActionCommand, GroupCommand


def get_cli_commands() -> list[GroupCommand]:
    """The commands, for Airflow's parser."""
    from airflow.cli.cli_config import GroupCommand

    subcommands = [_group(entry) if isinstance(entry, Group) else _action(entry) for entry in COMMANDS]
    return [GroupCommand(name="mlgov", help="Lineage into Apache Atlas", subcommands=subcommands)]


def _group(group: Group) -> GroupCommand:
    from airflow.cli.cli_config import GroupCommand

    return GroupCommand(name=group.name, help=group.help, subcommands=[_action(command) for command in group.commands])


def _action(command: Command) -> ActionCommand:
    from airflow.cli.cli_config import ActionCommand, Arg

    make: Any = Arg
    return ActionCommand(
        name=command.name,
        help=command.help,
        description=command.description,
        func=functools.partial(_run, command.function),
        args=[make(argument.flags, **argument.keywords) for argument in command.arguments],
    )


def _run(function: str, arguments: argparse.Namespace) -> None:
    from airflow_provider_mlgov.cli.main import run

    code = run(function, arguments)
    if code:
        sys.exit(code)
