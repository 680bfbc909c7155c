"""What rules do to names, tags and facets; they come before everything built in."""

from __future__ import annotations

from dataclasses import replace

import pytest

from airflow_provider_mlgov.errors import InvalidNameError
from airflow_provider_mlgov.translate.names import hints
from airflow_provider_mlgov.translate.naming import NO_HINTS, Hints, name_entities
from airflow_provider_mlgov.translate.rules import FacetRule, NamespaceRule, Rules, TagRule
from translate_events import OPTIONS, by_type, edges, names, one, table, task_event, translated

DB = "postgres://db:5432"


def rule(**said):
    return NamespaceRule(7, **{"match": "*", **said})


def with_rules(*rules, **more):
    return replace(OPTIONS, rules=Rules("r.toml", rules, **more))


def named(namespace, name, *rules, hints=NO_HINTS, **more):
    return name_entities(namespace, name, with_rules(*rules, **more), hints)


def last(namespace, name, *rules, **more):
    entity = named(namespace, name, *rules, **more).entities[-1]
    return f"{entity.type_name} {entity.qualified_name}"


@pytest.mark.parametrize(
    ("namespace", "name", "said", "wanted"),
    [
        (DB, "d.s.T", {"alias": "postgres://other:1"}, "rdbms_table other:1/d.s.t@plat"),
        (DB, "d.s.T", {"atlas_namespace": "cm"}, "rdbms_table db:5432/d.s.t@cm"),
        ("arn:aws:glue:eu:1", "table/d/t", {"atlas_namespace": "cm"}, "hive_table d.t@cm"),
        ("file", "/a", {"atlas_namespace": "nfs"}, "fs_path file:///a@nfs"),
        (DB, "d.s.T", {"rdbms_names": "plain"}, "rdbms_table d.s.t@plat"),
        (DB, "d.s.T", {"rdbms_names": "scheme"}, "rdbms_table postgres://db:5432/d.s.t@plat"),
        (DB, "d.s.T", {"rdbms_names": "sac"}, "rdbms_table d.t"),
        (DB, "d.T", {"schema": "Shop"}, "rdbms_table db:5432/d.shop.t@plat"),
        (DB, "d.t", {"schema": ""}, "mlgov_dataset postgres:%2F%2Fdb:5432/d.t@cat"),
        ("oracle://h:1521", "SALES.EMP", {"schema": "hr"}, "rdbms_table h:1521/SALES.HR.EMP@plat"),
        (
            "sqlserver://w.sql.azuresynapse.net",
            "d.t",
            {"schema": "dbo"},
            "rdbms_table w.sql.azuresynapse.net:1433/d.dbo.t@plat",
        ),
        (DB, "d.s.T", {"case": "keep"}, "rdbms_table db:5432/d.s.T@plat"),
        ("snowflake://a", "d.s.t", {"case": "keep"}, "rdbms_table snowflake://a/d.s.t@plat"),
        ("kafka://k:9092", "Clicks", {"case": "keep"}, "kafka_topic Clicks@plat"),
        ("kafka://k:9092", "Clicks", {"case": "upper"}, "kafka_topic CLICKS@plat"),
        ("s3://b", "k", {"scheme": "s3"}, "aws_s3_v2_directory s3://b/k/@plat"),
        ("s3://b", "K/x", {"family": "s3_v1"}, "aws_s3_pseudo_dir s3a://b/k/x@plat"),
        ("s3://b", "K/x", {"family": "s3_v1", "case": "keep"}, "aws_s3_pseudo_dir s3a://b/K/x@plat"),
        ("s3://b", "t/dt=1/x", {"partitions": False}, "aws_s3_v2_directory s3a://b/t/dt=1/x/@plat"),
        ("bigquery", "p.d.t$1", {"partitions": False}, "mlgov_bigquery_table bigquery/p.d.t$1@plat"),
        ("jdbc:acme://h", "d.t", {"family": "mysql", "alias": "mysql://h"}, "rdbms_table h:3306/d.t@plat"),
        ("box://x", "y", {"type": "acme_document"}, "acme_document box:%2F%2Fx/y@cat"),
        ("inmemory://", "x", {"family": "other"}, "mlgov_dataset inmemory:%2F%2F/x@cat"),
        ("mssql://h", "tempdb.dbo.t", {"ignore": False}, "rdbms_table h:1433/tempdb.dbo.t@plat"),
    ],
)
def test_each_option(namespace, name, said, wanted):
    assert last(namespace, name, rule(**said)) == wanted
    assert (
        any("rule in line 7 of r.toml" in reason for reason in named(namespace, name, rule(**said)).why)
        or said.get("ignore") is False
    )


