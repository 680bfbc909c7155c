"""From a table to an endpoint: a model is trained, chosen, put into service and used, and each step is in the lineage.

The data is scikit-learn's breast cancer set. Everything this DAG makes is in one folder: ``$MLGOV_DEMO_FOLDER``, or
``mlgov_demo`` under AIRFLOW_HOME. On some days (``lab_results`` in the run's conf, true if absent) the clinic also
delivers laboratory results, and the features then come from two tables instead of one. The tumour registry never
answers, so that branch always fails; the rest does not depend on it. The same file runs on Airflow 2.11 and 3.x.
"""

from __future__ import annotations

import csv
import hashlib
import json
import os
import sqlite3
import subprocess
import sys
import urllib.request
from collections.abc import Mapping, Sequence
from contextlib import closing
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from airflow.providers.common.compat.sdk import DAG, Param, task

from airflow_provider_mlgov.assets import Data, Endpoint, Model, file, table
from airflow_provider_mlgov.lineage import read, wrote
from airflow_provider_mlgov.operators import (
    DeployModelOperator,
    EvaluateModelOperator,
    RegisterModelOperator,
    ScoreOperator,
    Trained,
    TrainModelOperator,
)

HOME = Path(os.environ.get("AIRFLOW_HOME") or "~/airflow").expanduser()
FOLDER = Path(os.environ.get("MLGOV_DEMO_FOLDER") or HOME / "mlgov_demo").absolute()
DATABASE = FOLDER / "clinic.db"
LAB_FILE = FOLDER / "lab_results.csv"
SERVER = Path(__file__).with_name("scoring") / "server.py"
REGISTRY = "http://127.0.0.1:9/tumours"  # nobody listens on the discard port

TARGET = "malignant"
CANDIDATES = ({"c": 0.01}, {"c": 1.0}, {"c": 100.0})


def clinic_table(name: str) -> Data:
    """A table of the clinic's database."""
    return table(f"sqlite:///{DATABASE}", name)


PATIENTS = clinic_table("patients")
LAB_RESULTS = clinic_table("lab_results")
REGISTRY_DATA = clinic_table("registry_data")
FEATURES_TRAIN = clinic_table("features_train")
FEATURES_TEST = clinic_table("features_test")
SCORES = clinic_table("scores")
MODEL = Model("malignancy", project="clinic")
ENDPOINT = Endpoint("malignancy", project="clinic")


# --- tables ----------------------------------------------------------------------------------------------------------


def write_table(data: Data, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Replace a table, and say so."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    quoted = [f'"{column}"' for column in columns]
    with closing(sqlite3.connect(DATABASE)) as connection, connection:
        connection.execute(f'DROP TABLE IF EXISTS "{data.name}"')
        connection.execute(f'CREATE TABLE "{data.name}" ({", ".join(quoted)})')
        marks = ", ".join("?" * len(columns))
        connection.executemany(f'INSERT INTO "{data.name}" VALUES ({marks})', rows)  # noqa: S608 - our own names
    wrote(data, rows=len(rows), version=version_of(rows), columns=dict.fromkeys(columns, "REAL"))


def read_table(data: Data, split: str | None = None) -> tuple[list[str], list[tuple[Any, ...]]]:
    """Columns and rows of a table; says that they were read."""
    with closing(sqlite3.connect(DATABASE)) as connection:
        cursor = connection.execute(f'SELECT * FROM "{data.name}" ORDER BY rowid')  # noqa: S608 - our own names
        rows = cursor.fetchall()
        columns = [column[0] for column in cursor.description]
    read(data, rows=len(rows), version=version_of(rows), split=split)
    return columns, rows


def version_of(rows: Sequence[Sequence[Any]]) -> str:
    """A digest of the content: SQLite keeps no versions."""
    return hashlib.sha256(json.dumps([list(row) for row in rows]).encode()).hexdigest()[:12]


def features_and_target(
    columns: Sequence[str], rows: Sequence[Sequence[Any]]
) -> tuple[list[str], list[Any], list[Any]]:
    """The names of the features, the matrix, and the target."""
    names = [column for column in columns if column not in ("patient", TARGET)]
    places = [columns.index(name) for name in names]
    target = columns.index(TARGET)
    return names, [[row[place] for place in places] for row in rows], [row[target] for row in rows]


# --- what the model tasks do -----------------------------------------------------------------------------------------


def train_model(build: Any, c: float) -> Trained:
    """A logistic regression with this regularisation."""
    import joblib
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    names, matrix, target = features_and_target(*read_table(FEATURES_TRAIN, split="train"))
    model = make_pipeline(StandardScaler(), LogisticRegression(C=c, max_iter=1000, random_state=0)).fit(matrix, target)
    path = FOLDER / "models" / f"{build.key}.joblib"
    path.parent.mkdir(parents=True, exist_ok=True)
    joblib.dump({"model": model, "features": names}, path)
    return Trained(
        artifact=path,
        metrics={"train_accuracy": model.score(matrix, target)},
        parameters={"max_iter": 1000, "random_state": 0},
        framework="scikit-learn",
        algorithm="LogisticRegression",
        features=names,
        target=TARGET,
    )


def load_model(build: Any) -> dict[str, Any]:
    """The artefact of a build."""
    import joblib

    stored: dict[str, Any] = joblib.load(build.artifact_uri.removeprefix("file://"))
    return stored


def evaluate_model(build: Any) -> dict[str, float]:
    """How good a build is on rows that it has not seen."""
    from sklearn.metrics import accuracy_score, roc_auc_score

    _, matrix, target = features_and_target(*read_table(FEATURES_TEST, split="test"))
    scores = load_model(build)["model"].predict_proba(matrix)[:, 1]
    return {"accuracy": accuracy_score(target, scores > 0.5), "roc_auc": roc_auc_score(target, scores)}


def deploy_model(build: Any) -> str:
    """Start a scoring server with the build; it outlives this task, and replaces the one that ran before."""
    artefact = build.artifact_uri.removeprefix("file://")
    command = [sys.executable, str(SERVER), "start", "--folder", str(FOLDER), "--model", artefact, "--build", build.key]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)  # noqa: S603 - our own script
    if done.returncode:
        raise RuntimeError(done.stderr)
    url: str = json.loads(done.stdout)["url"]
    return url


