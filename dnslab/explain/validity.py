"""Reasons to distrust a run. Each check examines how the run went, not its result."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from dnslab.analyse import intervals
from dnslab.analyse.counts import LATE_MS, ClientCounts
from dnslab.analyse.dataset import Run
from dnslab.analyse.intervals import MIN_ROUNDS
from dnslab.analyse.summary import Row, Summary
from dnslab.plan.flows import NEW_FLOWS_NEEDED
from dnslab.plan.variants import DIRECT
from dnslab.store.client import Key
from dnslab.store.folder import resume_command
from dnslab.text import rounded

VOID = "No conclusion: this run cannot be relied on."
#: share of lookups late with an idle worker from which on the schedule was not kept
LATE_SHARE = 0.01
#: share of lookups that found every worker busy from which on the load was not the one planned
EXHAUSTED_SHARE = 0.01
#: machine-wide idle share under which the client competed for its CPU
IDLE_SHARE = 0.10
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
#: from which ratio on, or change over the run, something happened that the eye sees, and by chance how seldom
RATIO, CHANGE, BY_CHANCE = 1.5, 0.5, 0.01
#: share of first lookups from which on the median is theirs
FIRST_SHARE = 0.5
#: rounds from which on a drift can be told from chance
DRIFT_ROUNDS = 5


@dataclass(frozen=True)
class Veto:
    """A reason to distrust a run. ``void`` empties the headline, ``note`` only stands beside it."""

    name: str
    severity: Literal["void", "note"]
    seen: str
    advice: str

    @property
    def reason(self) -> str:
        """The name with what was seen."""
        return f"{self.name} ({self.seen})"


def voids(vetoes: Sequence[Veto]) -> list[Veto]:
    """Those of ``vetoes`` that make a run void."""
    return [veto for veto in vetoes if veto.severity == "void"]


def find_vetoes(run: Run, summary: Summary) -> list[Veto]:
    """All vetoes on a run, those that make it void first."""
    vetoes = [
        *_missing(run),
        *_stood_still(summary),
        *_generator(summary),
        *_exhausted(summary),
        *_exposure(run, summary),
        *_ports(run, summary),
        *_cpu(summary),
        *_blocked(summary),
        *_rounds(summary),
        *_baseline(run),
        *_mixed(run),
        *_clocks(run, summary),
        *_wall_clock(run),
        *_workers_lost(summary),
        *_abandoned(summary),
        *_settled(summary),
        *_warmth(summary),
        *_drift(summary),
    ]
    return sorted(_merged(vetoes), key=lambda veto: veto.severity == "note")


def _merged(vetoes: Sequence[Veto]) -> Iterator[Veto]:
    """One veto for each name: the first, with the number of the others. The same trouble often hits many rows."""
    alike: dict[tuple[str, str], list[Veto]] = {}
    for veto in vetoes:
        alike.setdefault((veto.name, veto.severity), []).append(veto)
    for first, *others in alike.values():
        more = f", and so {len(others)} more" if others else ""
        yield replace(first, seen=f"{first.seen}{more}")


def _missing(run: Run) -> Iterator[Veto]:
    if run.problems:
        more = f" and {len(run.problems) - 1} more" if len(run.problems) > 1 else ""
        advice = f"{resume_command(run.path)} measures what is missing"
        if run.folder.is_temporary:
            advice = "ask whoever sent it to resume the run"
        yield Veto("trials missing", "void", run.problems[0] + more, advice)


def _worst_first(summary: Summary, count: str) -> list[tuple[Row, float]]:
    """Rows that were measured, each with its share of ``count``, the highest first."""
    shares = [(row, getattr(row, count) / row.n if row.n else 0.0) for row in summary.measured()]
    return sorted(shares, key=lambda pair: -pair[1])


def _stood_still(summary: Summary) -> Iterator[Veto]:
    for client in sorted(summary.clients, key=lambda client: -client.paused_s):
        if client.paused_s:
            who = f"{client.variant} on {client.target}, round {client.round}"
            seen = f"{who}: the probe was stopped for {client.paused_s:.1f} s, or its machine was"
            advice = "what was in flight took that long without DNS being at fault: measure again"
            yield Veto("probe stood still", "void", seen, advice)


def _generator(summary: Summary) -> Iterator[Veto]:
    for row, share in _worst_first(summary, "late"):
        if row.load not in summary.closed_loops and share > LATE_SHARE:
            seen = f"{row.variant} on {row.target}: {share:.1%} of lookups started over {LATE_MS:g} ms late"
            yield Veto("generator too slow", "void", seen, "lower --rate, or free the CPUs")


def _exhausted(summary: Summary) -> Iterator[Veto]:
    for row, share in _worst_first(summary, "exhausted"):
        if share > EXHAUSTED_SHARE:
            seen = f"{row.variant} on {row.target}: {share:.1%} of lookups found every worker inside the resolver"
            yield Veto("workers exhausted", "void", seen, "the outage is real; more workers (-c) to measure its extent")


def _exposure(run: Run, summary: Summary) -> Iterator[Veto]:
    for row in summary.measured():
        modelled = row.exposed_modelled
        if run.environment.backend.fresh_clients or not modelled:
            continue
        if modelled < NEW_FLOWS_NEEDED * row.n:
            seen = f"{row.variant}: by model only {modelled / row.n:.0%} of lookups opened a new flow"
            yield Veto("exposure lost", "void", seen, "lower --rate: clients that exist cannot be made fresh")
    counted: dict[Key, list[float]] = {}
    for client in run.clients():
        start, end = client.start, client.end
        if end is None or end.exposed_counted is None or not end.trailer.n_records:
            continue
        if run.plan.variant(start.variant).sends_pairs:
            shares = counted.setdefault(client.key, [])
            shares.append(end.exposed_counted / end.trailer.n_records)
    for (variant, target, _), shares in counted.items():
        if min(shares) < EXPOSURE_KEPT * max(shares):
            seen = f"{variant} on {target}: exposed per lookup fell from {max(shares):.2f} to {min(shares):.2f}"
            # An idle node answers the first query before the second is sent, a busy one holds both: in the lab 0.9 of
            # lookups were exposed in trials without idle time, 0.45 where the machine was idle for most of it.
            advice = "a trial met flows of an earlier one, the rate is too high, or the machine was busy in some trials"
            yield Veto("exposure lost", "void", seen, advice)


def _ports(run: Run, summary: Summary) -> Iterator[Veto]:
    n_ports = run.environment.backend.n_ports
    if not n_ports:
        return
    worst: dict[Key, float] = {}
    for client in summary.clients:
        worst[client.key] = max(worst.get(client.key, 0.0), client.time_wait / n_ports)
    for (variant, target, load), share in worst.items():
        if share > PORTS_USED:
            seen = f"{variant} on {target}: {share:.0%} of its {n_ports:,} ports in TIME_WAIT at the end of a trial"
            if load in summary.closed_loops:  # which gives throughput and no effects
                yield Veto("ports limited", "note", seen, "its lookups/s are those of the ports; make trials shorter")
            else:
                advice = f"stay under {n_ports // 2 // TIME_WAIT_S:,} connections/s, or make trials shorter"
                yield Veto("ports limited", "void", seen, advice)


def _cpu(summary: Summary) -> Iterator[Veto]:
    shares = [client.idle_share for client in summary.clients if math.isfinite(client.idle_share)]
    busy = [share for share in shares if share < IDLE_SHARE]
    if busy:
        open_loop = len(summary.closed_loops) < len(summary.load_labels)
        seen = f"in {len(busy)} of {len(shares)} trials the machine was idle for under {IDLE_SHARE:.0%} of the time"
        advice = (
            "lower --rate, or free the CPUs"
            if open_loop
            else "a closed loop loads the machine; read no latency from it"
        )
        yield Veto("CPU saturated", "void" if open_loop else "note", seen, advice)


def _blocked(summary: Summary) -> Iterator[Veto]:
    blocked_ns = sum(client.blocked_ns for client in summary.clients)
    if blocked_ns:
        seen = f"workers waited {rounded(blocked_ns / 1e9)} s in all because results were not read in time"
        yield Veto("output blocked", "void", seen, "the machine or disk that runs dnslab is too slow for this load")


def _rounds(summary: Summary) -> Iterator[Veto]:
    if summary.n_rounds < MIN_ROUNDS:
        seen = f"{summary.n_rounds} round{'s' if summary.n_rounds > 1 else ''}: no interval can be given"
        yield Veto("too few rounds", "note", seen, f"--rounds {MIN_ROUNDS} at least, 9 for a comparison of several")


def _baseline(run: Run) -> Iterator[Veto]:
    """Warn if baseline already uses a node-local cache."""
    cache = run.environment.backend.node_cache
    if cache.owns_cluster_ip:
        seen = f"a node-local cache owns the cluster IP ({', '.join(cache.evidence[:1]) or 'as it was seen'})"
        compared = f"{DIRECT} asks CoreDNS past it" + ("" if DIRECT in run.plan.variants else ": add it to --variants")
        yield Veto("baseline is node-local already", "note", seen, compared)


def _mixed(run: Run) -> Iterator[Veto]:
    """Whether a target changed its C library or kernel during the run, so that its trials cannot be compared."""
    kinds_of: dict[str, set[str]] = {}
    for client in run.clients():
        start = client.start
        kinds_of.setdefault(start.target, set()).add(f"{start.libc} {start.libc_version}, {start.kernel}")
    for target, kinds in kinds_of.items():
        if len(kinds) > 1:
            advice = "compare trials of one kind: start a new run"
            yield Veto("mixed clients", "void", f"{target} was {' and '.join(sorted(kinds))}", advice)


def _clocks(run: Run, summary: Summary) -> Iterator[Veto]:
    worst = max((client.clock_error_ms for client in summary.clients), default=0.0)
    if worst > CLOCK_ERROR_MS and run.plan.order == "side-by-side":
        seen = f"a clock is known to {worst:.0f} ms only, so trials side by side may have started that far apart"
        yield Veto("clocks uncertain", "note", seen, "run where the API server answers sooner")


def _wall_clock(run: Run) -> Iterator[Veto]:
    """Whether somebody set the clock, or the machine slept: then the wall clock differs from the run's own clock."""
    pairs = sorted(pair for client in run.clients() for pair in client.clocks_ns)
    ahead_s = [(wall_ns - elapsed_ns) / 1e9 for elapsed_ns, wall_ns in pairs]
    steps = [(later - earlier, index) for index, (earlier, later) in enumerate(itertools.pairwise(ahead_s))]
    step_s, index = max(steps, key=lambda step: abs(step[0]), default=(0.0, 0))
    if abs(step_s) <= WALL_CLOCK_S:
        return
    way, at_s = "forward" if step_s > 0 else "back", pairs[index][0] / 1e9
    seen = f"the wall clock went {way} by {abs(step_s):,.0f} s, {at_s:,.0f} s into the run or later"
    wire = any(load.engine == "wire" for load in run.plan.loads)  # which takes the kernel's time stamps
    advice = "times are those of a clock that nobody sets; where the machine slept, measure again"
    yield Veto("wall clock moved", "void" if wire else "note", seen, "measure again" if wire else advice)


