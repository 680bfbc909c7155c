"""Builds, evaluations and deployments as OpenLineage datasets: how facts about them travel in an event.

Namespace ``mlgov://<project>``; name ``models/<model>[/builds/<key>[/evaluations/<key> | /deployments/<environment>/
<endpoint>/<revision>]]``, parts percent-encoded as in `identity`. What is known of the thing is in the dataset facet
``mlgov_ml``: a JSON object whose keys are the camelCase names of the fields below. Metrics and parameters travel as
lists of ``{"name", "value"}``, because maskers work on keys: ``max_tokens`` has to survive.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, ClassVar, TypeVar

from airflow_provider_mlgov.errors import InvalidInputError, InvalidNameError
from airflow_provider_mlgov.model.identity import decode_part, encode_part, token

SCHEME = "mlgov"
"""Scheme of the OpenLineage namespace and of asset URIs: ``mlgov://shop/models/churn``."""
FACET = "mlgov_ml"
"""Name of the dataset facet with the facts."""
DEFAULT_PROJECT = "default"
"""The project of models and endpoints that name none."""
DEFAULT_ENVIRONMENT = "production"
"""The environment of endpoints that name none."""

Value = str | int | float | bool | None
T = TypeVar("T", bound="Thing")


def camel(name: str) -> str:
    """``artifact_uri`` as JSON spells it: ``artifactUri``."""
    head, *rest = name.split("_")
    return head + "".join(part.capitalize() for part in rest)


def pairs(values: Mapping[str, Value]) -> list[dict[str, Value]]:
    """``{"a": 1}`` as ``[{"name": "a", "value": 1}]``, sorted by name."""
    return [{"name": name, "value": values[name]} for name in sorted(values)]


def unpairs(values: object) -> dict[str, Value]:
    """Undo `pairs`; what is not of that form is left out."""
    if not isinstance(values, list):
        return {}
    return {
        str(item["name"]): item.get("value")
        for item in values
        if isinstance(item, dict) and "name" in item and isinstance(item.get("value"), Value)
    }


@dataclass(frozen=True, kw_only=True)
class Thing:
    """Base: what all have in common. Field names are facet keys in snake case."""

    kind: ClassVar[str]
    identity: ClassVar[tuple[str, ...]]

    project: str
    model: str
    description: str | None = None

    @property
    def name(self) -> str:
        """The OpenLineage dataset name."""
        raise NotImplementedError

    def facts(self) -> dict[str, Any]:
        """The facet: everything known except what the name says."""
        facts: dict[str, Any] = {}
        for item in fields(self):
            value = getattr(self, item.name)
            if item.name in self.identity or value is None or value == {}:
                continue
            facts[camel(item.name)] = pairs(value) if isinstance(value, dict) else value
        return facts

    def to_dataset(self) -> dict[str, Any]:
        """This thing as an OpenLineage dataset (JSON)."""
        return {
            "namespace": f"{SCHEME}://{encode_part(self.project, 'project')}",
            "name": self.name,
            "facets": {
                FACET: {"kind": self.kind, **self.facts()},
                "datasetType": {"datasetType": "MODEL", "subType": self.kind},
            },
        }


@dataclass(frozen=True, kw_only=True)
class Model(Thing):
    """A model where the build is not known: lineage points at the family."""

    kind = "model"
    identity = ("project", "model")

    @property
    def name(self) -> str:
        """The name of the dataset."""
        return f"models/{encode_part(self.model, 'model')}"


@dataclass(frozen=True, kw_only=True)
class Build(Thing):
    """One immutable trained model."""

    kind = "build"
    identity = ("project", "model", "key")

    key: str
    version: int | None = None
    """Whole number for Atlas's ``version``; where None, the second the training started."""
    aliases: tuple[str, ...] = ()
    """Names that point at this build from now on (``champion``)."""
    registered: bool | None = None
    framework: str | None = None
    algorithm: str | None = None
    artifact_uri: str | None = None
    artifact_digest: str | None = None
    artifact_size: int | None = None
    image_tag: str | None = None
    image_hash: str | None = None
    features: tuple[str, ...] = ()
    target: str | None = None
    parameters: dict[str, Value] = field(default_factory=dict)
    metrics: dict[str, Value] = field(default_factory=dict)
    record: str | None = None
    """The reproducibility record, canonical JSON."""
    record_digest: str | None = None

    @property
    def name(self) -> str:
        """The name of the dataset."""
        return f"models/{encode_part(self.model, 'model')}/builds/{encode_part(self.key, 'key of a build')}"


