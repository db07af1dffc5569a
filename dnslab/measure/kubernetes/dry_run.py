"""What a run in a cluster would make and run, for a dry run and for the limits of load. Makes and runs nothing.

Only reads from the API server. The objects are those the backend posts, from the same functions.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

import yaml

from dnslab.measure import witnesses
from dnslab.measure.asking import NOWHERE_IPV4, NOWHERE_IPV6
from dnslab.measure.kubernetes import existing
from dnslab.measure.kubernetes.api.client import connect
from dnslab.measure.kubernetes.api.objects import nodes_or_refusal
from dnslab.measure.kubernetes.cluster_dns import FoundDns, find
from dnslab.measure.kubernetes.placement import Place, base_spec, chosen_places, lifetime_s, pod_spec
from dnslab.measure.kubernetes.pods import pod_facts, upload
from dnslab.measure.kubernetes.pods.manifest import configmap_manifest, pod_manifest
from dnslab.measure.kubernetes.who_answers import N_QUESTIONS
from dnslab.plan import flows
from dnslab.plan.model import Plan
from dnslab.plan.resolvconf import DEFAULT_ZONE, ResolverOptions, usual_of_pod
from dnslab.plan.schedule import TargetInfo, Trial, trials
from dnslab.plan.variants import Variant

#: stands where a run has its random id
RUN_ID = "xxxxxxxx"


class Planned:
    """The own pods that ``plan`` names, and what a run in them would do.

    Raises
    ------
    NotAble, UsageError
        As the backend's own, where it reads.
    """

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self.client = connect(plan.cluster.context, plan.cluster.namespace)
        self._like = base_spec(self.client, plan.cluster)
        self._base = self._like.spec
        nodes = nodes_or_refusal(self.client)
        self._places = {place.target: place for place in chosen_places(self.client, plan.cluster, self._base, nodes)}
        self._numbers = itertools.count(1)

    def targets(self) -> Sequence[TargetInfo]:
        """By name. Their libc is not known before a pod runs: each is taken for a glibc that honours every variant."""
        return [TargetInfo(name, "glibc") for name in self._places]

    def objects(self, control: Trial) -> list[dict[str, Any]]:
        """The objects made up to the end of the first round, as they are posted.

        ``control`` is the trial that asks a little before the first one, to know how healthy DNS is.
        """
        kinds = {place.kind: place for place in reversed(self._places.values())}
        scouts = [self._pod(place, None) for place in kinds.values()]
        nodes = {place.node: place for place in self._places.values()} if self._plan.cluster.node_counters else {}
        watchers = [self._pod(place, None, host_network=True) for place in nodes.values()]
        first_round = [trial for trial in trials(self._plan, self.targets()) if trial.round == 1]
        clients = [
            self._pod(self._places[name], self._plan.variant(trial.variant))
            for trial in (control, *first_round)
            for name in trial.targets
        ]
        return [configmap_manifest(RUN_ID), *scouts, *watchers, *clients]

    def _pod(self, place: Place, variant: Variant | None, host_network: bool = False) -> dict[str, Any]:
        spec = pod_spec(self._base, place, variant, self._usual_options(), lifetime_s(self._plan))
        if host_network:
            spec = replace(spec, host_network=True, dns_policy="Default", dns_config={})
        return pod_manifest(f"dnslab-{RUN_ID}-{next(self._numbers)}", RUN_ID, spec)

    def _usual_options(self) -> ResolverOptions:
        """The resolv.conf options that a kubelet usually writes. A run reads them from its first pod."""
        zone = next(iter(self._dns.zones), DEFAULT_ZONE)
        return usual_of_pod(self.client.namespace, zone, self._dns.addresses[:1])

    @cached_property
    def _dns(self) -> FoundDns:
        return find(self.client)

    def commands(self) -> Iterator[str]:
        """Every command that is run in a pod through exec, and where.

        PROBE is the first of the three probes that starts.
        """
        place = next(iter(self._places.values()))
        for kind in ("glibc", "musl", "static"):
            yield f"{place.program(kind)} --version  (in the first pod of each image on each node, until one starts)"
        yield f"/lib/ld-musl-{place.machine}.so.1  (there, for musl's version)"
        yield f"PROBE --show {pod_facts.RESOLV_CONF} {flows.PORT_RANGE_FILE}  (in the very first pod)"
        yield "PROBE  (there, with a job on stdin: each of the plan's names once)"
        yield from _asking_servers(self._plan, "in the first pod of each image on each node")
        yield f"PROBE --show {pod_facts.RESOLV_CONF} {pod_facts.KERNEL}  (in each trial's pod)"
        yield f"PROBE --show {' '.join(witnesses.CLIENT_FILES)}  (there, before and after)"
        yield "PROBE  (there, with the trial's job on stdin)"
        if self._plan.cluster.node_counters:
            files = " ".join(witnesses.NAMESPACE_FILES)
            yield f"PROBE --show {files}  (in each node's pod, before and after each trial)"


class PlannedInExisting:
    """The existing pods that ``plan`` names, and what a run in them would do.

    Raises
    ------
    NotAble, UsageError
        As the backend's own, where it reads.
    """

    def __init__(self, plan: Plan) -> None:
        self.client = connect(plan.cluster.context, plan.cluster.namespace)
        self._plan, self._targets = plan, existing.known_targets(self.client, plan)

    def targets(self) -> Sequence[TargetInfo]:
        """Targets by the pods' names. Their C library is not known before the probe runs in them."""
        return self._targets

    def objects(self, control: Trial) -> list[dict[str, Any]]:
        """No object is made. An ephemeral container may be added to existing pods."""
        return []

    def commands(self) -> Iterator[str]:
        """As ``Planned.commands``. PROBE is the uploaded file, whose name has a random end."""
        cluster = self._plan.cluster
        if cluster.debug_image:
            yield f"sh  (as the ephemeral container of {cluster.debug_image} in each pod; all below run in it)"
        edits = f", edits {pod_facts.RESOLV_CONF} for each trial and puts it back" if cluster.edit_resolv_conf else ""
        paths = " ".join(["EMPTYDIR", upload.candidates([])])
        yield f"sh  (in each pod, for the whole run: writes {upload.PREFIX}* in one of {paths}{edits}, removes it)"
        yield "PROBE --version  (there; the one for glibc, for musl, the static one, until one starts)"
        yield "PROBE  (there, without a job: its checksum)"
        yield f"PROBE --show {flows.PORT_RANGE_FILE}  (in the first pod)"
        yield "PROBE  (there, with a job on stdin: each of the plan's names once)"
        yield from _asking_servers(self._plan, "in each pod")
        yield f"PROBE --show {pod_facts.RESOLV_CONF} {pod_facts.KERNEL}  (for each trial)"
        yield f"PROBE --show {' '.join(witnesses.CLIENT_FILES)}  (before and after each)"
        yield "PROBE  (with the trial's job on stdin)"


