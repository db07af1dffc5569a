"""Pods that are there already as targets: found, the probe brought in, their files left as they were.

Nothing can be made fresh here: the flows of every trial leave from the pod's one address, and what is measured says
so. Variants reach glibc inside the probe, or by an edited resolv.conf, one at a time.
"""

from __future__ import annotations

import contextlib
import json
import re
import secrets
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

from dnslab.errors import DnslabError, NotAble, UsageError
from dnslab.measure.kubernetes.api.client import TIMEOUT_S, Client, Refused, answered, connect
from dnslab.measure.kubernetes.api.objects import WORKLOADS, read_workload
from dnslab.measure.kubernetes.backend import lifetime_s
from dnslab.measure.kubernetes.node_cache.detect import status
from dnslab.measure.kubernetes.pods import ephemeral, pod_facts as look, resolv_conf as edit
from dnslab.measure.kubernetes.pods.lifecycle import Pods, gone_wrong, hopeless, image_id, list_raw
from dnslab.measure.kubernetes.pods.own_pod import PodChannel
from dnslab.measure.kubernetes.pods.upload import Upload
from dnslab.measure.protocol import Arm, Channel, Expected, Target, TargetFacts
from dnslab.plan import flows
from dnslab.plan.model import Plan, TargetInfo
from dnslab.plan.variants import Means

#: pods prepared at once: each takes a handful of execs
AT_ONCE = 8

Pod = Mapping[str, Any]


class Others(Pods):
    """Pods of others: what became of one is read from that pod, and none is ever removed."""

    def __init__(self, client: Client, run_id: str, pods: Sequence[Pod]) -> None:
        super().__init__(client, run_id)
        self._restarts = {pod["metadata"]["name"]: _restarts(pod) for pod in pods}

    def state(self, name: str) -> str:
        """As Pods'; a container that was restarted since the run began counts too."""
        try:
            pod = read_pod(self.client, name)
        except DnslabError as error:
            return str(error)
        before = self._restarts.get(name, {})
        for container, (count, reason) in _restarts(pod).items():
            if count > before.get(container, (0, ""))[0]:
                return f"container {container} of pod {name} was restarted ({reason or 'no reason given'})"
        return gone_wrong(pod)


class Site:
    """One container of an existing pod with the probe in it."""

    def __init__(self, pods: Pods, pod: Pod, container: str, plan: Plan) -> None:
        self.pods, self.pod, self.container = pods, pod, container
        self.name: str = pod["metadata"]["name"]
        self._where = plan.cluster
        self._bringing = threading.Lock()
        self.measured_in, self.debug_image_id = container, ""
        if self._where.debug_image:
            image = self._where.debug_image
            self.measured_in, self.debug_image_id = ephemeral.attach(pods.client, self.name, image, lifetime_s(plan))
        self.upload = self._bring()
        try:
            self.original = edit.refuse_edited(self.upload.shell)
            if self._where.edit_resolv_conf:
                edit.can_edit(self.upload.shell)
        except BaseException:
            self.close()
            raise

    def _bring(self) -> Upload:
        ends = self._where.debug_image and ephemeral.may_be_ended(self.pod)
        return Upload(self.pods.client, self.pod, self.measured_in, {"container": ephemeral.END} if ends else {})

    @property
    def means(self) -> Means:
        """By which variants reach the resolver."""
        return "file" if self._where.edit_resolv_conf else "_res"

    def ready(self) -> None:
        """Bring the probe in again where the session that keeps it has ended, by a restart of either side."""
        with self._bringing:
            if not self.upload.shell.alive:
                self.upload.close()
                self.upload = self._bring()

    def show(self, *paths: str) -> Mapping[str, str | None]:
        """Texts of files in the container."""
        return look.show(self.upload.run, self.upload.path, paths)

    def start(self, job: bytes) -> Channel:
        """Start the probe."""
        channel = PodChannel(self.pods, self.name, self.measured_in, [self.upload.path])
        channel.write(job)
        return channel

    def close(self) -> None:
        """Remove the probe; an edit still in force and an ephemeral container end with it. May be called twice."""
        self.upload.close()


