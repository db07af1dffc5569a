"""A sign: one thing that a run shows, does not show, leaves open, or did not look at; and the tests that decide it.

Counts are compared by tests against rates, never with exactly zero: a healthy network loses a packet now and then.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from dnslab.analyse.intervals import ratio_bounds

#: of each test: how often chance alone would give that answer
ALPHA = 0.001
#: the share of lookups that a healthy network may lose: fewer are no trouble
NOISE = 1e-4
#: by what happens to raw queries, the share to which a busy machine does so by itself
BUSY: Mapping[str, float] = {"lost": 1e-3, "errors": 1e-3, "truncated": 1e-3, "late": 0.01}
#: events from which on there may be trouble
MIN_EVENTS = 3
#: a rate that is at most this part of another is spared what hits the other; it is hit, too, where it is surely more
SPARED = 0.3


class State(Enum):
    """What is known of a sign."""

    YES = "yes"
    NO = "no"
    UNCLEAR = "unclear"
    NOT_MEASURED = "not measured"

    @property
    def opposite(self) -> State:
        """Of a sign that is seen where this one is not; open where this one is not decided."""
        return {State.NO: State.YES, State.YES: State.NO}.get(self, State.UNCLEAR)


@dataclass(frozen=True)
class Sign:
    """A sign by its name, with a sentence: what was seen, or why it was not measured."""

    name: str
    state: State
    claim: str = ""

    @property
    def yes(self) -> bool:
        """Whether it was seen."""
        return self.state is State.YES

    @property
    def no(self) -> bool:
        """Whether it was looked for and not seen."""
        return self.state is State.NO


def some(k: float, n: float, noise: float = NOISE) -> State:
    """Whether ``k`` of ``n`` are more than ``noise`` gives by chance.

    Yes: the binomial test says so at ``ALPHA``, and there are ``MIN_EVENTS``. No: there is none, or the share is not
    above the noise. One or two events are unclear.

    >>> some(0, 700), some(2, 700), some(12, 700), some(3, 1_000_000)
    (<State.NO: 'no'>, <State.UNCLEAR: 'unclear'>, <State.YES: 'yes'>, <State.NO: 'no'>)
    """
    from scipy.special import bdtrc

    if not n:
        return State.NOT_MEASURED
    if k <= n * noise:
        return State.NO
    likely_chance = float(bdtrc(int(k) - 1, int(n), noise)) >= ALPHA
    return State.UNCLEAR if likely_chance or k < MIN_EVENTS else State.YES


def most(k: float, n: float, share: float) -> State:
    """Whether ``k`` of ``n`` fit a rate of ``share`` or more.

    Yes: the estimate is not below it, or the test at ``ALPHA`` does not speak against it while half is surely
    exceeded. No: half of ``share`` is surely not reached. Unclear in between.

    >>> most(53, 53, 0.8), most(2, 70, 0.8), most(20, 40, 0.8), most(2, 2, 0.8)
    (<State.YES: 'yes'>, <State.NO: 'no'>, <State.UNCLEAR: 'unclear'>, <State.UNCLEAR: 'unclear'>)
    """
    from scipy.special import bdtr, bdtrc

    if not n:
        return State.NOT_MEASURED
    over_half = float(bdtrc(int(k) - 1, int(n), 0.5)) < 0.05 if k else False
    if over_half and (k >= share * n or float(bdtr(int(k), int(n), share)) >= 0.05):
        return State.YES
    return State.NO if float(bdtr(int(k), int(n), 0.5)) < 0.01 else State.UNCLEAR


def hit_too(k: float, n: float, base_k: float, base_n: float, spared: float = SPARED) -> State:
    """Whether the rate ``k / n`` is a real part of ``base_k / base_n``, or spared.

    Yes: its ratio to the other is above ``spared``, by its one-sided 95 % bound. No: below it, by the other bound.

    >>> hit_too(3, 5_983, 53, 6_000), hit_too(50, 6_000, 53, 6_000), hit_too(15, 6_000, 53, 6_000)
    (<State.NO: 'no'>, <State.YES: 'yes'>, <State.UNCLEAR: 'unclear'>)
    """
    if not n or not base_n or not base_k:
        return State.NOT_MEASURED
    bounds = ratio_bounds(k, n, base_k, base_n)
    if bounds.low > spared:
        return State.YES
    return State.NO if bounds.high < spared else State.UNCLEAR