@pytest.mark.parametrize(
    ("namespace", "name", "wanted"),
    [
        ("s3://lake", "raw/x/a", "aws_s3_v2_bucket acme_dir acme_dir acme_secret"),
        ("s3://lake", "raw/x/a/part-0", "aws_s3_v2_bucket acme_dir acme_dir acme_secret acme_secret"),
        ("s3://lake", "raw//x/./a", "aws_s3_v2_bucket acme_dir acme_dir acme_secret"),
        ("s3://lake", "raw/x/dt=2026-01-31/a", "aws_s3_v2_bucket acme_dir acme_dir"),
        ("s3://lake", "raw", "aws_s3_v2_bucket acme_dir"),
        ("s3://lake", "/", "aws_s3_v2_bucket"),
        ("s3://lake", "open/x", "aws_s3_v2_bucket aws_s3_v2_directory aws_s3_v2_directory"),
        ("abfss://c@a.dfs.core.windows.net", "/raw/x/", "adls_gen2_account adls_gen2_container acme_dir acme_dir"),
        ("s3://lake", "day/dt=2026-01-31", "aws_s3_v2_bucket aws_s3_v2_directory"),
        ("s3://lake", "old/x", "aws_s3_v2_bucket aws_s3_v2_directory acme_dir"),
        ("ofs://svc", "/vol/bucket/raw", "ozone_volume ozone_bucket acme_dir"),
        ("hdfs://nn", "/raw/x", "acme_dir"),
    ],
)
def test_a_directory_is_of_one_type_itself_and_as_a_parent(namespace, name, wanted):
    rules = (
        rule(name="raw/x/a*", type="acme_secret"),
        rule(match="s3://lake", name="raw*", type="acme_dir"),
        rule(regex="(abfss|ofs|hdfs):.*", type="acme_dir"),
        rule(match="s3://lake", name="/", type="acme_dir"),
        rule(match="s3://lake", name="day/*", type="acme_dir"),
        rule(match="s3://lake", name="old/x/", type="acme_dir"),
    )
    entities = named(namespace, name, *rules).entities
    assert [entity.type_name for entity in entities] == wanted.split()
    refs = {entity.ref for entity in entities}
    assert all(ref in refs for entity in entities for ref in entity.relations.values())


def test_the_first_rule_that_says_something_counts():
    rules = (rule(match="postgres://db:*", case="upper"), rule(case="lower", atlas_namespace="cm"))
    assert last(DB, "d.s.t", *rules) == "rdbms_table db:5432/D.S.T@cm"


def test_a_rule_may_look_at_the_name():
    rules = (rule(name="d.audit.*", ignore=True),)
    assert named(DB, "d.audit.t", *rules).entities == ()
    assert named(DB, "d.audit.t", *rules).left_out == "rule in line 7 of r.toml"
    assert named(DB, "d.s.t", *rules).entities


def test_an_alias_by_regular_expression():
    rules = (NamespaceRule(1, regex=r"postgres://(\w+)-replica-\d+:5432", alias=r"postgres://\1:5432"),)
    assert last("postgres://db-replica-3:5432", "d.s.t", *rules) == "rdbms_table db:5432/d.s.t@plat"


@pytest.mark.parametrize(
    ("regex", "alias", "namespace", "wanted"),
    [
        (r"mysql://old|mysql://old:3306", "mysql://new:3306", "mysql://old:3306", "rdbms_table new:3306/a.b@plat"),
        (
            r"postgres://(\w+?)(?:\.example\.org)?(?::\d+)?",
            r"postgres://\1-main:5432",
            "postgres://db1.example.org:5433",
            "rdbms_table db1-main:5432/a.public.b@plat",
        ),
    ],
)
def test_an_alias_replaces_the_whole_namespace(regex, alias, namespace, wanted):
    assert last(namespace, "a.b", NamespaceRule(1, regex=regex, alias=alias)) == wanted


def test_aliases_in_a_circle_end():
    rules = (rule(match="postgres://a", alias="postgres://b"), rule(match="postgres://b", alias="postgres://a"))
    assert last("postgres://a", "d.s.t", *rules) == "rdbms_table b:5432/d.s.t@plat"
    assert last("postgres://b", "d.s.t", *rules) == "rdbms_table a:5432/d.s.t@plat"