class ExistingPod:
    """A site for one trial. With an edited resolv.conf, ``close`` puts the original back."""

    def __init__(self, site: Site, debug_image: str | None, on_close: Callable[[], None] | None) -> None:
        self._site, self._debug_image, self._on_close = site, debug_image, on_close

    def facts(self) -> TargetFacts:
        """As seen inside the container."""
        site, found = self._site, self._site.upload.found
        seen = site.show(look.RESOLV_CONF, look.KERNEL)
        extra = {
            "pod": site.name,
            "container": site.container,
            "address": site.pod["status"].get("podIP", ""),
            "image": image_id(site.pod, site.container),
            "probe": found.kind,
            "fresh": False,
        }
        if self._debug_image:
            extra |= {"debug_image": self._debug_image, "debug_image_id": site.debug_image_id}
            extra["measured"] = "the pod's network with the debug image's libc"
        return TargetFacts(
            libc=found.libc,
            libc_version=found.version,
            means=site.means if found.libc == "glibc" else "file",  # musl has no state to patch, and reads the file
            resolv_conf=seen[look.RESOLV_CONF] or "",
            kernel=f"Linux {(seen[look.KERNEL] or '').strip()}",
            node=site.pod["spec"]["nodeName"],
            extra=extra,
        )

    def start(self, job: bytes) -> Channel:
        """Start the probe."""
        return self._site.start(job)

    def counters(self) -> Mapping[str, int]:
        """The pod's own, whoever moved them, and its node's CPU time."""
        return look.pod_counters(self._site.upload.run, self._site.upload.path)

    def ground_truth(self) -> Mapping[str, Any] | None:
        """No fault is injected here."""
        return None

    def close(self) -> None:
        """Put back what was edited. May be called twice."""
        if self._on_close:
            on_close, self._on_close = self._on_close, None
            on_close()


class ExistingPods:
    """The pods that ``plan.cluster.existing`` names.

    Raises
    ------
    NotAble, UsageError
        No such pod or container, one that does not run, no way to bring the probe in; nothing is left behind then.
    """

    name = "kubernetes"
    opens_ahead = False

    def __init__(self, plan: Plan) -> None:
        where = plan.cluster
        if where.edit_resolv_conf and plan.order != "in-turn" and len(plan.variants) > 1:
            raise UsageError("--edit-resolv-conf edits one file, so variants take turns: add --schedule in-turn")
        self._where = where
        self.client = connect(where.context, where.namespace)
        self.run_id = secrets.token_hex(4)
        chosen = find_containers(self.client, where.existing or "", where.container)
        others = Others(self.client, self.run_id, [pod for pod, _ in chosen])
        self._sites: dict[str, Site] = {}
        try:
            with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="upload") as pool:
                bringing = [pool.submit(self._bring, others, pod, container, plan) for pod, container in chosen]
            for one in bringing:
                one.result()
        except BaseException:
            self.close()
            raise
        self._sites = dict(sorted(self._sites.items()))
        self._first = next(iter(self._sites.values()))
        self._cache = status(self.client, resolv_conf=self._first.original)
        self._n_ports = look.n_ports(self._first.show(look.PORT_RANGE)[look.PORT_RANGE])

    def _bring(self, others: Others, pod: Pod, container: str, plan: Plan) -> None:
        site = Site(others, pod, container, plan)
        self._sites[site.name] = site

    def describe(self) -> Mapping[str, Any]:
        """Cluster, namespace, pods, and why their flows are not fresh."""
        return {
            "name": self.name,
            **self.client.described(),
            "run_id": self.run_id,
            "fresh_clients": False,
            "n_ports": self._n_ports,
            "udp_timeout_s": flows.UDP_TIMEOUT_S,
            "resolv_conf": self._first.original,
            "node_cache": vars(self._cache),
            "existing": self._where.existing,
            "debug_image": self._where.debug_image,
            "places": [
                {
                    "target": site.name,
                    "container": site.container,
                    "node": site.pod["spec"]["nodeName"],
                    "probe": site.upload.path,
                }
                for site in self._sites.values()
            ],
        }

    def targets(self) -> Sequence[TargetInfo]:
        """Each pod by its name."""
        return [
            TargetInfo(site.name, site.upload.found.libc, site.upload.found.version, site.means)
            for site in self._sites.values()
        ]

    def expected(self, names: Sequence[str]) -> Mapping[str, Expected]:
        """What the first pod gets now; UsageError for a name without any address."""
        return look.resolve(self._first.start, names, self._first.original)

    def open(self, arm: Arm) -> Target:
        """The same pod each time, with ``arm``'s variant in its file where that is asked for."""
        site = self._sites[arm.target]
        site.ready()
        on_close = None
        if self._where.edit_resolv_conf:
            edit.begin(site.upload.shell, site.original, arm.variant)
            on_close = partial(_put_back, site)
        return ExistingPod(site, self._where.debug_image, on_close)

    def close(self) -> None:
        """Remove every probe. May be called twice."""
        with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="upload") as pool:
            list(pool.map(Site.close, self._sites.values()))


