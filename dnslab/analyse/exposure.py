"""How many lookups the race could have hit, by a model of port reuse. For paths that cannot count them."""

from __future__ import annotations

from collections.abc import Mapping

from dnslab.analyse.counts import Cell
from dnslab.analyse.dataset import Run
from dnslab.plan import flows
from dnslab.store.client import Key


def exposed_modelled(run: Run, key: Key, cells: Mapping[Key, Cell]) -> float | None:
    """Lookups whose first socket opened a new flow (``flows.new_flow_share``).

    0 where no pair is ever in flight. None for a closed loop, whose rate is a result, and where the life of an entry or
    the number of ports is not known.
    """
    life_s, n_ports = run.environment.backend.udp_timeout_s, run.environment.backend.n_ports
    if not run.plan.variant(key[0]).sends_pairs:
        return 0.0
    if run.plan.loads[key[2]].rate_per_s is None or not life_s or not n_ports:
        return None
    return cells[key].totals.n * flows.new_flow_share(_sockets_per_s(run, key, cells), life_s, n_ports)


def _sockets_per_s(run: Run, key: Key, cells: Mapping[Key, Cell]) -> float:
    """UDP sockets a second from the address of a client: its own, or those of all that share it."""
    if run.environment.backend.fresh_clients:
        return _own_sockets_per_s(run, key, cells[key])
    by_load: dict[int, list[float]] = {}
    for other, cell in cells.items():
        if other[1] == key[1]:
            by_load.setdefault(other[2], []).append(_own_sockets_per_s(run, other, cell))
    return flows.shared_sockets_per_s(by_load.values(), run.plan.order)


def _own_sockets_per_s(run: Run, key: Key, cell: Cell) -> float:
    rate_per_s = run.plan.loads[key[2]].rate_per_s or 0.0
    return rate_per_s * flows.sockets_per_lookup(run.plan.variant(key[0]), cell.n_candidates)
