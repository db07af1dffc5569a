"""The checks that a run passed, with what each saw. The failed ones are vetoes (``validity``).

Pure: a summary and its vetoes in, a line for each check out.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from dnslab.analyse.counts import ClientCounts
from dnslab.analyse.dataset import Run
from dnslab.analyse.intervals import MIN_ROUNDS
from dnslab.analyse.summary import Summary
from dnslab.explain import validity
from dnslab.explain.steadiness import DRIFT_ROUNDS
from dnslab.explain.veto import Veto
from dnslab.plan.backends import IN_CLUSTER
from dnslab.sentences import trust
from dnslab.text import counted, time_ms

#: by the name of a veto, the check that it failed
CHECK_OF = {
    "trials missing": trust.COMPLETE,
    "probe stood still": trust.STOOD_STILL,
    "generator too slow": trust.SCHEDULE,
    "workers exhausted": trust.WORKERS,
    "exposure lost": trust.EXPOSURE,
    "ports limited": trust.PORTS,
    "pod throttled": trust.THROTTLED,
    "CPU saturated": trust.CPU,
    "output blocked": trust.OUTPUT,
    "too few rounds": trust.ROUNDS,
    "baseline is node-local already": trust.NODE_CACHE,
    "baseline may be node-local already": trust.NODE_CACHE,
    "mixed clients": trust.MIXED,
    "clocks uncertain": trust.CLOCKS,
    "wall clock moved": trust.WALL_CLOCK,
    "workers lost": trust.LOST_WORKERS,
    "lookups given up": trust.GIVEN_UP,
    "warm-up not settled": trust.SETTLED,
    "cache warmth unequal": trust.WARMTH,
    "drift over the run": trust.DRIFT,
}


@dataclass(frozen=True)
class Passed:
    """A check that a run passed, and what it saw."""

    name: str
    said: str


def passed(run: Run, summary: Summary, vetoes: Sequence[Veto]) -> list[Passed]:
    """The checks that found nothing, in the order in which a run goes."""
    failed = {str(CHECK_OF[veto.name]) for veto in vetoes if veto.name in CHECK_OF}
    return [check for check in _checks(run, summary) if check.name not in failed]


def _checks(run: Run, summary: Summary) -> Iterator[Passed]:
    clients = summary.clients
    if not clients:
        return
    done = sum(client.complete for client in clients)
    rounds = counted(summary.n_rounds, "round")
    yield Passed(str(trust.COMPLETE), trust.COMPLETE_SAID(done=f"{done:,}", all=f"{len(clients):,}", rounds=rounds))
    yield Passed(str(trust.STOOD_STILL), str(trust.STOOD_STILL_SAID))
    yield from _of_load(run, summary, clients)
    yield Passed(str(trust.OUTPUT), str(trust.OUTPUT_SAID))
    if summary.n_rounds >= MIN_ROUNDS:
        yield Passed(str(trust.ROUNDS), trust.ROUNDS_SAID(rounds=rounds, needed=f"{MIN_ROUNDS}"))
    if summary.backend in IN_CLUSTER:
        yield Passed(str(trust.NODE_CACHE), str(trust.NODE_CACHE_SAID))
    yield Passed(str(trust.MIXED), str(trust.MIXED_SAID))
    error = max(client.clock_error_ms for client in clients)
    known = time_ms(error)
    yield Passed(str(trust.CLOCKS), trust.CLOCKS_SAID(error=known, limit=f"{validity.CLOCK_ERROR_MS:g} ms"))
    yield Passed(str(trust.WALL_CLOCK), str(trust.WALL_CLOCK_SAID))
    yield Passed(str(trust.LOST_WORKERS), str(trust.LOST_WORKERS_SAID))
    yield Passed(str(trust.GIVEN_UP), str(trust.GIVEN_UP_SAID))
    if summary.n_rounds >= MIN_ROUNDS:
        yield Passed(str(trust.SETTLED), str(trust.SETTLED_SAID))
        if any(math.isfinite(client.warmth.first_ms) for client in clients):
            yield Passed(str(trust.WARMTH), str(trust.WARMTH_SAID))
    if summary.n_rounds >= DRIFT_ROUNDS:
        yield Passed(str(trust.DRIFT), str(trust.DRIFT_SAID))


def _of_load(run: Run, summary: Summary, clients: Sequence[ClientCounts]) -> Iterator[Passed]:
    """Checks of what a load does to the machine."""
    rows = [row for row in summary.measured() if row.n]
    paced = [row for row in rows if row.load not in summary.closed_loops]
    if paced:
        late = max(row.late / row.n for row in paced)
        yield Passed(str(trust.SCHEDULE), trust.SCHEDULE_SAID(share=_share(late), limit=_share(validity.LATE_SHARE)))
        busy = max(row.exhausted / row.n for row in paced)
        limit = _share(validity.EXHAUSTED_SHARE)
        yield Passed(str(trust.WORKERS), trust.WORKERS_SAID(share=_share(busy), limit=limit))
    backend = run.environment.backend
    said = trust.EXPOSURE_SAID if backend.fresh_clients else trust.EXPOSURE_SAID_OLD
    yield Passed(str(trust.EXPOSURE), str(said))
    if backend.n_ports:
        used = max(client.time_wait for client in clients) / backend.n_ports
        yield Passed(str(trust.PORTS), trust.PORTS_SAID(share=_share(used), limit=_share(validity.PORTS_USED)))
    throttled = [client.throttled_share for client in clients if math.isfinite(client.throttled_share)]
    if throttled:
        limit = _share(validity.THROTTLED_SHARE)
        yield Passed(str(trust.THROTTLED), trust.THROTTLED_SAID(share=_share(max(throttled)), limit=limit))
    idle = [client.idle_share for client in clients if math.isfinite(client.idle_share)]
    if idle:
        yield Passed(str(trust.CPU), trust.CPU_SAID(share=_share(min(idle)), limit=_share(validity.IDLE_SHARE)))


def _share(share: float) -> str:
    return f"{100 * share:.2g} %" if share else "0 %"
