"""Secrets in events of Spark, dbt and others, through every door: nothing of them is on disk, in Atlas, or in what commands say."""

from __future__ import annotations

import base64
import json
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_mlgov.catalog.embedded import EmbeddedCatalog
from airflow_provider_mlgov.translate.facets import FACETS
from canaries import Canaries, facet, files_of, texts, urls, values
from cli_runs import mlgov
from receiving import receiving

Json = dict[str, Any]
ON = {
    "AIRFLOW__MLGOV__SEND_CODE": "True",
    "AIRFLOW__MLGOV__SEND_CONF": "True",
    "AIRFLOW__MLGOV__SEND_ENVIRONMENT": "True",
    "AIRFLOW__MLGOV__SEND_STACK_TRACES": "True",
}
"""Whoever switches these on wants the environment, and no secrets all the same."""


def rules(home: Path) -> str:
    """Mapping rules that keep a facet nobody knows."""
    path = home / "rules.toml"
    path.write_text('[[facets]]\nfacet = "acme_job"\nattribute = "acme"\n')
    return str(path)


def facets(canary: Canaries, holder: str, door: str) -> Json:
    """Every facet that is known, one that a rule keeps, one of ours, and one that nobody knows."""
    names = [
        entry.name for entry in FACETS if entry.holder == holder and entry.name not in ("airflow", "airflowDagRun")
    ]
    return {name: facet(canary, f"{door} {holder} {name}") for name in (*names, "acme_job", "mlgov_io", "nobody_knows")}


def known_facets(canary: Canaries, door: str) -> tuple[Json, Json, Json]:
    """Facets in the form that translation reads, so that what they say reaches Atlas: of a run, a job, a dataset."""

    def said(place: str) -> str:
        return "; ".join(texts(canary, f"{door} {place}").values())

    run = {
        "errorMessage": {"message": said("error"), "programmingLanguage": "JAVA", "stackTrace": said("stack trace")},
        "externalQuery": {
            "externalQueryId": urls(canary, f"{door} query id")["userinfo"],
            "source": said("query source"),
        },
        "environmentVariables": {"environmentVariables": values(canary, f"{door} environment")["list"]},
        "executionParameters": {"parameters": values(canary, f"{door} parameters")["list"]},
        "spark_jobDetails": {"description": said("spark job"), "properties": values(canary, f"{door} spark")},
        "extractionError": {"totalTasks": 1, "failedTasks": 1, "errors": [{"errorMessage": said("extraction error")}]},
        "tags": {"tags": [{"key": "url", "value": url} for url in urls(canary, f"{door} run tags").values()]},
    }
    job = {
        "sql": {"query": said("sql"), "dialect": "spark"},
        "documentation": {"description": said("documentation")},
        "sourceCode": {"language": "python", "sourceCode": said("source code")},
        "sourceCodeLocation": {"type": "git", "url": urls(canary, f"{door} git")["token user"], "repoUrl": said("repository")},
        "ownership": {"owners": [{"name": url, "type": ""} for url in urls(canary, f"{door} owner").values()]},
        "tags": {"tags": [{"key": "password", "value": canary(f"{door} job tag")}]},
    }  # fmt: skip
    dataset = {
        "documentation": {"description": said("dataset documentation")},
        "dataSource": {
            "name": urls(canary, f"{door} source")["userinfo"],
            "uri": urls(canary, f"{door} source uri")["jdbc postgres"],
        },
        "schema": {"fields": [{"name": "password", "type": "text", "description": said("column")}]},
        "symlinks": {
            "identifiers": [
                {"namespace": url, "name": "t", "type": "TABLE"} for url in urls(canary, f"{door} link").values()
            ]
        },
        "storage": {"storageLayer": said("storage"), "fileFormat": "parquet"},
        "lifecycleStateChange": {
            "lifecycleStateChange": "ALTER",
            "previousIdentifier": {"namespace": urls(canary, f"{door} previous")["userinfo"], "name": "t"},
        },
    }  # fmt: skip
    return run, job, dataset


