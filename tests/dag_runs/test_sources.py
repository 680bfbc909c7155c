"""Real DAG runs: everything that says what a task read and wrote is united; and what is left out is left out."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_env import Recording, new_dag
from airflow_provider_mlgov._compat import Asset, AssetAlias, BaseOperator, is_airflow_3
from airflow_provider_mlgov.lineage import disable_lineage, enable_lineage, facts

pytestmark = [pytest.mark.dag_run, pytest.mark.filterwarnings("default")]


class Reports(BaseOperator):
    """Says by OpenLineage's contract what it did."""

    def execute(self, context: Any) -> None:
        from airflow.providers.common.compat.lineage.hook import get_hook_lineage_collector

        collector = get_hook_lineage_collector()
        # 2.11 calls assets datasets
        add = getattr(collector, "add_input_asset", None) or collector.add_input_dataset
        add(context=self, uri="s3://hook/in.csv")
        facts.add_output({"namespace": "s3://fact", "name": "out.csv", "facets": {}})
        facts.add_run_facet("mlgov_test", {"answer": 42})

    def get_openlineage_facets_on_complete(self, ti: Any) -> Any:
        from airflow.providers.openlineage.extractors import OperatorLineage
        from openlineage.client.event_v2 import Dataset

        return OperatorLineage(
            inputs=[Dataset("s3://operator", "in.csv")], outputs=[Dataset("s3://operator", "out.csv")]
        )


def python(call: Any, **kwargs: Any) -> Any:
    from airflow.providers.standard.operators.python import PythonOperator

    return PythonOperator(**{"task_id": "work", "python_callable": call, **kwargs})


def quiet() -> None:
    """A task that works."""


def kept(recording: Recording) -> dict[str, Any]:
    """The one COMPLETE event of a task."""
    [event] = [
        event for event in recording.events() if event["eventType"] == "COMPLETE" and "." in event["job"]["name"]
    ]
    return event


def names(datasets: list[dict[str, Any]]) -> set[str]:
    return {f"{dataset['namespace']} {dataset['name']}" for dataset in datasets}


@pytest.fixture
def waiting(recording: Recording) -> Recording:
    """Events stay in the spool: there is an Atlas, but this Airflow has no name yet."""
    recording.options(atlas_conn_id="nowhere", namespace="")
    return recording


def test_all_sources_are_united(waiting: Recording) -> None:
    from airflow.providers.common.compat.lineage.entities import Column, File, Table

    table = Table(cluster="hive://meta:9083", database="db", name="t", columns=[Column(name="a", data_type="int")])
    with new_dag() as dag:
        Reports(
            task_id="work",
            inlets=[table],
            outlets=[File(url="s3://file/{{ run_id | length }}.csv"), Asset("s3://asset/x")],
        )
    run = waiting.run(dag)
    event = kept(waiting)
    assert names(event["inputs"]) == {"s3://operator in.csv", "s3://hook in.csv", "hive://meta:9083 db.t"}
    assert names(event["outputs"]) == {
        "s3://operator out.csv",
        "s3://fact out.csv",
        f"s3://file {len(run.run_id)}.csv",
        "s3://asset x",
    }
    assert event["run"]["facets"]["mlgov_test"] == {"answer": 42}
    schema = next(dataset for dataset in event["inputs"] if dataset["name"] == "db.t")["facets"]["schema"]
    assert schema["fields"] == [{"name": "a", "type": "int"}]


def test_hooks_of_an_earlier_task_of_this_process_do_not_count(waiting: Recording) -> None:
    with new_dag() as dag:
        Reports(task_id="work") >> python(quiet, task_id="after")
    waiting.run(dag)
    ends = [
        event
        for event in waiting.events()
        if event["eventType"] == "COMPLETE" and event["job"]["name"].endswith(".after")
    ]
    assert [event["inputs"] for event in ends] == [[]]


def test_facts_of_a_failed_task_are_kept(waiting: Recording) -> None:
    def work() -> None:
        facts.add_input({"namespace": "s3://fact", "name": "in.csv"})
        raise ValueError("no")

    with new_dag() as dag:
        python(work)
    waiting.run(dag)
    [event] = [event for event in waiting.events() if event["eventType"] == "FAIL" and "." in event["job"]["name"]]
    assert names(event["inputs"]) == {"s3://fact in.csv"}


def test_an_asset_uri_is_rendered(waiting: Recording) -> None:
    with new_dag() as dag:
        python(quiet, outlets=[Asset("s3://lake/{{ dag.dag_id }}/x.csv")])
    waiting.run(dag)
    assert names(kept(waiting)["outputs"]) == {f"s3://lake {dag.dag_id}/x.csv"}


