"""sentinel: a small load, and how often it fires by chance, by simulation."""

from __future__ import annotations

import numpy as np
import pytest

from dnslab.plan import sentinel
from dnslab.plan.arms import Places, arm_of
from dnslab.plan.ladder import NAME
from dnslab.plan.model import Plan
from dnslab.plan.sentinel import FALSE_ALARMS, NOISE, Kind, alarms, least_bad

BASE = Plan(names=(NAME,))


def test_the_load_is_one_arrival_a_second() -> None:
    plan = sentinel.plan_of(BASE, 6 * 3_600.0)
    assert [arm_of(plan, index) for index in range(4)] == ["control", "pair-one-socket", "tcp", "standing"]
    assert sum(load.rate_per_s or 0.0 for load in plan.loads) == pytest.approx(1.0)
    assert plan.load_s == 6 * 3_600.0
    assert (plan.rounds, plan.order, plan.limits.abort_margin) == (12, "together", 1.0)
    assert sentinel.plan_of(BASE, 20.0).load_s == 20.0
    assert sentinel.per_target_per_s(Places(endpoints=("10.0.0.2", "10.0.0.3"))) == pytest.approx(0.75)


def fires(kind: Kind, share: float, wait_s: float, seed: int) -> bool:
    """Whether a wait fires in which each query is bad by itself with this share."""
    generator = np.random.default_rng(seed)
    at_s = np.sort(generator.uniform(0, wait_s, generator.poisson(1.5 * share * wait_s)))
    for alarm in alarms(wait_s, 1):
        last = at_s[alarm.least - 1 :]
        if alarm.kind == kind and len(last) and (last - at_s[: len(last)] <= alarm.window_s).any():
            return True
    return False


@pytest.mark.parametrize("wait_s", [600.0, 21_600.0])
def test_chance_fires_it_as_seldom_as_stated(wait_s: float) -> None:
    """Both kinds together in 1,000 waits on a path as bad as a sound one may be: 10 are expected at most."""
    n_fired = sum(any(fires(kind, noise, wait_s, seed) for kind, noise in NOISE.items()) for seed in range(1_000))
    assert n_fired <= 1_000 * FALSE_ALARMS + 3 * (1_000 * FALSE_ALARMS) ** 0.5


def test_what_users_feel_fires_it() -> None:
    """One query in a hundred fails, or one in twelve is late: within an hour nine times of ten."""
    for kind, share in (("failed", 0.012), ("late", 0.08)):
        assert sum(fires(kind, share, 3_600.0, seed) for seed in range(100)) >= 90  # type: ignore[arg-type]


def test_more_targets_need_more() -> None:
    one, many = ([alarm.least for alarm in alarms(3_600.0, n)] for n in (1, 100))
    assert all(few <= more for few, more in zip(one, many, strict=True))
    assert one != many
    assert least_bad(1e-6, 60.0, 60.0, 0.5) == 1
