"""Pods as targets, through the exec API: the backend for clusters.

Chooses nodes, images and pods, and keeps flows fresh by a new pod for each trial; how a pod is made, looked into and
talked to stands in the modules beside.
"""

from __future__ import annotations

import contextlib
import itertools
import secrets
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from dnslab.errors import DnslabError, NotAble, UsageError
from dnslab.measure import counters
from dnslab.measure.kubernetes.api.client import TIMEOUT_S, Client, answered, connect
from dnslab.measure.kubernetes.api.objects import read_workload
from dnslab.measure.kubernetes.node_cache.detect import status
from dnslab.measure.kubernetes.pods import pod_facts as look
from dnslab.measure.kubernetes.pods.lifecycle import (
    AGAIN_TIMEOUT_S,
    BESIDE_TIMEOUT_S,
    CONTAINER,
    MACHINES,
    MOUNT,
    Pods,
    PodSpec,
    run,
)
from dnslab.measure.kubernetes.pods.own_pod import OwnPod
from dnslab.measure.kubernetes.surroundings import dns_counters, surroundings
from dnslab.measure.protocol import Arm, Expected, Target
from dnslab.plan.flows import UDP_STREAM_TIMEOUT_S, UDP_TIMEOUT_S
from dnslab.plan.model import DEFAULT_IMAGE, ClusterPlan, Plan, TargetInfo
from dnslab.plan.resolvconf import ResolverOptions, parse
from dnslab.plan.variants import Variant

#: by then conntrack has forgotten every flow of an address that no pod has any more
ADDRESS_REST_S = float(UDP_STREAM_TIMEOUT_S)
#: what a pod outlives the plan's load by: set-up, lookups in flight, other trials of its group
LIFETIME_MARGIN_S = 900
FRESH_TRIES = 3
#: pods of one group read the DNS servers' counters within this of each other: one answer serves them all
DNS_COUNTERS_AGE_S = 1.0


@dataclass(frozen=True)
class Place:
    """One target: an image on a node, once or several times."""

    target: str
    image: str
    node: str | None
    machine: str

    @property
    def kind(self) -> tuple[str, str | None]:
        """What one look at answers for all: the same image on the same node."""
        return self.image, self.node

    def program(self, kind: str) -> str:
        """Where a pod of ours has the probe for ``kind`` of libc."""
        return f"{MOUNT}/probe-{self.machine}-{kind}"


