"""How much must be measured to see a difference, and what difference a run could have shown. Shares and counts only.

The rules are those of the verdicts (``intervals``): a paired t test over rounds, at the first and strictest step of
Holm's correction.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from dnslab.analyse.intervals import CONFIDENCE, MIN_ROUNDS, degrees_of_freedom
from dnslab.text import rounded

#: rounds beyond which nobody goes: make trials longer instead
MOST_ROUNDS = 1_000


@dataclass(frozen=True)
class Size:
    """What is measured of each variant: ``rounds`` of ``n`` lookups, among ``n_compared`` comparisons.

    ``spread`` is how much more rounds differ than independent lookups make them: the variance of a round's share over
    the binomial one, 1 where nothing is known.
    """

    rounds: int
    n: float
    n_compared: int = 1
    spread: float = 1.0


def power_of_difference(size: Size, share: float, base_share: float = 0.0) -> float:
    """The probability that a verdict says ``share`` differs from ``base_share``.

    Of a noncentral t distribution (Cohen, Statistical Power Analysis, 1988, section 2.5). Where a variant without any
    stall is compared it is up to six points low, seen in simulation: such a variant adds no spread.
    """
    from scipy.special import nctdtr, stdtrit

    if size.rounds < MIN_ROUNDS or share == base_share:
        return 0.0
    variance = size.spread * (share * (1 - share) + base_share * (1 - base_share)) / size.n
    shift = abs(share - base_share) / math.sqrt(variance / size.rounds)
    freedom = degrees_of_freedom(size.rounds)
    limit = float(stdtrit(freedom, 1 - (1 - CONFIDENCE) / size.n_compared / 2))
    # From here on the tail is 1, and scipy's series ends in NaN.
    return 1.0 if shift > limit + 30 else 1 - float(nctdtr(freedom, shift, limit))


def rounds_for_difference(n: float, share: float, power: float, n_compared: int = 1, spread: float = 1.0) -> int | None:
    """The fewest rounds of ``n`` lookups that show ``share`` to differ from 0; None if a thousand are not enough."""
    for rounds in range(MIN_ROUNDS, MOST_ROUNDS + 1):
        if power_of_difference(Size(rounds, n, n_compared, spread), share) >= power:
            return rounds
    return None


def lookups_for_one(share: float, power: float, spread: float = 1.0) -> int:
    """The number of lookups among which, if ``share`` of them stall, at least one does with probability ``power``.

    >>> lookups_for_one(0.001, 0.9)
    2302
    """
    return math.ceil(spread * math.log1p(-power) / math.log1p(-share))


def share_for_one(n: float, power: float, spread: float = 1.0) -> float:
    """The share at which at least one of ``n`` lookups stalls with probability ``power``.

    >>> round(share_for_one(2302, 0.9), 6)
    0.001
    """
    return -math.expm1(math.log1p(-power) * spread / n) if n else 1.0


def detectable_difference(size: Size, power: float) -> float | None:
    """The smallest share that is shown to differ from 0 with probability ``power``; None if there is no such share."""
    low, high = 0.0, 1.0
    if power_of_difference(size, 1 - 1e-9) < power:
        return None
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (low, middle) if power_of_difference(size, middle) >= power else (middle, high)
    return high


def spread_of(counts: Sequence[float], totals: Sequence[float]) -> float:
    """``Size.spread`` of measured rounds. At least 1, and 1 if nothing was counted."""
    k, n = sum(counts), sum(totals)
    if len(counts) < 2 or not k or k == n:
        return 1.0
    share = k / n
    residuals = [count - total * share for count, total in zip(counts, totals, strict=True)]
    variance = sum(residual**2 for residual in residuals) / (len(counts) - 1)
    return max(1.0, variance / (n / len(counts) * share * (1 - share)))


def spread_shown(counts: Sequence[float], totals: Sequence[float]) -> float:
    """``spread_of`` where a chi-square test of homogeneity (5 %) shows that rounds differ, else 1.

    Few rounds often differ by chance: of six, every third time by a spread of 1.3 or more.
    """
    from scipy.special import chdtrc

    spread, freedom = spread_of(counts, totals), len(counts) - 1
    return spread if freedom > 0 and chdtrc(freedom, spread * freedom) < 1 - CONFIDENCE else 1.0


#: lengths of a trial worth thinking about, s
LENGTHS_S = (5, 10, 30, 60)


def sizes_needed(
    share: float, power: float, rate_per_s: float, n_compared: int, spread: float | None = None
) -> Iterator[str]:
    """What it takes to see ``share``, as lines of text. ``spread`` is None if no earlier run shows how rounds vary."""
    if spread is None:
        yield "rounds are taken to differ no more than independent lookups do; --pilot RUN says how much they do there"
    else:
        yield f"rounds differ {rounded(spread)} times as much as independent lookups would make them, in the pilot run"
    assumed = spread or 1.0
    often = f"in {rounded(100 * power)} % of runs"
    n = lookups_for_one(share, power, assumed)
    yield f"to see one stall or more, where {rounded(100 * share)} % of lookups do, {often}: {n:,} lookups"
    comparisons = "one comparison" if n_compared == 1 else f"{n_compared} comparisons"
    yield f"to call that a difference from a variant that never stalls, among {comparisons}, {often}:"
    for length_s in LENGTHS_S:
        rounds = rounds_for_difference(rate_per_s * length_s, share, power, n_compared, assumed)
        needed = f"over {MOST_ROUNDS:,} rounds"
        if rounds is not None:
            n, minutes = round(rounds * rate_per_s * length_s), rounds * length_s / 60
            needed = f"{rounds} rounds ({n:,} lookups of each, {rounded(minutes, 2)} min or more)"
        yield f"  trials of {length_s:2} s at {rate_per_s:g} lookups/s: {needed}"
