"""Where own pods go: which nodes take them, and why others do not."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("kubernetes")

from dnslab.errors import NotAble, UsageError
from dnslab.measure.kubernetes import placement
from dnslab.measure.kubernetes.api.client import Client
from dnslab.measure.kubernetes.api.objects import nodes_or_refusal
from dnslab.measure.kubernetes.node_fit import why_unfit
from dnslab.measure.kubernetes.pods.manifest import PodSpec
from dnslab.plan.cluster import ClusterPlan
from dnslab.plan.model import Load, Plan
from dnslab.plan.resolvconf import ResolverOptions
from dnslab.plan.variants import find
from tests.apiserver import client_of

READY = {"type": "Ready", "status": "True", "reason": "KubeletReady", "message": ""}
NOT_READY = {"type": "Ready", "status": "Unknown", "reason": "NodeStatusUnknown", "message": "no word from it"}
BASE = PodSpec(image="r.test/app:1")


def node(name: str, architecture: str = "amd64", condition: Any = READY, **spec: Any) -> dict[str, Any]:
    info = {"operatingSystem": "linux", "architecture": architecture}
    conditions = [condition] if condition else []
    return {
        "kind": "Node",
        "metadata": {"name": name},
        "spec": spec,
        "status": {"nodeInfo": info, "conditions": conditions},
    }


NODES = [node("n2", "arm64"), node("n1"), node("cordoned", unschedulable=True), node("old", "s390x")]


@pytest.mark.parametrize(
    ("unfit", "why"),
    [
        (node("x"), ""),
        (node("x", taints=[{"key": "a", "effect": "PreferNoSchedule"}]), ""),
        (node("x", "s390x"), "it is linux/s390x, there are probes for linux/amd64 and linux/arm64"),
        (node("x", unschedulable=True), "it is cordoned"),
        (node("x", condition=None), "it is not ready"),
        (node("x", condition=NOT_READY), "it is not ready (NodeStatusUnknown: no word from it)"),
        (node("x", taints=[{"key": "gpu", "effect": "NoSchedule"}]), "it has the taint gpu:NoSchedule"),
    ],
)
def test_why_a_node_takes_no_pod(unfit: dict[str, Any], why: str) -> None:
    assert why_unfit(unfit) == why


@pytest.fixture
def client(tmp_path: Path) -> Iterator[Client]:
    with client_of(NODES, tmp_path) as client:
        yield client


def places(client: Client, denied: NotAble | None = None, **cluster: Any) -> list[tuple[str, str | None, str]]:
    chosen = placement.chosen_places(client, ClusterPlan(**cluster), BASE, denied or nodes_or_refusal(client))
    return [(place.target, place.node, place.machine) for place in chosen]


def test_targets_are_named_by_what_tells_them_apart(client: Client) -> None:
    assert places(client, nodes="1") == [("n1", "n1", "x86_64")]
    assert places(client, nodes="n2", pods_per_node=2) == [("n2.1", "n2", "aarch64"), ("n2.2", "n2", "aarch64")]
    both = places(client, nodes="all", images=("r.test/glibc:1", "r.test/musl@sha256:0"))
    assert [target for target, _, _ in both] == ["glibc@n1", "glibc@n2", "musl@n1", "musl@n2"]


@pytest.mark.parametrize(
    ("cluster", "error", "says"),
    [
        ({"nodes": "3"}, UsageError, r"--nodes 3: 2 nodes are ready for pods \(n1, n2\)"),
        ({"nodes": "none"}, UsageError, "no node 'none': ready for pods are n1, n2"),
        ({"nodes": "cordoned"}, NotAble, "node cordoned takes no pods of dnslab's: it is cordoned; ready are n1, n2"),
        ({"images": ("a.test/x:1", "b.test/x:2")}, UsageError, "these have the same one: a.test/x:1, b.test/x:2"),
    ],
)
def test_refused(cluster: dict[str, Any], error: type[Exception], says: str, client: Client) -> None:
    with pytest.raises(error, match=says):
        places(client, **cluster)


def test_a_node_needs_no_right_to_list_nodes(client: Client) -> None:
    denied = NotAble("cannot list nodes: forbidden")
    assert places(client, denied, nodes="1") == [("pod", None, "x86_64")]
    assert places(client, denied, nodes="n7") == [("n7", "n7", "x86_64")]
    for several in ("2", "all"):
        with pytest.raises(NotAble, match=f"--nodes {several}: cannot list nodes: forbidden: to choose nodes takes"):
            places(client, denied, nodes=several)


def test_a_variant_changes_what_it_names_alone_unless_it_replaces_the_nameserver() -> None:
    place = placement.Place("n1", "r.test/app:1", "n1", "x86_64")
    kubelet_options = ResolverOptions(nameservers=("10.0.0.1",), search=("svc.test",), ndots=5)
    whole = {"options": [{"name": "ndots", "value": "5"}], "nameservers": ["169.254.20.10"], "searches": ["svc.test"]}
    for name, policy, config in [
        (None, "ClusterFirst", {}),
        ("baseline", "ClusterFirst", {}),
        ("single-request", "ClusterFirst", {"options": [{"name": "single-request"}]}),
        ("node-local", "None", whole),
    ]:
        spec = placement.pod_spec(BASE, place, find(name) if name else None, kubelet_options, 60)
        assert (spec.dns_policy, spec.dns_config, spec.lifetime_s) == (policy, config, 60)


def test_a_variant_changes_a_workload_from_where_it_stands() -> None:
    place = placement.Place("n1", "r.test/app:1", "n1", "x86_64")
    had = [{"name": "ndots", "value": "2"}, {"name": "use-vc"}]
    base = replace(BASE, dns_policy="Default", dns_config={"options": had, "searches": ["corp.test"]})
    options = ResolverOptions(("192.0.2.1",), ("corp.test",), ndots=2, flags=("use-vc",))
    as_it_stands = placement.pod_spec(base, place, find("baseline"), options, 60)
    assert (as_it_stands.dns_policy, as_it_stands.dns_config) == ("Default", base.dns_config)
    changed = placement.pod_spec(base, place, find("ndots-1"), options, 60)
    assert changed.dns_config == {
        "options": [{"name": "ndots", "value": "1"}, {"name": "use-vc"}],
        "searches": ["corp.test"],
    }
    whole = placement.pod_spec(base, place, find("root-first"), options, 60)
    assert (whole.dns_policy, whole.dns_config["searches"]) == ("None", [".", "corp.test"])
    assert whole.dns_config["nameservers"] == ["192.0.2.1"]


def test_a_pod_outlives_the_whole_plan() -> None:
    loads = (Load(duration_s=10, warmup_s=2), Load(duration_s=20, warmup_s=0))
    plan = Plan(backend="kubernetes", variants=("baseline", "use-vc"), rounds=3, loads=loads, schedule="in-turn")
    assert placement.lifetime_s(plan) == 2 * (12 + 20) * 3 * 2 + placement.LIFETIME_MARGIN_S
