"""Operators that use a build: how they find the one they mean."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from airflow_provider_mlgov.errors import UnresolvedBuildError
from airflow_provider_mlgov.model import identity, ml
from airflow_provider_mlgov.operators.base import MlgovOperator
from airflow_provider_mlgov.operators.reference import from_asset_events, read_reference, to_build

if TYPE_CHECKING:
    pass

Json = dict[str, Any]


class BuildConsumer(MlgovOperator):
    """Base: finds its build by ``build`` (a key, or a reference by XCom), else the asset event, else ``alias``."""

    template_fields: Sequence[str] = (*MlgovOperator.template_fields, "build", "alias")

    def __init__(
        self,
        *,
        python_callable: Callable[..., Any],
        build: Any = None,
        alias: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(python_callable=python_callable, **kwargs)
        self.build = build
        self.alias = alias

    def reference(self, context: Mapping[str, Any]) -> Json | None:
        """What explicit value, XCom, inlet, asset event or alias says, in this order; None if nothing decides."""
        found = read_reference(self.build)
        if found is not None:
            return found
        found = from_asset_events(context, self.inlets, getattr(self.model, "uri", None))
        return found if found is not None else self._by_alias()

    def find_build(self, context: Mapping[str, Any]) -> ml.Build:
        """The build that is meant. It is never guessed: raises `UnresolvedBuildError`."""
        found = self.reference(context)
        project, model = self.family()
        if found is None:
            raise UnresolvedBuildError(
                f"nothing decides which build{f' of {model!r}' if model else ''} task {self.task_id} means; give it "
                f"build=<key or the output of the training or registering task>, or an alias that points at one, "
                f"or let the Model asset trigger the DAG"
            )
        return to_build(found, project, model)

    def _by_alias(self) -> Json | None:
        project, model = self.family()
        said = None if self.model is None or isinstance(self.model, str) else self.model.alias
        alias = self.alias or said
        if not alias or not model:
            return None
        return _build_by_alias(project or ml.DEFAULT_PROJECT, model, alias)


def _build_by_alias(project: str, model: str, alias: str) -> Json:
    """The reference to the build that an alias points at now, as the catalogue knows it."""
    from airflow_provider_mlgov.assembly import open_catalog
    from airflow_provider_mlgov.settings import Settings

    settings = Settings.load()
    family = identity.Model(settings.catalogue_namespace, project, model)
    catalog = open_catalog(settings)
    try:
        found = (catalog.get(family.type_name, str(family)) or {}).get("attributes", {})
        key = (found.get("aliases") or {}).get(alias)
        if not key:
            raise UnresolvedBuildError(
                f"alias {alias!r} of model {model!r} in project {project!r} points at no build in {catalog.identity}: "
                f"register a build with this alias first"
            )
        name = identity.Build(settings.catalogue_namespace, project, model, key)
        stored = (catalog.get(name.type_name, str(name)) or {}).get("attributes", {})
    finally:
        catalog.close()
    facts = {"artifact_uri": stored.get("artifactUri"), "artifact_digest": stored.get("artifactDigest")}
    return {"project": project, "model": model, "build": key, **{name: value for name, value in facts.items() if value}}