def _put_back(site: Site) -> None:
    with contextlib.suppress(DnslabError):  # the session has ended then, and put it back on leaving
        edit.end(site.upload.shell, site.original)


def announced(plan: Plan) -> list[str]:
    """What a run will do in pods of others, and what its rate will do to the comparison: lines to print before."""
    where = plan.cluster
    lines = ["in each pod: the probe is brought in by exec, and removed when the run ends"]
    if where.edit_resolv_conf:
        lines = [f"{lines[0]}; {look.RESOLV_CONF} is edited for each trial, for all that run in the pod, and put back"]
    if where.debug_image:
        lines.append(
            f"in each pod: an ephemeral container of {where.debug_image}, which Kubernetes keeps in the pod's list for "
            "good; its libc is what is measured"
        )
    limit = flows.max_sockets_per_s(flows.NEW_FLOWS_NEEDED, flows.UDP_TIMEOUT_S, flows.N_PORTS)
    sockets_per_s = _sockets_per_s(plan)
    if sockets_per_s > limit:
        lines.append(
            f"rate: {sockets_per_s:,.0f} sockets/s or more leave from each pod's one address, {limit:.0f} keep "
            f"{flows.NEW_FLOWS_NEEDED:.0%} of flows new, and without that the comparison is void: "
            f"lower --rate by {sockets_per_s / limit:.1f} times or more"
        )
    return lines


def _sockets_per_s(plan: Plan) -> float:
    """From one pod, with one search candidate a lookup: more are not known before the pod's resolv.conf is."""
    n_sockets = [flows.sockets_per_lookup(plan.variant(name)) for name in plan.variants]
    rates = [[(load.rate_per_s or 0.0) * n for n in n_sockets] for load in plan.loads]
    return flows.shared_sockets_per_s(rates, plan.order)


def known_targets(plan: Plan) -> list[TargetInfo]:
    """The pods by name. Their libc is not known before the probe is in: each is taken for a recent glibc."""
    where = plan.cluster
    client = connect(where.context, where.namespace)
    chosen = find_containers(client, where.existing or "", where.container)
    means: Means = "file" if where.edit_resolv_conf else "_res"
    return [TargetInfo(pod["metadata"]["name"], "glibc", means=means) for pod, _ in chosen]


def find_containers(client: Client, reference: str, container: str | None) -> list[tuple[Pod, str]]:
    """Running pods that ``reference`` names, each with the container to measure in.

    Parameters
    ----------
    reference
        ``pod/NAME``, ``deploy/NAME`` (``statefulset/``, ``daemonset/``), or a label selector as ``app=x``.
    container
        By name; default each pod's first.

    Raises
    ------
    UsageError
        No such pod, workload or container, or none that matches.
    NotAble
        The pod named does not run.
    """
    kind, slash, name = reference.partition("/")
    if kind == "pod" and slash:
        pods = [read_pod(client, name)]
        _must_run(pods[0])
    else:
        selector = _selector(client, reference)
        listed = list_raw(client, selector=selector)
        pods = [pod for pod in listed if _runs(pod)]
        if not pods:
            phases = ", ".join(f"{pod['metadata']['name']} ({_phase(pod)})" for pod in listed[:5])
            raise UsageError(
                f"--in {reference}: no running pod matches in namespace {client.namespace}"
                + (f", only {phases}" if phases else "")
            )
    return [(pod, _container(pod, container)) for pod in sorted(pods, key=lambda pod: str(pod["metadata"]["name"]))]


