"""Install a node-local cache in a cluster, and remove it with all that it changed.

Objects that are not labelled as dnslab's are never changed. What the cache is stands in ``manifest``, whether one is
there in ``detect``.
"""

from __future__ import annotations

import dataclasses
import difflib
import functools
import re
import secrets
import shlex
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import yaml

from dnslab.errors import DnslabError, NotAble, UsageError
from dnslab.measure.asking import expected
from dnslab.measure.kubernetes.api.client import Client
from dnslab.measure.kubernetes.api.exec import ExecChannel, run
from dnslab.measure.kubernetes.api.objects import (
    apply,
    as_yaml,
    create,
    delete,
    is_ours,
    list_machines,
    list_objects,
    read,
)
from dnslab.measure.kubernetes.cluster_dns import SYSTEM, FoundDns, find, name_of
from dnslab.measure.kubernetes.corefile import stub_domains
from dnslab.measure.kubernetes.node_cache.detect import (
    bound_in,
    daemon_sets,
    image_of,
    listens_on,
)
from dnslab.measure.kubernetes.node_cache.manifest import IMAGE_ANNOTATION, image_with_tag, node_cache_manifest
from dnslab.measure.kubernetes.pods import pod_facts
from dnslab.measure.kubernetes.pods.condition import why_hopeless
from dnslab.measure.kubernetes.pods.lifecycle import Pods
from dnslab.measure.kubernetes.pods.manifest import CONTAINER, PodSpec, pod_manifest, probe_path, whole_dns_config
from dnslab.measure.protocol import Channel
from dnslab.plan.resolvconf import ResolverOptions
from dnslab.plan.variants import NODE_LOCAL_ADDRESS

OWN_PODS = "k8s-app=node-local-dns,app.kubernetes.io/managed-by=dnslab"
INTERFACE = "nodelocaldns"
#: where rules may stand: iptables' built-in chains (node-cache, cache_app.go), or an nftables table by this name
CHAINS = {("raw", "PREROUTING"), ("raw", "OUTPUT"), ("filter", "INPUT"), ("filter", "OUTPUT")}
NFT_TABLE = "node_local_dns"
ROLLOUT_TIMEOUT_S = 120.0
PODS_GONE_TIMEOUT_S = 60.0
EVERYWHERE: Mapping[str, Any] = {"tolerations": [{"operator": "Exists"}]}


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
    return node_cache_manifest(image, addresses, dns.zones, dns.service["spec"]["selector"], stub_domains(dns.corefile))


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
    """Apply ``manifest``, wait until it runs on every node, and look up a name through it on each.

    Gives a line for each step.

    Raises
    ------
    NotAble
        It does not start, or does not answer; what was applied is left to be looked at.
    """
    objects = list(yaml.safe_load_all(manifest))
    for wanted in objects:
        apply(client, wanted)
        yield f"applied {wanted['kind']} {SYSTEM}/{wanted['metadata']['name']}"
    n_nodes = _wait_rolled_out(client)
    yield f"runs on {n_nodes} nodes"
    daemon_set = objects[-1]
    yield from verify(client, image_of(daemon_set), listens_on(client, daemon_set)[0], find(client).zones[0])


def verify(client: Client, image: str, address: str, zone: str) -> Iterator[str]:
    """Look up the API server's name at ``address`` from a pod on each node. Gives a line for each node.

    Raises
    ------
    NotAble
        No answer on a node.
    """
    pods = Pods(client, f"cache-{secrets.token_hex(3)}")
    options = ResolverOptions(nameservers=(address,), search=(zone,))
    name = f"kubernetes.default.svc.{zone}."
    machines = {f"dnslab-{pods.run_id}-{number}": entry for number, entry in enumerate(list_machines(client))}
    try:
        pods.prepare()
        for pod, (node, machine) in machines.items():
            config = whole_dns_config(options)
            spec = PodSpec(
                image, node, machine, dns_policy="None", dns_config=config, lifetime_s=300, placement=EVERYWHERE
            )
            pods.create(pod, spec)
        for pod, (node, machine) in machines.items():
            pods.wait_ready(pod)
            counts = expected(_starter(client, pod, machine), [name], ResolverOptions())[name]
            if not counts.n_a and not counts.n_aaaa:
                raise NotAble(f"the cache on {address} does not answer a pod on node {node}: {counts.problem}")
            yield f"answers on {node}: {name} has {counts.n_a} A and {counts.n_aaaa} AAAA"
    finally:
        pods.remove_all()


def _starter(client: Client, pod: str, machine: str) -> Callable[[bytes], Channel]:
    def start(job: bytes) -> Channel:
        channel = ExecChannel(client, pod, CONTAINER, [probe_path(machine)])
        channel.write(job)
        return channel

    return start


