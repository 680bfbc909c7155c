"""Assets of ours (``mlgov://<project>/models/<model>`` …) as builds, models and deployments."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import unquote, urlsplit

from airflow_provider_mlgov.errors import InvalidInputError
from airflow_provider_mlgov.lineage.facts import Attempt
from airflow_provider_mlgov.model import ml
from airflow_provider_mlgov.model.identity import encode_part

Json = dict[str, Any]
EXTRA = "mlgov"
"""The key of an asset's or asset event's extra that holds our facts."""
log = logging.getLogger(__name__)


def is_ours(uri: str) -> bool:
    """Whether an asset URI is one of ours."""
    return uri.startswith(f"{ml.SCHEME}:")


def parse(uri: str, extra: Mapping[str, Any]) -> ml.Thing | None:
    """What a URI of ours stands for, with the facts that its extra holds: a build where the key is known, else the model.

    None for an endpoint of which the extra does not say what is behind it. Raises `InvalidNameError` for any other form.
    """
    parts = urlsplit(uri)
    facts = _facts(extra)
    names = [unquote(part) for part in parts.path.split("/") if part]
    project = encode_part(unquote(parts.netloc), "project")
    if len(names) == 3 and names[0] == "endpoints":
        wanted = [facts.get(name) for name in ("model", "build", "revision")]
        if not all(wanted):
            return None
        model, build, revision = (str(part) for part in wanted)
        names = ["models", model, "builds", build, "deployments", names[1], names[2], revision]
    elif len(names) == 2 and names[0] == "models" and facts.get("build"):
        names += ["builds", str(facts["build"])]
    name = "/".join(encode_part(part, "part of an asset's URI") for part in names)
    return ml.from_dataset(f"{ml.SCHEME}://{project}", name, {ml.FACET: facts})


def _facts(extra: Mapping[str, Any] | None) -> Mapping[str, Any]:
    found = (extra or {}).get(EXTRA)
    return found if isinstance(found, Mapping) else {}


def same_family(thing: ml.Thing, datasets: Iterable[Json]) -> bool:
    """Whether one of these datasets is a build or deployment of the same model: then it says more than the model alone."""
    for dataset in datasets:
        try:
            other = ml.from_dataset(str(dataset.get("namespace")), str(dataset.get("name")))
        except InvalidInputError:
            continue
        if (other.project, other.model) == (thing.project, thing.model) and not isinstance(other, ml.Model):
            return True
    return False


def endpoint_known(uri: str, datasets: Iterable[Json]) -> bool:
    """Whether one of these datasets is a deployment on the endpoint that ``uri`` names."""
    parts = urlsplit(uri)
    names = [unquote(part) for part in parts.path.split("/") if part]
    for dataset in datasets:
        try:
            other = ml.from_dataset(str(dataset.get("namespace")), str(dataset.get("name")))
        except InvalidInputError:
            continue
        if isinstance(other, ml.Deployment) and names[1:] == [other.environment, other.endpoint]:
            return True
    return False


def output(uri: str, extra: Mapping[str, Any], attempt: Attempt, namespace: str, known: Iterable[Json]) -> Json | None:
    """The dataset that a task wrote by having this outlet. A build that nobody gave a key gets the attempt's own."""
    known = list(known)
    thing = parse(uri, extra)
    if thing is None:
        if not endpoint_known(uri, known):
            log.warning(
                "Outlet %s is left out of the lineage: nothing says which build was deployed; "
                "use a deploying operator, or put {'mlgov': {'model', 'build', 'revision'}} into the extra of its asset event",
                uri,
            )
        return None
    if not isinstance(thing, ml.Model):
        return thing.to_dataset()
    if same_family(thing, known):
        return None
    key = ml.derived_key(namespace, *attempt, thing.model)
    build = ml.from_dataset(
        f"{ml.SCHEME}://{encode_part(thing.project)}", f"{thing.name}/builds/{key}", {ml.FACET: dict(_facts(extra))}
    )
    return build.to_dataset()


def input_(uri: str, extras: Iterable[Mapping[str, Any]], known: Iterable[Json]) -> Json | None:
    """The dataset that a task read by having this inlet; ``extras`` in the order in which they decide."""
    known = list(known)
    found: ml.Thing | None = None
    for extra in extras:
        thing = parse(uri, extra)
        if thing is not None and not isinstance(thing, ml.Model):
            return thing.to_dataset()
        found = found or thing
    if found is None:
        if not endpoint_known(uri, known):
            log.warning("Inlet %s is left out of the lineage: nothing says which build is behind the endpoint", uri)
        return None
    if same_family(found, known):
        return None
    log.warning(
        "Inlet %s: neither key, asset event nor extra says which build is meant, so the lineage points at the model",
        uri,
    )
    return found.to_dataset()
