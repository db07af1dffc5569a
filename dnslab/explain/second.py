"""A second cause, which hides behind the first: what raw queries suffer where and when the first cannot reach them.

A server that is silent makes nothing of what others do, and nothing is lost to a cut before and after it. So what is
left there is ranked by itself. Pure.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

import pandas as pd

from dnslab.explain.arm_signs import ARMS
from dnslab.explain.arms import usual_way
from dnslab.explain.engine import Answer, Ranking, Word, beside, rank
from dnslab.explain.flow_signs import COMPARING
from dnslab.explain.signs import read
from dnslab.plan.arms import CONTROL, Places

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dnslab.explain.sign import Sign

ONE_SERVER = "one-server-silent"
CUTS = ("all-lost-for-a-time", "all-lost-at-first")


def with_second(ranking: Ranking, signs: Mapping[str, Sign], arms: pd.DataFrame, places: Places) -> Ranking:
    """``ranking`` of ``signs``, or "two causes" where something is left that the first one does not reach.

    Parameters
    ----------
    arms
        Raw queries (``analyse.arms.arm_frame``).
    """
    if ranking.answer in (Answer.NOTHING, Answer.TWO):
        return ranking
    for name, rows in _apart(signs, arms, places):
        if ranking.leading and ranking.leading.mechanism.name != name:
            continue
        first = ranking.leading or beside(name, signs)
        left = rank(read(None, rows), _not_sent(rows))
        second = left.leading
        sure = second is not None and max(first.word.rank, second.word.rank) <= Word.LIKELY.rank
        if second and sure and second.mechanism.name != name:
            return replace(ranking, answer=Answer.TWO, found=(first, second), unexplained=())
    return ranking


def beside_cuts(arms: pd.DataFrame) -> dict[str, Sign]:
    """Signs that compare, as they are before and after the stretches in which nothing was answered."""
    signs = read(None, calm(arms))
    return {name: signs[name] for name in COMPARING}


def calm(arms: pd.DataFrame) -> pd.DataFrame:
    """``arms`` without the stretches in which nothing was answered."""
    return pd.DataFrame([{**row, **row["calm"], "silent_s": math.nan} for row in arms.to_dict("records")])


def _apart(signs: Mapping[str, Sign], arms: pd.DataFrame, places: Places) -> Iterator[tuple[str, pd.DataFrame]]:
    """Mechanisms whose reach is known, and the raw queries that were out of it."""
    asked = arms[arms["arm"] != CONTROL]
    at_servers = asked[asked["place"].isin(places.stayed)]
    sums = at_servers.groupby("place")[["n", "unanswered"]].sum()
    silent = set(sums.index[sums["n"] == sums["unanswered"]])
    if silent and len(silent) < len(sums):
        yield ONE_SERVER, at_servers[~at_servers["place"].isin(silent)]
    if signs["raw-window"].yes:
        yield CUTS[signs["from-start"].yes], calm(usual_way(arms))


def _not_sent(rows: pd.DataFrame) -> list[str]:
    """Signs of arms that are not among ``rows``."""
    there = set(rows["arm"])
    return [
        name
        for name in read(None)
        if any(name.startswith(f"raw-{key}-") for key, (arm, _) in ARMS.items() if arm not in there)
    ]
