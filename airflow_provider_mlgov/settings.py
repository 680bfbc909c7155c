"""The options of ``[mlgov]``, read and checked."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from airflow_provider_mlgov.errors import ConfigurationError, InvalidNameError
from airflow_provider_mlgov.model.identity import check_text
from airflow_provider_mlgov.options import OPTIONS, SECTION, Option

BACKEND = "airflow_provider_mlgov.lineage.AtlasLineageBackend"
"""What ``[lineage] backend`` names to switch the recording on."""

ATLAS_SINKS = ("catalog", "kafka", "notification")
"""Ways to the one Atlas of ``atlas_conn_id`` (``catalog``: or to the embedded one)."""
SINKS = (*ATLAS_SINKS, "embedded", "file", "none")

log = logging.getLogger(__name__)
_warned: set[str] = set()
"""The options whose wrong value this process has spoken of."""

ConfGet = Callable[[str, str], str | None]
"""Gives the text of an option of a section, or None."""


def _texts(value: str) -> tuple[str, ...]:
    return tuple(part for part in re.split(r"[,;\s]+", value) if part)


_TRUE = frozenset({"true", "t", "1", "yes", "on"})
_FALSE = frozenset({"false", "f", "0", "no", "off", ""})


def _boolean(value: str) -> bool:
    text = value.strip().lower()
    if text in _TRUE:
        return True
    if text in _FALSE:
        return False
    raise ValueError("wanted true or false")


def _positive(value: str) -> float:
    number = float(value)
    if not 0 < number < float("inf"):
        raise ValueError("wanted a number above 0")
    return number


def _limit(value: str) -> float:
    return 0.0 if value.strip() in ("0", "0.0") else _positive(value)


def _path(value: str) -> Path:
    try:
        return Path(os.path.expandvars(value)).expanduser() if value else Path()
    except RuntimeError as error:  # no such user
        raise ValueError(str(error)) from None


def _namespace(value: str) -> str:
    try:
        return check_text(value, "a namespace") if value else value
    except InvalidNameError as error:
        raise ValueError(str(error)) from None


def _one_of(*choices: str) -> Callable[[str], str]:
    def read(value: str) -> str:
        if value not in choices:
            raise ValueError(f"wanted one of {', '.join(choices)}")
        return value

    return read


_READ: Mapping[str, Callable[[str], Any]] = {
    "types_apply": _one_of("automatic", "manual"),
    "spool_megabytes": _limit,
    "spool_days": _limit,
    "receiver_rate": _limit,
    "s3_scheme": _one_of("s3a", "s3n", "s3"),
    "namespace": _namespace,
    "catalogue_namespace": _namespace,
    "platform_namespace": _namespace,
}
_READ_TYPE: Mapping[str, Callable[[str], Any]] = {
    "str": str,
    "bool": _boolean,
    "float": _positive,
    "Path": _path,
    "tuple[str, ...]": _texts,
}


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The options, read and checked. Without arguments: the defaults, under ``AIRFLOW_HOME``."""

    enabled: bool = False
    atlas_conn_id: str = ""
    forward_conn_id: str = ""
    sinks: tuple[str, ...] = ()
    kafka_conn_id: str = ""
    kafka_topic: str = "ATLAS_HOOK"
    kafka_group: str = "atlas"
    message_wait: float = 60.0
    sink_file: Path = Path()
    namespace: str = ""
    catalogue_namespace: str = "primary"
    platform_namespace: str = "primary"
    embedded_path: Path = Path()
    spool_folder: Path = Path()
    spool_shared: bool = False
    handover_path: str = ""
    collect_path: str = ""
    spool_megabytes: float = 1024.0
    spool_days: float = 0.0
    send_budget: float = 5.0
    collect_timeout: float = 3.0
    delivery_process: bool = True
    types_apply: str = "automatic"
    selective: bool = False
    dags: tuple[str, ...] = ()
    disabled_dags: tuple[str, ...] = ()
    disabled_tasks: tuple[str, ...] = ()
    disabled_operators: tuple[str, ...] = ()
    mapping_rules: Path = Path()
    s3_scheme: str = "s3a"
    masked_names: tuple[str, ...] = ()
    send_code: bool = False
    send_conf: bool = False
    send_environment: bool = False
    environment_names: tuple[str, ...] = ("*",)
    send_stack_traces: bool = False
    receiver_mount: bool = False
    receiver_hosts: tuple[str, ...] = ()
    receiver_rate: float = 2000.0
    breaker_interval: float = 60.0
    state_hours: float = 24.0

    def __post_init__(self) -> None:
        if self.embedded_path == Path():
            object.__setattr__(self, "embedded_path", home() / "catalog.db")
        if self.spool_folder == Path():
            object.__setattr__(self, "spool_folder", home() / "spool")
        if self.sink_file == Path():
            object.__setattr__(self, "sink_file", home() / "entities.ndjson")

    @classmethod
    def load(cls, conf_get: ConfGet | None = None, *, tolerant: bool = False) -> Settings:
        """Read the options by ``conf_get``, by default from Airflow's configuration.

        Raises `ConfigurationError` that names the option, what was found and what was wanted. ``tolerant``, for those who record:
        a wrong value loses no events, but is said once per process, and the default holds.
        """
        read = conf_get or airflow_conf_get
        kinds = {item.name: str(item.type) for item in fields(cls)}
        values: dict[str, Any] = {}
        for option in OPTIONS:
            parse = _READ.get(option.name, _READ_TYPE[kinds[option.name]])
            try:
                values[option.name] = _value(option, read, parse)
            except Exception as error:  # Airflow's configuration raises errors of its own
                if not tolerant:
                    raise
                _warn(option, error)
                values[option.name] = parse(option.default)
        values["enabled"] = values["enabled"] or _backend_is_ours(read)
        return cls(**values)

    @property
    def airflow_namespace(self) -> str:
        """`namespace`, or what stands for it with the embedded catalogue.

        Raises `ConfigurationError` with an Atlas and no namespace: two Airflows would write over each other's DAGs.
        """
        if self.namespace:
            return self.namespace
        if self.atlas_conn_id:
            raise ConfigurationError(
                f"[{SECTION}] namespace is empty, but [{SECTION}] atlas_conn_id is {self.atlas_conn_id!r}: give this Airflow "
                f"a name of its own, such as airflow-prod. Until then events wait in the spool"
            )
        return "default"

    @property
    def sink_names(self) -> tuple[str, ...]:
        """Where lineage goes from this host; the first has the spool folder itself, each other one a folder in it.

        On a host that forwards or hands over, that is in place of the catalogue. `ConfigurationError` if they do not go together.
        """
        _check_sinks(self)
        if not (self.forward_conn_id or self.handover_path):
            return self.sinks or ("catalog",)
        return ("forward", *(name for name in self.sinks if name not in ATLAS_SINKS))

    @property
    def further_sinks(self) -> tuple[str, ...]:
        """All sinks but the first. None while they are not well configured: then nothing can be said of where events go."""
        try:
            return self.sink_names[1:]
        except ConfigurationError:
            return ()

    def records(self, dag_id: str, task_id: str | None = None, operator: str | None = None) -> bool:
        """Whether the options let this DAG, or this task of it, be recorded. ``operator`` is the full path of its class."""
        return not self.left_out_by(dag_id, task_id, operator)

    def left_out_by(self, dag_id: str, task_id: str | None = None, operator: str | None = None) -> str:
        """The name of the option that leaves this DAG, or this task of it, out; empty if none does."""
        if self.dags and not _matches(self.dags, dag_id):
            return "dags"
        if _matches(self.disabled_dags, dag_id):
            return "disabled_dags"
        if task_id is not None and _matches(self.disabled_tasks, task_id, f"{dag_id}.{task_id}"):
            return "disabled_tasks"
        if operator is not None and _matches(self.disabled_operators, operator, operator.rpartition(".")[2]):
            return "disabled_operators"
        return ""