def read_pod(client: Client, name: str) -> Pod:
    """A pod as plain JSON; UsageError where there is none by that name."""
    try:
        with answered(f"read pod {name}"):
            answer = client.core().read_namespaced_pod(
                name, client.namespace, _preload_content=False, _request_timeout=TIMEOUT_S
            )
    except Refused as error:
        if error.code != 404:
            raise
        raise UsageError(f"no pod {name!r} in namespace {client.namespace} of context {client.context}") from error
    pod: Pod = json.loads(answer.data)
    return pod


def _selector(client: Client, reference: str) -> str:
    kind, slash, _ = reference.partition("/")
    if slash and kind in WORKLOADS:
        return label_selector(read_workload(client, reference)["spec"]["selector"])
    selector = re.sub(r"^-l\s*", "", reference)
    if not re.search(r"[=!]| in | notin ", selector) and "/" in selector:
        raise UsageError(f"--in {reference}: expected pod/NAME, deploy/NAME or a label selector as app=x")
    return selector


def label_selector(selector: Mapping[str, Any]) -> str:
    """A workload's selector as the text of one.

    >>> label_selector({"matchLabels": {"app": "x"}, "matchExpressions": [
    ...     {"key": "tier", "operator": "In", "values": ["a", "b"]}, {"key": "old", "operator": "DoesNotExist"}]})
    'app=x,tier in (a,b),!old'
    """
    parts = [f"{key}={value}" for key, value in (selector.get("matchLabels") or {}).items()]
    for one in selector.get("matchExpressions") or []:
        values = f"({','.join(one.get('values') or [])})"
        forms = {
            "In": f"{one['key']} in {values}",
            "NotIn": f"{one['key']} notin {values}",
            "Exists": one["key"],
            "DoesNotExist": f"!{one['key']}",
        }
        parts.append(forms[one["operator"]])
    return ",".join(parts)


def _runs(pod: Pod) -> bool:
    return pod["status"].get("phase") == "Running" and not pod["metadata"].get("deletionTimestamp")


def _phase(pod: Pod) -> str:
    return "being deleted" if pod["metadata"].get("deletionTimestamp") else str(pod["status"].get("phase"))


def _must_run(pod: Pod) -> None:
    if _runs(pod):
        return
    name, phase = pod["metadata"]["name"], _phase(pod)
    completed = phase in ("Succeeded", "Failed")
    why = "" if completed else hopeless(pod)
    raise NotAble(
        f"pod {name} {'has completed' if completed else 'does not run'} (phase {phase}{why and f'; {why}'}): "
        "choose one that runs"
    )


def _container(pod: Pod, wanted: str | None) -> str:
    name, names = pod["metadata"]["name"], [str(one["name"]) for one in pod["spec"]["containers"]]
    if wanted and wanted not in names:
        raise UsageError(f"pod {name} has no container {wanted!r}: there are {', '.join(names)}")
    chosen = wanted or names[0]
    for one in pod["status"].get("containerStatuses") or []:
        if one["name"] == chosen and "running" not in one["state"]:
            said: Mapping[str, str] = next(iter(one["state"].values()), {})
            raise NotAble(f"container {chosen} of pod {name} does not run: {said.get('reason', 'no reason given')}")
    return chosen


def _restarts(pod: Pod) -> dict[str, tuple[int, str]]:
    """By container: how often it was restarted, and why the last time."""
    return {
        one["name"]: (one["restartCount"], (one.get("lastState", {}).get("terminated") or {}).get("reason", ""))
        for one in pod["status"].get("containerStatuses") or []
    }
