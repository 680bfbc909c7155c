"""``mlgov catalog``."""

from __future__ import annotations

import os
import socket
from argparse import Namespace

from airflow_provider_mlgov.catalog.types.apply import ensure_types, plan
from airflow_provider_mlgov.cli.context import Context
from airflow_provider_mlgov.cli.output import remark, say
from airflow_provider_mlgov.errors import ConfigurationError


def status(arguments: Namespace) -> int:
    """Ask the catalogue whether it is usable, and whether it has our types."""
    with Context.of(arguments).catalog() as catalog:
        answer = catalog.status()
        todo = plan(catalog)
        state = str(answer.get("Status", "unknown"))
        say(f"catalogue  {catalog.identity}")
        say(f"status     {state}")
        if answer.get("Version"):
            say(f"version    Atlas {answer['Version']}")
        say(f"types      {'complete' if todo.is_empty else 'not complete: see `mlgov types apply --check`'}")
        return 0 if state == "ACTIVE" else 1


def serve(arguments: Namespace) -> int:
    """Serve the embedded catalogue until interrupted."""
    context = Context.of(arguments)
    if not context.is_embedded:
        raise ConfigurationError("only the embedded catalogue can be served; wanted --catalog embedded:PATH")
    from airflow_provider_mlgov.catalog.embedded import EmbeddedCatalog
    from airflow_provider_mlgov.catalog.server import check_login
    from airflow_provider_mlgov.catalog.server import serve as serve_catalog

    user = os.environ.get("MLGOV_SERVE_USER")
    login = (user, os.environ.get("MLGOV_SERVE_PASSWORD", "")) if user else None
    check_login(arguments.host, login)
    check_free(arguments.host, arguments.port)
    catalog = EmbeddedCatalog(context.settings.embedded_path)
    try:
        ensure_types(catalog)
        remark(f"serving {catalog.identity} at http://{arguments.host}:{arguments.port} (stop with Ctrl-C)")
        serve_catalog(catalog, arguments.host, arguments.port, login=login)
    finally:
        catalog.close()
    return 0


def check_free(host: str, port: int) -> None:
    """Raise `ConfigurationError` if nobody could listen there."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        raise ConfigurationError(
            f"cannot listen at {host}:{port}: {error.strerror or error}; give another --port"
        ) from None
