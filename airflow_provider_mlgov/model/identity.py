"""The names of everything that is ours, as values that build and read qualifiedNames.

A name ends in ``@<namespace>``. Two namespaces exist: that of one Airflow (``dags/…``) and that of the catalogue
(``ml/…``, ``jobs/…``). Parts that come from users are percent-encoded where they hold ``/``, ``@`` or ``%``; empty
parts and control characters are refused; ``Name.parse(str(name)) == name`` for every class.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from dataclasses import dataclass, fields
from functools import lru_cache
from typing import Any, ClassVar, TypeVar

from typing_extensions import Self

from airflow_provider_mlgov.errors import InvalidNameError

_ENCODED = re.compile(r"%(2F|40|25)")
_DECODE = {"2F": "/", "40": "@", "25": "%"}

N = TypeVar("N", bound="QualifiedName")


def holds_control(text: str) -> bool:
    """Whether there is a control character in it, or half of one: no name has any."""
    return not text.isprintable() and any(unicodedata.category(char) in ("Cc", "Cs") for char in text)


def check_text(text: object, what: str) -> str:
    """Return ``text``, or raise `InvalidNameError` if it is no string, empty, or holds a control character."""
    if not isinstance(text, str) or not text:
        raise InvalidNameError(f"{what} is {text!r}; wanted a text that is not empty")
    if holds_control(text):
        raise InvalidNameError(f"{what} is {text!r}; control characters cannot be part of a name: remove them")
    return text


def encode_part(text: object, what: str = "part of a name") -> str:
    """Percent-encode what would be read as structure: ``/``, ``@`` and ``%``."""
    return check_text(text, what).replace("%", "%25").replace("/", "%2F").replace("@", "%40")


def decode_part(text: str) -> str:
    """Undo `encode_part`."""
    return _ENCODED.sub(lambda match: _DECODE[match[1]], text)


def token(*parts: str) -> str:
    """A hex token of 32 characters for ``parts``: what Atlas's index can filter by (it cannot by ``/`` or ``@``)."""
    return hashlib.sha256("\x00".join(parts).encode(errors="surrogatepass")).hexdigest()[:32]


@lru_cache(maxsize=64)
def _pattern(template: str) -> re.Pattern[str]:
    literal = re.split(r"\{(\w+)\}", template)
    body = "".join(f"(?P<{part}>[^/@]+)" if index % 2 else re.escape(part) for index, part in enumerate(literal))
    return re.compile(body + r"@(?P<namespace>[^/@]+)")


_PARTS: dict[type, tuple[tuple[str, bool], ...]] = {}


def _parts(kind: type[QualifiedName]) -> tuple[tuple[str, bool], ...]:
    """The fields of a class of names, and whether each is a number.

    Worked out once, since names are made by the thousand.
    """
    if kind not in _PARTS:
        _PARTS[kind] = tuple((field.name, field.type in ("int", int)) for field in fields(kind))
    return _PARTS[kind]


