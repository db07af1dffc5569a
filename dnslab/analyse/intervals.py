"""Estimates with intervals and tests, over rounds. Pure: arrays in, numbers out.

The round is the replicate: lookups of one trial share its minute and its faults. An interval is never narrower than one
that takes lookups as independent, for a few rounds may agree by chance.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Literal

import numpy as np
import numpy.typing as npt

CONFIDENCE = 0.95
#: fewer rounds carry no interval worth printing: with 3 a sign-flip test cannot fall under p = 0.25
MIN_ROUNDS = 3
#: rounds from which on a share's steady rise or fall over the run is not taken for scatter: to know it costs a degree
#: of freedom, which widens an interval by 7 % over 6 rounds, 2 % over 9, but 12 % over 5
TREND_ROUNDS = 6

Numbers = Sequence[float] | npt.NDArray[np.float64]


@dataclass(frozen=True)
class Interval:
    """An estimate with its 95 % bounds; NaN bounds where there are too few rounds.

    ``p`` is the two-sided p value of 0, under 0.05 where the interval does not hold 0; NaN where there is no test.
    """

    estimate: float
    low: float
    high: float
    p: float = math.nan


def mean(values: Numbers, floor: float = -math.inf) -> Interval:
    """Mean of ``values``, one for each round, with its two-sided t interval. The lower bound is at least ``floor``."""
    given = np.asarray(values, dtype=float)
    if not len(given) or not np.isfinite(given).all():
        return Interval(float(given.mean()) if len(given) else math.nan, math.nan, math.nan)
    estimate = float(given.mean())
    if len(given) < MIN_ROUNDS:
        return Interval(estimate, math.nan, math.nan)
    error = float(given.std(ddof=1)) / math.sqrt(len(given))
    half = _t(len(given) - 1) * error
    return Interval(estimate, max(floor, estimate - half), estimate + half, _t_test(estimate, error, len(given) - 1))


def slope(positions: Numbers, values: Numbers) -> Interval:
    """Slope of ``values`` over ``positions`` by least squares, with its two-sided t interval.

    With fewer than three values, bounds and p are NaN. Values on a straight line have p = 0.
    """
    x, y = np.asarray(positions, dtype=float), np.asarray(values, dtype=float)
    estimate, spread, residuals = _line(x, y)
    if len(x) < MIN_ROUNDS:
        return Interval(estimate, math.nan, math.nan)
    error = math.sqrt(float((residuals**2).sum()) / (len(x) - 2) / spread)
    half = _t(len(x) - 2) * error
    return Interval(estimate, estimate - half, estimate + half, _t_test(estimate, error, len(x) - 2))


def _line(x: npt.NDArray[np.float64], y: npt.NDArray[np.float64]) -> tuple[float, float, npt.NDArray[np.float64]]:
    """Least squares: the slope, the sum of squares of ``x`` about its mean, and the residuals of ``y``."""
    centred = x - x.mean()
    spread = float((centred**2).sum())
    steep = float((centred * y).sum()) / spread
    return steep, spread, y - y.mean() - steep * centred


def share(counts: Numbers, totals: Numbers) -> Interval:
    """Share of ``counts`` in ``totals``, a pair for each round, in their order.

    The wider, on each side, of a t interval of the ratio over rounds (Cochran, Sampling Techniques, 1977, section 6.4)
    and the score interval that takes all as independent (Wilson 1927). The first takes a trend for scatter only under
    ``TREND_ROUNDS``, and where rounds differ more than independent lookups reaches further up (over a half: down): the
    scatter of a few that come together is skewed (Johnson, Journal of the American Statistical Association 73:536,
    1978).
    """
    k, n = np.asarray(counts, dtype=float), np.asarray(totals, dtype=float)
    if not n.sum():
        return Interval(math.nan, math.nan, math.nan)
    estimate = float(k.sum() / n.sum())
    if len(k) < MIN_ROUNDS:
        return Interval(estimate, math.nan, math.nan)
    variance, freedom = _scatter(_residuals(k, n))
    half = _t(freedom) * math.sqrt(variance)
    shift = _SKEW * _third_moment(k, n, variance) / variance if variance else 0.0
    low, high = wilson(float(k.sum()), float(n.sum()))
    low, high = min(estimate - half + min(shift, 0.0), low), max(estimate + half + max(shift, 0.0), high)
    return Interval(estimate, max(0.0, low), min(1.0, high))


def difference(counts: Numbers, totals: Numbers, base_counts: Numbers, base_totals: Numbers) -> Interval:
    """Share of ``counts`` in ``totals`` minus that of a base, paired by round.

    The wider, on each side, of a t interval over the rounds' differences, made as that of ``share``, and the one that
    takes all lookups as independent (Newcombe, Statistics in Medicine 17:873, 1998, method 10).
    """
    k, n = np.asarray(counts, dtype=float), np.asarray(totals, dtype=float)
    base_k, base_n = np.asarray(base_counts, dtype=float), np.asarray(base_totals, dtype=float)
    if not n.sum() or not base_n.sum():
        return Interval(math.nan, math.nan, math.nan)
    estimate = float(k.sum() / n.sum() - base_k.sum() / base_n.sum())
    if len(k) < MIN_ROUNDS:
        return Interval(estimate, math.nan, math.nan)
    variance, freedom = _scatter(_residuals(k, n) - _residuals(base_k, base_n))
    scatter, base_scatter = _scatter(_residuals(k, n))[0], _scatter(_residuals(base_k, base_n))[0]
    thirds = _third_moment(k, n, scatter) - _third_moment(base_k, base_n, base_scatter)
    shift = _SKEW * thirds / (scatter + base_scatter) if scatter + base_scatter else 0.0
    sums = float(k.sum()), float(n.sum()), float(base_k.sum()), float(base_n.sum())
    return _wider_of_two(estimate, math.sqrt(variance), freedom, sums, shift)


def _wider_of_two(
    estimate: float, error: float, freedom: float, sums: tuple[float, float, float, float], shift: float = 0.0
) -> Interval:
    """The wider, on each side, of t's interval, of which one bound is moved outward by ``shift``, and ``newcombe``."""
    down, up = min(shift, 0.0), max(shift, 0.0)
    half = _t(freedom) * error
    low, high = newcombe(*sums)
    # What the bound towards 0 is moved by, the estimate is nearer to 0: the test agrees with the interval.
    nearer = max(0.0, estimate + down) if estimate > 0 else min(0.0, estimate + up)
    p = max(_t_test(nearer, error, freedom), _newcombe_test(*sums))
    return Interval(estimate, min(estimate - half + down, low), max(estimate + half + up, high), p)


