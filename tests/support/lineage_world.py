"""A small world in a catalogue, for tests of what reads it: entities as the delivery writes them, with fixed names and times."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from airflow_provider_mlgov.catalog.catalog import Catalog
from airflow_provider_mlgov.model import identity
from airflow_provider_mlgov.model.entity import Ref, ends_digest

AIR, CAT = "test-air", "primary"
BEGIN = 1_790_000_000_000  # 2026-09-21T14:13:20Z


def ref(name: identity.QualifiedName) -> Ref:
    return Ref(name.type_name, str(name))


class World:
    """Writes entities by name; each method gives back what it wrote."""

    def __init__(self, catalog: Catalog, dag: str = "shop", namespace: str = CAT) -> None:
        """``namespace`` is the catalogue's: one of its own keeps this world apart from others in a shared Atlas."""
        self.catalog = catalog
        self.dag = dag
        self.namespace = namespace
        self.project = identity.Project(namespace, "demo")
        self.put(ref(self.project), name="demo")

    def put(self, it: Ref, /, relations: dict[str, Any] | None = None, **attributes: Any) -> Ref:
        entity: dict[str, Any] = {
            "typeName": it.type_name,
            "guid": "-1",
            "attributes": {"qualifiedName": it.qualified_name, "name": it.qualified_name, **attributes},
        }
        if relations:
            entity["relationshipAttributes"] = {
                key: [end.to_atlas() for end in value] if isinstance(value, (list, tuple)) else value.to_atlas()
                for key, value in relations.items()
            }
        self.catalog.write([entity])
        return it

    def table(self, name: str) -> Ref:
        return self.put(Ref("mlgov_dataset", f"postgres:%2F%2Fdb:5432/shop.public.{name}@{self.namespace}"), name=name)

    def build(self, key: str, model: str = "churn", at: int = 0, **attributes: Any) -> identity.Build:
        build = identity.Build(self.namespace, self.project.project, model, key)
        self.put(
            ref(build),
            {"project": ref(self.project)},
            name=f"{model} {key}",
            version=1,
            key=key,
            modelKey=build.family.key,
            buildKey=build.key,
            createTime=BEGIN + at,
            **attributes,
        )
        return build

    def metrics(self, **values: float) -> str:
        return json.dumps([{"name": name, "value": values[name]} for name in sorted(values)])

    def model(self, name: str = "churn", **aliases: str) -> Ref:
        model = identity.Model(self.namespace, self.project.project, name)
        return self.put(ref(model), name=name, modelKey=model.key, aliases=aliases)

    def train(self, build: identity.Build, inputs: Sequence[Ref], task: str = "train", run: str = "") -> Ref:
        name = identity.Training(build.namespace, build.project, build.model, build.build)
        return self._process(ref(name), inputs, [ref(build)], task, run, userName="airflow")

    def evaluate(self, build: identity.Build, key: str, inputs: Sequence[Ref], **attributes: Any) -> Ref:
        parts = (build.namespace, build.project, build.model, build.build, key)
        made = self.put(ref(identity.Evaluation(*parts)), name=key, createTime=BEGIN, **attributes)
        self._process(ref(identity.Evaluating(*parts)), [ref(build), *inputs], [made], "evaluate", "")
        return made

    def deploy(
        self,
        build: identity.Build,
        revision: str,
        endpoint: str = "churn",
        status: str = "deployed",
        at: int = 0,
        run: str = "",
    ) -> Ref:
        parts = (build.namespace, build.project, build.model, build.build, "production", endpoint, revision)
        made = self.put(
            ref(identity.Deployment(*parts)),
            {"build": ref(build)},
            name=f"{endpoint} {revision}",
            createTime=BEGIN + at,
            deployedTime=BEGIN + at,
            status=status,
            cpuMillicores=0,
            modelEndpointURL=f"http://127.0.0.1:8123/{endpoint}",
        )
        self._process(ref(identity.Deploying(*parts)), [ref(build)], [made], "deploy", run, userName="airflow")
        return made

    def endpoint(self, deployment: Ref, name: str = "churn") -> Ref:
        it = identity.Deployment.parse(deployment.qualified_name)
        build = identity.Build(it.namespace, it.project, it.model, it.build)
        endpoint = identity.Endpoint(self.namespace, it.project, it.environment, name)
        return self.put(
            ref(endpoint),
            name=name,
            url=f"http://127.0.0.1:8123/{name}",
            currentDeployment=deployment.qualified_name,
            currentBuild=str(build),
        )

    def process(
        self, task: str, inputs: Sequence[Ref], outputs: Sequence[Ref], run: str = "", score: bool = False
    ) -> Ref:
        name = identity.TaskProcess(AIR, self.dag, task, ends_digest(inputs, outputs)[:16])
        kind = "mlgov_score_process" if score else name.type_name
        return self._process(Ref(kind, str(name)), inputs, outputs, task, run)

    def _process(
        self, it: Ref, inputs: Sequence[Ref], outputs: Sequence[Ref], task: str, run: str, **attributes: Any
    ) -> Ref:
        facts: dict[str, Any] = {"dagId": self.dag, "taskId": task, "processKey": identity.token(it.qualified_name)}
        if run:
            facts["lastRun"] = str(identity.TaskRun(AIR, self.dag, run, task, -1, 1))
        return self.put(it, {"inputs": inputs, "outputs": outputs}, **facts, **attributes)

    def dag_run(self, run: str, **attributes: Any) -> Ref:
        name = identity.DagRun(AIR, self.dag, run)
        keys = {"dagKey": identity.Dag(AIR, self.dag).key, "runKey": name.key}
        return self.put(ref(name), dagId=self.dag, runId=run, **keys, **attributes)

    def task_run(
        self,
        run: str,
        task: str,
        *,
        at: int = 0,
        took: int | None = 1000,
        map_index: int = -1,
        attempt: int = 1,
        uses: Sequence[dict[str, Any]] = (),
        does: Sequence[tuple[Ref, Sequence[int], Sequence[int]]] = (),
        **attributes: Any,
    ) -> Ref:
        """``uses`` are members of the ``io`` text (each has ``ref``); ``does`` the processes, with indices into them."""
        name = identity.TaskRun(AIR, self.dag, run, task, map_index, attempt)
        reads = sorted({index for _, inputs, _ in does for index in inputs})
        writes = sorted({index for _, _, outputs in does for index in outputs})
        io = {
            "v": 1,
            "datasets": [
                {
                    "typeName": use["ref"].type_name,
                    "qualifiedName": use["ref"].qualified_name,
                    "name": use["ref"].qualified_name,
                }
                | {key: value for key, value in use.items() if key != "ref"}
                for use in uses
            ],
            "inputs": reads,
            "outputs": writes,
            "processes": [
                {
                    "typeName": it.type_name,
                    "qualifiedName": it.qualified_name,
                    "inputs": list(ins),
                    "outputs": list(outs),
                }
                for it, ins, outs in does
            ],
        }
        times = {"startTime": BEGIN + at} | ({"endTime": BEGIN + at + took} if took is not None else {})
        return self.put(
            ref(name),
            dagId=self.dag,
            runId=run,
            taskId=task,
            mapIndex=map_index,
            tryNumber=attempt,
            runKey=identity.DagRun(AIR, self.dag, run).key,
            io=json.dumps(io),
            **times,
            **attributes,
        )


