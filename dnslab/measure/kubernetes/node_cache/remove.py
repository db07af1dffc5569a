"""Remove dnslab's node-local cache, and what it left on each node: its interface and its rules.

Only objects with dnslab's label are deleted. A node that is not ready is named, and does not hold up the others.
"""

from __future__ import annotations

import dataclasses
import functools
import re
import secrets
import time
from collections.abc import Iterator, Sequence
from typing import Any

import yaml

from dnslab.errors import DnslabError, NotAble
from dnslab.measure.kubernetes.api.client import Client
from dnslab.measure.kubernetes.api.exec import run
from dnslab.measure.kubernetes.api.objects import create, delete, is_ours, list_objects, read
from dnslab.measure.kubernetes.cluster_dns import SYSTEM, name_of
from dnslab.measure.kubernetes.node_cache.detect import bound_in, image_of, listens_on
from dnslab.measure.kubernetes.node_cache.manifest import IMAGE_ANNOTATION, node_cache_manifest
from dnslab.measure.kubernetes.node_cache.nodes import Nodes, nodes_now
from dnslab.measure.kubernetes.node_cache.verify import EVERYWHERE, OWN_PODS, rules_there
from dnslab.measure.kubernetes.pods import pod_facts
from dnslab.measure.kubernetes.pods.lifecycle import Pods
from dnslab.measure.kubernetes.pods.manifest import CONTAINER, PodSpec, pod_manifest, probe_path
from dnslab.plan.variants import NODE_LOCAL_ADDRESS

INTERFACE = "nodelocaldns"
PODS_GONE_TIMEOUT_S = 60.0


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
    from a pod in its network namespace. The probe deletes the interface, iptables of the cache's own image the rules.

    Parameters
    ----------
    image, addresses
        Of the cache. Default: what its DaemonSet or ConfigMap says. Where both have gone already, the image is needed;
        without addresses, only rules of the usual one are found.

    Raises
    ------
    NotAble
        Something is left on a node, or could not be looked at.
    """
    known_image, known = _installed(client)
    image, nodes = image or known_image, nodes_now(client)
    left = list(nodes.not_ready)
    for number, (kind, name) in enumerate(manifest_names()):
        if is_ours(read(client, kind, name, SYSTEM)):
            delete(client, kind, name, SYSTEM)
            yield f"deleted {kind} {SYSTEM}/{name}"
        if number == 0 and image:  # the DaemonSet; the ConfigMap, which tells of the cache too, goes later
            _wait_gone(client, nodes)
            for node, line, clean in _clean_nodes(client, nodes, image, addresses or known or [NODE_LOCAL_ADDRESS]):
                yield f"{node}: {line}"
                left += [] if clean else [node]
            yield from (f"{node}: it is not ready, so it was not looked at" for node in nodes.not_ready)
    if left:
        raise NotAble(
            f"not known to be clean: {', '.join(left)}; look there (`ip link show {INTERFACE}`, `iptables-save`), "
            "or run `dnslab node-cache remove --image` again, with an image that starts there and has iptables"
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


def _wait_gone(client: Client, nodes: Nodes) -> None:
    """Wait until no pod of the cache is left. One on a node that is not ready stays: nobody there ends it."""
    deadline_s = time.monotonic() + PODS_GONE_TIMEOUT_S
    while pods := [
        pod
        for pod in list_objects(client, "Pod", SYSTEM, OWN_PODS)
        if pod["spec"].get("nodeName") not in nodes.not_ready
    ]:
        if time.monotonic() > deadline_s:
            name = pods[0]["metadata"]["name"]
            raise NotAble(
                f"pod {name} still exists after {PODS_GONE_TIMEOUT_S:g} s: run `dnslab node-cache remove` again"
            )
        time.sleep(0.3)


def _clean_nodes(client: Client, nodes: Nodes, image: str, addresses: Sequence[str]) -> Iterator[tuple[str, str, bool]]:
    """Remove what is left on each ready node. Gives the node, what was found there, and whether it is clean now."""
    system = dataclasses.replace(client, namespace=SYSTEM)
    pods = Pods(system, f"clean-{secrets.token_hex(3)}")
    machines = {f"dnslab-{pods.run_id}-{number}": entry for number, entry in enumerate(nodes.ready)}
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
    """Remove interface and rules in the pod's network namespace. Gives what was found, and whether it is clean now.

    Raises
    ------
    NotAble
        Rules cannot be seen. The interface is removed by then.
    """
    program, removed = probe_path(machine), []
    if _has_interface(execute, program):
        execute([program, "--delete-link", INTERFACE])
        removed.append(f"interface {INTERFACE}")
    for rule in rules_there(execute, addresses):
        execute(rule)
        removed.append(f"rule {' '.join(rule[1:])}")
    left = rules_there(execute, addresses)
    if _has_interface(execute, program):
        return f"interface {INTERFACE} is left", False
    if left:
        return f"left: {', '.join(' '.join(rule[1:]) for rule in left)}", False
    return f"removed {', '.join(removed)}" if removed else f"no {INTERFACE}, no rules", True


def _has_interface(execute: pod_facts.Run, program: str) -> bool:
    devices = pod_facts.show(execute, program, ["/proc/net/dev"])["/proc/net/dev"] or ""
    return re.search(rf"^\s*{INTERFACE}:", devices, re.MULTILINE) is not None
