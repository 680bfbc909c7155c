"""Records what OpenLineage's action of Great Expectations sends: checkpoints of a file, and of tables of SQLite and PostgreSQL.

    python3 tests/translate/events/record_great_expectations.py tests/translate/events/great_expectations.ndjson \
        --python python3.10 --postgresql postgresql://ann:secret@localhost:5432/shop

Needs a Python 3.10 and an empty database of PostgreSQL. Great Expectations is kept in .cache/recording, which may be removed.
Paths of the recording machine are replaced, and localhost by another name; nothing else is.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from recording import ROOT, command_line, save

PACKAGES = (
    "great-expectations==0.15.34",
    "openlineage-integration-common==1.39.0",
    "openlineage-sql==1.39.0",
    "sqlalchemy==1.4.54",
    "pandas==1.5.3",
    "numpy==1.26.4",
    "jinja2==3.0.3",
    "marshmallow==3.19.0",
    "psycopg2-binary==2.9.13",
)
"""Later actions of OpenLineage's want Great Expectations 1, whose checkpoints fail with them."""


def main() -> None:
    """Run the command line."""
    parser = command_line(__doc__, sends=False)
    parser.add_argument("--python", default="python3.10")
    parser.add_argument("--postgresql", required=True, help="URL of an empty database")
    arguments = parser.parse_args()
    python = prepare(arguments.cache.absolute(), arguments.python)
    with tempfile.TemporaryDirectory(prefix="gx-") as folder:
        work = Path(folder)
        transport = f'{{"type": "file", "log_file_path": "{work}/events.ndjson", "append": true}}'
        environment = {
            **os.environ,
            "OPENLINEAGE__TRANSPORT": transport,
            "WORK": str(work),
            "POSTGRESQL": arguments.postgresql,
            "GE_USAGE_STATS": "false",
        }
        subprocess.run([python, __file__, "--application"], check=True, cwd=work, env=environment)
        text = (work / "events.ndjson").read_text(encoding="utf-8")
        save(arguments.output, text, ((str(work), "/data"), (str(ROOT), "/project"), ("localhost", "db.example.org")))


def prepare(cache: Path, python: str) -> Path:
    """An environment with Great Expectations; made once."""
    home = cache / "great_expectations"
    if not (home / "bin" / "great_expectations").exists():
        subprocess.run([python, "-m", "venv", home], check=True)
        for packages in (("--upgrade", "pip"), PACKAGES):
            subprocess.run([home / "bin" / "python", "-m", "pip", "install", "--quiet", *packages], check=True)
    return home / "bin" / "python"


