"""What the cluster's DNS servers count: their metrics, read through the API server, as flat numbers by dotted name."""

from __future__ import annotations

import contextlib
import math
import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Literal

from dnslab.errors import NotAble
from dnslab.measure.counters import under
from dnslab.measure.kubernetes.api.client import Client, answered

#: a server too busy to answer is not waited for: the next trial is due
METRICS_TIMEOUT_S = (4.0, 5.0)
METRICS_AT_ONCE = 8

_REQUESTS = ("coredns_dns_requests_total", "coredns_dns_request_count_total")
_RESPONSES = ("coredns_dns_responses_total", "coredns_dns_response_rcode_count_total")
_SECONDS = "coredns_dns_request_duration_seconds"
_FORWARD_SECONDS = ("coredns_proxy_request_duration_seconds", "coredns_forward_request_duration_seconds")
#: number: the families that hold it, of which the first that is there counts, and the label value it stands at ("":
#: all). CoreDNS 1.7 renamed most families; later what forward counts moved to proxy, which only forward uses.
_COREDNS: Mapping[str, tuple[Sequence[str], str]] = {
    "requests": (_REQUESTS, ""),
    "requests_udp": (_REQUESTS, "udp"),
    "requests_tcp": (_REQUESTS, "tcp"),
    "responses_noerror": (_RESPONSES, "NOERROR"),
    "responses_nxdomain": (_RESPONSES, "NXDOMAIN"),
    "responses_servfail": (_RESPONSES, "SERVFAIL"),
    "responses_refused": (_RESPONSES, "REFUSED"),
    "cache_hits": (["coredns_cache_hits_total"], ""),
    "cache_misses": (["coredns_cache_misses_total"], ""),
    "forward_requests": ([f"{family}_count" for family in _FORWARD_SECONDS], ""),
    "forward_rejected": (
        ["coredns_forward_max_concurrent_rejects_total", "coredns_forward_max_concurrent_reject_count_total"],
        "",
    ),
    "forward_unhealthy": (
        ["coredns_forward_healthcheck_broken_total", "coredns_forward_healthcheck_broken_count_total"],
        "",
    ),
    "panics": (["coredns_panics_total", "coredns_panic_count_total"], ""),
    "started_s": (["process_start_time_seconds"], ""),
}
#: the same for what is in seconds there, and in milliseconds here
_COREDNS_MS = {
    "requests_ms": [f"{_SECONDS}_sum"],
    "forward_ms": [f"{family}_sum" for family in _FORWARD_SECONDS],
    "cpu_ms": ["process_cpu_seconds_total"],
}

Kind = Literal["coredns", "node-local"]


@dataclass(frozen=True)
class DnsPod:
    """A DNS server whose metrics can be read through the API server."""

    kind: Kind
    namespace: str
    name: str
    port: int


def dns_counters(client: Client, pods: Sequence[DnsPod]) -> tuple[dict[str, int], tuple[str, ...]]:
    """Counters of the DNS servers until now, and a line for each kind of server of which some did not answer.

    ``coredns.POD.requests_udp`` and so on, see ``coredns``; ``coredns.requests_udp`` sums over the pods and is
    there only when all of them answered. The same with ``node-local``.
    """
    texts, denied = metrics(client, pods)
    numbers: dict[str, int] = {}
    for kind in dict.fromkeys(pod.kind for pod in pods):
        by_pod = {pod.name: coredns(text) for pod, text in texts.items() if pod.kind == kind}
        for name, of_pod in by_pod.items():
            numbers |= under(f"{kind}.{name}", of_pod)
        if len(by_pod) == sum(pod.kind == kind for pod in pods):
            total: Counter[str] = Counter()
            for of_pod in by_pod.values():
                total.update(of_pod)
            del total["started_s"]
            numbers |= under(kind, total)
    return numbers, denied


def metrics(client: Client, pods: Sequence[DnsPod]) -> tuple[dict[DnsPod, str], tuple[str, ...]]:
    """The metrics of each pod that answers. All are asked at the same time."""
    if not pods:
        return {}, ()
    core = client.core()

    def ask(pod: DnsPod) -> str | NotAble:
        try:
            with answered(f"read metrics of pod {pod.name}"):
                # Undecoded: the official client otherwise tries to read a text as JSON first.
                answer = core.connect_get_namespaced_pod_proxy_with_path(
                    f"{pod.name}:{pod.port}",
                    pod.namespace,
                    "metrics",
                    _preload_content=False,
                    _request_timeout=METRICS_TIMEOUT_S,
                )
                return str(answer.data, "utf-8", "replace")
        except NotAble as error:
            return error

    with ThreadPoolExecutor(METRICS_AT_ONCE) as threads:
        answers = dict(zip(pods, threads.map(ask, pods), strict=True))
    texts = {pod: answer for pod, answer in answers.items() if isinstance(answer, str)}
    denied = []
    for kind in dict.fromkeys(pod.kind for pod in pods):
        errors = [answer for pod, answer in answers.items() if pod.kind == kind and isinstance(answer, NotAble)]
        if errors:
            n_pods = sum(pod.kind == kind for pod in pods)
            denied.append(f"{kind} metrics: {len(errors)} of {n_pods} pods gave none: {errors[0]}")
    return texts, tuple(denied)


