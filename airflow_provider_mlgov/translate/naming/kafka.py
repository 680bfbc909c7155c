"""Kafka topics.

``kafka://host:port`` ⟂ ``topic`` → ``kafka_topic``, as Atlas's bridge names it: the name in lower case, no brokers.
"""

from __future__ import annotations

from airflow_provider_mlgov.model.entity import Entity
from airflow_provider_mlgov.translate.naming.family import Family
from airflow_provider_mlgov.translate.options import TranslateOptions


def entities(namespace: str, name: str, options: TranslateOptions) -> tuple[Entity, ...]:  # noqa: ARG001 - brokers come and go
    """One topic."""
    qualified = f"{name.lower()}@{options.platform_namespace}"
    return (Entity("kafka_topic", qualified, {"name": name, "topic": name, "uri": name}),)


FAMILY = Family(schemes=("kafka",), entities=entities)
