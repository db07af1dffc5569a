"""Whether a node-local cache answers in front of the cluster's DNS.

Only reads. What may not be read is reported as unknown, never guessed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import kubernetes

from dnslab.errors import NotAble, UsageError
from dnslab.measure.kubernetes.api import objects
from dnslab.measure.kubernetes.api.client import TIMEOUT_S, Client, Refused, answered, connect
from dnslab.measure.kubernetes.api.objects import list_objects, read
from dnslab.measure.kubernetes.cluster_dns import SYSTEM, UPSTREAM, FoundDns, find, name_of
from dnslab.measure.kubernetes.pods.condition import is_ready
from dnslab.plan.model import CustomVariant, Plan
from dnslab.plan.remedies import ClusterDns, Workload, can_be_patched
from dnslab.plan.resolvconf import is_address, is_of_node, parse
from dnslab.plan.variants import DIRECT, NODE_LOCAL_ADDRESS, Variant, find as find_variant

#: k8s-app of the DaemonSets of Kubernetes and of kubespray
LABELS = {"node-local-dns", "nodelocaldns"}


@dataclass(frozen=True)
class Detection:
    """Whether a node-local cache answers, with the evidence and what could not be read.

    ``addresses`` are those it listens on, where known. ``owns_cluster_ip``: it answers in place of kube-dns too, so a
    pod that changes nothing is its client already; None where that is not known.
    """

    state: Literal["detected", "absent", "unknown"]
    addresses: tuple[str, ...] = ()
    owns_cluster_ip: bool | None = None
    evidence: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()

    @property
    def lines(self) -> list[str]:
        """The state, then a line for each piece of evidence and for each thing that could not be read."""
        owned = {
            True: " and owns the cluster IP: the baseline is node-local already",
            False: ", not on the cluster IP",
            None: "; whether it owns the cluster IP is not known",
        }[self.owns_cluster_ip]
        where = f" on {', '.join(self.addresses) or 'an unknown address'}{owned}" if self.state == "detected" else ""
        head = f"node-local cache: {self.state}{where}"
        return [head, *(f"  {line}" for line in self.evidence), *(f"  not seen: {line}" for line in self.unknown)]


def completed(plan: Plan) -> Plan:
    """The plan with the nameservers that only its cluster knows: of CoreDNS itself, and of a node-local cache.

    Raises
    ------
    UsageError
        ``cluster-dns-direct`` is asked for, and there is no Service for it.
    """
    names = [name for name in plan.variants if name not in plan.custom_variants]
    asks_cache = any(plan.variant(name).node_local for name in names) and not plan.cluster.node_local
    if DIRECT not in names and not asks_cache:
        return plan
    client = connect(plan.cluster.context, plan.cluster.namespace)
    found: dict[str, Any] = {}
    if DIRECT in names:
        found["custom_variants"] = {**plan.custom_variants, DIRECT: _direct(client)}
    if asks_cache:
        dns, cache = dns_and_cache(client)
        address = for_remedy(find_variant("node-local"), dns, cache)[0].node_local
        if address != NODE_LOCAL_ADDRESS:
            found["cluster"] = plan.cluster.model_copy(update={"node_local": address})
    return plan.model_copy(update=found)


def _direct(client: Client) -> CustomVariant:
    """The variant that asks CoreDNS and not a node-local cache: its nameserver is the Service that the cache asks."""
    service = read(client, "Service", UPSTREAM, SYSTEM)
    address = str(service["spec"].get("clusterIP")) if service else ""
    if not is_address(address):
        raise UsageError(
            f"{DIRECT} asks the Service {SYSTEM}/{UPSTREAM}, which comes with a node-local cache, and there is none: "
            "the baseline asks CoreDNS itself"
        )
    return CustomVariant(summary=f"nameserver {UPSTREAM}", nameservers=(address,))


def read_workload(client: Client, reference: str) -> Workload:
    """The DNS settings in the pod template of ``deploy/NAME``, ``sts/NAME`` or ``ds/NAME``.

    Raises
    ------
    UsageError
        No such workload, or a kind whose pods cannot be patched.
    """
    if not can_be_patched(reference):
        raise UsageError(f"expected deploy/NAME, sts/NAME or ds/NAME, saw {reference!r}: only their pods are replaced")
    workload = objects.read_workload(client, reference)
    return Workload.of(reference, client.namespace, client.context, workload["spec"]["template"])


def status(client: Client, node: str | None = None, resolv_conf: str = "", dns: FoundDns | None = None) -> Detection:
    """Whether a node-local cache answers pods of ``node`` (default: of any node), judged by the configuration.

    Parameters
    ----------
    resolv_conf
        Of a target, where it was read: its nameserver tells most.
    dns
        The cluster's, where it was found already.
    """
    dns = dns or find(client, resolv_conf)
    addresses = _by_resolv_conf(resolv_conf)
    evidence = [f"resolv.conf names {', '.join(addresses)}: an address of the node"] if addresses else []
    unknown: list[str] = []
    owners: list[bool | None] = []  # for each cache: whether it owns the cluster IP
    try:
        policies = _redirect_policies(client, dns)
    except NotAble as error:
        policies = []
        unknown.append(str(error))
    for policy in policies:
        owners.append(True)
        evidence.append(f"CiliumLocalRedirectPolicy {name_of(policy)} redirects the cluster's DNS to the node")
    try:
        for daemon_set in daemon_sets(client):
            n_ready, n_all = _ready(client, daemon_set, node)
            listens = listens_on(client, daemon_set)
            title = f"DaemonSet {name_of(daemon_set)}"
            where = f"{n_ready} of {n_all} on node {node}" if node else f"{n_ready} of {n_all} nodes"
            evidence.append(f"{title} ({image_of(daemon_set)}) on {', '.join(listens) or '?'}: ready, {where}")
            if not _sets_up_interface(daemon_set):
                found = "through a redirect policy" if policies else "through a redirect policy, and none leads to it"
                evidence.append(f"{title} makes no address on the node (-setupinterface=false): pods reach it {found}")
            elif n_ready:
                addresses += [address for address in listens if address not in addresses]
                owners.append(_owns(listens, dns, bool(policies)))
                if owners[-1] is False and set(listens).intersection(dns.addresses):
                    evidence.append("Cilium answers for the cluster IP: pods pass by a cache that listens on it")
            elif n_all:
                unknown.append(f"when {title} is ready again, and what it left on the node")
    except NotAble as error:
        unknown.append(str(error))
    if addresses or owners:
        owns = _owns_cluster_ip(owners, is_complete=not unknown)
        return Detection("detected", tuple(addresses), owns, tuple(evidence), tuple(unknown))
    if not unknown:
        evidence.append("a cache of the node's own system shows in behaviour only (looked at DaemonSets and policies)")
    return Detection("unknown" if unknown else "absent", (), None, tuple(evidence), tuple(unknown))


def _owns(listens: Sequence[str], dns: FoundDns, is_redirected: bool) -> bool | None:
    """Whether a cache that listens on ``listens`` answers in place of the cluster's DNS."""
    if not listens or not dns.addresses:
        return None
    if not set(listens).intersection(dns.addresses):
        return False
    return dns.proxy_mode != "cilium" or is_redirected


