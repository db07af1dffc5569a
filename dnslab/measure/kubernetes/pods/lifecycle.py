"""Pods of our own: their manifest, clean under the restricted pod security standard, and their life.

The probe is mounted executable from a ConfigMap: the image needs no shell, no writable file system, no root. Knows
nothing of trials; every object carries the run's id, by which ``remove_all`` finds it.
"""

from __future__ import annotations

import base64
import contextlib
import json
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from dnslab.errors import NotAble, ProbeFailed
from dnslab.measure.kubernetes.api.client import TIMEOUT_S, Client, NoAnswer, Refused, answered, persistently
from dnslab.measure.kubernetes.api.exec import ExecChannel
from dnslab.measure.probe import BIN
from dnslab.plan.resolvconf import ResolverOptions

MANAGED_BY = {"app.kubernetes.io/managed-by": "dnslab"}
RUN_LABEL = "dnslab/run"
MOUNT = "/dnslab"
CONTAINER = "probe"
READY_TIMEOUT_S = 120.0
#: the same where the image is on the node already, and for each pod that is made beside: a hundred on three nodes take
#: 22 s on two cores that do nothing else
AGAIN_TIMEOUT_S, BESIDE_TIMEOUT_S = 45.0, 0.5
#: how long the scheduler may find no place before its own words are given
UNSCHEDULABLE_S = 20.0
#: a kubelet that is alive says something of a pod that is its own within seconds
UNATTENDED_S = 30.0
#: reasons from which a waiting container does not recover (kubelet images/types.go, container/sync_result.go)
HOPELESS = {
    "ErrImagePull",
    "ImagePullBackOff",
    "ErrImageNeverPull",
    "InvalidImageName",
    "CreateContainerConfigError",
    "CreateContainerError",
    "RunContainerError",
    "CrashLoopBackOff",
}
MACHINES = {"amd64": "x86_64", "arm64": "aarch64"}


@dataclass(frozen=True)
class PodSpec:
    """What one own pod is made of. ``options`` None leaves the resolver configuration to the cluster."""

    image: str
    node: str | None = None
    machine: str = "x86_64"
    options: ResolverOptions | None = None
    nameservers_replaced: bool = False
    lifetime_s: int = 3600
    host_network: bool = False
    placement: Mapping[str, Any] = field(default_factory=dict)
    resources: Mapping[str, Any] = field(default_factory=dict)
    pull_secrets: Sequence[Mapping[str, str]] = ()


def labels(run_id: str) -> dict[str, str]:
    """What every object of a run carries."""
    return {**MANAGED_BY, RUN_LABEL: run_id}


def pod_manifest(name: str, run_id: str, spec: PodSpec) -> dict[str, Any]:
    """The pod as it is posted.

    No CPU limit: throttling would be measured as DNS latency. ``activeDeadlineSeconds`` ends it by itself.
    """
    pod: dict[str, Any] = {
        "restartPolicy": "Never",
        "activeDeadlineSeconds": spec.lifetime_s,
        "terminationGracePeriodSeconds": 0,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": 65534,
            "runAsGroup": 65534,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [
            {
                "name": CONTAINER,
                "image": spec.image,
                "imagePullPolicy": "IfNotPresent",
                "command": [f"{MOUNT}/probe-{spec.machine}-static", "--wait"],
                "resources": dict(spec.resources)
                or {
                    "requests": {"cpu": "25m", "memory": "128Mi"},
                    "limits": {"memory": "128Mi"},
                },
                "securityContext": {
                    "allowPrivilegeEscalation": False,
                    "readOnlyRootFilesystem": True,
                    "capabilities": {"drop": ["ALL"]},
                },
                "volumeMounts": [{"name": "probe", "mountPath": MOUNT, "readOnly": True}],
            }
        ],
        "volumes": [{"name": "probe", "configMap": {"name": configmap_name(run_id), "defaultMode": 0o555}}],
        **spec.placement,
    }
    if spec.pull_secrets:
        pod["imagePullSecrets"] = [dict(one) for one in spec.pull_secrets]
    if spec.host_network:
        pod |= {"hostNetwork": True, "dnsPolicy": "Default"}
    elif spec.options is not None:
        pod |= dns_config(spec.options, spec.nameservers_replaced)
    if spec.node:
        terms = [{"matchFields": [{"key": "metadata.name", "operator": "In", "values": [spec.node]}]}]
        required = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}
        affinity = dict(pod.get("affinity") or {})
        pod["affinity"] = {**affinity, "nodeAffinity": required}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": labels(run_id)},
        "spec": pod,
    }


