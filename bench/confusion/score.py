"""Truth against what was said: the figures, with exact bounds. Pure.

A run is *right first* if a cause is named as shown or likely and the first one is true. "Insufficient data", "none of
these fits" and "nothing found" are misses where something was injected.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from statistics import median

from scipy.stats import beta

from bench.confusion.cases import UNFELT_BY_NATURE, Case, Kind, Truth, class_of
from bench.confusion.reading import Named, Said

RACE = "conntrack-race"
#: what a user feels: this share of lookups is touched, or this of an arm of raw queries, as
#: programs that keep sockets send them, or p99 is this many times what it is where nothing is injected
FELT_SHARE, FELT_ARM, FELT_TIMES = 0.01, 0.05, 2.0
CONFIDENCE = 0.95
#: what has to hold
WRONG_SHOWN, WRONG_LIKELY, LEARNT, HELD_OUT, BOTH, TWO_OF_ONE, NOTHING = 0.01, 0.15, 0.95, 0.80, 0.70, 0.05, 0.99


@dataclass(frozen=True)
class Scored:
    """A case that was diagnosed.

    ``since``: it was recorded after the rules were last changed, so that they cannot have been fitted to it.
    """

    case: Case
    repetition: int
    said: Said
    since: bool = True

    def wrong(self, word: str) -> list[Named]:
        """What is named with this word and is not true."""
        return [one for one in self.said.named if one.word == word and not self._true(one)]

    def _true(self, named: Named) -> bool:
        return any(is_true(named, truth) or named.mechanism in truth.besides for truth in self.case.truths)

    @property
    def right_first(self) -> bool:
        """Whether what is named first is true, and the cause by name where a witness tells it."""
        first = self.said.first
        return first is not None and any(is_exact(first, truth) for truth in self.case.truths)

    @property
    def class_first(self) -> bool:
        """Whether what is named first makes the kind of trouble that is there."""
        first = self.said.first
        return first is not None and any(class_of(first.mechanism) in truth.classes for truth in self.case.truths)

    @property
    def acceptable(self) -> bool:
        """Of a fault outside the catalogue: whether no known cause is said to fit, or one of its kind is named."""
        return self.said.status == "none fits" or self.class_first

    @property
    def both(self) -> bool:
        """Of a pair: whether a cause that is named is true of the one, and another of the other."""
        return all(any(is_true(one, truth) for one in self.said.named) for truth in self.case.truths)

    @property
    def race_told(self) -> bool:
        """Whether the race is said to be shown or likely."""
        return any(one.name == RACE for one in self.said.named)


def felt(scored: Sequence[Scored]) -> list[Scored]:
    """The runs in which what was injected could be felt, by what was measured and not by what was said. Of a fault that
    changes who answers, nothing is felt, and it counts."""
    healthy = [one.said.p99_ms for one in scored if one.case.kind == "none" and one.said.p99_ms > 0]
    most_ms = FELT_TIMES * median(healthy) if healthy else math.inf

    def was_felt(one: Scored) -> bool:
        if one.case.kind in ("none", "outside") or one.case.fault in UNFELT_BY_NATURE:
            return True
        touched = one.said.most_touched >= FELT_SHARE or one.said.most_bad >= FELT_ARM
        return touched or math.isnan(one.said.p99_ms) or one.said.p99_ms >= most_ms

    return [one for one in scored if was_felt(one)]


def is_true(named: Named, truth: Truth) -> bool:
    """Whether what is named is true: its mechanism, for the lab moves no counter that tells causes of one apart."""
    if truth.outside and named.word == "shown" and named.name != named.mechanism:
        return False
    return named.mechanism in truth.mechanisms or named.name in truth.causes


def is_exact(named: Named, truth: Truth) -> bool:
    """Whether what is named is true, and by its own name where a witness tells the cause."""
    return is_true(named, truth) and (not truth.by_cause or named.name in truth.causes)


def bounds(k: int, n: int) -> tuple[float, float]:
    """Two-sided 95 % bounds of a share (Clopper, Pearson, Biometrika 26:404, 1934).

    >>> low, high = bounds(0, 100)
    >>> low, round(high, 4)
    (0.0, 0.0362)
    """
    tail = (1 - CONFIDENCE) / 2
    low = float(beta.ppf(tail, k, n - k + 1)) if k else 0.0
    high = float(beta.ppf(1 - tail, k + 1, n - k)) if k < n else 1.0
    return low, high


def upper_bound(k: int, n: int) -> float:
    """One-sided 95 % bound of a share, by the same method: it is at most this.

    >>> round(upper_bound(0, 100), 4)
    0.0295
    """
    return float(beta.ppf(CONFIDENCE, k + 1, n - k)) if k < n else 1.0


def runs_needed(k: int, goal: float) -> int:
    """Runs in all, of which ``k`` are wrong, until the one-sided bound is ``goal`` or less.

    >>> runs_needed(0, 0.01)
    299
    """
    low, high = k + 1, 1 << 24
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if upper_bound(k, middle) <= goal else (middle + 1, high)
    return low


@dataclass(frozen=True)
class Figure:
    """How many of ``n`` runs did something, what was to hold (``goal``, at least or at most), and whose figure it is.

    ``bounded``: the one-sided bound has to hold, not the share alone.
    """

    name: str
    k: int
    n: int
    goal: float
    at_least: bool
    bounded: bool = False

    @property
    def holds(self) -> bool:
        """Whether the goal is met."""
        if not self.bounded:
            return self.share >= self.goal if self.at_least else self.share <= self.goal
        return upper_bound(self.n_wrong, self.n) <= self.most_wrong

    @property
    def n_wrong(self) -> int:
        """Runs in which it went as it should not."""
        return self.n - self.k if self.at_least else self.k

    @property
    def most_wrong(self) -> float:
        """The share of them that is allowed."""
        return round(1 - self.goal, 9) if self.at_least else self.goal

    @property
    def share(self) -> float:
        """The share; 0 without runs."""
        return self.k / self.n if self.n else 0.0


def figures(scored: Sequence[Scored]) -> list[Figure]:
    """All figures for which there are runs."""
    of = partial(_of, scored)
    fresh = [one for one in of("learnt") if one.since]
    single = of("learnt", "second injector")
    found = [
        _share("a wrong cause is called shown", scored, _wrong_shown, WRONG_SHOWN, at_least=False, bounded=True),
        _share("a wrong cause is called likely", scored, _wrong_likely, WRONG_LIKELY, at_least=False),
        _share("known faults: the true one comes first", of("learnt"), _first, LEARNT),
        _share("known faults: the right kind comes first", of("learnt"), _class, LEARNT),
        _share("... recorded after the rules: the true one comes first", fresh, _first, LEARNT),
        _share("... recorded after the rules: the right kind comes first", fresh, _class, LEARNT),
        _share("second injectors: the true one comes first", of("second injector"), _first, HELD_OUT),
        _share("second injectors: the right kind comes first", of("second injector"), _class, HELD_OUT),
        _share("outside the catalogue: none fits, or the right kind", of("outside"), _acceptable, 1.0),
        _share("pairs whose halves are told alone: both are named", told_alone(scored), _both, BOTH),
        _share("one fault: two causes are named", single, _two, TWO_OF_ONE, at_least=False),
        _share("nothing injected: nothing is found", of("none"), _nothing, NOTHING, bounded=True),
        _share("no race: a race is called shown or likely", _raceless(scored), _race, 0.0, at_least=False),
    ]
    return [figure for figure in found if figure.n]


def _share(
    name: str,
    runs: Sequence[Scored],
    test: Callable[[Scored], bool],
    goal: float,
    *,
    at_least: bool = True,
    bounded: bool = False,
) -> Figure:
    return Figure(name, sum(map(test, runs)), len(runs), goal, at_least, bounded)


def _of(scored: Iterable[Scored], *kinds: Kind) -> list[Scored]:
    return [one for one in scored if one.case.kind in kinds]


def _wrong_shown(one: Scored) -> bool:
    return bool(one.wrong("shown"))


def _wrong_likely(one: Scored) -> bool:
    return bool(one.wrong("likely"))


def _first(one: Scored) -> bool:
    return one.right_first


def _class(one: Scored) -> bool:
    return one.class_first


def _acceptable(one: Scored) -> bool:
    return one.acceptable


def _both(one: Scored) -> bool:
    return one.both


def _two(one: Scored) -> bool:
    return one.said.status == "two causes"


def _nothing(one: Scored) -> bool:
    return one.said.status == "nothing found"


def _race(one: Scored) -> bool:
    return one.race_told


def _raceless(scored: Iterable[Scored]) -> list[Scored]:
    return [one for one in scored if all(RACE not in truth.causes for truth in one.case.truths)]


def told_alone(scored: Sequence[Scored]) -> list[Scored]:
    """The pairs of which each half, at the same strength and alone, is right first in most of its runs."""
    alone = {fault: list(runs) for fault, runs in by_fault(_of(scored, "learnt"))}

    def told(half: str) -> bool:
        runs = alone.get(half, [])
        return 2 * sum(one.right_first for one in runs) > len(runs)

    return [one for one in _of(scored, "pair") if all(map(told, halves(one.case)))]


def halves(case: Case) -> list[str]:
    """The faults of a case, as texts."""
    return case.fault.split("+")


def by_fault(scored: Iterable[Scored]) -> Iterable[tuple[str, Iterable[Scored]]]:
    """Runs of each case, in order of its text."""
    return groupby(sorted(scored, key=lambda one: (one.case.fault, one.repetition)), key=lambda one: one.case.fault)


def usual_s(scored: Iterable[Scored]) -> tuple[float, float]:
    """How long diagnoses take, s: the median and the longest; 0 without any."""
    seconds = [one.said.seconds for one in scored]
    return (median(seconds), max(seconds)) if seconds else (0.0, 0.0)
