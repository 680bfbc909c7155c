"""Builds that nobody needs any more, with what is named after them: only where somebody asks for it, and never one in use.

Whatever is not certain keeps a build: a deployment whose status is not ``stopped``, an endpoint that points at it, an alias, that
it is the newest of its model, or that something else was made of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from airflow_provider_mlgov.catalog.catalog import Catalog, Json
from airflow_provider_mlgov.catalog.twins import edges
from airflow_provider_mlgov.errors import InvalidNameError
from airflow_provider_mlgov.model.identity import Build, Deployment, Endpoint, Model

_PAGE = 100
_STOPPED = "stopped"
_PROCESSES = ("inputToProcesses", "outputFromProcesses")


@dataclass(frozen=True)
class OldBuild:
    """A build that is old enough."""

    name: str
    guids: tuple[str, ...]
    """What is deleted with it: its processes, evaluations and deployments, and itself, last."""
    kept: str = ""
    """Why it stays; empty where it may go."""


def old_builds(catalog: Catalog, model: Model, before: int, *, deployments: bool = False) -> Iterator[OldBuild]:
    """The builds of a model that were made before a time (epoch milliseconds), each once.

    ``deployments``: also those that were deployed, where all of that is over.
    """
    seen: set[str] = set()
    offset = 0
    while page := catalog.search(
        Build.type_name, {"modelKey": model.key}, below={"createTime": before}, limit=_PAGE, offset=offset
    ):
        offset += len(page)
        for header in page:
            name = str(header["attributes"]["qualifiedName"])
            if header["guid"] not in seen and header["typeName"] == Build.type_name:
                seen.add(header["guid"])
                yield look_at(catalog, name, before, deployments=deployments)


def look_at(catalog: Catalog, name: str, before: int, *, deployments: bool) -> OldBuild:
    """Whether a build may go, by what the catalogue says of it now, and not by its index."""
    try:
        build = Build.parse(name)
    except InvalidNameError as error:
        return OldBuild(name, (), f"its name is none of ours: {error}")
    entity = catalog.get(Build.type_name, name, relationships=True)
    if entity is None:
        return OldBuild(name, (), "it is gone already")
    if not 0 < int(entity["attributes"].get("createTime") or 0) < before:
        return OldBuild(name, (), "nobody knows when it was made, or it is not old enough")
    kept = _pointed_at(catalog, build)
    if kept:
        return OldBuild(name, (), kept)
    return _with_its_own(catalog, build, entity, deployments=deployments)


def _pointed_at(catalog: Catalog, build: Build) -> str:
    """What says that this build is meant: an alias, the model's newest build, an endpoint."""
    model = catalog.get(Model.type_name, str(build.family))
    told = model["attributes"] if model is not None else {}
    alias = next((alias for alias, key in (told.get("aliases") or {}).items() if key in (build.build, str(build))), "")
    if alias:
        return f"alias {alias} points at it"
    if told.get("latestBuild") == str(build):
        return "it is the newest build of its model"
    for header in catalog.search(Endpoint.type_name, {"buildKey": build.key}, limit=1):
        return f"endpoint {header['attributes']['qualifiedName']} serves it"
    return ""


def _with_its_own(catalog: Catalog, build: Build, entity: Json, *, deployments: bool) -> OldBuild:
    """The build with all that is named after it, unless something of that is in use."""
    name = str(build)
    head, _, at = name.rpartition("@")
    found: dict[str, Json] = {}
    todo = [entity]
    while todo:
        each = todo.pop()
        if each["guid"] in found:
            continue
        found[each["guid"]] = each
        for relation, item in edges(each):
            if relation == "project":
                continue
            other = catalog.get_by_guid(item["guid"], relationships=True)
            if other is None or other.get("status") == "DELETED":
                continue
            other_name = str(other["attributes"].get("qualifiedName") or "")
            if other_name.startswith(f"{head}/") and other_name.endswith(f"@{at}"):
                todo.append(other)
            elif relation == "inputToProcesses" or (relation in _PROCESSES and each is not entity):
                return OldBuild(name, (), f"{other['typeName']} {other_name} has used it")
    for each in found.values():
        if kept := _in_service(catalog, each, deployments=deployments):
            return OldBuild(name, (), kept)
    return OldBuild(name, (*(guid for guid in found if guid != entity["guid"]), entity["guid"]))


def _in_service(catalog: Catalog, entity: Json, *, deployments: bool) -> str:
    if entity["typeName"] != Deployment.type_name:
        return ""
    name, status = str(entity["attributes"]["qualifiedName"]), entity["attributes"].get("status")
    if status != _STOPPED:
        return f"deployment {name} is {status}"
    it = Deployment.parse(name)
    endpoint = catalog.get(Endpoint.type_name, str(Endpoint(it.namespace, it.project, it.environment, it.endpoint)))
    if endpoint is not None and endpoint["attributes"].get("currentDeployment") == name:
        return f"endpoint {endpoint['attributes']['qualifiedName']} serves it"
    return "" if deployments else f"it was deployed ({name}): --deployments deletes such ones too"


def delete_build(catalog: Catalog, build: OldBuild, *, for_good: bool) -> None:
    """Delete a build that may go, with what is named after it, in one call."""
    if build.kept or not build.guids:
        raise ValueError(f"{build.name} is to be kept: {build.kept}")
    catalog.delete_by_guid(build.guids)
    if for_good:
        catalog.purge(build.guids)
