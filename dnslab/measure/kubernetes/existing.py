"""The backend for existing pods. It uploads the probe into them and leaves their files as they were.

Nothing can be made fresh here: the flows of every trial leave from the pod's one address, and what is measured says
so. Variants reach glibc inside the probe, or by an edited resolv.conf, one at a time.
"""

from __future__ import annotations

import contextlib
import secrets
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from dnslab.errors import DnslabError, UsageError
from dnslab.measure import protocol, witnesses
from dnslab.measure.asking import expected, why_no_cache
from dnslab.measure.kubernetes.api.client import Client, connect
from dnslab.measure.kubernetes.cluster_dns import find
from dnslab.measure.kubernetes.node_cache.detect import status
from dnslab.measure.kubernetes.placement import lifetime_s
from dnslab.measure.kubernetes.pods import ephemeral, pod_facts, resolv_conf
from dnslab.measure.kubernetes.pods.channel import PodChannel
from dnslab.measure.kubernetes.pods.condition import Pod, image_id, restarts, why_ended
from dnslab.measure.kubernetes.pods.upload import Upload
from dnslab.measure.kubernetes.selection import find_containers, read_pod, workload_of
from dnslab.measure.kubernetes.surroundings import dns_servers
from dnslab.measure.kubernetes.who_answers import who_answers
from dnslab.measure.protocol import Channel, Expected, Target, TargetFacts
from dnslab.measure.witnesses import Reading
from dnslab.plan import flows
from dnslab.plan.model import Plan
from dnslab.plan.resolvconf import parse, usual_of_pod
from dnslab.plan.schedule import TargetInfo
from dnslab.plan.variants import Means
from dnslab.store.contents import BackendFacts

#: pods prepared at once: each takes a handful of execs
AT_ONCE = 8


class PreparedContainer:
    """One container of an existing pod with the probe in it.

    Raises
    ------
    NotAble
        The probe cannot be brought in, or resolv.conf cannot be edited where that is asked for.
    """

    def __init__(self, client: Client, pod: Pod, container: str, plan: Plan) -> None:
        self.client, self.pod, self.name = client, pod, container
        self.pod_name: str = pod["metadata"]["name"]
        self._cluster = plan.cluster
        self._restarts = restarts(pod)
        self._bring_lock = threading.Lock()
        self.measured_in, self.debug_image_id = container, ""
        if self._cluster.debug_image:
            image = self._cluster.debug_image
            self.measured_in, self.debug_image_id = ephemeral.attach(client, self.pod_name, image, lifetime_s(plan))
        self.upload = self._bring()
        try:
            self.original = resolv_conf.refuse_edited(self.upload.shell)
            if self._cluster.edit_resolv_conf:
                resolv_conf.check_can_edit(self.upload.shell)
        except BaseException:
            self.close()
            raise

    def _bring(self) -> Upload:
        ends_container = self._cluster.debug_image and ephemeral.may_be_ended(self.pod)
        on_leaving = {"container": ephemeral.END} if ends_container else {}
        return Upload(self.client, self.pod, self.measured_in, on_leaving)

    @property
    def means(self) -> Means:
        """The ways in which variants reach the resolver."""
        return "file" if self._cluster.edit_resolv_conf else "_res"

    def ready(self) -> None:
        """Upload the probe again if the shell session that keeps it has ended, as after a restart."""
        with self._bring_lock:
            if not self.upload.shell.alive:
                self.upload.close()
                self.upload = self._bring()

    def show(self, *paths: str) -> Mapping[str, str | None]:
        """Texts of files in the container."""
        return pod_facts.show(self.upload.run, self.upload.path, paths)

    def start(self, job: bytes) -> Channel:
        """Start the probe."""
        channel = PodChannel(self.client, self.pod_name, self.measured_in, [self.upload.path], self._state)
        channel.write(job)
        return channel

    def _state(self, pod_name: str) -> str:
        """What happened to the pod; ``""`` if it runs and no container was restarted since the run began."""
        try:
            pod = read_pod(self.client, pod_name)
        except DnslabError as error:
            return str(error)
        for container, (count, reason) in restarts(pod).items():
            if count > self._restarts.get(container, (0, ""))[0]:
                return f"container {container} of pod {pod_name} was restarted ({reason or 'no reason given'})"
        return why_ended(pod)

    def put_back(self) -> None:
        """Restore the original resolv.conf."""
        with contextlib.suppress(DnslabError):  # the session has ended then, and put it back on leaving
            resolv_conf.end(self.upload.shell, self.original)

    def close(self) -> None:
        """Remove the probe, an edit of resolv.conf and the ephemeral container. May be called twice."""
        self.upload.close()


