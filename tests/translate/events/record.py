"""Record real OpenLineage events of a small DAG, run in this process with the provider's file transport.

Usage: ``python tests/translate/events/record.py OUTPUT.ndjson``, by the Python of the Airflow to record from. See README.md beside.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from datetime import datetime, timezone
from pathlib import Path


def main(output: str) -> None:
    home = tempfile.mkdtemp(prefix="mlgov-record-")
    log = Path(home, "events.ndjson")
    Path(home, "dags").mkdir()
    os.environ |= {
        "AIRFLOW_HOME": home,
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home}/airflow.db",
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__DAGS_FOLDER": f"{home}/dags",
        "AIRFLOW__OPENLINEAGE__TRANSPORT": json.dumps({"type": "file", "log_file_path": str(log), "append": True}),
        "AIRFLOW__OPENLINEAGE__EXECUTE_IN_THREAD": "True",
        "AIRFLOW__OPENLINEAGE__NAMESPACE": "recorded",
    }
    from airflow.utils.db import initdb

    initdb()
    dag = make_dag()
    import airflow

    if airflow.__version__.startswith("3"):
        from airflow.dag_processing.bundles.manager import DagBundlesManager
        from airflow.dag_processing.dagbag import DagBag, sync_bag_to_db
        from airflow.utils.session import create_session

        with create_session() as session:
            DagBundlesManager().sync_bundles_to_db(session=session)
        bag = DagBag(dag_folder=os.devnull, bundle_path=None, bundle_name="dags-folder")
        bag.bag_dag(dag)
        sync_bag_to_db(bag, "dags-folder", None)
    dag.test()
    end = time.monotonic() + 60
    while time.monotonic() < end:  # the event of the DAG run comes from a process of its own
        lines = log.read_text().splitlines()
        if any(json.loads(line)["job"]["name"] == "recorded" for line in lines if line.endswith("}")):
            break
        time.sleep(1)
    here = Path(__file__).resolve().parent
    text = log.read_text()
    for machine, common in ((str(here), "/opt/airflow/dags"), (home, "/opt/airflow"), (str(here.parents[2]), "/opt")):
        text = text.replace(machine, common)
    Path(output).write_text(text)


def make_dag():
    try:
        from airflow.sdk import DAG, Asset, task
    except ImportError:
        from airflow.datasets import Dataset as Asset
        from airflow.decorators import task
        from airflow.models.dag import DAG
    from airflow.exceptions import AirflowSkipException
    from airflow.providers.common.compat.openlineage.facet import Dataset, SchemaDatasetFacet, SchemaDatasetFacetFields

    schema = SchemaDatasetFacet(
        fields=[SchemaDatasetFacetFields("id", "BIGINT"), SchemaDatasetFacetFields("email", "TEXT", "e-mail")]
    )
    orders = Dataset("postgres://db:5432", "shop.public.orders", facets={"schema": schema})
    features = Dataset("postgres://db:5432", "shop.public.features", facets={"schema": schema})

    with DAG(
        "recorded",
        start_date=datetime(2026, 1, 1, tzinfo=timezone.utc),
        schedule=None,
        tags=["a", "b"],
        description="Recorded",
    ) as dag:

        @task(inlets=[orders], outlets=[features, Asset("file:///tmp/features.csv")])
        def split() -> list[int]:
            return [1, 2]

        @task(inlets=[features])
        def train(depth: int) -> None:
            assert depth

        @task
        def skipped() -> None:
            raise AirflowSkipException("not today")

        @task(inlets=[orders], outlets=[features])
        def broken() -> None:
            raise ValueError("it broke")

        train.expand(depth=split())
        skipped()
        broken()
    return dag


if __name__ == "__main__":
    main(sys.argv[1])
