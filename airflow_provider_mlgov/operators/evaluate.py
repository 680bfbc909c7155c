"""Evaluating: a build and data in, an evaluation out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from airflow_provider_mlgov.errors import InvalidInputError
from airflow_provider_mlgov.model import ml
from airflow_provider_mlgov.operators.base import attempt_of, plain_values
from airflow_provider_mlgov.operators.consume import BuildConsumer
from airflow_provider_mlgov.operators.reference import to_reference

Json = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Evaluated:
    """What an evaluating function returns; a dict of metrics will do as well."""

    metrics: Mapping[str, Any] = field(default_factory=dict)
    passed: bool | None = None
    """Whether the build is good enough."""
    description: str | None = None


class EvaluateModelOperator(BuildConsumer):
    """Evaluate a build: ``python_callable`` measures and returns metrics (see `Evaluated`).

    It gets the build by a parameter named ``build``. ``split`` names the data it is measured on: inputs that are
    marked with it belong to the evaluation. Returns the reference to the build with the metrics of this evaluation,
    which `RegisterModelOperator` chooses by.
    """

    template_fields: Sequence[str] = (*BuildConsumer.template_fields, "evaluation", "split")
    ui_color = "#e3ecf9"

    def __init__(
        self,
        *,
        python_callable: Callable[..., Any],
        evaluation: str | None = None,
        split: str = "test",
        **kwargs: Any,
    ) -> None:
        super().__init__(python_callable=python_callable, **kwargs)
        self.evaluation = evaluation
        self.split = split

    def execute(self, context: Mapping[str, Any]) -> Json:
        """Evaluate, and return the reference with the metrics."""
        attempt = attempt_of(context)
        build = self.find_build(context)
        self.reads(attempt, ml.Build(project=build.project, model=build.model, key=build.key))
        key = self.evaluation or self.new_key(attempt, build.model)
        evaluated = _read(self.call(context, build=build))
        evaluation = ml.Evaluation(
            project=build.project,
            model=build.model,
            build=build.key,
            key=key,
            split=self.split,
            metrics=plain_values(evaluated.metrics, "metrics"),
            passed=evaluated.passed,
            description=evaluated.description,
        )
        self.makes(attempt, evaluation, context)
        reference = {**to_reference(build), **to_reference(evaluation)}
        return reference if evaluated.passed is None else {**reference, "passed": evaluated.passed}


def _read(returned: object) -> Evaluated:
    if isinstance(returned, Evaluated):
        return returned
    if isinstance(returned, Mapping):
        return Evaluated(metrics=returned)
    raise InvalidInputError(
        f"the evaluating function returned {returned!r:.200}; wanted Evaluated(…) or a dict of metrics"
    )