def _residuals(k: npt.NDArray[np.float64], n: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """How far each round's count is from that of the common share, divided by the mean round's lookups."""
    residuals: npt.NDArray[np.float64] = (k - k.sum() / n.sum() * n) / n.mean()
    return residuals


def degrees_of_freedom(n_rounds: int) -> int:
    """Degrees of freedom of a share's scatter over rounds."""
    return n_rounds - 1 if n_rounds < TREND_ROUNDS else n_rounds - 2


def _scatter(residuals: npt.NDArray[np.float64]) -> tuple[float, int]:
    """Variance of the mean over rounds, and its degrees of freedom."""
    n_rounds = len(residuals)
    if n_rounds >= TREND_ROUNDS:
        _, _, residuals = _line(np.arange(n_rounds, dtype=float), residuals)
    return float((residuals**2).sum()) / degrees_of_freedom(n_rounds) / n_rounds, degrees_of_freedom(n_rounds)


def _third_moment(k: npt.NDArray[np.float64], n: npt.NDArray[np.float64], variance: float) -> float:
    """Third central moment of a share with that ``variance`` over rounds; 0 if the variance is not above that of
    independent lookups.

    That of counts which come D at a time, where D is the variance over the independent one: D times the variance, in
    lookups. As a binomial's it vanishes at a share of a half.
    """
    p = float(k.sum() / n.sum())
    independent = p * (1 - p) / float(n.sum())
    if not independent or variance <= independent:
        return 0.0
    return variance * variance / independent / float(n.sum()) * (1 - 2 * p)


@functools.lru_cache
def _t(freedom: float) -> float:
    from scipy.special import stdtrit

    return float(stdtrit(freedom, 0.5 + CONFIDENCE / 2))


def _t_test(estimate: float, error: float, freedom: float) -> float:
    from scipy.special import stdtr

    if not error:
        return 0.0 if estimate else 1.0
    return 2 * float(stdtr(freedom, -abs(estimate) / error))


_NORMAL = NormalDist().inv_cdf(0.5 + CONFIDENCE / 2)
#: by how much of the third moment over the variance a bound moves (Johnson 1978, but with the normal quantile: with t's
#: intervals over 5 rounds would be over 1.5 times as wide as need be)
_SKEW = (1 + 2 * _NORMAL**2) / 6


def wilson(k: float, n: float, z: float = _NORMAL) -> tuple[float, float]:
    """Score interval of a share, ``k`` of ``n`` independent trials (Wilson 1927); ``z`` default for 95 %.

    >>> [round(bound, 4) for bound in wilson(3, 100)]
    [0.0103, 0.0845]
    """
    p, scale = k / n, 1 + z * z / n
    centre = (p + z * z / (2 * n)) / scale
    half = z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n)) / scale
    return max(0.0, centre - half), min(1.0, centre + half)