def test_a_rule_for_a_name_between_two_aliases_counts():
    rules = (
        rule(match="acme://one", alias="acme://two"),
        rule(match="acme://two", alias="acme://three", type="acme_table"),
    )
    assert last("acme://one", "t", *rules) == "acme_table acme:%2F%2Fthree/t@cat"
    why = named("acme://one", "t", *rules).why
    assert [reason for reason in why if " means " in reason] == [
        "acme://one means acme://two: rule in line 7 of r.toml",
        "acme://two means acme://three: rule in line 7 of r.toml",
    ]


@pytest.mark.parametrize("namespace", ["acme://meta", ""])
def test_rules_speak_of_what_symlinks_name(namespace):
    link = {"symlinks": {"identifiers": [{"namespace": namespace, "name": "d.t", "type": "TABLE"}]}}
    path = {"namespace": "s3://lake", "name": "t", "facets": link}
    rules = (NamespaceRule(1, regex=f"^{namespace}$", name="d.*", alias="hive://meta:9083"),)
    found = translated(task_event(inputs=[path], outputs=[table("x")]), options=with_rules(*rules))
    assert edges(found)[0][1] == ["d.t"]


@pytest.mark.parametrize(
    ("namespace", "name"),
    [
        ("mssql://h", "shop.dbo.#t"),
        ("mssql://h", "tempdb.dbo.t"),
        ("postgres://h", "shop.pg_temp_3.t"),
        ("hive://m", "shop.values__tmp__table__1"),
        ("bigquery", "p._0123456789abcdef0123456789abcdef01234567.anon1"),
        ("inmemory://", "x"),
    ],
)
def test_what_ends_with_its_run_is_left_out(namespace, name):
    assert not name_entities(namespace, name, OPTIONS).entities


def test_temporary_tables_by_rule():
    assert not named(DB, "d.s.scratch_1", temporary=("*.scratch_*",)).entities


@pytest.mark.parametrize(
    ("namespace", "name", "told", "wanted"),
    [
        ("sqlserver://syn:1433", "dbo.t", Hints(("shop", "dbo", "t")), "rdbms_table syn:1433/shop.dbo.t@plat"),
        ("sqlserver://syn:1433", "dbo.t", Hints(database="shop"), "rdbms_table syn:1433/shop.dbo.t@plat"),
        ("sqlserver://syn:1433", "dbo.t", Hints(), "mlgov_dataset sqlserver:%2F%2Fsyn:1433/dbo.t@cat"),
        ("oracle://h:1521", "HR.EMP", Hints(database="SALES"), "rdbms_table h:1521/SALES.HR.EMP@plat"),
        ("oracle://h:1521", "HR.EMP", Hints(database="HR"), "rdbms_table h:1521/HR.HR.EMP@plat"),
        (
            "sqlserver://w.azuresynapse.net",
            "s.t",
            Hints(database="s"),
            "rdbms_table w.azuresynapse.net:1433/s.s.t@plat",
        ),
        ("postgres://db", "shop.t", Hints(database="shop"), "rdbms_table db:5432/shop.public.t@plat"),
        ("postgres://db", "shop.t", Hints(hierarchy=("shop", "s", "t")), "mlgov_dataset postgres:%2F%2Fdb/shop.t@cat"),
        ("postgresql://db", "Orders", Hints(database="shop"), "rdbms_table db:5432/shop.public.orders@plat"),
        ("mssql+pyodbc://db", "t", Hints(database="shop"), "rdbms_table db:1433/shop.dbo.t@plat"),
        ("postgres://db", "t", Hints(database="a.b"), "mlgov_dataset postgres:%2F%2Fdb/t@cat"),
        ("snowflake://a", "t", Hints(database="d"), "mlgov_dataset snowflake:%2F%2Fa/T@cat"),
        ("postgres://db", "(select 1)", Hints(database="d"), "mlgov_dataset postgres:%2F%2Fdb/(select 1)@cat"),
        ("mysql://my", "t", Hints(database="crm"), "rdbms_table my:3306/crm.t@plat"),
        ("mysql://my", "t", Hints(), "mlgov_dataset mysql:%2F%2Fmy/t@cat"),
        (DB, "ders", Hints(("db", "public", "orders")), "mlgov_dataset postgres:%2F%2Fdb:5432/ders@cat"),
        (DB, "d.s.a.b", Hints(("d", "s.a", "b")), "rdbms_table db:5432/d.s.a.b@plat"),
        (DB, "d.s.t", Hints(("x", "y", "z")), "rdbms_table db:5432/d.s.t@plat"),
        ("snowflake://a", "t", Hints(("db", "s", "t")), "rdbms_table snowflake://a/DB.S.T@plat"),
        ("trino://h", "s.t", Hints(("cat", "s", "t")), "mlgov_trino_table trino://h/cat.s.t@plat"),
    ],
)
def test_hints_of_facets(namespace, name, told, wanted):
    entity = name_entities(namespace, name, OPTIONS, told).entities[-1]
    assert f"{entity.type_name} {entity.qualified_name}" == wanted


