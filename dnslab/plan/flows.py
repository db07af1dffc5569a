"""How many flows lookups open, and how many of those are new to connection tracking.

Pure. The conntrack race needs a new flow: two packets that both find no entry of their flow. This module knows how long
the kernel keeps an entry, and which share of flows is new at a given rate. Knows nothing of runs or their results.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterable, Sequence
from typing import Literal

from dnslab.plan.resolvconf import ResolverOptions, is_of_node

#: which trials of a round run at the same time: all variants of a load, none, or all variants and loads
Order = Literal["side-by-side", "in-turn", "together"]
#: Linux forgets a UDP flow after 30 s, and one with traffic both ways for over 2 s ("stream") after 120 s: udp_timeouts
#: in the kernel's net/netfilter/nf_conntrack_proto_udp.c. A lookup is over before its flow counts as a stream.
UDP_TIMEOUT_S = 30
UDP_STREAM_TIMEOUT_S = 120
PORT_RANGE_FILE = "/proc/sys/net/ipv4/ip_local_port_range"
#: after this long no kernel keeps a UDP flow by its defaults: older ones keep a stream for 180 s
PORT_REST_S = 180
#: engine wire goes once through all ports in this time, so that bursts may be up to 10 s early (PERIOD in the probe's
#: ports.c), and uses at most this share of them, which leaves room for bursts
PORT_PERIOD_S = PORT_REST_S + 10
PORTS_USED = 0.85
#: standard deviations of Poisson arrivals that a trial has ports for
BURST = 6.0
#: ports of Linux's own range, 32768 to 60999 (net/ipv4/af_inet.c, inet_init_net)
N_PORTS = 60999 - 32768 + 1
#: under this share of new flows a comparison of clients that are not fresh is void
NEW_FLOWS_NEEDED = 0.95


def is_tracked(options: ResolverOptions, caches: Collection[str] = ()) -> bool:
    """Whether lookups go over UDP through connection tracking: not by TCP, nor to a cache on the node, which tells the
    kernel not to track."""
    return "use-vc" not in options.flags and not asks_cache(options, caches)


def asks_cache(options: ResolverOptions, caches: Collection[str] = ()) -> bool:
    """Whether the first nameserver is a cache on the node: link-local, or one of ``caches`` (IPv6 shows no sign)."""
    return any(is_of_node(address) or address in caches for address in options.nameservers[:1])


def sends_pairs(options: ResolverOptions, caches: Collection[str] = ()) -> bool:
    """Whether A and AAAA are in flight together on one tracked UDP socket, so that the conntrack race can hit them."""
    return is_tracked(options, caches) and not {"single-request", "single-request-reopen", "no-aaaa"}.intersection(
        options.flags
    )


def sockets_per_lookup(options: ResolverOptions, n_asked: int = 1, caches: Collection[str] = ()) -> int:
    """UDP sockets with tracked flows that one lookup opens.

    One for each name asked for, and two where A and AAAA have one each.

    Parameters
    ----------
    options
        In force at the client.
    n_asked
        Names of the search list that are asked for until one is found.
    caches
        As for ``is_tracked``.
    """
    if not is_tracked(options, caches):
        return 0
    return n_asked * (2 if "single-request-reopen" in options.flags else 1)


def sockets_per_arrival(arrangement: str) -> int:
    """UDP sockets that engine wire opens at a time."""
    return 2 if arrangement == "pair-two-sockets" else 1


def count_ports(port_range: str | None) -> int:
    """The number of ephemeral ports in the text of ``PORT_RANGE_FILE``; Linux's default if it cannot be read."""
    match = re.fullmatch(r"\s*([0-9]{1,5})\s+([0-9]{1,5})\s*", port_range or "")
    return int(match[2]) - int(match[1]) + 1 if match else N_PORTS


def shared_sockets_per_s(sockets_per_s: Iterable[Sequence[float]], order: Order) -> float:
    """Sockets a second from one address that all variants and loads share, at the worst time of a run.

    Side by side the variants of a load add up, together those of all loads. In turn one variant leaves at a time, but
    the busiest may have come just before.

    Parameters
    ----------
    sockets_per_s
        For each load, the rate of each variant.
    order
        As in the plan.
    """
    if order == "together":
        return sum(map(sum, sockets_per_s))
    at_once = sum if order == "side-by-side" else max
    return max(at_once(rates) for rates in sockets_per_s)


def new_flow_share(sockets_per_s: float, udp_timeout_s: float, n_ports: int) -> float:
    """Share of sockets that open a new flow, once entries have had their life: exp(-r T / P).

    Source ports are random, so a socket meets no live entry with that probability.

    Parameters
    ----------
    sockets_per_s
        From one address (r).
    udp_timeout_s
        Life of an entry (T).
    n_ports
        Ports that a socket's own is drawn from (P).

    >>> round(new_flow_share(40, UDP_TIMEOUT_S, N_PORTS), 3)
    0.958
    """
    return math.exp(-sockets_per_s * udp_timeout_s / n_ports)


def max_sockets_per_s(share: float, udp_timeout_s: float, n_ports: int) -> float:
    """Sockets a second from one address at which ``share`` of them still open a new flow; see ``new_flow_share``.

    >>> round(max_sockets_per_s(NEW_FLOWS_NEEDED, UDP_TIMEOUT_S, N_PORTS))
    48
    """
    return -math.log(share) * n_ports / udp_timeout_s


def fitting_rate_per_s(sockets_of: Sequence[int], order: Order, n_ports: int) -> float:
    """Lookups a second of each variant at which enough flows from one address stay new; infinity without sockets.

    Parameters
    ----------
    sockets_of
        For each variant that shares the address, the sockets of a lookup.
    """
    together = shared_sockets_per_s([[float(n) for n in sockets_of]], order)
    return max_sockets_per_s(NEW_FLOWS_NEEDED, UDP_TIMEOUT_S, n_ports) / together if together else math.inf


def wire_rate_per_s(load_s: float, n_lanes: int = 1, n_ports: int = N_PORTS) -> float:
    """Sockets a second of each probe of engine wire for which the ports of a shared address suffice.

    Parameters
    ----------
    load_s
        Length of a trial: of few arrivals more may come at a time than on average.
    n_lanes
        Probes that share the ports at the same time.
    """
    per_s = n_ports / PORT_PERIOD_S / n_lanes
    return min(PORTS_USED * per_s, _with_bursts(per_s * load_s) / load_s)


def fresh_wire_rate_per_s(load_s: float, n_ports: int = N_PORTS) -> float:
    """The same where each probe has an address of its own, which nobody had before."""
    length_s = min(load_s, PORT_REST_S)
    return _with_bursts(n_ports) / length_s


def _with_bursts(n_most: float) -> float:
    """The Poisson mean whose ``BURST`` deviations above are ``n_most``."""
    return (math.sqrt(n_most + BURST**2 / 4) - BURST / 2) ** 2
