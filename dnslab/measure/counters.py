"""Kernel and server counters: turns their texts into flat numbers by dotted name. Reads no file itself."""

from __future__ import annotations

import contextlib
import json
import math
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence

_CONNTRACK, _SNMP = "/proc/net/stat/nf_conntrack", "/proc/net/snmp"
_SOCKSTAT, _STAT = "/proc/net/sockstat", "/proc/stat"
_SYSCTLS = {
    "count": "/proc/sys/net/netfilter/nf_conntrack_count",
    "max": "/proc/sys/net/netfilter/nf_conntrack_max",
    "udp_timeout_s": "/proc/sys/net/netfilter/nf_conntrack_udp_timeout",
    "udp_timeout_stream_s": "/proc/sys/net/netfilter/nf_conntrack_udp_timeout_stream",
}
#: what ``node`` reads; all are of the network namespace they are opened in, and readable by anyone there
NODE_FILES = (_CONNTRACK, _SNMP, *_SYSCTLS.values())
#: what ``client`` reads; the last is of the machine
CLIENT_FILES = (_SNMP, _SOCKSTAT, _STAT)

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


def snmp(text: str, groups: Sequence[str] = ("Udp", "Tcp")) -> dict[str, int]:
    """/proc/net/snmp: pairs of lines, names then values, of these groups; ``{"Udp.RcvbufErrors": 0, ...}``."""
    numbers: dict[str, int] = {}
    names: list[str] = []
    for line in text.splitlines():
        group, colon, rest = line.partition(":")
        if not colon or group not in groups:
            continue
        words = rest.split()
        if words and not words[0].lstrip("-").isdigit():
            names = words
        else:
            numbers.update({f"{group}.{name}": int(value) for name, value in zip(names, words, strict=False)})
    return numbers


def sockstat(text: str) -> dict[str, int]:
    """/proc/net/sockstat: ``{"TCP.inuse": 1, "TCP.tw": 0, ...}``."""
    numbers: dict[str, int] = {}
    for line in text.splitlines():
        group, _, rest = line.partition(":")
        words = rest.split()
        numbers.update({f"{group}.{name}": int(value) for name, value in zip(words[::2], words[1::2], strict=False)})
    return numbers


def conntrack(text: str) -> dict[str, int]:
    """/proc/net/stat/nf_conntrack: hexadecimal, a line a CPU, summed over CPUs.

    Columns are read by their names: the same column is ``searched`` up to Linux 5.9 and ``clashres`` from 5.10 on.
    ``entries`` is the same total on each line and is not summed.
    """
    lines = [line.split() for line in text.splitlines() if line.strip()]
    if len(lines) < 2:
        return {}
    names, rows = lines[0], [[int(value, 16) for value in row] for row in lines[1:]]
    numbers = {name: sum(column) for name, column in zip(names, zip(*rows, strict=False), strict=False)}
    if "entries" in names:
        numbers["entries"] = rows[0][names.index("entries")]
    return numbers


def nft(text: str) -> dict[str, int]:
    """``nft -j list counters``: packets by counter name."""
    listed = json.loads(text or "{}").get("nftables", [])
    return {item["counter"]["name"]: int(item["counter"]["packets"]) for item in listed if "counter" in item}


def unbound(text: str) -> dict[str, int]:
    """``unbound-control stats_noreset``: its whole totals, ``{"num.queries": 1, "num.cachehits": 0}``."""
    numbers: dict[str, int] = {}
    for line in text.splitlines():
        name, equals, value = line.partition("=")
        if equals and name.startswith("total.") and value.isdigit():
            numbers[name.removeprefix("total.")] = int(value)
    return numbers


def cpu(text: str) -> dict[str, int]:
    """First line of /proc/stat: ``total_ticks`` and ``idle_ticks`` (idle and iowait) of the machine."""
    words = text.split("\n", 1)[0].split()
    if not words or words[0] != "cpu":
        return {}
    ticks = [int(word) for word in words[1:9]]
    return {"total_ticks": sum(ticks), "idle_ticks": ticks[3] + ticks[4]}


def client(texts: Mapping[str, str | None]) -> dict[str, int]:
    """A client's own counters (``client.``) and its machine's CPU time (``machine.cpu.``) from ``CLIENT_FILES``.

    Takes the texts by path. A file that could not be read is left out.
    """
    numbers = snmp(texts.get(_SNMP) or "") | sockstat(texts.get(_SOCKSTAT) or "")
    return under("machine.cpu", cpu(texts.get(_STAT) or "")) | under("client", numbers)


def node(texts: Mapping[str, str | None]) -> dict[str, int]:
    """A node's own counters from the texts of ``NODE_FILES`` by path; a file that could not be read is left out.

    Under ``node.``: ``Udp.*`` and ``Tcp.*``; ``conntrack.*`` as ``conntrack`` names them, with ``count`` and ``max``
    of the table and the UDP timeouts that make a flow be forgotten, in seconds. They tell a race or a colliding source
    port (``insert_failed`` and ``drop``), a full table (``drop`` alone, ``count`` near ``max``) and a full receive
    buffer of a cache on the node (``Udp.RcvbufErrors``) apart.
    """
    tracked = conntrack(texts.get(_CONNTRACK) or "")
    for name, path in _SYSCTLS.items():
        if text := texts.get(path):
            tracked[name] = int(text)
    return under("node", snmp(texts.get(_SNMP) or "") | under("conntrack", tracked))


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


def under(prefix: str, numbers: Mapping[str, int]) -> dict[str, int]:
    """The same numbers with ``prefix.`` before each name."""
    return {f"{prefix}.{name}": value for name, value in numbers.items()}


def shown(data: bytes) -> dict[str, str | None]:
    """What the probe's ``--show`` wrote: the text of each file by its path, None for one that could not be read.

    Raises
    ------
    ValueError
        The bytes are cut short, or something else's.
    """
    texts: dict[str, str | None] = {}
    while data:
        line, newline, data = data.partition(b"\n")
        path, _, length = line.rpartition(b" ")
        n_bytes = int(length)
        if not newline or n_bytes > len(data):
            raise ValueError(f"expected {n_bytes} bytes of {path.decode()}, saw {len(data)}")
        texts[path.decode()] = data[:n_bytes].decode("utf-8", "replace") if n_bytes >= 0 else None
        data = data[max(0, n_bytes) :]
    return texts