def ask(url: str, rows: list[dict[str, Any]]) -> dict[str, Any]:
    """The scoring server's answer."""
    body = json.dumps({"rows": rows}).encode()
    request = urllib.request.Request(f"{url}/score", body, {"Content-Type": "application/json"})  # noqa: S310 - our own URL
    with urllib.request.urlopen(request, timeout=30) as response:  # noqa: S310 - our own URL
        answer: dict[str, Any] = json.load(response)
    return answer


def score_batch(deployment: Any) -> int:
    """Score rows over HTTP into a second table."""
    columns, rows = read_table(FEATURES_TEST)
    answer = ask(deployment.url, [dict(zip(columns, row, strict=True)) for row in rows])
    assert answer["build"] == deployment.build, f"{answer['build']} answers at {deployment.url}, not {deployment.build}"
    patient = columns.index("patient")
    write_table(
        SCORES, ["patient", "score"], [(row[patient], score) for row, score in zip(rows, answer["scores"], strict=True)]
    )
    return len(rows)


# --- the DAG ---------------------------------------------------------------------------------------------------------

with DAG(
    dag_id="mlgov_demo",
    description="From a table to an endpoint, with lineage",
    schedule=None,
    start_date=datetime(2026, 1, 1, tzinfo=timezone.utc),
    catchup=False,
    tags=["mlgov", "example"],
    doc_md=__doc__,
    params={"lab_results": Param(True, type="boolean", description="Whether the clinic delivers laboratory results")},
) as dag:

    @task(retries=2, retry_delay=timedelta(seconds=1))
    def load_patients(ti: Any = None, params: Mapping[str, Any] | None = None) -> int:
        """What the clinic delivers; its system is not ready at the first try."""
        if ti.try_number == 1:
            raise ConnectionError("the clinic's system is not ready yet; it will be at the next try")
        import sklearn
        from sklearn.datasets import load_breast_cancer

        found = load_breast_cancer()
        source = Path(sklearn.__file__).parent / "datasets" / "data" / found["filename"]
        read(file(source), rows=len(found["data"]), version=f"scikit-learn {sklearn.__version__}")
        columns = ["patient", TARGET, *(name.replace(" ", "_") for name in found["feature_names"])]
        rows = [
            (number, 1 - int(target), *map(float, row))
            for number, (row, target) in enumerate(zip(found["data"], found["target"], strict=True), start=1)
        ]
        write_table(PATIENTS, columns, rows)
        if (params or {}).get("lab_results", True):
            results = [(row[0], round(row[2] * 0.1 + row[0] % 7, 3)) for row in rows]
            with LAB_FILE.open("w", encoding="utf-8", newline="") as stream:
                csv.writer(stream).writerows([("patient", "marker"), *results])
            wrote(file(LAB_FILE), rows=len(results), size=LAB_FILE.stat().st_size)
        else:
            LAB_FILE.unlink(missing_ok=True)
        return len(rows)

    @task.branch
    def look_for_lab_results() -> str:
        """Whether the laboratory delivered anything."""
        return "import_lab_results" if LAB_FILE.exists() else "go_without_lab_results"

    @task(inlets=[file(LAB_FILE)], outlets=[LAB_RESULTS])
    def import_lab_results() -> int:
        """From the file into a table."""
        with LAB_FILE.open(encoding="utf-8", newline="") as stream:
            columns, *rows = csv.reader(stream)
        read(file(LAB_FILE), rows=len(rows), size=LAB_FILE.stat().st_size)
        write_table(LAB_RESULTS, columns, [(int(patient), float(marker)) for patient, marker in rows])
        return len(rows)

    @task(inlets=[PATIENTS])
    def go_without_lab_results() -> None:
        """Nothing to do."""

    # Declared, and never there: a task that fails draws no lineage.
    @task(inlets=[Data("http://127.0.0.1:9", "tumours")], outlets=[REGISTRY_DATA])
    def ask_tumour_registry() -> None:
        """Ask a service that does not answer."""
        urllib.request.urlopen(REGISTRY, timeout=5).close()

    @task(inlets=[REGISTRY_DATA], outlets=[clinic_table("registry_features")])
    def add_registry_data() -> None:
        """Never runs: what it needs failed."""

    @task(trigger_rule="all_done")
    def close_registry_branch() -> None:
        """Ends the failing branch well: the model does not depend on it."""

    @task(outlets=[FEATURES_TRAIN, FEATURES_TEST], trigger_rule="none_failed_min_one_success")
    def split_features(lab_rows: int | None) -> dict[str, int]:
        """Features of all patients, with the laboratory's marker where there is one, for training and for testing."""
        columns, rows = read_table(PATIENTS)
        if lab_rows:
            _, results = read_table(LAB_RESULTS)
            marker = dict(results)
            columns = [*columns, "marker"]
            rows = [(*row, marker.get(row[0], 0.0)) for row in rows]
        parts = {
            FEATURES_TEST.name: [row for row in rows if row[0] % 4 == 0],
            FEATURES_TRAIN.name: [row for row in rows if row[0] % 4 != 0],
        }
        write_table(FEATURES_TEST, columns, parts[FEATURES_TEST.name])
        write_table(FEATURES_TRAIN, columns, parts[FEATURES_TRAIN.name])
        return {name: len(part) for name, part in parts.items()}

    train = TrainModelOperator.partial(
        task_id="train", model=MODEL, python_callable=train_model, inlets=[FEATURES_TRAIN]
    ).expand(op_kwargs=list(CANDIDATES))
    evaluate = EvaluateModelOperator.partial(
        task_id="evaluate", python_callable=evaluate_model, inlets=[FEATURES_TEST], split="test"
    ).expand(build=train.output)
    register = RegisterModelOperator(
        task_id="register",
        model=MODEL,
        candidates=evaluate.output,
        metric="roc_auc",
        aliases=["champion"],
        outlets=[MODEL],
    )
    deploy = DeployModelOperator(
        task_id="deploy", endpoint=ENDPOINT, build=register.output, python_callable=deploy_model, outlets=[ENDPOINT]
    )

    @task
    def check_endpoint(build: dict[str, Any], deployment: dict[str, Any]) -> float:
        """Whether the endpoint says of a known patient what the build says."""
        columns, rows = read_table(FEATURES_TEST)
        stored = load_model(type("Build", (), build))
        known = dict(zip(columns, rows[0], strict=True))
        answer = ask(deployment["url"], [known])
        expected = float(stored["model"].predict_proba([[known[name] for name in stored["features"]]])[0, 1])
        assert answer["build"] == build["build"], f"build {answer['build']} answers, not {build['build']}"
        assert abs(answer["scores"][0] - expected) < 1e-9, (
            f"the endpoint says {answer['scores'][0]}, the build {expected}"
        )
        return expected

    score = ScoreOperator(
        task_id="score", deployment=deploy.output, python_callable=score_batch, inlets=[FEATURES_TEST], outlets=[SCORES]
    )

    loaded = load_patients()
    lab_rows = import_lab_results()
    split = split_features(lab_rows)
    loaded >> look_for_lab_results() >> [lab_rows, (without := go_without_lab_results())]
    without >> split
    loaded >> ask_tumour_registry() >> add_registry_data() >> close_registry_branch()
    split >> train
    check_endpoint(register.output, deploy.output) >> score
