"""Reasons to distrust a run, and the clients that each is about. Checks examine how a run went, not its result."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Literal

from dnslab.analyse.counts import LATE_MS, ClientCounts
from dnslab.analyse.dataset import Run
from dnslab.analyse.exposure import options_of
from dnslab.analyse.intervals import MIN_ROUNDS
from dnslab.analyse.summary import Row, Summary
from dnslab.explain.answers import EXPOSURE_LOST
from dnslab.explain.node_cache import node_local_already
from dnslab.explain.steadiness import unsteady
from dnslab.explain.veto import MOST_PLACES, Reach, Veto, clients_of
from dnslab.plan import flows
from dnslab.plan.backends import IN_CLUSTER
from dnslab.plan.flows import NEW_FLOWS_NEEDED
from dnslab.sentences import checks
from dnslab.store.client import ClientName, Key
from dnslab.store.folder import resume_command
from dnslab.text import counted, first_of, percent, rounded

#: share of lookups late with an idle worker from which on the schedule was not kept
LATE_SHARE = 0.01
#: share of lookups that found every worker busy from which on the load was not the one planned
EXHAUSTED_SHARE = 0.01
#: machine-wide idle share under which the client competed for its CPU
IDLE_SHARE = 0.10
#: share of its cgroup's periods in which a client had used up its own CPU limit and stood still for the rest of 100 ms
THROTTLED_SHARE = 0.10
#: median service time up to which servers answered in time: what Kubernetes' scale tests ask of cluster DNS
IN_TIME_MS = 100.0
#: an exposure this far under the best round's means that flows were not new any more
EXPOSURE_KEPT = 0.5
#: share of the ports in TIME_WAIT from which on they limit the rate. connect() looks at ports of one parity first
#: (net/ipv4/inet_hashtables.c, __inet_hash_connect): once that half is taken each connect walks through all of it, and
#: use-vc fell from 7,800 to 260 lookups/s here at 32,256 of 64,512 ports.
PORTS_USED = 0.4
TIME_WAIT_S = 60
#: trials side by side may start this far apart, and no further, for a round to be one minute of one network
CLOCK_ERROR_MS = 50.0
#: by which the wall clock may part from the run's own: adjtime steers both, only a step or a sleep parts them
WALL_CLOCK_S = 1.0


def voids(vetoes: Sequence[Veto]) -> list[Veto]:
    """Those of ``vetoes`` that make a run void."""
    return [veto for veto in vetoes if veto.severity == "void"]


def find_vetoes(run: Run, summary: Summary) -> list[Veto]:
    """All vetoes on a run, those that are void first. ``soundness.examine`` says which part of the run is sound."""
    vetoes = [
        *_missing(run),
        *_stood_still(summary),
        *_generator(summary),
        *_exhausted(summary),
        *_exposure(run, summary),
        *_ports(run, summary),
        *_throttled(summary),
        *_cpu(summary),
        *_blocked(summary),
        *_rounds(summary),
        *node_local_already(run),
        *_another_answers(run),
        *_mixed(run),
        *_clocks(run, summary),
        *_wall_clock(run),
        *_workers_lost(summary),
        *_abandoned(summary),
        *_answers_differed(run),
        *unsteady(summary),
    ]
    return sorted(_merged(vetoes), key=lambda veto: veto.severity == "note")


def _merged(vetoes: Sequence[Veto]) -> Iterator[Veto]:
    """One veto for each trouble: the first, with the number of the others. The same trouble often hits many rows."""
    alike: dict[tuple[str, ...], list[Veto]] = {}
    for veto in vetoes:
        alike.setdefault((veto.name, veto.severity, veto.advice, veto.reach), []).append(veto)
    for first, *others in alike.values():
        seen = checks.MORE_PLACES(seen=first.seen, times=counted(len(others), "more time")) if others else first.seen
        clients = first.clients.union(*(veto.clients for veto in others))
        yield replace(first, seen=seen, clients=clients)


def _another_answers(run: Run) -> Iterator[Veto]:
    """Note that DNS is redirected: what the variants change may then not reach the cluster's DNS."""
    who = run.environment.backend.who_answers
    if who.redirected or who.elsewhere:
        lines = "; ".join(who.lines)
        seen = checks.WHO_ANSWERS(lines=f"{lines[:1].upper()}{lines[1:]}")
        yield Veto("another server answers", "note", seen, str(checks.ALL_ASK_IT))