def events(canary: Canaries, door: str) -> list[Json]:
    """Run events whose every field holds secrets; each name of a dataset with a secret of its own."""
    run, job, dataset = known_facets(canary, door)
    datasets = [
        {"namespace": space, "name": name}
        for space, name in zip(
            urls(canary, f"{door} namespace").values(), urls(canary, f"{door} name").values(), strict=True
        )
    ]
    head = {"eventTime": "2026-01-31T12:00:00Z", "eventType": "COMPLETE", "producer": urls(canary, door)["userinfo"]}
    odd = {"password": canary(f"{door} a facet that is a text"), "url": urls(canary, f"{door} a text")["userinfo"]}
    readable = {
        **head,
        "run": {"runId": f"{door}-1", "facets": {**run, **odd}},
        "job": {"namespace": urls(canary, f"{door} job namespace")["userinfo"], "name": door, "facets": job},
        "inputs": [{"namespace": "postgres://h:5432", "name": "a.b.c", "facets": dataset}, *datasets],
        "outputs": [{"namespace": "postgres://h:5432", "name": f"a.b.{door}", "facets": dataset}],
        "unknown": facet(canary, f"{door} unknown key"),
    }
    everything = {
        **head,
        "run": {"runId": f"{door}-2", "facets": facets(canary, "run", door), "more": facet(canary, f"{door} run")},
        "job": {
            "namespace": "n",
            "name": f"{door}, see {urls(canary, f'{door} job name')['userinfo']}",
            "facets": facets(canary, "job", door),
        },
        "inputs": [
            {
                "namespace": "hive://h:9083",
                "name": f"d.{door}",
                "facets": facets(canary, "dataset", door),
                "inputFacets": facets(canary, "input", door),
                "more": facet(canary, f"{door} dataset"),
            }
        ],
        "outputs": [
            {
                "namespace": "hive://h:9083",
                "name": f"d.{door}_out",
                "facets": facets(canary, "dataset", door),
                "outputFacets": facets(canary, "output", door),
            }
        ],
    }
    return [readable, everything]


def posted(url: str, token: str, body: object) -> str:
    request = urllib.request.Request(
        f"{url}/api/v1/lineage", json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    request.add_header("Authorization", f"Bearer {token}")
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return str(answer.read())
    except urllib.error.HTTPError as error:
        return str(error.read())


def test_nothing_of_a_secret_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    canary = Canaries()
    home = tmp_path / "home"
    home.mkdir()
    env = {**ON, "AIRFLOW__MLGOV__MAPPING_RULES": rules(tmp_path)}
    said: dict[str, str] = {}
    received, replayed = events(canary, "receiver"), events(canary, "replay")
    file = tmp_path / "events.ndjson"
    file.write_text("".join(json.dumps(event) + "\n" for event in replayed) + '{"run": {"password": "x"}}\n')

    said["translate"] = _said(mlgov(home, "translate", str(file), **env))
    with receiving(home, "--no-send", more=env) as receiver:
        token = mlgov(home, "token", "add", "all", "--airflow", "--own-facets").stdout.strip()
        canary.known |= {token: "token of a sender", receiver.token: "token of another sender"}
        own = {
            **received[0],
            "run": {"runId": "own", "facets": {"errorMessage": {"message": f"{token}, {receiver.token}"}}},
        }
        said["answers"] = "".join(posted(receiver.url, token, event) for event in (*received, own, {"a": "b"}))
    said["receiver.log"] = (home / "receiver.log").read_text()
    waiting = {name: content for name, content in files_of(home / "mlgov" / "spool") if "tokens" not in name}
    assert sum(name.startswith("new/") for name in waiting) == 3, said["answers"]
    said["replay"] = _said(mlgov(home, "replay", str(file), **env))
    assert "replayed 2 events" in said["replay"], said["replay"]
    said["drain"] = _said(mlgov(home, "spool", "drain", **env))
    said["list"] = _said(mlgov(home, "spool", "list", "--dead", **env))
    for path in (home / "mlgov" / "spool" / "dead").glob("*.json"):
        said[path.name] = _said(mlgov(home, "spool", "show", path.name, **env))
    said["doctor"] = _said(mlgov(home, "doctor", **env))
    catalog = EmbeddedCatalog(home / "mlgov" / "catalog.db")
    try:
        written = catalog.search("mlgov_job_run", limit=10)
        assert len(written) == 5
        for run in written:
            name = run["attributes"]["qualifiedName"]
            said[name] = _said(mlgov(home, "lineage", "--entity", "mlgov_job_run", name, "--format", "json", **env))
    finally:
        catalog.close()

    places = {**waiting, **{f"home/{name}": content for name, content in files_of(home) if "tokens" not in name}}
    places |= {f"output of {name}": text.encode() for name, text in said.items()}
    leaks = {place: sorted(canary.found_in(content)) for place, content in places.items()}
    assert {place: found for place, found in leaks.items() if found} == {}


def test_what_is_looked_for_is_found(tmp_path: Path) -> None:
    """The canaries themselves: as they are, and in base64 whatever stands before them."""
    canary = Canaries()
    made = canary("here")
    for prefix in ("", "a", "ab", "user:"):
        for content in (f"x{prefix}{made}".encode(), base64.b64encode(f"{prefix}{made}".encode())):
            assert canary.found_in(content) == {"here"}
    assert canary.found_in(b"nothing") == set()


def _said(result: Any) -> str:
    assert "Traceback" not in result.stderr, result.stderr
    return f"{result.stdout}\n{result.stderr}"
