"""Pods of our own as targets, through the exec API: the backend for clusters.

Keeps flows fresh by a new pod for each trial. How a pod is made, looked into and talked to stands in the modules
beside; where pods go stands in ``placement``.
"""

from __future__ import annotations

import contextlib
import itertools
import secrets
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from typing import Any

from dnslab.errors import DnslabError, NotAble
from dnslab.measure import protocol, witnesses
from dnslab.measure.asking import expected, why_no_cache
from dnslab.measure.kubernetes.api.client import connect
from dnslab.measure.kubernetes.api.exec import run
from dnslab.measure.kubernetes.api.objects import nodes_or_refusal
from dnslab.measure.kubernetes.cluster_dns import find
from dnslab.measure.kubernetes.counters import dns_counters
from dnslab.measure.kubernetes.node_cache.detect import status
from dnslab.measure.kubernetes.placement import Place, base_spec, chosen_places, lifetime_s, pod_spec
from dnslab.measure.kubernetes.pods import pod_facts
from dnslab.measure.kubernetes.pods.lifecycle import AGAIN_TIMEOUT_S, BESIDE_TIMEOUT_S, Pods
from dnslab.measure.kubernetes.pods.manifest import CONTAINER
from dnslab.measure.kubernetes.pods.own_pod import OwnPod
from dnslab.measure.kubernetes.surroundings import surroundings
from dnslab.measure.kubernetes.who_answers import who_answers
from dnslab.measure.protocol import Expected, Target
from dnslab.measure.witnesses import Reading
from dnslab.plan import flows
from dnslab.plan.model import Plan
from dnslab.plan.resolvconf import ResolverOptions, parse
from dnslab.plan.schedule import TargetInfo
from dnslab.plan.variants import Variant
from dnslab.store.contents import BackendFacts

