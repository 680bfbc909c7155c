"""What Airflow and its providers have loaded: plugins, with what failed, and converters of assets. It takes some seconds."""

from __future__ import annotations

import logging
from collections.abc import Iterator

from airflow_provider_mlgov import _compat
from airflow_provider_mlgov.cli.context import prepare_airflow
from airflow_provider_mlgov.cli.findings import Finding
from airflow_provider_mlgov.settings import Settings
from airflow_provider_mlgov.translate.naming.families import FAMILIES

_OURS = "mlgov"


def plugin_findings(settings: Settings) -> Iterator[Finding]:
    """Whether our plugin, and with it the listener, is loaded; and which others failed."""
    prepare_airflow()
    try:
        loaded, errors = _quietly_loaded()
    except Exception as error:  # noqa: BLE001 - loading Airflow runs foreign code, and that it fails is a finding
        said = f"Airflow's plugins cannot be loaded: {type(error).__name__}: {error}"
        yield Finding("WRONG" if settings.enabled else "note", "plugin", said)
        return
    if _OURS in loaded:
        registered = "it registers the listener" if settings.enabled else "it registers nothing, as recording is off"
        yield Finding("ok", "plugin", f"{_OURS} is loaded: {registered}")
    else:
        why = "; it is not among Airflow's plugins: is the package installed in Airflow's environment?"
        yield Finding("WRONG", "plugin", f"{_OURS} is not loaded{'' if _own(errors) else why}")
    for source, said in errors.items():
        yield Finding("WRONG" if source in _own(errors) else "note", "plugin failed", f"{source}: {said}")


def _own(errors: dict[str, str]) -> list[str]:
    return [source for source in errors if "airflow_provider_mlgov" in source or source == _OURS]


def _quietly_loaded() -> tuple[set[str], dict[str, str]]:
    """What loading them logs, with its traces, is said by the findings."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        return _compat.plugins()
    finally:
        logging.disable(before)


def asset_findings() -> Iterator[Finding]:
    """For which schemes of assets a provider says what they are in OpenLineage."""
    try:
        found = sorted(_compat.converters())
    except Exception as error:  # noqa: BLE001 - providers are foreign code
        yield Finding("WRONG", "assets", f"the converters of the providers cannot be loaded: {error}")
        return
    yield Finding("ok", "assets", f"the installed providers convert the URIs of {', '.join(found) or 'none'}")


def scheme_findings() -> Iterator[Finding]:
    """Which family names the datasets of which OpenLineage scheme."""
    same = sorted(name for name, family in FAMILIES.items() if family.schemes == (name,))
    others = [
        f"{name} ({', '.join(family.schemes)})"
        for name, family in sorted(FAMILIES.items())
        if family.schemes and family.schemes != (name,)
    ]
    yield Finding("ok", "schemes", ", ".join(same))
    yield Finding("ok", "families (their schemes)", ", ".join(others))
    yield Finding("ok", "any other scheme", "becomes a mlgov_dataset; `mlgov rules explain NAMESPACE NAME` says how")
