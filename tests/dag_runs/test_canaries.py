"""Secrets in every field of a DAG: nothing of them is on disk, in Atlas, in our log, or in what commands say."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from airflow_env import environment, new_database
from airflow_provider_mlgov.catalog.embedded import EmbeddedCatalog
from airflow_provider_mlgov.catalog.server import create_app
from airflow_provider_mlgov.catalog.types.apply import ensure_types
from canaries import Canaries, files_of, texts, urls, values
from cli_runs import mlgov
from serving import served

pytestmark = [pytest.mark.dag_run, pytest.mark.filterwarnings("default")]

SCRIPT = """
import json, logging, sys
from pathlib import Path
import airflow_env
from airflow.providers.standard.operators.bash import BashOperator
from airflow.providers.standard.operators.python import PythonOperator
from airflow.providers.common.compat.lineage.entities import File
from airflow_provider_mlgov._compat import Asset, BaseHook, BaseOperator
from airflow_provider_mlgov.assembly import open_sender
from airflow_provider_mlgov.lineage import read, wrote
try:
    from airflow.sdk import Variable
except ImportError:
    from airflow.models import Variable

given, log, told = json.load(open(sys.argv[1])), sys.argv[2], sys.argv[3]
logger = logging.getLogger("airflow_provider_mlgov")
logger.setLevel(logging.DEBUG)
logger.addHandler(logging.FileHandler(log))

class Facet(dict):
    pass

class Lineage:
    def __init__(self, inputs, outputs, run, job):
        self.inputs, self.outputs, self.run_facets, self.job_facets = inputs, outputs, run, job

class Reports(BaseOperator):
    def execute(self, context):
        return None
    def get_openlineage_facets_on_complete(self, ti):
        return Lineage(given["inputs"], given["outputs"], given["run_facets"], given["job_facets"])
    def get_openlineage_facets_on_start(self):
        return None

class Breaks(Reports):
    def get_openlineage_facets_on_complete(self, ti):
        raise ValueError(given["error"])

class Odd:
    def __repr__(self):
        return "<Odd " + given["repr"] + ">"
    def serialize(self):
        return {}

def knows(**context):
    connection = BaseHook.get_connection("warehouse")
    raise ValueError(f"no login with {connection.password}, {connection.extra_dejson['token']} and {Variable.get('api_key')}")

def says(**kwargs):
    for url in given["urls"]:
        read(url, rows=1)
        wrote(url)
    read(("", given["repr"]))
    read({"namespace": given["repr"]})

def fails(**kwargs):
    raise ValueError(given["error"])

with airflow_env.new_dag(dag_id="canaries", tags=given["tags"], description=given["description"], doc_md=given["doc"],
                         params=given["params"], default_args={"owner": given["owner"]}) as dag:
    PythonOperator(task_id="knows", python_callable=knows, outlets=[File(url="s3://lake/known.csv")])
    PythonOperator(task_id="says", python_callable=says, op_kwargs=given["op_kwargs"], doc_md=given["doc"],
                   inlets=[File(url=url) for url in given["urls"]])
    PythonOperator(task_id="fails", python_callable=fails, op_args=given["op_args"])
    BashOperator(task_id="bash", bash_command=given["command"], env=given["env"], outlets=[File(url=given["urls"][0])])
    Reports(task_id="reports", doc=given["doc"])
    Breaks(task_id="breaks", inlets=[{"what": given["repr"]}, File(url="s3://lake/x.csv")])
