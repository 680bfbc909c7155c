"""Each row of the table of roles, and what happens when one attempt does several."""

from __future__ import annotations

from dataclasses import replace

from airflow_provider_mlgov.model import ml
from translate_events import BUILD, DEPLOYMENT, EVALUATION, OTHER, edges, one, table, task_event, translated

T = "db:5432/shop.public."
B1, B2 = "ml/shop/models/churn/builds/b1", "ml/shop/models/churn/builds/b2"
E1 = f"{B1}/evaluations/e1"
D1 = f"{B1}/deployments/production/scorer/r1"
FAMILY = ml.Model(project="shop", model="churn")


def done(inputs, outputs):
    return edges(translated(task_event(inputs=inputs, outputs=outputs)))


def test_data_to_data_is_ordinary():
    assert done([table("a"), table("b")], [table("c")]) == [("mlgov_task_process", [T + "a", T + "b"], [T + "c"])]


def test_data_to_build_is_training():
    assert done([table("a")], [BUILD]) == [("mlgov_train_process", [T + "a"], [B1])]


def test_build_and_data_to_build_is_derived():
    assert done([table("a"), BUILD], [OTHER]) == [("mlgov_train_process", [B1, T + "a"], [B2])]


def test_build_and_data_to_evaluation_is_evaluating():
    assert done([table("a"), BUILD], [EVALUATION]) == [("mlgov_evaluate_process", [B1, T + "a"], [E1])]


def test_an_evaluation_names_its_build_even_if_nobody_declares_it():
    assert done([table("a")], [EVALUATION]) == [("mlgov_evaluate_process", [B1, T + "a"], [E1])]


def test_build_to_deployment_is_deploying():
    assert done([BUILD], [DEPLOYMENT]) == [("mlgov_deploy_process", [B1], [D1])]


def test_deployment_and_data_to_data_is_scoring():
    assert done([DEPLOYMENT, table("a")], [table("s")]) == [("mlgov_score_process", [D1, T + "a"], [T + "s"])]


def test_build_and_data_to_data_is_scoring():
    assert done([BUILD, table("a")], [table("s")]) == [("mlgov_score_process", [B1, T + "a"], [T + "s"])]


def test_a_model_without_a_known_build_scores_as_the_family():
    assert done([FAMILY, table("a")], [table("s")]) == [
        ("mlgov_score_process", ["ml/shop/models/churn", T + "a"], [T + "s"])
    ]


def test_a_model_gives_way_to_its_build():
    assert done([table("a")], [FAMILY, BUILD]) == [("mlgov_train_process", [T + "a"], [B1])]


def test_train_and_evaluate_take_data_by_split():
    inputs = [table("a"), table("b", split="train"), table("c", split="test"), table("d", split="validation")]
    assert done(inputs, [BUILD, EVALUATION]) == [
        ("mlgov_evaluate_process", [B1, T + "c"], [E1]),
        ("mlgov_train_process", [T + "a", T + "b", T + "d"], [B1]),
    ]


def test_held_out_data_goes_to_the_build_if_nothing_is_evaluated():
    assert done([table("a"), table("v", split="validation")], [BUILD]) == [
        ("mlgov_train_process", [T + "a", T + "v"], [B1])
    ]


def test_each_evaluation_takes_its_own_split():
    other = replace(EVALUATION, key="e2", split="validation")
    found = done([BUILD, table("c", split="test"), table("d", split="validation")], [EVALUATION, other])
    assert found == [
        ("mlgov_evaluate_process", [B1, T + "c"], [E1]),
        ("mlgov_evaluate_process", [B1, T + "d"], [f"{B1}/evaluations/e2"]),
    ]


def test_several_builds_have_a_training_each():
    assert done([table("a")], [BUILD, OTHER]) == [
        ("mlgov_train_process", [T + "a"], [B1]),
        ("mlgov_train_process", [T + "a"], [B2]),
    ]


def test_training_and_deploying_in_one_attempt():
    assert done([table("a")], [BUILD, DEPLOYMENT]) == [
        ("mlgov_deploy_process", [B1], [D1]),
        ("mlgov_train_process", [T + "a"], [B1]),
    ]


def test_a_report_beside_a_build_is_ordinary():
    assert done([table("a")], [BUILD, table("report")]) == [
        ("mlgov_train_process", [T + "a"], [B1]),
        ("mlgov_task_process", [T + "a"], [T + "report"]),
    ]


def test_choosing_among_candidates_reads_the_chosen_one_too():
    losing = replace(BUILD, key="b2")
    translation = translated(task_event(inputs=[BUILD, losing], outputs=[replace(BUILD, registered=True)]))
    (process,) = [entity for entity in translation.entities if "inputs" in entity.relations]
    assert process.type_name == "mlgov_task_process"
    assert [ref.qualified_name.rpartition("/")[2] for ref in process.relations["inputs"]] == ["b1@cat", "b2@cat"]


def test_registering_writes_facts_and_no_process():
    translation = translated(task_event(inputs=[BUILD], outputs=[replace(BUILD, registered=True)]))
    assert edges(translation) == []
    build = one(translation, "mlgov_model_build")
    assert build.attributes["registered"] is True
    assert "taskRun" not in build.attributes, "who registers a build did not make it"


def test_what_no_role_takes_stays_on_an_ordinary_process():
    assert done([BUILD, table("config")], [DEPLOYMENT]) == [
        ("mlgov_deploy_process", [B1], [D1]),
        ("mlgov_task_process", [T + "config"], []),
    ]


def test_exporting_a_build_is_ordinary():
    assert done([BUILD], [table("export")]) == [("mlgov_task_process", [B1], [T + "export"])]


def test_an_endpoint_is_no_end_of_a_process():
    endpoint = {"namespace": "mlgov://shop", "name": "endpoints/production/scorer"}
    translation = translated(task_event(inputs=[endpoint, table("a")], outputs=[table("s")]))
    assert edges(translation) == [("mlgov_task_process", [T + "a"], [T + "s"])]
    assert "no deployment says which build" in translation.warnings[0]
    translation = translated(task_event(inputs=[endpoint, DEPLOYMENT, table("a")], outputs=[table("s")]))
    assert translation.warnings == ()
