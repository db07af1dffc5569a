"""intervals: against scipy, published examples and cases worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.stats

from dnslab.analyse import intervals
from dnslab.analyse.intervals import Interval, holm, newcombe, upper_bound_when_none, verdicts, wilson


def test_a_mean_against_scipy() -> None:
    values = [0.8, 1.2, 1.1, 0.7, 1.4]
    low, high = scipy.stats.t.interval(0.95, 4, np.mean(values), scipy.stats.sem(values))
    found = intervals.mean(values)
    assert (found.estimate, found.low, found.high) == pytest.approx((1.04, low, high))
    assert found.p == pytest.approx(scipy.stats.ttest_1samp(values, 0.0).pvalue)
    assert math.isnan(intervals.mean([1.0, 2.0]).low)
    assert math.isnan(intervals.mean([1.0, 2.0, math.inf]).low)
    assert intervals.mean([0.0, 0.0, 0.3], floor=0.0).low == 0.0


def test_a_slope_against_scipy() -> None:
    places, values = [1, 2, 4, 5, 9], [0.3, 0.1, 0.5, 0.45, 0.9]
    line = scipy.stats.linregress(places, values)
    found = intervals.slope(places, values)
    half = scipy.stats.t.ppf(0.975, 3) * line.stderr
    assert [found.estimate, found.p] == pytest.approx([line.slope, line.pvalue])
    assert [found.low, found.high] == pytest.approx([line.slope - half, line.slope + half])
    assert math.isnan(intervals.slope([1, 2], [3, 4]).p)
    assert intervals.slope([1, 2, 3], [5, 5, 5]).p == 1.0


def test_upper_bound_against_scipy() -> None:
    for n in (1, 10, 5000):
        exact = scipy.stats.binomtest(0, n, alternative="less").proportion_ci(0.95, "exact").high
        assert upper_bound_when_none(n) == pytest.approx(exact)


@pytest.mark.parametrize(("k", "n"), [(0, 20), (3, 100), (245, 186_586)])
def test_wilson_against_scipy(k: int, n: int) -> None:
    ci = scipy.stats.binomtest(k, n).proportion_ci(method="wilson")
    assert wilson(k, n) == pytest.approx((ci.low, ci.high))


@pytest.mark.parametrize(
    ("counts", "bounds"),
    [  # Newcombe 1998, table II, method 10
        ((56, 70, 48, 80), (0.0524, 0.3339)),
        ((9, 10, 3, 10), (0.1705, 0.8090)),
        ((5, 56, 0, 29), (-0.0381, 0.1926)),
        ((10, 10, 0, 10), (0.6075, 1.0)),
    ],
)
def test_newcombe_against_his_table(counts: tuple[int, int, int, int], bounds: tuple[float, float]) -> None:
    assert newcombe(*counts) == pytest.approx(bounds, abs=5e-5)


def test_rounds_that_differ_widen_a_share() -> None:
    alike = intervals.share([2, 2, 2, 2], [100] * 4)
    assert (alike.low, alike.high) == pytest.approx(wilson(8, 400))
    apart = intervals.share([10, 18, 10, 10], [100] * 4)
    low, high = scipy.stats.t.interval(0.95, 3, 0.12, scipy.stats.sem([0.1, 0.18, 0.1, 0.1]))
    assert apart.low == pytest.approx(low)
    assert high < apart.high < high + 0.02


def test_a_share_of_few_that_come_together_reaches_further_up() -> None:
    """By hand: 20 in one round of 5, of 1,000 lookups each."""
    found = intervals.share([20, 0, 0, 0, 0], [1000] * 5)
    variance, independent = scipy.stats.sem([0.02, 0, 0, 0, 0]) ** 2, 0.004 * 0.996 / 5000
    spread = variance / independent
    assert spread == pytest.approx(20, rel=0.01)
    third = variance * spread / 5000 * (1 - 2 * 0.004)
    half = scipy.stats.t.ppf(0.975, 4) * math.sqrt(variance)
    assert found.high == pytest.approx(0.004 + half + (1 + 2 * 1.959964**2) / 6 * third / variance)
    assert found.low == 0.0
    mirrored = intervals.share([980, 1000, 1000, 1000, 1000], [1000] * 5)
    assert (1 - mirrored.high, 1 - mirrored.low) == pytest.approx((found.low, found.high))


def test_a_steady_rise_is_no_scatter_from_six_rounds_on() -> None:
    """Of shares that rise by the same each round nothing is left but what independent lookups scatter."""
    rising = [100, 120, 140, 160, 180, 200]
    found = intervals.share(rising, [10_000] * 6)
    assert (found.low, found.high) == pytest.approx(wilson(900, 60_000))
    five = intervals.share(rising[:5], [10_000] * 5)
    assert five.high - five.low > 1.5 * (found.high - found.low)
    zero = intervals.difference(rising, [10_000] * 6, [0] * 6, [10_000] * 6)
    assert (zero.low, zero.high) == pytest.approx(newcombe(900, 60_000, 0, 60_000))
    bent = [100, 140, 120, 180, 160, 200]
    line = np.polynomial.Polynomial.fit(range(6), bent, 1)(np.arange(6))
    error = math.sqrt(((bent - line) ** 2).sum() / 4 / 6) / 10_000
    seen = intervals.difference(bent, [10_000] * 6, [0] * 6, [10_000] * 6)
    assert seen.low == pytest.approx(
        min(0.015 - scipy.stats.t.ppf(0.975, 4) * error, newcombe(900, 60_000, 0, 60_000)[0])
    )


def test_a_steady_rise_is_no_scatter_between_runs_either() -> None:
    rising, falling = [100, 120, 140, 160, 180, 200], [90, 80, 70, 60, 50, 40]
    found = intervals.unpaired_difference(rising, [10_000] * 6, falling, [10_000] * 6)
    assert (found.low, found.high) == pytest.approx(newcombe(900, 60_000, 390, 60_000))
    five = intervals.unpaired_difference(rising[:5], [10_000] * 5, falling[:5], [10_000] * 5)
    assert five.high - five.low > 1.5 * (found.high - found.low)


def test_a_share_of_unequal_rounds_is_that_of_all() -> None:
    """Cochran's ratio estimate: the mean of rounds' shares would be 0.2."""
    found = intervals.share([10, 1, 1], [100, 10, 2])
    assert found.estimate == pytest.approx(12 / 112)
    residuals = np.array([10 - 100 * 12 / 112, 1 - 10 * 12 / 112, 1 - 2 * 12 / 112]) / (112 / 3)
    half = scipy.stats.t.ppf(0.975, 2) * math.sqrt((residuals**2).sum() / 2 / 3)
    assert found.high == pytest.approx(max(12 / 112 + half, wilson(12, 112)[1]))


def test_a_difference_is_paired_by_round() -> None:
    """Both variants meet the same bad round: its extent cancels."""
    counts, base = [10, 110, 20, 30], [20, 121, 31, 40]
    found = intervals.difference(counts, [10_000] * 4, base, [10_000] * 4)
    changes = [(one - other) / 10_000 for one, other in zip(counts, base, strict=True)]
    expected = intervals.mean(changes)
    low, high = newcombe(sum(counts), 40_000, sum(base), 40_000)
    assert found.estimate == pytest.approx(expected.estimate)
    assert (found.low, found.high) == pytest.approx((min(expected.low, low), max(expected.high, high)))
    apart = [(value - 42.5) / 10_000 for value in counts]
    assert found.high - found.low < 2 * scipy.stats.t.ppf(0.975, 3) * scipy.stats.sem(apart)


@pytest.mark.parametrize(
    ("counts", "base"),
    [
        ([0, 0, 0, 0, 0], [2, 1, 1, 3, 0]),
        ([1, 1, 1, 1, 1], [1, 2, 1, 1, 1]),
        ([3] * 5, [0] * 5),
        ([9] * 5, [1] * 5),
        # t alone leaves 0 out.
        ([11, 8, 13, 5, 11], [1, 6, 11, 2, 3]),
        ([1, 6, 11, 2, 3], [11, 8, 13, 5, 11]),
    ],
)
def test_p_agrees_with_the_interval(counts: list[int], base: list[int]) -> None:
    found = intervals.difference(counts, [1000] * 5, base, [1000] * 5)
    assert (found.p < 0.05) == (found.low > 0 or found.high < 0)


@pytest.mark.parametrize(("ours", "theirs"), [(9, 1), (1, 9), (0, 4), (4, 0), (500, 499)])
def test_p_is_where_the_interval_would_end_at_0(ours: int, theirs: int) -> None:
    """Rounds all alike leave Newcombe's interval alone."""
    p = intervals.difference([ours] * 5, [1000] * 5, [theirs] * 5, [1000] * 5).p
    bounds = newcombe(5 * ours, 5000, 5 * theirs, 5000, scipy.stats.norm.isf(p / 2))
    assert bounds[0 if ours > theirs else 1] == pytest.approx(0, abs=1e-9)


