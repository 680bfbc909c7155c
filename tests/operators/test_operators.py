"""The operators without a DAG run: what they tell, what they return, what they refuse."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from airflow_env import NAMESPACE
from airflow_provider_mlgov.assets import Endpoint, Model
from airflow_provider_mlgov.errors import InvalidInputError, UnresolvedBuildError
from airflow_provider_mlgov.lineage import facts
from airflow_provider_mlgov.model import ml
from airflow_provider_mlgov.operators import (
    Deployed,
    DeployModelOperator,
    Evaluated,
    EvaluateModelOperator,
    RegisterModelOperator,
    ScoreOperator,
    Trained,
    TrainModelOperator,
)

ATTEMPT = facts.Attempt("d", "r", "t", -1, 1)
REFERENCE = {"project": "shop", "model": "churn", "build": "v1"}


@pytest.fixture(autouse=True)
def _forget() -> Iterator[None]:
    facts.forget_all()
    yield
    facts.forget_all()


class Events(dict[Any, Any]):
    """As Airflow's ``outlet_events``: an accessor for every outlet."""

    def __missing__(self, asset: Any) -> Any:
        self[asset] = SimpleNamespace(extra={})
        return self[asset]


def context(**more: Any) -> dict[str, Any]:
    ti = SimpleNamespace(dag_id="d", run_id="r", task_id="t", map_index=-1, try_number=1)
    return {"ti": ti, "run_id": "r", "ds": "2026-01-01", "outlet_events": Events(), **more}


def run(operator: Any, **more: Any) -> Any:
    """Execute; Airflow wraps ``execute`` to refuse calls from outside of a task."""
    return type(operator).execute.__wrapped__(operator, context(**more))


def said() -> tuple[list[ml.Thing], list[ml.Thing]]:
    found = facts.take(ATTEMPT)
    return tuple(  # type: ignore[return-value]
        [ml.from_dataset(item["namespace"], item["name"], item["facets"]) for item in side]
        for side in (found.inputs, found.outputs)
    )


def train(call: Any, **kwargs: Any) -> TrainModelOperator:
    return TrainModelOperator(task_id="t", model="churn", project="shop", python_callable=call, **kwargs)


# --- training --------------------------------------------------------------------------------------------------------


def test_training_tells_the_build(tmp_path: Path) -> None:
    import numpy

    def fit(build: ml.Build, depth: int, api_key: str, ds: str) -> Trained:
        assert ds == "2026-01-01"
        path = tmp_path / build.key
        path.write_text("model")
        return Trained(
            artifact=path,
            metrics={"auc": numpy.float32(0.5), "n": numpy.int64(3), "loss": float("nan")},
            parameters={"seed": 1},
            framework="none",
            features=["age"],
            target="gone",
        )

    reference = run(train(fit, op_kwargs={"depth": 3, "api_key": "hunter2"}))
    inputs, [build] = said()
    assert inputs == []
    assert isinstance(build, ml.Build)
    assert build.key == ml.derived_key(NAMESPACE, *ATTEMPT, "churn")
    assert build.artifact_uri == (tmp_path / build.key).as_uri()
    assert build.artifact_size == 5
    assert build.metrics == {"auc": 0.5, "n": 3, "loss": "nan"}
    assert build.parameters == {"depth": 3, "api_key": "hunter2", "seed": 1}  # masked where events are cleaned
    assert reference["build"] == build.key
    assert reference["metrics"]["auc"] == 0.5
    assert json.loads(json.dumps(reference)) == reference

    record = json.loads(build.record or "")
    assert record["training"]["parameters"] == {"depth": 3, "api_key": "***", "seed": 1}
    assert record["run"]["taskId"] == "t"
    assert record["code"]["file"] == Path(__file__).name
    assert record["environment"]["packages"].startswith("sha256:")
    assert record["artifact"]["digest"] == build.artifact_digest
    assert "run.logicalDate" in record["missing"]
    assert "hunter2" not in (build.record or "")


def test_the_users_version_is_the_key() -> None:
    assert run(train(lambda: None, version="2026.1"))["build"] == "2026.1"


