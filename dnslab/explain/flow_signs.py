"""Signs of what raw queries lose together: the same socket, both of a pair, the same stretch of time, more at a higher
rate.

Takes a frame of ``analyse.arms.arm_frame``. What it lacks is "not measured".
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from dnslab.explain.arm_counts import NOT_GROWN, ONE_SOCKET, TWO_SOCKETS, UDP, by_rate, lost_of, sums, unanswered
from dnslab.explain.delay_signs import MANY
from dnslab.explain.loss_signs import FEW
from dnslab.explain.sign import ALPHA, BUSY, MIN_EVENTS, Sign, State, hit_too, most, some
from dnslab.plan.arms import STANDING_SOCKETS
from dnslab.sentences import Sentence, signs as said
from dnslab.text import counted, span_of

if TYPE_CHECKING:
    import pandas as pd

#: how many times as often pairs, and kept sockets, have to lose queries: those of few sockets differ by chance
_MORE_OF_PAIRS, _MORE = 1.2, 1.5
#: how often chance spares all kept sockets, where it is said that they are spared
_NONE_BY_CHANCE = 0.02
#: of pairs that lost one query, the share that lost the same one
_MOSTLY = 0.8
#: parts of a trial: a stretch of silence that is longer is no stretch, and one that begins earlier begins with it
_WHOLE, _AT_FIRST = 0.9, 0.1
#: what all lose at some time would drown them
COMPARING = (
    *("raw-kept-spared", "raw-kept-same", "raw-lost-grows", "raw-pair-more", "raw-pairs-more", "raw-standing-more"),
    *("raw-pair-first", "raw-pair-second", "raw-whole-flows"),
)
#: pauses, or a length of one, s, from which on it is no hiccup of a busy machine
_PAUSES, _PAUSED_S = 2, 1.0
NAMES = (*COMPARING, "raw-window", "raw-from-start", "raw-paused")


def read(arms: pd.DataFrame) -> Iterator[Sign]:
    """All of them."""
    pairs = (_pair_more, _pairs_more, _pair_first, _pair_second, _whole_flows)
    for reader in (_kept_spared, _kept_same, _standing_more, _lost_grows, *pairs):
        yield reader(arms)
    yield from _window(arms)
    yield _paused(arms)


def _kept_spared(arms: pd.DataFrame) -> Sign:
    """Queries on kept sockets are spared what queries on new ones suffer at the same time."""
    name, (k, n), (kept_k, kept_n) = "raw-kept-spared", lost_of(arms, "a", "aaaa"), lost_of(arms, "standing")
    claim = said.ARM_KEPT(lost=f"{k:,}", n=f"{n:,}", kept_lost=f"{kept_k:,}", kept=f"{kept_n:,}")
    if not kept_n or some(k, n, BUSY["lost"]) is not State.YES:
        return Sign(name, State.NOT_MEASURED, claim)
    if kept_k:
        return Sign(name, hit_too(kept_k, kept_n, k, n).opposite, claim)
    # If some sockets were always lost, and others never, each would count once.
    sockets = int(arms.loc[arms["arm"] == "standing", "n"].clip(upper=STANDING_SOCKETS).sum())
    return Sign(name, State.YES if (1 - k / n) ** sockets < _NONE_BY_CHANCE else State.UNCLEAR, claim)


def _kept_same(arms: pd.DataFrame) -> Sign:
    """Some kept sockets get no answer at all, and chance does not give as many: it is always the same sockets."""
    from scipy.stats import poisson

    name, rows = "raw-kept-same", arms[arms["arm"] == "standing"]
    if "kept" not in arms or not rows["kept"].sum():
        return Sign(name, State.NOT_MEASURED, str(said.NO_ARMS))
    k, n = int(rows["kept_silent"].sum()), int(rows["kept"].sum())
    by_chance = float(poisson.sf(k - 1, rows["kept_chance"].sum())) >= ALPHA
    enough = rows["unanswered"].sum() >= MIN_EVENTS
    state = State.YES if k and not by_chance else State.NO if enough and not k else State.UNCLEAR
    return Sign(name, state, said.ARM_SAME(seen=f"{k:,}", n=f"{n:,}"))


def _pair_first(arms: pd.DataFrame) -> Sign:
    """Of pairs from one socket that lost one query, it is the first in most."""
    return _one_of_pair("raw-pair-first", arms, "first", lambda k, n: most(k, n, _MOSTLY))


def _pair_second(arms: pd.DataFrame) -> Sign:
    """Of pairs from one socket that lost one query, it is the second in most, and not by chance."""

    def judged(k: int, n: int) -> State:
        from scipy.special import bdtrc

        if k < _MOSTLY * n:
            return State.NO
        return State.YES if float(bdtrc(k - 1, n, 0.5)) < ALPHA else State.UNCLEAR

    return _one_of_pair("raw-pair-second", arms, "second", judged)


def _one_of_pair(name: str, arms: pd.DataFrame, which: str, judged: Callable[[int, int], State]) -> Sign:
    """What is ``judged`` of how many pairs lost the query alone that was sent ``which``, and how many lost one."""
    rows = arms[arms["arm"] == ONE_SOCKET]
    if "lost_first" not in arms or not len(rows):
        return Sign(name, State.NOT_MEASURED, str(said.NO_ARMS))
    k, n = int(rows[f"lost_{which}"].sum()), int((rows["lost_first"] + rows["lost_second"]).sum())
    if n < FEW:
        return Sign(name, State.NOT_MEASURED, str(said.NO_BAD))
    return Sign(name, judged(k, n), said.ARM_ONE_OF_PAIR(seen=f"{k:,}", n=f"{n:,}", which=which))


def _whole_flows(arms: pd.DataFrame) -> Sign:
    """Both queries of a pair are lost more often if one socket sent them than if two did: whole flows are lost."""
    name = "raw-whole-flows"
    if "lost_first" not in arms:
        return Sign(name, State.NOT_MEASURED, str(said.NO_ARMS))
    (k, n), (two_k, two_n) = (_both_lost(arms[arms["arm"] == arm]) for arm in (ONE_SOCKET, TWO_SOCKETS))
    if not n or not two_n:
        return Sign(name, State.NOT_MEASURED, str(said.NO_ARMS))
    claim = said.ARM_WHOLE_FLOWS(both=f"{k:,}", n=f"{n:,}", two_both=f"{two_k:,}", two=f"{two_n:,}")
    if not k:
        return Sign(name, State.NO, claim)
    more = k >= MIN_EVENTS and _surely_more(k, n, two_k, two_n)
    return Sign(name, State.YES if more else State.UNCLEAR, claim)


def _both_lost(rows: pd.DataFrame) -> tuple[int, int]:
    """Pairs of which neither query was answered, and all pairs."""
    rows = unanswered(rows)
    one_lost = rows["lost_first"].sum() + rows["lost_second"].sum()
    return int(rows["lost"].sum() - one_lost) // 2, int(rows["n"].sum()) // 2


def _surely_more(k: int, n: int, other_k: int, other_n: int) -> bool:
    """Whether a rate is surely higher than another (exact conditional test)."""
    from scipy.special import bdtrc

    return float(bdtrc(k - 1, k + other_k, n / (n + other_n))) < ALPHA


def _window(arms: pd.DataFrame) -> Iterator[Sign]:
    """In some stretch no query over UDP was answered, of whatever arm; and each trial begins with it."""
    states, claim = (State.NOT_MEASURED, State.NOT_MEASURED), str(said.NO_ARMS)
    if "silent_s" in arms:
        rows = arms[(arms["silent_s"] > 0) & (arms["silent_s"] < _WHOLE * arms["length_s"])]
        if len(rows):
            start_s, end_s = rows["silent_from_s"].median(), (rows["silent_from_s"] + rows["silent_s"]).median()
            claim = said.ARM_WINDOW(start=span_of(start_s), end=span_of(end_s))
            first = bool((rows["silent_from_s"] <= _AT_FIRST * rows["length_s"]).all())
            states = State.YES, State.NO if not first else State.YES if len(rows) > 1 else State.UNCLEAR
        elif arms.loc[arms["arm"].isin(UDP), "unanswered"].sum() >= MANY:
            states, claim = (State.NO, State.NO), str(said.ARM_NO_WINDOW)
        else:
            claim = str(said.NO_BAD)
    for name, state in zip(("raw-window", "raw-from-start"), states, strict=True):
        yield Sign(name, state, claim)


def _paused(arms: pd.DataFrame) -> Sign:
    """Now and then all queries over UDP had to wait at the same time."""
    name = "raw-paused"
    n = int(arms["pauses"].sum()) if "pauses" in arms else 0
    if not n:
        return Sign(name, State.NOT_MEASURED, str(said.NO_BAD if "pauses" in arms else said.NO_ARMS))
    longest_s = arms["paused_s"].max()
    claim = said.ARM_PAUSED(times=counted(n, "time"), longest=span_of(longest_s))
    return Sign(name, State.YES if n >= _PAUSES or longest_s >= _PAUSED_S else State.UNCLEAR, claim)


def _lost_grows(arms: pd.DataFrame) -> Sign:
    """Of more queries a second, a larger share is lost: of pairs, or of single queries on new sockets. The one are not
    compared with the other: pairs are bursts, too."""
    name, pairs = "raw-lost-grows", (ONE_SOCKET, TWO_SOCKETS)
    found = [_grows(name, arms, names, per) for names, per in ((pairs, 2), (("a", "aaaa"), 1))]
    return next((one for one in found if one.yes), found[0])


def _grows(name: str, arms: pd.DataFrame, names: Sequence[str], per_arrival: int) -> Sign:
    rows = unanswered(arms[arms["arm"].isin(names)])
    if "rate_per_s" not in rows or rows["rate_per_s"].nunique() < 2:
        return Sign(name, State.NOT_MEASURED, str(said.NO_ARMS))
    # Both of a pair may be lost for one reason: it counts as one.
    (k, n), (low_k, low_n) = ((lost / per_arrival, sent / per_arrival) for lost, sent in by_rate(rows, "lost"))
    claim = said.ARM_LOST_GROWS(
        low=f"{100 * low_k / max(1, low_n):.0f} %",
        low_rate=f"{per_arrival * rows['rate_per_s'].min():g}",
        high=f"{100 * k / max(1, n):.0f} %",
        high_rate=f"{per_arrival * rows['rate_per_s'].max():g}",
    )
    if k * low_n <= low_k * n and low_k >= MIN_EVENTS:
        return Sign(name, State.NO, claim)
    if some(k, n, BUSY["lost"]) is not State.YES:
        return Sign(name, State.NOT_MEASURED, claim)
    return Sign(name, hit_too(low_k, low_n, k, n, NOT_GROWN).opposite, claim)


def _pair_more(arms: pd.DataFrame) -> Sign:
    """Of pairs, those from one socket are lost more often than those from two."""
    name, (k, n), (two_k, two_n) = "raw-pair-more", lost_of(arms, ONE_SOCKET), lost_of(arms, TWO_SOCKETS)
    claim = said.ARM_PAIR_MORE(lost=f"{k:,}", n=f"{n:,}", two_lost=f"{two_k:,}", two=f"{two_n:,}")
    if not two_n or some(k, n, BUSY["lost"]) is not State.YES:
        return Sign(name, State.NOT_MEASURED, claim)
    return Sign(name, State.YES if _surely_more(k, n, two_k, two_n) else State.UNCLEAR, claim)


def _pairs_more(arms: pd.DataFrame) -> Sign:
    """Queries of pairs are lost more often than single ones on new sockets in the same rungs. Both of a pair may be
    lost for one reason, so that a pair counts as one query."""
    (k, n), base = _beside(arms, (ONE_SOCKET, TWO_SOCKETS), ("a", "aaaa"))
    return _more("raw-pairs-more", said.ARM_PAIRS_MORE, (k / 2, n / 2), base, _MORE_OF_PAIRS)


def _standing_more(arms: pd.DataFrame) -> Sign:
    """Queries on kept sockets are lost more often than on new ones: in all rungs, or at one of their rates. What is
    forgotten while a socket is idle is not lost at a high rate."""
    found = [_standing_more_in(arms)]
    if "rate_per_s" in arms:
        found += [_standing_more_in(arms[arms["rate_per_s"] == rate]) for rate in sorted(arms["rate_per_s"].unique())]
    return next((one for one in found if one.yes), found[0])


def _standing_more_in(arms: pd.DataFrame) -> Sign:
    return _more("raw-standing-more", said.ARM_STANDING_MORE, *_beside(arms, ("standing",), ("a", "aaaa")), _MORE)


def _beside(arms: pd.DataFrame, names: Sequence[str], others: Sequence[str]) -> tuple[tuple[int, int], tuple[int, int]]:
    """Lost queries and all queries of arms, and of others, at the rates at which both were sent."""
    arms = unanswered(arms)
    if "rate_per_s" in arms:
        rates = set(arms.loc[arms["arm"].isin(names), "rate_per_s"])
        arms = arms[arms["rate_per_s"].isin(rates & set(arms.loc[arms["arm"].isin(others), "rate_per_s"]))]
    return sums(arms, names, "lost"), sums(arms, others, "lost")


def _more(name: str, sentence: Sentence, lost: tuple[float, float], base: tuple[float, float], least: float) -> Sign:
    """Whether the share of ``lost`` is surely more than ``least`` times that of ``base``."""
    (k, n), (base_k, base_n) = lost, base
    shares = {"more": f"{100 * k / max(1, n):.0f} %", "other": f"{100 * base_k / max(1, base_n):.0f} %"}
    state = hit_too(k, n, base_k, base_n, least)
    return Sign(name, State.NO if state is State.UNCLEAR else state, sentence(**shares))