def _wait_rolled_out(client: Client) -> int:
    """Wait until the cache is ready on every node, and return the number of nodes."""
    deadline_s = time.monotonic() + ROLLOUT_TIMEOUT_S
    while time.monotonic() < deadline_s:
        daemon_set = read(client, "DaemonSet", "node-local-dns", SYSTEM) or {}
        counts = daemon_set.get("status") or {}
        n_nodes = int(counts.get("desiredNumberScheduled", 0))
        is_current = counts.get("observedGeneration") == daemon_set["metadata"]["generation"] if daemon_set else False
        is_done = {counts.get("numberReady", 0), counts.get("updatedNumberScheduled", 0)} == {n_nodes}
        if is_current and is_done and n_nodes:
            return n_nodes
        for pod in list_objects(client, "Pod", SYSTEM, OWN_PODS):
            problem = why_hopeless(pod)
            if problem:
                where = f"on {pod['spec'].get('nodeName')}"
                raise NotAble(f"the cache does not start {where}: {problem}; `dnslab node-cache remove` removes it")
        time.sleep(0.5)
    raise NotAble(
        f"the cache is not ready on every node after {ROLLOUT_TIMEOUT_S:g} s: see `kubectl -n {SYSTEM} get pods`"
    )


def manifest_names() -> list[tuple[str, str]]:
    """Kind and name of each object of the manifest, the DaemonSet first."""
    objects = yaml.safe_load_all(node_cache_manifest("any", [NODE_LOCAL_ADDRESS], ["any"], {}))
    return [(wanted["kind"], wanted["metadata"]["name"]) for wanted in objects][::-1]


def removable(client: Client) -> list[str]:
    """What ``remove`` would delete: kind, namespace and name of each object with dnslab's label."""
    return [f"{kind} {SYSTEM}/{name}" for kind, name in manifest_names() if is_ours(read(client, kind, name, SYSTEM))]


def asking(client: Client) -> list[str]:
    """Pods whose dnsConfig names an address of dnslab's cache. They would have no DNS without it."""
    _, addresses = _installed(client)
    return [
        name_of(pod)
        for pod in (list_objects(client, "Pod", None) if addresses else ())
        if set(addresses).intersection((pod["spec"].get("dnsConfig") or {}).get("nameservers") or ())
    ]


def remove(client: Client, image: str | None = None, addresses: Sequence[str] = ()) -> Iterator[str]:
    """Delete dnslab's node-local cache, and its interface and rules on each node. Gives a line for each step.

    A node-cache that ends in order takes both away itself. One that was killed does not. So dnslab looks at each node,
    from a pod in its network namespace, with the tools of the cache's own image.

    Parameters
    ----------
    image, addresses
        Of the cache. Default: what its DaemonSet or ConfigMap says. Needed where both have gone already.

    Raises
    ------
    NotAble
        Something is left on a node, or could not be looked at.
    """
    installed_image, installed_addresses = _installed(client)
    image, left = image or installed_image, []
    for number, (kind, name) in enumerate(manifest_names()):
        if is_ours(read(client, kind, name, SYSTEM)):
            delete(client, kind, name, SYSTEM)
            yield f"deleted {kind} {SYSTEM}/{name}"
        if number == 0 and image:  # the DaemonSet; the ConfigMap, which tells of the cache too, goes later
            _wait_gone(client)
            for node, line, clean in _clean_nodes(client, image, addresses or installed_addresses):
                yield f"{node}: {line}"
                left += [] if clean else [node]
    if left:
        raise NotAble(
            f"not known to be clean: {', '.join(left)}; look there (`ip link show {INTERFACE}`, `nft list ruleset`), "
            "or run `dnslab node-cache remove --image` with an image that starts there and has ip and nft or iptables"
        )


def _installed(client: Client) -> tuple[str | None, Sequence[str]]:
    """Image and addresses of dnslab's cache, from its DaemonSet or, if that was deleted, from its ConfigMap."""
    daemon_set = read(client, "DaemonSet", "node-local-dns", SYSTEM)
    if daemon_set and is_ours(daemon_set):
        return image_of(daemon_set), listens_on(client, daemon_set)
    config = read(client, "ConfigMap", "node-local-dns", SYSTEM)
    if config and is_ours(config):
        return (config["metadata"].get("annotations") or {}).get(IMAGE_ANNOTATION), bound_in(config)
    return None, ()


