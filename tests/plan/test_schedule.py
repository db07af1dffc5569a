"""schedule: trials in order, and the load that they mean."""

from __future__ import annotations

import itertools
from collections import Counter

import pytest
from hypothesis import given, strategies as st

from dnslab.plan.model import Plan, TargetPlan
from dnslab.plan.resolvconf import parse
from dnslab.plan.schedule import TargetInfo, forecast, longest_deadline_s, not_applicable, trials
from dnslab.plan.variants import BUILT_IN
from tests.plan.test_model import PLANS

GLIBC = TargetInfo("glibc", "glibc", "2.36")
MUSL = TargetInfo("musl", "musl", "1.2.3")


@given(PLANS)
def test_every_pair_once_a_round(plan: Plan) -> None:
    listed = trials(plan, [GLIBC, MUSL])
    seen = Counter((trial.round, trial.variant, trial.load) for trial in listed)
    expected = itertools.product(range(1, plan.rounds + 1), plan.variants, range(len(plan.loads)))
    assert seen == Counter(expected)
    assert [trial.number for trial in listed] == list(range(1, len(listed) + 1))
    assert [trial.group for trial in listed] == sorted(trial.group for trial in listed)
    assert listed == trials(plan, [GLIBC, MUSL])


@given(st.integers(0, 2**32), st.integers(2, 6))
def test_in_turn_is_a_latin_square(seed: int, n: int) -> None:
    plan = Plan(variants=tuple(sorted(BUILT_IN))[:n], rounds=n, schedule="in-turn", seed=seed)
    rows = [[t.variant for t in trials(plan, [GLIBC]) if t.round == r] for r in range(1, n + 1)]
    for column in zip(*rows, strict=True):
        assert sorted(column) == sorted(plan.variants)


def test_the_longest_deadline_is_that_of_the_variant_that_waits_longest() -> None:
    pod = parse("search a.svc.cluster.local svc.cluster.local cluster.local\noptions ndots:5")
    assert longest_deadline_s(Plan(variants=("baseline", "timeout-1")), pod) == 61.0
    assert longest_deadline_s(Plan(variants=("timeout-1",)), pod) == 13.0
    assert longest_deadline_s(Plan(names=("web.any.cluster.local.",)), pod) == 16.0
    assert longest_deadline_s(Plan(deadline_s=0.5), pod) == 0.5


def test_side_by_side_runs_a_round_at_once() -> None:
    plan = Plan(variants=("baseline", "use-vc"), rounds=2)
    assert [(t.group, t.variant, t.targets) for t in trials(plan, [GLIBC, MUSL])] == [
        (1, "baseline", ("glibc", "musl")),
        (1, "use-vc", ("glibc",)),
        (2, "baseline", ("glibc", "musl")),
        (2, "use-vc", ("glibc",)),
    ]


def test_a_target_may_run_fewer_variants() -> None:
    plan = Plan(targets=(TargetPlan(name="musl", variants=("baseline",)),), variants=("baseline", "node-local"))
    assert {(t.variant, t.targets) for t in trials(plan, [MUSL])} == {("baseline", ("musl",))}


def test_not_applicable_says_why() -> None:
    plan = Plan(variants=("baseline", "use-vc"))
    assert not_applicable(plan, [GLIBC, MUSL]) == {("use-vc", "musl"): "musl ignores use-vc"}


def test_forecast_states_the_load() -> None:
    expected = forecast(Plan(variants=("baseline", "use-vc"), rounds=3), [GLIBC, MUSL])
    assert expected.n_groups == 3
    assert expected.load_s == pytest.approx(3 * 10.5)
    assert expected.peak_lookups_per_s == 600


def test_a_cache_that_does_not_answer_is_not_asked() -> None:
    plan = Plan(variants=("baseline", "node-local"), rounds=1)
    targets = [TargetInfo("with", "glibc"), TargetInfo("without", "glibc", no_cache="no node-local cache answers")]
    assert [(trial.variant, trial.targets) for trial in trials(plan, targets)] == [
        ("baseline", ("with", "without")),
        ("node-local", ("with",)),
    ]
    assert not_applicable(plan, targets) == {("node-local", "without"): "no node-local cache answers"}
