"""Google Pub/Sub: ``pubsub`` ⟂ ``topic:project:id`` or ``subscription:project:id``."""

from __future__ import annotations

from airflow_provider_mlgov.translate.naming.containers import container, dataset
from airflow_provider_mlgov.translate.naming.fallback import column
from airflow_provider_mlgov.translate.naming.family import Chain, Family
from airflow_provider_mlgov.translate.options import TranslateOptions

_TYPES = {"topic": "mlgov_pubsub_topic", "subscription": "mlgov_pubsub_subscription"}


def entities(namespace: str, name: str, options: TranslateOptions) -> Chain | None:
    """The project, and the topic or subscription. A project of a domain has a colon of its own."""
    kind, _, rest = name.partition(":")
    project, _, inner = rest.rpartition(":")
    if namespace.rstrip(":/").lower() != "pubsub" or kind not in _TYPES or not project or not inner:
        return None
    at = options.platform_namespace
    home = container("pubsub", "project", project, f"pubsub/{project}@{at}")
    relations = {"container": home.ref}
    return home, dataset(_TYPES[kind], "pubsub", "pubsub", name, f"pubsub/{name}@{at}", relations, inner)


FAMILY = Family(("pubsub",), entities, column, "datasetType")
