"""Counts of each client, and their sums over rounds. Knows nothing of intervals."""

from __future__ import annotations

import functools
import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, fields

import numpy as np
import numpy.typing as npt

from dnslab.analyse.dataset import Run
from dnslab.analyse.lookups import FAILED, PARTIAL, SLOW_MS, Lookups
from dnslab.analyse.quantiles import LEVELS, quantiles
from dnslab.plan.model import Load
from dnslab.plan.resolvconf import libc_of, parse, retry_step_s
from dnslab.store import stream as records
from dnslab.store.client import ClientName, Key
from dnslab.store.contents import ClientEnd, ClientStart

#: a lookup that starts later than this while a worker is idle is late by the generator's fault (a busy machine of two
#: CPUs wakes a thread within 1 to 2 ms)
LATE_MS = 10.0
#: a median of fewer lookups says too little
FIRST_LOOKUPS = 20
#: how many slices all rounds of a load make together: as many bars as a narrow page still shows
N_SLICES = 60
#: how near a multiple of the resolver's step a stall ends there, as a share of the step: 0.25 s of glibc's 5 s. Asked
#: again, lost packets ended up to 5 ms after one in the lab. Of stalls spread evenly 1 in 10 would end there.
STEP_TOLERANCE = 0.05


@dataclass(frozen=True, kw_only=True)
class Warmth:
    """How long the first lookup of each name took after the warm-up, and how long later ones took.

    All are NaN if there are too few lookups of either kind.
    """

    first_share: float = math.nan
    first_ms: float = math.nan
    again_ms: float = math.nan


@dataclass(frozen=True, kw_only=True)
class ClientCounts:
    """Counts of one client (one trial on one target), and the values on which its validity depends.

    ``flagged_stalls`` are those after which glibc had fallen back because one of two answers did not come. ``late`` are
    lookups that started over ``LATE_MS`` late while a worker was idle, ``exhausted`` those that found no idle worker.
    ``early_ms`` and ``late_ms`` are median response times of the first fifth and of the second half of the trial,
    ``service_p50_ms`` the median service time. ``throttled_share`` are the periods of the client's cgroup in which its
    own CPU limit stopped it, NaN where that is not known.
    """

    variant: str
    target: str
    load: int
    round: int
    complete: bool
    n: int
    failed: int
    partial: int
    stalls: int
    flagged_stalls: int
    slow: int
    over_limit: int
    exhausted: int
    late: int
    warmup_stalls: int
    lookups_per_s: float
    idle_share: float
    throttled_share: float
    rcvbuf_errors: int
    time_wait: int
    blocked_ns: int
    abandoned: int
    workers_lost: int
    clock_error_ms: float
    early_ms: float
    late_ms: float
    service_p50_ms: float
    paused_s: float
    warmth: Warmth
    exposed_counted: int | None

    @property
    def key(self) -> Key:
        """Variant, target and load."""
        return self.variant, self.target, self.load

    @property
    def name(self) -> ClientName:
        """Variant, target, load and round."""
        return *self.key, self.round


@dataclass(frozen=True)
class RoundCounts:
    """One variant on one target under one load in one round; quantiles are of latency censored at the deadline."""

    round: int
    n: int
    stalls: int
    slow: int
    failed: int
    partial: int
    over_limit: int
    lookups_per_s: float
    exposed: float | None
    exposed_stalls: int
    p50_ms: float
    p99_ms: float
    p999_ms: float


@dataclass(frozen=True)
class Measured:
    """What is kept of the lookups of one client.

    ``responses_ms`` hold ``inf`` for failed lookups, ``quantiles_ms`` are of them, censored at the deadline,
    ``service_ms`` is the least, the most and the sum, ``stalls_at`` the multiples of ``step_s`` at which stalls ended.
    ``slices`` are lookups, and bad ones among them, by equal parts of the trial's time.
    """

    counts: ClientCounts
    start: ClientStart
    responses_ms: npt.NDArray[np.float64]
    quantiles_ms: Mapping[str, float]
    service_ms: tuple[float, float, float]
    step_s: float | None
    stalls_at: list[float]
    codes: Mapping[int, int]
    slices: tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]


@dataclass
class Totals:
    """Counts of one variant on one target under one load, summed over rounds."""

    n: int = 0
    failed: int = 0
    partial: int = 0
    stalls: int = 0
    flagged_stalls: int = 0
    slow: int = 0
    over_limit: int = 0
    exhausted: int = 0
    late: int = 0
    rcvbuf_errors: int = 0

    def add(self, counts: ClientCounts) -> None:
        """Add the counts of one client."""
        for total in fields(self):
            setattr(self, total.name, getattr(self, total.name) + getattr(counts, total.name))


