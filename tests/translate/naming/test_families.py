"""Every family: OpenLineage's namespace and name to types and qualifiedNames."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_mlgov.errors import InvalidNameError
from airflow_provider_mlgov.model import identity
from airflow_provider_mlgov.model.entity import Ref
from airflow_provider_mlgov.translate.naming import FAMILIES, Field, name_entities
from translate_events import OPTIONS

QUERY = "SELECT " + "x, " * 1000

EXAMPLES = [
    # files
    ("file", "/data/a.csv", ["fs_path file:///data/a.csv@air"]),
    ("file", "/data//b/./c/", ["fs_path file:///data/b/c@air"]),
    ("file", "/", ["fs_path file:///@air"]),
    ("file", "relative/a.csv", ["fs_path file:relative/a.csv@air"]),
    ("file:/warehouse", "default.t1", ["fs_path file:///warehouse/default.t1@air"]),
    ("file://", "/data/a.csv", ["fs_path file:///data/a.csv@air"]),
    ("file://Host", "/data/a.csv", ["fs_path file://host/data/a.csv@plat"]),
    ("sftp://user@host:22", "in/a.csv", ["fs_path sftp://host:22/in/a.csv@plat"]),
    # s3
    (
        "s3://Bucket",
        "Raw/a.csv",
        [
            "aws_s3_v2_bucket s3a://bucket@plat",
            "aws_s3_v2_directory s3a://bucket/Raw/@plat",
            "aws_s3_v2_directory s3a://bucket/Raw/a.csv/@plat",
        ],
    ),
    ("s3://bucket", "/", ["aws_s3_v2_bucket s3a://bucket@plat"]),
    ("s3a://bucket", "/a/", ["aws_s3_v2_bucket s3a://bucket@plat", "aws_s3_v2_directory s3a://bucket/a/@plat"]),
    ("s3", "bucket/a", ["mlgov_dataset s3/bucket%2Fa@cat"]),
    # hdfs
    ("hdfs://nn:8020", "/Data/a/", ["hdfs_path hdfs://nn:8020/Data/a@plat"]),
    ("hdfs://nameservice", "/a", ["hdfs_path hdfs://nameservice/a@plat"]),
    # hive
    ("hive://meta:9083", "Sales.Orders", ["hive_db sales@plat", "hive_table sales.orders@plat"]),
    ("hive://meta:9083", "hive.sales.orders", ["hive_db sales@plat", "hive_table sales.orders@plat"]),
    ("hive://meta:9083", "spark.sales.orders", ["hive_db spark:sales@plat", "hive_table sales.orders@plat"]),
    ("hive://meta:9083", "orders", ["mlgov_dataset hive:%2F%2Fmeta:9083/orders@cat"]),
    # postgres
    (
        "postgres://Db:5433",
        "shop.public.orders",
        ["rdbms_instance db:5433@plat", "rdbms_db db:5433/shop@plat", "rdbms_table db:5433/shop.public.orders@plat"],
    ),
    (
        "postgresql://user:secret@db",
        "shop.public.a.b",
        ["rdbms_instance db:5432@plat", "rdbms_db db:5432/shop@plat", "rdbms_table db:5432/shop.public.a.b@plat"],
    ),
    (
        "postgres://[::1]",
        "d.s.t",
        ["rdbms_instance [::1]:5432@plat", "rdbms_db [::1]:5432/d@plat", "rdbms_table [::1]:5432/d.s.t@plat"],
    ),
    ("postgres://db:5432", "public.orders", ["mlgov_dataset postgres:%2F%2Fdb:5432/public.orders@cat"]),
    ("postgres://db:5432/shop", "a.b.c", ["mlgov_dataset postgres:%2F%2Fdb:5432%2Fshop/a.b.c@cat"]),
    ("postgres://db:port", "a.b.c", ["mlgov_dataset postgres:%2F%2Fdb:port/a.b.c@cat"]),
    # mysql
    (
        "mysql://my:3307",
        "crm.people",
        ["rdbms_instance my:3307@plat", "rdbms_db my:3307/crm@plat", "rdbms_table my:3307/crm.people@plat"],
    ),
    ("mysql://my", "people", ["mlgov_dataset mysql:%2F%2Fmy/people@cat"]),
    # sqlite
    (
        "sqlite:///data/shop.db",
        "orders",
        [
            "rdbms_instance sqlite:///data/shop.db@air",
            "rdbms_db sqlite:///data/shop.db/main@air",
            "rdbms_table sqlite:///data/shop.db/main.orders@air",
        ],
    ),
    (
        "sqlite://host/shop.db",
        "other.orders",
        [
            "rdbms_instance sqlite://host/shop.db@air",
            "rdbms_db sqlite://host/shop.db/other@air",
            "rdbms_table sqlite://host/shop.db/other.orders@air",
        ],
    ),
    ("sqlite", "orders", ["mlgov_dataset sqlite/orders@cat"]),
    # kafka
    ("kafka://k1:9092,k2:9092", "Clicks", ["kafka_topic clicks@plat"]),
    # ml
    ("mlgov://shop", "models/churn", ["ml_project ml/shop@cat", "mlgov_model ml/shop/models/churn@cat"]),
    (
        "mlgov://shop",
        "models/churn/builds/b%2F1",
        [
            "ml_project ml/shop@cat",
            "mlgov_model ml/shop/models/churn@cat",
            "mlgov_model_build ml/shop/models/churn/builds/b%2F1@cat",
        ],
    ),
    # fallback
    ("bigquery", "proj.set.t", ["mlgov_dataset bigquery/proj.set.t@cat"]),
    (" bigquery ", " t ", ["mlgov_dataset bigquery/t@cat"]),
    ("snowflake://org-acc", "DB.S.T@1", ["mlgov_dataset snowflake:%2F%2Forg-acc/DB.S.T%401@cat"]),
    ("jdbc", QUERY.strip(), [f"mlgov_dataset jdbc/{QUERY.strip()[:2000]}~{identity.token(QUERY.strip())}@cat"]),
]


@pytest.mark.parametrize(("namespace", "name", "wanted"), EXAMPLES, ids=lambda value: str(value)[:40])
def test_examples(namespace, name, wanted):
    _, entities = name_entities(namespace, name, OPTIONS)
    assert [f"{entity.type_name} {entity.qualified_name}" for entity in entities] == wanted
    for parent, child in pairwise(entities):
        if child.type_name != "mlgov_model":  # a model has no relationship to its project
            assert parent.ref in child.relations.values() or entities[0].ref in child.relations.values()


def test_every_family_has_an_example():
    scheme = {namespace.strip().partition(":")[0] for namespace, _, _ in EXAMPLES}
    assert all(scheme & set(family.schemes) for family in FAMILIES)


@pytest.mark.parametrize(
    ("namespace", "name"),
    [("", "t"), ("file", ""), ("file", " "), ("file", "/a\nb"), ("s3://b", "\x00"), ("file", "\ud800")],
)
def test_names_that_cannot_be(namespace, name):
    with pytest.raises(InvalidNameError):
        name_entities(namespace, name, OPTIONS)


@pytest.mark.parametrize(
    ("namespace", "name", "type_name", "qualified_name", "attributes"),
    [
        (
            "hive://m:1",
            "D.T",
            "hive_column",
            "d.t.id@plat",
            {"name": "id", "type": "INT", "comment": "key", "position": 1},
        ),
        (
            "postgres://h:1",
            "d.s.t",
            "rdbms_column",
            "h:1/d.s.t.Id@plat",
            {"name": "Id", "data_type": "INT", "comment": "key"},
        ),
        (
            "sqlite:///a.db",
            "t",
            "rdbms_column",
            "sqlite:///a.db/main.t.Id@air",
            {"name": "Id", "data_type": "INT", "comment": "key"},
        ),
        (
            "bigquery",
            "t",
            "mlgov_column",
            "bigquery/t/columns/Id@cat",
            {"name": "Id", "dataType": "INT", "comment": "key", "position": 2},
        ),
    ],
)
def test_columns(namespace, name, type_name, qualified_name, attributes):
    family, entities = name_entities(namespace, name, OPTIONS)
    column = family.column(entities[-1], Field("Id", "INT", "key", 2))
    assert (column.type_name, column.qualified_name, dict(column.attributes)) == (type_name, qualified_name, attributes)
    (parent,) = column.relations.values()
    assert Ref(parent.type_name, parent.qualified_name) == entities[-1].ref


# Names from anywhere: each gives entities or `InvalidNameError`, and two different names of one family never fall together.

TEXT = st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=20)
NAMESPACE = st.one_of(st.sampled_from([example[0] for example in EXAMPLES]), TEXT, TEXT.map("postgres://{}".format))


@given(NAMESPACE, TEXT)
def test_any_name_is_named_or_refused(namespace, name):
    try:
        _, entities = name_entities(namespace, name, OPTIONS)
    except InvalidNameError:
        return
    assert entities[-1].attributes["name"]
    assert all(entity.qualified_name.rpartition("@")[2] in ("air", "cat", "plat") for entity in entities)


@given(st.tuples(TEXT, TEXT), st.tuples(TEXT, TEXT))
def test_the_fallback_keeps_names_apart(left, right):
    left, right = (tuple(part.strip() for part in names) for names in (left, right))
    if left == right or not all((*left, *right)):
        return
    names = [
        name_entities(f"other-{namespace}", name, OPTIONS)[1][-1].qualified_name for namespace, name in (left, right)
    ]
    assert names[0] != names[1]
    for qualified, (namespace, name) in zip(names, (left, right), strict=True):
        parsed = identity.Dataset.parse(qualified)
        assert (parsed.dataset_namespace, parsed.dataset) == (f"other-{namespace}", name)
