"""Install a node-local cache in a cluster, and wait until it works on every node that is ready.

Objects that are not labelled as dnslab's are never changed. What the cache is stands in ``manifest``, whether one is
there in ``detect``, what shows that it works in ``verify``, and how it goes again in ``remove``.
"""

from __future__ import annotations

import difflib
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import yaml

from dnslab.errors import NotAble, UsageError
from dnslab.measure.kubernetes.api.client import Client
from dnslab.measure.kubernetes.api.objects import apply, as_yaml, is_ours, list_objects, read
from dnslab.measure.kubernetes.cluster_dns import SYSTEM, FoundDns, find, name_of
from dnslab.measure.kubernetes.corefile import passed_by, stub_domains
from dnslab.measure.kubernetes.node_cache.detect import daemon_sets, image_of, listens_on
from dnslab.measure.kubernetes.node_cache.manifest import image_with_tag, node_cache_manifest
from dnslab.measure.kubernetes.node_cache.nodes import Nodes, nodes_now
from dnslab.measure.kubernetes.node_cache.verify import OWN_PODS, verify
from dnslab.measure.kubernetes.pods.condition import is_ready, why_hopeless
from dnslab.plan.variants import NODE_LOCAL_ADDRESS

ROLLOUT_TIMEOUT_S = 120.0


def default_image(dns: FoundDns) -> str:
    """The newest node-cache image that dnslab knows, from the registry of the cluster's CoreDNS image.

    Raises
    ------
    UsageError
        That image does not come from the Kubernetes project's registry or a copy of it.
    """
    image = next((image for workload in dns.workloads or () if "coredns" in (image := image_of(workload))), "")
    registry, separator, _ = image.partition("/coredns/coredns:")
    if not separator:
        raise UsageError(
            f"CoreDNS's image ({image or 'none'}) does not say where to get a node-cache image: give --image"
        )
    return image_with_tag(f"{registry}/dns/k8s-dns-node-cache")


def render(client: Client, image: str | None = None, addresses: Sequence[str] = (NODE_LOCAL_ADDRESS,)) -> str:
    """The manifest for this cluster. If ``addresses`` has the cluster IP, every pod uses the cache.

    What to know before it is applied stands at its top, as comments.

    Raises
    ------
    NotAble
        Under kube-proxy's IPVS the cluster IP is an address of each node already: nothing else can listen on it.
    """
    dns = find(client)
    if dns.service is None:
        raise NotAble(f"nothing to put a cache in front of: the cluster's DNS was not found. {_missing(dns)}")
    _check_can_install(dns, addresses)
    image = image_with_tag(image) if image else default_image(dns)
    manifest = node_cache_manifest(
        image,
        addresses,
        dns.zones,
        dns.service["spec"]["selector"],
        stub_domains=stub_domains(dns.corefile),
        target_ports=_target_ports(dns.service),
    )
    return "".join(f"# {note}\n" for note in _notes(dns)) + manifest


def notes_in(manifest: str) -> list[str]:
    """What a manifest of ``render`` says at its top."""
    return [line.removeprefix("# ") for line in manifest.splitlines() if line.startswith("# ")]


def _notes(dns: FoundDns) -> list[str]:
    """What a node-local cache changes for the cluster's pods, and what it may miss on the nodes."""
    passed = passed_by(dns.corefile)
    notes = [
        f"the cache asks CoreDNS for {', '.join(dns.zones)}, stub domains and reverse names, and asks other names of "
        "the node's own nameservers. For them, this in CoreDNS's Corefile no longer holds:",
        *(f"  {line}" for line in passed),
    ]
    mode = {
        "nftables": "kube-proxy uses nftables, the cache iptables: if a node's kernel cannot do that, install says so",
        "ipvs": "kube-proxy runs in IPVS mode: only pods whose nameserver is the cache's own address ask it",
        "cilium": "Cilium does kube-proxy's work: whether pods reach the cache's address, install shows",
        "": "kube-proxy's mode is not known: under IPVS and Cilium a cache cannot listen on the cluster IP",
    }.get(dns.proxy_mode, "")
    return [*(notes if passed else ()), *([mode] if mode else ())]


def _target_ports(service: Mapping[str, Any]) -> dict[str, int | str]:
    """By protocol, the port of the pods behind port 53 of a Service."""
    ports = [port for port in service["spec"].get("ports") or () if port.get("port") == 53]
    return {port.get("protocol", "TCP"): port.get("targetPort") or 53 for port in ports}


def _missing(dns: FoundDns) -> str:
    return f"Not seen: {'; '.join(dns.not_seen)}"