def _asking_servers(plan: Plan, where: str) -> Iterator[str]:
    yield f"PROBE  ({where}, with a job on stdin: a query to {NOWHERE_IPV4}, where no server is, or {NOWHERE_IPV6})"
    yield f"PROBE  (in the first, with a job on stdin: {N_QUESTIONS} names that do not exist, which DNS servers count)"
    for address in sorted(plan.cache_addresses):
        yield f"PROBE  ({where}, with a job on stdin: a query to {address}, as variants for a cache need one)"


def planned(plan: Plan) -> Planned | PlannedInExisting:
    """What a run would do in own pods or in existing ones, as ``plan`` asks."""
    return PlannedInExisting(plan) if plan.cluster.existing else Planned(plan)


def known_targets(plan: Plan) -> Sequence[TargetInfo]:
    """The targets that ``plan`` names. Makes nothing; see ``Planned.targets``."""
    return planned(plan).targets()


def as_yaml(wanted: dict[str, Any]) -> str:
    """An object as YAML, with the size of binary data in place of the data."""
    if "binaryData" in wanted:
        sizes = {name: f"({3 * len(text) // 4:,} bytes)" for name, text in wanted["binaryData"].items()}
        wanted = {**wanted, "binaryData": sizes}
    return yaml.safe_dump(wanted, sort_keys=False)