def test_nothing_anywhere_is_no_difference() -> None:
    found = intervals.difference([0, 0, 0], [100] * 3, [0, 0, 0], [100] * 3)
    assert (found.estimate, found.p) == (0.0, 1.0)
    assert found.high == pytest.approx(wilson(0, 300)[1])
    assert math.isnan(intervals.difference([], [], [], []).estimate)
    assert math.isnan(intervals.share([1, 2], [10, 10]).low)


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03, math.nan]) == pytest.approx([0.03, 0.06, 0.06, math.nan], nan_ok=True)
    assert holm([]) == []


def test_verdicts_by_rule() -> None:
    """The second would be lower on its own (p = 0.04), and is not among three."""
    found = verdicts(
        [
            Interval(-0.05, -0.06, -0.04, 0.001),
            Interval(-0.01, -0.019, -0.001, 0.04),
            Interval(0.02, -0.01, 0.05, 0.2),
            Interval(0.5, math.nan, math.nan),
        ]
    )
    assert [one.word for one in found] == ["lower", "no difference shown", "no difference shown", "too few rounds"]
    assert found[0].p == pytest.approx(0.003)
    assert [found[1].bound, found[2].bound] == [0.019, 0.05]
    assert verdicts([Interval(0.5, 0.1, 0.9, 0.01)])[0].word == "higher"