airflow_env.run_dag(dag, run_conf=given["conf"])
recording = airflow_env.Recording(Path(), airflow_env.Log(), lambda name, value: None)
report = recording.drain()
Path(told).write_text(json.dumps({"outcome": report.outcome, "attempts": len(recording.attempts())}))
"""
ON = {f"AIRFLOW__MLGOV__SEND_{name}": "True" for name in ("CODE", "CONF", "ENVIRONMENT", "STACK_TRACES")}


class Recorded:
    """An application, and the bodies that it is sent."""

    def __init__(self, app: Any) -> None:
        self.app, self.bodies = app, [b""]

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        async def heard() -> Any:
            message = await receive()
            self.bodies.append(message.get("body", b""))
            return message

        self.bodies.append(scope.get("path", "").encode() + scope.get("query_string", b""))
        await self.app(scope, heard, send)


def given(canary: Canaries) -> dict[str, Any]:
    """What stands in the DAG."""

    def said(place: str) -> str:
        return "; ".join(texts(canary, place).values())

    datasets = [
        {"namespace": space, "name": name}
        for space, name in zip(urls(canary, "namespace").values(), urls(canary, "name").values(), strict=True)
    ]
    facets = {
        "documentation": {"description": said("dataset documentation")},
        "nobody_knows": values(canary, "unknown"),
    }
    return {
        "tags": [url for url in urls(canary, "tag").values() if len(url) < 100],
        "description": said("description"),
        "doc": said("doc_md"),
        "owner": urls(canary, "owner")["userinfo"],
        "params": {"password": canary("param"), "text": said("param text")},
        "conf": {"password": canary("conf"), "text": said("conf text"), "deep": values(canary, "conf values")},
        "op_kwargs": {"api_key": canary("op_kwargs"), "text": said("op_kwargs text")},
        "op_args": [said("op_args")],
        "env": {"DB_PASSWORD": canary("env"), "URL": urls(canary, "env url")["userinfo"]},
        "command": f"curl -s -H 'Authorization: Bearer {canary('bash command')}' http://127.0.0.1:9/ || true",
        "error": said("error message"),
        "repr": urls(canary, "repr")["userinfo"],
        "urls": list(urls(canary, "inlet").values()),
        "inputs": [{**dataset, "facets": facets} for dataset in datasets],
        "outputs": [{"namespace": "postgres://h:5432", "name": "a.b.c", "facets": facets}],
        "run_facets": {
            "errorMessage": {"message": said("run facet"), "stackTrace": said("stack trace")},
            "mlgov_more": values(canary, "our facet"),
            "nobody_knows": values(canary, "unknown run facet"),
        },
        "job_facets": {"sql": {"query": said("sql")}, "mlgov_more": {"texts": said("our job facet")}},
    }


def test_nothing_of_a_secret_is_recorded(tmp_path: Path) -> None:
    canary = Canaries()
    home, out, log, told = (tmp_path / name for name in ("home", "given.json", "mlgov.log", "told.json"))
    out.write_text(json.dumps(given(canary)))
    login = ("sender", canary("password of Atlas"))
    catalog = EmbeddedCatalog(tmp_path / "atlas.db")
    ensure_types(catalog)
    atlas = Recorded(create_app(catalog, login=login))
    said: dict[str, str] = {}
    with served(atlas) as url:
        connections = {
            # The login is part of the address: Airflow's own masker does not know it for a secret.
            "ATLAS": {"conn_type": "atlas", "host": url.replace("://", f"://{login[0]}:{login[1]}@")},
            "WAREHOUSE": {
                "conn_type": "postgres",
                "host": urls(canary, "host of a connection")["userinfo"],
                "password": canary("password of a connection"),
                "extra": {"token": canary("extra of a connection")},
            },
        }
        env = {
            **environment(home, atlas_conn_id="atlas"),
            **ON,
            **{f"AIRFLOW_CONN_{name}": json.dumps(connection) for name, connection in connections.items()},
            "AIRFLOW_VAR_API_KEY": canary("a variable"),
            "AIRFLOW__OPENLINEAGE__TRANSPORT": '{"type": "airflow_provider_mlgov.lineage.AtlasTransport"}',
        }
        new_database(home)
        done = subprocess.run(
            [sys.executable, "-c", SCRIPT, str(out), str(log), str(told)],
            env={**os.environ, **env, "PYTHONPATH": os.pathsep.join(sys.path), "PYTHONWARNINGS": "ignore"},
            capture_output=True,
            text=True,
            timeout=900,
        )
        assert done.returncode == 0, done.stderr[-3000:]
        report = json.loads(told.read_text())
        assert report["outcome"] in ("done", "nothing"), report
        assert report["attempts"] == 6
        commands = {key: value for key, value in env.items() if key.startswith(("AIRFLOW__MLGOV", "AIRFLOW_CONN"))}
        run = next(
            entity["attributes"]["runId"]
            for header in catalog.search("mlgov_dag_run", limit=10)
            if (entity := catalog.get_by_guid(header["guid"]))
        )
        for name, arguments in {
            "lineage": ("lineage", "--dag-id", "canaries", "--run-id", run),
            "lineage as JSON": ("lineage", "--dag-id", "canaries", "--run-id", run, "--format", "json"),
            "doctor": ("doctor", "--dag-id", "canaries", "--run-id", run),
            "status": ("spool", "status"),
            "dead": ("spool", "list", "--dead"),
        }.items():
            result = mlgov(home, *arguments, **commands)
            assert "Traceback" not in result.stderr, result.stderr
            said[name] = result.stdout + result.stderr
        assert "says" in said["lineage"]
    gone = {**commands, "AIRFLOW_CONN_ATLAS": json.dumps(connections["ATLAS"])}
    said["doctor without Atlas"] = (found := mlgov(home, "doctor", **gone)).stdout + found.stderr
    assert "cannot be reached" in said["doctor without Atlas"]
    catalog.close()

    places = {f"home/{name}": content for name, content in files_of(home / "mlgov")}
    places |= {"atlas.db": (tmp_path / "atlas.db").read_bytes(), "bodies": b"\n".join(atlas.bodies)}
    places |= {"log": log.read_bytes(), **{f"output of {name}": text.encode() for name, text in said.items()}}
    assert len(places["bodies"]) > 1000
    assert "is left out of the lineage" in log.read_text()
    leaks = {place: sorted(canary.found_in(content)) for place, content in places.items()}
    assert {place: found for place, found in leaks.items() if found} == {}
