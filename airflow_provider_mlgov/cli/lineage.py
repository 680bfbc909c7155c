"""``mlgov lineage``."""

from __future__ import annotations

import time
from argparse import Namespace

from airflow_provider_mlgov.catalog.catalog import Catalog
from airflow_provider_mlgov.cli import output
from airflow_provider_mlgov.cli.context import Context
from airflow_provider_mlgov.cli.delivery import Drain, waiting
from airflow_provider_mlgov.errors import EntityNotFoundError, InvalidInputError
from airflow_provider_mlgov.view.graph import run_graph
from airflow_provider_mlgov.view.render import render
from airflow_provider_mlgov.view.values import RunGraph, WalkGraph
from airflow_provider_mlgov.view.walk import walk

_PAUSE = 0.5


def lineage(arguments: Namespace) -> int:
    """Print the lineage of a DAG run, or that around an entity."""
    _check(arguments)
    context = Context.of(arguments)
    deadline = None
    if arguments.wait:
        deadline = time.monotonic() + arguments.timeout
        Drain(context, arguments.timeout).run()
    with context.catalog() as catalog:
        view, complete = _view(catalog, context, arguments, deadline)
    text = render(view, arguments.format, color=output.has_color(), width=output.width(), ascii_only=output.is_ascii())
    output.say(text)
    left = waiting(context)
    if left:
        output.remark(
            f"{left} events or runs still wait on this host, so this may lack some: `mlgov spool drain` sends them"
        )
    if not complete:
        output.remark(f"after {arguments.timeout:g} s the DAG run has not ended, or not reported it")
        return 1
    return 0


def _check(arguments: Namespace) -> None:
    by_run = arguments.dag_id or arguments.run_id
    if by_run and arguments.entity:
        raise InvalidInputError("--entity and --dag-id/--run-id exclude each other: give one of them")
    if by_run and not (arguments.dag_id and arguments.run_id):
        raise InvalidInputError("a DAG run has two names: give --dag-id and --run-id")
    if not by_run and not arguments.entity:
        raise InvalidInputError(
            "nothing says whose lineage: give --dag-id D --run-id R, or --entity TYPE QUALIFIEDNAME"
        )


def _view(
    catalog: Catalog, context: Context, arguments: Namespace, deadline: float | None
) -> tuple[RunGraph | WalkGraph, bool]:
    """The view, and whether it is complete as far as can be told."""
    if arguments.entity:
        type_name, qualified_name = arguments.entity
        return walk(catalog, type_name, qualified_name, arguments.direction, arguments.depth), True
    namespace = context.namespace(arguments.namespace)
    while True:
        try:
            view = run_graph(catalog, arguments.dag_id, arguments.run_id, namespace)
        except EntityNotFoundError:
            if deadline is None or time.monotonic() > deadline:
                raise
        else:
            if deadline is None or view.run.state:
                return view, True
            if time.monotonic() > deadline:
                return view, False
        time.sleep(_PAUSE)
        Drain(context, max(0.0, deadline - time.monotonic())).run()