def _check_can_install(dns: FoundDns, addresses: Sequence[str]) -> None:
    if not dns.zones:
        raise NotAble(f"the cluster's zone was not found. {_missing(dns)}")
    if dns.namespace != SYSTEM:
        raise NotAble(f"the cluster's DNS is in namespace {dns.namespace}: dnslab's cache is for one in {SYSTEM} only")
    shared = sorted(set(addresses).intersection(dns.addresses))
    if shared and dns.proxy_mode in ("ipvs", "cilium"):
        why = {"ipvs": "kube-proxy runs in IPVS mode", "cilium": "Cilium answers for it"}[dns.proxy_mode]
        raise NotAble(f"a cache cannot listen on {shared[0]}: {why}; leave it out")
    families = {":" in address for address in dns.addresses}
    wrong = [address for address in addresses if (":" in address) not in families]
    if wrong:
        family, example = ("IPv6", "fd00::a") if True in families else ("IPv4", NODE_LOCAL_ADDRESS)
        raise NotAble(f"pods have {family} only and cannot ask {wrong[0]}: give --address, as {example}")


def diff(client: Client, manifest: str) -> str:
    """What applying ``manifest`` would change, as a unified diff; ``""`` if nothing.

    Raises
    ------
    UsageError
        Something by a name of the manifest, or another node-local cache, is there and not dnslab's.
    """
    lines: list[str] = []
    for wanted in yaml.safe_load_all(manifest):
        kind, name = wanted["kind"], wanted["metadata"]["name"]
        live = read(client, kind, name, SYSTEM)
        if live and not is_ours(live):
            raise UsageError(f"{kind} {SYSTEM}/{name} already exists and is not dnslab's: nothing was changed")
        after = apply(client, wanted, dry=True) if live else wanted
        title = f"{kind} {SYSTEM}/{name}"
        before_lines = as_yaml(live).splitlines() if live else []
        lines += difflib.unified_diff(before_lines, as_yaml(after).splitlines(), title, title, lineterm="", n=2)
    others = [name_of(daemon_set) for daemon_set in daemon_sets(client) if not is_ours(daemon_set)]
    if others:
        raise UsageError(f"there already is a node-local cache, DaemonSet {others[0]}: see `dnslab node-cache status`")
    return "\n".join(lines)


def install(client: Client, manifest: str) -> Iterator[str]:
    """Apply ``manifest``, and wait until the cache works on each ready node. Gives a line for each step.

    Raises
    ------
    NotAble
        It does not start, does not answer, or sets no rules; what was applied is left to be looked at.
    """
    objects = list(yaml.safe_load_all(manifest))
    for wanted in objects:
        apply(client, wanted)
        yield f"applied {wanted['kind']} {SYSTEM}/{wanted['metadata']['name']}"
    nodes = nodes_now(client)
    yield from (f"{node}: it is not ready, so nothing is known of the cache there" for node in nodes.not_ready)
    _wait_rolled_out(client, nodes)
    yield f"runs on {len(nodes.ready)} nodes"
    daemon_set = objects[-1]
    yield from verify(client, nodes, image_of(daemon_set), listens_on(client, daemon_set), find(client).zones[0])


def _wait_rolled_out(client: Client, nodes: Nodes) -> None:
    """Wait until all pods of the cache are of its newest version, and those on ready nodes are ready."""
    deadline_s, waits_for = time.monotonic() + ROLLOUT_TIMEOUT_S, "the DaemonSet"
    while time.monotonic() < deadline_s:
        daemon_set = read(client, "DaemonSet", "node-local-dns", SYSTEM) or {"metadata": {}, "status": {}}
        counts, generation = daemon_set["status"], daemon_set["metadata"].get("generation")
        n_all = counts.get("desiredNumberScheduled", 0)
        is_current = counts.get("observedGeneration") == generation and counts.get("updatedNumberScheduled", 0) == n_all
        pods = list_objects(client, "Pod", SYSTEM, OWN_PODS)
        ready = {pod["spec"].get("nodeName") for pod in pods if is_ready(pod)}
        missing = [node for node, _ in nodes.ready if node not in ready]
        if is_current and n_all and not missing:
            return
        waits_for = ", ".join(missing) or waits_for
        for pod in pods:
            problem = why_hopeless(pod)
            if problem:
                where = f"on {pod['spec'].get('nodeName')}"
                raise NotAble(f"the cache does not start {where}: {problem}; `dnslab node-cache remove` removes it")
        time.sleep(0.5)
    raise NotAble(
        f"the cache is not ready after {ROLLOUT_TIMEOUT_S:g} s, still waited for: {waits_for}; "
        f"see `kubectl -n {SYSTEM} get pods`"
    )
