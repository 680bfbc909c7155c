"""All families. A family is one module beside this one, which ends in ``FAMILY = Family(…)``, and one line in the table below."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from airflow_provider_mlgov.translate.naming import (
    adls,
    athena,
    bigquery,
    bigtable,
    cassandra,
    clickhouse,
    cosmos,
    crate,
    db2,
    duckdb,
    fallback,
    files,
    gcs,
    glue,
    hbase,
    hdfs,
    hive,
    inmemory,
    kafka,
    kusto,
    milvus,
    ml,
    mysql,
    oceanbase,
    oracle,
    ozone,
    postgres,
    pubsub,
    redshift,
    s3,
    s3_v1,
    snowflake,
    spanner,
    sqlite,
    sqlserver,
    teradata,
    trino,
    unity,
)
from airflow_provider_mlgov.translate.naming.family import Family

FAMILIES: Mapping[str, Family] = MappingProxyType(
    {
        "adls": adls.FAMILY,
        "athena": athena.FAMILY,
        "bigquery": bigquery.FAMILY,
        "bigtable": bigtable.FAMILY,
        "cassandra": cassandra.FAMILY,
        "clickhouse": clickhouse.FAMILY,
        "cosmos": cosmos.FAMILY,
        "crate": crate.FAMILY,
        "db2": db2.FAMILY,
        "duckdb": duckdb.FAMILY,
        "files": files.FAMILY,
        "gcs": gcs.FAMILY,
        "glue": glue.FAMILY,
        "hbase": hbase.FAMILY,
        "hdfs": hdfs.FAMILY,
        "hive": hive.FAMILY,
        "inmemory": inmemory.FAMILY,
        "kafka": kafka.FAMILY,
        "kusto": kusto.FAMILY,
        "milvus": milvus.FAMILY,
        "ml": ml.FAMILY,
        "mysql": mysql.FAMILY,
        "oceanbase": oceanbase.FAMILY,
        "oracle": oracle.FAMILY,
        "other": fallback.FAMILY,
        "ozone": ozone.FAMILY,
        "postgres": postgres.FAMILY,
        "pubsub": pubsub.FAMILY,
        "redshift": redshift.FAMILY,
        "s3": s3.FAMILY,
        "s3_v1": s3_v1.FAMILY,
        "snowflake": snowflake.FAMILY,
        "spanner": spanner.FAMILY,
        "sqlite": sqlite.FAMILY,
        "sqlserver": sqlserver.FAMILY,
        "teradata": teradata.FAMILY,
        "trino": trino.FAMILY,
        "unity": unity.FAMILY,
    }
)
"""By the name that rules call them. ``other`` takes what no other does."""

_BY_SCHEME = {scheme: name for name, family in FAMILIES.items() for scheme in family.schemes}


def family_of(namespace: str) -> str:
    """The name of the family that an OpenLineage namespace belongs to."""
    return _BY_SCHEME.get(namespace.partition(":")[0].lower(), "other")