@pytest.mark.parametrize(
    ("values", "base"), [([0.2, 0.3, 0.1, 0.4], [0.5, 0.9, 0.4]), ([0.0, 0.0, 0.0], [0.1, 0.2, 0.15])]
)
def test_unpaired_against_scipy(values: list[float], base: list[float]) -> None:
    found = intervals.unpaired(values, base)
    welch = scipy.stats.ttest_ind(values, base, equal_var=False)
    ci = welch.confidence_interval(0.95)
    assert found.estimate == pytest.approx(np.mean(values) - np.mean(base))
    assert (found.low, found.high, found.p) == pytest.approx((ci.low, ci.high, welch.pvalue))


def test_unpaired_at_its_edges() -> None:
    assert math.isnan(intervals.unpaired([1.0, 2.0], [1.0, 2.0, 3.0]).low)
    assert intervals.unpaired([1.0, 2.0], [1.0, 3.0, 5.0]).estimate == -1.5
    assert math.isnan(intervals.unpaired([], [1.0]).estimate)
    assert intervals.unpaired([1.0] * 3, [1.0] * 3) == Interval(0.0, 0.0, 0.0, 1.0)
    assert intervals.unpaired([2.0] * 3, [1.0] * 3) == Interval(1.0, 1.0, 1.0, 0.0)


@pytest.mark.parametrize(("n", "n_base"), [(5, 7), (9, 7), (3, 5)])
def test_equal_rounds_do_not_differ_by_rounding(n: int, n_base: int) -> None:
    """Means of 5 and of 7 equal values differ in their last digit for some of them."""
    for value in (0.003, 0.006, 0.7, 1 / 3):
        assert intervals.unpaired([value] * n, [value] * n_base) == Interval(0.0, 0.0, 0.0, 1.0)


def test_an_unpaired_difference_is_never_narrower_than_independent_lookups_give() -> None:
    alike = intervals.unpaired_difference([2, 2, 2], [100] * 3, [1, 1, 1], [100] * 3)
    assert (alike.low, alike.high) == newcombe(6, 300, 3, 300)
    assert alike.p > 0.05
    apart = intervals.unpaired_difference([0, 9, 0], [100] * 3, [1, 2, 1], [100] * 3)
    shares = scipy.stats.ttest_ind([0.0, 0.09, 0.0], [0.01, 0.02, 0.01], equal_var=False)
    assert apart.p == pytest.approx(shares.pvalue)
    assert apart.low < newcombe(9, 300, 4, 300)[0]
    assert math.isnan(intervals.unpaired_difference([0, 0, 0], [0, 1, 1], [1, 1, 1], [9, 9, 9]).estimate)
