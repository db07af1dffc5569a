"""What a pod of dnslab takes from a workload, so that it is measured as the workload is: network, DNS, place, runtime.

Only reads from the API server. A probe must neither push a customer's pod off a node nor get the traffic of a Service:
priority and labels are never taken.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from dnslab.errors import NotAble, UsageError
from dnslab.measure.kubernetes.api.client import Client
from dnslab.measure.kubernetes.api.names import DEFAULT_CONTAINER, labels
from dnslab.measure.kubernetes.api.objects import list_objects, read
from dnslab.measure.kubernetes.node_fit import selects
from dnslab.measure.kubernetes.pods.manifest import PodSpec

#: how a workload is named -> its kind, and the way to its pod template
KINDS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    **dict.fromkeys(("deploy", "deployment"), ("Deployment", ("spec", "template"))),
    **dict.fromkeys(("sts", "statefulset"), ("StatefulSet", ("spec", "template"))),
    **dict.fromkeys(("ds", "daemonset"), ("DaemonSet", ("spec", "template"))),
    "job": ("Job", ("spec", "template")),
    **dict.fromkeys(("cj", "cronjob"), ("CronJob", ("spec", "jobTemplate", "spec", "template"))),
    "pod": ("Pod", ()),
}
#: what is taken as it stands
PLACED_BY = ("nodeSelector", "tolerations", "runtimeClassName")
#: sidecars that answer or redirect DNS for their pod alone
MESHES = {"istio-proxy": "Istio's sidecar", "linkerd-proxy": "Linkerd's sidecar"}


@dataclass(frozen=True)
class Likeness:
    """A pod that is like a workload's, and in words what it does not share with them."""

    spec: PodSpec
    not_copied: tuple[str, ...] = ()

    def without(self, line: str, **changes: Any) -> Likeness:
        """The same with ``changes`` to its spec, which ``line`` says are not copied."""
        return Likeness(replace(self.spec, **changes), (*self.not_copied, line))


def template_of(client: Client, reference: str) -> dict[str, Any]:
    """The pod template of ``deploy/NAME``, ``sts/``, ``ds/``, ``job/``, ``cronjob/`` or ``pod/NAME``, as JSON.

    Raises
    ------
    UsageError
        No such workload, or no such kind.
    """
    word, _, name = reference.partition("/")
    if word.lower() not in KINDS or not name:
        raise UsageError(f"expected deploy/NAME, sts/, ds/, job/, cronjob/ or pod/NAME, saw {reference!r}")
    kind, path = KINDS[word.lower()]
    item = read(client, kind, name, client.namespace)
    if item is None:
        raise UsageError(f"no {reference} in namespace {client.namespace} of context {client.context}")
    for key in path:
        item = item[key]
    template: dict[str, Any] = item
    return template


def alike(client: Client, reference: str, container: str | None = None) -> Likeness:
    """A pod like those of a workload, whether any of these run or not.

    Parameters
    ----------
    container
        Whose image and resources are taken; default the one that the pods' annotation names, else the first.

    Raises
    ------
    UsageError
        No such workload or container.
    """
    template = template_of(client, reference)
    pod = template["spec"]
    chosen = _container(template, container, reference)
    affinity = pod.get("affinity") or {}
    placement = {key: pod[key] for key in PLACED_BY if pod.get(key)}
    if affinity.get("nodeAffinity"):
        placement["affinity"] = {"nodeAffinity": affinity["nodeAffinity"]}
    spec = PodSpec(
        image=chosen["image"],
        placement=placement,
        resources=_requests(chosen.get("resources") or {}),
        pull_secrets=pod.get("imagePullSecrets") or (),
        host_network=bool(pod.get("hostNetwork")),
        dns_policy=pod.get("dnsPolicy") or "ClusterFirst",
        dns_config=pod.get("dnsConfig") or {},
    )
    own = (template.get("metadata") or {}).get("labels") or {}
    return Likeness(spec, (*_not_copied(pod, affinity), *_policies_of_one(client, own)))


def _container(template: Mapping[str, Any], wanted: str | None, reference: str) -> dict[str, Any]:
    containers: list[dict[str, Any]] = template["spec"]["containers"]
    named = wanted or ((template.get("metadata") or {}).get("annotations") or {}).get(DEFAULT_CONTAINER)
    for container in containers:
        if container["name"] == named:
            return container
    if wanted:
        names = ", ".join(container["name"] for container in containers)
        raise UsageError(f"{reference} has no container {wanted!r}: there are {names}")
    return containers[0]


def _requests(resources: Mapping[str, Any]) -> dict[str, Any]:
    """Resources without a limit of CPU: a probe that is throttled would be measured as slow DNS."""
    limits = {key: value for key, value in (resources.get("limits") or {}).items() if key != "cpu"}
    kept = {"requests": resources.get("requests") or {}, "limits": limits}
    return {key: value for key, value in kept.items() if value}


def _policies_of_one(client: Client, labels_of_workload: Mapping[str, str]) -> list[str]:
    """NetworkPolicies that hold for the workload's pods or for the probe's, and not for both."""
    try:
        policies = list_objects(client, "NetworkPolicy", client.namespace)
    except NotAble as error:
        return [f"NetworkPolicies, which were not seen ({error})"]
    lines = []
    for policy in policies:
        selector, name = policy["spec"].get("podSelector") or {}, policy["metadata"]["name"]
        workload, probe = selects(selector, labels_of_workload), selects(selector, labels("any"))
        if workload != probe:
            pods = ("the workload's pods", "the probe's") if workload else ("the probe's pods", "the workload's")
            lines.append(f"NetworkPolicy {name}: it holds for {pods[0]} and not for {pods[1]}")
    return lines


def _not_copied(pod: Mapping[str, Any], affinity: Mapping[str, Any]) -> list[str]:
    lines = [
        f"{what}: it is about the workload's own pods"
        for key, what in (("podAffinity", "pod affinity"), ("podAntiAffinity", "pod anti-affinity"))
        if affinity.get(key)
    ]
    if pod.get("topologySpreadConstraints"):
        lines.append("topology spread: it is about the workload's own pods")
    if pod.get("priorityClassName"):
        lines.append("priority: a probe must not push pods off a node")
    lines += [
        f"{MESHES[container['name']]}: a mesh adds it to the workload's pods and not to the probe's"
        for container in (*(pod.get("containers") or ()), *(pod.get("initContainers") or ()))
        if container["name"] in MESHES
    ]
    return lines