def _missing(run: Run) -> Iterator[Veto]:
    """Trials that are missing. What no target has is missing from the run as a whole, which resuming mends."""
    missing = run.incomplete
    if not missing:
        return
    advice = checks.MEASURE_MISSING(command=resume_command(run.path))
    if run.folder.is_temporary:
        advice = str(checks.ASK_THE_SENDER)
    elif run.folder.is_claimed:
        advice = str(checks.STILL_RUNNING)
    whole = {(client.start.variant, *client.name[2:]) for client in run.clients() if client.name not in missing}
    elsewhere = all((variant, load, number) in whole for variant, _, load, number in missing)
    clients: frozenset[ClientName] = frozenset(missing) if elsewhere else frozenset()
    reach: Reach = "round" if elsewhere else "run"
    first = next(iter(missing.values()))
    first = f"{first[0].upper()}{first[1:]}"
    seen = checks.TRIALS_MISSING(first=first)
    if len(missing) > 1:
        seen = checks.MORE_TRIALS_MISSING(first=first, more=counted(len(missing) - 1, "more trial"))
    yield Veto("trials missing", "void", seen, advice, clients, reach)


def _worst_first(summary: Summary, count: str) -> list[tuple[Row, float]]:
    """Rows that were measured, each with its share of ``count``, the highest first."""
    shares = [(row, getattr(row, count) / row.n if row.n else 0.0) for row in summary.measured()]
    return sorted(shares, key=lambda pair: -pair[1])


def _stood_still(summary: Summary) -> Iterator[Veto]:
    for client in sorted(summary.clients, key=lambda client: -client.paused_s):
        if client.paused_s:
            length = f"{client.paused_s:.1f} s"
            seen = checks.PROBE_STOPPED(length=length, **_whose(client))
            advice = str(checks.STOPPED_IS_NOT_DNS)
            yield Veto("probe stood still", "void", seen, advice, frozenset({client.name}), "round")


def _whose(client: ClientCounts) -> dict[str, str]:
    return {"variant": client.variant, "target": client.target, "round": str(client.round)}


def _generator(summary: Summary) -> Iterator[Veto]:
    for row, share in _worst_first(summary, "late"):
        if row.load not in summary.closed_loops and share > LATE_SHARE:
            seen = checks.LATE(
                share=percent(round(share, 3)), variant=row.variant, target=row.target, late=f"{LATE_MS:g} ms"
            )
            late = [
                client for client in summary.clients if client.key == row.key and client.late > LATE_SHARE * client.n
            ]
            throttled = any(client.throttled_share > THROTTLED_SHARE for client in late)
            advice = checks.RAISE_LIMIT if throttled else checks.FREE_CPUS
            clients = frozenset(client.name for client in late)
            yield Veto("generator too slow", "void", seen, str(advice), clients, "round")


def _exhausted(summary: Summary) -> Iterator[Veto]:
    """Rows whose lookups waited for a worker. All of the target goes: to leave out its worst rounds would hide them."""
    for row, share in _worst_first(summary, "exhausted"):
        if share > EXHAUSTED_SHARE:
            seen = checks.EXHAUSTED(share=percent(round(share, 3)), variant=row.variant, target=row.target)
            medians = [
                client.service_p50_ms for client in summary.clients if client.key == row.key and client.exhausted
            ]
            in_time = max(medians, default=0.0) <= IN_TIME_MS and row.failed <= EXHAUSTED_SHARE * row.n
            advice = str(checks.MORE_WORKERS if in_time else checks.OUTAGE)
            yield Veto("workers exhausted", "void", seen, advice, clients_of(summary, row.key), "target")


