"""What all operators here share: the Python callable, the identity of the attempt, and how facts get out."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from airflow_provider_mlgov._compat import BaseOperator
from airflow_provider_mlgov.errors import InvalidInputError
from airflow_provider_mlgov.model import ml

if TYPE_CHECKING:
    from airflow_provider_mlgov.assets import Endpoint, Model
    from airflow_provider_mlgov.lineage.facts import Attempt

Json = dict[str, Any]
_NAMED = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)


class MlgovOperator(BaseOperator):
    """Base: calls ``python_callable`` as Airflow's PythonOperator does, and adds facts to the event of its own task.

    The callable gets ``op_args`` and ``op_kwargs``, and by name what it asks for: the keys of Airflow's context, and
    what the operator hands in (``build`` …).
    """

    template_fields: Sequence[str] = ("model", "project", "op_args", "op_kwargs")

    def __init__(
        self,
        *,
        python_callable: Callable[..., Any],
        model: str | Model | None = None,
        project: str | None = None,
        op_args: Collection[Any] | None = None,
        op_kwargs: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if not callable(python_callable):
            raise InvalidInputError(f"python_callable of task {self.task_id} is {python_callable!r}; wanted a function")
        self.python_callable = python_callable
        self.model = model
        self.project = project
        self.op_args = op_args or ()
        self.op_kwargs = op_kwargs or {}

    # --- who is meant ------------------------------------------------------------------------------------------------
    def family(self) -> tuple[str | None, str | None]:
        """Project and model as this task names them: by text or by a `Model` asset."""
        if self.model is None or isinstance(self.model, str):
            return self.project, self.model or None
        return self.project or self.model.project, self.model.model

    def named_family(self) -> tuple[str, str]:
        """Project and model of something new; both have to be known."""
        project, model = self.family()
        if not model:
            raise InvalidInputError(
                f"model of task {self.task_id} is {self.model!r}; wanted the name of a model or a Model asset"
            )
        return project or ml.DEFAULT_PROJECT, model

    def new_key(self, attempt: Attempt, name: str) -> str:
        """The key of what this attempt makes where the user gives none; the same whoever computes it."""
        from airflow_provider_mlgov.options import SECTION
        from airflow_provider_mlgov.settings import airflow_conf_get

        return ml.derived_key(airflow_conf_get(SECTION, "namespace") or "default", *attempt, name)

    # --- running -----------------------------------------------------------------------------------------------------
    def call(self, context: Mapping[str, Any], **given: Any) -> Any:
        """Call ``python_callable``; ``given`` is what this operator hands in to those who ask for it."""
        arguments = {**_asked_for(self.python_callable, len(self.op_args), context, given), **self.op_kwargs}
        return self.python_callable(*self.op_args, **arguments)

    # --- telling -----------------------------------------------------------------------------------------------------
    def reads(self, attempt: Attempt, thing: ml.Thing) -> None:
        """Say that this attempt reads ``thing``."""
        from airflow_provider_mlgov.lineage import facts

        facts.add_input(thing.to_dataset(), attempt=attempt)

    def makes(
        self, attempt: Attempt, thing: ml.Thing, context: Mapping[str, Any], asset: Model | Endpoint | None = None
    ) -> None:
        """Say that this attempt makes ``thing``; ``asset`` is what stands for it, if it is among the outlets."""
        from airflow_provider_mlgov.lineage import facts

        facts.add_output(thing.to_dataset(), attempt=attempt)
        if asset is None:
            return
        from airflow_provider_mlgov.assets.ml import event_extra

        for outlet in self.outlets:
            if getattr(outlet, "uri", None) == asset.uri:
                context["outlet_events"][outlet].extra = event_extra(thing)


def attempt_of(context: Mapping[str, Any]) -> Attempt:
    """The attempt that runs."""
    from airflow_provider_mlgov.lineage import facts

    return facts.attempt_of(context["ti"])


def plain_values(values: Mapping[str, Any], what: str) -> dict[str, ml.Value]:
    """Metrics or parameters as JSON knows them: numpy's numbers as numbers, anything else as text."""
    from airflow_provider_mlgov.lineage.plain import plain

    if not isinstance(values, Mapping):
        raise InvalidInputError(f"{what} are {values!r:.200}; wanted a dict of name and value")
    found = {str(name): plain(value) for name, value in values.items()}
    return {name: value if isinstance(value, ml.Value) else str(value) for name, value in found.items()}


def _asked_for(
    function: Callable[..., Any], positional: int, context: Mapping[str, Any], given: Mapping[str, Any]
) -> Json:
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):  # some builtins do not say what they take
        return {}
    with warnings.catch_warnings():
        # 2.11 warns at each deprecated key that is looked at; who asks for all of them did not ask for these.
        warnings.simplefilter("ignore", DeprecationWarning)
        if any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in parameters):
            names = [parameter.name for parameter in parameters[:positional]]
            everything = {**{name: context[name] for name in context}, **given}
            return {name: value for name, value in everything.items() if name not in names}
        asked = [parameter.name for parameter in parameters[positional:] if parameter.kind in _NAMED]
        return {
            name: given[name] if name in given else context[name] for name in asked if name in given or name in context
        }