def newcombe(k: float, n: float, base_k: float, base_n: float, z: float = _NORMAL) -> tuple[float, float]:
    """Interval of the difference of two independent shares (Newcombe 1998, method 10); his example of 56/70 and 48/80:

    >>> [round(bound, 4) for bound in newcombe(56, 70, 48, 80)]
    [0.0524, 0.3339]
    """
    p, base_p = k / n, base_k / base_n
    (low, high), (base_low, base_high) = wilson(k, n, z), wilson(base_k, base_n, z)
    return (
        p - base_p - math.hypot(p - low, base_high - base_p),
        p - base_p + math.hypot(high - p, base_p - base_low),
    )


def _newcombe_test(k: float, n: float, base_k: float, base_n: float) -> float:
    """Two-sided p value that agrees with ``newcombe``: the level at which the nearer bound is 0, by bisection."""
    p, base_p = k / n, base_k / base_n
    if p == base_p:
        return 1.0
    if p < base_p:
        return _newcombe_test(base_k, base_n, k, n)
    near, far = 0.0, 40.0
    while far - near > 1e-9:
        z = (near + far) / 2
        holds = p - base_p <= math.hypot(p - wilson(k, n, z)[0], wilson(base_k, base_n, z)[1] - base_p)
        near, far = (near, z) if holds else (z, far)
    return math.erfc(near / math.sqrt(2))


def upper_bound_when_none(n: float) -> float:
    """One-sided 95 % upper bound of a share that ``n`` independent trials never showed (Clopper, Pearson 1934)."""
    return 1.0 - (1.0 - CONFIDENCE) ** (1.0 / n) if n else 1.0


def ratio_bounds(k: float, n: float, base_k: float, base_n: float) -> Interval:
    """The ratio of two small shares, ``k`` of ``n`` over ``base_k`` of ``base_n``, with one-sided 95 % bounds.

    Exact for counts that come independently: given their sum, one of them is binomial (Przyborowski, Wilenski,
    Biometrika 31:313, 1940; bounds of Clopper, Pearson 1934). Counts need not be whole. Without any count the bounds
    are 0 and infinity.

    >>> bounds = ratio_bounds(0, 1000, 40, 1000)
    >>> bounds.estimate, round(bounds.high, 3)
    (0.0, 0.078)
    """
    from scipy.special import betaincinv

    low = float(betaincinv(k, base_k + 1, 1 - CONFIDENCE)) if k else 0.0
    high = float(betaincinv(k + 1, base_k, CONFIDENCE)) if base_k else 1.0

    def ratio(part: float) -> float:
        return part / (1 - part) * base_n / n if part < 1 else math.inf

    estimate = k / n / (base_k / base_n) if base_k else math.nan
    return Interval(estimate, ratio(low), ratio(high))