def shop_run(world: World, run: str = "manual__1") -> None:
    """One DAG run from a table to a scored table: a retry, mapped training, a failing branch and what it keeps from running."""
    customers, features, scored = (world.table(name) for name in ("customers", "features", "scored"))
    world.dag_run(run, state="failed", runType="manual", startTime=BEGIN, endTime=BEGIN + 65_000, dagVersion="v3")
    split = world.process("features", [customers], [features], run)
    io: dict[str, Any] = {
        "uses": [{"ref": customers, "rowCount": 1797}, {"ref": features, "rowCount": 1, "version": "7"}]
    }
    lost = "Traceback (most recent call last):\n  File x\nOperationalError: database is locked"
    world.task_run(run, "features", took=400, state="up_for_retry", errorMessage=lost, **io, does=[])
    world.task_run(run, "features", at=2000, attempt=2, state="success", **io, does=[(split, [0], [1])])
    builds = []
    for index, accuracy in enumerate((0.91, 0.97222222)):
        build = world.build(f"b{index}", metrics=world.metrics(accuracy=accuracy, f1=0.9), algorithm="DecisionTree")
        train = world.train(build, [features], run=run)
        uses = [{"ref": features, "rowCount": 1, "split": "train"}, {"ref": ref(build)}]
        world.task_run(
            run,
            "train",
            at=4000,
            map_index=index,
            state="success",
            mapLabel=f"depth={index + 2}",
            uses=uses,
            does=[(train, [0], [1])],
        )
        builds.append(build)
    best = builds[1]
    world.model(champion=best.build)
    holdout = world.evaluate(
        best, "holdout", [features], metrics=world.metrics(auc=0.99), split="test", outcome="passed"
    )
    evaluating = Ref(
        "mlgov_evaluate_process", f"{holdout.qualified_name.rpartition('@')[0]}/evaluating@{world.namespace}"
    )
    uses = [{"ref": ref(best)}, {"ref": features, "split": "test"}, {"ref": holdout}]
    world.task_run(run, "evaluate", at=6000, state="success", uses=uses, does=[(evaluating, [0, 1], [2])])
    deployment = world.deploy(best, "r1", run=run)
    world.endpoint(deployment)
    deploying = Ref(
        "mlgov_deploy_process", f"{deployment.qualified_name.rpartition('@')[0]}/deploying@{world.namespace}"
    )
    uses = [{"ref": ref(best)}, {"ref": deployment}]
    world.task_run(run, "deploy", at=8000, took=2500, state="success", uses=uses, does=[(deploying, [0], [1])])
    score = world.process("score", [deployment, features], [scored], run, score=True)
    uses = [{"ref": deployment}, {"ref": features}, {"ref": scored, "rowCount": 360}]
    world.task_run(run, "score", at=11_000, state="success", uses=uses, does=[(score, [0, 1], [2])])
    world.task_run(run, "report", at=12_000, state="failed", errorMessage="ValueError: no such chart\nmore")
    world.task_run(run, "mail", at=13_000, took=0, state="upstream_failed", stateSource="reconciled")
    world.task_run(run, "archive", at=13_000, took=0, state="skipped")
