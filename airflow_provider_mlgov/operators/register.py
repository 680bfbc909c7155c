"""Registering: of several builds one is chosen and given its place."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

from airflow_provider_mlgov.errors import InvalidInputError, UnresolvedBuildError
from airflow_provider_mlgov.model import ml
from airflow_provider_mlgov.operators.base import MlgovOperator, attempt_of
from airflow_provider_mlgov.operators.reference import read_reference, to_build, to_reference

Json = dict[str, Any]


def _accept(build: ml.Build) -> None:
    """The catalogue is the registry: nothing else to do."""


class RegisterModelOperator(MlgovOperator):
    """Choose a build among ``candidates`` and mark it as registered, with ``aliases`` that point at it from now on.

    ``candidates`` is what training or evaluating tasks return, mapped or not. Of several, ``metric`` decides: the
    build where it is greatest (``mode="max"``) or least; of equals the first. Evaluations that did not pass are left
    out. ``python_callable``, if given, gets the ``build`` and puts it into a registry of yours; it may return the
    number that it has there. Returns the reference to the build.
    """

    template_fields: Sequence[str] = (*MlgovOperator.template_fields, "candidates", "metric", "aliases")
    ui_color = "#f9efd9"

    def __init__(
        self,
        *,
        candidates: Any,
        metric: str | None = None,
        mode: Literal["max", "min"] = "max",
        aliases: Iterable[str] = (),
        python_callable: Callable[..., Any] = _accept,
        **kwargs: Any,
    ) -> None:
        super().__init__(python_callable=python_callable, **kwargs)
        if mode not in ("max", "min"):
            raise InvalidInputError(f"mode of task {self.task_id} is {mode!r}; wanted 'max' or 'min'")
        self.candidates = candidates
        self.metric = metric
        self.mode = mode
        self.aliases = aliases

    def execute(self, context: Mapping[str, Any]) -> Json:
        """Choose, mark, and return the reference to the build."""
        from airflow_provider_mlgov.assets import Model

        attempt = attempt_of(context)
        project, model = self.family()
        references = [found for found in map(read_reference, _listed(self.candidates)) if found is not None]
        chosen = self._choose(references)
        builds = [to_build(reference, project, model) for reference in references]
        for build in builds:
            self.reads(attempt, ml.Build(project=build.project, model=build.model, key=build.key))
        build = to_build(chosen, project, model)
        number = self.call(context, build=build)
        # Only what registering adds: a build's own facts, its metrics on the training data among them, are those of its training.
        registered = ml.Build(
            project=build.project,
            model=build.model,
            key=build.key,
            registered=True,
            aliases=(self.aliases,) if isinstance(self.aliases, str) else tuple(self.aliases),
            version=number if isinstance(number, int) and not isinstance(number, bool) else None,
        )
        self.makes(attempt, registered, context, None)
        self._announce(context, Model(build.model, project=build.project), replace(build, registered=True))
        self.log.info("Registered build %s of %s, one of %s candidates", build.key, build.model, len(builds))
        return to_reference(build)

    def _choose(self, references: list[Json]) -> Json:
        passed = [reference for reference in references if reference.get("passed") is not False]
        if not passed:
            raise UnresolvedBuildError(
                f"task {self.task_id} has no build to choose from: {len(references)} candidates, none of which passed"
                if references
                else f"task {self.task_id} has no build to choose from: its candidates are empty; did the training run?"
            )
        if self.metric is None:
            if len({str(reference.get("build")) for reference in passed}) > 1:
                raise UnresolvedBuildError(
                    f"task {self.task_id} has {len(passed)} candidates and nothing decides between them: name the metric"
                )
            return passed[0]
        values = [self._value(reference) for reference in passed]
        best = max(values) if self.mode == "max" else min(values)
        return passed[values.index(best)]

    def _value(self, reference: Json) -> float:
        value = (reference.get("metrics") or {}).get(self.metric)
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise UnresolvedBuildError(
                f"metric {self.metric!r} of build {reference.get('build')!r} is {value!r}; wanted a number, among "
                f"{sorted(reference.get('metrics') or {})}"
            )
        return float(value)

    def _announce(self, context: Mapping[str, Any], asset: Any, build: ml.Build) -> None:
        from airflow_provider_mlgov.assets.ml import event_extra

        for outlet in self.outlets:
            if getattr(outlet, "uri", None) == asset.uri:
                context["outlet_events"][outlet].extra = event_extra(build)


def _listed(candidates: Any) -> list[Any]:
    if candidates is None:
        return []
    if isinstance(candidates, (str, Mapping, ml.Thing)):
        return [candidates]
    return list(candidates)
