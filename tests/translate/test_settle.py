"""Whatever the order of runs, and however often they come, what is stored in the end is the same."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace

import pytest

from airflow_provider_mlgov.model.entity import Entity, Ref
from airflow_provider_mlgov.translate.settle import lookups, merge, settle
from translate_events import BUILD, DEPLOYMENT, OTHER, at, state_of, table, task_event, translated

MODEL = Ref("mlgov_model", "ml/shop/models/churn@cat")
ENDPOINT = Ref("mlgov_endpoint", "ml/shop/endpoints/production/scorer@cat")


class Store:
    """As much of a catalogue as settling needs."""

    def __init__(self):
        self.entities: dict[Ref, dict] = {}
        self.relations: dict[Ref, dict] = {}

    def deliver(self, *translations):
        batch = merge(entity for translation in translations for entity in translation.entities)
        stored: dict = {}
        wanted = lookups(batch)
        while wanted:
            found = {ref: self.entities[ref] for ref in wanted if ref in self.entities}
            stored |= found
            wanted = lookups(batch, stored) if found else []
        settled = settle(batch, stored)
        for entity in settled.entities:
            assert (entity.create_only, entity.latest) == ({}, {})
            self.entities.setdefault(entity.ref, {"attributes": {}})["attributes"].update(entity.attributes)
            self.relations.setdefault(entity.ref, {}).update(entity.relations)
        for update in settled.updates:
            self.entities[Ref(update.type_name, update.qualified_name)]["attributes"].update(update.attributes)
        return settled

    def get(self, ref, name):
        return self.entities[ref]["attributes"].get(name)


def deployed(revision: str, second: float, build: str = "b1", **facts):
    thing = replace(DEPLOYMENT, revision=revision, build=build, **facts)
    event = task_event(
        second=second,
        run=f"run-{revision}-{second}",
        task="deploy",
        inputs=[replace(BUILD, key=build)],
        outputs=[thing],
    )
    return translated(event)


def name_of(revision: str, build: str = "b1") -> Ref:
    return Ref(
        "mlgov_model_deployment", f"ml/shop/models/churn/builds/{build}/deployments/production/scorer/{revision}@cat"
    )


def orders(items):
    """Each order, one by one and repeated, and all at once."""
    for order in itertools.permutations(items):
        yield [[item] for item in order]
        yield [[item] for item in (*order, *order)]
        yield [list(order)]
        yield [[order[0]], list(order[1:])]


def test_the_newest_deployment_serves_in_any_order():
    runs = [deployed("r1", 10), deployed("r2", 20, "b2"), deployed("r3", 30)]
    for batches in orders(runs):
        store = Store()
        for batch in batches:
            store.deliver(*batch)
        assert store.get(ENDPOINT, "currentDeployment") == name_of("r3").qualified_name
        assert store.get(ENDPOINT, "factsTime") == store.get(name_of("r3"), "deployedTime")
        states = [store.get(name_of(*key), "status") for key in (("r1",), ("r2", "b2"), ("r3",))]
        assert states == ["stopped", "stopped", "deployed"], batches


def test_deployments_at_the_same_time_are_settled_by_name():
    for batches in orders([deployed("r1", 10), deployed("r2", 10)]):
        store = Store()
        for batch in batches:
            store.deliver(*batch)
        assert store.get(ENDPOINT, "currentDeployment") == name_of("r2").qualified_name
        assert (store.get(name_of("r1"), "status"), store.get(name_of("r2"), "status")) == ("stopped", "deployed")


def test_a_stopped_deployment_stays_stopped_when_its_making_is_told_again():
    store = Store()
    store.deliver(deployed("r1", 10))
    stopping = task_event(second=40, task="stop", inputs=[DEPLOYMENT], outputs=[replace(DEPLOYMENT, status="stopped")])
    store.deliver(translated(stopping))
    store.deliver(deployed("r1", 10))
    assert store.get(name_of("r1"), "status") == "stopped"
    stopped = store.get(name_of("r1"), "stoppedTime")
    store.deliver(deployed("r2", 50))
    assert store.get(name_of("r1"), "stoppedTime") == stopped, "it had stopped before it was replaced"


def test_a_deployment_told_again_keeps_the_time_when_it_was_stopped():
    store = Store()
    first, second, third = deployed("r1", 10), deployed("r2", 20, "b2"), deployed("r3", 30)
    for told in (first, second, third, first):
        store.deliver(told)
    assert store.get(name_of("r1"), "stoppedTime") == store.get(name_of("r2", "b2"), "deployedTime")
    assert store.get(name_of("r1"), "status") == "stopped"


def test_the_same_revision_put_into_service_again_serves():
    store = Store()
    for translation in (deployed("r1", 10), deployed("r2", 20), deployed("r1", 30)):
        store.deliver(translation)
    assert store.get(name_of("r1"), "status") == "deployed"
    assert store.get(name_of("r2"), "status") == "stopped"
    assert store.get(ENDPOINT, "currentDeployment") == name_of("r1").qualified_name
    assert not store.get(name_of("r1"), "stoppedTime")
    store.deliver(deployed("r1", 10))
    assert store.get(name_of("r1"), "deployedTime") == store.get(ENDPOINT, "factsTime")
    assert not store.get(name_of("r1"), "stoppedTime")


def test_what_only_uses_a_deployment_makes_a_placeholder_that_its_making_fills_in():
    scoring = translated(task_event(second=30, task="score", inputs=[DEPLOYMENT, table("a")], outputs=[table("s")]))
    for batches in orders([scoring, deployed("r1", 10)]):
        store = Store()
        for batch in batches:
            store.deliver(*batch)
        assert store.get(name_of("r1"), "status") == "deployed"
        assert store.get(name_of("r1"), "deployedTime") == 1769860810000


def test_a_placeholder_has_all_that_atlas_requires():
    store = Store()
    store.deliver(translated(task_event(inputs=[replace(DEPLOYMENT, url=None), table("a")], outputs=[table("s")])))
    assert store.get(name_of("r1"), "status") == "unknown"
    assert store.get(name_of("r1"), "cpuMillicores") == 0
    assert isinstance(store.get(Ref("mlgov_model_build", "ml/shop/models/churn/builds/b1@cat"), "version"), int)


def test_required_attributes_are_repeated_as_stored():
    made = translated(task_event(inputs=[table("a")], outputs=[replace(BUILD, version=None)]))
    used = translated(
        task_event(second=99, startTime=at(98), task="x", inputs=[replace(BUILD, version=None)], outputs=[table("s")])
    )
    store = Store()
    store.deliver(made)
    settled = store.deliver(used)
    (build,) = [entity for entity in settled.entities if entity.type_name == "mlgov_model_build"]
    assert build.attributes["version"] == 1769860801, "when the training started, not the reader"


def test_an_alias_moves_forward_in_time_only():
    def aliased(build, second, *aliases):
        event = task_event(
            second=second, run=f"r{second}", task="register", inputs=[build], outputs=[replace(build, aliases=aliases)]
        )
        return translated(event)

    runs = [aliased(BUILD, 10, "champion", "old"), aliased(OTHER, 20, "champion"), aliased(BUILD, 30, "new")]
    for batches in orders(runs):
        store = Store()
        for batch in batches:
            store.deliver(*batch)
        assert store.get(MODEL, "aliases") == {"champion": "b2", "new": "b1", "old": "b1"}


def test_last_run_and_latest_build_move_forward_in_time_only():
    def trained(build, second):
        event = task_event(second=second, run=f"r{second}", inputs=[table("a")], outputs=[build, table("report")])
        return translated(event)

    runs = [trained(BUILD, 10), trained(OTHER, 20)]
    for batches in orders(runs):
        store = Store()
        for batch in batches:
            store.deliver(*batch)
        assert store.get(MODEL, "latestBuild").endswith("/b2@cat")
        task = Ref("mlgov_task", "dags/shop/tasks/train@air")
        assert "/r20/" in store.get(task, "lastRun")
        (process,) = [ref for ref in store.entities if ref.type_name == "mlgov_task_process"]
        assert "/r20/" in store.get(process, "lastRun")


def test_what_people_edit_is_written_on_creation_only():
    dataset = {"namespace": "bigquery", "name": "t", "facets": {"documentation": {"description": "first"}}}
    store = Store()
    store.deliver(translated(task_event(outputs=[dataset])))
    ref = Ref("mlgov_dataset", "bigquery/t@cat")
    store.entities[ref]["attributes"]["description"] = "edited"
    store.deliver(translated(task_event(second=20, outputs=[dataset])))
    assert store.get(ref, "description") == "edited"


def test_a_column_without_a_type_does_not_overwrite_one():
    def hive(*fields):
        return translated(
            task_event(
                outputs=[{"namespace": "hive://m:1", "name": "d.t", "facets": {"schema": {"fields": list(fields)}}}]
            )
        )

    store, column = Store(), Ref("hive_column", "d.t.c@plat")
    store.deliver(hive({"name": "c"}))
    assert store.get(column, "type") == "unknown"
    store.deliver(hive({"name": "c", "type": "int"}))
    settled = store.deliver(hive({"name": "c"}))
    assert column not in [entity.ref for entity in settled.entities]
    assert store.get(column, "type") == "int"


def test_a_build_made_again_keeps_the_lineage_of_who_came_first():
    def trained(run, source):
        return translated(task_event(run=run, inputs=[table(source)], outputs=[BUILD]))

    store = Store()
    store.deliver(trained("r1", "a"))
    settled = store.deliver(trained("r2", "b"))
    process = Ref("mlgov_train_process", "ml/shop/models/churn/builds/b1/training@cat")
    assert [ref.qualified_name for ref in store.relations[process]["inputs"]] == ["db:5432/shop.public.a@plat"]
    assert store.get(process, "userName") == "airflow"
    assert "/r1/" in store.get(process, "lastRun")
    assert "was done again" in settled.warnings[0]


@pytest.mark.parametrize("first", ["known", "unknown"])
def test_unknown_never_beats_what_is_known(first):
    known = translated(task_event("FAIL", second=10, inputs=[table("a")]))
    unknown = translated(task_event("ABORT", second=20, stateSource="reconciled", inputs=[table("a")]))
    store = Store()
    for translation in [known, unknown] if first == "known" else [unknown, known]:
        store.deliver(translation)
    assert store.get(Ref("mlgov_task_run", "dags/shop/runs/r1/tasks/train/-1/1@air"), "state") == "failed"


def test_merge_keeps_parents_first_and_unites():
    left = Entity("t", "a", {"x": 1}, create_only={"d": "first"}, latest={"l": 1}, as_of=5)
    right = Entity("t", "a", {"y": 2}, create_only={"d": "second"}, latest={"l": 2}, as_of=4)
    child = Entity("t", "b", relations={"parent": left.ref})
    assert merge([left, child, right]) == (
        Entity("t", "a", {"x": 1, "y": 2}, create_only={"d": "first"}, latest={"l": 1}, as_of=5),
        child,
    )


def test_settling_twice_gives_the_same():
    translation = translated(task_event(inputs=[table("a")], outputs=[BUILD, DEPLOYMENT]))
    store = Store()
    store.deliver(translation)
    before = json.dumps({str(ref): entity for ref, entity in store.entities.items()}, sort_keys=True)
    store.deliver(translation)
    assert json.dumps({str(ref): entity for ref, entity in store.entities.items()}, sort_keys=True) == before
    assert state_of(task_event()) == state_of(task_event(), task_event())


@pytest.mark.parametrize("kind", ["aws_s3_v2_directory", "acme_dir"])
def test_what_atlas_wants_of_a_directory_is_sent_each_time_also_of_a_type_by_rule(kind):
    directory = Entity(kind, "s3a://b/raw/@plat", {"name": "raw"}, create_only={"objectPrefix": "s3a://b/raw/"})
    stored = {directory.ref: {"attributes": {"name": "raw", "objectPrefix": "/"}}}
    (settled,) = settle([directory], stored).entities
    assert settled.attributes["objectPrefix"] == "/"