def _exposure(run: Run, summary: Summary) -> Iterator[Veto]:
    for row in summary.measured():
        modelled = row.exposed_modelled
        if run.environment.backend.fresh_clients or not modelled:
            continue
        if modelled < NEW_FLOWS_NEEDED * row.n:
            seen = checks.FEW_NEW_FLOWS(share=percent(round(modelled / row.n, 2)), variant=row.variant)
            what_next = checks.CLIENTS_REUSE_PORTS
            severity: Literal["void", "note"] = "void"
            if row.load in summary.closed_loops:  # which gives no shares that could be wrong
                severity, what_next = "note", checks.LOOP_REUSES_FLOWS
            yield Veto(EXPOSURE_LOST, severity, seen, str(what_next), clients_of(summary, row.key), "variant")
    counted: dict[Key, dict[ClientName, float]] = {}
    for client in run.clients():
        start, end = client.start, client.end
        if end is None or end.exposed_counted is None or not end.trailer.n_records:
            continue
        if flows.sends_pairs(options_of(run, start), run.plan.cache_addresses):
            counted.setdefault(client.key, {})[client.name] = end.exposed_counted / end.trailer.n_records
    for (variant, target, _), shares in counted.items():
        least, most = min(shares.values()), max(shares.values())
        if least < EXPOSURE_KEPT * most:
            seen = checks.EXPOSURE_FELL(variant=variant, target=target, most=f"{most:.2f}", least=f"{least:.2f}")
            # An idle node answers the first query before the second is sent, a busy one holds both: in the lab 0.9 of
            # lookups were exposed in trials without idle time, 0.45 where the machine was idle for most of it.
            advice = str(checks.LESS_EXPOSED)
            low = frozenset(name for name, share in shares.items() if share < EXPOSURE_KEPT * most)
            yield Veto(EXPOSURE_LOST, "void", seen, advice, low, "round")


def _ports(run: Run, summary: Summary) -> Iterator[Veto]:
    n_ports = run.environment.backend.n_ports
    if not n_ports:
        return
    worst: dict[Key, float] = {}
    for client in summary.clients:
        worst[client.key] = max(worst.get(client.key, 0.0), client.time_wait / n_ports)
    for (variant, target, load), share in worst.items():
        if share > PORTS_USED:
            clients = clients_of(summary, (variant, target, load))
            seen = checks.PORTS_IN_USE(
                share=percent(round(share, 2)), ports=f"{n_ports:,}", variant=variant, target=target
            )
            if load in summary.closed_loops:  # which gives throughput and no effects
                yield Veto("ports limited", "note", seen, str(checks.PORTS_LIMIT_THROUGHPUT))
            else:
                advice = checks.FEWER_CONNECTIONS(rate=f"{n_ports // 2 // TIME_WAIT_S:,}")
                yield Veto("ports limited", "void", seen, advice, clients, "variant")


def _throttled(summary: Summary) -> Iterator[Veto]:
    """Clients that their own CPU limit stopped, on a machine that may have been idle."""
    known = [client for client in summary.clients if math.isfinite(client.throttled_share)]
    hit = [client for client in known if client.throttled_share > THROTTLED_SHARE]
    worst = max((client.throttled_share for client in hit), default=0.0)
    trials, share = counted(len(known), "trial"), percent(round(worst, 2))
    seen = checks.THROTTLED(n=f"{len(hit):,}", trials=trials, share=share)
    yield from _of_load(summary, "pod throttled", hit, seen, str(checks.RAISE_LIMIT))


def _cpu(summary: Summary) -> Iterator[Veto]:
    known = [client for client in summary.clients if math.isfinite(client.idle_share)]
    busy = [client for client in known if client.idle_share < IDLE_SHARE]
    trials, share = counted(len(known), "trial"), percent(1 - IDLE_SHARE)
    seen = checks.CPU_BUSY(share=share, n=f"{len(busy):,}", trials=trials)
    other_work = summary.backend in IN_CLUSTER  # nodes are shared, and a load that dnslab allows fills none of them
    advice = checks.FREE_NODE if other_work else checks.FREE_CPUS
    yield from _of_load(summary, "CPU saturated", busy, seen, str(advice))


def _of_load(summary: Summary, name: str, clients: Sequence[ClientCounts], seen: str, advice: str) -> Iterator[Veto]:
    """What a closed loop brings about by itself is noted, and under an open loop makes the clients void."""
    paced = frozenset(client.name for client in clients if client.load not in summary.closed_loops)
    if paced:
        yield Veto(name, "void", seen, advice, paced, "round")
    elif clients:
        yield Veto(name, "note", seen, str(checks.CLOSED_LOOP_LOADS))