def holm(p_values: Sequence[float]) -> list[float]:
    """P values adjusted for their number (Holm 1979).

    If those under 0.05 are called different, at least one is false in at most 5 % of cases. NaN values stay NaN and do
    not count.

    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    order = sorted((p, i) for i, p in enumerate(p_values) if not math.isnan(p))
    adjusted = [math.nan] * len(p_values)
    highest = 0.0
    for rank, (p, i) in enumerate(order):
        highest = max(highest, min(1.0, p * (len(order) - rank)))
        adjusted[i] = highest
    return adjusted


@dataclass(frozen=True)
class Verdict:
    """What may be said of a difference: ``lower`` or ``higher`` where Holm's p is under 0.05, else how large one could
    be that was not seen (``bound``, the interval's farther end). ``p`` is Holm's, NaN with too few rounds."""

    word: Literal["lower", "higher", "no difference shown", "too few rounds"]
    bound: float
    p: float


def verdicts(differences: Sequence[Interval]) -> list[Verdict]:
    """A verdict for each of a family of differences. With probability 95 % none of them is false."""
    given = []
    for difference, p in zip(differences, holm([difference.p for difference in differences]), strict=True):
        bound = max(abs(difference.low), abs(difference.high))
        if not math.isfinite(difference.low):
            given.append(Verdict("too few rounds", math.nan, math.nan))
        elif p < 1 - CONFIDENCE:
            given.append(Verdict("lower" if difference.estimate < 0 else "higher", bound, p))
        else:
            given.append(Verdict("no difference shown", bound, p))
    return given


def unpaired(values: Numbers, base_values: Numbers) -> Interval:
    """Mean of ``values`` minus mean of ``base_values``, with one value for each round. The rounds are not paired.

    Interval and test allow the two to vary differently (Welch, Biometrika 34:28, 1947).
    """
    sample, base = np.asarray(values, dtype=float), np.asarray(base_values, dtype=float)
    if not len(sample) or not len(base):
        return Interval(math.nan, math.nan, math.nan)
    # Taken from one of them, equal rounds are exactly 0: of their sums the last digit would differ, and look certain.
    origin = base[0] if math.isfinite(base[0]) else 0.0
    sample, base = sample - origin, base - origin
    estimate = float(sample.mean() - base.mean())
    if min(len(sample), len(base)) < MIN_ROUNDS or not math.isfinite(estimate):
        return Interval(estimate, math.nan, math.nan)
    parts = [(float(side.var(ddof=1)) / len(side), len(side) - 1) for side in (sample, base)]
    error = math.sqrt(sum(variance for variance, _ in parts))
    if not error:
        return Interval(estimate, estimate, estimate, 0.0 if estimate else 1.0)
    half = _t(_welch(parts)) * error
    return Interval(estimate, estimate - half, estimate + half, _t_test(estimate, error, _welch(parts)))


def _welch(parts: Sequence[tuple[float, int]]) -> float:
    """Degrees of freedom of a sum of variances (Welch, Satterthwaite); the fewest if there is no variance."""
    spread = sum(variance**2 / freedom for variance, freedom in parts)
    return sum(variance for variance, _ in parts) ** 2 / spread if spread else min(freedom for _, freedom in parts)


def unpaired_difference(counts: Numbers, totals: Numbers, base_counts: Numbers, base_totals: Numbers) -> Interval:
    """Share of ``counts`` in ``totals`` minus that of a base. The rounds are not paired.

    The rounds' shares are compared, each round alike, as in ``unpaired``, but from ``TREND_ROUNDS`` on without a trend;
    as ``difference`` never narrower than independent ones give.
    """
    k, n = np.asarray(counts, dtype=float), np.asarray(totals, dtype=float)
    base_k, base_n = np.asarray(base_counts, dtype=float), np.asarray(base_totals, dtype=float)
    if not (n > 0).all() or not (base_n > 0).all():
        return Interval(math.nan, math.nan, math.nan)
    estimate = float((k / n).mean() - (base_k / base_n).mean())
    if min(len(k), len(base_k)) < MIN_ROUNDS:
        return Interval(estimate, math.nan, math.nan)
    parts = [_scatter(shares - shares.mean()) for shares in (k / n, base_k / base_n)]
    sums = float(k.sum()), float(n.sum()), float(base_k.sum()), float(base_n.sum())
    return _wider_of_two(estimate, math.sqrt(sum(variance for variance, _ in parts)), _welch(parts), sums)
