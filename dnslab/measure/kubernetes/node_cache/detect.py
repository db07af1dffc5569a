"""The DNS of a cluster: its Service, and whether a node-local cache answers in front of it.

Only reads. What may not be read is reported as unknown, never guessed.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import kubernetes
import yaml

from dnslab.errors import NotAble, UsageError
from dnslab.measure.kubernetes.api import objects
from dnslab.measure.kubernetes.api.client import TIMEOUT_S, Client, Refused, answered, connect
from dnslab.measure.kubernetes.api.objects import list_objects, read
from dnslab.measure.kubernetes.pods.condition import is_ready
from dnslab.plan.model import ClusterPlan, CustomVariant
from dnslab.plan.remedies import ClusterDns, Workload
from dnslab.plan.resolvconf import is_address, parse
from dnslab.plan.variants import DIRECT

SYSTEM = "kube-system"
DNS_SELECTOR = "k8s-app=kube-dns"
#: selects CoreDNS's pods as kube-dns does, at an address that no cache listens on
UPSTREAM = "kube-dns-upstream"
#: of kube-proxy on Linux (KubeProxyConfiguration, v1alpha1)
PROXY_MODES = {"iptables", "ipvs", "nftables", "userspace"}
#: k8s-app of the DaemonSets of Kubernetes and of kubespray
LABELS = {"node-local-dns", "nodelocaldns"}
#: resolvers of AWS and GCP, link-local too, and no cache on the node
CLOUD_RESOLVERS = {"169.254.169.253", "169.254.169.254"}


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


def find_dns(client: Client, fields: Sequence[str] = ("address", "zone", "proxy_mode")) -> ClusterDns:
    """The cluster's DNS: its ClusterIP, its zone (from CoreDNS's Corefile), kube-proxy's mode, and which of these could
    not be read.
    """
    facts: dict[str, Any] = {}
    denied = []
    find = {"address": _cluster_ip, "zone": _zone, "proxy_mode": proxy_mode}
    for field in fields:
        try:
            value = find[field](client)
        except NotAble as error:
            denied.append(str(error))
        else:
            facts |= {field: value} if value else {}
    return ClusterDns(**facts, denied=tuple(denied))


def direct(where: ClusterPlan) -> CustomVariant:
    """The variant that asks CoreDNS and not a node-local cache: its nameserver is the Service that the cache asks.

    Raises
    ------
    UsageError
        There is no such Service, or it has no address.
    """
    client = connect(where.context, where.namespace)
    service = read(client, "Service", UPSTREAM, SYSTEM)
    address = str(service["spec"].get("clusterIP")) if service else ""
    if not is_address(address):
        raise UsageError(
            f"{DIRECT} asks the Service {SYSTEM}/{UPSTREAM}, which comes with a node-local cache, and there is none: "
            "the baseline asks CoreDNS itself"
        )
    return CustomVariant(summary=f"nameserver {UPSTREAM}", nameservers=(address,))


def dns_services(client: Client) -> list[dict[str, Any]]:
    """Services of the cluster's DNS: the one of the usual name, else those with its label."""
    usual = read(client, "Service", "kube-dns", SYSTEM)
    services = [usual] if usual else list_objects(client, "Service", SYSTEM, DNS_SELECTOR)
    return [service for service in services if service["metadata"]["name"] != UPSTREAM]


def _cluster_ip(client: Client) -> str:
    addresses = (service["spec"].get("clusterIP") for service in dns_services(client))
    return next((address for address in addresses if address and is_address(address)), "")


def _zone(client: Client) -> str:
    corefile = ((read(client, "ConfigMap", "coredns", SYSTEM) or {}).get("data") or {}).get("Corefile", "")
    match = re.search(r"^\s*kubernetes\s+([A-Za-z0-9._-]+)(?=[\s{])", corefile, re.MULTILINE)
    return match[1].rstrip(".") if match and not match[1].endswith(".arpa") else ""


def proxy_mode(client: Client) -> str:
    """kube-proxy's mode; ``""`` if its configuration is not in the usual ConfigMap or names no known mode.

    Raises
    ------
    NotAble
        The ConfigMap may not be read, or holds no YAML.
    """
    config = read(client, "ConfigMap", "kube-proxy", SYSTEM)
    if config is None:
        return ""
    text = next((value for key, value in (config.get("data") or {}).items() if key in ("config.conf", "config")), "{}")
    try:
        settings = yaml.safe_load(text) or {}
    except yaml.YAMLError as error:
        raise NotAble("cannot read kube-proxy's mode: its ConfigMap is not YAML") from error
    mode = (settings.get("mode") or "iptables") if isinstance(settings, dict) else ""
    return mode if mode in PROXY_MODES else ""