def dns_config(options: ResolverOptions, replaced: bool) -> dict[str, Any]:
    """dnsPolicy and dnsConfig for ``options``.

    By ``ClusterFirst`` the kubelet's own nameserver, search list and ndots stay, and ours are merged in; ``replaced``
    (the node-local cache) names everything itself.
    """
    listed: list[dict[str, str]] = [{"name": flag} for flag in options.flags]
    for name, value in (("ndots", options.ndots), ("timeout", options.timeout_s), ("attempts", options.attempts)):
        if value is not None:
            listed.append({"name": name, "value": str(value)})
    config: dict[str, Any] = {"options": listed} if listed else {}
    if not replaced:
        return {"dnsPolicy": "ClusterFirst", **({"dnsConfig": config} if config else {})}
    config |= {"nameservers": list(options.nameservers), "searches": list(options.search)}
    return {"dnsPolicy": "None", "dnsConfig": config}


def configmap_name(run_id: str) -> str:
    """Of the ConfigMap that holds the probe."""
    return f"dnslab-{run_id}"


def configmap_manifest(run_id: str) -> dict[str, Any]:
    """The ConfigMap with every probe that is there, 0.4 MB in all (the most it may hold is 1 MiB)."""
    programs = {path.name: base64.b64encode(path.read_bytes()).decode() for path in sorted(BIN.glob("probe-*"))}
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": configmap_name(run_id), "labels": labels(run_id)},
        "immutable": True,
        "binaryData": programs,
    }


class Pods:
    """The pods of one run in one namespace: makes them, waits for them together, removes them."""

    def __init__(self, client: Client, run_id: str) -> None:
        self.client, self.run_id = client, run_id
        self._lock = threading.Condition()
        self._seen: dict[str, dict[str, Any]] = {}
        self._looking = False
        self._names: set[str] = set()
        self._prepared = False

    def prepare(self) -> None:
        """Make the ConfigMap with the probe."""
        with answered("make the ConfigMap with the probe"):
            self.client.core().create_namespaced_config_map(
                self.client.namespace, configmap_manifest(self.run_id), _request_timeout=TIMEOUT_S
            )
        self._prepared = True

    def create(self, name: str, spec: PodSpec) -> None:
        """Post the pod; does not wait for it."""
        with self._lock:
            self._names.add(name)
        persistently(partial(self._post, name, pod_manifest(name, self.run_id, spec)))

    def _post(self, name: str, manifest: Mapping[str, Any]) -> None:
        try:
            with answered(f"make pod {name}"):
                self.client.core().create_namespaced_pod(self.client.namespace, manifest, _request_timeout=TIMEOUT_S)
        except NoAnswer:  # it may have been made all the same
            raise
        except NotAble as error:
            if isinstance(error, Refused) and error.reason == "AlreadyExists":  # by a call whose answer was lost
                return
            with self._lock:
                self._names.discard(name)
            raise

    def wait_ready(self, name: str, timeout_s: float = READY_TIMEOUT_S) -> dict[str, Any]:
        """The pod once its container runs.

        Raises
        ------
        NotAble
            With the kubelet's or the scheduler's own words, as soon as waiting is hopeless.
        """
        began_s = time.monotonic()
        while True:
            with self._lock:
                pod = self._seen.get(name)
                waited_s = time.monotonic() - began_s
                if pod and _running(pod):
                    return pod
                problem = _problem(pod, waited_s) if pod else ""
                if problem or waited_s > timeout_s:
                    problem = problem or f"not running after {timeout_s:g} s"
                    raise NotAble(_one_line(f"pod {name} does not start: {problem}{self._warning(name)}"))
                if self._looking:
                    self._lock.wait(1.0)
                    continue
                self._looking = True
            self._look()

    def _look(self) -> None:
        """One list for all that wait, as plain JSON: a hundred typed pods take a core's second to read.

        By one of those that wait: a thread of its own may still be asking when Python ends, which aborts the process.
        """
        seen: dict[str, dict[str, Any]] = {}
        try:
            time.sleep(0.3)
            seen = {pod["metadata"]["name"]: pod for pod in list_raw(self.client, self.run_id)}
        except NotAble:
            pass
        finally:
            with self._lock:
                self._seen |= seen
                self._looking = False
                self._lock.notify_all()

    def state(self, name: str) -> str:
        """What became of a pod, in a few words for an error; ``""`` when nothing is wrong with it."""
        try:
            found = [pod for pod in list_raw(self.client, self.run_id) if pod["metadata"]["name"] == name]
        except NotAble as error:
            return str(error)
        return gone_wrong(found[0]) if found else f"pod {name} was deleted"

    def remove(self, name: str) -> None:
        """Delete a pod at once; one that has gone is no error."""
        delete_pod(self.client, name)
        with self._lock:
            self._names.discard(name)
            self._seen.pop(name, None)

    def remove_all(self) -> None:
        """Delete all pods of the run that are left, and the ConfigMap."""
        with self._lock:
            names = sorted(self._names)
        for name in names:
            self.remove(name)  # the first that gets no answer ends it: the others would get none either
        if self._prepared:
            delete_configmap(self.client, configmap_name(self.run_id))

    def _warning(self, name: str) -> str:
        """The last warning that was recorded of a pod; ``""`` where there is none, or events may not be read."""
        with contextlib.suppress(NotAble), answered("list events"):
            answer = self.client.core().list_namespaced_event(
                self.client.namespace,
                field_selector=f"involvedObject.name={name},type=Warning",
                _preload_content=False,
                _request_timeout=TIMEOUT_S,
            )
            events = json.loads(answer.data)["items"]
            if events:
                return f"; {events[-1].get('reason', '')}: {events[-1].get('message', '')}"
        return ""


