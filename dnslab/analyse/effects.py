"""What a configuration changes against another one: differences of shares and quantiles, and a verdict on each."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence

from dnslab.analyse import intervals
from dnslab.analyse.counts import Cell, RoundCounts
from dnslab.analyse.intervals import Interval, Verdict
from dnslab.analyse.quantiles import LEVELS

#: counts whose share is compared
SHARES = ("stalls", "slow", "failed")


def column(rounds: Sequence[RoundCounts], name: str) -> list[float]:
    """One value for each round."""
    return [getattr(numbers, name) for numbers in rounds]


def effects_of(cell: Cell, baseline: Cell) -> dict[str, Interval]:
    """Differences from baseline, paired by round; quantiles are of latency censored at the common deadline."""
    common = sorted(cell.rounds.keys() & baseline.rounds.keys())
    ours, theirs = ([side.rounds[number] for number in common] for side in (cell, baseline))
    effects = {}
    for name in SHARES:
        columns = [column(side, count) for side in (ours, theirs) for count in (name, "n")]
        effects[f"{name}_share"] = intervals.difference(*columns)
    deadline_ms = min(cell.deadline_ms, baseline.deadline_ms)
    for name in LEVELS:
        pairs = zip(column(ours, name), column(theirs, name), strict=True)
        effects[name] = intervals.mean(
            [min(ours_ms, deadline_ms) - min(base_ms, deadline_ms) for ours_ms, base_ms in pairs]
        )
    return effects


def judge(effects: Sequence[Mapping[str, Interval]], families: Sequence[Hashable]) -> list[Mapping[str, Verdict]]:
    """A verdict for each effect. Effects of one measure and one family are corrected for their number together.

    Parameters
    ----------
    effects
        By measure, one mapping for each row; an empty one for a row that is not compared.
    families
        Of each row, as its load.

    Returns
    -------
    list
        For each row the verdicts by measure.
    """
    given: list[dict[str, Verdict]] = [{} for _ in effects]
    for family in dict.fromkeys(families):
        rows = {i: row for i, row in enumerate(effects) if families[i] == family}
        for name in dict.fromkeys(name for row in rows.values() for name in row):
            compared = {i: row[name] for i, row in rows.items() if name in row}
            for i, verdict in zip(compared, intervals.verdicts(list(compared.values())), strict=True):
                given[i][name] = verdict
    return list(given)
