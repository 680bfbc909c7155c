"""Roles come from what a task touches: which processes one run did, and which inputs each of them took.

| in                          | out        | role       |
|-----------------------------|------------|------------|
| data                        | build      | training   |
| build (and data)            | build      | training (derived: fine-tuned, quantised, converted) |
| build, data                 | evaluation | evaluating |
| build                       | deployment | deploying  |
| build or deployment, data   | data       | scoring    |
| data                        | data       | ordinary   |

One attempt may make several things: one process each. Data marked with a split goes to the evaluation of that split,
or to the build if it is ``train``; unmarked data goes to the build, and to the evaluation only if no build is made.
What is both read and written (registering a build) only has its facts updated. What no role takes stays on an
ordinary process: the candidates among which a build was chosen, for instance, with the chosen one.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from airflow_provider_mlgov.model import identity, ml
from airflow_provider_mlgov.model.entity import Ref
from airflow_provider_mlgov.translate.datasets import End
from airflow_provider_mlgov.translate.flows import Flow

Role = Literal["training", "evaluating", "deploying", "scoring", "ordinary"]


@dataclass(frozen=True)
class Work:
    """One process: what took in what and gave what."""

    role: Role
    inputs: tuple[Ref, ...]
    outputs: tuple[Ref, ...]
    thing: ml.Thing | None = None
    """What was made, for the roles that are named after it."""


def build_name(thing: ml.Evaluation | ml.Deployment, at: str) -> identity.Build:
    """The build that was evaluated or deployed."""
    return identity.Build(at, thing.project, thing.model, thing.build)


def without_families(ends: Sequence[End]) -> list[End]:
    """The ends without models of which a build is there too: one door knew the build, another only the model."""
    known = {(end.thing.project, end.thing.model) for end in ends if end.thing and not isinstance(end.thing, ml.Model)}
    return [
        end for end in ends if not (isinstance(end.thing, ml.Model) and (end.thing.project, end.thing.model) in known)
    ]


def updated(inputs: Iterable[End], outputs: Iterable[End]) -> set[Ref]:
    """Things of ours that are both read and written: only their facts change."""
    read = {end.ref for end in inputs}
    return {end.ref for end in outputs if end.ref in read and _is_made(end)}


def _is_made(end: End) -> bool:
    return isinstance(end.thing, (ml.Build, ml.Evaluation, ml.Deployment))


def assign(
    inputs: Sequence[End], outputs: Sequence[End], at: str, flows: Mapping[Ref, Flow] = MappingProxyType({})
) -> list[Work]:
    """The processes of one run; ``at`` is the namespace of the catalogue, ``flows`` what is known of single outputs."""
    if not any(end.thing for end in (*inputs, *outputs)):
        return _split("ordinary", _refs(inputs), _refs(outputs), flows) if inputs or outputs else []
    facts_only = updated(inputs, outputs)
    made = [end for end in outputs if end.ref not in facts_only]
    builds = [end for end in made if isinstance(end.thing, ml.Build)]
    evaluations = [end for end in made if isinstance(end.thing, ml.Evaluation)]
    deployments = [end for end in made if isinstance(end.thing, ml.Deployment)]
    data = [end for end in inputs if end.thing is None]

    work = _evaluating(inputs, data, evaluations, at, flows, alone=not builds)
    work += _deploying(deployments, at)
    subjects = {ref for item in work for ref in item.inputs if ref.type_name == identity.Build.type_name}
    parents = [
        end for end in inputs if isinstance(end.thing, (ml.Build, ml.Model)) and end.ref not in subjects | facts_only
    ]
    work += _training(builds, parents, data, {ref for item in work for ref in item.inputs}, flows)
    taken = {ref for item in work for ref in item.inputs} | facts_only
    products = [end for end in made if not _is_made(end)]
    if not products:
        rest = [end for end in inputs if end.ref not in taken]
        chosen = [end for end in inputs if end.ref in facts_only]
        return [*work, Work("ordinary", _refs([*rest, *chosen]), ())] if rest else work
    bases = {end.ref for end in parents} if builds else set()
    models = [
        end for end in inputs if isinstance(end.thing, (ml.Build, ml.Model, ml.Deployment)) and end.ref not in bases
    ]
    rest = [end for end in inputs if end.thing is None or end in models or end.ref not in taken]
    role: Role = "scoring" if models and data else "ordinary"
    return [*work, *_split(role, _refs(rest), _refs(products), flows, {end.ref for end in models}, taken)]


def _split(
    role: Role,
    inputs: tuple[Ref, ...],
    outputs: tuple[Ref, ...],
    flows: Mapping[Ref, Flow],
    common: Collection[Ref] = (),
    taken: Collection[Ref] = (),
) -> list[Work]:
    """One process per group of outputs that are made of the same inputs; ``common`` go into all of them.

    Where it is not said what an output is made of, it is all inputs. The lineage of columns leaves out what only filters, in
    older producers, so it counts only where there are outputs to tell apart. Inputs that feed nothing, and are not ``taken`` by
    another role, stay on a process of their own.
    """
    known = {
        output: flow
        for output in outputs
        if (flow := flows.get(output)) and not flow.is_open and (flow.is_certain or len(outputs) > 1)
    }
    groups: dict[tuple[Ref, ...], list[Ref]] = {}
    if len(known) < len(outputs) or not outputs:
        groups[inputs] = [output for output in outputs if output not in known]
    for output, flow in known.items():
        groups.setdefault(_sorted({*flow.inputs, *common}), []).append(output)
    work = [Work(role, taken, _sorted(made)) for taken, made in groups.items() if taken or made]
    rest = set(inputs).difference(taken, *groups)
    return [*work, Work("ordinary", _sorted(rest), ())] if rest else work


def _evaluating(
    inputs: Sequence[End],
    data: Sequence[End],
    evaluations: Sequence[End],
    at: str,
    flows: Mapping[Ref, Flow],
    *,
    alone: bool,
) -> list[Work]:
    marked = [end for end in data if _is_held_out(end)]
    common = [end.ref for end in data if end not in marked] if alone else []
    work = []
    for end in evaluations:
        thing = end.thing
        if not isinstance(thing, ml.Evaluation):
            continue
        build = build_name(thing, at)
        served = [
            other.ref
            for other in inputs
            if isinstance(other.thing, ml.Deployment) and build_name(other.thing, at) == build
        ]
        of_split = [other for other in marked if other.split == (thing.split or "").lower()] or marked
        of_data = _said(end, flows) or {*common, *(other.ref for other in of_split)}
        ends = [Ref(build.type_name, str(build)), *served, *of_data]
        work.append(Work("evaluating", _sorted(ends), (end.ref,), thing))
    return work


def _deploying(deployments: Sequence[End], at: str) -> list[Work]:
    work = []
    for end in deployments:
        if isinstance(end.thing, ml.Deployment):
            build = build_name(end.thing, at)
            work.append(Work("deploying", (Ref(build.type_name, str(build)),), (end.ref,), end.thing))
    return work


def _training(
    builds: Sequence[End], parents: Sequence[End], data: Sequence[End], taken: set[Ref], flows: Mapping[Ref, Flow]
) -> list[Work]:
    own = {end.ref for end in data if not (_is_held_out(end) and end.ref in taken)} | {end.ref for end in parents}
    return [Work("training", _sorted(_said(end, flows) or own), (end.ref,), end.thing) for end in builds]


def _said(end: End, flows: Mapping[Ref, Flow]) -> set[Ref]:
    """What the event says that this is made of; empty where it does not say all of it."""
    flow = flows.get(end.ref)
    return set(flow.inputs) if flow is not None and flow.is_certain and not flow.is_open else set()


def _is_held_out(end: End) -> bool:
    return end.split not in (None, "train", "training")


def _refs(ends: Iterable[End]) -> tuple[Ref, ...]:
    return _sorted(end.ref for end in ends)


def _sorted(refs: Iterable[Ref]) -> tuple[Ref, ...]:
    return tuple(sorted(set(refs), key=lambda ref: (ref.type_name, ref.qualified_name)))