def list_raw(client: Client, run_id: str | None = None, selector: str = "") -> list[dict[str, Any]]:
    """Pods as plain JSON: of a run, or of any selector."""
    chosen = f"{RUN_LABEL}={run_id}" if run_id else selector
    with answered("list pods"):
        answer = client.core().list_namespaced_pod(
            client.namespace, label_selector=chosen, _preload_content=False, _request_timeout=TIMEOUT_S
        )
        items: list[dict[str, Any]] = json.loads(answer.data)["items"]
    return items


def delete_pod(client: Client, name: str) -> None:
    """Delete a pod at once; one that has gone is no error."""
    _delete(lambda: client.core().delete_namespaced_pod, client, name, "pod")


def delete_configmap(client: Client, name: str) -> None:
    """Delete a ConfigMap; one that has gone is no error."""
    _delete(lambda: client.core().delete_namespaced_config_map, client, name, "ConfigMap")


def _delete(call: Callable[[], Any], client: Client, name: str, kind: str) -> None:
    try:
        with answered(f"remove {kind} {name}"):
            where = {"_preload_content": False, "_request_timeout": TIMEOUT_S}
            # Read to its end, or the connection stays open.
            _ = call()(name, client.namespace, grace_period_seconds=0, **where).data
    except Refused as error:
        if error.code != 404:
            raise


#: short commands at the same time: nodes start no more any quicker, and each waits the longer
_RUNNING = threading.Semaphore(8)


def run(client: Client, pod: str, container: str, argv: Sequence[str], timeout_s: float = 15.0) -> tuple[int, bytes]:
    """Exit code and output of a short command in a container; code 127 where it is not there.

    Raises
    ------
    ProbeFailed
        It did not end in time.
    """
    with _RUNNING:
        channel = ExecChannel(client, pod, container, argv)
        try:
            parts = []
            while data := channel.read(timeout_s):
                parts.append(data)
        except TimeoutError as error:
            raise ProbeFailed(f"{argv[0]} in pod {pod} did not end within {timeout_s:g} s") from error
        finally:
            channel.close()
    status = channel.status
    code = status.exit_code if status and status.exit_code is not None else 127
    return code, b"".join(parts) or channel.errors().encode()


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _running(pod: Mapping[str, Any]) -> bool:
    statuses = pod["status"].get("containerStatuses") or []
    return bool(statuses) and all("running" in one["state"] for one in statuses)


def _problem(pod: Mapping[str, Any], waited_s: float) -> str:
    wrong = hopeless(pod) or gone_wrong(pod)
    if wrong:
        return wrong
    node = pod["spec"].get("nodeName")
    if node and waited_s > UNATTENDED_S and not pod["status"].get("containerStatuses"):
        return f"the kubelet of node {node} has not taken it up"
    for condition in pod["status"].get("conditions") or []:
        if condition["type"] == "PodScheduled" and condition["status"] == "False" and waited_s > UNSCHEDULABLE_S:
            return f"{condition.get('reason', '')}: {condition.get('message', '')}"
    return ""


def image_id(pod: Mapping[str, Any], container: str) -> str:
    """The image that a container runs, with its digest, in the kubelet's words; ``""`` where it says none.

    By the container's name: a mesh may have put containers of its own before it.
    """
    status = pod["status"]
    statuses = [*(status.get("containerStatuses") or []), *(status.get("ephemeralContainerStatuses") or [])]
    return next((str(one.get("imageID") or "") for one in statuses if one["name"] == container), "")


def hopeless(pod: Mapping[str, Any]) -> str:
    """Why a container of a pod will not start, in the kubelet's words and one line; ``""`` where one still may."""
    for one in pod["status"].get("containerStatuses") or []:
        waiting = one["state"].get("waiting") or {}
        if waiting.get("reason") in HOPELESS:
            return _one_line(f"{waiting['reason']}: {waiting.get('message', '')}")
    return ""


def gone_wrong(pod: Mapping[str, Any]) -> str:
    """Why a pod no longer runs, in its own status's words; ``""`` while it does."""
    name, status = pod["metadata"]["name"], pod["status"]
    for one in status.get("containerStatuses") or []:
        ended = one["state"].get("terminated") or {}
        if ended:
            return f"pod {name}: its container ended: {ended.get('reason', '')} {ended.get('message', '')}".rstrip()
    if pod["metadata"].get("deletionTimestamp"):
        return f"pod {name} is being deleted"
    if status.get("phase") == "Failed":
        return f"pod {name} failed: {status.get('reason', '')} {status.get('message', '')}".rstrip()
    return ""