class ExistingPod:
    """A prepared container for one trial. With an edited resolv.conf, ``on_close`` restores the original."""

    def __init__(
        self, container: PreparedContainer, debug_image: str | None, on_close: Callable[[], None] | None
    ) -> None:
        self._container, self._debug_image, self._on_close = container, debug_image, on_close

    def facts(self) -> TargetFacts:
        """As seen inside the container."""
        container, probe = self._container, self._container.upload.probe
        texts = container.show(pod_facts.RESOLV_CONF, pod_facts.KERNEL)
        extra = {
            "pod": container.pod_name,
            "container": container.name,
            "address": container.pod["status"].get("podIP", ""),
            "image": image_id(container.pod, container.name),
            "probe": probe.kind,
            "fresh": False,
        }
        if self._debug_image:
            extra |= {"debug_image": self._debug_image, "debug_image_id": container.debug_image_id}
            extra["measured"] = "the pod's network with the debug image's libc"
        return TargetFacts(
            libc=probe.libc,
            libc_version=probe.version,
            # musl has no state that could be patched: it reads the file
            means=container.means if probe.libc == "glibc" else "file",
            resolv_conf=texts[pod_facts.RESOLV_CONF] or "",
            kernel=f"Linux {(texts[pod_facts.KERNEL] or '').strip()}",
            node=container.pod["spec"]["nodeName"],
            extra=extra,
        )

    def start(self, job: bytes) -> Channel:
        """Start the probe."""
        return self._container.start(job)

    def counters(self) -> Reading:
        """Counters of the pod, which other processes in it change too, and the CPU time of its node."""
        reading = pod_facts.pod_counters(self._container.upload.run, self._container.upload.path)
        for place in ("node", "coredns"):
            reading.include(witnesses.not_read(place, witnesses.NOT_IN_THERE))
        return reading

    def ground_truth(self) -> Mapping[str, Any] | None:
        """No fault is injected here."""
        return None

    def close(self) -> None:
        """Restore what was edited. May be called twice."""
        if self._on_close:
            on_close, self._on_close = self._on_close, None
            on_close()