#: after this long conntrack has forgotten every flow of an address that no pod has any more
ADDRESS_REST_S = float(flows.UDP_STREAM_TIMEOUT_S)
#: pods made for one trial until one has a rested address
FRESH_TRIES = 3
#: pods of one group read the DNS servers' counters within this of each other: one answer serves them all
DNS_COUNTERS_AGE_S = 1.0


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
        self._cluster = plan.cluster
        self.client = connect(self._cluster.context, self._cluster.namespace)
        self.run_id = secrets.token_hex(4)
        self._pods = Pods(self.client, self.run_id)
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()
        self._address_left_s: dict[str, float] = {}
        self._denied: list[str] = []
        self._dns_lock = threading.Lock()
        self._dns_asked_s = -DNS_COUNTERS_AGE_S
        self._dns_numbers: dict[str, int] = {}
        self._closed = False
        self._probes: dict[tuple[str, str | None], pod_facts.LoadableProbe] = {}
        self._scouts: list[OwnPod] = []
        self._watchers: dict[str, OwnPod] = {}
        self._unwatched: dict[str, str] = {}
        self._resolv_conf = ""
        self._lifetime_s = lifetime_s(plan)
        self._like = base_spec(self.client, self._cluster)
        self._base = self._like.spec
        nodes = nodes_or_refusal(self.client)
        self._places = chosen_places(self.client, self._cluster, self._base, nodes)
        try:
            self._pods.prepare()
            self._scout()
            if self._cluster.node_counters:
                self._watch()
            scout = self._scouts[0]
            texts = pod_facts.show(scout.run, scout.program, [pod_facts.RESOLV_CONF, flows.PORT_RANGE_FILE])
            self._resolv_conf = texts[pod_facts.RESOLV_CONF] or ""
            self._n_ports = flows.count_ports(texts[flows.PORT_RANGE_FILE])
            self._no_cache = self._ask_caches(plan)
            dns = find(self.client, self._resolv_conf)
            self._surroundings = surroundings(self.client, dns, nodes)
            self._cache = status(self.client, resolv_conf=self._resolv_conf, dns=dns)
            starts = {place.target: scout.start for place, scout in self._first_places()}
            self._who_answers = who_answers(
                self.client, starts, parse(self._resolv_conf), dns, self._surroundings.dns_pods
            )
        except BaseException:
            with contextlib.suppress(NotAble):  # the error under way says more
                self.close()
            raise

    def _scout(self) -> None:
        """Make one pod for each image on each node, to learn its C library and where the scheduler puts it."""
        by_kind = {place.kind: place for place in reversed(self._places)}
        names = {kind: self._create(place, None) for kind, place in by_kind.items()}
        nodes: dict[tuple[str, str | None], str] = {}
        for kind, place in by_kind.items():
            pod = self._pods.wait_ready(names[kind])
            execute = partial(run, self.client, names[kind], CONTAINER)
            probe = pod_facts.choose_probe(execute, place.program, place.machine)
            nodes[kind] = pod["spec"]["nodeName"]
            self._probes[place.image, nodes[kind]] = probe
            self._scouts.append(OwnPod(self._pods, pod, probe, {}))
        self._places = [replace(place, node=nodes[place.kind]) for place in self._places]

    def _first_places(self) -> Iterator[tuple[Place, OwnPod]]:
        """The first place of each kind, with its scout."""
        by_kind = {place.kind: place for place in reversed(self._places)}
        return ((by_kind[kind], scout) for kind, scout in zip(self._probes, self._scouts, strict=True))

    def _ask_caches(self, plan: Plan) -> dict[tuple[str, str | None], str]:
        """By kind of place, why no node-local cache can be asked there."""
        if not plan.cache_addresses:
            return {}
        with ThreadPoolExecutor(len(self._scouts), thread_name_prefix="ask") as pool:
            reasons = pool.map(lambda scout: why_no_cache(scout.start, plan.cache_addresses), self._scouts)
            return dict(zip(self._probes, reasons, strict=True))

    def _watch(self) -> None:
        """Make a pod in the network namespace of each node, with no more rights than others; list what is denied."""
        for place in {place.node: place for place in self._places}.values():
            assert place.node
            try:
                name = self._create(place, None, host_network=True)
                pod = self._pods.wait_ready(name)
            except NotAble as error:
                self._denied.append(f"node counters of {place.node}: {error}")
                self._unwatched[place.node] = str(error)
                continue
            self._watchers[place.node] = OwnPod(self._pods, pod, self._probes[place.kind], {})

    def describe(self) -> BackendFacts:
        """Cluster, namespace, run id, targets and their nodes."""
        facts = {
            "name": self.name,
            **self.client.described(),
            "run_id": self.run_id,
            "fresh_clients": True,
            "n_ports": self._n_ports,
            "udp_timeout_s": flows.UDP_TIMEOUT_S,
            "surroundings": dict(self._surroundings.facts),
            "node_cache": vars(self._cache),
            "who_answers": vars(self._who_answers),
            "denied": [*self._surroundings.facts["denied"], *self._denied],
            "resolv_conf": self._resolv_conf,
            "places": [vars(place) for place in self._places],
            "not_copied": list(self._like.not_copied),
        }
        return BackendFacts.model_validate(facts)

    def targets(self) -> Sequence[TargetInfo]:
        """A target for each image on each node."""
        found = [(place.target, self._probes[place.kind], self._no_cache.get(place.kind, "")) for place in self._places]
        workload = self._cluster.like or ""
        return [
            TargetInfo(target, probe.libc, probe.version, workload=workload, no_cache=no_cache)
            for target, probe, no_cache in found
        ]

    def expected(self, names: Sequence[str]) -> Mapping[str, Expected]:
        """What each name resolves to now in a baseline pod."""
        probe = next(iter(self._probes.values()))  # of the first scout
        return expected(self._scouts[0].start, names, parse(self._resolv_conf, probe.libc, probe.version), probe.libc)

    def open(self, client: protocol.Client) -> Target:
        """A new pod. No pod of this run had its address in the last two minutes.

        Raises
        ------
        NotAble
            The pod is refused or does not start.
        """
        place = next(place for place in self._places if place.target == client.target)
        for attempt in range(FRESH_TRIES):
            pod = self._start(place, client.variant)
            address = pod["status"].get("podIP", "")
            fresh = time.monotonic() - self._address_left_s.get(address, -ADDRESS_REST_S) >= ADDRESS_REST_S
            if fresh or attempt == FRESH_TRIES - 1:
                break
            self._pods.remove(pod["metadata"]["name"])
        node = pod["spec"]["nodeName"]
        return OwnPod(
            self._pods,
            pod,
            self._probes[place.kind],
            {"fresh": fresh, **self._surroundings.node_facts(node)},
            partial(self._leave, address),
            counters_around=partial(self._counters_around, node),
        )

    def _start(self, place: Place, variant: Variant) -> dict[str, Any]:
        """Make a pod and wait until it runs. A pod that does not start is removed."""
        name = self._create(place, variant)
        try:
            return self._pods.wait_ready(name, AGAIN_TIMEOUT_S + BESIDE_TIMEOUT_S * len(self._places))
        except BaseException:
            with contextlib.suppress(DnslabError):  # the error under way says more
                self._pods.remove(name)
            raise

    def _counters_around(self, node: str) -> Reading:
        """Counters of the DNS servers, read once for all pods of a group, and of the node if a pod watches it."""
        with self._dns_lock:
            if time.monotonic() - self._dns_asked_s > DNS_COUNTERS_AGE_S:
                self._dns_numbers, denied = dns_counters(self.client, self._surroundings.dns_pods)
                self._denied += [line for line in denied if line not in self._denied]
                self._dns_asked_s = time.monotonic()
            reading = Reading(self._dns_numbers)
        reading.include(witnesses.not_read("coredns", witnesses.NOT_IN_THERE))
        watcher = self._watchers.get(node)
        if watcher:
            texts = pod_facts.read(watcher.run, watcher.program, witnesses.NAMESPACE_FILES)
            reading.include(witnesses.read("node", texts))
        else:
            reading.include(witnesses.not_read("node", self._unwatched.get(node, witnesses.NOT_ASKED_FOR)))
        return reading

    def _leave(self, address: str) -> None:
        self._address_left_s[address] = time.monotonic()

    def _create(self, place: Place, variant: Variant | None, host_network: bool = False) -> str:
        with self._lock:
            name = f"dnslab-{self.run_id}-{next(self._numbers)}"
        kubelet_options = parse(self._resolv_conf) if variant else ResolverOptions()
        spec = pod_spec(self._base, place, variant, kubelet_options, self._lifetime_s)
        if host_network:
            spec = replace(spec, host_network=True, dns_policy="Default", dns_config={})
        self._pods.create(name, spec)
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