def test_a_model_as_outlet_is_a_build_of_this_attempt(recording: Recording) -> None:
    with new_dag() as dag:
        python(quiet, inlets=[Asset("s3://lake/a.csv")], outlets=[Asset("mlgov://shop/models/churn")])
    run = recording.run(dag)
    from airflow_provider_mlgov.model.ml import derived_key

    [build] = recording.find("mlgov_model_build")
    key = derived_key("test-air", dag.dag_id, run.run_id, "work", -1, 1, "churn")
    assert build["qualifiedName"] == f"ml/shop/models/churn/builds/{key}@primary"
    assert [kind for kind, _, _ in recording.process_ends()] == ["mlgov_train_process"]


@pytest.mark.skipif(not is_airflow_3(), reason="on 2.11 only the lineage backend sees these: see the next test")
def test_runtime_extras_and_aliases(waiting: Recording) -> None:
    check_runtime_extras(waiting)


@pytest.mark.skipif(is_airflow_3(), reason="Airflow 3 has no lineage backend")
def test_runtime_extras_and_aliases_by_the_backend(waiting: Recording, monkeypatch: pytest.MonkeyPatch) -> None:
    from airflow_provider_mlgov.lineage import AtlasLineageBackend

    backend = AtlasLineageBackend()

    # Airflow makes the backend when it is imported, which is too early for a test.
    def post_execute(self: Any, context: Any, result: Any = None) -> None:
        backend.send_lineage(operator=self, inlets=self.inlets, outlets=self.outlets, context=context)

    monkeypatch.setattr("airflow.providers.standard.operators.python.PythonOperator.post_execute", post_execute)
    check_runtime_extras(waiting)


def check_runtime_extras(waiting: Recording) -> None:
    model, alias = Asset("mlgov://shop/models/churn"), AssetAlias("found")

    def work(**context: Any) -> None:
        context["outlet_events"][model].extra = {"mlgov": {"build": "b7", "framework": "sklearn"}}
        context["outlet_events"][alias].add(Asset("s3://lake/found.csv"))

    with new_dag() as dag:
        python(work, outlets=[model, alias])
    waiting.run(dag)
    outputs = kept(waiting)["outputs"]
    assert names(outputs) == {"mlgov://shop models/churn/builds/b7", "s3://lake found.csv"}
    facet = next(dataset for dataset in outputs if dataset["name"].endswith("b7"))["facets"]["mlgov_ml"]
    assert facet["framework"] == "sklearn"


def recorded(recording: Recording) -> set[str]:
    return {event["job"]["name"].partition(".")[2] or "(dag)" for event in recording.events()}


def two_tasks(**kwargs: Any) -> Any:
    with new_dag(**kwargs) as dag:
        python(quiet, task_id="keep")
        python(quiet, task_id="leave")
    return dag


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        ({"disabled_tasks": "leave"}, {"keep", "(dag)"}),
        ({"disabled_tasks": "*.le*"}, {"keep", "(dag)"}),
        ({"disabled_operators": "PythonOperator"}, {"(dag)"}),
        ({"disabled_operators": "airflow.providers.standard.*"}, {"(dag)"}),
        ({"disabled_dags": "optout_*"}, set()),
        ({"dags": "other, optout_*"}, {"keep", "leave", "(dag)"}),
        ({"dags": "other"}, set()),
        ({"selective": "True"}, set()),
    ],
)
def test_options_leave_out(waiting: Recording, options: dict[str, str], wanted: set[str]) -> None:
    waiting.options(**options)
    waiting.run(two_tasks(dag_id=f"optout_{abs(hash(str(options))) % 10**6}"))
    assert recorded(waiting) == wanted


def test_a_task_opts_out_in_the_dag(waiting: Recording) -> None:
    dag = two_tasks()
    disable_lineage(dag.get_task("leave"))
    waiting.run(dag)
    assert recorded(waiting) == {"keep", "(dag)"}


def test_a_dag_opts_out_in_the_dag(waiting: Recording) -> None:
    waiting.run(disable_lineage(two_tasks()))
    assert recorded(waiting) == set()


def test_what_is_chosen_in_the_dag(waiting: Recording) -> None:
    waiting.options(selective="True")
    dag = two_tasks()
    enable_lineage(dag.get_task("keep"))
    waiting.run(dag)
    assert recorded(waiting) == {"keep", "(dag)"}


def test_what_opts_out_is_not_reconciled(recording: Recording) -> None:
    dag = two_tasks()
    disable_lineage(dag.get_task("leave"))
    recording.run(dag)
    recording.drain()
    assert recording.attempts() == {("keep", -1, 1): "success"}
