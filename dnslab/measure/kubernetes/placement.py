"""Which own pods a plan asks for and where: images, nodes, and the settings of every pod of the run.

Only reads from the API server. Knows nothing of how pods are made or measured.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from dnslab.errors import NotAble, UsageError
from dnslab.measure.kubernetes.api.client import Client, Refused
from dnslab.measure.kubernetes.api.names import MACHINES
from dnslab.measure.kubernetes.like import Likeness, alike
from dnslab.measure.kubernetes.node_fit import why_unfit
from dnslab.measure.kubernetes.pods.admission import admit
from dnslab.measure.kubernetes.pods.manifest import PodSpec, probe_path, whole_dns_config
from dnslab.plan.cluster import DEFAULT_IMAGE, ClusterPlan
from dnslab.plan.model import Plan
from dnslab.plan.remedies import with_options
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


def chosen_places(
    client: Client, cluster: ClusterPlan, base: PodSpec, listed: Sequence[Mapping[str, Any]] | NotAble
) -> list[Place]:
    """The targets that ``cluster`` names. Makes nothing. ``listed`` are the nodes, or why they may not be listed.

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
    nodes = _chosen_nodes(client, cluster.nodes, base.placement, listed)
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


def _chosen_nodes(
    client: Client, wanted: str, placement: Mapping[str, Any], nodes: Sequence[Mapping[str, Any]] | NotAble
) -> Sequence[tuple[str | None, str]]:
    """Names and machines of the chosen nodes.

    The right to list nodes is not needed for any one node, or for one by its name.
    """
    if isinstance(nodes, NotAble):
        if wanted == "1":
            return [(None, USUAL_MACHINE)]
        if not wanted.isdigit() and wanted != "all":
            return [(wanted, USUAL_MACHINE)]
        raise NotAble(
            f"--nodes {wanted}: {nodes}: to choose nodes takes the ClusterRole for nodes, an optional part that "
            f"`dnslab manifests rbac --namespace {client.namespace}` prints; without it name one node, or none"
        ) from nodes
    unfit = {node["metadata"]["name"]: why_unfit(node, placement) for node in nodes}
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


def admitted(client: Client, likeness: Likeness) -> Likeness:
    """The same without what the namespace refuses: the node's network, or more resources than its quotas leave."""
    if likeness.spec.host_network and (why := _refusal(client, likeness.spec)):
        # There the kubelet takes ClusterFirst for Default (Kubernetes documentation, "Pod's DNS Policy").
        policy = "Default" if likeness.spec.dns_policy == "ClusterFirst" else likeness.spec.dns_policy
        line = f"the node's network (hostNetwork): {why}"
        likeness = likeness.without(line, host_network=False, dns_policy=policy)
    usual = replace(likeness.spec, resources={})
    if likeness.spec.resources and (why := _refusal(client, likeness.spec)) and not _refusal(client, usual):
        likeness = likeness.without(f"resources: {why}", resources={})
    return likeness


def _refusal(client: Client, spec: PodSpec) -> str:
    try:
        admit(client, spec)
    except Refused as error:
        return str(error)
    return ""


def base_spec(client: Client, cluster: ClusterPlan) -> Likeness:
    """The settings of every pod of the run: the given image, or what the workload that ``like`` names has.

    Raises
    ------
    UsageError
        There is no such workload.
    """
    if cluster.like:
        return admitted(client, alike(client, cluster.like, cluster.container))
    return Likeness(PodSpec(image=cluster.images[0] if cluster.images else DEFAULT_IMAGE))


def pod_spec(
    base: PodSpec, place: Place, variant: Variant | None, kubelet_options: ResolverOptions, lifetime_s: int
) -> PodSpec:
    """A pod at ``place`` with ``variant``.

    Parameters
    ----------
    variant
        None leaves the resolver configuration as it stands.
    kubelet_options
        What the kubelet writes into the resolv.conf of a pod as it stands: the variant changes that.
    """
    spec = replace(base, image=place.image, node=place.node, machine=place.machine, lifetime_s=lifetime_s)
    if variant is None or variant.applied_to(kubelet_options) == kubelet_options:
        return spec
    if variant.replaces_lists:
        return replace(spec, dns_policy="None", dns_config=whole_dns_config(variant.applied_to(kubelet_options)))
    options = with_options(base.dns_config.get("options") or (), variant)
    return replace(spec, dns_config={**base.dns_config, "options": options})


def lifetime_s(plan: Plan) -> int:
    """The longest life of a pod, s: twice the load of the whole plan, and a wide margin."""
    load_s = sum(load.total_s for load in plan.loads) * plan.rounds
    n_turns = len(plan.variants) if plan.order == "in-turn" else 1
    return int(2 * load_s * n_turns) + LIFETIME_MARGIN_S