def read_workload(client: Client, reference: str) -> Workload:
    """The DNS settings in the pod template of ``deploy/NAME``, ``sts/NAME`` or ``ds/NAME``.

    Raises
    ------
    UsageError
        No such workload, or a kind whose pods cannot be patched.
    """
    kind, _, name = reference.partition("/")
    if kind.lower() not in objects.WORKLOADS or not name:
        raise UsageError(f"expected deploy/NAME, sts/NAME or ds/NAME, saw {reference!r}: only their pods are replaced")
    workload = objects.read_workload(client, reference)
    return Workload.of(reference, client.namespace, client.context, workload["spec"]["template"])


def status(client: Client, node: str | None = None, resolv_conf: str = "", dns: ClusterDns | None = None) -> Detection:
    """Whether a node-local cache answers pods of ``node`` (default: of any node), judged by the configuration.

    Parameters
    ----------
    resolv_conf
        Of a target, where it was read: its nameserver tells most.
    dns
        The cluster's DNS, where it is known already.
    """
    dns = dns or find_dns(client, ["address"])
    addresses = _by_resolv_conf(resolv_conf)
    evidence = [f"resolv.conf names {', '.join(addresses)}: an address of the node"] if addresses else []
    unknown: list[str] = []
    owners: list[bool | None] = []  # for each cache: whether it owns the cluster IP
    try:
        for daemon_set in daemon_sets(client):
            n_ready, n_all = _ready(client, daemon_set, node)
            listens = listens_on(client, daemon_set)
            title = f"DaemonSet {name_of(daemon_set)}"
            where = f"{n_ready} of {n_all} on node {node}" if node else f"{n_ready} of {n_all} nodes"
            evidence.append(f"{title} ({image_of(daemon_set)}) on {', '.join(listens) or '?'}: ready, {where}")
            if n_ready:
                addresses += [address for address in listens if address not in addresses]
                owners.append(dns.address in listens if listens and dns.address != ClusterDns.address else None)
            elif n_all:
                unknown.append(f"when {title} is ready again, and what it left on the node")
    except NotAble as error:
        unknown.append(str(error))
    try:
        for policy in _redirect_policies(client, dns):
            owners.append(True)
            evidence.append(f"CiliumLocalRedirectPolicy {name_of(policy)} redirects the cluster's DNS to the node")
    except NotAble as error:
        unknown.append(str(error))
    if addresses or owners:
        owns = _owns_cluster_ip(owners, is_complete=not unknown)
        return Detection("detected", tuple(addresses), owns, tuple(evidence), tuple(unknown))
    if not unknown:
        evidence.append("no DaemonSet and no redirect policy; a cache of the node's own system shows in behaviour only")
    return Detection("unknown" if unknown else "absent", (), None, tuple(evidence), tuple(unknown))


def _owns_cluster_ip(owners: Sequence[bool | None], is_complete: bool) -> bool | None:
    """Whether any cache owns the cluster IP. ``is_complete`` says that no cache can have been missed."""
    if True in owners:
        return True
    return False if owners and None not in owners and is_complete else None


def dns_and_cache(client: Client) -> tuple[ClusterDns, Detection]:
    """The cluster's DNS and its node-local cache. ``node_local`` is the cache's address if there is a cache."""
    dns = find_dns(client)
    cache = status(client, dns=dns)
    addresses = [address for address in cache.addresses if address != dns.address]
    return (replace(dns, node_local=addresses[0]) if addresses else dns), cache


def _by_resolv_conf(text: str) -> list[str]:
    """Nameservers in a resolv.conf text that are addresses on the node itself."""
    return [address for address in parse(text).nameservers if _is_of_node(address)]


def _is_of_node(address: str) -> bool:
    try:
        return ipaddress.ip_address(address.partition("%")[0]).is_link_local and address not in CLOUD_RESOLVERS
    except ValueError:
        return False


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


def name_of(item: Mapping[str, Any]) -> str:
    """Namespace and name of an object."""
    return f"{item['metadata'].get('namespace', '')}/{item['metadata']['name']}"


def listens_on(client: Client, daemon_set: Mapping[str, Any]) -> list[str]:
    """Addresses that a cache listens on: those of its ``-localip`` argument, else of the Corefile that it mounts."""
    pod = daemon_set["spec"]["template"]["spec"]
    words = [word for part in ("command", "args") for word in pod["containers"][0].get(part) or ()]
    match = re.search(r"(?:^| )--?localip[ =]([^\s]+)", " ".join(words))
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


def _redirect_policies(client: Client, dns: ClusterDns) -> list[Any]:
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


def _redirects_dns(policy: Mapping[str, Any], dns: ClusterDns) -> bool:
    front = policy["spec"].get("redirectFrontend") or {}
    service = (front.get("serviceMatcher") or {}).get("serviceName")
    return service == "kube-dns" or (front.get("addressMatcher") or {}).get("ip") == dns.address
