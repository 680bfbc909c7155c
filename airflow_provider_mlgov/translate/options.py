"""What translation is told beside the events: the namespaces of names."""

from __future__ import annotations

from dataclasses import dataclass


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
    s3_scheme: str = "s3a"
    """The scheme of S3 names in Atlas.

    OpenLineage says ``s3``, Atlas's Hive hook keeps what Hive saw, usually ``s3a``.
    """
