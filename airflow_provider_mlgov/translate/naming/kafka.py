"""Kafka topics.

``kafka://host:port`` ⟂ ``topic`` → ``kafka_topic``, as Atlas's bridge names it: the name in lower case (a rule can keep
case), no brokers. What people see is the topic as it is, unless a rule folds it, and so are the names of its fields.
"""

from __future__ import annotations

from airflow_provider_mlgov.model.entity import Entity
from airflow_provider_mlgov.translate.naming.family import Family, fold
from airflow_provider_mlgov.translate.options import TranslateOptions


def entities(namespace: str, name: str, options: TranslateOptions) -> tuple[Entity, ...]:  # noqa: ARG001 - brokers come and go
    """One topic."""
    qualified = f"{fold(name, options.case or 'lower')}@{options.platform_namespace}"
    return (Entity("kafka_topic", qualified, {"name": name, "topic": name, "uri": name}),)


FAMILY = Family(schemes=("kafka",), entities=entities)