def _workers_lost(summary: Summary) -> Iterator[Veto]:
    """Whether workers were lost and could not be replaced, so that fewer than planned made the later lookups."""
    for client in sorted(summary.clients, key=lambda client: -client.workers_lost):
        if client.workers_lost:
            who = f"{client.variant} on {client.target}, round {client.round}"
            seen = f"{who}: {client.workers_lost:,} workers stayed inside the resolver and were not replaced"
            yield Veto("workers lost", "void", seen, "the outage is real; a shorter trial (-d) shows how it begins")


def _abandoned(summary: Summary) -> Iterator[Veto]:
    given_up = sum(client.abandoned for client in summary.clients)
    if given_up:
        seen = f"{given_up:,} lookups had not come back at the deadline and were given up"
        yield Veto("lookups given up", "note", seen, "they count as failed; how long they take is not known")


def _trials(summary: Summary) -> dict[Key, list[ClientCounts]]:
    """Whole trials of each row, in order of their rounds."""
    trials: dict[Key, list[ClientCounts]] = {}
    for client in sorted(summary.clients, key=lambda client: client.round):
        if client.complete and client.n:
            trials.setdefault(client.key, []).append(client)
    return trials


def _settled(summary: Summary) -> Iterator[Veto]:
    """Whether in most rounds trials were slower at their beginning than later."""
    trials = {key: clients for key, clients in _trials(summary).items() if len(clients) >= MIN_ROUNDS}
    for (variant, target, _), clients in trials.items():
        ratios = [
            math.log(client.early_ms / client.late_ms) for client in clients if client.late_ms > 0 < client.early_ms
        ]
        slower = _steady(ratios, math.log(RATIO), len(trials))
        if slower > 0:
            times = math.exp(slower)
            seen = (
                f"{variant} on {target}: the first fifth of its trials was {times:.1f} times as slow as the second half"
            )
            yield Veto("warm-up not settled", "note", seen, "warm up longer (warmup_s in the plan's load)")


