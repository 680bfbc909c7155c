"""Training: data in, a build out."""

from __future__ import annotations

import inspect
import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any

from airflow_provider_mlgov.errors import InvalidInputError
from airflow_provider_mlgov.model import ml
from airflow_provider_mlgov.operators.base import MlgovOperator, attempt_of, plain_values
from airflow_provider_mlgov.operators.reference import to_reference

if TYPE_CHECKING:
    from airflow_provider_mlgov.lineage.facts import Attempt

Json = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Trained:
    """What a training function returns; a dict with these keys, or just the artefact, will do as well."""

    artifact: str | PurePath | None = None
    """Where the artefact is: a local path (it is read for digest and size) or a URI."""
    metrics: Mapping[str, Any] = field(default_factory=dict)
    parameters: Mapping[str, Any] = field(default_factory=dict)
    """Added to the scalar ``op_kwargs``, which count as parameters anyway."""
    framework: str | None = None
    algorithm: str | None = None
    features: Sequence[str] = ()
    target: str | None = None
    description: str | None = None


class TrainModelOperator(MlgovOperator):
    """Train a model: ``python_callable`` trains and returns what it made (see `Trained`).

    The key of the build is fixed before it is called: ``version`` if given, else a digest of the attempt's name, so
    that a retry makes another build. The callable may ask for it by a parameter named ``build``. What the training
    reads is declared by inlets, or said inside by `airflow_provider_mlgov.lineage.read`. Returns a reference to the
    build: ``{"project", "model", "build", "artifact_uri", "metrics", …}``. If the `Model` asset is in the outlets,
    its event carries the same.
    """

    template_fields: Sequence[str] = (*MlgovOperator.template_fields, "version")
    ui_color = "#d9f0e3"

    def __init__(self, *, python_callable: Callable[..., Any], version: str | None = None, **kwargs: Any) -> None:
        super().__init__(python_callable=python_callable, **kwargs)
        self.version = version

    def execute(self, context: Mapping[str, Any]) -> Json:
        """Train, and return the reference to the build."""
        from airflow_provider_mlgov.assets import Model

        project, model = self.named_family()
        attempt = attempt_of(context)
        build = ml.Build(project=project, model=model, key=self.version or self.new_key(attempt, model))
        trained = _read(self.call(context, build=build))
        build = self._filled(build, trained, attempt, context)
        self.makes(attempt, build, context, Model(model, project=project))
        return to_reference(build)

    def _filled(self, build: ml.Build, trained: Trained, attempt: Attempt, context: Mapping[str, Any]) -> ml.Build:
        given = {name: value for name, value in self.op_kwargs.items() if isinstance(value, ml.Value)}
        build = replace(
            build,
            framework=trained.framework,
            algorithm=trained.algorithm,
            features=tuple(str(name) for name in trained.features),
            target=trained.target,
            description=trained.description,
            parameters=plain_values({**given, **trained.parameters}, "parameters"),
            metrics=plain_values(trained.metrics, "metrics"),
        )
        if trained.artifact is not None:
            build = _with_artifact(build, trained.artifact)
        text, digest = self._record(build, attempt, context)
        return replace(build, record=text, record_digest=digest)

    def _record(self, build: ml.Build, attempt: Attempt, context: Mapping[str, Any]) -> tuple[str, str]:
        from airflow_provider_mlgov._compat import airflow_version
        from airflow_provider_mlgov.capture.git import GitFacts, git_facts
        from airflow_provider_mlgov.capture.packages import packages_digest
        from airflow_provider_mlgov.masking import HIDDEN, is_secret
        from airflow_provider_mlgov.model.record import make_record

        source = _source_of(self.python_callable)
        code = (git_facts(source.parent) if source else None) or GitFacts()
        logical_date = context.get("logical_date")
        return make_record(
            {
                "build": {"project": build.project, "model": build.model, "key": build.key},
                "run": {
                    "dagId": attempt.dag_id,
                    "runId": attempt.run_id,
                    "taskId": attempt.task_id,
                    "mapIndex": attempt.map_index,
                    "tryNumber": attempt.try_number,
                    "logicalDate": logical_date.isoformat() if logical_date else None,
                },
                "code": {
                    "file": source.name if source else None,
                    "function": getattr(self.python_callable, "__qualname__", None),
                    "commit": code.commit,
                    "branch": code.branch,
                    "dirty": code.dirty,
                    "remote": code.remote,
                },
                "environment": {
                    "python": platform.python_version(),
                    "platform": platform.platform(),
                    "airflow": airflow_version(),
                    "packages": packages_digest(),
                },
                "training": {
                    "parameters": {
                        name: HIDDEN if is_secret(name) else value for name, value in build.parameters.items()
                    },
                    "framework": build.framework,
                    "algorithm": build.algorithm,
                    "features": list(build.features) or None,
                    "target": build.target,
                },
                "artifact": {"uri": build.artifact_uri, "digest": build.artifact_digest, "size": build.artifact_size},
            }
        )


def _read(returned: object) -> Trained:
    if isinstance(returned, Trained):
        return returned
    if returned is None or isinstance(returned, (str, PurePath)):
        return Trained(artifact=returned)
    names = {item.name for item in fields(Trained)}
    if isinstance(returned, Mapping) and set(returned) <= names:
        return Trained(**{str(name): value for name, value in returned.items()})
    raise InvalidInputError(
        f"the training function returned {returned!r:.200}; wanted Trained(…), a dict with keys among {sorted(names)}, "
        f"or where the artefact is"
    )


def _with_artifact(build: ml.Build, location: str | PurePath) -> ml.Build:
    from airflow_provider_mlgov.capture.artifact import artifact

    try:
        found = artifact(location if isinstance(location, str) else Path(location))
    except FileNotFoundError:
        raise InvalidInputError(
            f"the training function says that its artefact is at {str(location)!r}, but nothing is there: "
            f"return where it was written"
        ) from None
    return replace(build, artifact_uri=found.uri, artifact_digest=found.digest, artifact_size=found.size)


def _source_of(function: Callable[..., Any]) -> Path | None:
    try:
        file = inspect.getsourcefile(inspect.unwrap(function))
    except TypeError:  # a callable object or a builtin
        return None
    return Path(file) if file and Path(file).is_file() else None
