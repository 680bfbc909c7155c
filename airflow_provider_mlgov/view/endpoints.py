"""Which endpoints serve a deployment now, and which have moved on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from airflow_provider_mlgov.catalog.catalog import Catalog
from airflow_provider_mlgov.errors import InvalidNameError
from airflow_provider_mlgov.model import identity
from airflow_provider_mlgov.model.entity import Ref
from airflow_provider_mlgov.view import labels
from airflow_provider_mlgov.view.values import Service, Standing

SERVING = frozenset({"deployed", "deploying", "stopping"})
"""Values of Atlas's deployment status while something answers."""


def standings(catalog: Catalog, deployments: Mapping[Ref, Mapping[str, Any]]) -> tuple[Standing, ...]:
    """How the endpoints of these ``deployments`` (with their facts) stand, in the order of their names.

    Deployments whose names are not ours have no endpoint and are left out.
    """
    places: dict[identity.Endpoint, list[tuple[identity.Deployment, Ref]]] = {}
    for ref in deployments:
        try:
            it = identity.Deployment.parse(ref.qualified_name)
        except InvalidNameError:
            continue
        place = identity.Endpoint(it.namespace, it.project, it.environment, it.endpoint)
        places.setdefault(place, []).append((it, ref))
    if not places:
        return ()
    stored = catalog.get_many(identity.Endpoint.type_name, sorted(str(place) for place in places))
    endpoints = {name: entity.get("attributes") or {} for name, entity in stored.items()}
    states = _states(catalog, endpoints.values(), deployments)
    return tuple(
        _standing(place, places[place], endpoints.get(str(place), {}), states) for place in sorted(places, key=str)
    )


def _states(
    catalog: Catalog, endpoints: Iterable[Mapping[str, Any]], deployments: Mapping[Ref, Mapping[str, Any]]
) -> dict[str, Mapping[str, Any]]:
    """Facts of all deployments by name: those given and those that the endpoints point at now."""
    states: dict[str, Mapping[str, Any]] = {ref.qualified_name: facts for ref, facts in deployments.items()}
    current = {endpoint["currentDeployment"] for endpoint in endpoints if endpoint.get("currentDeployment")}
    others = sorted(current - set(states))
    if others:
        found = catalog.get_many(identity.Deployment.type_name, others)
        states |= {name: entity.get("attributes") or {} for name, entity in found.items()}
    return states


def _standing(
    place: identity.Endpoint,
    deployed: list[tuple[identity.Deployment, Ref]],
    endpoint: Mapping[str, Any],
    states: Mapping[str, Mapping[str, Any]],
) -> Standing:
    current: str | None = endpoint.get("currentDeployment")
    serving = current is not None and _serves(states.get(current))
    services = []
    for it, ref in deployed:
        facts = states[ref.qualified_name]
        build = identity.Build(it.namespace, it.project, it.model, it.build)
        # Without an endpoint entity (made by another client, or not written yet) the deployment's own status decides.
        now = ref.qualified_name == current and serving if current else _serves(facts)
        service = Service(ref, Ref(build.type_name, str(build)), labels.build_name(it), facts.get("status"), now)
        services.append((not now, -(facts.get("createTime") or 0), ref.qualified_name, service))
    build_now = endpoint.get("currentBuild")
    build_ref = Ref(identity.Build.type_name, build_now) if build_now else None
    return Standing(
        ref=Ref(place.type_name, str(place)),
        project=place.project,
        environment=place.environment,
        name=place.endpoint,
        url=endpoint.get("url") or _url(deployed, states, current),
        services=tuple(service for *_, service in sorted(services, key=lambda item: item[:3])),
        current_deployment=Ref(identity.Deployment.type_name, current) if current else None,
        current_build=build_ref,
        current_build_name=labels.name(build_ref) if build_ref else None,
        idle=current is not None and not serving,
    )


def _serves(facts: Mapping[str, Any] | None) -> bool:
    return facts is not None and facts.get("status") in SERVING


def _url(
    deployed: list[tuple[identity.Deployment, Ref]], states: Mapping[str, Mapping[str, Any]], current: str | None
) -> str | None:
    names = [current] if current else []
    names += [ref.qualified_name for _, ref in deployed]
    return next(
        (states[name]["modelEndpointURL"] for name in names if states.get(name, {}).get("modelEndpointURL")), None
    )
