"""A second cause, which hides behind the first: what raw queries suffer where and when the first cannot reach them.

A server that is silent does nothing to what others answer. A cut loses nothing before and after it, and a pause delays
nothing. A delay of all answers makes none later than the others. An answer that is cut short is no later over UDP. So
what each does not reach is ranked by itself. Pure.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

import pandas as pd

from dnslab.analyse.arms import SILENT_ARMS
from dnslab.explain.arm_counts import ONE_SOCKET, UDP
from dnslab.explain.arm_signs import ARMS
from dnslab.explain.arms import usual_way
from dnslab.explain.engine import Answer, Ranking, Word, beside, rank
from dnslab.explain.flow_signs import COMPARING
from dnslab.explain.signs import read
from dnslab.plan.arms import CONTROL, Places
from dnslab.sentences import signs as said

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dnslab.explain.sign import Sign

ONE_SERVER, PAUSES = "one-server-silent", "pauses"
CUTS = ("all-lost-for-a-time", "all-lost-at-first")
#: all answers, or all to one type, are late
LATE = ("all-late", "aaaa-late")
#: all are, and some to pairs from one socket, or to sockets that are kept, come from elsewhere
ELSEWHERE = "answers-from-elsewhere"
#: it makes answers over UDP no later
TRUNCATED = "truncated"
#: names of signs that tell how long answers take
_OF_TIMES = re.compile("delay|late|held|short")


def with_second(ranking: Ranking, signs: Mapping[str, Sign], arms: pd.DataFrame, places: Places) -> Ranking:
    """``ranking`` of ``signs``, or "two causes" where something is left that the first one does not reach.

    Parameters
    ----------
    arms
        Raw queries (``analyse.arms.arm_frame``).
    """
    if ranking.answer in (Answer.NOTHING, Answer.TWO):
        return ranking
    told = {one.mechanism.name: one for one in ranking.found}
    for name, rows in _apart(signs, arms, places):
        if told and name not in told:
            continue
        first = told.get(name) or beside(name, signs)
        left = rank(_read(rows, name), _not_sent(rows))
        second = left.leading if left.answer is Answer.FOUND else None
        sure = second is not None and max(first.word.rank, second.word.rank) <= Word.LIKELY.rank
        if second and sure and second.mechanism.name != name:
            return replace(ranking, answer=Answer.TWO, found=(first, second), unexplained=())
    return ranking


def _read(rows: pd.DataFrame, reach: str) -> dict[str, Sign]:
    """The signs of ``rows``; of times beyond the usual ones, with words that say so."""
    signs = read(None, rows)
    if reach not in (*LATE, ELSEWHERE):
        return signs
    # When queries were sent has nothing to do with answers.
    of_times = [sign for name, sign in signs.items() if _OF_TIMES.search(name) and not name.endswith("sent-late")]
    return {**signs, **{one.name: replace(one, claim=said.BEYOND(claim=one.claim)) for one in of_times}}


def beside_cuts(arms: pd.DataFrame) -> dict[str, Sign]:
    """Signs that compare, as they are before and after the stretches in which nothing was answered."""
    signs = read(None, calm(arms))
    return {name: signs[name] for name in COMPARING}


def calm(arms: pd.DataFrame) -> pd.DataFrame:
    """``arms`` without the stretches in which nothing was answered."""
    return pd.DataFrame([{**row, **row["calm"], "silent_s": math.nan} for row in arms.to_dict("records")])


def running(arms: pd.DataFrame) -> pd.DataFrame:
    """``arms`` without the stretches in which all answers had to wait, or none came."""
    return calm(pd.DataFrame([{**row, "calm": row["running"], "pauses": 0} for row in arms.to_dict("records")]))


def beyond(arms: pd.DataFrame) -> pd.DataFrame:
    """``arms`` with what answers took longer than usual, in place of what they took."""
    return pd.DataFrame([{**row, **row["beyond"]} for row in arms.to_dict("records")])


def _apart(signs: Mapping[str, Sign], arms: pd.DataFrame, places: Places) -> Iterator[tuple[str, pd.DataFrame]]:
    """Mechanisms whose reach is known, and the raw queries that were out of it."""
    asked = arms[arms["arm"] != CONTROL]
    at_servers = asked[asked["place"].isin(places.stayed)]
    sums = at_servers.groupby("place")[["n", "unanswered"]].sum()
    silent = set(sums.index[sums["n"] == sums["unanswered"]])
    if silent and len(silent) < len(sums):
        yield ONE_SERVER, at_servers[~at_servers["place"].isin(silent)]
    if signs["raw-window"].yes:
        yield CUTS[signs["from-start"].yes], calm(usual_way(_told_silence(asked)))
    if signs["raw-paused"].yes:
        yield PAUSES, running(usual_way(asked))
    if arms["beyond"].map(bool).any():
        later = beyond(usual_way(arms))
        yield from ((name, later) for name in LATE)
        if signs["wrong-address"].yes:
            yield ELSEWHERE, later[~later["arm"].isin((ONE_SOCKET, "standing"))]
    if signs["raw-any-truncated"].yes:
        yield TRUNCATED, usual_way(arms).assign(truncated=0)


def _told_silence(arms: pd.DataFrame) -> pd.DataFrame:
    """Rows of the rates at which a stretch without answers would have been told: it takes some arms."""
    n_arms = arms[arms["arm"].isin(UDP)].drop_duplicates(["arm", "place", "rate_per_s"])["rate_per_s"].value_counts()
    return arms[arms["rate_per_s"].isin(n_arms.index[n_arms >= SILENT_ARMS])]


def _not_sent(rows: pd.DataFrame) -> list[str]:
    """Signs of arms that are not among ``rows``."""
    there = set(rows["arm"])
    return [
        name
        for name in read(None)
        if any(name.startswith(f"raw-{key}-") for key, (arm, _) in ARMS.items() if arm not in there)
    ]
