"""Models and endpoints as Airflow assets: they schedule DAGs and say what a task reads or makes, whatever its operator.

The URI carries the whole identity, since Airflow hands around the bare asset (name, class and own fields get lost).
It is percent-encoded (Airflow drops a DAG file with another one, without an import error), and the asset's name is
its URI (two assets with one name make tasks fail). Which build or deployment is meant is in the extra, under
``mlgov``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from airflow_provider_mlgov._compat import Asset
from airflow_provider_mlgov.model import ml
from airflow_provider_mlgov.model.identity import check_text

EXTRA = "mlgov"
"""Key of our facts in an asset's extra and in that of its events."""


def _uri(project: str, *parts: str) -> str:
    return f"{ml.SCHEME}://" + "/".join(
        quote(check_text(part, "part of an asset"), safe="") for part in (project, *parts)
    )


def _parts(uri: str) -> list[str]:
    split = urlsplit(uri)
    if split.scheme != ml.SCHEME:
        return []
    return [unquote(part) for part in (split.netloc, *split.path.strip("/").split("/"))]


class Model(Asset):
    """A model as asset. In outlets it stands for the build that the task makes, in inlets for the one it uses.

    Which build an inlet means: ``build`` (its key) if given, else the triggering asset event, else what ``alias``
    points at.
    """

    asset_type = "mlgov_model"

    def __init__(
        self,
        model: str,
        *,
        project: str = ml.DEFAULT_PROJECT,
        build: str | None = None,
        alias: str | None = None,
        extra: Mapping[str, Any] | None = None,
    ) -> None:
        facts: dict[str, Any] = {key: value for key, value in (("build", build), ("alias", alias)) if value is not None}
        whole: dict[str, Any] = {**(extra or {}), **({EXTRA: facts} if facts else {})}
        super().__init__(uri=_uri(project, "models", model), extra=whole)

    # Properties rather than fields: 2.11 copies assets by the fields that it knows.
    @property
    def project(self) -> str:
        """The project the model belongs to."""
        return _parts(self.uri)[0]

    @property
    def model(self) -> str:
        """The name of the model."""
        return _parts(self.uri)[2]

    @property
    def alias(self) -> str | None:
        """The alias that says which build is meant, if one was given."""
        facts: Any = (self.extra or {}).get(EXTRA)
        alias = facts.get("alias") if isinstance(facts, Mapping) else None
        return alias if isinstance(alias, str) else None


class Endpoint(Asset):
    """An endpoint as asset: in outlets the deployment that the task makes, in inlets the one it uses."""

    asset_type = "mlgov_endpoint"

    def __init__(
        self,
        endpoint: str,
        *,
        environment: str = ml.DEFAULT_ENVIRONMENT,
        project: str = ml.DEFAULT_PROJECT,
        extra: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(uri=_uri(project, "endpoints", environment, endpoint), extra=dict(extra or {}))

    @property
    def project(self) -> str:
        """The project the endpoint belongs to."""
        return _parts(self.uri)[0]

    @property
    def environment(self) -> str:
        """Where it serves, such as production or test."""
        return _parts(self.uri)[2]

    @property
    def endpoint(self) -> str:
        """The name of the endpoint."""
        return _parts(self.uri)[3]


def event_extra(thing: ml.Thing) -> dict[str, Any]:
    """The extra that an asset event carries, so that consumers know which build or deployment it is about."""
    identity = {name: getattr(thing, name) for name in thing.identity}
    if isinstance(thing, ml.Build):
        identity["build"] = identity.pop("key")
    # The record is long, and is kept with the build: its digest is enough here.
    facts = {name: value for name, value in thing.facts().items() if name != "record"}
    return {EXTRA: {**facts, **identity}}
