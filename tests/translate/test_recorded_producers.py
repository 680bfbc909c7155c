"""What real producers sent (``events/*.ndjson``): nothing of it is refused, and what they did is in the entities."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

import pytest

from airflow_provider_mlgov.delivery.clean import clean
from airflow_provider_mlgov.model.entity import Translation
from airflow_provider_mlgov.translate.events import run_key, unite
from airflow_provider_mlgov.translate.reading import read_event
from airflow_provider_mlgov.translate.translation import translate
from translate_events import OPTIONS, by_type, edges, names

EVENTS = Path(__file__).parent / "events"
RECORDED = sorted(EVENTS.glob("*.ndjson"))
NO_NAMESPACE = "is left out: namespace of a dataset is ''"
"""What Flink's SQL calls a table of files, which means nothing outside its session."""


def runs(path: Path) -> dict[str, Translation]:
    states: dict = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        event = clean(read_event(json.loads(line)))
        states[run_key(event)] = unite(states.get(run_key(event)), event)
    return {key: translate(state, OPTIONS) for key, state in states.items()}


def all_edges(translations: Iterable[Translation]) -> set[tuple[str, tuple[str, ...], tuple[str, ...]]]:
    return {(kind, tuple(inputs), tuple(outputs)) for each in translations for kind, inputs, outputs in edges(each)}


@pytest.mark.parametrize("path", RECORDED, ids=lambda path: path.stem)
def test_nothing_is_refused_or_left_out(path):
    for key, translation in runs(path).items():
        assert [text for text in translation.warnings if not (path.stem == "flink" and NO_NAMESPACE in text)] == [], key
        refs = {entity.ref for entity in translation.entities}
        for entity in translation.entities:
            for value in entity.relations.values():
                for ref in value if isinstance(value, tuple) else (value,):
                    assert type(ref)(ref.type_name, ref.qualified_name) in refs


@pytest.mark.parametrize("path", RECORDED, ids=lambda path: path.stem)
def test_no_machine_is_in_the_files(path):
    text = path.read_text(encoding="utf-8")
    for place in (Path(__file__).resolve().parents[2], Path.home()):
        assert str(place) not in text


def test_spark():
    found = runs(EVENTS / "spark.ndjson")
    made = all_edges(found.values())
    lake, house = "file:///data/lake", "file:///data/warehouse"
    assert ("mlgov_job_process", (f"{house}/orders", f"{house}/people"), (f"{house}/totals",)) in made
    assert ("mlgov_job_process", (f"{house}/orders",), (f"{house}/days",)) in made
    assert ("mlgov_job_process", (f"{lake}/by_day",), (f"{lake}/one_day",)) in made
    assert ("mlgov_job_process", ("sqlite:///data/shop.db/main.orders",), (f"{lake}/from_jdbc",)) in made
    assert not [edge for edge in made if f"{lake}/broken" in edge[2]], "its write failed"


def test_the_nested_executions_of_spark_are_one_process():
    found = [entity for each in runs(EVENTS / "spark.ndjson").values() for entity in by_type(each, "mlgov_job_process")]
    for output in ("people", "orders", "totals"):
        of_output = [
            entity
            for entity in found
            if names(entity.relations.get("outputs", ())) == [f"file:///data/warehouse/{output}"]
            and "inputs" in entity.relations
        ]
        assert len(of_output) == 2
        assert len({entity.qualified_name for entity in of_output}) == 1
        assert of_output[0].attributes["jobName"] == "shop"


def test_columns_that_spark_masks():
    found = runs(EVENTS / "spark.ndjson").values()
    columns = {
        names(item.relations["outputs"])[0]: item for each in found for item in by_type(each, "mlgov_column_lineage")
    }
    who = columns["file:///data/warehouse/totals#who"]
    assert names(who.relations["inputs"]) == ["file:///data/warehouse/orders#mail"]
    assert who.latest["masking"] is True
    city = columns["file:///data/warehouse/totals#city"]
    assert names(city.relations["inputs"]) == ["file:///data/warehouse/people#city"]
    assert city.latest["masking"] is False


def test_what_spark_dropped_and_renamed():
    changes = {change for each in runs(EVENTS / "spark.ndjson").values() for change in each.changes}
    told = {
        (change.kind, change.ref.qualified_name, change.to.qualified_name if change.to else None) for change in changes
    }
    house = "file:///data/warehouse"
    assert told == {
        ("drop", f"{house}/people@air", None),
        ("rename", f"{house}/totals@air", f"{house}/city_totals@air"),
    }


