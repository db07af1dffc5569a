"""The sentinel: a small load that waits for trouble, and the rule by which it fires. Pure.

Its queries are those that see most mechanisms at the lowest rate. Half of its arrivals are an A and an AAAA query from
one new socket, as glibc sends them: they see what hits new flows, pairs, either family, names and servers. The rest are
single A queries on new sockets (which watch over DNS as in each rung), over TCP, and on sockets that are kept.

It fires if in some window of time more queries are bad on one target than chance gives. Where bad queries come one by
one, and no more often than on a sound but busy path (``NOISE``), at most ``FALSE_ALARMS`` of all waits fire. The number
that is needed follows from a bound: the expected number of times at which a window ends with that many.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from dnslab.plan.arms import Arm, Places, arm_load, queries_per_s
from dnslab.plan.ladder import DEADLINE_S
from dnslab.plan.model import Limits, Plan

NAME = "wait"
#: arrivals a second of each arm on each target, 1 in all; the first is the control
ARMS: Sequence[tuple[Arm, float]] = (("a", 0.2), ("pair-one-socket", 0.5), ("tcp", 0.15), ("standing", 0.15))
#: sockets that are kept: at the rate above each is asked every 13 s, before conntrack forgets it after 30 s
SOCKETS = 2
#: clients are made anew after so long, s
ROUND_S = 1_800.0
#: the longest wait, s
LONGEST_S = 7 * 86_400.0
#: answers that take so long are late, ms (as in ``analyse.observed``)
LATE_MS = 150.0
#: share of all waits that fire by chance, at most
FALSE_ALARMS = 0.01
#: windows in which bad queries are counted, s: a burst, and rare loss
WINDOWS_S = (60.0, 1_800.0)
Kind = Literal["failed", "late"]
#: what a sound but busy path makes of all queries (as ``explain.arms`` takes it)
NOISE: dict[Kind, float] = {"failed": 1e-3, "late": 0.01}


@dataclass(frozen=True)
class Alarm:
    """The sentinel fires at ``least`` bad queries of one target within ``window_s``."""

    kind: Kind
    window_s: float
    least: int


def plan_of(base: Plan, wait_s: float) -> Plan:
    """The plan that waits for ``wait_s``: rounds of half an hour or less, which end for no failure."""
    duration_s, rounds = min(wait_s, ROUND_S), math.ceil(wait_s / ROUND_S)
    loads = [arm_load(arm, per_s, duration_s) for arm, per_s in ARMS]
    loads = [load.model_copy(update={"workers": SOCKETS}) if load.mode == "sticky" else load for load in loads]
    changes = {
        "name": NAME,
        "loads": [load.model_dump(exclude_unset=True) for load in loads],
        "variants": ("baseline",),
        "schedule": "together",
        "rounds": rounds,
        "deadline_s": DEADLINE_S,
        "limit_ms": LATE_MS,
        "limits": Limits(**{**base.limits.model_dump(), "abort_margin": 1.0}).model_dump(),
    }
    return Plan.of({**base.model_dump(), **changes})


def per_target_per_s(places: Places) -> float:
    """Queries a second that one target sends to the busiest server, where servers share what a Service gets."""
    return _queries_per_s() / max(1, len(places.endpoints))


def _queries_per_s() -> float:
    return sum(queries_per_s(arm_load(arm, per_s, 1.0)) for arm, per_s in ARMS)


def alarms(wait_s: float, n_targets: int) -> list[Alarm]:
    """When a wait of ``wait_s`` on ``n_targets`` fires."""
    share = FALSE_ALARMS / (len(NOISE) * len(WINDOWS_S) * max(1, n_targets))
    return [
        Alarm(kind, min(window_s, wait_s), least_bad(noise * _queries_per_s(), min(window_s, wait_s), wait_s, share))
        for kind, noise in NOISE.items()
        for window_s in WINDOWS_S
    ]


def least_bad(per_s: float, window_s: float, wait_s: float, share: float) -> int:
    """How many bad queries within ``window_s`` are needed, so that a wait fires by chance in at most ``share`` of all.

    A window with ``k`` of them holds a last one, which has ``k - 1`` or more before it. Where bad queries come one by
    one at ``per_s``, that happens ``per_s * wait_s`` times the chance of it, on average, and no more waits fire.

    >>> least_bad(0.001, 60, 6 * 3600, 0.01)
    4
    """
    least = 1
    while per_s * wait_s * _at_least(least - 1, per_s * window_s) > share:
        least += 1
    return least


def _at_least(k: int, mean: float) -> float:
    """The chance that a Poisson number of this ``mean`` is ``k`` or more."""
    return max(0.0, 1.0 - sum(math.exp(i * math.log(mean) - mean - math.lgamma(i + 1)) for i in range(k)))
