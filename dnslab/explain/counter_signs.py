"""Signs that kernels counted, and what a kernel's version says."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from dnslab.analyse.observed import Numbers, Observed
from dnslab.explain.loss_signs import FEW, UNKNOWN, Read, Reader, lookups_of
from dnslab.explain.sign import State, some
from dnslab.sentences import Sentence, signs as said
from dnslab.text import counted

#: the first kernel in which two packets of one flow do not race any more
RESOLVED_SINCE = (5, 6)
#: datagrams that the kernel refuses now and then without a fault, as a share of lookups
STRAY = 1e-3
#: a share of conntrack's table from which on it is as good as full
NEAR_FULL = 0.95
#: periods in which a client's CPU limit may stop it without harm
THROTTLED_NOISE = 0.05
#: what sockets of the node on port 53 dropped, by their address, which the node-local cache's are among
CACHE_SOCKETS = "node.udp.53.drops@"
#: a socket on one of these listens on all addresses
WILDCARDS = ("0.0.0.0", "::")
SERVERS = ("server-a", "server-b", "coredns", "servers")


def version_of(kernel: str) -> tuple[int, int] | None:
    """``(5, 4)`` of ``"Linux 5.4.0-150-generic"``; None where there is no version."""
    found = re.search(r"(\d+)\.(\d+)", kernel)
    return (int(found[1]), int(found[2])) if found else None


def kernel_in_short(kernel: str) -> str:
    """``"5.4"`` of ``"Linux 5.4.0-150-generic"``; ``""`` where there is no version."""
    version = version_of(kernel)
    return ".".join(map(str, version)) if version else ""


def _rises(numbers: Numbers, name: str, places: tuple[str, ...]) -> list[float]:
    """How far a witness rose, at each of ``places`` and sockets where it was read."""
    wanted = [f"{place}.{name}" for place in places]
    return [n for key, n in numbers.rises.items() if key in wanted or key.partition("@")[0] in wanted]


def _unread(observed: Observed, name: str, places: tuple[str, ...], what: str) -> Read:
    for place in places:
        why = next((why for key, why in observed.unread.items() if key.startswith(f"{place}.{name}")), "")
        if why:
            return State.NOT_MEASURED, said.NOT_READ(what=what, why=why)
    return UNKNOWN


def _enough(n: float, numbers: Numbers) -> State:
    """Whether ``n`` explain half of the stalls; of few stalls, whether they are more than stray datagrams. A share of
    the lookups alone does not tell: in a million, a hundred stalls and a hundred drops are both few."""
    if numbers.stalls >= FEW and n >= numbers.stalls / 2:
        return State.YES
    return some(min(n, numbers.n), numbers.n, STRAY)


def _risen(what: Sentence, n: float, numbers: Numbers) -> str:
    if not n:
        return said.NO_RISE(what=str(what))
    return said.RISE(what=str(what), n=f"{n:,.0f}", variant=numbers.variant)


def _rose(name: str, places: tuple[str, ...], what: Sentence) -> Reader:
    """More datagrams than stray ones, or half as many as stalls."""

    def reader(observed: Observed, baseline: Numbers) -> Read:
        found = _rises(baseline, name, places)
        if not found:
            return _unread(observed, name, places, str(what))
        n = sum(found)
        return _enough(n, baseline), _risen(what, n, baseline)

    return reader


def _explains(names: tuple[str, ...], places: tuple[str, ...], what: Sentence) -> Reader:
    """The largest of these rose at least half as far as lookups were lost."""

    def reader(observed: Observed, baseline: Numbers) -> Read:
        by_name = [_rises(baseline, name, places) for name in names]
        if not all(by_name):
            return _unread(observed, names[0], places, str(what))
        n = min(sum(found) for found in by_name)
        lost = baseline.stalls
        if not n:
            return State.NO, said.NO_RISE(what=str(what))
        if lost >= FEW and n < lost / 2:
            stalls = counted(lost, "stall")
            return State.UNCLEAR, said.SMALL_RISE(what=str(what), n=f"{n:,.0f}", stalls=stalls)
        return _enough(n, baseline), _risen(what, n, baseline)

    return reader


def _each_lost(name: str, what: Sentence) -> Reader:
    """The client's counter rose as often as lookups lost an answer, or more: each of them lost one at least."""

    def reader(observed: Observed, baseline: Numbers) -> Read:
        found = _rises(baseline, name, ("client",))
        if not found:
            return _unread(observed, name, ("client",), str(what))
        n, lost = sum(found), baseline.stalls
        if lost < FEW:
            return State.YES if n else State.NO, _risen(what, n, baseline)
        claim = said.SMALL_RISE(what=str(what), n=f"{n:,.0f}", stalls=counted(lost, "stall"))
        return (State.NO, claim) if n < lost / 2 else (State.YES, _risen(what, n, baseline))

    return reader