def test_the_runs_of_spark_hang_on_the_task_that_submitted_it():
    found = [run for each in runs(EVENTS / "spark.ndjson").values() for run in by_type(each, "mlgov_job_run")]
    (application,) = [run for run in found if run.attributes["jobName"] == "shop"]
    assert application.attributes["parentRunId"] == "01900000-0000-7000-8000-000000000001"
    for run in found:
        assert run.attributes["rootRunId"] == "01900000-0000-7000-8000-0000000000aa"
        if run is not application:
            assert run.attributes["parentKey"] == application.attributes["runToken"]


def test_dbt():
    found = runs(EVENTS / "dbt.ndjson")
    shop = "duckdb://shop.duckdb/shop.main"
    assert all_edges(found.values()) == {
        ("mlgov_job_process", (), (f"{shop}.orders",)),
        ("mlgov_job_process", (f"{shop}.orders",), (f"{shop}.totals",)),
        ("mlgov_job_process", (f"{shop}.totals",), (f"{shop}.big",)),
    }


def test_what_dbt_tested():
    (quality,) = [
        item for each in runs(EVENTS / "dbt.ndjson").values() for item in by_type(each, "mlgov_quality_result")
    ]
    assert [quality.described[name][1] for name in ("passed", "failed")] == [2, 1]
    assert quality.attributes["datasetName"] == "duckdb://shop.duckdb/shop.main.orders@air"


TRINO = "trino://trino.example.org:8080"


def test_trino():
    made = all_edges(runs(EVENTS / "trino.ndjson").values())
    short = {tuple(tuple(name.removeprefix(f"{TRINO}/") for name in names) for names in edge[1:]) for edge in made}
    assert short == {
        (("sample.tiny.orders",), ("lake.shop.orders",)),
        (("sample.tiny.customer", "sample.tiny.nation"), ("house.shop.customers",)),
        ((), ("lake.shop.totals",)),
        (("house.shop.customers", "lake.shop.orders"), ("lake.shop.totals",)),
        (("house.shop.customers",), ("lake.shop.totals",)),
        (("lake.shop.totals",), ("lake.shop.big",)),
        (("lake.shop.big", "lake.shop.totals"), ("lake.shop.top",)),  # of a view Trino names what is below it, too
        ((), ("house.shop.customers",)),
        (("lake.shop.totals",), ("lake.shop.totals",)),
        (("lake.shop.orders",), ("lake.shop.orders",)),
        (("house.shop.customers", "lake.shop.totals"), ("lake.shop.totals",)),
    }, "and nothing of what failed"


def test_columns_of_trino():
    found = list(runs(EVENTS / "trino.ndjson").values())
    told = {
        (item.qualified_name, item.described["position"][1])
        for each in found
        for item in by_type(each, "mlgov_column")
        if "position" in item.described and "/lake.shop.totals/" in item.qualified_name
    }
    place = f"{TRINO}/lake.shop.totals/columns"
    assert told == {(f"{place}/nation@plat", 1), (f"{place}/total@plat", 2), (f"{place}/orders@plat", 3)}, (
        "an UPDATE, a MERGE and an INSERT of some columns say nothing of where they stand"
    )
    pairs = {
        (names(item.relations["outputs"])[0], *names(item.relations["inputs"]))
        for each in found
        for item in by_type(each, "mlgov_column_lineage")
    }
    assert (f"{place}/total", f"{TRINO}/lake.shop.orders/columns/totalprice") in pairs
    assert (f"{TRINO}/lake.shop.top/columns/nation", f"{TRINO}/lake.shop.big/columns/nation") in pairs
    assert not [pair for pair in pairs if "$row_id" in "".join(pair)]


def test_runs_of_trino():
    found = [run for each in runs(EVENTS / "trino.ndjson").values() for run in by_type(each, "mlgov_job_run")]
    states = [run.latest["state"] for run in found]
    assert (states.count("success"), states.count("failed")) == (15, 2)
    assert {run.attributes.get("errorMessage") for run in found if run.latest["state"] == "failed"} == {
        "Division by zero",
        "line 1:47: Table 'lake.shop.missing' does not exist",
    }
    assert {(run.attributes["engine"], run.attributes["engineVersion"]) for run in found} == {("trino", "476")}


def test_great_expectations():
    found = runs(EVENTS / "great_expectations.ndjson")
    orders, people = "db.example.org:5432/shop.public.orders", "db.example.org:5432/shop.public.people"
    assert all_edges(found.values()) == {
        ("mlgov_job_process", ("file:///data/orders.csv",), ()),
        ("mlgov_job_process", ("sqlite/main.orders",), ()),
        ("mlgov_job_process", (orders,), ()),
        ("mlgov_job_process", (orders, people), ()),
    }, "by any of its names: with a schema or without, with SQLAlchemy's driver or without"
    checked = [run for each in found.values() for run in by_type(each, "mlgov_job_run")]
    parents = {run.attributes["jobName"]: run.attributes.get("parentRunId") for run in checked}
    assert parents["orders_table"] == "01900000-0000-7000-8000-000000000003"
    assert {run.latest["state"] for run in checked} == {"success"}, "what did not pass is no failure of the run"


