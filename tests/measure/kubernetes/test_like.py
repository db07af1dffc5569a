"""What a pod of dnslab takes from a workload, and what it says that it does not take."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("kubernetes")

from dnslab.errors import UsageError
from dnslab.measure.kubernetes.like import alike
from dnslab.measure.kubernetes.pods.manifest import pod_manifest
from dnslab.measure.kubernetes.selection import workload_of
from tests.apiserver import client_of

WHERE = {
    "requiredDuringSchedulingIgnoredDuringExecution": {
        "nodeSelectorTerms": [{"matchExpressions": [{"key": "pool", "operator": "In", "values": ["web"]}]}]
    }
}
TEMPLATE: dict[str, Any] = {
    "metadata": {
        "labels": {"app": "web", "tier": "front"},
        "annotations": {"kubectl.kubernetes.io/default-container": "app"},
    },
    "spec": {
        "containers": [
            {"name": "istio-proxy", "image": "r.test/proxy:1"},
            {"name": "app", "image": "r.test/app:1", "resources": {"limits": {"cpu": "1", "memory": "64Mi"}}},
        ],
        "dnsPolicy": "None",
        "dnsConfig": {"nameservers": ["10.0.0.10"], "options": [{"name": "use-vc"}]},
        "nodeSelector": {"disk": "ssd"},
        "tolerations": [{"key": "web", "operator": "Exists"}],
        "runtimeClassName": "sandboxed",
        "affinity": {"nodeAffinity": WHERE, "podAntiAffinity": {"any": []}},
        "priorityClassName": "high",
        "imagePullSecrets": [{"name": "registry"}],
    },
}


def workload(kind: str, name: str = "web", **spec: Any) -> dict[str, Any]:
    held: dict[str, Any] = {"template": TEMPLATE}
    if kind == "CronJob":
        held = {"jobTemplate": {"spec": held}}
    return {"kind": kind, "metadata": {"name": name, "namespace": "shop"}, "spec": {**held, **spec}}


def policy(name: str, selector: dict[str, Any]) -> dict[str, Any]:
    return {"kind": "NetworkPolicy", "metadata": {"name": name, "namespace": "shop"}, "spec": {"podSelector": selector}}


KINDS = {
    "deploy/web": workload("Deployment", replicas=0),
    "sts/web": workload("StatefulSet"),
    "ds/web": workload("DaemonSet"),
    "job/web": workload("Job"),
    "cronjob/web": workload("CronJob"),
    "pod/web": {"kind": "Pod", **TEMPLATE, "metadata": {**TEMPLATE["metadata"], "name": "web", "namespace": "shop"}},
}


@pytest.mark.parametrize("reference", KINDS)
def test_every_kind_of_workload_gives_dns_place_and_runtime(reference: str, tmp_path: Path) -> None:
    with client_of([KINDS[reference]], tmp_path) as client:
        likeness = alike(client, reference)
    made = pod_manifest("x", "0", likeness.spec)
    pod = made["spec"]
    assert pod["containers"][0]["image"] == "r.test/app:1"
    assert pod["containers"][0]["resources"] == {"limits": {"memory": "64Mi"}}  # throttled, it would look like slow DNS
    for key in ("dnsPolicy", "dnsConfig", "nodeSelector", "tolerations", "runtimeClassName", "imagePullSecrets"):
        assert pod[key] == TEMPLATE["spec"][key]
    assert pod["affinity"] == {"nodeAffinity": WHERE}
    assert "priorityClassName" not in pod
    assert "app" not in made["metadata"]["labels"]
    said = "; ".join(likeness.not_copied)
    for what in ("pod anti-affinity", "priority", "Istio's sidecar"):
        assert what in said


def test_another_container_may_be_chosen(tmp_path: Path) -> None:
    with client_of([KINDS["deploy/web"]], tmp_path) as client:
        assert alike(client, "deploy/web", "istio-proxy").spec.image == "r.test/proxy:1"
        with pytest.raises(UsageError, match="deploy/web has no container 'c': there are istio-proxy, app"):
            alike(client, "deploy/web", "c")


def test_a_network_policy_that_holds_for_one_side_is_said(tmp_path: Path) -> None:
    policies = [
        policy("all", {}),
        policy("web-only", {"matchLabels": {"app": "web"}}),
        policy("not-web", {"matchExpressions": [{"key": "app", "operator": "NotIn", "values": ["web"]}]}),
        policy("others", {"matchLabels": {"app": "db"}}),
    ]
    with client_of([KINDS["deploy/web"], *policies], tmp_path) as client:
        said = [line for line in alike(client, "deploy/web").not_copied if line.startswith("NetworkPolicy")]
    assert sorted(said) == [
        "NetworkPolicy not-web: it holds for the probe's pods and not for the workload's",
        "NetworkPolicy web-only: it holds for the workload's pods and not for the probe's",
    ]


@pytest.mark.parametrize(
    ("owner", "labels", "expected"),
    [
        (("ReplicaSet", "web-5d7f"), {"pod-template-hash": "5d7f"}, "deploy/web"),
        (("ReplicaSet", "alone"), {}, "replicaset/alone"),
        (("StatefulSet", "db"), {}, "statefulset/db"),
        (("DaemonSet", "agent"), {}, "daemonset/agent"),
        (("Job", "report-29345678"), {}, "job/report"),
        (None, {}, "pod/one"),
    ],
)
def test_a_pods_workload_is_known_by_its_owner(
    owner: tuple[str, str] | None, labels: dict[str, str], expected: str
) -> None:
    owners = [{"kind": owner[0], "name": owner[1], "controller": True}] if owner else []
    assert workload_of({"metadata": {"name": "one", "labels": labels, "ownerReferences": owners}}) == expected
