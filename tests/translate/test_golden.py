"""What comes of whole events, for every type of entity. ``MLGOV_UPDATE_GOLDEN=1`` writes the files anew: read the difference."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from airflow_provider_mlgov.catalog.types.definitions import our_types
from airflow_provider_mlgov.translate.events import run_key, unite
from airflow_provider_mlgov.translate.options import TranslateOptions
from airflow_provider_mlgov.translate.reading import read_event
from airflow_provider_mlgov.translate.translation import translate
from translate_events import BUILD, DEPLOYMENT, EVALUATION, OTHER, as_json, at, run_id, table, task_event, translated

GOLDEN = Path(__file__).parent / "golden"
RECORDED = Path(__file__).parent / "events"

DATASETS = [
    {"namespace": "file", "name": "/data/a.csv"},
    {"namespace": "sftp://files:22", "name": "/in/b.csv"},
    {"namespace": "s3://lake", "name": "raw/2026/c.parquet"},
    {"namespace": "hdfs://nn:8020", "name": "/warehouse/d"},
    {
        "namespace": "hive://meta:9083",
        "name": "Sales.Orders",
        "facets": {"schema": {"fields": [{"name": "ID"}, {"name": "at", "type": "timestamp"}]}},
    },
    {"namespace": "mysql://my:3306", "name": "crm.people"},
    {"namespace": "sqlite:///data/shop.db", "name": "orders", "facets": {"datasetType": {"datasetType": "TABLE"}}},
    {
        "namespace": "kafka://k1:9092",
        "name": "Clicks",
        "facets": {"schema": {"fields": [{"name": "at", "type": "long"}]}},
    },
    {"namespace": "trino://t:8080", "name": "c.s.t"},
    {"namespace": "awsathena://athena.eu-west-1.amazonaws.com", "name": "c.s.t"},
    {"namespace": "unitycatalog://u", "name": "c.s.t"},
    {"namespace": "bigtable://p:i", "name": "t"},
    {"namespace": "milvus://m:19530", "name": "d.c"},
    {"namespace": "gs://bucket", "name": "raw/d"},
    {"namespace": "pubsub", "name": "topic:p:t"},
    {"namespace": "pubsub", "name": "subscription:p:s"},
    {"namespace": "box://x", "name": "other", "facets": {"schema": {"fields": [{"name": "a"}]}}},
    {
        "namespace": "bigquery",
        "name": "proj.set.t",
        "facets": {
            "schema": {
                "fields": [
                    {
                        "name": "who",
                        "type": "RECORD",
                        "fields": [{"name": "mail", "type": "STRING", "description": "e-mail"}],
                    }
                ]
            },
            "documentation": {"description": "All of it"},
            "ownership": {"owners": [{"name": "ann"}]},
            "dataSource": {"name": "bq", "uri": "bigquery://proj"},
            "datasetType": {"datasetType": "VIEW"},
        },
    },
]

JOB = {
    "sql": {"query": "SELECT 1"},
    "jobType": {"processingType": "BATCH", "integration": "SPARK", "jobType": "SQL"},
    "sourceCodeLocation": {
        "type": "git",
        "url": "https://example.org/x/a.py",
        "repoUrl": "https://example.org/x",
        "version": "abc",
    },
    "documentation": {"description": "Loads"},
    "ownership": {"owners": [{"name": "team"}]},
}
RUN = {
    "parent": {"run": {"runId": run_id("parent")}, "job": {"namespace": "air", "name": "shop"}},
    "nominalTime": {"nominalStartTime": at(0), "nominalEndTime": at(60)},
}

SPARK = {
    "eventTime": at(20),
    "eventType": "COMPLETE",
    "run": {"runId": run_id("spark"), "facets": RUN},
    "job": {"namespace": "spark", "name": "app.insert", "facets": JOB},
    "inputs": [table("orders")],
    "outputs": [table("features", "id", rows=3, version="v2")],
}

ORDERS = {"namespace": "postgres://db:5432", "name": "shop.public.orders"}
COLUMNS = {
    "eventTime": at(20),
    "eventType": "COMPLETE",
    "run": {"runId": run_id("columns")},
    "job": {"namespace": "spark", "name": "app.ctas"},
    "inputs": [table("orders", "id", "mail", "total"), table("people", "id")],
    "outputs": [
        {
            "namespace": "s3://lake",
            "name": "warehouse/t1",
            "facets": {
                "symlinks": {"identifiers": [{"namespace": "hive://m:9083", "name": "default.t1", "type": "TABLE"}]},
                "schema": {"fields": [{"name": "Id", "type": "int"}, {"name": "hash", "type": "string"}]},
                "lifecycleStateChange": {"lifecycleStateChange": "CREATE"},
                "storage": {"storageLayer": "hive", "fileFormat": "parquet"},
                "columnLineage": {
                    "fields": {
                        "id": {
                            "inputFields": [
                                {
                                    **ORDERS,
                                    "field": "id",
                                    "transformations": [{"type": "DIRECT", "subtype": "IDENTITY", "masking": False}],
                                },
                                {
                                    **ORDERS,
                                    "field": "total",
                                    "transformations": [{"type": "INDIRECT", "subtype": "FILTER"}],
                                },
                            ]
                        },
                        "hash": {
                            "inputFields": [
                                {
                                    **ORDERS,
                                    "field": "mail",
                                    "transformations": [
                                        {
                                            "type": "DIRECT",
                                            "subtype": "TRANSFORMATION",
                                            "description": "sha2(mail)",
                                            "masking": True,
                                        }
                                    ],
                                }
                            ]
                        },
                    }
                },
            },
        }
    ],
}

FACTS = {
    "eventTime": at(20),
    "eventType": "COMPLETE",
    "run": {
        "runId": run_id("facts"),
        "facets": {
            "parent": {
                "run": {"runId": run_id("app")},
                "job": {"namespace": "spark", "name": "app"},
                "root": {"run": {"runId": run_id("dag")}, "job": {"namespace": "air", "name": "shop"}},
            },
            "processing_engine": {"name": "spark", "version": "3.5.3", "openlineageAdapterVersion": "1.40.0"},
            "externalQuery": {"externalQueryId": "q1", "source": "postgres://db:5432"},
            "extractionError": {
                "totalTasks": 2,
                "failedTasks": 1,
                "errors": [{"errorMessage": "cannot parse", "task": "SELECT", "taskNumber": 1, "stackTrace": "long"}],
            },
            "test": {"tests": [{"name": "not_null", "status": "pass"}, {"name": "unique", "status": "fail"}]},
            "jobDependencies": {
                "upstream": [{"job": {"namespace": "air", "name": "before"}}],
                "trigger_rule": "all_done",
            },
            "spark_applicationDetails": {"master": "local[2]", "applicationId": "local-1"},
            "executionParameters": {"parameters": [{"key": "k1", "name": "limit", "value": "10"}]},
            "tags": {"tags": [{"key": "nightly", "value": "true"}, {"key": "cost", "value": "low"}]},
        },
    },
    "job": {
        "namespace": "spark",
        "name": "app.facts",
        "facets": {
            "sourceCode": {"language": "python", "sourceCode": "1 + 1"},
            "jobType": {"processingType": "BATCH", "integration": "SPARK", "jobType": "SQL_JOB"},
        },
    },
    "inputs": [
        {
            **table("orders", "id"),
            "facets": {
                "tags": {"tags": [{"key": "pii", "value": "yes", "field": "id"}, {"key": "zone", "value": "a b"}]},
                "dataQualityAssertions": {
                    "assertions": [
                        {"assertion": "not_null", "success": True, "column": "id"},
                        {"assertion": "unique", "success": False, "column": "id", "severity": "error"},
                    ]
                },
                "schema": {"fields": [{"name": "id", "type": "int"}]},
            },
            "inputFacets": {
                "dataQualityMetrics": {"rowCount": 5, "bytes": 50, "columnMetrics": {"id": {"nullCount": 0}}},
                "subset": {"inputCondition": {"type": "location", "locations": ["a"]}},
                "icebergScanReport": {"snapshotId": 7, "tableName": "orders"},
            },
        }
    ],
    "outputs": [
        {"namespace": "s3://lake", "name": "t/dt=2026-01-31/a.parquet"},
        {"namespace": "s3://lake", "name": "t/dt=2026-02-01"},
    ],
}

STREAM = {
    "eventTime": at(30),
    "eventType": "RUNNING",
    "run": {"runId": run_id("stream")},
    "job": {
        "namespace": "flink",
        "name": "clicks",
        "facets": {"jobType": {"processingType": "STREAMING", "integration": "FLINK"}},
    },
    "inputs": [{"namespace": "kafka://k:9092", "name": "clicks"}],
    "outputs": [table("clicks")],
}

DAG_RUN = {
    "eventTime": at(50),
    "eventType": "COMPLETE",
    "run": {
        "runId": run_id("dag"),
        "facets": {
            "mlgov_airflow": {
                "dagId": "shop",
                "runId": "r1",
                "state": "success",
                "startTime": at(0),
                "endTime": at(50),
                "runType": "manual",
                "logicalDate": at(0),
                "dagVersion": "v3",
                "dagDescription": "The shop",
                "dagTags": ["a"],
                "schedule": "@daily",
                "fileLocation": "shop.py",
                "owner": "ann",
                "namespace": "air",
            }
        },
    },
    "job": {"namespace": "air", "name": "shop"},
}

CASES = {
    "started": [task_event("START", second=1, inputs=[table("orders", "id")], taskGroup="g")],
    "ordinary": [
        task_event(
            inputs=[table("orders", "id", rows=5)],
            outputs=[table("features", "id", rows=3, version="v2")],
            job=JOB,
            facets=RUN,
        )
    ],
    "failed": [
        task_event(
            "FAIL",
            state="up_for_retry",
            inputs=[table("orders")],
            outputs=[BUILD],
            facets={"errorMessage": {"message": "it broke"}},
        )
    ],
    "training": [task_event(inputs=[table("features", "id")], outputs=[BUILD])],
    "derived": [task_event(inputs=[table("features"), BUILD], outputs=[OTHER])],
    "evaluating": [task_event(inputs=[BUILD, table("holdout")], outputs=[EVALUATION])],
    "deploying": [task_event(inputs=[BUILD], outputs=[DEPLOYMENT])],
    "scoring": [task_event(inputs=[DEPLOYMENT, table("customers")], outputs=[table("scores", rows=9)])],
    "registering": [
        task_event(
            inputs=[BUILD],
            outputs=[{**BUILD.to_dataset(), "facets": {"mlgov_ml": {"registered": True, "aliases": ["champion"]}}}],
        )
    ],
    "dag_run": [DAG_RUN],
    "job_run": [SPARK],
    "job": [{"eventTime": at(1), "job": SPARK["job"], "inputs": [table("orders")], "outputs": [table("features")]}],
    "dataset": [{"eventTime": at(1), "dataset": DATASETS[-1]}],
    "columns": [COLUMNS],
    "facts": [FACTS],
    "streaming": [STREAM],
    "families": [task_event(inputs=DATASETS)],
}


def check(name: str, found: object) -> None:
    path = GOLDEN / f"{name}.json"
    text = json.dumps(found, indent=1, ensure_ascii=False) + "\n"
    if os.environ.get("MLGOV_UPDATE_GOLDEN"):
        path.write_text(text)
    assert json.loads(path.read_text()) == json.loads(text), (
        f"{path.name} differs; MLGOV_UPDATE_GOLDEN=1 writes it anew"
    )


@pytest.mark.parametrize("case", CASES)
def test_golden(case):
    check(case, as_json(translated(*CASES[case])))


@pytest.mark.parametrize("recorded", sorted(RECORDED.glob("*.ndjson")), ids=lambda path: path.stem)
def test_recorded_events(recorded):
    states: dict = {}
    for line in recorded.read_text().splitlines():
        event = read_event(json.loads(line))
        states[run_key(event)] = unite(states.get(run_key(event)), event)
    check(f"recorded-{recorded.stem}", [as_json(translate(states[key], TranslateOptions())) for key in sorted(states)])


def test_every_type_of_ours_is_in_a_golden_file():
    seen = {
        entity["typeName"] for case in CASES for entity in json.loads((GOLDEN / f"{case}.json").read_text())["entities"]
    }
    assert {item["name"] for item in our_types()["entityDefs"]} <= seen | {"ml_project"}


def test_every_attribute_is_one_of_its_type():
    types = {item["name"]: item for item in our_types()["entityDefs"]}
    common = {"name", "description", "owner"}
    of_atlas = {
        "mlgov_model_build": {"version", "createTime", "imageTag", "imageHash"},
        "mlgov_model_deployment": {"createTime", "deployedTime", "status", "cpuMillicores", "modelEndpointURL"},
        "mlgov_train_process": {"userName"},
        "mlgov_deploy_process": {"userName"},
    }
    for case, events in CASES.items():
        for entity in translated(*events).entities:
            own, name = set(), entity.type_name
            while name in types:
                own |= {attribute["name"] for attribute in types[name]["attributeDefs"]}
                name = types[name]["superTypes"][0]
            if own:
                said = {*entity.attributes, *entity.create_only, *entity.latest}
                assert said <= own | common | of_atlas.get(entity.type_name, set()), (case, entity.type_name)
                assert not entity.latest or "factsTime" in own