def _blocked(summary: Summary) -> Iterator[Veto]:
    blocked = [client for client in summary.clients if client.blocked_ns]
    if blocked:
        blocked_s = sum(client.blocked_ns for client in blocked) / 1e9
        seen = checks.OUTPUT_BLOCKED(length=f"{rounded(blocked_s, 2)} s")
        clients = frozenset(client.name for client in blocked)
        yield Veto("output blocked", "void", seen, str(checks.FASTER_DISK), clients, "round")


def _rounds(summary: Summary) -> Iterator[Veto]:
    if summary.n_rounds < MIN_ROUNDS:
        seen = checks.FEW_ROUNDS(rounds=counted(summary.n_rounds, "round"), least=str(MIN_ROUNDS))
        yield Veto("too few rounds", "note", seen, checks.USE_ROUNDS(least=str(MIN_ROUNDS)))


def _mixed(run: Run) -> Iterator[Veto]:
    """Whether a target changed its C library or kernel during the run, so that its trials cannot be compared."""
    kinds_of: dict[str, set[str]] = {}
    for client in run.clients():
        start = client.start
        kinds_of.setdefault(start.target, set()).add(f"{start.libc} {start.libc_version}, {start.kernel}")
    for target, kinds in kinds_of.items():
        if len(kinds) > 1:
            seen = checks.MIXED(target=target, kinds=" and ".join(sorted(kinds)))
            clients = frozenset(client.name for client in run.clients() if client.target == target)
            yield Veto("mixed clients", "void", seen, str(checks.START_ANEW), clients, "target")


def _clocks(run: Run, summary: Summary) -> Iterator[Veto]:
    worst = max((client.clock_error_ms for client in summary.clients), default=0.0)
    if worst > CLOCK_ERROR_MS and run.plan.order != "in-turn":
        seen = checks.CLOCK_UNCERTAIN(error=f"{worst:,.0f} ms")
        yield Veto("clocks uncertain", "note", seen, str(checks.RUN_CLOSER))


def _wall_clock(run: Run) -> Iterator[Veto]:
    """Whether somebody set the clock, or the machine slept: then the wall clock differs from the run's own clock."""
    pairs = sorted(pair for client in run.clients() for pair in client.clocks_ns)
    ahead_s = [(wall_ns - elapsed_ns) / 1e9 for elapsed_ns, wall_ns in pairs]
    steps = [(later - earlier, index) for index, (earlier, later) in enumerate(itertools.pairwise(ahead_s))]
    step_s, index = max(steps, key=lambda step: abs(step[0]), default=(0.0, 0))
    if abs(step_s) <= WALL_CLOCK_S:
        return
    way, at_s = checks.FORWARD if step_s > 0 else checks.BACK, pairs[index][0] / 1e9
    seen = checks.WALL_CLOCK_MOVED(way=str(way), step=f"{abs(step_s):,.0f} s", at=f"{at_s:,.0f} s")
    wire = any(load.engine == "wire" for load in run.plan.loads)  # which takes the kernel's time stamps
    advice = checks.MEASURE_AGAIN if wire else checks.CLOCK_NOT_USED
    yield Veto("wall clock moved", "void" if wire else "note", seen, str(advice))


def _workers_lost(summary: Summary) -> Iterator[Veto]:
    """Whether workers were lost and could not be replaced, so that fewer than planned made the later lookups."""
    for client in sorted(summary.clients, key=lambda client: -client.workers_lost):
        if client.workers_lost:
            seen = checks.WORKERS_LOST(workers=counted(client.workers_lost, "worker"), **_whose(client))
            advice = str(checks.SHORTER_TRIAL)
            yield Veto("workers lost", "void", seen, advice, frozenset({client.name}), "target")


def _abandoned(summary: Summary) -> Iterator[Veto]:
    given_up = sum(client.abandoned for client in summary.clients)
    if given_up:
        seen = checks.GIVEN_UP(lookups=counted(given_up, "lookup"))
        yield Veto("lookups given up", "note", seen, str(checks.LENGTH_UNKNOWN))


def _answers_differed(run: Run) -> Iterator[Veto]:
    """Whether before any load a name's answers were not all the same."""
    names = [run.plan.names[index] for index in run.environment.differing if index < len(run.plan.names)]
    if names:
        seen = checks.ANSWERS_DIFFERED(names=first_of(names, MOST_PLACES))
        yield Veto("answers differed", "note", seen, str(checks.FULLEST_IS_RIGHT))