INSTANCE = "sqlserver://s:1433/inst"


@pytest.mark.parametrize(
    ("uri", "database"),
    [
        ("postgresql+psycopg2://u@h:5432/shop", "shop"),
        ("https://h/browser", ""),
        ("https://h/page?database=browser", ""),
        (f"{INSTANCE}/", ""),
        (f"jdbc:{INSTANCE};databaseName=shop", "shop"),
        ("jdbc:oracle:thin:@//h:1521/SALES", "SALES"),
        ("jdbc:oracle:thin:scott/tiger@h:1521:SID", "SID"),
        ("jdbc:oracle:thin:@h:1521", ""),
        ("jdbc:sqlserver://h:1433;databaseName=shop;user=x", "shop"),
        ("postgres://h:5432/shop", "shop"),
        ("postgres://h:5432/shop/more", ""),
        ("jdbc:db2://h:50000/SAMPLE:user=u;password=secret;", "SAMPLE"),
        ("jdbc:mysql://h:3306/crm;user=a&password=secret", "crm"),
        ("http://[", ""),
    ],
)
def test_the_database_of_a_connection(uri, database):
    assert hints({"dataSource": [0, 0, {"uri": uri}]}, INSTANCE).database == database


def test_a_dotted_schema_is_told_by_the_hierarchy():
    chain = name_entities(DB, "d.s.a.b", OPTIONS, Hints(("d", "s.a", "b"))).entities
    assert chain[-1].attributes["name_path"] == "s.a"


def test_explanations_name_what_is_built_in():
    why = name_entities("hive://m", "D.T", OPTIONS).why
    assert why == (
        "family hive: built in, by the scheme of hive://m",
        "lower case: built in, as the platform folds names",
    )


def test_explanations_name_the_schema_that_a_name_lacks():
    told = "schema public: built in, as the platform's default for a name that has none"
    assert named(DB, "d.t").why[-1] == told
    assert "schema hr for a name that has none: rule in line 7 of r.toml" in named(DB, "d.t", rule(schema="hr")).why
    assert told not in named(DB, "d.t", rule(schema="hr")).why


@pytest.mark.parametrize(
    ("namespace", "name", "said"),
    [
        ("abfss://c@a.dfs.core.windows.net", "x", {"scheme": "s3"}),
        ("trino://h", "c.s.t", {"rdbms_names": "plain"}),
        ("mysql://h", "d.t", {"schema": "s"}),
    ],
)
def test_explanations_name_what_has_no_effect(namespace, name, said):
    ((option, value),) = said.items()
    family = {"abfss": "adls"}.get(namespace.partition(":")[0], namespace.partition(":")[0])
    told = f"{option} {value} has no effect on {family}: rule in line 7 of r.toml"
    assert told in named(namespace, name, rule(**said)).why
    assert named(namespace, name, rule(**said)).entities == named(namespace, name).entities


def tagged(*tags):
    return {
        **table("a"),
        "facets": {"tags": {"tags": [dict(zip(("key", "value", "field"), tag, strict=False)) for tag in tags]}},
    }


def test_tags_without_a_rule_are_labels_or_custom_attributes():
    found = translated(task_event(outputs=[tagged(("pii", "true"), ("zone", "gold"), ("a b", "c d"), ("", "x"))]))
    marks = one(found, "rdbms_table").marks
    assert marks.labels == {"pii", "zone_gold"}
    assert marks.custom == (("a_b", "c d"),)


def test_tags_by_rule():
    rules = Rules(
        "r.toml",
        tags=(
            TagRule(1, "pii", "t*", classification="PII", propagate=True),
            TagRule(2, "owner*", attribute="team"),
            TagRule(3, "noise"),
        ),
    )
    event = task_event(outputs=[tagged(("pii", "true"), ("owner_x", "ml"), ("noise", "1"), ("zone", "z", "id"))])
    marks = one(translated(event, options=replace(OPTIONS, rules=rules)), "rdbms_table").marks
    assert [(item.type_name, item.propagate) for item in marks.classifications] == [("PII", True)]
    assert marks.custom == (("team", "ml"),)
    assert not marks.labels