def _check_sinks(settings: Settings) -> None:
    """`ConfigurationError` if the sinks do not go together, or one lacks its Connection."""
    sinks, wait = settings.sinks, "Until then events wait in the spool"
    if any(name not in SINKS for name in sinks) or len(set(sinks)) < len(sinks):
        raise ConfigurationError(
            f"[{SECTION}] sinks is {', '.join(sinks)!r}; wanted some of {', '.join(SINKS)}, each once. {wait}"
        )
    writers = [name for name in sinks if name in ATLAS_SINKS]
    if len(writers) > 1:
        raise ConfigurationError(
            f"[{SECTION}] sinks has {' and '.join(writers)}, which write to one Atlas: that makes duplicates; wanted one. {wait}"
        )
    if "embedded" in sinks and "catalog" in writers and not settings.atlas_conn_id:
        raise ConfigurationError(
            f"[{SECTION}] sinks has catalog and embedded, which are one file without atlas_conn_id; wanted one of them. {wait}"
        )
    if settings.forward_conn_id:
        return  # the receiver is in place of them
    needed = {"kafka": ("atlas_conn_id", "kafka_conn_id"), "notification": ("atlas_conn_id",)}
    for name in writers:
        for option in needed.get(name, ()):
            if not getattr(settings, option):
                raise ConfigurationError(
                    f"[{SECTION}] {option} is empty, and sink {name} needs it; wanted a Connection. {wait}"
                )


