"""How many lookups the race could have hit, by a model of port reuse. For paths that cannot count them."""

from __future__ import annotations

from collections.abc import Mapping

from dnslab.analyse.counts import Cell
from dnslab.analyse.dataset import Run
from dnslab.plan import flows, ports
from dnslab.plan.model import Load
from dnslab.plan.resolvconf import ResolverOptions, libc_of, parse
from dnslab.store.client import Key
from dnslab.store.contents import ClientStart


def options_of(run: Run, start: ClientStart) -> ResolverOptions:
    """The resolver options in force at a client: of its file, with its variant, which the file may have already."""
    return run.plan.variant(start.variant).applied_to(parse(start.resolv_conf, libc_of(start.libc), start.libc_version))


def exposed_modelled(run: Run, key: Key, cells: Mapping[Key, Cell]) -> float | None:
    """Lookups whose first socket opened a new flow (``flows.new_flow_share``).

    0 where no pair is ever in flight on a tracked flow, as behind a node-local cache. None where the life of an entry
    or the number of ports is not known. In a closed loop the rate is the one that was measured.
    """
    backend, start, load = run.environment.backend, cells[key].start, run.plan.loads[key[2]]
    if load.engine == "wire" and not (_is_paired(load) and load.mode == "fresh"):
        return 0.0
    if start is None or not flows.sends_pairs(options_of(run, start), run.plan.cache_addresses):
        return 0.0
    if backend.node_cache.owns_cluster_ip:
        return 0.0
    if ports.are_chosen(run.plan, load):
        return float(cells[key].totals.n)
    if not backend.udp_timeout_s or not backend.n_ports:
        return None
    sockets_per_s = _sockets_per_s(run, key, cells)
    if load.loop == "closed":  # as fast as it goes, which a short trial does not keep up for long
        sockets_per_s = min(sockets_per_s, _closed_sockets(run, key, cells) / backend.udp_timeout_s)
    return cells[key].totals.n * flows.new_flow_share(sockets_per_s, backend.udp_timeout_s, backend.n_ports)


def _is_paired(load: Load) -> bool:
    """Whether engine wire sends A and AAAA together from one UDP socket."""
    return load.arrangement == "pair-one-socket" and load.transport == "udp"


def _closed_sockets(run: Run, key: Key, cells: Mapping[Key, Cell]) -> float:
    """All sockets of closed loops in the run that had the client's address."""
    fresh = run.environment.backend.fresh_clients
    mine = [other for other in cells if other[1] == key[1] and run.plan.loads[other[2]].loop == "closed"]
    sockets = [cells[other].totals.n * _sockets_per_lookup(run, cells[other]) for other in mine]
    return cells[key].totals.n * _sockets_per_lookup(run, cells[key]) if fresh else float(sum(sockets))


def _sockets_per_lookup(run: Run, cell: Cell) -> int:
    if cell.start is None:
        return 0
    load = run.plan.loads[cell.start.load]
    if load.engine == "wire":
        return flows.sockets_per_arrival(load.arrangement) if load.transport == "udp" and load.mode == "fresh" else 0
    n_asked = cell.start.n_asked or cell.start.n_candidates
    return flows.sockets_per_lookup(options_of(run, cell.start), n_asked, run.plan.cache_addresses)


def _sockets_per_s(run: Run, key: Key, cells: Mapping[Key, Cell]) -> float:
    """UDP sockets a second from the address of a client: its own, or those of all that share it."""
    if run.environment.backend.fresh_clients:
        return _own_sockets_per_s(run, key, cells[key])
    # A closed loop's rate is no plan's: it counts for itself alone.
    is_closed = [load.loop == "closed" for load in run.plan.loads]
    by_load: dict[int, list[float]] = {}
    for other, cell in cells.items():
        if other[1] == key[1] and is_closed[other[2]] == is_closed[key[2]]:
            by_load.setdefault(other[2], []).append(_own_sockets_per_s(run, other, cell))
    return flows.shared_sockets_per_s(by_load.values(), run.plan.order)


def _own_sockets_per_s(run: Run, key: Key, cell: Cell) -> float:
    rate_per_s = run.plan.loads[key[2]].rate_per_s
    if rate_per_s is None:
        rounds = cell.rounds.values()
        rate_per_s = sum(one.lookups_per_s for one in rounds) / len(rounds) if rounds else 0.0
    return rate_per_s * _sockets_per_lookup(run, cell)