class KubernetesBackend:
    """Targets in one namespace of one cluster.

    Raises
    ------
    NotAble, UsageError
        No way to the cluster, a right that is missing, a node or a workload that is not there.
    """

    name = "kubernetes"
    opens_ahead = True

    def __init__(self, plan: Plan) -> None:
        self._plan, self._where = plan, plan.cluster
        self.client = connect(self._where.context, self._where.namespace)
        self.run_id = secrets.token_hex(4)
        self._pods = Pods(self.client, self.run_id)
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()
        self._left_s: dict[str, float] = {}
        self._denied: list[str] = []
        self._asking = threading.Lock()
        self._asked_s = -DNS_COUNTERS_AGE_S
        self._dns_numbers: dict[str, int] = {}
        self._closed = False
        self._lifetime_s = lifetime_s(plan)
        self._base = base_spec(self.client, self._where)
        self._places = chosen_places(self.client, self._where, self._base)
        self._surroundings = surroundings(self.client)
        try:
            self._pods.prepare()
            self._scout()
        except BaseException:
            with contextlib.suppress(NotAble):  # the error under way says more
                self.close()
            raise

    def _scout(self) -> None:
        """One pod for each image on each node: which libc it has, where the scheduler puts it, what its files say."""
        firsts = {place.kind: place for place in reversed(self._places)}
        names = {kind: self._create(place, None) for kind, place in firsts.items()}
        self._found: dict[tuple[str, str | None], look.Found] = {}
        self._scouts: list[OwnPod] = []
        nodes: dict[tuple[str, str | None], str] = {}
        for kind, place in firsts.items():
            pod = self._pods.wait_ready(names[kind])
            execute = partial(run, self.client, names[kind], CONTAINER)
            found = look.find_libc(execute, place.program, place.machine)
            nodes[kind] = pod["spec"]["nodeName"]
            self._found[place.image, nodes[kind]] = found
            self._scouts.append(OwnPod(self._pods, pod, found, {}))
        self._places = [replace(place, node=nodes[place.kind]) for place in self._places]
        self._watchers = {} if not self._where.node_counters else self._watch()
        scout = self._scouts[0]
        seen = look.show(scout.run, scout.program, [look.RESOLV_CONF, look.PORT_RANGE])
        self._resolv_conf = seen[look.RESOLV_CONF] or ""
        self._cache = status(self.client, resolv_conf=self._resolv_conf)
        self._n_ports = look.n_ports(seen[look.PORT_RANGE])

    def _watch(self) -> dict[str, OwnPod]:
        """A pod in the network namespace of each node, as unprivileged as the others; what is denied is listed."""
        watchers: dict[str, OwnPod] = {}
        for place in {place.node: place for place in self._places}.values():
            assert place.node
            try:
                name = self._create(place, None, host_network=True)
                pod = self._pods.wait_ready(name)
            except NotAble as error:
                self._denied.append(f"node counters of {place.node}: {error}")
                continue
            watchers[place.node] = OwnPod(self._pods, pod, self._found[place.kind], {})
        return watchers

    def describe(self) -> Mapping[str, Any]:
        """Cluster, namespace, run id, targets and their nodes."""
        return {
            "name": self.name,
            **self.client.described(),
            "run_id": self.run_id,
            "fresh_clients": True,
            "n_ports": self._n_ports,
            "udp_timeout_s": UDP_TIMEOUT_S,
            "surroundings": dict(self._surroundings.facts),
            "node_cache": vars(self._cache),
            "denied": [*self._surroundings.facts["denied"], *self._denied],
            "resolv_conf": self._resolv_conf,
            "places": [vars(place) for place in self._places],
        }

    def targets(self) -> Sequence[TargetInfo]:
        """A target for each image on each node."""
        return [
            TargetInfo(place.target, self._found[place.kind].libc, self._found[place.kind].version)
            for place in self._places
        ]

    def expected(self, names: Sequence[str]) -> Mapping[str, Expected]:
        """What a pod of the baseline gets now; UsageError for a name without any address."""
        return look.resolve(self._scouts[0].start, names, self._resolv_conf)

    def open(self, arm: Arm) -> Target:
        """A new pod, with an address that no pod of this run had within two minutes."""
        place = next(place for place in self._places if place.target == arm.target)
        for attempt in range(FRESH_TRIES):
            name = self._create(place, arm.variant)
            try:
                pod = self._pods.wait_ready(name, AGAIN_TIMEOUT_S + BESIDE_TIMEOUT_S * len(self._places))
            except BaseException:
                with contextlib.suppress(DnslabError):  # the error under way says more
                    self._pods.remove(name)
                raise
            address = pod["status"].get("podIP", "")
            fresh = time.monotonic() - self._left_s.get(address, -ADDRESS_REST_S) >= ADDRESS_REST_S
            if fresh or attempt == FRESH_TRIES - 1:
                break
            self._pods.remove(name)
        node = pod["spec"]["nodeName"]
        return OwnPod(
            self._pods,
            pod,
            self._found[place.kind],
            {"fresh": fresh, **self._surroundings.node_facts(node)},
            partial(self._leave, address),
            around=partial(self._counters_around, node),
        )

    def _counters_around(self, node: str) -> dict[str, int]:
        """Of the DNS servers, asked once for all pods of a group, and of the node where it has a watcher."""
        with self._asking:
            if time.monotonic() - self._asked_s > DNS_COUNTERS_AGE_S:
                self._dns_numbers, denied = dns_counters(self.client, self._surroundings.dns_pods)
                self._denied += [line for line in denied if line not in self._denied]
                self._asked_s = time.monotonic()
            numbers = dict(self._dns_numbers)
        watcher = self._watchers.get(node)
        if watcher:
            numbers |= counters.node(look.show(watcher.run, watcher.program, counters.NODE_FILES))
        return numbers

    def _leave(self, address: str) -> None:
        self._left_s[address] = time.monotonic()

    def _create(self, place: Place, variant: Variant | None, host_network: bool = False) -> str:
        with self._lock:
            name = f"dnslab-{self.run_id}-{next(self._numbers)}"
        seen = parse(self._resolv_conf) if variant else ResolverOptions()
        spec = pod_spec(self._base, place, variant, seen, self._lifetime_s)
        self._pods.create(name, replace(spec, host_network=host_network))
        return name

    def close(self) -> None:
        """Remove every pod and the ConfigMap. May be called twice.

        Raises
        ------
        NotAble
            Something could not be removed; the message says what to do.
        """
        if self._closed:
            return
        self._closed = True
        try:
            self._pods.remove_all()
        except NotAble as error:
            raise NotAble(
                f"{error}; pods of run {self.run_id} may be left in namespace {self.client.namespace}, ended by their "
                "own deadline: `dnslab clean` removes them"
            ) from error


def pod_spec(base: PodSpec, place: Place, variant: Variant | None, seen: ResolverOptions, lifetime_s: int) -> PodSpec:
    """A pod at ``place`` with ``variant`` (None: as the cluster makes it), where a pod's resolv.conf says ``seen``."""
    options, replaced = _wanted(variant, seen)
    return replace(
        base,
        image=place.image,
        node=place.node,
        machine=place.machine,
        options=options,
        nameservers_replaced=replaced,
        lifetime_s=lifetime_s,
    )


