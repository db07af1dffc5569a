"""Whether intervals cover and verdicts hold, from made-up rounds whose truth is known.

The generators know nothing of the method: shares of rounds that vary (beta-binomial), that rise over the run, that are
shared by all configurations; stalls that come in bursts; rounds of unequal size. ``python -m bench.calibration`` prints
a page of Markdown, in a quarter of an hour.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dnslab import intervals

RUNS = 1_000
#: lookups of a configuration in a round: ten seconds at 200/s, the default
N = 2_000
N_COMPARED = 5
ROUNDS = (3, 5, 9, 20)
SHARES = (0.01, 0.02, 0.05)

Counts = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Rounds:
    """How stalls come. ``vary`` is the beta-binomial's intraclass correlation: 0.0005 makes rounds differ twice as much
    (in variance) as independent lookups would."""

    name: str
    vary: float = 0.0
    burst: int = 1
    drift: float = 0.0
    unequal: bool = False
    shared: float = 0.0

    def draw(self, random: np.random.Generator, rounds: int, *shares: float) -> list[tuple[Counts, Counts]]:
        """Counts and sizes of the rounds of configurations that stall in ``shares`` of their lookups."""
        together = np.ones(rounds)
        if self.drift:
            together = together * np.linspace(1 - self.drift, 1 + self.drift, rounds)
        if self.shared:
            together = together * random.gamma(1 / self.shared, self.shared, rounds)
        return [self._draw_one(random, share, together) for share in shares]

    def _draw_one(self, random: np.random.Generator, share: float, together: Counts) -> tuple[Counts, Counts]:
        size = len(together)
        n = random.integers(N // 2, 3 * N // 2, size) if self.unequal else np.full(size, N)
        p = np.full(size, share)
        if self.vary and share:
            scale = 1 / self.vary - 1
            p = random.beta(share * scale, (1 - share) * scale, size)
        counts = random.binomial(n // self.burst, np.clip(p * together, 0, 1)) * self.burst
        return counts.astype(float), n.astype(float)


KINDS = (
    Rounds("independent lookups"),
    Rounds("rounds vary (0.0005)", vary=0.0005),
    Rounds("rounds vary (0.001)", vary=0.001),
    Rounds("bursts of 3", burst=3),
    Rounds("share rises by a tenth", drift=0.05),
    Rounds("rounds of unequal size", vary=0.0005, unequal=True),
    Rounds("a bad minute hits all", shared=0.05),
)
#: what intervals over few rounds cannot hold: rare stalls that come in bursts, or in a few rounds only
BEYOND = (
    (Rounds("rounds vary (0.002)", vary=0.002), 0.002),
    (Rounds("rounds vary (0.002)", vary=0.002), 0.005),
    (Rounds("bursts of 5", burst=5), 0.001),
    (Rounds("share doubles", drift=1 / 3), 0.05),
)


@dataclass(frozen=True)
class Cell:
    """Coverage of the interval of a difference, its mean width over the oracle's, and how often a verdict was said."""

    covered: float
    width: float
    said: float


def difference_cell(random: np.random.Generator, kind: Rounds, rounds: int, share: float, other: float) -> Cell:
    """``share`` against ``other``; the oracle knows the estimator's standard deviation."""
    found = []
    for _ in range(RUNS):
        ours, theirs = kind.draw(random, rounds, share, other)
        found.append(intervals.difference(*ours, *theirs))
    estimates, low, high, p = np.array([(one.estimate, one.low, one.high, one.p) for one in found]).T
    covered = float(np.mean((low <= share - other) & (share - other <= high)))
    oracle = 2 * 1.959964 * float(estimates.std())
    return Cell(covered, float((high - low).mean()) / oracle, float(np.mean(p < 0.05)))


def falsely_different(random: np.random.Generator, kind: Rounds, rounds: int, share: float) -> float:
    """How often any of five configurations that are like baseline is called different."""
    wrong = 0
    for _ in range(RUNS):
        base, *others = kind.draw(random, rounds, *[share] * (N_COMPARED + 1))
        found = intervals.verdicts([intervals.difference(*one, *base) for one in others])
        wrong += any(verdict.word in ("lower", "higher") for verdict in found)
    return wrong / RUNS


def detected(random: np.random.Generator, kind: Rounds, rounds: int, share: float) -> float:
    """How often one of five configurations, which never stalls, is called lower than baseline."""
    seen = 0
    for _ in range(RUNS):
        base, *others = kind.draw(random, rounds, share, 0.0, *[share] * (N_COMPARED - 1))
        seen += intervals.verdicts([intervals.difference(*one, *base) for one in others])[0].word == "lower"
    return seen / RUNS


def lines() -> Iterator[str]:
    """The page, line by line."""
    random = np.random.default_rng(2024)
    yield "# Calibration"
    yield ""
    yield f"`python -m bench.calibration` makes this page: {RUNS:,} made-up runs a cell, {N:,} lookups of each"
    yield "configuration in a round, through the functions that judge a run (`dnslab/intervals.py`). *Covered*: how"
    yield "often the 95 % interval of a difference holds the true one. *Width*: its mean width over that of an oracle"
    yield "that knows how far the estimate scatters. The worst is given of three: against 0, half the share, the same."
    yield ""
    yield "| stalls come as | rounds | share | covered | width | falsely different, of 5 | 0 told from it, of 5 |"
    yield "| --- | --- | --- | --- | --- | --- | --- |"
    for kind, rounds, share in itertools.product(KINDS, ROUNDS, SHARES):
        cells = [difference_cell(random, kind, rounds, share, other) for other in (0.0, share / 2, share)]
        wrong, seen = falsely_different(random, kind, rounds, share), detected(random, kind, rounds, share)
        yield _line(kind, rounds, share, cells, f"{wrong:.1%}", f"{seen:.0%}")
    yield ""
    yield "What no interval over few rounds holds: rare stalls that come in bursts, or in few of the rounds. Longer"
    yield "trials mend it."
    yield ""
    yield "| stalls come as | rounds | share | covered | width |"
    yield "| --- | --- | --- | --- | --- |"
    for (kind, share), rounds in itertools.product(BEYOND, ROUNDS[1:]):
        yield _line(kind, rounds, share, [difference_cell(random, kind, rounds, share, 0.0)])


def _line(kind: Rounds, rounds: int, share: float, cells: list[Cell], *more: str) -> str:
    covered, width = min(cell.covered for cell in cells), max(cell.width for cell in cells)
    return "| " + " | ".join([kind.name, str(rounds), f"{share:.1%}", f"{covered:.1%}", f"{width:.2f}", *more]) + " |"


if __name__ == "__main__":
    for line in lines():
        print(line, flush=True)