def test_another_attempt_is_another_build() -> None:
    again = SimpleNamespace(dag_id="d", run_id="r", task_id="t", map_index=-1, try_number=2)
    assert run(train(lambda: None))["build"] != run(train(lambda: None), ti=again)["build"]


@pytest.mark.parametrize("returned", [{"artifact": "s3://b/m.bin", "metrics": {"a": 1}}, "s3://b/m.bin"])
def test_what_a_training_may_return(returned: Any) -> None:
    assert run(train(lambda: returned))["artifact_uri"] == "s3://b/m.bin"


@pytest.mark.parametrize("returned", [3, {"artefact": "x"}, ["x"]])
def test_what_a_training_may_not_return(returned: Any) -> None:
    with pytest.raises(InvalidInputError, match="wanted Trained"):
        run(train(lambda: returned))


def test_an_artefact_that_is_not_there() -> None:
    with pytest.raises(InvalidInputError, match="nothing is there"):
        run(train(lambda: "/nowhere/model.bin"))


def test_a_failing_training_tells_no_build() -> None:
    def fails() -> None:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        run(train(fails))
    assert said() == ([], [])


def test_training_needs_a_model_and_a_function() -> None:
    with pytest.raises(InvalidInputError, match="name of a model"):
        run(TrainModelOperator(task_id="t", python_callable=lambda: None))
    with pytest.raises(InvalidInputError, match="wanted a function"):
        TrainModelOperator(task_id="t", python_callable="train")  # type: ignore[arg-type]


def test_the_model_asset_names_the_model_and_its_event_the_build() -> None:
    asset, other = Model("churn", project="shop"), Model("other", project="shop")
    events = Events()
    operator = TrainModelOperator(task_id="t", model=asset, python_callable=lambda: None, outlets=[asset, other])
    reference = run(operator, outlet_events=events)
    assert (reference["project"], reference["model"]) == ("shop", "churn")
    assert {key.uri: value.extra["mlgov"]["build"] for key, value in events.items()} == {asset.uri: reference["build"]}


def test_a_function_gets_what_it_asks_for() -> None:
    got: dict[str, Any] = {}

    def everything(first: int, *, run_id: str, **rest: Any) -> None:
        got.update(rest, first=first, run_id=run_id)

    run(train(everything, op_args=[1], op_kwargs={"c": 2}))
    assert (got["first"], got["c"], got["run_id"], got["ds"]) == (1, 2, "r", "2026-01-01")
    assert got["build"].model == "churn"


# --- evaluating ------------------------------------------------------------------------------------------------------


def evaluate(call: Any, build: Any = None, **kwargs: Any) -> EvaluateModelOperator:
    return EvaluateModelOperator(task_id="t", python_callable=call, build=build, **kwargs)


@pytest.mark.parametrize(
    "build", [REFERENCE, json.dumps(REFERENCE), str(REFERENCE), ml.Build(project="shop", model="churn", key="v1")]
)
def test_evaluating_tells_both(build: Any) -> None:
    reference = run(evaluate(lambda build: {"auc": 0.9}, build, split="validation"))
    inputs, [evaluation] = said()
    assert inputs == [ml.Build(project="shop", model="churn", key="v1")]
    assert isinstance(evaluation, ml.Evaluation)
    assert (evaluation.build, evaluation.split, evaluation.metrics) == ("v1", "validation", {"auc": 0.9})
    assert reference == {**REFERENCE, "evaluation": evaluation.key, "metrics": {"auc": 0.9}}


def test_an_evaluation_may_say_that_it_did_not_pass() -> None:
    assert run(evaluate(lambda: Evaluated(metrics={"auc": 0.1}, passed=False), REFERENCE))["passed"] is False


def test_what_an_evaluation_may_not_return() -> None:
    with pytest.raises(InvalidInputError, match="dict of metrics"):
        run(evaluate(lambda: 0.9, REFERENCE))


@pytest.mark.parametrize("build", [None, "", "None"])
def test_nothing_decides(build: Any) -> None:
    with pytest.raises(UnresolvedBuildError, match="nothing decides which build"):
        run(evaluate(dict, build, model="churn"))


