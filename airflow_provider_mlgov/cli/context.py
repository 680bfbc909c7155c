"""What commands work on: the settings, and the catalogue that they or the arguments name."""

from __future__ import annotations

import os
from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from airflow_provider_mlgov.errors import ConfigurationError
from airflow_provider_mlgov.options import SECTION
from airflow_provider_mlgov.settings import Settings, airflow_conf_get

if TYPE_CHECKING:
    from airflow_provider_mlgov.catalog.catalog import Catalog
    from airflow_provider_mlgov.delivery.abreast import Sends
    from airflow_provider_mlgov.delivery.handover import Collected

_EMBEDDED = "embedded:"


def conf_get(section: str, name: str) -> str | None:
    """An option as Airflow would read it, without the seconds that importing Airflow takes.

    Only what Airflow has to work out (commands, secrets, interpolation) is left to it.
    """
    variable = f"AIRFLOW__{section.upper()}__{name.upper()}"
    if any(f"{variable}_{kind}" in os.environ for kind in ("CMD", "SECRET")):
        return airflow_conf_get(section, name)
    text = os.environ.get(variable)
    if text is None:
        options = _file_options().get(section, {})
        if any(f"{name}_{kind}" in options for kind in ("cmd", "secret")):
            return airflow_conf_get(section, name)
        text = options.get(name)
    if text is not None and any(char in text for char in "%$`"):
        return airflow_conf_get(section, name)
    return text


def _file_options() -> dict[str, dict[str, str]]:
    from configparser import Error, RawConfigParser

    home = Path(os.path.expandvars(os.environ.get("AIRFLOW_HOME") or "~/airflow")).expanduser()
    path = Path(os.path.expandvars(os.environ.get("AIRFLOW_CONFIG") or home / "airflow.cfg")).expanduser()
    parser = RawConfigParser(strict=False)
    try:
        parser.read(path, encoding="utf-8")
    except (Error, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path} cannot be read: {error}") from None
    return {section: dict(parser.items(section)) for section in parser.sections()}


@dataclass(frozen=True)
class Context:
    """Settings, and where the catalogue is."""

    settings: Settings
    url: str | None = None
    """An Atlas given by its URL, with its login in the environment."""

    @classmethod
    def of(cls, arguments: Namespace) -> Context:
        """What these arguments and the configuration come to; `ConfigurationError` if they contradict each other."""
        settings = Settings.load(conf_get)
        catalog: str | None = arguments.catalog
        if arguments.conn_id:
            if catalog:
                raise ConfigurationError("--catalog and --conn-id both name a catalogue; give one of them")
            return cls(replace(settings, atlas_conn_id=arguments.conn_id, sinks=()))
        if catalog is None:
            return cls(settings)
        if catalog.startswith(_EMBEDDED):
            path = catalog[len(_EMBEDDED) :]
            if not path:
                raise ConfigurationError("--catalog embedded: names no file; wanted embedded:PATH")
            return cls(replace(settings, atlas_conn_id="", embedded_path=Path(path).expanduser(), sinks=()))
        _check_url(catalog)
        return cls(replace(settings, atlas_conn_id="", sinks=()), url=catalog)

    @property
    def is_embedded(self) -> bool:
        """Whether the catalogue is a file."""
        return not (self.url or self.settings.atlas_conn_id)

    def namespace(self, given: str | None = None) -> str:
        """The name of this Airflow; `ConfigurationError` if an Atlas is asked and nothing says it."""
        if given:
            return given
        if self.url and not self.settings.namespace:
            raise ConfigurationError(f"[{SECTION}] namespace is empty: give --namespace, the name of the Airflow meant")
        return self.settings.airflow_namespace

    @contextmanager
    def catalog(self, *, create: bool = False) -> Iterator[Catalog]:
        """The open catalogue. An embedded one that is not there is an error, unless the command may ``create`` it."""
        if self.is_embedded and not create and not self.settings.embedded_path.exists():
            raise ConfigurationError(
                f"there is no embedded catalogue at {self.settings.embedded_path}: nothing was recorded yet, or another "
                f"AIRFLOW_HOME is meant; --catalog names another one"
            )
        catalog = self.open()
        try:
            yield catalog
        finally:
            catalog.close()

    def open(self) -> Catalog:
        """The catalogue; who opens it closes it."""
        if self.url:
            from airflow_provider_mlgov.catalog.atlas import AtlasCatalog

            return AtlasCatalog(self.url, _login())
        if self.settings.atlas_conn_id:
            prepare_airflow()
        from airflow_provider_mlgov.assembly import open_catalog

        return open_catalog(self.settings)

    def sender(self, sink: str | None = None) -> Sends:
        """What takes the events of this host's spool to the catalogue, to a receiver, or to all sinks or the one named."""
        if not self.url:
            if self.settings.atlas_conn_id or self.settings.forward_conn_id or self.settings.handover_path:
                prepare_airflow()
            from airflow_provider_mlgov.assembly import open_draining, open_sender

            return open_draining(self.settings, sink) if sink else open_sender(self.settings)
        from airflow_provider_mlgov.assembly import open_spool, translate_options
        from airflow_provider_mlgov.delivery.sender import Sender

        options = translate_options(replace(self.settings, namespace=self.namespace()))
        return Sender(open_spool(self.settings), self.open, options)

    def handed_over(self, path: str) -> tuple[int, int]:
        """How many objects wait at a place of handing over, and how many were set aside there."""
        from airflow_provider_mlgov.delivery.handover import counts
        from airflow_provider_mlgov.hooks.objects import open_objects

        prepare_airflow()
        return counts(open_objects(path))

    def collect(self, budget: float | None) -> Collected:
        """Take what other hosts handed over into this host's spool."""
        from airflow_provider_mlgov.assembly import collect_events, collects

        if collects(self.settings):
            prepare_airflow()
        return collect_events(self.settings, budget)


def prepare_airflow() -> None:
    """Before Airflow is imported: what it does not find in the environment it takes from its configuration."""
    # Airflow 3 gives a process the connections of its database only where this says that it is none of a task.
    os.environ.setdefault("_AIRFLOW_PROCESS_CONTEXT", "server")
    # Airflow 2 tells of each connection that it retrieves.
    os.environ.setdefault("AIRFLOW__LOGGING__LOGGING_LEVEL", "WARNING")


def _check_url(url: str) -> None:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ConfigurationError(f"--catalog is {url!r}; wanted embedded:PATH or http(s)://host:port")
    if "@" in parts.netloc:
        raise ConfigurationError(
            "--catalog holds a login, which other users could see in the list of processes; wanted it in MLGOV_ATLAS_USER "
            "and MLGOV_ATLAS_PASSWORD, or a connection (--conn-id)"
        )


def _login() -> tuple[str, str] | None:
    user = os.environ.get("MLGOV_ATLAS_USER")
    return (user, os.environ.get("MLGOV_ATLAS_PASSWORD", "")) if user else None
