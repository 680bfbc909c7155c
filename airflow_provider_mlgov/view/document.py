"""Lineage as JSON, for programs. Its form is fixed by ``lineage-1.schema.json`` beside this module.

Within version 1 keys may be added; none is removed, renamed or given another meaning. Members refer to each other by
``id``. Times are ISO 8601 in UTC; what is unknown is null, and unknown facts are absent.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow_provider_mlgov.model.entity import Ref
from airflow_provider_mlgov.view import labels
from airflow_provider_mlgov.view.values import (
    Attempt,
    Graph,
    Node,
    Run,
    RunGraph,
    Service,
    Standing,
    Step,
    Use,
    WalkGraph,
)

SCHEMA = "mlgov-lineage/1"
"""The value of key ``schema``."""

Json = dict[str, Any]


def document(view: RunGraph | WalkGraph) -> Json:
    """The view as a JSON object."""
    head: Json = {"schema": SCHEMA}
    if isinstance(view, RunGraph):
        head |= {"view": "run", "run": _run(view.run), "attempts": [_attempt(attempt) for attempt in view.attempts]}
    else:
        head |= {
            "view": "walk",
            "asked": {"typeName": view.asked.type_name, "qualifiedName": view.asked.qualified_name},
            "start": [_id(ref) for ref in view.start],
            "direction": view.direction,
            "depth": view.depth,
            "cut": view.cut,
            "notes": list(view.notes),
        }
    return head | _graph(view.graph) | {"endpoints": [_standing(standing) for standing in view.endpoints]}


def _id(ref: Ref) -> str:
    return f"{ref.type_name}:{ref.qualified_name}"


def _entity(ref: Ref) -> Json:
    return {"id": _id(ref), "typeName": ref.type_name, "qualifiedName": ref.qualified_name}


def _facts(facts: Mapping[str, Any]) -> Json:
    return {key: labels.stamp(value) if key.endswith("Time") else value for key, value in facts.items()}


def _graph(graph: Graph) -> Json:
    return {
        "nodes": [_node(node) for node in graph.nodes],
        "steps": [_step(step) for step in graph.steps],
        "edges": [{"from": _id(edge.source), "to": _id(edge.target), "old": edge.old} for edge in graph.edges],
    }


def _node(node: Node) -> Json:
    return {
        **_entity(node.ref),
        "kind": node.kind,
        "name": node.name,
        "facts": _facts(node.facts),
        "deleted": node.deleted,
        "old": node.old,
    }


def _step(step: Step) -> Json:
    return {
        **_entity(step.ref),
        "role": step.role,
        "name": step.name,
        "attempts": [_id(ref) for ref in step.runs],
        "facts": _facts(step.facts),
        "deleted": step.deleted,
        "old": step.old,
    }


def _run(run: Run) -> Json:
    return {
        **_entity(run.ref),
        "dagId": run.dag_id,
        "runId": run.run_id,
        "namespace": run.namespace,
        "known": run.known,
        "state": run.state,
        "runType": run.run_type,
        "startTime": labels.stamp(run.started),
        "endTime": labels.stamp(run.ended),
        "logicalDate": labels.stamp(run.logical_date),
        "dagVersion": run.dag_version,
    }


def _attempt(attempt: Attempt) -> Json:
    return {
        **_entity(attempt.ref),
        "taskId": attempt.task_id,
        "mapIndex": attempt.map_index,
        "mapLabel": attempt.map_label,
        "tryNumber": attempt.try_number,
        "state": attempt.state,
        "stateSource": attempt.state_source,
        "operator": attempt.operator,
        "taskGroup": attempt.task_group,
        "startTime": labels.stamp(attempt.started),
        "endTime": labels.stamp(attempt.ended),
        "error": attempt.error,
        "hostname": attempt.hostname,
        "logUrl": attempt.log_url,
        "reads": [_use(use) for use in attempt.reads],
        "writes": [_use(use) for use in attempt.writes],
    }


def _use(use: Use) -> Json:
    return {**_entity(use.ref), "name": use.name, "facts": dict(use.facts)}


def _standing(standing: Standing) -> Json:
    return {
        **_entity(standing.ref),
        "project": standing.project,
        "environment": standing.environment,
        "name": standing.name,
        "url": standing.url,
        "servesNow": standing.serves_now,
        "idle": standing.idle,
        "currentDeployment": _id(standing.current_deployment) if standing.current_deployment else None,
        "currentBuild": _id(standing.current_build) if standing.current_build else None,
        "deployments": [_service(service) for service in standing.services],
    }


def _service(service: Service) -> Json:
    return {"id": _id(service.ref), "build": _id(service.build), "status": service.status, "now": service.now}