@pytest.mark.parametrize(("build", "wanted"), [({"model": "churn"}, "names no build"), ("v1", "names no model")])
def test_half_a_reference(build: Any, wanted: str) -> None:
    with pytest.raises(UnresolvedBuildError, match=wanted):
        run(evaluate(dict, build))


def test_a_reference_to_another_model() -> None:
    with pytest.raises(UnresolvedBuildError, match="'churn', but this task is about 'other'"):
        run(evaluate(dict, REFERENCE, model="other"))


@pytest.mark.parametrize("build", [3, "{broken", ["v1"]])
def test_what_is_no_reference(build: Any) -> None:
    with pytest.raises(InvalidInputError, match="refers to no build"):
        run(evaluate(dict, build))


def event(extra: Mapping[str, Any]) -> Any:
    return SimpleNamespace(extra=extra)


@pytest.mark.parametrize("name", ["triggering_asset_events", "triggering_dataset_events"])
def test_the_event_that_triggered_the_run_decides(name: str) -> None:
    asset = Model("churn", project="shop")
    key: Any = asset if "asset" in name else asset.uri  # 2.11 has URIs there
    events = {key: [event({"mlgov": {"build": "v1"}}), event({"mlgov": {"build": "v2"}})]}
    assert run(evaluate(dict, model=asset), **{name: events})["build"] == "v2"


def test_an_inlet_that_names_its_build_comes_before_the_event() -> None:
    asset = Model("churn", project="shop", build="v0")
    events = {Model("churn", project="shop"): [event({"mlgov": {"build": "v1"}})]}
    assert run(evaluate(dict, inlets=[asset]), triggering_asset_events=events)["build"] == "v0"
    assert run(evaluate(dict, "v9", model="churn", inlets=[asset]), triggering_asset_events=events)["build"] == "v9"


def test_events_of_another_model_do_not_decide() -> None:
    events = {Model("other", project="shop"): [event({"mlgov": {"build": "v1"}})]}
    with pytest.raises(UnresolvedBuildError):
        run(evaluate(dict, model=Model("churn", project="shop")), triggering_asset_events=events)


# --- registering -----------------------------------------------------------------------------------------------------


def candidates(*values: float | None) -> list[dict[str, Any]]:
    return [{**REFERENCE, "build": f"v{index}", "metrics": {"auc": value}} for index, value in enumerate(values)]


@pytest.mark.parametrize(("mode", "chosen"), [("max", "v1"), ("min", "v2")])
def test_the_best_is_registered(mode: Any, chosen: str) -> None:
    asset = Model("churn", project="shop")
    events = Events()
    operator = RegisterModelOperator(
        task_id="t",
        candidates=candidates(0.5, 0.9, 0.1, 0.9),
        metric="auc",
        mode=mode,
        aliases=["champion"],
        outlets=[asset],
    )
    assert run(operator, outlet_events=events)["build"] == chosen
    inputs, [build] = said()
    assert [item.key for item in inputs if isinstance(item, ml.Build)] == ["v0", "v1", "v2", "v3"]
    assert build == ml.Build(project="shop", model="churn", key=chosen, registered=True, aliases=("champion",))
    assert events[asset].extra["mlgov"]["build"] == chosen


def test_one_candidate_needs_no_metric() -> None:
    assert run(RegisterModelOperator(task_id="t", candidates=REFERENCE))["build"] == "v1"


def test_a_registry_may_number_the_build() -> None:
    run(RegisterModelOperator(task_id="t", candidates=REFERENCE, python_callable=lambda build: 7))
    [build] = said()[1]
    assert isinstance(build, ml.Build)
    assert build.version == 7


def test_what_did_not_pass_is_left_out() -> None:
    found = candidates(0.5, 0.9)
    found[1]["passed"] = False
    assert run(RegisterModelOperator(task_id="t", candidates=found, metric="auc"))["build"] == "v0"
    found[0]["passed"] = False
    with pytest.raises(UnresolvedBuildError, match="none of which passed"):
        run(RegisterModelOperator(task_id="t", candidates=found, metric="auc"))


