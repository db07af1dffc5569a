"""How many lookups could have met the race, by a model of port reuse: where the path cannot count them."""

from __future__ import annotations

import math
from collections.abc import Mapping

from dnslab.analyse.counts import Cell, Key
from dnslab.analyse.dataset import Run


def exposed_modelled(run: Run, key: Key, cells: Mapping[Key, Cell]) -> float | None:
    """Lookups whose first socket opened a new flow: n exp(-r T / P).

    Source ports are random, so a socket meets no live entry with that probability: r sockets/s leave one address, an
    entry lives for T seconds, there are P ports. 0 where no pair is ever in flight, None for a closed loop, whose rate
    is a result, and where T or P is not known.
    """
    life_s, ports = run.environment.backend.udp_timeout_s, run.environment.backend.n_ports
    if not run.plan.variant(key[0]).sends_pairs:
        return 0.0
    if run.plan.loads[key[2]].rate_per_s is None or not life_s or not ports:
        return None
    return cells[key].totals.n * math.exp(-_sockets_per_s(run, key, cells) * life_s / ports)


def _sockets_per_s(run: Run, key: Key, cells: Mapping[Key, Cell]) -> float:
    """UDP sockets a second from the address that ``key`` has: its own, or those of all that share it.

    Where clients are not fresh, all variants and loads of a target leave from one address: side by side they add up,
    in turn the busiest may have come just before.
    """
    if run.environment.backend.fresh_clients:
        return _own_sockets_per_s(run, key, cells[key])
    shared: dict[int, list[float]] = {}
    for other, cell in cells.items():
        if other[1] == key[1]:
            shared.setdefault(other[2], []).append(_own_sockets_per_s(run, other, cell))
    together = sum if run.plan.order == "side-by-side" else max
    return max(together(rates) for rates in shared.values())


def _own_sockets_per_s(run: Run, key: Key, cell: Cell) -> float:
    """One a search candidate, two where A and AAAA have one each; TCP and another nameserver are other flows."""
    variant, rate = run.plan.variant(key[0]), run.plan.loads[key[2]].rate_per_s
    if rate is None or "use-vc" in variant.options or variant.node_local:
        return 0.0
    return rate * cell.n_candidates * (2 if "single-request-reopen" in variant.options else 1)