def server_buffer(observed: Observed, baseline: Numbers) -> Read:
    """Full receive buffers of DNS servers dropped as many queries as lookups were lost."""
    return _explains(("Udp.RcvbufErrors",), SERVERS, said.SERVER_BUFFER)(observed, baseline)


def cache_buffer(observed: Observed, baseline: Numbers) -> Read:
    """The full buffer of the node-local cache dropped queries, and it is the cache that was asked."""
    sockets = {key.partition("@")[2]: n for key, n in baseline.rises.items() if key.startswith(CACHE_SOCKETS)}
    if not sockets:
        return _unread(observed, "udp.53.drops", ("node",), str(said.CACHE_BUFFER))
    asked = [n for address, n in sockets.items() if address in {*WILDCARDS, *baseline.asks}]
    if not asked:
        return State.NO, said.ASKS_NO_CACHE(variant=baseline.variant)
    return _enough(sum(asked), baseline), _risen(said.CACHE_BUFFER, sum(asked), baseline)


def table_full(observed: Observed, baseline: Numbers) -> Read:
    """The kernel threw flows out early, or its table of flows is as good as full."""
    early = _rises(baseline, "conntrack.early_drop", ("node",))
    share = _rises(baseline, "conntrack.count", ("node",))
    if not early and not share:
        return _unread(observed, "conntrack.early_drop", ("node",), str(said.TABLE_FULL))
    n = sum(early)
    full = bool(share) and max(share) >= NEAR_FULL
    claim = _risen(said.TABLE_FULL, n, baseline)
    return State.YES if full else _enough(n, baseline), claim


def throttled(observed: Observed, baseline: Numbers) -> Read:
    """The client's own CPU limit stopped it."""
    periods, stopped = (baseline.rises.get(f"client.cpu.{name}") for name in ("periods", "throttled_periods"))
    if periods is None or stopped is None:
        return _unread(observed, "cpu.throttled_periods", ("client",), "CPU throttling")
    state = some(stopped, periods, THROTTLED_NOISE) if periods else State.NO
    share = f"{100 * stopped / periods:.0f} %" if periods else ""
    return state, said.THROTTLED(share=share) if stopped else str(said.NOT_THROTTLED)


def servers_idle(observed: Observed, baseline: Numbers) -> Read:
    """The servers' counters do not move: somebody else answers."""
    found = _rises(baseline, "Udp.InDatagrams", SERVERS)
    if not found:
        return UNKNOWN
    answered = baseline.n - baseline.stalls - baseline.failed
    claim = said.SERVERS_IDLE(sent=lookups_of(baseline), received=counted(round(sum(found)), "query", "queries"))
    if answered < baseline.n / 2:
        return State.UNCLEAR, claim
    return (State.YES, claim) if sum(found) < baseline.n / 4 else (State.NO, str(said.SERVERS_BUSY))


def tcp_after_udp(observed: Observed, baseline: Numbers) -> Read:
    """Baseline opened TCP connections, so UDP answers were truncated."""
    opened = baseline.rises.get("client.Tcp.ActiveOpens")
    if opened is None:
        return _unread(observed, "Tcp.ActiveOpens", ("client",), str(said.TCP_SENT_AGAIN))
    claim = said.TCP_AFTER_UDP(n=f"{opened:,.0f}", lookups=lookups_of(baseline))
    return some(min(opened, baseline.n), baseline.n, 0.01), claim


def kernel_resolves(observed: Observed, baseline: Numbers) -> Read:
    """The kernel is one that resolves the conntrack race."""
    version = version_of(observed.kernel)
    if version is None:
        return UNKNOWN
    short = kernel_in_short(observed.kernel)
    if version >= RESOLVED_SINCE:
        return State.YES, said.KERNEL_RESOLVES(kernel=short)
    return State.NO, said.KERNEL_DROPS(kernel=short)


def _read() -> Iterator[tuple[str, Reader]]:
    client, node = ("client",), ("node",)
    yield "bad-checksums", _rose("Udp.InCsumErrors", client, said.CHECKSUMS)
    yield "checksums-explain", _each_lost("Udp.InCsumErrors", said.CHECKSUMS)
    yield "wrong-address", _rose("Udp.NoPorts", client, said.WRONG_ADDRESS)
    yield "wrong-address-explains", _each_lost("Udp.NoPorts", said.WRONG_ADDRESS)
    yield "client-buffer", _rose("Udp.RcvbufErrors", client, said.CLIENT_BUFFER)
    yield "server-buffer", server_buffer
    yield "cache-buffer", cache_buffer
    yield "insert-failed", _explains(("conntrack.insert_failed", "conntrack.drop"), node, said.INSERT_FAILED)
    yield "table-full", table_full
    yield "throttled", throttled
    yield "servers-idle", servers_idle
    yield "tcp-after-udp", tcp_after_udp
    yield "kernel-resolves", kernel_resolves


READERS: Mapping[str, Reader] = dict(_read())