def _sets_up_interface(daemon_set: Mapping[str, Any]) -> bool:
    return not re.search(r"(?:^| )--?setupinterface=false\b", " ".join(_arguments(daemon_set)))


def _arguments(daemon_set: Mapping[str, Any]) -> list[str]:
    container = daemon_set["spec"]["template"]["spec"]["containers"][0]
    return [word for part in ("command", "args") for word in container.get(part) or ()]


def _owns_cluster_ip(owners: Sequence[bool | None], is_complete: bool) -> bool | None:
    """Whether any cache owns the cluster IP. ``is_complete`` says that no cache can have been missed."""
    if True in owners:
        return True
    return False if owners and None not in owners and is_complete else None


def dns_and_cache(client: Client) -> tuple[FoundDns, Detection]:
    """The cluster's DNS and its node-local cache."""
    dns = find(client)
    return dns, status(client, dns=dns)


def for_remedy(variant: Variant, dns: FoundDns, cache: Detection) -> tuple[ClusterDns, str | None]:
    """What a patch needs to know of the cluster, and why the variant would not work there (None: it would)."""
    own = [address for address in cache.addresses if address not in dns.addresses]
    fitting = [address for address in own if not dns.addresses or (":" in address) in {":" in a for a in dns.addresses}]
    found = {
        "address": next(iter(dns.addresses), ""),
        "zone": next(iter(dns.zones), ""),
        "node_local": next(iter(fitting), ""),
    }
    known = ClusterDns(**{key: value for key, value in found.items() if value})
    if variant.node_local and not found["node_local"]:
        if cache.owns_cluster_ip:
            return known, "a node-local cache answers on the cluster IP: every pod asks it already"
        return known, "no node-local cache was found at an address that pods could ask: see `dnslab node-cache status`"
    if variant.replaces_lists and not (found["address"] and found["zone"]):
        return known, "a patch has to name the cluster's nameserver and zone, and not both were found"
    return known, None


