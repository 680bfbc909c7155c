"""``mlgov receive`` and ``mlgov token``: the OpenLineage endpoint, and who may send to it."""

from __future__ import annotations

import logging
import math
import ssl
import threading
from argparse import Namespace
from pathlib import Path

from airflow_provider_mlgov.catalog.web import LOOPBACK, is_loopback
from airflow_provider_mlgov.cli.catalog import check_free
from airflow_provider_mlgov.cli.context import Context, conf_get
from airflow_provider_mlgov.cli.output import remark, say
from airflow_provider_mlgov.errors import ConfigurationError, MlgovError
from airflow_provider_mlgov.lineage.tokens import FILE, Tokens
from airflow_provider_mlgov.masking import trace_of
from airflow_provider_mlgov.settings import Settings

log = logging.getLogger(__name__)


def receive(arguments: Namespace) -> int:
    """Receive events until interrupted, and send them on."""
    from airflow_provider_mlgov.assembly import open_outbox
    from airflow_provider_mlgov.catalog.slow import server_options
    from airflow_provider_mlgov.lineage.receiver import PATH, create_app

    context = Context.of(arguments)
    if bool(arguments.certificate) != bool(arguments.key):
        raise ConfigurationError("--certificate and --key belong together; give both or none")
    for file in (arguments.certificate, arguments.key):
        if file and not Path(file).is_file():
            raise ConfigurationError(f"{file} is no file; wanted a certificate and its key in PEM form")
    if arguments.certificate:
        _check_pair(arguments.certificate, arguments.key)
    local = is_loopback(arguments.host)
    if not local and not arguments.certificate and not arguments.behind_proxy:
        raise ConfigurationError(
            f"receiving on {arguments.host} without TLS shows every token to the network; wanted --certificate and --key, "
            "or --behind-proxy where a proxy has them, or the host 127.0.0.1"
        )
    check_free(arguments.host, arguments.port)
    tokens = Tokens(context.settings.spool_folder / FILE)
    if tokens.prepare() is not None:
        remark(f"made a token, in {tokens.path}: `mlgov token show default`")
    if not arguments.no_send:
        context.sender()  # what is wrong with the settings is said before anything is received
    sending = _Sending(context, paused=arguments.no_send)
    named = context.settings.receiver_hosts
    outbox = open_outbox(context.settings, mask=tokens.hide)
    app = create_app(
        tokens,
        outbox,
        sending.wake,
        hosts=(*LOOPBACK, arguments.host, *named) if local or named else None,
        rate=context.settings.receiver_rate or math.inf,
    )
    import uvicorn

    scheme = "https" if arguments.certificate else "http"
    remark(f"receiving at {scheme}://{arguments.host}:{arguments.port}{PATH} (stop with Ctrl-C)")
    with sending:
        uvicorn.run(
            app,
            host=arguments.host,
            port=arguments.port,
            **server_options(),
            ssl_certfile=arguments.certificate,
            ssl_keyfile=arguments.key,
            timeout_graceful_shutdown=5,
        )
    return 0


def _check_pair(certificate: str, key: str) -> None:
    """Say what is wrong with them before anything is received."""
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key)
    except OSError as error:  # also what ssl raises
        raise ConfigurationError(
            f"{certificate} and {key} are no certificate and its key: {error.strerror or error}; wanted both in PEM form"
        ) from None


class _Sending:
    """Sends what was received, in a thread; what goes wrong is said once, and tried again."""

    _PAUSE = 10.0

    def __init__(self, context: Context, *, paused: bool) -> None:
        self._context = context
        self._paused = paused
        self._wake = threading.Event()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="mlgov-sender", daemon=True)
        self._complaint = ""

    def wake(self) -> None:
        """There is something to send."""
        self._wake.set()

    def __enter__(self) -> None:
        if not self._paused:
            self._wake.set()  # what waits from before
            self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(30)

    def _run(self) -> None:
        from airflow_provider_mlgov.delivery.abreast import Abreast

        several: Abreast | None = None
        while not self._over.is_set():
            self._wake.wait(self._PAUSE)
            self._wake.clear()
            failed = False
            try:
                sender = several or self._context.sender()
                if isinstance(sender, Abreast):
                    several = sender  # it remembers which sinks are still at work: none of them holds this loop
                    report = sender.send(20.0, wait=1.0)
                else:
                    report = sender.send(20.0)
                if report.outcome == "nothing":  # nothing was tried: what was said last holds
                    continue
                complaint = report.reason if report.outcome != "done" else ""
            except MlgovError as error:
                complaint = str(error)
            except Exception as error:  # noqa: BLE001 - events are still received: this thread is there to go on
                log.debug("Details:\n%s", trace_of(error))
                complaint, failed = f"unexpected {type(error).__name__}: {error}", True
            if complaint and complaint != self._complaint:
                remark(f"events wait: {complaint}")
            self._complaint = complaint or ""
            if failed:
                self._over.wait(self._PAUSE)  # not again for each event that comes


def _tokens() -> Tokens:
    return Tokens(Settings.load(conf_get).spool_folder / FILE)


def list_tokens(arguments: Namespace) -> int:  # noqa: ARG001 - as all commands
    """Name the tokens and what they may do."""
    for token in _tokens().all():
        rights = ["runs of Airflow"] * token.airflow + ["facets of ours"] * token.own_facets
        say(f"{token.name}  jobs: {', '.join(token.jobs)}" + "".join(f"; {right}" for right in rights))
    return 0


def add_token(arguments: Namespace) -> int:
    """Make a token and print it."""
    jobs = arguments.job_namespace or ["*"]
    token = _tokens().add(arguments.name, jobs, airflow=arguments.airflow, own_facets=arguments.own_facets)
    say(token.token)
    return 0


def show_token(arguments: Namespace) -> int:
    """Print a token, for its owner; exit code 1 if there is none of this name."""
    for token in _tokens().all():
        if token.name == arguments.name:
            say(token.token)
            return 0
    remark(f"there is no token {arguments.name!r}; `mlgov token list` names them")
    return 1


def remove_token(arguments: Namespace) -> int:
    """Remove a token: a running receiver refuses it from now on."""
    _tokens().remove(arguments.name)
    return 0