def _wanted(variant: Variant | None, seen: ResolverOptions) -> tuple[ResolverOptions | None, bool]:
    """What a pod's dnsConfig says: only what the variant changes, or all of it where it replaces the nameserver."""
    if variant is None:
        return None, False
    if variant.node_local or variant.nameservers or variant.search is not None:
        return variant.applied_to(seen), True
    return variant.applied_to(ResolverOptions()), False


def lifetime_s(plan: Plan) -> int:
    """A pod lives at most as long as twice the whole plan's load takes, by a wide margin."""
    seconds = sum(load.warmup_s + load.duration_s for load in plan.loads) * plan.rounds
    n_turns = len(plan.variants) if plan.order == "in-turn" else 1
    return int(2 * seconds * n_turns) + LIFETIME_MARGIN_S


def chosen_places(client: Client, where: ClusterPlan, base: PodSpec) -> list[Place]:
    """The targets ``where`` names, from what the API server says now; nothing is made."""
    images = where.images or (base.image,)
    short = [image.rpartition("/")[2].partition("@")[0].partition(":")[0] for image in images]
    if len(set(short)) != len(short):
        raise UsageError(f"images are told apart by their last word, and these share one: {', '.join(images)}")
    nodes = _nodes(client, where.nodes)
    return [
        Place(_target_name(name if len(images) > 1 else "", node, number), image, node, machine)
        for image, name in zip(images, short, strict=True)
        for node, machine in nodes
        for number in (range(1, where.pods_per_node + 1) if where.pods_per_node > 1 else (0,))
    ]


def _target_name(image: str, node: str | None, number: int) -> str:
    name = "@".join(part for part in (image, node) if part) or "pod"
    return f"{name}.{number}" if number else name


def _nodes(client: Client, wanted: str) -> list[tuple[str | None, str]]:
    """Names and machines of the nodes wanted. One node, whichever, needs no right to list them."""
    try:
        with answered(f"list nodes (for --nodes {wanted})"):
            listed = client.core().list_node(_request_timeout=TIMEOUT_S).items
    except NotAble:
        if wanted == "1":
            return [(None, MACHINES["amd64"])]
        if not wanted.isdigit() and wanted != "all":
            return [(wanted, MACHINES["amd64"])]
        raise
    unfit = {node.metadata.name: _unfit(node) for node in listed}
    ready = {
        node.metadata.name: MACHINES[node.status.node_info.architecture]
        for node in listed
        if not unfit[node.metadata.name]
    }
    if wanted == "all":
        chosen = sorted(ready)
    elif wanted.isdigit():
        chosen = sorted(ready)[: int(wanted)]
        if len(chosen) < int(wanted):
            raise UsageError(f"--nodes {wanted}: {len(ready)} nodes are ready for pods ({', '.join(sorted(ready))})")
    elif wanted in ready:
        chosen = [wanted]
    elif wanted in unfit:
        raise NotAble(f"node {wanted} takes no pod of ours: {unfit[wanted]}; ready are {', '.join(sorted(ready))}")
    else:
        raise UsageError(f"no node {wanted!r}: ready for pods are {', '.join(sorted(ready))}")
    if not chosen:
        raise NotAble("no node of the cluster is ready for pods")
    return [(name, ready[name]) for name in chosen]


def _unfit(node: Any) -> str:
    """Why no pod of ours would run on a node; ``""`` where one would."""
    info, ready = node.status.node_info, [one for one in node.status.conditions or [] if one.type == "Ready"]
    if info.operating_system != "linux" or info.architecture not in MACHINES:
        probes = " and ".join(f"linux/{one}" for one in MACHINES)
        return f"it is {info.operating_system}/{info.architecture}, there are probes for {probes}"
    if node.spec.unschedulable:
        return "it is cordoned"
    if not ready or ready[0].status != "True":
        return f"it is not ready ({ready[0].reason}: {ready[0].message})" if ready else "it is not ready"
    taints = [one for one in node.spec.taints or [] if one.effect in ("NoSchedule", "NoExecute")]
    return f"it has the taint {taints[0].key}:{taints[0].effect}" if taints else ""


def base_spec(client: Client, where: ClusterPlan) -> PodSpec:
    """The base of every pod: the image given, or what the workload named by ``like`` runs with."""
    if not where.like:
        return PodSpec(image=where.images[0] if where.images else DEFAULT_IMAGE)
    plain = read_workload(client, where.like)["spec"]["template"]["spec"]
    container = plain["containers"][0]
    keep = ("nodeSelector", "affinity", "tolerations", "priorityClassName", "runtimeClassName")
    return PodSpec(
        image=container["image"],
        placement={key: plain[key] for key in keep if plain.get(key)},
        resources=container.get("resources") or {},
        pull_secrets=plain.get("imagePullSecrets") or (),
    )
