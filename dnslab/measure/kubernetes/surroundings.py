"""What surrounds the targets: nodes, the cluster's DNS servers.

Only reads, and every part is optional: a part that was denied or is not there is listed, never guessed. Knows nothing
of trials.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import kubernetes

from dnslab.errors import NotAble
from dnslab.measure.kubernetes.api.client import TIMEOUT_S, Client, answered
from dnslab.measure.kubernetes.api.objects import list_nodes, list_objects, read
from dnslab.measure.kubernetes.counters import DnsPod, Kind, coredns_version, metrics
from dnslab.measure.kubernetes.node_cache.detect import DNS_SELECTOR, LABELS, SYSTEM, dns_services, proxy_mode
from dnslab.measure.kubernetes.pods.condition import container_status, is_ready

ZONE_LABEL = "topology.kubernetes.io/zone"
CACHE_SELECTOR = f"k8s-app in ({','.join(sorted(LABELS))})"
#: where the usual manifests serve metrics, for a pod that names no port ``metrics``
METRICS_PORTS = {"coredns": 9153, "node-local": 9253}
#: plugins whose settings decide what a lookup costs
SETTINGS = {"autopath", "cache", "forward", "kubernetes"}

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


def surroundings(client: Client) -> Surroundings:
    """Nodes and DNS servers, as far as they may be read.

    ``facts["denied"]`` has a line for each part that could not be read; the part itself is None. Quantities are as
    Kubernetes writes them (``100m``).
    """
    denied: list[str] = []

    def optional(ask: Callable[[], Answer]) -> Answer | None:
        try:
            return ask()
        except NotAble as error:
            denied.append(str(error))
            return None

    pods = optional(lambda: list_objects(client, "Pod", SYSTEM, DNS_SELECTOR))
    caches = optional(lambda: list_objects(client, "Pod", SYSTEM, CACHE_SELECTOR))
    dns_pods = (*_dns_pods("coredns", pods or []), *_dns_pods("node-local", caches or []))
    texts, unanswered = metrics(client, dns_pods)
    versions = {pod.name: coredns_version(text) for pod, text in texts.items()}
    corefile = optional(lambda: _corefile(client, pods or []))
    deployments = optional(lambda: list_objects(client, "Deployment", SYSTEM, DNS_SELECTOR))
    facts = {
        "server_version": optional(lambda: _server_version(client)),
        **client.described(),
        "nodes": optional(lambda: [describe_node(node) for node in list_nodes(client)]),
        "dns": {
            "service": optional(lambda: _service(client)),
            "zone": zone(corefile or []),
            "deployments": None if deployments is None else [_describe_deployment(item) for item in deployments],
            "pods": None if pods is None else [describe_pod(pod, versions) for pod in pods],
            "corefile": corefile,
            "node_local_pods": None if caches is None else [describe_pod(pod, versions) for pod in caches],
        },
        "kube_proxy_mode": optional(lambda: _proxy_mode(client)) or "unknown",
        "denied": denied,
    }
    items = {"CoreDNS pods": pods, "Corefile": corefile, "Deployment of CoreDNS": deployments}
    denied += [f"{title}: none found in {SYSTEM}" for title, part in items.items() if part == []]
    denied += unanswered
    denied[:] = dict.fromkeys(denied)
    return Surroundings(facts, dns_pods)


def _dns_pods(kind: Kind, pods: Sequence[Mapping[str, Any]]) -> list[DnsPod]:
    """The DNS servers among ``pods`` that run."""
    return [
        DnsPod(kind, SYSTEM, pod["metadata"]["name"], _metrics_port(pod, METRICS_PORTS[kind]))
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


def parse_corefile(text: str) -> list[dict[str, Any]]:
    """Server blocks of a Corefile, in order: ``zones`` as written, ``plugins`` by name, ``settings`` of a few.

    ``settings`` are those of ``SETTINGS`` that are there: the plugin's arguments, then each line in its braces. Only
    what is written: no default, nothing that is imported.

    >>> parse_corefile(".:53 {\\n  cache 30 {\\n    success 9984\\n  }\\n  loop\\n}")
    [{'zones': ['.:53'], 'plugins': ['cache', 'loop'], 'settings': {'cache': ['30', 'success 9984']}}]
    """
    blocks: list[dict[str, Any]] = []
    depth = 0
    for raw in text.splitlines():
        words = re.sub(r"(^|\s)#.*", "", raw).split()
        opens = words[-1:] == ["{"]
        words = words[:-1] if opens else words
        if words == ["}"]:
            depth -= 1
        elif words and depth == 0:
            blocks.append({"zones": [word.strip(",") for word in words], "plugins": [], "settings": {}})
        elif words and depth == 1:
            blocks[-1]["plugins"].append(words[0])
            if words[0] in SETTINGS:
                blocks[-1]["settings"][words[0]] = [" ".join(words[1:])]
        elif words and blocks[-1]["plugins"][-1] in SETTINGS:
            blocks[-1]["settings"][blocks[-1]["plugins"][-1]].append(" ".join(words))
        depth += opens
    return blocks


def zone(corefile: Sequence[Mapping[str, Any]]) -> str | None:
    """The cluster's zone: the first forward one that the kubernetes plugin, or else its server block, is given."""
    for block in corefile:
        if "kubernetes" in block["plugins"]:
            given = block["settings"]["kubernetes"][0].split() or block["zones"]
            names = [re.sub(r":\d+$", "", word).rstrip(".") for word in given]
            return next((name for name in names if name and not name.endswith(".arpa")), None)
    return None


