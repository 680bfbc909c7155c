"""What translation is told beside the events: the namespaces of names, and the user's rules."""

from __future__ import annotations

from dataclasses import dataclass

from airflow_provider_mlgov.translate.rules import NO_RULES, Case, RdbmsNames, Rules


@dataclass(frozen=True)
class TranslateOptions:
    """Configuration of `airflow_provider_mlgov.translate.translation.translate`."""

    airflow_namespace: str = "default"
    """Which Airflow.

    The ``@`` part of DAGs, tasks and runs, and of data that only its hosts can see (local files, SQLite).
    """
    catalog_namespace: str = "primary"
    """The ``@`` part of models, of other systems' jobs, and of data of unknown platforms."""
    platform_namespace: str = "primary"
    """The ``@`` part of data of platforms: Atlas's metadata namespace, as its own hooks write it."""
    cluster_namespace: str = ""
    """The ``@`` part that a rule gives the cluster in question, where data has a namespace of its own otherwise."""
    s3_scheme: str = "s3a"
    """The scheme of S3 names in Atlas.

    OpenLineage says ``s3``, Atlas's Hive hook keeps what Hive saw, usually ``s3a``.
    """
    rdbms_names: RdbmsNames = "default"
    """How relational databases and their tables are named; see `airflow_provider_mlgov.translate.naming.rdbms`."""
    schema: str | None = None
    """The schema of tables whose names have none, empty where it is not known. None: the platform's default."""
    case: Case | None = None
    """How a rule says that names are folded, for a family that folds them by itself where none does."""
    rules: Rules = NO_RULES
    """The user's own rules, which come before everything built in."""