@dataclass(frozen=True, kw_only=True)
class Evaluation(Thing):
    """One evaluation of a build: its metrics on a named data set."""

    kind = "evaluation"
    identity = ("project", "model", "build", "key")

    build: str
    key: str
    metrics: dict[str, Value] = field(default_factory=dict)
    split: str | None = None
    passed: bool | None = None

    @property
    def name(self) -> str:
        """The name of the dataset."""
        return f"{Build(project=self.project, model=self.model, key=self.build).name}/evaluations/{encode_part(self.key, 'key')}"


@dataclass(frozen=True, kw_only=True)
class Deployment(Thing):
    """One build put into service once."""

    kind = "deployment"
    identity = ("project", "model", "build", "environment", "endpoint", "revision")

    build: str
    environment: str
    endpoint: str
    revision: str
    url: str | None = None
    status: str | None = None
    """One of Atlas's: unknown, deploying, deployed, stopping, stopped."""
    cpu_millicores: int | None = None
    memory_mb: int | None = None
    gpus: int | None = None
    replicas: int | None = None

    @property
    def name(self) -> str:
        """The name of the dataset."""
        build = Build(project=self.project, model=self.model, key=self.build).name
        place = (self.environment, self.endpoint, self.revision)
        return f"{build}/deployments/" + "/".join(encode_part(part, "part of a deployment") for part in place)


_FORMS: dict[tuple[str, ...], type[Thing]] = {
    ("models",): Model,
    ("models", "builds"): Build,
    ("models", "builds", "evaluations"): Evaluation,
    ("models", "builds", "deployments"): Deployment,
}


def from_dataset(namespace: str, name: str, facets: Mapping[str, Any] | None = None) -> Thing:
    """The thing that an OpenLineage dataset of scheme ``mlgov`` stands for.

    Facts of the wrong type are left out; a name of another form raises `InvalidNameError`.
    """
    project = decode_part(namespace.removeprefix(f"{SCHEME}://"))
    parts = name.split("/")
    words = tuple(parts[0:6:2])
    thing = _FORMS.get(words)
    wanted = len(thing.identity) + len(words) - 1 if thing else 0
    if not namespace.startswith(f"{SCHEME}://") or thing is None or len(parts) != wanted or not all(parts):
        raise InvalidNameError(
            f"dataset {name!r} in {namespace!r} names nothing of ours; wanted "
            f"models/<model>[/builds/<key>[/evaluations/<key> | /deployments/<environment>/<endpoint>/<revision>]]"
        )
    values = [decode_part(part) for index, part in enumerate(parts) if index % 2 or index > 5]
    facts = (facets or {}).get(FACET)
    return thing(**dict(zip(thing.identity, [project, *values], strict=True)), **_facts(thing, facts))


def _facts(thing: type[Thing], facet: object) -> dict[str, Any]:
    if not isinstance(facet, Mapping):
        return {}
    facts: dict[str, Any] = {}
    for item in fields(thing):
        value = facet.get(camel(item.name))
        if item.name in thing.identity or value is None:
            continue
        kind = str(item.type)
        if kind.startswith("dict"):
            facts[item.name] = unpairs(value)
        elif kind.startswith("tuple") and isinstance(value, (list, tuple)):
            facts[item.name] = tuple(str(part) for part in value)
        elif (
            (kind.startswith("bool") and isinstance(value, bool))
            or (kind.startswith("int") and isinstance(value, int) and not isinstance(value, bool))
            or (kind.startswith("str") and isinstance(value, str))
        ):
            facts[item.name] = value
    return facts


def derived_key(namespace: str, dag: str, run: str, task: str, map_index: int, try_number: int, name: str = "") -> str:
    """The key of a new build, evaluation or revision where the user gives none: a digest of the task run's name.

    ``name`` tells several things made by one attempt apart.
    """
    return token(namespace, dag, run, task, str(map_index), str(try_number), name)[:16]


def with_key(thing: T, **identity: str) -> T:
    """``thing`` with another identity, such as a key that became known later."""
    unknown = set(identity) - set(thing.identity)
    if unknown:
        raise InvalidInputError(f"{sorted(unknown)} are no parts of the identity of a {thing.kind}: {thing.identity}")
    return replace(thing, **identity)