def application() -> None:
    """What is recorded: each checkpoint validates one batch by one suite, and sends one event."""
    import pandas
    import sqlalchemy
    from great_expectations.core import ExpectationConfiguration
    from great_expectations.core.batch import BatchRequest, RuntimeBatchRequest
    from great_expectations.data_context import BaseDataContext
    from great_expectations.data_context.types.base import DataContextConfig, InMemoryStoreBackendDefaults

    work, postgresql = os.environ["WORK"], os.environ["POSTGRESQL"]
    sqlite = f"sqlite:///{work}/shop.db"
    with_driver = postgresql.replace("postgresql:", "postgresql+psycopg2:", 1)
    orders = pandas.DataFrame(
        {"id": [1, 2, 3, 4], "mail": ["a@x.org", "b@x.org", None, "b@x.org"], "total": [10.5, 20.0, 30.0, -1.0]}
    )
    people = pandas.DataFrame({"mail": ["a@x.org", "b@x.org"], "city": ["Rome", "Oslo"]})
    orders.to_csv(f"{work}/orders.csv", index=False)
    for url in (sqlite, postgresql):
        engine = sqlalchemy.create_engine(url)
        orders.to_sql("orders", engine, index=False)
        people.to_sql("people", engine, index=False)

    action = {
        "class_name": "OpenLineageValidationAction",
        "module_name": "openlineage.common.provider.great_expectations",
        "openlineage_namespace": "checks",
    }
    of_file = {**action, "job_name": "orders_file"}
    context = BaseDataContext(
        DataContextConfig(
            store_backend_defaults=InMemoryStoreBackendDefaults(),
            anonymous_usage_statistics={"enabled": False},
            validation_operators={
                "of_files": {
                    "class_name": "ActionListValidationOperator",
                    "action_list": [{"name": "openlineage", "action": of_file}],
                }
            },
        )
    )
    context.add_datasource("read", class_name="PandasDatasource")  # the newer form of a path is too much for the action
    runtime = {"class_name": "RuntimeDataConnector", "batch_identifiers": ["batch"]}
    context.add_datasource(
        "files",
        class_name="Datasource",
        execution_engine={"class_name": "PandasExecutionEngine"},
        data_connectors={
            "runtime": runtime,
            "folder": {
                "class_name": "InferredAssetFilesystemDataConnector",
                "base_directory": work,
                "default_regex": {"pattern": r"(.*)\.csv", "group_names": ["data_asset_name"]},
            },
        },
    )
    for name, url in (("sqlite", sqlite), ("postgresql", postgresql), ("with_driver", with_driver)):
        context.add_datasource(
            name,
            class_name="Datasource",
            execution_engine={"class_name": "SqlAlchemyExecutionEngine", "connection_string": url},
            data_connectors={
                "runtime": runtime,
                "tables": {
                    "class_name": "InferredAssetSqlDataConnector",
                    "include_schema_name": name != "sqlite",
                },
            },
        )

    def suite(name: str, *expectations: tuple[str, dict[str, object]]) -> None:
        made = context.create_expectation_suite(name)
        for kind, words in expectations:
            made.add_expectation(ExpectationConfiguration(expectation_type=kind, kwargs=words))
        context.save_expectation_suite(made, name)

    suite(
        "orders_suite",
        ("expect_table_row_count_to_be_between", {"min_value": 1, "max_value": 1000}),
        ("expect_table_columns_to_match_ordered_list", {"column_list": ["id", "mail", "total"]}),
        ("expect_column_values_to_not_be_null", {"column": "id"}),
        ("expect_column_values_to_not_be_null", {"column": "mail"}),
        ("expect_column_values_to_be_unique", {"column": "id"}),
        ("expect_column_unique_value_count_to_be_between", {"column": "mail", "min_value": 1}),
        ("expect_column_min_to_be_between", {"column": "total", "min_value": 0}),
        ("expect_column_max_to_be_between", {"column": "total", "max_value": 100}),
        ("expect_column_sum_to_be_between", {"column": "total", "min_value": 1, "max_value": 1000}),
        (
            "expect_column_quantile_values_to_be_between",
            {"column": "total", "quantile_ranges": {"quantiles": [0.25, 0.75], "value_ranges": [[0, 20], [10, 40]]}},
        ),
    )
    suite("keys_suite", ("expect_column_values_to_be_unique", {"column": "id"}))
    batch = context.get_batch({"datasource": "read", "path": f"{work}/orders.csv"}, "orders_suite")
    found = context.run_validation_operator("of_files", [batch], run_name="run")
    sys.stdout.write(f"orders_file: {found.success}\n")
    joined = "SELECT o.id, o.total, p.city FROM orders o JOIN people p ON o.mail = p.mail"
    frame = {"runtime_parameters": {"batch_data": orders}, "batch_identifiers": {"batch": "one"}}
    query = {"runtime_parameters": {"query": joined}, "batch_identifiers": {"batch": "two"}}
    for number, (name, request, words) in enumerate(
        (
            ("keys_suite", RuntimeBatchRequest("files", "runtime", "orders", **frame), {"job_name": "orders_frame"}),
            ("keys_suite", BatchRequest("files", "folder", "orders"), {"job_name": "orders_folder"}),
            ("orders_suite", BatchRequest("sqlite", "tables", "orders"), {}),
            (
                "orders_suite",
                BatchRequest("postgresql", "tables", "public.orders"),
                {
                    "job_name": "orders_table",
                    "job_description": "Orders are as they should be",
                    "code_location": "https://example.org/shop/checks.py",
                    "openlineage_parent_run_id": "01900000-0000-7000-8000-000000000003",
                    "openlineage_parent_job_namespace": "air",
                    "openlineage_parent_job_name": "shop.check",
                },
            ),
            ("keys_suite", BatchRequest("with_driver", "tables", "public.orders"), {"job_name": "orders_driver"}),
            (
                "keys_suite",
                RuntimeBatchRequest("postgresql", "runtime", "joined", **query),
                {"job_name": "orders_joined"},
            ),
        )
    ):
        context.add_checkpoint(
            f"check{number}",
            config_version=1,
            class_name="Checkpoint",
            action_list=[{"name": "openlineage", "action": {**action, **words}}],
        )
        validation = {"batch_request": request, "expectation_suite_name": name}
        result = context.get_checkpoint(f"check{number}").run(run_name=f"run{number}", validations=[validation])
        sys.stdout.write(f"{words.get('job_name')}: {result.success}\n")


if __name__ == "__main__":
    if "--application" in sys.argv:
        application()
    else:
        main()
