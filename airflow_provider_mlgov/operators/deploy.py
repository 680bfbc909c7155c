"""Deploying: a build in, a deployment out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any

from airflow_provider_mlgov.errors import InvalidInputError
from airflow_provider_mlgov.model import ml
from airflow_provider_mlgov.operators.base import attempt_of
from airflow_provider_mlgov.operators.consume import BuildConsumer
from airflow_provider_mlgov.operators.reference import to_reference

if TYPE_CHECKING:
    from airflow_provider_mlgov.assets import Endpoint

Json = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Deployed:
    """What a deploying function returns; the URL alone, or a dict with these keys, will do as well."""

    url: str | None = None
    status: str = "deployed"
    cpu_millicores: int | None = None
    memory_mb: int | None = None
    gpus: int | None = None
    replicas: int | None = None
    description: str | None = None


class DeployModelOperator(BuildConsumer):
    """Put a build into service: ``python_callable`` does it and returns the URL (see `Deployed`).

    It may ask for ``build`` (which one) and ``deployment`` (where to, and the revision that this becomes). It acts,
    so it fails if nothing decides which build is meant: `UnresolvedBuildError`. Returns the reference to the
    deployment. If the `Endpoint` asset is in the outlets, its event carries the same.
    """

    template_fields: Sequence[str] = (*BuildConsumer.template_fields, "endpoint", "environment", "revision")
    ui_color = "#f3e1f7"

    def __init__(
        self,
        *,
        endpoint: str | Endpoint,
        python_callable: Callable[..., Any],
        environment: str | None = None,
        revision: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(python_callable=python_callable, **kwargs)
        self.endpoint = endpoint
        self.environment = environment
        self.revision = revision

    def execute(self, context: Mapping[str, Any]) -> Json:
        """Deploy, and return the reference to the deployment."""
        from airflow_provider_mlgov.assets import Endpoint

        attempt = attempt_of(context)
        build = self.find_build(context)
        endpoint = str(getattr(self.endpoint, "endpoint", self.endpoint))
        environment = self.environment or getattr(self.endpoint, "environment", None) or ml.DEFAULT_ENVIRONMENT
        deployment = ml.Deployment(
            project=build.project,
            model=build.model,
            build=build.key,
            environment=environment,
            endpoint=endpoint,
            revision=self.revision or self.new_key(attempt, endpoint),
        )
        self.reads(attempt, ml.Build(project=build.project, model=build.model, key=build.key))
        deployed = _read(self.call(context, build=build, deployment=deployment))
        deployment = replace(deployment, **{item.name: getattr(deployed, item.name) for item in fields(deployed)})
        self.makes(attempt, deployment, context, Endpoint(endpoint, environment=environment, project=build.project))
        return to_reference(deployment)


def _read(returned: object) -> Deployed:
    if isinstance(returned, Deployed):
        return returned
    if isinstance(returned, str) and returned:
        return Deployed(url=returned)
    names = {item.name for item in fields(Deployed)}
    if isinstance(returned, Mapping) and set(returned) <= names:
        return Deployed(**{str(name): value for name, value in returned.items()})
    raise InvalidInputError(
        f"the deploying function returned {returned!r:.200}; wanted the URL, Deployed(…) or a dict with keys among {sorted(names)}"
    )
