"""The demo DAG for real: three runs, with an input that is there, gone and there again, and what the graph says of them."""

from __future__ import annotations

import json
import sys
import urllib.request
import uuid
from collections.abc import Iterator
from contextlib import closing
from importlib.util import module_from_spec, spec_from_file_location
from itertools import pairwise
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import urlsplit

import pytest

from airflow_env import Recording, run_dag
from airflow_provider_mlgov.assembly import open_catalog, open_spool
from airflow_provider_mlgov.catalog.catalog import Catalog
from airflow_provider_mlgov.model import identity

pytestmark = [pytest.mark.dag_run, pytest.mark.filterwarnings("default")]
EXAMPLES = Path(__file__).parents[2] / "dags_examples"

NOTHING: dict[str, Any] = {"datasets": [], "inputs": [], "outputs": [], "processes": []}
STATES = {
    "load_patients": "success",
    "look_for_lab_results": "success",
    "ask_tumour_registry": "failed",
    "add_registry_data": "upstream_failed",
    "close_registry_branch": "success",
    "split_features": "success",
    "train": "success",
    "evaluate": "success",
    "register": "success",
    "deploy": "success",
    "check_endpoint": "success",
    "score": "success",
}


def load(name: str, path: Path) -> ModuleType:
    spec = spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def demo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """The demo's file, its data in a folder of this test; its server is stopped afterwards."""
    monkeypatch.setenv("MLGOV_DEMO_FOLDER", str(tmp_path / "demo"))
    yield load("mlgov_demo", EXAMPLES / "mlgov_demo.py")
    server = load("scoring_server", EXAMPLES / "scoring" / "server.py")
    assert "is stopped" in server.stop(tmp_path / "demo")
    assert server.stop(tmp_path / "demo") == "no scoring server was started here"


class World:
    """The catalogue after some runs of the demo."""

    def __init__(self, recording: Recording, demo: ModuleType, catalog: Catalog) -> None:
        self.recording, self.demo, self.catalog = recording, demo, catalog
        self.air, self.cat = recording.settings.airflow_namespace, recording.settings.catalogue_namespace

    def run(self, **conf: Any) -> str:
        """Run the DAG; returns the run id."""
        run = run_dag(self.demo.dag, run_conf=conf)
        assert run.state == "success"
        with_lab = conf.get("lab_results", True)
        branch = {
            "import_lab_results": "success" if with_lab else "skipped",
            "go_without_lab_results": "skipped" if with_lab else "success",
        }
        assert {ti.task_id: str(ti.state) for ti in run.get_task_instances()} == {**STATES, **branch}
        report = self.recording.drain()
        assert report.reason is None, report
        assert [letter.reason for letter in open_spool(self.recording.settings).dead_letters()] == []
        run_id: str = run.run_id
        return run_id

    def table(self, data: Any) -> tuple[str, str]:
        """Type and name of a table of the demo."""
        return "rdbms_table", f"{data.namespace}/main.{data.name}@{self.air}"

    def attempt(self, run: str, task: str, index: int = -1, number: int = 1) -> dict[str, Any]:
        """The attributes of a task run; what never started is try 0."""
        for tried in (number, 0):
            name = identity.TaskRun(self.air, "mlgov_demo", run, task, index, tried)
            entity = self.catalog.get(name.type_name, str(name))
            if entity is not None:
                attributes: dict[str, Any] = entity["attributes"]
                return attributes
        pytest.fail(f"{task} of {run} is not in the catalogue")

    def said(self, run: str, task: str, index: int = -1, number: int = 1) -> tuple[set[str], set[str], list[str]]:
        """What an attempt read and wrote, and the names of its processes."""
        said = json.loads(
            self.attempt(run, task, index, number).get("io")
            or '{"datasets":[],"inputs":[],"outputs":[],"processes":[]}'
        )
        names = [dataset["qualifiedName"] for dataset in said["datasets"]]
        return (
            {names[place] for place in said["inputs"]},
            {names[place] for place in said["outputs"]},
            sorted(process["qualifiedName"] for process in said["processes"]),
        )

    def beyond(self, start: tuple[str, str], direction: Any) -> set[str]:
        """The names of the data one hop away (of a process: its ends), by the catalogue's own lineage."""
        found = self.catalog.lineage(*start, direction=direction, depth=1)
        entities = found["guidEntityMap"].values()
        return {entity["attributes"]["qualifiedName"] for entity in entities if entity["status"] == "ACTIVE"} - {
            start[1]
        }

    def assert_chain(self, chain: list[tuple[str, str]]) -> None:
        """Each link is one hop from the next, both ways."""
        for left, right in pairwise(chain):
            assert right[1] in self.beyond(left, "OUTPUT"), f"down from {left} to {right}"
            assert left[1] in self.beyond(right, "INPUT"), f"up from {right} to {left}"

    def deployment(self, run: str) -> identity.Deployment:
        """What a run deployed."""
        [name] = self.said(run, "deploy")[1]
        return identity.Deployment.parse(name)

    def chain(self, run: str) -> list[tuple[str, str]]:
        """From the source table to the scored table, as that run went."""
        deployment = self.deployment(run)
        build = identity.Build(self.cat, deployment.project, deployment.model, deployment.build)
        return [
            self.table(self.demo.PATIENTS),
            self.table(self.demo.FEATURES_TRAIN),
            (build.type_name, str(build)),
            (deployment.type_name, str(deployment)),
            self.table(self.demo.SCORES),
        ]


