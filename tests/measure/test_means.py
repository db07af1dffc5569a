"""A variant is the same packets by whatever means it reaches the resolver: dnsConfig, _res, or an edited file."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml

from dnslab.analyse.dataset import open_run
from dnslab.measure import runner
from dnslab.plan.cluster import ClusterPlan
from dnslab.plan.model import Load, Plan
from dnslab.store.client import ClientRecord
from tests import nodes
from tests.capture import Packet
from tests.cluster.cluster import kubectl

pytestmark = pytest.mark.cluster

NODE = "dlc-n1"
POD = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "web"},
    "spec": {
        "nodeName": NODE,
        "containers": [{"name": "app", "image": "dnslab.test/glibc:1", "imagePullPolicy": "Never"}],
    },
}
VARIANTS = ("baseline", "single-request", "single-request-reopen", "use-vc")
MEANS: dict[str, dict[str, Any]] = {
    "dnsConfig": {"images": ("dnslab.test/glibc:1",), "nodes": NODE},
    "_res": {"existing": "pod/web"},
    "file": {"existing": "pod/web", "edit_resolv_conf": True},
}

#: one lookup's packets in order: protocol, question or answer, type, and which of its ports
Shape = tuple[tuple[str, str, int, int], ...]


def shapes(packets: list[Packet], client: ClientRecord) -> Counter[Shape]:
    """How often each shape came among the lookups of a trial, which are a fifth of a second apart."""
    address, began = client.start.extra.address, client.start.started_realtime_ns
    assert client.end
    ended = client.end.finished_realtime_ns or 0
    own = [packet for packet in packets if address in (packet.by, packet.to) and began < packet.at_ns < ended]
    groups: list[list[Packet]] = []
    for packet in sorted(own, key=lambda packet: packet.at_ns):
        if not groups or packet.at_ns - groups[-1][-1].at_ns > 80e6:
            groups.append([])
        groups[-1].append(packet)
    return Counter(shape(group, address) for group in groups)


def shape(group: list[Packet], address: str) -> Shape:
    ports: list[int] = []
    sent = []
    for packet in group:
        asks = packet.by == address
        port = packet.source_port if asks else packet.port
        if port not in ports:
            ports.append(port)
        sent.append((packet.protocol, "asks" if asks else "answers", packet.rdtype, ports.index(port)))
    if sent[0][0] == "tcp":  # acknowledgements come as they like
        return tuple(sorted({(protocol, way, 0, port) for protocol, way, _, port in sent}))
    # two answers that are under way together may overtake each other
    return tuple(("udp", way, 0 if way == "answers" else rdtype, port) for _, way, rdtype, port in sent)


@pytest.mark.verify
@pytest.mark.alone
def test_the_same_packets_by_any_means(namespace: str, tmp_path: Path) -> None:
    assert nodes.apply(namespace, yaml.safe_dump(POD)).returncode == 0
    kubectl("-n", namespace, "wait", "--for=condition=Ready", "pod/web", "--timeout=60s")
    load = Load(loop="fixed", rate_per_s=5, duration_s=3, warmup_s=0, workers=4)
    counts: dict[str, dict[str, Counter[Shape]]] = {variant: {} for variant in VARIANTS}
    for means, where in MEANS.items():
        plan = Plan(
            backend="kubernetes",
            cluster=ClusterPlan(namespace=namespace, **where),
            names=("web.any.cluster.local.",),
            variants=VARIANTS,
            loads=(load,),
            rounds=1,
            schedule="in-turn",
        )
        with nodes.captured_on(NODE) as packets:
            run = open_run(runner.run(plan, tmp_path / means))
        for client in run.clients():
            counts[client.start.variant][means] = shapes(packets, client)
    usual = {}
    for variant, by_means in counts.items():
        print(variant, {means: (sum(counts.values()), counts.most_common(1)) for means, counts in by_means.items()})
        assert all(13 <= sum(counts.values()) <= 18 for counts in by_means.values())
        (usual[variant],) = {counts.most_common(1)[0][0] for counts in by_means.values()}
        # Both queries of a pair are sent at once, and now and then the first answer is there before the second query.
        assert all(counts.most_common(1)[0][1] > 0.5 * sum(counts.values()) for counts in by_means.values())
    ways = {variant: [(way, port) for _, way, _, port in shape] for variant, shape in usual.items()}
    assert ways["baseline"] == [("asks", 0), ("asks", 0), ("answers", 0), ("answers", 0)]
    assert ways["single-request"] == [("asks", 0), ("answers", 0), ("asks", 0), ("answers", 0)]
    assert ways["single-request-reopen"] == [("asks", 0), ("answers", 0), ("asks", 1), ("answers", 1)]
    assert {protocol for protocol, *_ in usual["use-vc"]} == {"tcp"}