def _wait_gone(client: Client) -> None:
    deadline_s = time.monotonic() + PODS_GONE_TIMEOUT_S
    while pods := list_objects(client, "Pod", SYSTEM, OWN_PODS):
        if time.monotonic() > deadline_s:
            name = pods[0]["metadata"]["name"]
            raise NotAble(
                f"pod {name} still exists after {PODS_GONE_TIMEOUT_S:g} s: run `dnslab node-cache remove` again"
            )
        time.sleep(0.3)


def _clean_nodes(client: Client, image: str, addresses: Sequence[str]) -> Iterator[tuple[str, str, bool]]:
    """Remove what is left on each node. Gives the node, what was found there, and whether it is clean now."""
    system = dataclasses.replace(client, namespace=SYSTEM)
    pods = Pods(system, f"clean-{secrets.token_hex(3)}")
    machines = {f"dnslab-{pods.run_id}-{number}": entry for number, entry in enumerate(list_machines(client))}
    try:
        pods.prepare()
        for name, (node, machine) in machines.items():
            create(system, _cleaner(name, pods.run_id, image, node, machine), SYSTEM)
        for name, (node, machine) in machines.items():
            try:
                pods.wait_ready(name)
                yield node, *_clean(functools.partial(run, system, name, CONTAINER), machine, addresses)
            except DnslabError as error:
                yield node, str(error), False
    finally:
        for name in machines:
            pods.remove(name)
        pods.remove_all()


def _cleaner(name: str, run_id: str, image: str, node: str, machine: str) -> dict[str, Any]:
    """A pod in the node's network namespace with the right to change it. It waits; all work is done through exec."""
    spec = PodSpec(image, node, machine, lifetime_s=600, host_network=True, placement=EVERYWHERE)
    pod = pod_manifest(name, run_id, spec)
    pod["spec"]["securityContext"] = {"runAsUser": 0, "seccompProfile": {"type": "RuntimeDefault"}}
    pod["spec"]["containers"][0]["securityContext"] = {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"], "add": ["NET_ADMIN", "NET_RAW"]},
    }
    return pod


def _clean(execute: pod_facts.Run, machine: str, addresses: Sequence[str]) -> tuple[str, bool]:
    """Remove interface and rules in the pod's network namespace. Gives what was found, and whether it is clean now."""
    before, tools = _left(execute, probe_path(machine), addresses)
    for command in before.values():
        execute(command)
    after, _ = _left(execute, probe_path(machine), addresses)
    if after:
        return f"left: {', '.join(after)}", False
    if not tools:
        return f"no {INTERFACE}; rules not seen, the image has neither nft nor iptables-save", False
    return f"removed {', '.join(before)}" if before else f"no {INTERFACE}, no rules", True


def _left(execute: pod_facts.Run, program: str, addresses: Sequence[str]) -> tuple[dict[str, list[str]], bool]:
    """What is left, each with the command that removes it, and whether the rules could be read."""
    left: dict[str, list[str]] = {}
    devices = pod_facts.show(execute, program, ["/proc/net/dev"])["/proc/net/dev"] or ""
    if re.search(rf"^\s*{INTERFACE}:", devices, re.MULTILINE):
        left[f"interface {INTERFACE}"] = ["ip", "link", "delete", INTERFACE]
    nft_code, tables = execute(["nft", "list", "tables"])
    for family in re.findall(rf"^table (\w+) {NFT_TABLE}$", tables.decode("utf-8", "replace"), re.MULTILINE):
        left[f"nft table {family} {NFT_TABLE}"] = ["nft", "delete", "table", family, NFT_TABLE]
    save_code, saved = execute(["iptables-save"])
    if save_code == 0:
        rules = iptables_rules(saved.decode("utf-8", "replace"), addresses)
        left |= {f"rule {' '.join(rule)}": ["iptables", *rule] for rule in rules}
    return left, 0 in (nft_code, save_code)


def _words(line: str) -> list[str]:
    """The words of a rule; empty if a quote is not closed, which iptables-save never writes."""
    try:
        return shlex.split(line)
    except ValueError:
        return []


def iptables_rules(saved: str, addresses: Iterable[str]) -> list[list[str]]:
    """Arguments that delete each rule in an iptables-save text that a node-cache made for ``addresses``."""
    rules, table = [], ""
    networks = {f"{address}/32" for address in addresses}
    for line in saved.splitlines():
        table = line[1:] if line.startswith("*") else table
        words = _words(line) if line.startswith("-A ") else []
        if not words or (table, words[1]) not in CHAINS or not networks.intersection(words):
            continue
        if {"NOTRACK", "--notrack", "ACCEPT"}.intersection(words):
            rules.append(["-t", table, "-D", *words[1:]])
    return rules
