"""Readable words and names for types and qualifiedNames."""

from __future__ import annotations

import re
from datetime import datetime, timezone

from airflow_provider_mlgov.errors import InvalidNameError
from airflow_provider_mlgov.model import identity
from airflow_provider_mlgov.model.entity import Ref

_KINDS = {
    "mlgov_model": "model",
    "mlgov_model_build": "build",
    "mlgov_evaluation": "evaluation",
    "mlgov_model_deployment": "deployment",
    "mlgov_endpoint": "endpoint",
    "ml_project": "project",
    "ml_model_build": "build",
    "ml_model_deployment": "deployment",
    "mlgov_dataset": "dataset",
    "mlgov_column": "column",
    "kafka_topic": "topic",
}
_KIND_ENDINGS = (
    ("_table", "table"),
    ("_view", "view"),
    ("_column", "column"),
    ("_topic", "topic"),
    ("_path", "file"),
    ("_object", "file"),
    ("_key", "file"),
    ("_blob", "file"),
    ("_pseudo_dir", "directory"),
    ("_directory", "directory"),
    ("_bucket", "bucket"),
    ("_container", "container"),
    ("_db", "database"),
)
_ROLES = {
    "mlgov_train_process": "training",
    "ml_model_train_build_process": "training",
    "mlgov_evaluate_process": "evaluating",
    "mlgov_deploy_process": "deploying",
    "ml_model_deploy_process": "deploying",
    "mlgov_score_process": "scoring",
}
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]+")


def clean(text: object) -> str:
    """``text`` on one line and without control characters, so that no name can move a cursor or hide another."""
    return _CONTROL.sub(" ", str(text)).strip()


def kind(type_name: str) -> str:
    """One word for what an entity of this type is."""
    if type_name in _KINDS:
        return _KINDS[type_name]
    return next((word for ending, word in _KIND_ENDINGS if type_name.endswith(ending)), "dataset")


def role(type_name: str) -> str:
    """What a process of this type does."""
    return _ROLES.get(type_name, "processing")


def name(ref: Ref, given: str | None = None) -> str:
    """A readable name: short for what is ours, else the qualifiedName without its namespace.

    ``given`` is the entity's ``name``; it stands in where a qualifiedName has no form that we know.
    """
    try:
        own = _own_name(ref)
    except InvalidNameError:
        own = None
    if own is not None:
        return clean(own)
    text, _, namespace = ref.qualified_name.rpartition("@")
    if not text or "/" in namespace:  # a name without a namespace; an `@` further ahead belongs to it
        text = ref.qualified_name
    if ref.type_name == identity.JobProcess.type_name:
        return clean(given or text)
    return clean(identity.decode_part(text) if ref.type_name.startswith("mlgov_") else text)


def _own_name(ref: Ref) -> str | None:
    reader = _READERS.get(ref.type_name)
    return reader(ref.qualified_name) if reader else None


def build_name(build: identity.Build | identity.Deployment | identity.Evaluation | identity.Training) -> str:
    """``project/model/key``."""
    return f"{build.project}/{build.model}/{build.build}"


def _deployment(text: str) -> str:
    it = identity.Deployment.parse(text)
    return f"{build_name(it)} at {it.environment}/{it.endpoint} (revision {it.revision})"


def _evaluation(text: str) -> str:
    it = identity.Evaluation.parse(text)
    return f"{it.evaluation} of {build_name(it)}"


def _model(text: str) -> str:
    it = identity.Model.parse(text)
    return f"{it.project}/{it.model}"


def _endpoint(text: str) -> str:
    it = identity.Endpoint.parse(text)
    return f"{it.environment}/{it.endpoint}"


def _task(text: str) -> str:
    it = identity.TaskProcess.parse(text)
    return f"{it.dag}.{it.task}"


def _job(text: str) -> str:
    return identity.JobProcess.parse(text).job


_READERS = {
    "mlgov_model": _model,
    "mlgov_model_build": lambda text: build_name(identity.Build.parse(text)),
    "mlgov_train_process": lambda text: f"training of {build_name(identity.Training.parse(text))}",
    "mlgov_evaluation": _evaluation,
    "mlgov_model_deployment": _deployment,
    "mlgov_endpoint": _endpoint,
    "mlgov_task_process": _task,
    "mlgov_score_process": _task,
    "mlgov_job_process": _job,
}


def run_name(qualified_name: str) -> str:
    """A task run in words: ``dag.task[2], run R, try 1``."""
    try:
        it = identity.TaskRun.parse(qualified_name)
    except InvalidNameError:
        return clean(qualified_name.rpartition("@")[0] or qualified_name)
    mapped = f"[{it.map_index}]" if it.map_index >= 0 else ""
    return clean(f"{it.dag}.{it.task}{mapped}, run {it.run}, try {it.try_number}")


def moment(milliseconds: int | None) -> datetime | None:
    """Atlas's time as a time in UTC; None for what is no time."""
    if not milliseconds:  # Atlas gives 0 for a time that was never set
        return None
    try:
        return datetime.fromtimestamp(milliseconds / 1000, tz=timezone.utc)
    except (OverflowError, ValueError, OSError):
        return None


def stamp(milliseconds: int | None) -> str | None:
    """Atlas's time in ISO 8601."""
    when = moment(milliseconds)
    return when.isoformat(timespec="milliseconds").replace("+00:00", "Z") if when else None


def duration(seconds: float) -> str:
    """``0.4 s``, ``37 s``, ``4 min 05 s``, ``2 h 03 min``."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
