"""What a target is called for people: as the workload whose pods it stands for, where dnslab made pods like those."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from dnslab.plan.model import Plan
from dnslab.store.client import ClientRecord
from dnslab.store.contents import Environment

#: how pods are called that stand on no node by name: ``pod``, or ``pod.1``, ``pod.2`` where there are several
POD = "pod"


def labels(plan: Plan, environment: Environment) -> dict[str, str]:
    """By target, its name for people; empty where targets keep their names.

    Several targets on named nodes keep theirs, because the node is what tells them apart, and so do those that a plan
    lists by name.
    """
    workload, names = plan.cluster.like, [target.name for target in environment.targets]
    if not workload or plan.targets:
        return {}
    if len(names) == 1:
        return {names[0]: workload}
    return {name: workload + name.removeprefix(POD) for name in names if name.startswith(f"{POD}.")}


def with_labels(environment: Environment, names: Mapping[str, str]) -> Environment:
    """The environment with these names of targets."""
    backend = environment.backend
    targets = [
        target.model_copy(update={"name": names.get(target.name, target.name)}) for target in environment.targets
    ]
    places = [
        place.model_copy(update={"target": names.get(place.target, place.target)}) for place in backend.places or ()
    ]
    update = {"places": places} if backend.places is not None else {}
    return environment.model_copy(update={"targets": targets, "backend": backend.model_copy(update=update)})


def with_label(client: ClientRecord, names: Mapping[str, str]) -> ClientRecord:
    """The client with this name of its target. Its files keep theirs."""
    target = names.get(client.target)
    if target is None:
        return client
    return replace(client, target=target, start=client.start.model_copy(update={"target": target}))