def _server_version(client: Client) -> str:
    """The API server's, as v1.35.4."""
    with answered("read the API server's version"):
        return str(kubernetes.client.VersionApi(client.api()).get_code(_request_timeout=TIMEOUT_S).git_version)


def _service(client: Client) -> dict[str, Any]:
    """The Service of the cluster's DNS: by its usual name, or the first with its label and an address."""
    for service in dns_services(client):
        spec = service["spec"]
        addresses = spec.get("clusterIPs") or [spec.get("clusterIP")]
        if addresses[0] not in (None, "None"):
            ports = [{"port": port["port"], "protocol": port.get("protocol", "TCP")} for port in spec["ports"]]
            return {"name": service["metadata"]["name"], "cluster_ips": addresses, "ports": ports}
    raise NotAble(f"no Service of the cluster's DNS in {SYSTEM}: none named kube-dns or labelled {DNS_SELECTOR}")


def _corefile(client: Client, pods: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The Corefile in the ConfigMap that the first CoreDNS pod mounts, or in the usual one if no pod may be read."""
    volumes = pods[0]["spec"].get("volumes") or [] if pods else []
    mounted = [name for volume in volumes if (name := (volume.get("configMap") or {}).get("name"))]
    for name in mounted or ["coredns"]:
        data = (read(client, "ConfigMap", name, SYSTEM) or {}).get("data") or {}
        if "Corefile" in data:
            return parse_corefile(data["Corefile"])
    return []


def _proxy_mode(client: Client) -> str:
    mode = proxy_mode(client)
    if not mode:
        raise NotAble(
            f"kube-proxy's mode: no ConfigMap {SYSTEM}/kube-proxy; its configuration is elsewhere, or it is not used"
        )
    return mode


def _describe_deployment(deployment: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "name": deployment["metadata"]["name"],
        "replicas": deployment["spec"].get("replicas"),
        "ready": deployment["status"].get("readyReplicas", 0),
    }


def _metrics_port(pod: Mapping[str, Any], usual: int) -> int:
    ports = pod["spec"]["containers"][0].get("ports") or []
    return next((int(port["containerPort"]) for port in ports if port.get("name") == "metrics"), usual)