def prometheus(text: str, families: Mapping[str, str]) -> dict[str, dict[str, float]]:
    """Samples of a Prometheus text, summed over all labels but one.

    Parameters
    ----------
    families
        By name, with the label to keep apart, ``""`` for none. Of a histogram, ``_bucket``, ``_sum`` and ``_count`` are
        families of their own.

    Returns
    -------
    dict of str to dict of str to float
        For each family that is there the sums by the label's value, ``""`` where it has no such label.

    >>> prometheus('n_total{proto="udp",zone="."} 3\\nn_total{proto="udp",zone="a."} 1', {"n_total": "proto"})
    {'n_total': {'udp': 4.0}}
    """
    from prometheus_client.parser import text_string_to_metric_families  # takes 0.1 s, and only clusters need it

    sums: defaultdict[str, defaultdict[str, float]] = defaultdict(lambda: defaultdict(float))
    starts = (*families, "{")  # a quoted name stands inside the braces
    for line in text.split("\n"):
        if not line.lstrip().startswith(starts):
            continue  # the parser takes ten times as long
        # Line by line, so that a damaged one loses no other. The parser raises more than ValueError for such.
        with contextlib.suppress(ValueError, LookupError):
            for sample in (sample for family in text_string_to_metric_families(line) for sample in family.samples):
                if sample.name in families and math.isfinite(sample.value):
                    sums[sample.name][sample.labels.get(families[sample.name], "")] += sample.value
    return {family: dict(by_value) for family, by_value in sums.items()}


def coredns(text: str) -> dict[str, int]:
    """What the metrics of CoreDNS (a node-local cache is one too) say that tells causes apart.

    - ``requests``, ``requests_udp``, ``requests_tcp``: what reached this server, so whether one of several gets its
      share. TCP is use-vc, a node-local cache, or a retry after a truncated answer.
    - ``responses_nxdomain``: many beside ``responses_noerror``, and the search list is walked.
    - ``responses_servfail``, ``responses_refused``: failed here or upstream.
    - ``requests_ms``: time all requests took inside this server.
    - ``requests_over_1s``: those that took longer than the histogram's first bound from 1 s on (1.024 s). None, while
      clients stall, says that packets are lost on the way.
    - ``cache_hits``, ``cache_misses``: how warm it was.
    - ``forward_requests``, ``forward_ms``: asked upstream, and the time all that took.
    - ``forward_rejected``: refused for ``max_concurrent``.
    - ``forward_unhealthy``: asked upstream although every upstream had failed its health check.
    - ``panics``: crashes that were caught.
    - ``cpu_ms``: CPU time used; near its limit it is throttled.
    - ``started_s``: when it started, in Unix time; a later start counts from 0 again.

    What CoreDNS has not counted yet is not in its text, and is 0 here. Another server's text gives ``{}``.
    """
    if not re.search(r"^coredns_", text, re.MULTILINE):
        return {}
    by = {**dict.fromkeys(_REQUESTS, "proto"), **dict.fromkeys(_RESPONSES, "rcode"), f"{_SECONDS}_bucket": "le"}
    wanted = [family for families, _ in _COREDNS.values() for family in families]
    wanted += [family for families in _COREDNS_MS.values() for family in families] + ["coredns_cache_requests_total"]
    sums_by_family = prometheus(text, {**dict.fromkeys(wanted, ""), **by})

    def count(families: Sequence[str], at: str = "") -> float:
        sums = next((sums_by_family[family] for family in families if family in sums_by_family), {})
        return sums.get(at, 0) if at else sum(sums.values())

    numbers = {number: int(count(*where)) for number, where in _COREDNS.items()}
    numbers |= {number: round(1000 * count(families)) for number, families in _COREDNS_MS.items()}
    if "coredns_cache_misses_total" not in sums_by_family:  # to be dropped: CoreDNS calls it deprecated
        numbers["cache_misses"] = max(0, int(count(["coredns_cache_requests_total"])) - numbers["cache_hits"])
    within = [n for bound, n in sums_by_family.get(f"{_SECONDS}_bucket", {}).items() if _number(bound) >= 1]
    return {**numbers, "requests_over_1s": int(max(within, default=0) - min(within, default=0))}


def _number(text: str) -> float:
    """NaN where ``text`` is none: a damaged label says nothing."""
    try:
        return float(text)
    except ValueError:
        return math.nan


def coredns_version(text: str) -> str | None:
    """The version that the metrics of CoreDNS name; of a node-local cache, that of the CoreDNS in it."""
    return next(iter(prometheus(text, {"coredns_build_info": "version"}).get("coredns_build_info", {})), None)