@dataclass
class Cell:
    """What is gathered for one variant on one target under one load."""

    libc: str
    totals: Totals = field(default_factory=Totals)
    rounds: dict[int, RoundCounts] = field(default_factory=dict)
    responses_ms: list[npt.NDArray[np.float64]] = field(default_factory=list)
    min_ms: float = math.inf
    max_ms: float = -math.inf
    sum_ms: float = 0.0
    #: None where any trial was on a path that cannot count
    exposed: int | None = 0
    #: None where any trial's resolver has no step
    stalls_at: Counter[float] | None = field(default_factory=Counter)
    step_s: float | None = None
    stall_ms: float = 0.0
    deadline_ms: float = 0.0
    #: the last client's start
    start: ClientStart | None = None

    def add(self, client: Measured) -> None:
        """Add the lookups of one client."""
        counts = client.counts
        self.totals.add(counts)
        exposed = counts.exposed_counted
        self.exposed = None if exposed is None or self.exposed is None else self.exposed + exposed
        self.start, self.stall_ms, self.step_s = client.start, client.start.stall_ms, client.step_s
        self.deadline_ms = max(self.deadline_ms, client.start.deadline_s * 1e3)
        self.responses_ms.append(client.responses_ms)
        least, most, total = client.service_ms
        self.min_ms, self.max_ms, self.sum_ms = min(self.min_ms, least), max(self.max_ms, most), self.sum_ms + total
        if client.step_s is None:
            self.stalls_at = None
        elif self.stalls_at is not None:
            self.stalls_at.update(client.stalls_at)
        if counts.n and counts.complete:
            self.rounds[counts.round] = RoundCounts(
                round=counts.round,
                n=counts.n,
                stalls=counts.stalls,
                slow=counts.slow,
                failed=counts.failed,
                partial=counts.partial,
                over_limit=counts.over_limit,
                lookups_per_s=counts.lookups_per_s,
                exposed=exposed,
                exposed_stalls=counts.stalls + counts.warmup_stalls,
                **client.quantiles_ms,
            )


def gather(run: Run) -> tuple[dict[Key, Cell], list[ClientCounts]]:
    """The counts of ``run``, summed over rounds and for each client, in one pass over its raw bytes."""
    cells: dict[Key, Cell] = {}
    clients = []
    for client in measured(run):
        cells.setdefault(client.counts.key, Cell(client.start.libc)).add(client)
        clients.append(client.counts)
    return cells, clients


def measured(run: Run) -> list[Measured]:
    """What is kept of the lookups of each client, in order; the raw bytes are decoded once."""
    return run.once("measured", functools.partial(_measure, run))


