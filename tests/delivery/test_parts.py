"""What is in a dataset, and what only has a name that begins alike."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from airflow_provider_mlgov.delivery.parts import is_part
from airflow_provider_mlgov.delivery.state import SenderState
from airflow_provider_mlgov.model.entity import Ref
from tests.delivery.test_any_order import catalogued
from tests.delivery.test_any_portion import data, event
from tests.delivery.test_quality import dropped, renamed

ORDERS = Ref("hdfs_path", "hdfs://nn/w/orders@p")


@pytest.mark.parametrize(
    ("type_name", "name", "whole", "wanted"),
    [
        ("hdfs_path", "hdfs://nn/w/orders@p", ORDERS, True),
        ("hdfs_path", "hdfs://nn/w/orders/1@p", ORDERS, True),
        ("hdfs_path", "hdfs://nn/w/orders.csv@p", ORDERS, False),
        ("hdfs_path", "hdfs://nn/w/orders@v1@p", ORDERS, False),
        ("hdfs_path", "hdfs://nn/w/orders#1@p", ORDERS, False),
        ("hdfs_path", "hdfs://nn/w/orders2/1@p", ORDERS, False),
        ("mlgov_field", "hdfs://nn/w/orders#id@p", ORDERS, True),
        ("mlgov_field", "hdfs://nn/w/orders/1#id@p", ORDERS, True),
        ("mlgov_field", "hdfs://nn/w/orders.csv#id@p", ORDERS, False),
        ("mlgov_field", "hdfs://nn/w/orders#1#id@p", ORDERS, False),
        ("aws_s3_v2_directory", "s3a://b/in/a/@p", Ref("aws_s3_v2_directory", "s3a://b/in/@p"), True),
        ("aws_s3_v2_directory", "s3a://b/in.d/a/@p", Ref("aws_s3_v2_directory", "s3a://b/in/@p"), False),
        ("mlgov_field", "s3a://b/in/#id@p", Ref("aws_s3_v2_directory", "s3a://b/in/@p"), True),
        ("rdbms_column", "h:1/d.s.t.a.b@p", Ref("rdbms_table", "h:1/d.s.t@p"), True),
        ("rdbms_table", "h:1/d.t.x@p", Ref("rdbms_table", "h:1/d.t@p"), False),
        ("rdbms_column", "d.t.c", Ref("rdbms_table", "d.t"), True),
        ("hive_table", "d.orders@prod2", Ref("hive_table", "d.orders@prod"), False),
        ("hive_column", "d.orders.id@prod2", Ref("hive_table", "d.orders@prod"), False),
        ("kafka_topic", "d.orders@p", Ref("hive_table", "d.orders@p"), False),
        ("kafka_topic", "a.b@p", Ref("kafka_topic", "a@p"), False),
        ("mlgov_column", "redis:%2F%2Fx/a.b/columns/c@p", Ref("mlgov_dataset", "redis:%2F%2Fx/a@p"), False),
        ("mlgov_column", "redis:%2F%2Fx/a/columns/c@p", Ref("mlgov_dataset", "redis:%2F%2Fx/a@p"), True),
    ],
)
def test_what_is_a_part(type_name: str, name: str, whole: Ref, wanted: bool) -> None:
    assert is_part(Ref(type_name, name), whole) is wanted


@pytest.mark.parametrize("again", [False, True], ids=["late", "again"])
@pytest.mark.parametrize("mark", [".csv", "@v1"])
@pytest.mark.parametrize("fs", ["hdfs://nn:8020", "abfss://c@acc.dfs.core.windows.net", "file://host"])
def test_a_file_beside_a_directory_that_gets_another_name_stays(
    fs: str, mark: str, again: bool, tmp_path: Path
) -> None:
    fields = {"schema": {"fields": [{"name": "i", "type": "int"}]}}
    wrote = [
        event(number, number, [data("a")], [data(f"/w/{name}", fs, **fields)], job=name)
        for number, name in enumerate((f"orders2{mark}", f"orders{mark}", "orders"))
    ]
    told = [*wrote, dropped(4, f"/w/orders{mark}", fs), renamed(5, "/w/orders", "/w/orders2", fs)]
    wanted = catalogued(tmp_path / "in order", [[one] for one in told])
    assert any(f"{mark[1:]}@" in key for key in wanted)
    portions = [[one] for one in (told if again else told[1:])]
    assert catalogued(tmp_path / "found", [*portions, told[:1]]) == wanted


def test_what_is_deleted_takes_along_what_is_remembered_of_its_parts_only(tmp_path: Path) -> None:
    names = [Ref(ORDERS.type_name, f"hdfs://nn/w/orders{end}@p") for end in ("", "/1", ".csv")]
    with closing(SenderState(tmp_path / "sender.db")) as state, state.transaction():
        state.remember("c", {name: {} for name in names})
        state.remember_described("c", {name: {"type": 1} for name in names})
        state.forget_deleted("c", ORDERS)
        assert state.known("c", names).keys() == state.described("c", names).keys() == {names[2]}
