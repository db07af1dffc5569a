"""Where lookups are hit: on which targets (nodes, pods), where others are spared beyond chance. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from dnslab.analyse.observed import Observed
from dnslab.explain.sign import BUSY, State, hit_too, some
from dnslab.sentences import Sentence, around as said
from dnslab.text import first_of

if TYPE_CHECKING:
    import pandas as pd

MOST_NAMED = 3


def hit_targets(arms: pd.DataFrame, observed: Observed | None) -> str:
    """A sentence that names the targets that are hit, by raw queries or else by lookups; ``""`` where that is open.

    Parameters
    ----------
    arms
        Raw queries on the usual way (``explain.arms.usual_way``).
    observed
        Of the C library's lookups.
    """
    for column, noise in BUSY.items():
        if len(arms) and (line := _line(_of_hit_arms(arms, column, noise), noise, said.QUERIES)):
            return line
    return _line(observed.targets, BUSY["lost"], said.LOOKUPS) if observed else ""


def _of_hit_arms(arms: pd.DataFrame, column: str, noise: float) -> dict[str, tuple[int, int]]:
    """By target, queries and hit ones of those arms that are hit at all: the others would only add clean queries."""
    sums = arms.groupby("arm", observed=True)[["n", column]].sum()
    hit = [arm for arm, counts in sums.iterrows() if some(int(counts[column]), int(counts["n"]), noise) is State.YES]
    by_target = arms[arms["arm"].isin(hit)].groupby("target", observed=True)[["n", column]].sum()
    return {str(target): (int(counts["n"]), int(counts[column])) for target, counts in by_target.iterrows()}


def _line(targets: Mapping[str, tuple[int, int]], noise: float, what: Sentence) -> str:
    bad = [name for name, (n, k) in targets.items() if some(k, n, noise) is State.YES]
    good = [name for name in targets if name not in bad]
    if not bad or not good:
        return ""
    (n, k), (rest_n, rest_k) = ([sum(targets[name][i] for name in part) for i in (0, 1)] for part in (bad, good))
    if hit_too(rest_k, rest_n, k, n) is not State.NO:
        return ""
    return said.WHERE(
        bad=first_of(bad, MOST_NAMED),
        k=f"{k:,}",
        n=f"{n:,}",
        what=str(what),
        good=first_of(good, MOST_NAMED),
        rest_k=f"{rest_k:,}",
        rest_n=f"{rest_n:,}",
    )