class ExistingPods:
    """The backend whose targets are the pods that ``plan.cluster.existing`` names.

    Raises
    ------
    NotAble, UsageError
        No such pod or container, one that does not run, no way to bring the probe in; nothing is left behind then.
    """

    name = "kubernetes"
    opens_ahead = False

    def __init__(self, plan: Plan) -> None:
        cluster = plan.cluster
        if cluster.edit_resolv_conf and plan.order != "in-turn" and len(plan.variants) > 1:
            raise UsageError("--edit-resolv-conf edits one file, so variants take turns: add --schedule in-turn")
        self._cluster = cluster
        self.client = connect(cluster.context, cluster.namespace)
        self.run_id = secrets.token_hex(4)
        chosen = find_containers(self.client, cluster.existing or "", cluster.container)
        self._containers: dict[str, PreparedContainer] = {}
        try:
            with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="upload") as pool:
                futures = [pool.submit(self._prepare, pod, container, plan) for pod, container in chosen]
            for future in futures:
                future.result()
            self._containers = dict(sorted(self._containers.items()))
            self._first_container = next(iter(self._containers.values()))
            resolv_conf_text = self._first_container.original
            dns = find(self.client, resolv_conf_text)
            self._cache = status(self.client, resolv_conf=resolv_conf_text, dns=dns)
            starts = {name: container.start for name, container in self._containers.items()}
            self._who_answers = who_answers(
                self.client, starts, parse(resolv_conf_text), dns, dns_servers(self.client, dns)
            )
            addresses = plan.cache_addresses
            with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="ask") as pool:
                reasons = list(pool.map(lambda start: why_no_cache(start, addresses), starts.values()))
            self._no_cache = dict(zip(self._containers, reasons, strict=True))
            self._n_ports = flows.count_ports(self._first_container.show(flows.PORT_RANGE_FILE)[flows.PORT_RANGE_FILE])
        except BaseException:
            self.close()
            raise

    def _prepare(self, pod: Pod, container: str, plan: Plan) -> None:
        prepared = PreparedContainer(self.client, pod, container, plan)
        self._containers[prepared.pod_name] = prepared

    def describe(self) -> BackendFacts:
        """Cluster, namespace, pods, and why their flows are not fresh."""
        facts = {
            "name": self.name,
            **self.client.described(),
            "run_id": self.run_id,
            "fresh_clients": False,
            "n_ports": self._n_ports,
            "udp_timeout_s": flows.UDP_TIMEOUT_S,
            "resolv_conf": self._first_container.original,
            "node_cache": vars(self._cache),
            "who_answers": vars(self._who_answers),
            "existing": self._cluster.existing,
            "debug_image": self._cluster.debug_image,
            "places": [
                {
                    "target": container.pod_name,
                    "container": container.name,
                    "node": container.pod["spec"]["nodeName"],
                    "probe": container.upload.path,
                }
                for container in self._containers.values()
            ],
        }
        return BackendFacts.model_validate(facts)

    def targets(self) -> Sequence[TargetInfo]:
        """Each pod by its name."""
        return [
            TargetInfo(
                container.pod_name,
                container.upload.probe.libc,
                container.upload.probe.version,
                container.means,
                workload_of(container.pod),
                self._no_cache[container.pod_name],
            )
            for container in self._containers.values()
        ]

    def expected(self, names: Sequence[str]) -> Mapping[str, Expected]:
        """What each name resolves to now in the first pod."""
        first = self._first_container
        probe = first.upload.probe
        options = parse(first.original, probe.libc, probe.version)
        return expected(first.start, names, options, probe.libc)

    def open(self, client: protocol.Client) -> Target:
        """The same pod each time. Its resolv.conf has the variant of ``client`` if the plan allows the edit.

        Raises
        ------
        NotAble, ProbeFailed
            The probe cannot be brought in again, or the file cannot be edited.
        """
        container = self._containers[client.target]
        container.ready()
        on_close = None
        if self._cluster.edit_resolv_conf:
            resolv_conf.begin(container.upload.shell, container.original, client.variant)
            on_close = container.put_back
        return ExistingPod(container, self._cluster.debug_image, on_close)

    def close(self) -> None:
        """Remove every probe. May be called twice."""
        with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="upload") as pool:
            list(pool.map(PreparedContainer.close, self._containers.values()))


def announced(plan: Plan) -> list[str]:
    """Lines to print before a run: what it does in existing pods, and how its rate limits the comparison."""
    cluster = plan.cluster
    lines = ["in each pod: the probe is brought in by exec, and removed when the run ends"]
    if cluster.edit_resolv_conf:
        file = pod_facts.RESOLV_CONF
        lines = [f"{lines[0]}; {file} is edited for each trial, for all that run in the pod, and put back"]
    if cluster.debug_image:
        lines.append(
            f"in each pod: an ephemeral container of {cluster.debug_image}, which Kubernetes keeps in the pod's list "
            "for good; its libc is what is measured"
        )
    if not all(load.has_own_rate for load in plan.loads):
        lines.append(
            f"rate: chosen when the run begins, so that {flows.NEW_FLOWS_NEEDED:.0%} of the flows from a pod's one "
            "address are new, as the race needs them"
        )
        return lines
    usual = usual_of_pod(cluster.namespace or "default")
    options = [plan.variant(name).applied_to(usual) for name in plan.variants]
    sockets = [flows.sockets_per_lookup(each, caches=plan.cache_addresses) for each in options]
    fits_per_s = flows.fitting_rate_per_s(sockets, plan.order, flows.N_PORTS)
    rate_per_s = max(load.rate_per_s or 0.0 for load in plan.loads)
    if rate_per_s > fits_per_s:
        lines.append(
            f"rate: at {rate_per_s:g} lookups/s under {flows.NEW_FLOWS_NEEDED:.0%} of the flows from a pod's one "
            f"address are new, and without that the comparison is void: at most {fits_per_s:.0f} fit, fewer where a "
            "name takes several queries; without --rate it is chosen"
        )
    return lines


def known_targets(client: Client, plan: Plan) -> list[TargetInfo]:
    """The pods by name. Their C library is not known before the probe runs in them; a recent glibc is assumed."""
    cluster = plan.cluster
    chosen = find_containers(client, cluster.existing or "", cluster.container)
    means: Means = "file" if cluster.edit_resolv_conf else "_res"
    return [TargetInfo(pod["metadata"]["name"], "glibc", means=means) for pod, _ in chosen]