@pytest.mark.parametrize(
    ("found", "metric", "wanted"),
    [
        ([], "auc", "candidates are empty"),
        (None, "auc", "candidates are empty"),
        (candidates(0.1, 0.2), None, "name the metric"),
        (candidates(0.1, None), "auc", "is None; wanted a number"),
        (candidates(0.1), "f1", r"is None; wanted a number, among \['auc'\]"),
    ],
)
def test_registering_does_not_guess(found: Any, metric: Any, wanted: str) -> None:
    with pytest.raises(UnresolvedBuildError, match=wanted):
        run(RegisterModelOperator(task_id="t", candidates=found, metric=metric))
    assert said()[1] == []


def test_a_wrong_mode() -> None:
    with pytest.raises(InvalidInputError, match="'max' or 'min'"):
        RegisterModelOperator(task_id="t", candidates=[], mode="best")  # type: ignore[arg-type]


# --- deploying and scoring -------------------------------------------------------------------------------------------


def test_deploying_tells_the_deployment() -> None:
    asset = Endpoint("api", environment="test", project="shop")
    events = Events()

    def deploy(build: ml.Build, deployment: ml.Deployment) -> Deployed:
        return Deployed(url=f"http://localhost/{build.key}/{deployment.endpoint}", replicas=2)

    operator = DeployModelOperator(
        task_id="t", endpoint=asset, build=REFERENCE, python_callable=deploy, outlets=[asset]
    )
    reference = run(operator, outlet_events=events)
    inputs, [deployment] = said()
    assert inputs == [ml.Build(project="shop", model="churn", key="v1")]
    assert isinstance(deployment, ml.Deployment)
    assert (deployment.environment, deployment.endpoint, deployment.build) == ("test", "api", "v1")
    assert (deployment.url, deployment.status, deployment.replicas) == ("http://localhost/v1/api", "deployed", 2)
    assert reference["revision"] == deployment.revision == ml.derived_key(NAMESPACE, *ATTEMPT, "api")
    assert events[asset].extra["mlgov"]["revision"] == deployment.revision


def test_deploying_fails_closed() -> None:
    called: list[object] = []
    operator = DeployModelOperator(task_id="t", endpoint="api", model="churn", python_callable=called.append)
    with pytest.raises(UnresolvedBuildError):
        run(operator)
    assert called == []
    assert said() == ([], [])


@pytest.mark.parametrize("returned", [None, "", 3, {"address": "x"}])
def test_what_a_deployment_may_not_return(returned: Any) -> None:
    with pytest.raises(InvalidInputError, match="wanted the URL"):
        run(DeployModelOperator(task_id="t", endpoint="api", build=REFERENCE, python_callable=lambda: returned))
    assert said()[1] == []


DEPLOYMENT = {**REFERENCE, "environment": "test", "endpoint": "api", "revision": "7", "url": "http://x"}


def test_scoring_reads_the_deployment() -> None:
    operator = ScoreOperator(
        task_id="t", deployment=DEPLOYMENT, python_callable=lambda deployment, build: (deployment.url, build.key)
    )
    assert run(operator) == ("http://x", "v1")
    [deployment] = said()[0]
    assert deployment.to_dataset()["name"] == "models/churn/builds/v1/deployments/test/api/7"


def test_scoring_reads_the_build() -> None:
    run(ScoreOperator(task_id="t", build=REFERENCE, python_callable=lambda: None))
    assert said()[0] == [ml.Build(project="shop", model="churn", key="v1")]


def test_scoring_only_records_so_it_points_at_the_model(caplog: pytest.LogCaptureFixture) -> None:
    assert run(ScoreOperator(task_id="t", model="churn", python_callable=lambda build: build)) is None
    assert said()[0] == [ml.Model(project="default", model="churn")]


def test_scoring_by_nothing() -> None:
    with pytest.raises(UnresolvedBuildError, match="neither deployment nor build nor model"):
        run(ScoreOperator(task_id="t", python_callable=lambda: None))
