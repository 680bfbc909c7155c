"""Operators that train, evaluate, register, deploy and score: a Python callable each, to which they add the facts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow_provider_mlgov.operators.deploy import Deployed as Deployed
    from airflow_provider_mlgov.operators.deploy import DeployModelOperator as DeployModelOperator
    from airflow_provider_mlgov.operators.evaluate import Evaluated as Evaluated
    from airflow_provider_mlgov.operators.evaluate import EvaluateModelOperator as EvaluateModelOperator
    from airflow_provider_mlgov.operators.register import RegisterModelOperator as RegisterModelOperator
    from airflow_provider_mlgov.operators.score import ScoreOperator as ScoreOperator
    from airflow_provider_mlgov.operators.train import Trained as Trained
    from airflow_provider_mlgov.operators.train import TrainModelOperator as TrainModelOperator

_HOMES = {
    "Deployed": "deploy",
    "DeployModelOperator": "deploy",
    "Evaluated": "evaluate",
    "EvaluateModelOperator": "evaluate",
    "RegisterModelOperator": "register",
    "ScoreOperator": "score",
    "Trained": "train",
    "TrainModelOperator": "train",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    value = getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value
