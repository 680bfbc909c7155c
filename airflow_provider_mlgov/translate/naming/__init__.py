"""Names of data: an OpenLineage namespace and name to Atlas entities.

A family of platforms is one module here, which ends in ``FAMILY = Family(…)``, and one line in the table below.
"""

from __future__ import annotations

from functools import lru_cache

from airflow_provider_mlgov.model.entity import Entity
from airflow_provider_mlgov.model.identity import check_text
from airflow_provider_mlgov.translate.naming import (
    adls,
    cassandra,
    clickhouse,
    cosmos,
    crate,
    db2,
    fallback,
    files,
    glue,
    hbase,
    hdfs,
    hive,
    kafka,
    kusto,
    ml,
    mysql,
    oceanbase,
    oracle,
    ozone,
    postgres,
    redshift,
    s3,
    snowflake,
    spanner,
    sqlite,
    sqlserver,
    teradata,
)
from airflow_provider_mlgov.translate.naming.family import Family, Field
from airflow_provider_mlgov.translate.options import TranslateOptions

__all__ = ["FAMILIES", "Family", "Field", "family_of", "name_entities", "prefers"]

FAMILIES: tuple[Family, ...] = (
    adls.FAMILY,
    cassandra.FAMILY,
    clickhouse.FAMILY,
    cosmos.FAMILY,
    crate.FAMILY,
    db2.FAMILY,
    files.FAMILY,
    glue.FAMILY,
    hbase.FAMILY,
    hdfs.FAMILY,
    hive.FAMILY,
    kafka.FAMILY,
    kusto.FAMILY,
    ml.FAMILY,
    mysql.FAMILY,
    oceanbase.FAMILY,
    oracle.FAMILY,
    ozone.FAMILY,
    postgres.FAMILY,
    redshift.FAMILY,
    s3.FAMILY,
    snowflake.FAMILY,
    spanner.FAMILY,
    sqlite.FAMILY,
    sqlserver.FAMILY,
    teradata.FAMILY,
)
"""All families but the fallback, which takes what no other does."""

_BY_SCHEME = {scheme: family for family in FAMILIES for scheme in family.schemes}


def family_of(namespace: str) -> Family:
    """The family that an OpenLineage namespace belongs to."""
    return _BY_SCHEME.get(namespace.partition(":")[0].lower(), fallback.FAMILY)


@lru_cache(maxsize=4096)
def name_entities(namespace: str, name: str, options: TranslateOptions) -> tuple[Family, tuple[Entity, ...]]:
    """The family of a dataset, and its entities as far as the name tells them: parents first, the dataset itself last.

    Raises `InvalidNameError` for an empty name, a control character, or one of our own names in a wrong form.
    """
    namespace, name = namespace.strip(), name.strip()
    check_text(namespace, "namespace of a dataset")
    check_text(name, "name of a dataset")
    family = family_of(namespace)
    entities = family.entities(namespace, name, options)
    if entities is None:
        family, entities = fallback.FAMILY, fallback.entities(namespace, name, options)
    return family, entities


def prefers(namespace: str, kind: str) -> bool:
    """Whether a symlink of this ``kind`` into ``namespace`` says better what a dataset is than a physical path."""
    return kind == "TABLE" and family_of(namespace).is_catalog