def n_slices(run: Run, load: Load) -> int:
    """How many slices a trial under ``load`` is cut into: of a second or more, about 60 for all rounds together."""
    return max(1, min(int(load.duration_s), N_SLICES // run.plan.rounds))


def _measure(run: Run, lookups: Lookups) -> Measured:
    """What is kept of the lookups of a client."""
    start, service = lookups.client.start, lookups.service_ms
    responses_ms = lookups.failed_slowest_ms
    censored_ms = np.minimum(responses_ms, start.deadline_s * 1e3)
    step_s = step_of(run, lookups)
    load = run.plan.loads[start.load]
    return Measured(
        _counts(lookups, run.plan.limit_ms, load),
        start,
        responses_ms,
        dict(zip(LEVELS, quantiles(censored_ms, list(LEVELS.values())), strict=True)),
        (float(service.min(initial=math.inf)), float(service.max(initial=-math.inf)), float(service.sum())),
        step_s,
        [] if step_s is None else _stalls_at(lookups, step_s),
        lookups.codes,
        lookups.by_slice(load, n_slices(run, load)),
    )


def _counts(lookups: Lookups, limit_ms: float, load: Load) -> ClientCounts:
    start, end = lookups.client.start, lookups.client.end or ClientEnd(status=lookups.client.status)
    before, after = start.counters, end.counters
    service, stall, exhausted = lookups.service_ms, lookups.stall, lookups.exhausted
    ticks = _delta(before, after, "machine.cpu.total_ticks")
    periods = _delta(before, after, "client.cpu.periods")
    span_s = (float(lookups.intended_s.max() - lookups.intended_s.min()) if len(service) else 0.0) or math.nan
    early_ms, late_ms = _settling(lookups)
    return ClientCounts(
        variant=start.variant,
        target=start.target,
        load=start.load,
        round=start.round,
        complete=lookups.client.status == "complete",
        n=len(service),
        failed=int((lookups.outcome == FAILED).sum()),
        partial=int((lookups.outcome == PARTIAL).sum()),
        stalls=int(stall.sum()),
        flagged_stalls=int((stall & lookups.half_lost).sum()),
        slow=int((service >= SLOW_MS).sum()),
        over_limit=int((service >= limit_ms).sum()),
        exhausted=int(exhausted.sum()),
        late=int((~lookups.not_started & (lookups.response_ms - service > LATE_MS)).sum()),
        warmup_stalls=lookups.n_warmup_stalls,
        lookups_per_s=len(service) / span_s,
        idle_share=(_delta(before, after, "machine.cpu.idle_ticks") or 0) / ticks if ticks else math.nan,
        throttled_share=(
            (_delta(before, after, "client.cpu.throttled_periods") or 0) / periods if periods else math.nan
        ),
        rcvbuf_errors=_dropped_by_servers(before, after),
        time_wait=after.get("client.TCP.tw", 0),
        blocked_ns=end.trailer.blocked_ns,
        abandoned=end.trailer.n_abandoned,
        workers_lost=_workers_lost(lookups, load),
        clock_error_ms=end.clock.error_ns / 1e6,
        early_ms=early_ms,
        late_ms=late_ms,
        service_p50_ms=float(np.median(service)) if len(service) else math.nan,
        paused_s=lookups.paused_s,
        warmth=_warmth(lookups),
        exposed_counted=end.exposed_counted,
    )


def _delta(before: Mapping[str, int], after: Mapping[str, int], name: str) -> int | None:
    return after[name] - before[name] if name in before and name in after else None


def _dropped_by_servers(before: Mapping[str, int], after: Mapping[str, int]) -> int:
    names = [name for name in before if name.endswith(".Udp.RcvbufErrors") and "client" not in name]
    return sum(_delta(before, after, name) or 0 for name in names)


def _workers_lost(lookups: Lookups, load: Load) -> int:
    """The number of workers that were lost before the load was over and were not replaced."""
    end_ns = np.concatenate(
        [part["end_ns"][part["outcome"] == records.OUTCOME_ABANDONED] for part in (lookups.warmup, lookups.raw)]
    )
    if lookups.client.status == "stopped":  # the load was over when it was stopped
        return 0
    to_replace = int((end_ns < load.total_s * 1e9).sum())
    n_replaced = lookups.client.end.trailer.n_replaced if lookups.client.end else None
    return 0 if n_replaced is None else max(0, to_replace - n_replaced)


def _settling(lookups: Lookups) -> tuple[float, float]:
    """Median response time, ms, in the first fifth of a trial and in its second half."""
    due_s = lookups.intended_s
    if not len(due_s):
        return math.nan, math.nan
    first_s, span_s = float(due_s.min()), float(due_s.max() - due_s.min())
    early, late = due_s <= first_s + span_s / 5, due_s >= first_s + span_s / 2  # both, of a single lookup
    return float(np.median(lookups.response_ms[early])), float(np.median(lookups.response_ms[late]))


def _warmth(lookups: Lookups) -> Warmth:
    raw, service = lookups.raw, lookups.service_ms
    first = np.zeros(len(raw), np.bool_)
    if len(lookups.client.start.names) >= FIRST_LOOKUPS:
        order = np.argsort(raw["start_ns"], kind="stable")
        first[order[np.unique(raw["name"][order], return_index=True)[1]]] = True
    if min(first.sum(), (~first).sum()) < FIRST_LOOKUPS:
        return Warmth()
    return Warmth(
        first_share=float(first.mean()),
        first_ms=float(np.median(service[first])),
        again_ms=float(np.median(service[~first])),
    )


def step_of(run: Run, lookups: Lookups) -> float | None:
    """The interval at which the resolver of this client asks again; None for engine wire, which asks once."""
    start = lookups.client.start
    if start.engine == "wire":
        return None
    libc = libc_of(start.libc)
    options = parse(start.resolv_conf, libc, start.libc_version)
    return retry_step_s(run.plan.variant(start.variant).applied_to(options), libc)


def _stalls_at(lookups: Lookups, step_s: float) -> list[float]:
    """The multiples of ``step_s`` at which stalls ended.

    Stalls that the probe gave up are left out: the resolver did not end them.
    """
    ended = lookups.stall & (lookups.raw["outcome"] != records.OUTCOME_ABANDONED)
    steps = lookups.service_ms[ended] / 1e3 / step_s
    nearest = np.rint(steps)
    at: list[float] = np.round(nearest[np.abs(steps - nearest) <= STEP_TOLERANCE] * step_s, 3).tolist()
    return at