def _by_resolv_conf(text: str) -> list[str]:
    """Nameservers in a resolv.conf text that are addresses on the node itself."""
    return [address for address in parse(text).nameservers if is_of_node(address)]


def daemon_sets(client: Client) -> list[Any]:
    """DaemonSets of node-local caches in all namespaces."""
    return [daemon_set for daemon_set in list_objects(client, "DaemonSet", None) if _is_cache(daemon_set)]


def _is_cache(daemon_set: Mapping[str, Any]) -> bool:
    of_pods = daemon_set["spec"]["template"]["metadata"].get("labels", {})
    labels = {**(daemon_set["metadata"].get("labels") or {}), **of_pods}
    return labels.get("k8s-app") in LABELS or "node-cache" in image_of(daemon_set)


def image_of(workload: Mapping[str, Any]) -> str:
    """Image of the first container of a workload's pods."""
    return str(workload["spec"]["template"]["spec"]["containers"][0].get("image", ""))


def listens_on(client: Client, daemon_set: Mapping[str, Any]) -> list[str]:
    """Addresses that a cache listens on: those of its ``-localip`` argument, else of the Corefile that it mounts."""
    pod = daemon_set["spec"]["template"]["spec"]
    match = re.search(r"(?:^| )--?localip[ =]([^\s]+)", " ".join(_arguments(daemon_set)))
    if match:
        return [address for address in match[1].split(",") if is_address(address)]
    for volume in pod.get("volumes") or ():
        name = (volume.get("configMap") or {}).get("name")
        config = read(client, "ConfigMap", name, daemon_set["metadata"]["namespace"]) if name else None
        addresses = bound_in(config) if config else []
        if addresses:
            return addresses
    return []


def bound_in(config: Mapping[str, Any]) -> list[str]:
    """Addresses in the ``bind`` lines of a ConfigMap's Corefile. Empty if it binds interfaces, or placeholders."""
    lines = [line for text in (config.get("data") or {}).values() for line in re.findall(r"(?m)^\s*bind (.+)$", text)]
    words = dict.fromkeys(word for line in lines for word in line.split())
    return [word for word in words if is_address(word) and word not in ("0.0.0.0", "::")]


def _ready(client: Client, daemon_set: Mapping[str, Any], node: str | None) -> tuple[int, int]:
    """How many pods of a DaemonSet are ready and how many are wanted, on ``node`` or on all nodes."""
    if node is None:
        counts = daemon_set.get("status") or {}
        return counts.get("numberReady", 0), counts.get("desiredNumberScheduled", 0)
    selector = ",".join(f"{key}={value}" for key, value in daemon_set["spec"]["selector"]["matchLabels"].items())
    pods = [
        pod
        for pod in list_objects(client, "Pod", daemon_set["metadata"]["namespace"], selector)
        if pod["spec"].get("nodeName") == node
    ]
    return sum(is_ready(pod) for pod in pods), len(pods)


def _redirect_policies(client: Client, dns: FoundDns) -> list[Any]:
    """CiliumLocalRedirectPolicies that redirect the cluster's DNS."""
    try:
        with answered("list CiliumLocalRedirectPolicies"):
            policies = kubernetes.client.CustomObjectsApi(client.api()).list_cluster_custom_object(
                "cilium.io", "v2", "ciliumlocalredirectpolicies", _request_timeout=TIMEOUT_S
            )
    except Refused as error:
        if error.code == 404:  # the cluster has no such kind
            return []
        raise
    return [policy for policy in policies["items"] if _redirects_dns(policy, dns)]


def _redirects_dns(policy: Mapping[str, Any], dns: FoundDns) -> bool:
    front = policy["spec"].get("redirectFrontend") or {}
    matcher = front.get("serviceMatcher") or {}
    service = (matcher.get("namespace") or policy["metadata"].get("namespace"), matcher.get("serviceName"))
    own = dns.service["metadata"] if dns.service else {}
    return service == (own.get("namespace"), own.get("name")) or (front.get("addressMatcher") or {}).get("ip") in (
        dns.addresses
    )