def test_what_great_expectations_tested():
    counts = {
        (run.attributes["jobName"].partition(".")[0], quality.attributes["datasetName"].partition("@")[0]): tuple(
            quality.described.get(name, (0, None))[1] for name in ("passed", "failed", "rowCount")
        )
        for each in runs(EVENTS / "great_expectations.ndjson").values()
        for run in by_type(each, "mlgov_job_run")
        for quality in by_type(each, "mlgov_quality_result")
    }
    orders, people = "db.example.org:5432/shop.public.orders", "db.example.org:5432/shop.public.people"
    assert counts == {
        ("orders_file", "file:///data/orders.csv"): (8, 2, 4),
        ("orders_suite", "sqlite/main.orders"): (7, 2, 4),  # it does not say how the test of quantiles ended
        ("orders_table", orders): (7, 2, 4),
        ("orders_driver", orders): (1, 0, None),
        ("orders_joined", orders): (1, 0, None),
        ("orders_joined", people): (1, 0, None),
    }


def flink() -> dict[str, Translation]:
    """By the job: each has one run."""
    found = {
        run.attributes["jobName"]: each
        for each in runs(EVENTS / "flink.ndjson").values()
        for run in by_type(each, "mlgov_job_run")
    }
    assert len(found) == 18
    return found


def test_flink():
    shop = "db:5432/shop.public"
    read_and_written = {name: [edge[1:] for edge in edges(each)] for name, each in flink().items()}
    assert read_and_written == {
        "totals": [],
        "load": [([], ["io.clicks"])],
        "store": [(["io.clicks"], [f"{shop}.orders"])],
        "unload": [([f"{shop}.orders"], [])],
        "both": [(["io.clicks"], ["io.pages", f"{shop}.orders"])],
        "look up": [(["io.clicks"], ["io.found"])],
        "made up": [],
        "catalogue": [([f"{shop}.orders"], [f"{shop}.copies"])],
        "broken": [],
        "cancelled": [(["io.clicks"], ["io.pages"])],
        "lines": [],
        "copy": [(["io.clicks"], ["io.copies"])],
        "merge": [(["io.clicks", "io.copies"], ["io.merged"])],
        "mails": [([], ["io.mails"])],
        "thrown": [(["io.clicks", "io.copies"], ["io.thrown"])],
        "stopped": [(["io.clicks"], ["io.stopped"])],
        "batch alone": [],
        "stream alone": [(["io.clicks"], ["io.alone"])],
    }


def test_what_flink_says_of_its_runs():
    found = {name: by_type(each, "mlgov_job_run")[0] for name, each in flink().items()}
    states = {name: run.latest.get("state") for name, run in found.items()}
    assert {name: state for name, state in states.items() if state != "success"} == {
        "broken": "failed",
        "cancelled": "aborted",
        "thrown": "failed",
        "batch alone": None,
        "stream alone": None,
    }
    for run in found.values():
        assert (run.attributes["engine"], run.attributes["engineVersion"]) == ("flink", "2.2.0")
        assert "flink_job.jobId" in {fact["name"] for fact in json.loads(run.attributes["facts"])}


def test_columns_of_what_flink_reads_and_writes():
    found = flink()
    assert names(entity.ref for entity in by_type(found["store"], "rdbms_column")) == [
        f"db:5432/shop.public.orders.{name}" for name in ("id", "mail", "total")
    ]
    assert names(entity.ref for entity in by_type(found["merge"], "mlgov_field")) == [
        f"io.{topic}#{name}" for topic in ("clicks", "copies") for name in ("id", "mail", "total")
    ]


def test_what_flink_has_no_namespace_for_is_left_out_by_its_name():
    assert [text.split("'")[1] for text in flink()["totals"].warnings] == [
        f"default_catalog.default_database.{name}" for name in ("orders", "people", "totals")
    ]


def test_what_is_written_by_hand_for_hive():
    found = runs(EVENTS / "written.ndjson").values()
    assert all_edges(found) == {
        ("mlgov_job_process", ("shop.orders",), ("shop.daily",)),
    }
    columns = {
        names(item.relations["outputs"])[0]: item for each in found for item in by_type(each, "mlgov_column_lineage")
    }
    assert columns["shop.daily.total"].latest["dependencyType"] == "AGGREGATION"
    assert set(columns) == {"shop.daily.day", "shop.daily.total"}