def check_run(world: World, run: str, *, lab_results: bool) -> None:
    """Everything that one run did is in the catalogue, and nothing else."""
    demo = world.demo
    world.assert_chain(world.chain(run))
    patients, lab, train, test, scores = (
        world.table(data)[1]
        for data in (demo.PATIENTS, demo.LAB_RESULTS, demo.FEATURES_TRAIN, demo.FEATURES_TEST, demo.SCORES)
    )
    # The retry: the first try failed and wrote nothing.
    assert world.attempt(run, "load_patients", number=1)["state"] == "up_for_retry"
    assert world.said(run, "load_patients", number=1)[1:] == (set(), [])
    assert world.attempt(run, "load_patients", number=2)["state"] == "success"
    assert patients in world.said(run, "load_patients", number=2)[1]
    # The optional input.
    inputs, outputs, _ = world.said(run, "split_features")
    assert inputs == ({patients, lab} if lab_results else {patients})
    assert outputs == {train, test}
    assert world.attempt(run, "import_lab_results")["state"] == ("success" if lab_results else "skipped")
    assert world.attempt(run, "go_without_lab_results")["state"] == ("skipped" if lab_results else "success")
    # The failing branch.
    for task, state in (("ask_tumour_registry", "failed"), ("add_registry_data", "upstream_failed")):
        assert world.attempt(run, task)["state"] == state
        assert world.said(run, task)[2] == []
    # The mapped tasks: three builds, of which the best in ROC AUC is registered and deployed.
    builds = {}
    for index in range(3):
        _, (build,), _ = world.said(run, "train", index)
        stored = world.catalog.get("mlgov_model_build", build)
        _, (evaluation,), _ = world.said(run, "evaluate", index)
        measured = world.catalog.get("mlgov_evaluation", evaluation)
        assert stored is not None
        assert measured is not None
        assert stored["attributes"]["artifactDigest"].startswith("sha256:")
        assert world.said(run, "evaluate", index)[0] == {build, test}
        metrics = {item["name"]: item["value"] for item in json.loads(measured["attributes"]["metrics"])}
        builds[build] = (metrics["roc_auc"], stored["attributes"].get("registered"))
    registered = [build for build, (_, flag) in builds.items() if flag]
    best = max(auc for auc, _ in builds.values())
    assert len(registered) == 1
    assert builds[registered[0]][0] == best
    [registering] = world.said(run, "register")[2]
    assert world.beyond(("mlgov_task_process", registering), "INPUT") == set(builds)
    assert world.said(run, "deploy")[0] == set(registered)
    assert world.said(run, "score")[:2] == ({test, str(world.deployment(run))}, {scores})


