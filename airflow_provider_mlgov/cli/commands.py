"""The commands as a table: ``mlgov`` makes argparse parsers of it, and Airflow 3 its own commands.

Nothing is imported here that a command needs: ``mlgov --help`` is quick.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Argument:
    """One option or operand, in argparse's own words."""

    flags: tuple[str, ...]
    keywords: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Command:
    """Something that runs: ``function`` is ``module:name`` under this package and takes the parsed arguments."""

    name: str
    help: str
    function: str
    arguments: tuple[Argument, ...] = ()
    description: str | None = None


@dataclass(frozen=True)
class Group:
    """Commands under one word."""

    name: str
    help: str
    commands: tuple[Command, ...]


def argument(*flags: str, **keywords: Any) -> Argument:
    """An `Argument`, written as for argparse."""
    return Argument(flags, keywords)


def _count(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number; wanted 0 or more")
    return int(text)


def _port(text: str) -> int:
    if not text.isdigit() or not 0 < int(text) < 65536:
        raise argparse.ArgumentTypeError(f"{text!r} is no port; wanted 1 to 65535")
    return int(text)


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return float("nan")  # which is within no bounds


def _amount(text: str) -> float:
    seconds = _number(text)
    if not 0 <= seconds < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is no number; wanted 0 or more")
    return seconds


def _rate(text: str) -> float:
    rate = _number(text)
    if not 0 < rate < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is no rate; wanted more than 0 events a second")
    return rate


EXIT_CODES = (
    "exit codes: 0 done; 1 failed, not found or something is missing; 2 wrong usage or configuration; "
    "3 the catalogue cannot be used now"
)
_DEBUG = argument("--debug", action="store_true", help="show the whole error with its trace")
_RULES = argument("--rules", metavar="FILE", help="mapping rules; default: [mlgov] mapping_rules")
_CATALOG = (
    argument(
        "--catalog",
        metavar="CATALOG",
        help="use this catalogue instead of the configured one: embedded:PATH, or the URL of an Atlas "
        "(login in MLGOV_ATLAS_USER and MLGOV_ATLAS_PASSWORD)",
    ),
    argument("--conn-id", metavar="ID", help="use the Atlas of this Airflow connection"),
    _DEBUG,
)

_SINK = argument("--sink", metavar="NAME", help="the events for this sink; default: the first of [mlgov] sinks, or all")

COMMANDS: tuple[Command | Group, ...] = (
    Command(
        "lineage",
        "show the lineage of a DAG run, or walk the graph from an entity",
        "lineage:lineage",
        (
            argument("--dag-id", metavar="D", help="the DAG"),
            argument("--run-id", metavar="R", help="its run"),
            argument("--namespace", metavar="NAME", help="the Airflow it ran in; default: [mlgov] namespace"),
            argument("--entity", nargs=2, metavar=("TYPE", "QUALIFIEDNAME"), help="where a walk begins"),
            argument(
                "--direction",
                choices=("up", "down", "both"),
                default="both",
                help="up: what it was made of; down: what was made of it, and where that serves; default: both",
            ),
            argument(
                "--depth", type=_count, default=0, metavar="N", help="hops between data sets; default: 0, no limit"
            ),
            argument("--format", choices=("tree", "mermaid", "dot", "json"), default="tree", help="default: tree"),
            argument("--wait", action="store_true", help="first send what waits, and wait until the run has ended"),
            argument("--timeout", type=_amount, default=60.0, metavar="SECONDS", help="of --wait; default: 60"),
            *_CATALOG,
        ),
        "Which endpoints now run a model that was trained on a table: "
        "mlgov lineage --entity TYPE QUALIFIEDNAME --direction down",
    ),
    Command(
        "translate",
        "show what OpenLineage events become in Atlas, without a catalogue",
        "translate:translate_events",
        (
            argument("file", nargs="?", default="-", metavar="FILE", help="events, one a line; default: -, stdin"),
            _RULES,
            _DEBUG,
        ),
        'One JSON document a line: {"entities": …, "relationships": …, "warnings": …}, or {"error": …} for what is no event.',
    ),
    Command(
        "replay",
        "send the OpenLineage events of files to the catalogue",
        "replay:replay",
        (
            argument("files", nargs="+", metavar="FILE", help="events, one a line"),
            argument("--rate", type=_rate, metavar="N", help="at most N events a second"),
            *_CATALOG,
        ),
        "What was stopped goes on where it was; events that are already in the catalogue change nothing.",
    ),
    Command(
        "receive",
        "receive OpenLineage events over HTTP and send them to the catalogue",
        "receive:receive",
        (
            argument("--host", default="127.0.0.1", help="address to listen at; default: 127.0.0.1"),
            argument("--port", type=_port, default=5000, help="default: 5000"),
            argument("--certificate", metavar="FILE", help="certificate for TLS, in PEM form"),
            argument("--key", metavar="FILE", help="its key"),
            argument("--behind-proxy", action="store_true", help="a proxy in front has the TLS"),
            argument("--no-send", action="store_true", help="only keep the events; somebody else sends them"),
            *_CATALOG,
        ),
        "POST /api/v1/lineage (one event) and /api/v1/lineage/batch (a list), with Authorization: Bearer TOKEN.",
    ),
    Group(
        "token",
        "who may send events to the receiver",
        (
            Command("list", "name the tokens, and what they may do", "receive:list_tokens", (_DEBUG,)),
            Command("show", "print a token", "receive:show_token", (argument("name", metavar="NAME"), _DEBUG)),
            Command(
                "add",
                "add a token and print it",
                "receive:add_token",
                (
                    argument("name", metavar="NAME"),
                    argument(
                        "--job-namespace",
                        action="append",
                        metavar="PATTERN",
                        help="it may speak for jobs of these namespaces; default: all",
                    ),
                    argument(
                        "--airflow", action="store_true", help="it may speak for task runs and DAG runs of Airflow"
                    ),
                    argument(
                        "--own-facets", action="store_true", help="it may send mlgov_ facets: models, deployments"
                    ),
                    _DEBUG,
                ),
            ),
            Command("remove", "remove a token", "receive:remove_token", (argument("name", metavar="NAME"), _DEBUG)),
        ),
    ),
    Group(
        "rules",
        "the file of mapping rules",
        (
            Command(
                "check",
                "check it, and name every wrong line",
                "rules:check",
                (argument("rules", nargs="?", metavar="FILE", help="default: [mlgov] mapping_rules"), _DEBUG),
            ),
            Command(
                "explain",
                "say what a dataset becomes in Atlas, and which rule says so",
                "rules:explain",
                (
                    argument("namespace", metavar="NAMESPACE", help="OpenLineage namespace"),
                    argument("name", metavar="NAME", help="OpenLineage name"),
                    _RULES,
                    _DEBUG,
                ),
            ),
            Command("schema", "print the JSON schema of the file", "rules:show_schema", (_DEBUG,)),
        ),
    ),
    Group(
        "types",
        "the type definitions in the catalogue",
        (
            Command(
                "apply",
                "add what the catalogue lacks of our types",
                "types:apply_types",
                (
                    argument(
                        "--check", action="store_true", help="change nothing; exit code 1 if something is missing"
                    ),
                    *_CATALOG,
                ),
            ),
            Command(
                "show",
                "show our types",
                "types:show_types",
                (
                    argument("name", nargs="?", metavar="TYPE", help="show the attributes of this type"),
                    argument("--json", action="store_true", help="as Atlas's typedefs document"),
                    _DEBUG,
                ),
            ),
        ),
    ),
    Group(
        "catalog",
        "the catalogue itself",
        (
            Command("status", "ask the catalogue whether it is usable", "catalog:status", _CATALOG),
            Command(
                "serve",
                "serve the embedded catalogue as Atlas v2 REST",
                "catalog:serve",
                (
                    argument("--host", default="127.0.0.1", help="address to listen at; default: 127.0.0.1"),
                    argument("--port", type=_port, default=21000, help="default: 21000"),
                    *_CATALOG,
                ),
                "A host that others can reach needs a login in MLGOV_SERVE_USER and MLGOV_SERVE_PASSWORD; without one every "
                "caller on this machine is let in, whatever login it sends.",
            ),
        ),
    ),
    Group(
        "spool",
        "the events that wait on this host",
        (
            Command("status", "count them, and say why they wait", "spool:status", (_SINK, *_CATALOG)),
            Command(
                "list",
                "list them",
                "spool:list_events",
                (
                    argument("--dead", action="store_true", help="the dead letters, with the reason"),
                    argument("--limit", type=_count, default=50, metavar="N", help="at most so many; default: 50"),
                    _SINK,
                    *_CATALOG,
                ),
            ),
            Command(
                "drain",
                "send them, and close the runs that ended",
                "spool:drain",
                (
                    argument("--budget", type=_amount, metavar="SECONDS", help="stop after so long; default: no limit"),
                    _SINK,
                    *_CATALOG,
                ),
            ),
            Command(
                "retry",
                "let dead letters wait again",
                "spool:retry",
                (argument("names", nargs="*", metavar="NAME", help="these; default: all"), _SINK, *_CATALOG),
            ),
            Command(
                "show",
                "print the events of one file, as `mlgov translate` reads them",
                "spool:show",
                (argument("name", metavar="NAME", help="as `mlgov spool list` names it"), _SINK, *_CATALOG),
            ),
            Command(
                "drop",
                "delete dead letters, or what waits if it is named, for good",
                "spool:drop",
                (
                    argument("names", nargs="*", metavar="NAME", help="these"),
                    argument("--older-than", type=_amount, metavar="DAYS", help="all dead letters of this age"),
                    argument(
                        "--yes", action="store_true", help="do it; without, it is only said what would be deleted"
                    ),
                    _SINK,
                    *_CATALOG,
                ),
            ),
        ),
    ),
    Command(
        "purge",
        "delete the runs of long ago from the catalogue",
        "purge:purge_runs",
        (
            argument("--older-than", type=_amount, required=True, metavar="DAYS", help="runs that ended so long ago"),
            argument("--namespace", metavar="NAME", help="the Airflow whose runs they are; default: [mlgov] namespace"),
            argument("--job-runs", action="store_true", help="also those of other jobs (Spark, dbt …)"),
            argument(
                "--builds",
                action="append",
                metavar="PROJECT/MODEL",
                help="instead of runs, the builds of this model that were made so long ago and are not in use",
            ),
            argument(
                "--deployments", action="store_true", help="of --builds: also those whose deployments have all stopped"
            ),
            argument("--keep-deleted", action="store_true", help="let Atlas keep them as deleted entities"),
            argument("--yes", action="store_true", help="do it; without, it is only said how many there are"),
            *_CATALOG,
        ),
        "Builds, deployments, data, and the processes between them stay, unless --builds names them: what is deleted is when "
        "each run was, how it ended, and what it read and wrote. A build stays where a deployment of it has not stopped, an "
        "endpoint or an alias points at it, it is the newest of its model, or something was made of it. It may be stopped and "
        "begun again at any time.",
    ),
    Command(
        "health",
        "say whether recording works on this host, for a probe: exit code 0 fine, 1 degraded, 2 unusable",
        "health:health",
        (
            argument(
                "--max-age",
                type=_amount,
                default=600.0,
                metavar="SECONDS",
                help="events may wait so long; default: 600",
            ),
            argument("--format", choices=("text", "json"), default="text", help="default: text"),
            _DEBUG,
        ),
        "Only files of this host are looked at: nothing is asked over the network. 1: events wait longer than --max-age, there are "
        "dead letters, the breaker is open, the last send failed, or less than 50 MB are free; nothing is lost. 2: the "
        "configuration is wrong, or the spool cannot be written or read: events are lost.",
    ),
    Command(
        "doctor",
        "check doors, settings, catalogue, types and spool, and say why tasks have no lineage",
        "doctor:doctor",
        (
            argument("--dag-id", metavar="D", help="say of each task of a run of this DAG why it has no lineage"),
            argument("--run-id", metavar="R", help="that run"),
            argument("--task-id", metavar="T", help="only of this task"),
            argument("--namespace", metavar="NAME", help="the Airflow it ran in; default: [mlgov] namespace"),
            argument(
                "--no-airflow",
                action="store_true",
                help="do not load Airflow's plugins and providers, which takes seconds",
            ),
            argument(
                "--duplicates",
                action="store_true",
                help="instead, find entities of one type and name that others made twice",
            ),
            argument(
                "--type", action="append", metavar="TYPE", help="of --duplicates: scan this type; default: all we write"
            ),
            argument(
                "--repair", action="store_true", help="of --duplicates: make one of them, with what all of them have"
            ),
            *_CATALOG,
        ),
        "Where Airflow's database can be asked, tasks that were never recorded are named too.",
    ),
)
