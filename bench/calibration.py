"""Whether intervals cover and verdicts hold, from made-up rounds whose truth is known.

The generators know nothing of the method: shares of rounds that vary (beta-binomial), that rise over the run, that a
bad minute moves for all configurations; stalls that come in bursts; rounds of unequal size. Every figure goes through
the functions that judge a run. ``python -m bench.calibration > docs/calibration.md`` makes the page.
"""

from __future__ import annotations

import itertools
import multiprocessing
import textwrap
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from dnslab.analyse import intervals
from dnslab.analyse.intervals import Interval
from dnslab.explain.findings import FEW_EVENTS

SEED = 2024
RUNS = 1_000
#: of a figure that misses its bound, from other random numbers: 1,000 runs err by 0.7 points where 95 % is true
RUNS_AGAIN = 10_000
RUNS_ORACLE = 20_000
#: lookups of a configuration in a round: ten seconds at 200/s, the default
N = 2_000
N_COMPARED = 5
Z = 1.959964
ROUNDS = (3, 5, 9, 20)
SHARES = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05)

Counts = npt.NDArray[np.float64]
#: counts of a configuration and the lookups they are of, both of shape (runs, rounds)
Arm = tuple[Counts, Counts]


@dataclass(frozen=True)
class Rounds:
    """How stalls come.

    ``vary`` is the beta-binomial's intraclass correlation: at 0.0005 rounds differ twice as much (in variance) as
    independent lookups would, at 0.002 five times. Shares go from ``1 - drift`` to ``1 + drift`` of their mean over the
    run. ``shared`` is the variance of a factor that all configurations of a round have in common.
    """

    name: str
    vary: float = 0.0
    burst: int = 1
    drift: float = 0.0
    unequal: bool = False
    shared: float = 0.0

    def spread(self, share: float) -> float:
        """How many times as much as independent lookups rounds scatter, but for a trend."""
        return self.burst * (1 + (N - 1) * self.vary) + N * share * self.shared

    def draw(self, random: np.random.Generator, runs: int, rounds: int, *shares: float) -> list[Arm]:
        """Configurations that stall in ``shares`` of their lookups."""
        together = np.tile(np.linspace(1 - self.drift, 1 + self.drift, rounds), (runs, 1))
        if self.shared:
            together *= random.gamma(1 / self.shared, self.shared, (runs, rounds))
        return [self._draw_one(random, share, together) for share in shares]

    def _draw_one(self, random: np.random.Generator, share: float, together: Counts) -> Arm:
        size = together.shape
        n = (random.integers(N // 2, 3 * N // 2, size) if self.unequal else np.full(size, N)) // self.burst
        p = np.full(size, share)
        if self.vary and share:
            scale = 1 / self.vary - 1
            p = random.beta(share * scale, (1 - share) * scale, size)
        counts = random.binomial(n, np.clip(p * together, 0, 1))
        return (counts * self.burst).astype(float), (n * self.burst).astype(float)


KINDS = (
    Rounds("independent lookups"),
    Rounds("rounds vary (0.0005)", vary=0.0005),
    Rounds("rounds vary (0.001)", vary=0.001),
    Rounds("rounds vary (0.002)", vary=0.002),
    Rounds("bursts of 3", burst=3),
    Rounds("bursts of 5", burst=5),
    Rounds("share rises by a tenth", drift=0.05),
    Rounds("share doubles", drift=1 / 3),
    Rounds("rounds of unequal size", vary=0.0005, unequal=True),
    Rounds("a bad minute hits all", shared=0.05),
)


@dataclass(frozen=True)
class Cell:
    """One way stalls come, in so many rounds, at one share."""

    kind: Rounds
    rounds: int
    share: float
    runs: int = RUNS

    @property
    def events(self) -> float:
        """Stalls that are expected, over how many come together."""
        return self.rounds * N * self.share / self.kind.spread(self.share)

    def random(self, what: int) -> np.random.Generator:
        """The generator of one figure, whatever else is drawn."""
        kind, share = KINDS.index(self.kind), round(self.share * 1e4)
        return np.random.default_rng([SEED, self.runs, kind, self.rounds, share, what])


@dataclass(frozen=True)
class Estimate:
    """An interval to judge: ``judge`` takes counts and totals of arms that stall in ``shares``.

    ``apart``: each arm is of a run, and of minutes, of its own.
    """

    name: str
    judge: Callable[..., Interval]
    shares: tuple[float, ...]
    apart: bool = False

    @property
    def truth(self) -> float:
        """The share, or the first less the second."""
        return self.shares[0] - sum(self.shares[1:])

    def draw(self, random: np.random.Generator, kind: Rounds, runs: int, rounds: int) -> list[Arm]:
        """What is measured, ``runs`` times."""
        if not self.apart:
            return kind.draw(random, runs, rounds, *self.shares)
        return [arm for share in self.shares for arm in kind.draw(random, runs, rounds, share)]


def estimates(share: float) -> list[Estimate]:
    """Every interval of a share that a report can show."""
    return [
        Estimate("alone", intervals.share, (share,)),
        Estimate("less 0", intervals.difference, (share, 0.0)),
        Estimate("less half", intervals.difference, (share, share / 2)),
        Estimate("less the same", intervals.difference, (share, share)),
        Estimate("less half, another run", intervals.unpaired_difference, (share, share / 2), apart=True),
    ]


@dataclass(frozen=True)
class Covered:
    """How often an interval holds the truth, and its mean width over the oracle's; how often the oracle's holds it.

    The oracle knows the generator, and so how far the estimate scatters: 1.96 standard deviations to each side.
    """

    covered: float
    width: float
    oracle_covered: float


def coverage(cell: Cell, what: int) -> Covered:
    """Of the interval ``estimates(share)[what]``."""
    estimate, random = estimates(cell.share)[what], cell.random(what)
    arms = estimate.draw(random, cell.kind, cell.runs, cell.rounds)
    found = [estimate.judge(*itertools.chain(*run)) for run in _each(arms)]
    low, high = np.array([(one.low, one.high) for one in found]).T
    covered = (low <= estimate.truth) & (estimate.truth <= high)
    shares = [k.sum(1) / n.sum(1) for k, n in estimate.draw(random, cell.kind, RUNS_ORACLE, cell.rounds)]
    seen = shares[0] - sum(shares[1:])
    half = Z * float(seen.std())
    return Covered(
        float(covered.mean()),
        float((high - low).mean()) / (2 * half),
        float((np.abs(seen - estimate.truth) <= half).mean()),
    )


def _each(arms: list[Arm]) -> Iterator[list[tuple[Counts, Counts]]]:
    """Run by run: counts and totals, one a round, of each arm."""
    for i in range(len(arms[0][0])):
        yield [(counts[i], totals[i]) for counts, totals in arms]


def falsely_different(cell: Cell) -> float:
    """How often any of five configurations that are like baseline is called different."""
    arms = cell.kind.draw(cell.random(10), cell.runs, cell.rounds, *[cell.share] * (N_COMPARED + 1))
    return float(np.mean([any(word in ("lower", "higher") for word in words) for words in _words(arms)]))


def detected(cell: Cell) -> float:
    """How often one of five configurations, which never stalls, is called lower than baseline."""
    like_baseline = [cell.share] * (N_COMPARED - 1)
    arms = cell.kind.draw(cell.random(11), cell.runs, cell.rounds, cell.share, 0.0, *like_baseline)
    return float(np.mean([words[0] == "lower" for words in _words(arms)]))


def _words(arms: list[Arm]) -> Iterator[list[str]]:
    """Run by run: what is said of all arms but the first, which is baseline."""
    for base, *others in _each(arms):
        yield [one.word for one in intervals.verdicts([intervals.difference(*other, *base) for other in others])]


#: what has to hold, and where
COVERED, WIDTH, WRONG, SEEN = 0.93, 1.5, 0.05, 0.9
ROUNDS_COVERED, ROUNDS_SEEN, SHARE_SEEN = 5, 9, 0.01


@dataclass(frozen=True)
class Row:
    """All that is measured of a cell."""

    cell: Cell
    covered: tuple[Covered, ...]
    wrong: float
    seen: float

    @property
    def uncovered(self) -> list[int]:
        """The intervals that hold the truth too seldom."""
        judged = self.cell.rounds >= ROUNDS_COVERED
        return [i for i, one in enumerate(self.covered) if judged and one.covered < COVERED]

    @property
    def wide(self) -> list[int]:
        """The intervals that are too wide."""
        return [i for i, one in enumerate(self.covered) if one.width > WIDTH]

    @property
    def unseen(self) -> bool:
        """Whether a configuration that never stalls is told from baseline too seldom."""
        return self.cell.rounds >= ROUNDS_SEEN and self.cell.share >= SHARE_SEEN and self.seen < SEEN

    def __str__(self) -> str:
        names = [one.name for one in estimates(self.cell.share)]
        low = min(range(len(names)), key=lambda i: self.covered[i].covered)
        wide = max(range(len(names)), key=lambda i: self.covered[i].width)
        return _line(
            self.cell.kind.name,
            str(self.cell.rounds),
            _percent(self.cell.share),
            _bold(f"{_percent(self.covered[low].covered)} ({names[low]})", bool(self.uncovered)),
            _bold(f"{self.covered[wide].width:.2f} ({names[wide]})", bool(self.wide)),
            _bold(_percent(self.wrong), self.wrong > WRONG),
            _bold(_percent(self.seen), self.unseen),
        )


def measure(cell: Cell) -> Row:
    """A row of the page."""
    found = tuple(coverage(cell, i) for i in range(len(estimates(cell.share))))
    return Row(cell, found, falsely_different(cell), detected(cell))


def _line(*cells: str) -> str:
    return "| " + " | ".join(cells) + " |"


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def _bold(text: str, bold: bool) -> str:
    return f"**{text}**" if bold else text


def again(row: Row) -> Iterator[tuple[str, float, float, bool]]:
    """What missed a bound that chance may miss, from other and more numbers: name, then, now, whether it still does."""
    cell = replace(row.cell, runs=RUNS_AGAIN)
    for i in row.uncovered:
        more = coverage(cell, i).covered
        yield f"covered, {estimates(cell.share)[i].name}", row.covered[i].covered, more, more < COVERED
    if row.wrong > WRONG:
        more = falsely_different(cell)
        yield "falsely different", row.wrong, more, more > WRONG
    if row.unseen:
        more = detected(cell)
        yield "0 told from it", row.seen, more, more < SEEN


def held(rows: list[Row]) -> Iterator[str]:
    """How many figures hold their bounds, a line for each bound."""
    n = len(rows[0].covered)
    many = [row for row in rows if row.cell.rounds >= ROUNDS_COVERED]
    few = [row for row in rows if row.cell.rounds < ROUNDS_COVERED]
    seen = [row for row in rows if row.cell.rounds >= ROUNDS_SEEN and row.cell.share >= SHARE_SEEN]
    for bound, of_them in (
        ("covered in 93 % of runs or more", many),
        (f"... of {FEW_EVENTS} events or more", [row for row in many if row.cell.events >= FEW_EVENTS]),
        ("... of fewer", [row for row in many if row.cell.events < FEW_EVENTS]),
    ):
        yield _line(bound, "5 or more", _of(sum(n - len(row.uncovered) for row in of_them), n * len(of_them)))
    yield _line("width 1.5 or less", "5 or more", _of(sum(n - len(row.wide) for row in many), n * len(many)))
    yield _line("width 1.5 or less", "3", _of(sum(n - len(row.wide) for row in few), n * len(few)))
    yield _line("falsely different in 5 % or less", "all", _of(sum(row.wrong <= WRONG for row in rows), len(rows)))
    yield _line(
        "0 told from 1 % or more in 90 % or more", "9 or more", _of(sum(not row.unseen for row in seen), len(seen))
    )


def _of(n: int, total: int) -> str:
    return f"{n} of {total}"


def named(cells: Iterable[Cell]) -> str:
    """Cells in words, by kind and share."""
    words = []
    for kind, of_kind in itertools.groupby(cells, lambda cell: cell.kind.name):
        by_share: dict[float, set[int]] = {}
        for cell in of_kind:
            by_share.setdefault(cell.share, set()).add(cell.rounds)
        shares = [
            f"{_percent(share)} in {_listed(sorted(rounds))} rounds" for share, rounds in sorted(by_share.items())
        ]
        words.append(f"{kind}: {', '.join(shares)}")
    return "; ".join(words) or "none"


def _listed(rounds: list[int]) -> str:
    *most, last = [str(number) for number in rounds]
    return f"{', '.join(most)} and {last}" if most else last


def lines(rows: list[Row]) -> Iterator[str]:
    """The page, line by line."""
    repeated = [(row.cell, *more) for row in rows for more in again(row)]
    oracle = [one.oracle_covered for row in rows for one in row.covered]
    yield HEAD.format(worst=_percent(min(oracle)), best=_percent(max(oracle)), events=FEW_EVENTS)
    yield "| bound | rounds | holds in |\n| --- | --- | --- |"
    yield from held(rows)
    yield f"\nFalsely different, the mean of all rows: {_percent(float(np.mean([row.wrong for row in rows])))}."
    yield "\n## What does not hold\n"
    missing = [(cell, name) for cell, name, _, _, misses in repeated if misses]
    uncovered = named(cell for cell, name in missing if name.startswith("covered"))
    wide = named(row.cell for row in rows if row.wide and row.cell.rounds >= ROUNDS_COVERED)
    wrong = named(cell for cell, name in missing if name == "falsely different")
    yield _wrapped(f"Covered in less than 93 %, also of {RUNS_AGAIN:,} runs: {uncovered}. {RARE}")
    yield _wrapped(f"Wider than 1.5 times the oracle's: most over 3 rounds; {wide}. {WIDE}")
    yield _wrapped(f"Falsely different in more than 5 %, also of {RUNS_AGAIN:,} runs: {wrong}. {WRONG_AGAIN}")
    yield f"| stalls come as | rounds | share | figure | {RUNS:,} runs | {RUNS_AGAIN:,} others |"
    yield "| --- | --- | --- | --- | --- | --- |"
    for cell, name, then, now, misses in repeated:
        place = cell.kind.name, str(cell.rounds), _percent(cell.share)
        yield _line(*place, name, _percent(then), _bold(_percent(now), misses))
    yield "\n## All\n"
    yield "| stalls come as | rounds | share | covered, worst | width, worst | falsely different | 0 told from it |"
    yield "| --- | --- | --- | --- | --- | --- | --- |"
    yield from (str(row) for row in rows)


def _wrapped(text: str) -> str:
    return textwrap.fill(text, 120) + "\n"


HEAD = """\
# Calibration

Do the intervals of a report cover, and are its verdicts right? `python -m bench.calibration > docs/calibration.md`
makes this page in eight minutes of two cores: made-up runs whose truth is known, judged by the functions that judge
a run (`dnslab/intervals.py`). 1,000 runs a figure, 2,000 lookups of each configuration in a round.

- *Covered*: how often a 95 % interval holds the truth. Five intervals are judged: that of a share (alone), of its
  difference from none, from half of it and from the same, paired by round (less 0, less half, less the same), and of
  its difference from half of it in another run, unpaired. Tables give the worst.
- *Width*: mean width over that of an oracle, which knows the generator, and so how far the estimate scatters: 1.96
  standard deviations to each side, however few the rounds (it covers in {worst} to {best}). An interval that learns
  the scatter from the rounds is wider: one of t, where rounds are normal, 1.95 times over 3 rounds, 1.33 over 5, 1.14
  over 9, 1.05 over 20. Ours is never narrower than independent lookups give, which adds to that.
- *Events*: stalls that are expected, over how many times as much as independent ones they scatter. Of a run with fewer
  than {events} the report says that its intervals may end too low.
- *Falsely different*: how often any of five configurations that are like baseline is called lower or higher. *0 told
  from it*: how often one that never stalls, beside four like baseline, is called lower.
- Stalls come independently; or the share of a round varies (beta-binomial; in brackets the correlation of two lookups
  of a round: 0.0005 doubles the variance of a round, 0.002 makes it five times as large); in bursts (correlated
  lookups); rising evenly over the run; in rounds of 1,000 to 3,000 lookups, each configuration's its own, with a share
  that varies (0.0005); or with bad minutes, which all configurations of a round have in common.

What misses a bound is bold. What chance may miss (a thousand runs err by 0.7 points where 95 % is true) is measured
again from 10,000 others.
"""
RARE = """\
Where stalls are few and come together, some runs miss most of them: those show a low share and little scatter both, and
the interval ends too low. Of runs with bursts of 5 at 0.1 % over 5 rounds, two bursts each on average, one in seven
shows no stall at all, and nothing in it says that they come five at a time. Longer trials mend that: five times as long
they have as many bursts as at 0.5 %. Where the rounds themselves differ so much, only rounds do, and slowly."""
WIDE = """\
Over 3 rounds t alone is too wide. Over 5 a share that rises over the run is scatter to an interval, while the oracle
knows that it is none. To tell them apart costs a degree of freedom: with the three that are left t alone would be 1.49
times as wide as the oracle, and 1.56 never narrower than independent lookups give, however stalls come. From 6 rounds
on the trend is taken out."""
WRONG_AGAIN = """\
Over 3 rounds of so few bursts, the rounds' differences are often the same by chance, and then nothing shows that
lookups are not independent."""


if __name__ == "__main__":
    cells = [Cell(*one) for one in itertools.product(KINDS, ROUNDS, SHARES)]
    with multiprocessing.Pool() as pool:
        measured = pool.map(measure, cells, chunksize=1)
    for line in lines(measured):
        print(line)
