"""The manifests of an own pod, which meets the restricted pod security standard, and of its ConfigMap.

Pure. The probe is mounted executable from the ConfigMap: the image needs no shell, no writable file system, no root.
Knows nothing of trials or of the API server.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from dnslab.measure.kubernetes.api.names import labels
from dnslab.measure.probe import BIN
from dnslab.plan.resolvconf import ResolverOptions, values_of

MOUNT = "/dnslab"
CONTAINER = "probe"


@dataclass(frozen=True)
class PodSpec:
    """The settings of one own pod. ``dns_policy`` and ``dns_config`` are as in a pod's manifest."""

    image: str
    node: str | None = None
    machine: str = "x86_64"
    dns_policy: str = "ClusterFirst"
    dns_config: Mapping[str, Any] = field(default_factory=dict)
    lifetime_s: int = 3600
    host_network: bool = False
    placement: Mapping[str, Any] = field(default_factory=dict)
    resources: Mapping[str, Any] = field(default_factory=dict)
    pull_secrets: Sequence[Mapping[str, str]] = ()


def pod_manifest(name: str, run_id: str, spec: PodSpec) -> dict[str, Any]:
    """The manifest of an own pod, which ends by its ``activeDeadlineSeconds``."""
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
        "containers": [_container(spec)],
        "volumes": [{"name": "probe", "configMap": {"name": configmap_name(run_id), "defaultMode": 0o555}}],
        **spec.placement,
    }
    if spec.pull_secrets:
        pod["imagePullSecrets"] = [dict(secret) for secret in spec.pull_secrets]
    if spec.host_network:
        pod["hostNetwork"] = True
    pod["dnsPolicy"] = spec.dns_policy
    if spec.dns_config:
        pod["dnsConfig"] = dict(spec.dns_config)
    if spec.node:
        pod["affinity"] = {
            **(pod.get("affinity") or {}),
            "nodeAffinity": _only_on(spec.node, pod.get("affinity") or {}),
        }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": labels(run_id)},
        "spec": pod,
    }


def probe_path(machine: str, kind: str = "static") -> str:
    """The path in an own pod of the probe for a ``machine`` and a ``kind`` of C library."""
    return f"{MOUNT}/probe-{machine}-{kind}"


def _container(spec: PodSpec) -> dict[str, Any]:
    """The container's manifest. It has no CPU limit, since throttling would be measured as DNS latency."""
    usual = {"requests": {"cpu": "25m", "memory": "128Mi"}, "limits": {"memory": "128Mi"}}
    return {
        "name": CONTAINER,
        "image": spec.image,
        "imagePullPolicy": "IfNotPresent",
        "command": [probe_path(spec.machine), "--wait"],
        "resources": dict(spec.resources) or usual,
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [{"name": "probe", "mountPath": MOUNT, "readOnly": True}],
    }


def _only_on(node: str, affinity: Mapping[str, Any]) -> dict[str, Any]:
    """Node affinity that also asks for ``node``. Terms are alternatives, so that each of them has to ask for it."""
    had = affinity.get("nodeAffinity") or {}
    required = had.get("requiredDuringSchedulingIgnoredDuringExecution") or {}
    own = {"key": "metadata.name", "operator": "In", "values": [node]}
    terms = required.get("nodeSelectorTerms") or [{}]
    both = [{**term, "matchFields": [*term.get("matchFields", []), own]} for term in terms]
    return {**had, "requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": both}}


def whole_dns_config(options: ResolverOptions) -> dict[str, Any]:
    """The dnsConfig by which ``options`` say everything, under dnsPolicy ``None``."""
    entries: list[dict[str, str]] = [{"name": flag} for flag in options.flags]
    entries += [{"name": name, "value": str(value)} for name, value in values_of(options).items()]
    lists = {"nameservers": list(options.nameservers), "searches": list(options.search)}
    return {**({"options": entries} if entries else {}), **lists}


def configmap_name(run_id: str) -> str:
    """Name of the ConfigMap that holds the probe."""
    return f"dnslab-{run_id}"


def configmap_manifest(run_id: str) -> dict[str, Any]:
    """The ConfigMap with all probes that were built: 0.4 MB together, where a ConfigMap holds at most 1 MiB."""
    programs = {path.name: base64.b64encode(path.read_bytes()).decode() for path in sorted(BIN.glob("probe-*"))}
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": configmap_name(run_id), "labels": labels(run_id)},
        "immutable": True,
        "binaryData": programs,
    }
