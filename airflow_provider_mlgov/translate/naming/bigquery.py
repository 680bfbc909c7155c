"""BigQuery: ``bigquery`` ⟂ ``project.dataset.table``.

A project may be one of a domain (``example.com:project``), with dots of its own. A partition or snapshot decorator
(``table$20260131``, ``table@-3600000``) is folded into its table.
"""

from __future__ import annotations

from airflow_provider_mlgov.translate.naming.containers import container, dataset
from airflow_provider_mlgov.translate.naming.fallback import column
from airflow_provider_mlgov.translate.naming.family import Chain, Family
from airflow_provider_mlgov.translate.options import TranslateOptions


def parts(namespace: str, names: tuple[str, ...], options: TranslateOptions) -> Chain | None:
    """Project, dataset and table."""
    if namespace.rstrip(":/").lower() != "bigquery" or len(names) != 3 or not all(names):
        return None
    project, group, table = names
    at = options.platform_namespace
    home = container("bigquery", "project", project, f"bigquery/{project}@{at}")
    inner = container("bigquery", "dataset", group, f"bigquery/{project}.{group}@{at}", home)
    name = f"{project}.{group}.{table}"
    qualified = f"bigquery/{name}@{at}"
    relations = {"container": inner.ref}
    return home, inner, dataset("mlgov_bigquery_table", "bigquery", "bigquery", name, qualified, relations)


def entities(namespace: str, name: str, options: TranslateOptions) -> Chain | None:
    """Project, dataset and table, the last two without dots."""
    return parts(namespace, tuple(name.rsplit(".", 2)), options)


FAMILY = Family(("bigquery",), entities, column, "datasetType", levels=3, parts=parts)
