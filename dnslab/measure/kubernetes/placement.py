"""Which own pods a plan asks for and where: images, nodes, and the settings of every pod of the run.

Only reads from the API server. Knows nothing of how pods are made or measured.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from dnslab.errors import NotAble, UsageError
from dnslab.measure.kubernetes.api.client import Client
from dnslab.measure.kubernetes.api.names import MACHINES
from dnslab.measure.kubernetes.api.objects import list_nodes, read_workload
from dnslab.measure.kubernetes.pods.manifest import PodSpec, probe_path
from dnslab.plan.model import DEFAULT_IMAGE, ClusterPlan, Plan
from dnslab.plan.resolvconf import ResolverOptions
from dnslab.plan.variants import Variant

#: what a pod outlives the plan's load by: set-up, lookups in flight, other trials of its group
LIFETIME_MARGIN_S = 900
#: machine of a node that may not be read
USUAL_MACHINE = MACHINES["amd64"]


@dataclass(frozen=True)
class Place:
    """An image on a node: one target, or several equal ones."""

    target: str
    image: str
    node: str | None
    machine: str

    @property
    def kind(self) -> tuple[str, str | None]:
        """Image and node. What is learnt from one pod holds for all of the same kind."""
        return self.image, self.node

    def program(self, kind: str) -> str:
        """The path in a pod of dnslab of the probe for this ``kind`` of C library."""
        return probe_path(self.machine, kind)


def chosen_places(client: Client, cluster: ClusterPlan, base: PodSpec) -> list[Place]:
    """The targets that ``cluster`` names, as the API server knows them now. Makes nothing.

    Raises
    ------
    UsageError
        Two images with the same last word; a node that is not there, or fewer than asked for.
    NotAble
        Nodes may not be listed, or take no pod.
    """
    images = cluster.images or (base.image,)
    names = [image.rpartition("/")[2].partition("@")[0].partition(":")[0] for image in images]
    if len(set(names)) != len(names):
        raise UsageError(f"images are told apart by their last word, and these have the same one: {', '.join(images)}")
    nodes = _chosen_nodes(client, cluster.nodes)
    numbers = range(1, cluster.pods_per_node + 1) if cluster.pods_per_node > 1 else (0,)
    return [
        Place(_target_name(name if len(images) > 1 else "", node, number), image, node, machine)
        for image, name in zip(images, names, strict=True)
        for node, machine in nodes
        for number in numbers
    ]


def _target_name(image: str, node: str | None, number: int) -> str:
    name = "@".join(part for part in (image, node) if part) or "pod"
    return f"{name}.{number}" if number else name


def _chosen_nodes(client: Client, wanted: str) -> Sequence[tuple[str | None, str]]:
    """Names and machines of the chosen nodes.

    The right to list nodes is not needed for any one node, or for one by its name.
    """
    try:
        nodes = list_nodes(client, f"for --nodes {wanted}")
    except NotAble:
        if wanted == "1":
            return [(None, USUAL_MACHINE)]
        if not wanted.isdigit() and wanted != "all":
            return [(wanted, USUAL_MACHINE)]
        raise
    unfit = {node["metadata"]["name"]: why_unfit(node) for node in nodes}
    architectures = {node["metadata"]["name"]: node["status"]["nodeInfo"]["architecture"] for node in nodes}
    machines = {name: MACHINES[architectures[name]] for name, reason in unfit.items() if not reason}
    ready = ", ".join(sorted(machines))
    if not wanted.isdigit() and wanted != "all":
        if wanted not in unfit:
            raise UsageError(f"no node {wanted!r}: ready for pods are {ready}")
        if unfit[wanted]:
            raise NotAble(f"node {wanted} takes no pods of dnslab's: {unfit[wanted]}; ready are {ready}")
        return [(wanted, machines[wanted])]
    n_wanted = int(wanted) if wanted.isdigit() else len(machines)
    if len(machines) < n_wanted:
        raise UsageError(f"--nodes {wanted}: {len(machines)} nodes are ready for pods ({ready})")
    if not n_wanted:
        raise NotAble("no node of the cluster is ready for pods")
    return sorted(machines.items())[:n_wanted]


def why_unfit(node: Mapping[str, Any]) -> str:
    """Why no pod of dnslab would run on a node; ``""`` if one would."""
    info, spec = node["status"]["nodeInfo"], node.get("spec") or {}
    if info["operatingSystem"] != "linux" or info["architecture"] not in MACHINES:
        probes = " and ".join(f"linux/{architecture}" for architecture in MACHINES)
        return f"it is {info['operatingSystem']}/{info['architecture']}, there are probes for {probes}"
    if spec.get("unschedulable"):
        return "it is cordoned"
    conditions = {condition["type"]: condition for condition in node["status"].get("conditions") or []}
    ready = conditions.get("Ready")
    if ready is None:
        return "it is not ready"
    if ready["status"] != "True":
        return f"it is not ready ({ready.get('reason')}: {ready.get('message')})"
    taints = [taint for taint in spec.get("taints") or [] if taint["effect"] in ("NoSchedule", "NoExecute")]
    return f"it has the taint {taints[0]['key']}:{taints[0]['effect']}" if taints else ""


def base_spec(client: Client, cluster: ClusterPlan) -> PodSpec:
    """The settings of every pod of the run: the given image, or the settings of the workload that ``like`` names.

    Raises
    ------
    UsageError
        There is no such workload.
    """
    if not cluster.like:
        return PodSpec(image=cluster.images[0] if cluster.images else DEFAULT_IMAGE)
    pod = read_workload(client, cluster.like)["spec"]["template"]["spec"]
    container = pod["containers"][0]
    kept = ("nodeSelector", "affinity", "tolerations", "priorityClassName", "runtimeClassName")
    return PodSpec(
        image=container["image"],
        placement={key: pod[key] for key in kept if pod.get(key)},
        resources=container.get("resources") or {},
        pull_secrets=pod.get("imagePullSecrets") or (),
    )


def pod_spec(
    base: PodSpec, place: Place, variant: Variant | None, kubelet_options: ResolverOptions, lifetime_s: int
) -> PodSpec:
    """A pod at ``place`` with ``variant``.

    Parameters
    ----------
    variant
        None leaves the resolver configuration to the cluster.
    kubelet_options
        What the kubelet writes into a pod's resolv.conf: the variant changes that.
    """
    options, replaced = _dns_options(variant, kubelet_options)
    return replace(
        base,
        image=place.image,
        node=place.node,
        machine=place.machine,
        options=options,
        nameservers_replaced=replaced,
        lifetime_s=lifetime_s,
    )


def _dns_options(variant: Variant | None, kubelet_options: ResolverOptions) -> tuple[ResolverOptions | None, bool]:
    """Options for a pod's dnsConfig: only those that the variant changes, or all if it replaces the nameserver."""
    if variant is None:
        return None, False
    if variant.replaces_lists:
        return variant.applied_to(kubelet_options), True
    return variant.applied_to(ResolverOptions()), False


def lifetime_s(plan: Plan) -> int:
    """The longest life of a pod, s: twice the load of the whole plan, and a wide margin."""
    load_s = sum(load.total_s for load in plan.loads) * plan.rounds
    n_turns = len(plan.variants) if plan.order == "in-turn" else 1
    return int(2 * load_s * n_turns) + LIFETIME_MARGIN_S