@dataclass(frozen=True)
class QualifiedName:
    """Base of all names: ``template`` with its fields filled in, then ``@namespace``."""

    template: ClassVar[str]
    type_name: ClassVar[str]

    namespace: str

    def __post_init__(self) -> None:
        for name, is_number in _parts(type(self)):
            value = getattr(self, name)
            if not is_number:
                check_text(value, f"{name} of a {type(self).__name__}")
            elif not isinstance(value, int) or isinstance(value, bool):
                raise InvalidNameError(f"{name} of a {type(self).__name__} is {value!r}; wanted a whole number")

    def __str__(self) -> str:
        """The qualifiedName."""
        values = {name: encode_part(str(getattr(self, name))) for name, _ in _parts(type(self))}
        return f"{self.template.format(**values)}@{values['namespace']}"

    @property
    def key(self) -> str:
        """The token that stands for this name in filters."""
        return token(str(self))

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a qualifiedName of this class, or raise `InvalidNameError`."""
        match = _pattern(cls.template).fullmatch(text)
        if match is None:
            raise InvalidNameError(f"{text!r} is no {cls.__name__}; wanted {cls.template}@namespace")
        values: dict[str, Any] = {name: decode_part(value) for name, value in match.groupdict().items()}
        try:
            values |= {name: int(values[name]) for name, is_number in _parts(cls) if is_number}
        except ValueError as error:
            raise InvalidNameError(f"{text!r} is no {cls.__name__}: {error}") from None
        return cls(**values)


# Airflow's own things: the namespace is that of one Airflow.


@dataclass(frozen=True)
class Dag(QualifiedName):
    """A DAG."""

    template = "dags/{dag}"
    type_name = "mlgov_dag"
    dag: str


@dataclass(frozen=True)
class Task(QualifiedName):
    """A task of a DAG; ``task`` includes the ids of its groups (``group.task``)."""

    template = "dags/{dag}/tasks/{task}"
    type_name = "mlgov_task"
    dag: str
    task: str


@dataclass(frozen=True)
class DagRun(QualifiedName):
    """A run of a DAG, named by Airflow's ``run_id`` (OpenLineage's changes when a run is cleared)."""

    template = "dags/{dag}/runs/{run}"
    type_name = "mlgov_dag_run"
    dag: str
    run: str


@dataclass(frozen=True)
class TaskRun(QualifiedName):
    """One attempt of one task; ``map_index`` is -1 where the task is not mapped."""

    template = "dags/{dag}/runs/{run}/tasks/{task}/{map_index}/{try_number}"
    type_name = "mlgov_task_run"
    dag: str
    run: str
    task: str
    map_index: int
    try_number: int


@dataclass(frozen=True)
class TaskProcess(QualifiedName):
    """What a task does to one set of inputs and outputs; ``digest`` fixes that set (see `ends_digest`)."""

    template = "dags/{dag}/tasks/{task}/io/{digest}"
    type_name = "mlgov_task_process"
    dag: str
    task: str
    digest: str


@dataclass(frozen=True)
class TaskColumns(QualifiedName):
    """Which columns a task makes one column of; ``digest`` fixes both sides."""

    template = "dags/{dag}/tasks/{task}/columns/{digest}"
    type_name = "mlgov_column_lineage"
    dag: str
    task: str
    digest: str


# Machine learning: the namespace is that of the catalogue.


@dataclass(frozen=True)
class Project(QualifiedName):
    """A project, which models and endpoints belong to."""

    template = "ml/{project}"
    type_name = "ml_project"
    project: str


@dataclass(frozen=True)
class Model(QualifiedName):
    """The family of builds that share a name."""

    template = "ml/{project}/models/{model}"
    type_name = "mlgov_model"
    project: str
    model: str


@dataclass(frozen=True)
class Build(QualifiedName):
    """One immutable trained model."""

    template = "ml/{project}/models/{model}/builds/{build}"
    type_name = "mlgov_model_build"
    project: str
    model: str
    build: str

    @property
    def family(self) -> Model:
        """The model this is a build of."""
        return Model(self.namespace, self.project, self.model)


@dataclass(frozen=True)
class Training(QualifiedName):
    """The making of a build."""

    template = "ml/{project}/models/{model}/builds/{build}/training"
    type_name = "mlgov_train_process"
    project: str
    model: str
    build: str


@dataclass(frozen=True)
class Evaluation(QualifiedName):
    """One evaluation of a build."""

    template = "ml/{project}/models/{model}/builds/{build}/evaluations/{evaluation}"
    type_name = "mlgov_evaluation"
    project: str
    model: str
    build: str
    evaluation: str


@dataclass(frozen=True)
class Evaluating(QualifiedName):
    """The making of an evaluation."""

    template = "ml/{project}/models/{model}/builds/{build}/evaluations/{evaluation}/evaluating"
    type_name = "mlgov_evaluate_process"
    project: str
    model: str
    build: str
    evaluation: str


@dataclass(frozen=True)
class Deployment(QualifiedName):
    """One build put into service once."""

    template = "ml/{project}/models/{model}/builds/{build}/deployments/{environment}/{endpoint}/{revision}"
    type_name = "mlgov_model_deployment"
    project: str
    model: str
    build: str
    environment: str
    endpoint: str
    revision: str


@dataclass(frozen=True)
class Deploying(QualifiedName):
    """The making of a deployment."""

    template = "ml/{project}/models/{model}/builds/{build}/deployments/{environment}/{endpoint}/{revision}/deploying"
    type_name = "mlgov_deploy_process"
    project: str
    model: str
    build: str
    environment: str
    endpoint: str
    revision: str


@dataclass(frozen=True)
class Endpoint(QualifiedName):
    """The place that serves, whatever build is behind it now."""

    template = "ml/{project}/endpoints/{environment}/{endpoint}"
    type_name = "mlgov_endpoint"
    project: str
    environment: str
    endpoint: str


# Jobs of other systems that speak OpenLineage: the namespace is that of the catalogue.


@dataclass(frozen=True)
class Job(QualifiedName):
    """A job of another system: OpenLineage's job namespace and name."""

    template = "jobs/{job_namespace}/{job}"
    type_name = "mlgov_job"
    job_namespace: str
    job: str


@dataclass(frozen=True)
class JobProcess(QualifiedName):
    """What a job does to one set of inputs and outputs."""

    template = "jobs/{job_namespace}/{job}/io/{digest}"
    type_name = "mlgov_job_process"
    job_namespace: str
    job: str
    digest: str


@dataclass(frozen=True)
class JobColumns(QualifiedName):
    """Which columns a job makes one column of."""

    template = "jobs/{job_namespace}/{job}/columns/{digest}"
    type_name = "mlgov_column_lineage"
    job_namespace: str
    job: str
    digest: str


@dataclass(frozen=True)
class JobRun(QualifiedName):
    """One run of a job, named by OpenLineage's runId."""

    template = "jobs/{job_namespace}/{job}/runs/{run}"
    type_name = "mlgov_job_run"
    job_namespace: str
    job: str
    run: str


@dataclass(frozen=True)
class Quality(QualifiedName):
    """What the newest tests of a dataset say; ``dataset`` is the token of its type and qualifiedName."""

    template = "quality/{dataset}"
    type_name = "mlgov_quality_result"
    dataset: str


# Data of platforms that Atlas has no types for: the namespace is that of the catalogue.


@dataclass(frozen=True)
class Dataset(QualifiedName):
    """A dataset: OpenLineage's namespace and name."""

    template = "{dataset_namespace}/{dataset}"
    type_name = "mlgov_dataset"
    dataset_namespace: str
    dataset: str


@dataclass(frozen=True)
class Column(QualifiedName):
    """A column of such a dataset."""

    template = "{dataset_namespace}/{dataset}/columns/{column}"
    type_name = "mlgov_column"
    dataset_namespace: str
    dataset: str
    column: str
