"""``mlgov``: parse, run, and turn errors into one line and an exit code."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from importlib import import_module

from airflow_provider_mlgov import __version__
from airflow_provider_mlgov.cli.commands import COMMANDS, EXIT_CODES, Command, Group
from airflow_provider_mlgov.cli.output import results
from airflow_provider_mlgov.errors import (
    CatalogBusyError,
    CatalogUnavailableError,
    ConfigurationError,
    InvalidInputError,
    MlgovError,
)
from airflow_provider_mlgov.masking import shown

DONE, FAILED, USAGE, UNUSABLE = 0, 1, 2, 3
_INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point of the console script."""
    parsed = _parser().parse_args(arguments)
    if parsed.function is None:
        parsed.parser.print_help()
        return USAGE
    return run(parsed.function, parsed)


def run(function: str, arguments: argparse.Namespace) -> int:
    """Run ``module:name`` with parsed arguments; no error leaves it."""
    module, _, name = function.partition(":")
    _tolerate_encodings()
    _quieten(getattr(arguments, "debug", False))
    try:
        command: Callable[[argparse.Namespace], int] = getattr(import_module(f"{__package__}.{module}"), name)
        with results():
            code = command(arguments)
        sys.stdout.flush()
    except KeyboardInterrupt:
        return _INTERRUPTED
    except BrokenPipeError:
        # Who read our output has left (`mlgov … | head`); what Python still holds must not fail at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return DONE
    except Exception as error:
        if getattr(arguments, "debug", False):
            raise
        print(f"mlgov: {_explain(error)}", file=sys.stderr)  # noqa: T201 - a command speaks on stderr
        return _exit_code(error)
    return code


def _exit_code(error: Exception) -> int:
    if isinstance(error, (ConfigurationError, InvalidInputError)):
        return USAGE
    return UNUSABLE if isinstance(error, (CatalogUnavailableError, CatalogBusyError)) else FAILED


def _explain(error: Exception) -> str:
    text = shown(" ".join(str(error).split()))
    if isinstance(error, MlgovError):
        return text
    return f"unexpected {type(error).__name__}: {text} (--debug shows where)"


def _quieten(debug: bool) -> None:
    """Our own log does not repeat on stderr what a command says itself; ``--debug`` shows all of it."""
    import logging

    logger = logging.getLogger("airflow_provider_mlgov")
    logger.addHandler(logging.StreamHandler() if debug else logging.NullHandler())
    if debug:
        logger.setLevel(logging.DEBUG)


def _tolerate_encodings() -> None:
    """A name that the terminal cannot show is shown as far as it can."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="mlgov",
        description="Lineage of data, models and deployments from Airflow into Apache Atlas.",
        epilog=EXIT_CODES,
    )
    parser.add_argument("--version", action="version", version=f"mlgov {__version__}")
    parser.set_defaults(function=None, parser=parser)
    commands = parser.add_subparsers(metavar="COMMAND", title="commands")
    for entry in COMMANDS:
        if isinstance(entry, Group):
            group = commands.add_parser(entry.name, help=entry.help, description=entry.help, epilog=EXIT_CODES)
            group.set_defaults(parser=group)
            inner = group.add_subparsers(metavar="COMMAND", title="commands")
            for command in entry.commands:
                _add(inner, command)
        else:
            _add(commands, entry)
    return parser


def _add(commands: argparse._SubParsersAction[argparse.ArgumentParser], command: Command) -> None:
    parser = commands.add_parser(
        command.name, help=command.help, description=command.description or command.help, epilog=EXIT_CODES
    )
    for argument in command.arguments:
        parser.add_argument(*argument.flags, **argument.keywords)
    parser.set_defaults(function=command.function, parser=parser)


if __name__ == "__main__":
    sys.exit(main())