def _warmth(summary: Summary) -> Iterator[Veto]:
    """Whether in most rounds a configuration met a colder or a warmer cache than baseline.

    The first lookup of each name in a trial is compared with its later ones: with a warm cache they take equally long.
    The servers' own hits and misses are not used, because in a cluster they are mostly about other clients.
    """
    trials = _trials(summary)
    compared = [key for key in trials if key[0] != "baseline" and key[2] not in summary.closed_loops]
    for key in compared:
        bases = {client.round: client for client in trials.get(("baseline", *key[1:]), [])}
        both = [(client, bases[client.round]) for client in trials[key] if client.round in bases]
        pairs = [(client, base) for client, base in both if _first(client) and _first(base)]
        ratios = [(_first(client), _first(base)) for client, base in pairs]
        if _steady([math.log(ours / theirs) for ours, theirs in ratios], math.log(RATIO), len(compared)):
            ours, theirs = (math.exp(sum(map(math.log, side)) / len(ratios)) for side in zip(*ratios, strict=True))
            share = sum(client.warmth.first_share for client, _ in pairs) / len(pairs)
            seen = (
                f"{key[0]} on {key[1]}: a name's first lookup took {ours:.1f} times as long as its later ones, "
                f"baseline's {theirs:.1f} times; {share:.0%} of lookups were a first one"
            )
            advice = "warm up until every name was asked (warmup_s in the plan's load), or ask fewer names"
            yield Veto("cache warmth unequal", "void" if share >= FIRST_SHARE else "note", seen, advice)