def test_a_facet_is_kept_by_rule():
    rules = Rules("r.toml", facets=(FacetRule(1, "acme", "cost", "centre.id"), FacetRule(2, "acme", "all")))
    dataset = {**table("a"), "facets": {"acme": {"_producer": "p", "centre": {"id": 4}, "x": "y"}}}
    marks = one(translated(task_event(outputs=[dataset]), options=replace(OPTIONS, rules=rules)), "rdbms_table").marks
    assert dict(marks.custom) == {"cost": "4", "all": '{"centre":{"id":4},"x":"y"}'}


def test_a_facet_of_one_use_is_kept_by_rule_too():
    rules = with_rules(facets=(FacetRule(3, "acmeScan", "scan", "files"),))
    read = {**table("a"), "inputFacets": {"acmeScan": {"files": "7"}}}
    found = translated(task_event(inputs=[read]), options=rules)
    assert one(found, "rdbms_table").marks.custom == (("scan", "7"),)


def test_tags_of_columns_need_no_schema():
    found = translated(task_event(inputs=[tagged(("pii", "true", "mail"))]))
    column = one(found, "rdbms_column")
    assert names(column.ref) == ["db:5432/shop.public.a.mail"]
    assert column.marks.labels == {"pii"}


def test_what_a_rule_ignores_is_no_end_and_no_warning():
    options = with_rules(rule(name="*.audit", ignore=True))
    found = translated(task_event(inputs=[table("audit"), table("a")], outputs=[table("b")]), options=options)
    assert not found.warnings
    assert names(one(found, "mlgov_task_process").relations["inputs"]) == ["db:5432/shop.public.a"]
    assert len(by_type(found, "rdbms_table")) == 2


def test_a_rule_says_which_namespace_is_meant_by_an_empty_one():
    lake = NamespaceRule(1, regex="^$", name="lake.*", alias="flink-lake")
    assert last("", "lake.shop.orders", lake) == "mlgov_dataset flink-lake/lake.shop.orders@cat"
    with pytest.raises(InvalidNameError, match="namespace of a dataset is ''"):
        named("", "default_catalog.default_database.orders", lake)
    mine = NamespaceRule(1, regex="^$", name="default_catalog.*", ignore=True)
    assert named("", "default_catalog.default_database.orders", mine).is_ignored
    with pytest.raises(InvalidNameError, match="namespace of a dataset is ''"):
        named("", "lake.shop.orders", rule(ignore=False))


@pytest.mark.parametrize(
    ("match", "namespace", "is_meant"),
    [
        ("postgresql+psycopg2://*", "postgresql+psycopg2://db", True),
        ("postgresql+psycopg2://*", "postgres://db", False),
        ("postgres://db", "postgresql+psycopg2://DB:5432", True),
        ("postgresql+psycopg2://d?", "PostgreSQL+psycopg2://DB/", True),
        ("postgres://*", "postgresql+psycopg2://[::1]:5432", True),
        ("postgresql+psycopg2://db", "postgres://db:5432", False),
        ("*+psycopg2://*", "s3://lake", False),
        ("git+ssh://*", "git+https://h", False),
    ],
)
def test_a_rule_with_a_driver_of_sqlalchemy_is_for_that_one(match, namespace, is_meant):
    assert named(namespace, "d.s.t", rule(match=match, ignore=True)).is_ignored is is_meant


def test_a_server_has_one_name_with_and_without_a_driver():
    alias = rule(match="postgres://old", alias="postgres://new")
    assert last("postgresql+psycopg2://old", "d.s.t", alias) == "rdbms_table new:5432/d.s.t@plat"
    circle = rule(match="postgresql://old", alias="postgresql+psycopg2://old")
    assert named("postgresql+psycopg2://old", "d.s.t", circle).entities


def test_two_partitions_are_one_dataset_and_both_are_told():
    paths = [{"namespace": "s3://lake", "name": f"t/dt={day}/x.parquet"} for day in (1, 2)]
    found = translated(task_event(inputs=paths, outputs=[table("b")]))
    assert edges(found) == [("mlgov_task_process", ["s3a://lake/t/"], ["db:5432/shop.public.b"])]
    assert '"partitions":["dt=1","dt=2"]' in one(found, "mlgov_task_run").latest["io"]


@pytest.mark.parametrize(("second", "said"), [({"rowCount": 4}, '"rowCount":7'), ({}, None)])
def test_rows_of_partitions_are_counted_together(second, said):
    counts = [{"rowCount": 3, "size": 10}, second]
    paths = [
        {"namespace": "s3://lake", "name": f"t/dt={day}", "outputFacets": {"outputStatistics": told}}
        for day, told in enumerate(counts)
    ]
    io = one(translated(task_event(outputs=paths)), "mlgov_task_run").latest["io"]
    assert (said in io) if said else ("rowCount" not in io)
    assert '"size"' not in io
