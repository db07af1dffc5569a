"""Causes as data. To add one, add an entry here and its words in ``sentences``.

``python -m dnslab.explain.catalogue > docs/causes.md`` writes the catalogue for people.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from dnslab.explain.predictions import MECHANISMS, Mechanism, Predictions
from dnslab.sentences import causes_late as late, causes_lost as lost
from dnslab.sentences.cause_text import CauseText

Group = Literal["client", "node", "service", "network", "cache", "server", "upstream", "policy"]

#: experiments
ARMS = "dnslab diagnose --backend kubernetes"
SEQUENTIAL = "dnslab run --backend kubernetes --variants baseline,single-request,use-vc,no-aaaa"
NODES = "dnslab run --backend kubernetes --nodes all"
COUNTERS = "dnslab run --backend kubernetes --node-counters"
OUTSIDE = "dnslab run --backend kubernetes --name kubernetes.default --name example.org. --allow-external"
SLOWER = "dnslab run --backend kubernetes --rate 20"
CACHE = "dnslab run --backend kubernetes --variants baseline,node-local --node-counters"
LIKE = "dnslab run --backend kubernetes --like deploy/NAME"

#: of a cause that predicts what its mechanism does
NO_MORE = Predictions()


@dataclass(frozen=True)
class Cause:
    """A cause under a stable name.

    Parameters
    ----------
    mechanism
        Name of the mechanism that it works by.
    adds
        What it predicts beyond its mechanism.
    shown_by
        Groups of signs; a cause whose predictions all hold is shown if every sign of one group was seen. A sign with
        ``!`` before it has to be looked for and not seen.
    faults
        Names of the lab's faults that imitate it. The engine does not read them.
    command
        The experiment that separates it from look-alikes.
    sources
        Where it is described: an address, or a repository with the number of an issue.
    """

    name: str
    mechanism: str
    group: Group
    text: CauseText
    command: str
    sources: tuple[str, ...]
    adds: Predictions = NO_MORE
    shown_by: tuple[tuple[str, ...], ...] = ()
    faults: tuple[str, ...] = ()

    @property
    def works_by(self) -> Mechanism:
        """Its mechanism."""
        return MECHANISMS[self.mechanism]

    @property
    def predicts(self) -> Predictions:
        """All that it predicts."""
        return self.works_by.predicts + self.adds


def _new_flows() -> Iterator[Cause]:
    yield Cause(
        "conntrack-race", "pair-second-lost", "node", lost.RACE, COUNTERS,
        ("https://www.weave.works/blog/racy-conntrack-and-dns-lookup-timeouts", "kubernetes/kubernetes#56903"),
        Predictions(never=("raw-two-sockets-lost", "cache-stalls"), unlikely=("kernel-resolves",)),
        (("insert-failed",), ("!kernel-resolves", "raw-pair-lost", "!raw-two-sockets-lost")),
        ("race",),
    )  # fmt: skip
    yield Cause(
        "burst-policer", "pair-second-lost", "network", lost.BURST_POLICER, ARMS, ("docs/faults.md",),
        Predictions(must=("raw-two-sockets-lost",), never=("insert-failed", "raw-lost-grows")), faults=("burst-cap",),
    )  # fmt: skip
    yield Cause(
        "snat-port-clash", "new-flows-lost", "node", lost.SNAT_CLASH, COUNTERS, ("awslabs/amazon-eks-ami#505",),
        Predictions(must=("insert-failed",)), (("insert-failed",),), ("snat-clash",),
    )  # fmt: skip
    yield Cause(
        "conntrack-table-full", "new-flows-lost", "node", lost.TABLE_FULL, COUNTERS,
        ("https://kb.isc.org/docs/aa-01183",),
        Predictions(may=("table-full",), never=("insert-failed",), unlikely=("!table-full",)),
        (("table-full",),), ("table-full",),
    )  # fmt: skip
    yield Cause(
        "cloud-flow-limit", "new-flows-lost", "node", lost.CLOUD_FLOWS, NODES,
        ("https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/monitoring-network-performance-ena.html",),
        Predictions(must=("raw-tcp-lost",), never=("insert-failed", "table-full")),
    )  # fmt: skip
    yield Cause(
        "ebpf-map-full", "new-flows-lost", "node", lost.EBPF_MAP, COUNTERS, ("cilium/cilium#35010",),
        Predictions(must=("raw-tcp-lost",), never=("insert-failed", "table-full")),
    )  # fmt: skip


def _flows() -> Iterator[Cause]:
    yield Cause(
        "late-answer-clash", "answers-from-elsewhere", "node", lost.LATE_CLASH, ARMS, ("docs/faults.md",),
        Predictions(never=("insert-failed",)), faults=("clash-late",),
    )  # fmt: skip
    yield Cause(
        "unexpected-source", "answers-not-taken", "node", lost.UNEXPECTED_SOURCE, ARMS,
        ("kubernetes/kubernetes#21613", "kelseyhightower/kubernetes-the-hard-way#561"),
    )  # fmt: skip
    yield Cause(
        "long-rule-set", "new-flows-slow", "node", late.RULE_SET, ARMS,
        ("https://kubernetes.io/blog/2025/02/28/nftables-kube-proxy/",), faults=("rule-length",),
    )  # fmt: skip
    yield Cause(
        "stale-nat-entry", "some-ports-lost", "service", lost.STALE_NAT, ARMS,
        ("kubernetes/kubernetes#125467", "kubernetes/kubernetes#71514"), faults=("stuck-port",),
    )  # fmt: skip
    yield Cause(
        "kept-flow-forgotten", "kept-flows-lost", "service", lost.KEPT_FLOW, ARMS, ("kubernetes/kubernetes#113080",),
        faults=("standing-flow",),
    )  # fmt: skip


def _network() -> Iterator[Cause]:
    yield Cause(
        "packet-loss", "packets-lost", "network", lost.PACKET_LOSS, NODES, ("docs/faults.md",), faults=("loss",)
    )
    yield Cause(
        "path-cut", "all-lost-for-a-time", "network", lost.OUTAGE, ARMS, ("docs/faults.md",), faults=("outage",)
    )
    yield Cause(
        "dns-server-restart", "all-lost-for-a-time", "server", lost.DNS_RESTART, ARMS,
        ("kubernetes/kubernetes#129617",), Predictions(never=("tcp-sent-again",)),
    )  # fmt: skip
    yield Cause(
        "packet-rate-limit", "lost-over-a-rate", "network", lost.PACKET_CAP, SLOWER,
        ("https://aws.github.io/aws-eks-best-practices/networking/monitoring/",), faults=("pps-cap",),
    )  # fmt: skip
    yield Cause(
        "small-mtu", "large-answers-lost", "network", lost.MTU, ARMS,
        ("openshift/cluster-dns-operator#370", "coredns/coredns#5366"), faults=("mtu",),
    )  # fmt: skip
    yield Cause(
        "bad-checksum-offload", "bad-checksums", "network", lost.CHECKSUM, NODES,
        ("flannel-io/flannel#1279", "k3s-io/k3s#5013"), Predictions(), (("bad-checksums",),), ("checksum",),
    )  # fmt: skip


def _policy() -> Iterator[Cause]:
    yield Cause(
        "late-network-policy", "all-lost-at-first", "policy", lost.LATE_POLICY, LIKE,
        ("aws/aws-network-policy-agent#186",), faults=("policy-late",),
    )  # fmt: skip
    yield Cause("udp-blocked", "udp-silent", "policy", lost.UDP_BLOCKED, ARMS, ("aws/aws-network-policy-agent#326",))
    yield Cause(
        "tcp-blocked", "tcp-silent", "policy", lost.TCP_BLOCKED, ARMS, ("aws/aws-network-policy-agent#326",),
        faults=("tcp-blocked",),
    )  # fmt: skip
    yield Cause(
        "dns-captured", "answered-elsewhere", "policy", late.CAPTURED, LIKE,
        ("https://istio.io/latest/news/releases/1.25.x/announcing-1.25/", "istio/istio#33469"),
        Predictions(), (("servers-idle",),), ("redirect",),
    )  # fmt: skip


def _cache() -> Iterator[Cause]:
    yield Cause(
        "cache-buffer-full", "buffer-full", "cache", lost.CACHE_BUFFER, CACHE, ("docs/faults.md",),
        Predictions(("stalls", "cache-buffer"), never=("half-lost",)), (("cache-buffer",),),
    )  # fmt: skip
    yield Cause(
        "cache-upstream-timeout", "cache-fails", "cache", late.CACHE_UPSTREAM, CACHE,
        ("kubernetes/dns#443", "kubernetes/dns#625"),
    )  # fmt: skip


def _server() -> Iterator[Cause]:
    yield Cause(
        "server-buffer-full", "buffer-full", "server", lost.SERVER_BUFFER, SLOWER,
        ("coredns/coredns#4506", "coredns/coredns#5595"),
        Predictions(("stalls", "server-buffer"), never=("half-lost",), unlikely=("!sequential-stalls",)),
        (("server-buffer",),), ("receive-buffer",),
    )  # fmt: skip
    yield Cause(
        "dead-endpoint", "one-server-silent", "server", lost.DEAD_ENDPOINT, ARMS,
        ("kuberhealthy/kuberhealthy#614",), Predictions(), (("raw-one-place",),), ("one-dead-backend",),
    )  # fmt: skip
    yield Cause(
        "slow-server", "all-late", "server", late.SERVER_SLOW, OUTSIDE, ("kubernetes/kubernetes#113080",),
        faults=("slow-answer",),
    )  # fmt: skip
    yield Cause("server-pauses", "pauses", "server", late.PAUSES, NODES, ("coredns/coredns#2593",), faults=("pause",))
    yield Cause(
        "server-cpu-limit", "held-up", "server", late.SERVER_CPU, SLOWER, ("siderolabs/talos#11812",),
        Predictions(unlikely=("raw-a-sent-late",)), faults=("server-throttle",),
    )  # fmt: skip
    yield Cause(
        "server-errors", "errors", "server", late.SERVER_ERRORS, ARMS, ("coredns/coredns#4326",), faults=("rcode",)
    )
    yield Cause(
        "truncated-answers", "truncated", "server", late.TRUNCATION, ARMS, ("coredns/coredns#5362",),
        Predictions(), (("raw-a-truncated",),), ("truncation",),
    )  # fmt: skip
    yield Cause(
        "few-tcp-workers", "tcp-late", "server", late.TCP_WORKERS, ARMS,
        ("https://gcpdiag.dev/rules/gke/ERR/2023_010/",), faults=("tcp-workers",),
    )  # fmt: skip


def _upstream() -> Iterator[Cause]:
    yield Cause(
        "slow-upstream", "all-late", "upstream", late.UPSTREAM_SLOW, OUTSIDE,
        ("https://coredns.io/plugins/forward/",), Predictions(must=("one-name",)),
    )  # fmt: skip
    yield Cause(
        "max-concurrent", "errors-when-busy", "upstream", late.MAX_CONCURRENT, SLOWER,
        ("https://coredns.io/plugins/forward/", "coredns/coredns#4326"), faults=("refused-over-n",),
    )  # fmt: skip
    yield Cause("slow-aaaa", "aaaa-late", "upstream", late.AAAA_SLOW, ARMS, ("docs/faults.md",), faults=("slow-aaaa",))
    yield Cause(
        "aaaa-errors", "aaaa-errors", "upstream", late.AAAA_ERRORS, ARMS, ("grocy/grocy-docker#179",),
        faults=("aaaa-rcode",),
    )  # fmt: skip
    yield Cause("aaaa-dropped", "aaaa-lost", "upstream", lost.AAAA_DROPPED, ARMS, ("docs/faults.md",))
    yield Cause(
        "dead-upstream", "some-late", "upstream", late.UPSTREAM_DEAD, OUTSIDE,
        ("https://coredns.io/plugins/forward/",), faults=("upstream-one-dead",),
    )  # fmt: skip
    yield Cause(
        "name-servers-dead", "one-name-silent", "upstream", lost.NAME_SILENT, ARMS, ("docs/faults.md",),
        faults=("name-never-answers",),
    )  # fmt: skip


def _client() -> Iterator[Cause]:
    yield Cause(
        "client-cpu-limit", "client-held-up", "client", late.CLIENT_CPU, LIKE, ("docs/faults.md",),
        Predictions(must=("throttled",)),
        (("throttled",),), ("client-throttle",),
    )  # fmt: skip
    yield Cause(
        "client-buffer-full", "buffer-full", "client", lost.CLIENT_BUFFER, SLOWER, ("docs/faults.md",),
        Predictions(("stalls", "client-buffer")), (("client-buffer",),),
    )  # fmt: skip
    yield Cause(
        "client-machine-busy", "client-held-up", "client", late.NODE_BUSY, NODES, ("docs/faults.md",),
        # A small program sends raw queries: a busy client hardly delays them.
        Predictions(must=("!throttled",), never=("throttled",), unlikely=("raw-held-up",)),
    )  # fmt: skip
    yield Cause(
        "search-list", "all-late", "client", late.SEARCH_LIST,
        "dnslab run --backend kubernetes --name example.org --variants baseline,ndots-1 --allow-external",
        ("https://github.com/coredns/deployment/blob/master/kubernetes/Scaling_CoreDNS.md",),
        Predictions(must=("one-name",)),
    )  # fmt: skip


CAUSES: Mapping[str, Cause] = {
    one.name: one
    for part in (_new_flows(), _flows(), _network(), _policy(), _cache(), _server(), _upstream(), _client())
    for one in part
}


def causes_of_fault(fault: str) -> list[Cause]:
    """The causes that a fault of the lab imitates."""
    return [cause for cause in CAUSES.values() if fault in cause.faults]