def _first(client: ClientCounts) -> float:
    """The ratio of the first lookup's time of a name to that of later ones; 0 if not known."""
    warmth = client.warmth
    return warmth.first_ms / warmth.again_ms if warmth.again_ms > 0 < warmth.first_ms else 0.0


def _steady(values: Sequence[float], least: float, n_looked_at: int) -> float:
    """Mean of ``values``, one for each round, if it is at least ``least`` in either direction and not by chance; else
    0."""
    mean = sum(values) / len(values) if values else 0.0
    if len(values) < MIN_ROUNDS or abs(mean) < least:
        return 0.0
    by_chance = intervals.mean(values).p >= BY_CHANCE / n_looked_at
    return 0.0 if by_chance else mean


def _drift(summary: Summary) -> Iterator[Veto]:
    """Whether the median or the share of stalls rose or fell steadily over the rounds."""
    trials = {key: clients for key, clients in _trials(summary).items() if len(clients) >= DRIFT_ROUNDS}
    for (variant, target, _), clients in trials.items():
        for what, values in (
            ("median", [client.late_ms for client in clients]),
            ("share of stalls", [client.stalls / client.n for client in clients]),
        ):
            line = intervals.slope([client.round for client in clients], values)
            mean = sum(values) / len(values)
            change = line.estimate * (clients[-1].round - clients[0].round)
            if mean > 0 and abs(change) > CHANGE * mean and line.p < BY_CHANCE / len(trials) / 2:
                way = "rose" if change > 0 else "fell"
                seen = (
                    f"{variant} on {target}: its {what} {way} by {abs(change) / mean:.0%} of its mean over the rounds"
                )
                yield Veto("drift over the run", "note", seen, "what changed meanwhile? effects are paired by round")