def check_all(world: World, runs: list[str]) -> None:
    """What the graph says after three runs with the optional input there, gone and there again."""
    demo = world.demo
    first, second, third = (world.said(run, "split_features")[2] for run in runs)
    assert first == third != second  # other inputs are another process; the same ones are the same again
    for name in {*first, *second}:
        process = world.catalog.get("mlgov_task_process", name)
        assert process is not None
        assert process["status"] == "ACTIVE"
    assert world.table(demo.FEATURES_TRAIN)[1] in world.beyond(world.table(demo.LAB_RESULTS), "OUTPUT")
    # Declared outlets of what failed or never ran have no lineage.
    for data in (demo.REGISTRY_DATA, demo.clinic_table("registry_features")):
        if world.catalog.get(*world.table(data)) is not None:
            assert world.beyond(world.table(data), "BOTH") == set()
    # The endpoint has moved on.
    deployments = [world.deployment(run) for run in runs]
    assert len({str(name) for name in deployments}) == 3
    stored = [world.catalog.get(name.type_name, str(name)) for name in deployments]
    assert [entity and entity["attributes"]["status"] for entity in stored] == ["stopped", "stopped", "deployed"]
    endpoint = identity.Endpoint(world.cat, "clinic", "production", "malignancy")
    now = world.catalog.get(endpoint.type_name, str(endpoint))
    assert now is not None
    assert now["attributes"]["currentDeployment"] == str(deployments[-1])
    check_server(now["attributes"]["url"], deployments[-1].build)
    # The whole road in one walk, both ways.
    road = {name for _, name in world.chain(runs[-1])}
    down = world.catalog.lineage(*world.table(demo.PATIENTS), direction="OUTPUT", depth=10)["guidEntityMap"].values()
    up = world.catalog.lineage(*world.table(demo.SCORES), direction="INPUT", depth=10)["guidEntityMap"].values()
    for found in (down, up):
        assert road <= {entity["attributes"]["qualifiedName"] for entity in found}


def check_server(url: str, build: str) -> None:
    """The endpoint's URL is that of a server which answers with this build, on this machine only."""
    assert urlsplit(url).hostname == "127.0.0.1"
    with closing(urllib.request.urlopen(f"{url}/health", timeout=5)) as answer:
        health = json.load(answer)
    assert health["build"] == build
    body = json.dumps({"rows": [dict.fromkeys(health["features"], 0.0)]}).encode()
    with closing(urllib.request.urlopen(f"{url}/score", body, timeout=5)) as answer:
        assert 0 <= json.load(answer)["scores"][0] <= 1


def three_runs(recording: Recording, demo: ModuleType) -> None:
    with closing(open_catalog(recording.settings)) as catalog:
        world = World(recording, demo, catalog)
        runs = []
        for lab_results in (True, False, True):
            runs.append(world.run(lab_results=lab_results))
            check_run(world, runs[-1], lab_results=lab_results)
        check_run(world, runs[1], lab_results=False)  # what came later took nothing from it
        check_all(world, runs)


def test_three_runs(recording: Recording, demo: ModuleType) -> None:
    three_runs(recording, demo)


@pytest.mark.atlas
@pytest.mark.long
def test_three_runs_in_a_real_atlas(
    recording: Recording, demo: ModuleType, atlas_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = urlsplit(atlas_url)
    connection = {
        "conn_type": "atlas",
        "host": parts.hostname,
        "port": parts.port,
        "login": parts.username or "admin",
        "password": parts.password or "admin",
    }
    monkeypatch.setenv("AIRFLOW_CONN_MLGOV_TEST_DEMO", json.dumps(connection))
    name = uuid.uuid4().hex[:8]
    recording.options(
        atlas_conn_id="mlgov_test_demo", namespace=f"air-{name}", catalogue_namespace=f"cat-{name}", send_budget="60"
    )
    three_runs(recording, demo)


def test_the_file_is_parsed_without_warnings(tmp_path: Path) -> None:
    import subprocess

    command = [sys.executable, "-W", "error::DeprecationWarning:mlgov_demo", "-c", "import mlgov_demo"]
    subprocess.run(command, cwd=EXAMPLES, check=True, timeout=120, capture_output=True)
