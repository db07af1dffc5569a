"""What surrounds the targets: nodes, the cluster's DNS servers.

Only reads, and every part is optional: a part that was denied or is not there is listed, never guessed. Knows nothing
of trials.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from dnslab.errors import NotAble
from dnslab.measure.kubernetes.api.client import Client
from dnslab.measure.kubernetes.api.objects import list_objects, nodes_or_refusal
from dnslab.measure.kubernetes.cluster_dns import SYSTEM, FoundDns, cluster_ips, find, server_version
from dnslab.measure.kubernetes.counters import DnsPod, Kind, coredns_version, metrics
from dnslab.measure.kubernetes.node_cache.detect import LABELS
from dnslab.measure.kubernetes.pods.condition import container_status, is_ready

ZONE_LABEL = "topology.kubernetes.io/zone"
CACHE_SELECTOR = f"k8s-app in ({','.join(sorted(LABELS))})"
#: where the usual manifests serve metrics, for a pod that names no port ``metrics``
METRICS_PORTS = {"coredns": 9153, "node-local": 9253}

Answer = TypeVar("Answer")


@dataclass(frozen=True)
class Surroundings:
    """``facts`` is plain data for environment.json; ``dns_pods`` are what ``counters.dns_counters`` takes."""

    facts: Mapping[str, Any]
    dns_pods: tuple[DnsPod, ...] = ()

    def node_facts(self, node: str) -> dict[str, Any]:
        """``zone`` of a node, and ``coredns_on_node``: whether a ready CoreDNS pod runs on it. None if not known."""
        nodes, pods = self.facts["nodes"] or [], self.facts["dns"]["pods"]
        zone = next((entry["zone"] for entry in nodes if entry["name"] == node), None)
        shared = any(pod["node"] == node and pod["ready"] for pod in pods) if pods else None
        return {"zone": zone, "coredns_on_node": shared}


def surroundings(
    client: Client, dns: FoundDns | None = None, nodes: Sequence[Mapping[str, Any]] | NotAble | None = None
) -> Surroundings:
    """Nodes and DNS servers, as far as they may be read.

    ``facts["denied"]`` has a line for each part that could not be read; the part itself is None. Quantities are as
    Kubernetes writes them (``100m``).

    Parameters
    ----------
    dns, nodes
        The cluster's, or why they may not be read, where they were found already.
    """
    dns = dns or find(client)
    nodes = nodes_or_refusal(client) if nodes is None else nodes
    denied: list[str] = []

    def optional(ask: Callable[[], Answer]) -> Answer | None:
        try:
            return ask()
        except NotAble as error:
            denied.append(str(error))
            return None

    caches = optional(lambda: list_objects(client, "Pod", SYSTEM, CACHE_SELECTOR))
    dns_pods = (*_dns_pods("coredns", dns.pods or []), *_dns_pods("node-local", caches or []))
    texts, unanswered = metrics(client, dns_pods)
    versions = {pod.name: coredns_version(text) for pod, text in texts.items()}
    deployments = [item for item in dns.workloads or () if item["kind"] == "Deployment"]
    facts = {
        "server_version": optional(lambda: server_version(client)),
        **client.described(),
        "nodes": None if isinstance(nodes, NotAble) else [describe_node(node) for node in nodes],
        "dns": {
            "service": describe_service(dns.service) if dns.service else None,
            "server": dns.server or None,
            "zone": next(iter(dns.zones), None),
            "zones": list(dns.zones),
            "deployments": None if dns.workloads is None else [_describe_deployment(item) for item in deployments],
            "pods": None if dns.pods is None else [describe_pod(pod, versions) for pod in dns.pods],
            "corefile": list(dns.corefile) or None,
            "node_local_pods": None if caches is None else [describe_pod(pod, versions) for pod in caches],
            "seen": list(dns.seen),
        },
        "kube_proxy_mode": dns.proxy_mode or "unknown",
        "denied": denied,
    }
    denied += [str(nodes)] if isinstance(nodes, NotAble) else []
    denied += [*dns.not_seen, *unanswered]
    denied[:] = dict.fromkeys(denied)
    return Surroundings(facts, dns_pods)


def dns_servers(client: Client, dns: FoundDns) -> list[DnsPod]:
    """Servers whose metrics tell what they were asked: the cluster's DNS, and node-local caches if they may be seen."""
    try:
        caches = list_objects(client, "Pod", SYSTEM, CACHE_SELECTOR)
    except NotAble:
        caches = []
    return [*_dns_pods("coredns", dns.pods or []), *_dns_pods("node-local", caches)]


def _dns_pods(kind: Kind, pods: Sequence[Mapping[str, Any]]) -> list[DnsPod]:
    """The DNS servers among ``pods`` that run."""
    return [
        DnsPod(kind, pod["metadata"]["namespace"], pod["metadata"]["name"], _metrics_port(pod, METRICS_PORTS[kind]))
        for pod in pods
        if pod["status"].get("phase") == "Running"
    ]


def describe_node(node: Mapping[str, Any]) -> dict[str, Any]:
    """A node, from its JSON."""
    info, labels = node["status"]["nodeInfo"], node["metadata"].get("labels") or {}
    return {
        "name": node["metadata"]["name"],
        "zone": labels.get(ZONE_LABEL),
        "kernel": info["kernelVersion"],
        "os_image": info["osImage"],
        "runtime": info["containerRuntimeVersion"],
        "kubelet": info["kubeletVersion"],
        "architecture": info["architecture"],
        "cpu_allocatable": (node["status"].get("allocatable") or {}).get("cpu"),
    }


def describe_pod(pod: Mapping[str, Any], versions: Mapping[str, str | None]) -> dict[str, Any]:
    """A DNS server's pod, from its JSON: its first container. ``versions`` are by pod, as the servers report them."""
    container = pod["spec"]["containers"][0]
    resources = container.get("resources") or {}
    status = container_status(pod, container["name"])
    return {
        "name": pod["metadata"]["name"],
        "node": pod["spec"].get("nodeName"),
        "address": pod["status"].get("podIP"),
        "image": container.get("image"),
        "image_id": status.get("imageID"),
        "version": versions.get(pod["metadata"]["name"]),
        "ready": is_ready(pod),
        "restarts": status.get("restartCount"),
        "requests": resources.get("requests") or {},
        "limits": resources.get("limits") or {},
    }


def describe_service(service: Mapping[str, Any]) -> dict[str, Any]:
    """The Service of the cluster's DNS, from its JSON."""
    spec, metadata = service["spec"], service["metadata"]
    ports = [{"port": port["port"], "protocol": port.get("protocol", "TCP")} for port in spec["ports"]]
    return {
        "name": metadata["name"],
        "namespace": metadata.get("namespace"),
        "cluster_ips": list(cluster_ips(service)),
        "ports": ports,
    }


def _describe_deployment(deployment: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "name": deployment["metadata"]["name"],
        "replicas": deployment["spec"].get("replicas"),
        "ready": deployment["status"].get("readyReplicas", 0),
    }


def _metrics_port(pod: Mapping[str, Any], usual: int) -> int:
    ports = pod["spec"]["containers"][0].get("ports") or []
    return next((int(port["containerPort"]) for port in ports if port.get("name") == "metrics"), usual)
