"""Causes that show beside queries and lookups: who answers, which servers ended, how many names a lookup asks for.

Pure: takes what was measured and what the cluster said, gives signs and causes with their evidence. Knows no rung.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
import numpy.typing as npt

from dnslab.analyse.arms import ArmTimes
from dnslab.analyse.observed import Observed
from dnslab.explain.catalogue import CAUSES
from dnslab.explain.engine import RankedCause, Support, Word
from dnslab.explain.sign import ALPHA, Sign, State
from dnslab.plan.arms import Places
from dnslab.sentences import around as said
from dnslab.store.contents import WhoAnswers
from dnslab.text import first_of, span_of, time_ms

#: the sign of the engine that says whether somebody else answers
ELSEWHERE = "servers-idle"
RESTART, SEARCH = "dns-server-restart", "search-list"
#: a loss so long before or after a server was seen to have left may come from its end: it is looked for once a second
NEAR_S = 2.0
#: losses that follow each other faster than this are one burst: they do not speak twice
BURST_S = 2.0
#: at least this share of the losses lies near ends of servers, if these are their cause
NEARLY_ALL = 0.9
#: what chance alone may give for a likely cause, and for a possible one
LIKELY_ALPHA, POSSIBLE_ALPHA = 0.05, 0.3
MOST_NAMED = 3
#: names of one lookup from which on they are many: a Service of another namespace (``web.other``) takes two
MANY_NAMES = 3
#: of the time that the full name takes: names that do not exist may be answered faster, so it need not be a multiple
CLEARLY_LONGER = 1.5


@dataclass(frozen=True)
class Around:
    """What was seen beside queries: ``who`` answered when each run began, and ``times``, when queries were sent.

    ``n_asked`` are the names that a lookup of ``name`` with baseline asks for, and ``full_ms`` is the median of a raw
    pair for the full name; None where that is not known. ``kernel`` is the client's.
    """

    who: tuple[WhoAnswers, ...] = ()
    times: tuple[ArmTimes, ...] = ()
    name: str = ""
    n_asked: int | None = None
    full_ms: float | None = None
    kernel: str = ""


NOTHING_ELSE = Around()


def who_answers(who: Sequence[WhoAnswers]) -> Sign | None:
    """Whether another than the cluster's DNS answers, as a sign of the engine; None where nobody looked."""
    redirected = list(dict.fromkeys(target for one in who for target in one.redirected))
    if redirected:
        return Sign(ELSEWHERE, State.YES, said.REDIRECTED(targets=first_of(redirected, MOST_NAMED)))
    known = [one.elsewhere for one in who if one.elsewhere is not None]
    if not known:
        return None
    passed_by = sum(known) > len(known) / 2
    state, claim = (State.YES, said.PASSED_BY) if passed_by else (State.NO, said.ANSWERED_THERE)
    return Sign(ELSEWHERE, state, str(claim))


def causes(around: Around, places: Places, observed: Observed | None) -> list[RankedCause]:
    """Causes that show in this alone, the surest first."""
    found = [_servers_ended(around.times, places), _search_list(around, observed)]
    return sorted((one for one in found if one), key=lambda one: one.word.rank)


def _servers_ended(times: Sequence[ArmTimes], places: Places) -> RankedCause | None:
    """Queries are lost when a server behind the Service ends, and hardly ever at other times."""
    left = [change for change in places.changes if not change.came]
    times = [one for one in times if one.place == times[0].place]  # a server that ended answers nothing by itself
    if not left or not times:
        return None
    ends_s = np.array([change.seen_realtime_ns / 1e9 for change in left])
    sent_s = np.concatenate([one.sent_s for one in times])
    lost_s = np.sort(np.concatenate([one.sent_s[one.lost] for one in times]))
    near = _distance_s(lost_s, ends_s) <= NEAR_S
    if not len(near) or near.mean() < NEARLY_ALL:
        return None
    chance = _chance(lost_s, sent_s, ends_s)
    if chance > POSSIBLE_ALPHA:
        return None
    word = Word.SHOWN if chance < ALPHA else Word.LIKELY if chance < LIKELY_ALPHA else Word.POSSIBLE
    share = float((_distance_s(sent_s, ends_s) <= NEAR_S).mean())
    claim = said.LOST_AT_CHANGES(
        near=f"{near.sum():,}", lost=f"{len(lost_s):,}", window=span_of(NEAR_S), share=f"{100 * share:.0f} %"
    )
    when = datetime.fromtimestamp(left[0].seen_realtime_ns / 1e9, UTC).strftime("%H:%M:%S")
    server = f"{left[0].address} ({left[0].pod})" if left[0].pod else left[0].address
    first = said.LEFT(server=server, time=when)
    more = f" {said.MORE_LEFT(n=str(len(left) - 1))}" if len(left) > 1 else ""
    return _ranked(RESTART, word, claim, first + more, *_by_arm(times))


def _distance_s(at_s: npt.NDArray[np.float64], ends_s: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """From each time to the nearest end of a server."""
    return np.array(np.abs(at_s[:, None] - ends_s[None, :]).min(axis=1))


def _chance(lost_s: npt.NDArray[np.float64], sent_s: npt.NDArray[np.float64], ends_s: npt.NDArray[np.float64]) -> float:
    """How often losses would lie as near to ends of servers by chance.

    Losses in a row are one burst. Its chance is the share of all queries that were sent as near to an end as its
    middle. Fisher's method joins those of all bursts.
    """
    from scipy.special import chdtrc

    bursts = np.split(lost_s, np.flatnonzero(np.diff(lost_s) > BURST_S) + 1)
    middles_s = np.array([burst.mean() for burst in bursts])
    sent = np.sort(_distance_s(sent_s, ends_s))
    shares = (1 + np.searchsorted(sent, _distance_s(middles_s, ends_s), "right")) / (1 + len(sent))
    return float(chdtrc(2 * len(bursts), -2 * np.log(shares).sum()))


def _by_arm(times: Sequence[ArmTimes]) -> Iterator[str]:
    kept, new = ([one for one in times if (one.arm == "standing") == is_kept] for is_kept in (True, False))
    counts = [(int(sum(one.lost.sum() for one in part)), sum(len(one.lost) for one in part)) for part in (kept, new)]
    (k, n), (k_new, n_new) = counts
    if n and k:
        yield said.BY_ARM(kept=f"{k:,}", n_kept=f"{n:,}", new=f"{k_new:,}", n_new=f"{n_new:,}")


def _search_list(around: Around, observed: Observed | None) -> RankedCause | None:
    """A lookup asks for several names, and takes as many times as long as one question."""
    n = around.n_asked or 1
    if n < MANY_NAMES:
        return None
    claims = [said.ASKS_NAMES(name=around.name, n=str(n))]
    baseline = observed.asked if observed else None
    word = Word.LIKELY
    if baseline and baseline.p50_ms and around.full_ms and np.isfinite(around.full_ms):
        claims.append(said.WALKED(walked=time_ms(baseline.p50_ms), full=time_ms(around.full_ms)))
        if baseline.p50_ms >= CLEARLY_LONGER * around.full_ms:
            word = Word.SHOWN
    return _ranked(SEARCH, word, *claims)


def _ranked(name: str, word: Word, *claims: str) -> RankedCause:
    signs = tuple(Sign(name, State.YES, claim) for claim in claims)
    return RankedCause(CAUSES[name], Support(speaking_for=signs, word=word))