def _matches(patterns: tuple[str, ...], *names: str) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns for name in names)


def _value(option: Option, read: ConfGet, parse: Callable[[str], Any]) -> Any:
    text = (read(SECTION, option.name) or "").strip() or option.default
    try:
        return parse(text)
    except ValueError as error:
        raise ConfigurationError(f"[{SECTION}] {option.name} is {text!r}: {error}") from None


def _warn(option: Option, error: Exception) -> None:
    if option.name in _warned:
        return
    _warned.add(option.name)
    said = str(error) if isinstance(error, ConfigurationError) else f"[{SECTION}] {option.name} cannot be read: {error}"
    log.warning("%s. Until that is mended its default holds: %s", said, option.default or "empty")


def home() -> Path:
    """Our folder under ``AIRFLOW_HOME``."""
    return Path(os.environ.get("AIRFLOW_HOME") or "~/airflow").expanduser() / "mlgov"


def airflow_conf_get(section: str, name: str) -> str | None:
    """An option of Airflow's configuration, or None."""
    from airflow_provider_mlgov._compat import conf

    value = conf.get(section, name, fallback=None)
    return None if value is None else str(value)


def is_enabled(conf_get: ConfGet | None = None) -> bool:
    """Whether recording is switched on: ``[mlgov] enabled``, or our backend in ``[lineage] backend`` (read by us on 3.x).

    Never raises: a wrong value is said once per process, and the default holds.
    """
    read = conf_get or airflow_conf_get
    return _switch("enabled", read) or _backend_is_ours(read)


def has_mount(conf_get: ConfGet | None = None) -> bool:
    """Whether the receiver is part of Airflow 3's API server: ``[mlgov] receiver_mount``. Never raises."""
    return _switch("receiver_mount", conf_get or airflow_conf_get)


def _switch(name: str, read: ConfGet) -> bool:
    option = next(option for option in OPTIONS if option.name == name)
    try:
        return bool(_value(option, read, _boolean))
    except Exception as error:  # noqa: BLE001 - Airflow's configuration raises errors of its own
        _warn(option, error)
        return False


def _backend_is_ours(read: ConfGet) -> bool:
    backend = (read("lineage", "backend") or "").strip()
    return backend == BACKEND or backend == BACKEND.replace(".lineage.", ".lineage.backend.")
