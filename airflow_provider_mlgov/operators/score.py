"""Scoring: a deployment or build and data in, data out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from airflow_provider_mlgov.errors import UnresolvedBuildError
from airflow_provider_mlgov.model import ml
from airflow_provider_mlgov.operators.base import attempt_of
from airflow_provider_mlgov.operators.consume import BuildConsumer
from airflow_provider_mlgov.operators.reference import read_reference, to_build, to_deployment


class ScoreOperator(BuildConsumer):
    """Score a batch: ``python_callable`` reads data, asks the model and writes data.

    ``deployment`` (what a deploying task returns) or ``build`` says which; the callable may ask for either by a
    parameter of that name. What it reads and writes is declared by inlets and outlets, or said inside by
    `airflow_provider_mlgov.lineage.read` and ``wrote``. This only records: if nothing decides which build is meant,
    the callable gets None, and the lineage points at the ``model``, with a warning. Returns what the callable
    returns.
    """

    template_fields: Sequence[str] = (*BuildConsumer.template_fields, "deployment")
    ui_color = "#f7e3dc"

    def __init__(self, *, deployment: Any = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.deployment = deployment

    def execute(self, context: Mapping[str, Any]) -> Any:
        """Score, and return what the callable returns."""
        attempt = attempt_of(context)
        reference = read_reference(self.deployment) or self.reference(context)
        project, model = self.family()
        deployment = build = None
        if reference is not None:
            deployment = to_deployment(reference)
            build = to_build(reference, project, model)
            key = ml.Build(project=build.project, model=build.model, key=build.key)
            self.reads(attempt, key if deployment is None else deployment)
        elif model:
            self.log.warning(
                "Nothing decides which build of %s is meant, so the lineage points at the model: give build or deployment",
                model,
            )
            self.reads(attempt, ml.Model(project=project or ml.DEFAULT_PROJECT, model=model))
        else:
            raise UnresolvedBuildError(
                f"task {self.task_id} names neither deployment nor build nor model: give it one of them"
            )
        return self.call(context, build=build, deployment=deployment)
