"""Signs of raw queries: what happens to one type, one transport, one socket or two, a new flow or a kept one.

Takes a frame with a row for each arm, place and round; ``ARMS`` are the arms that are known. Without a frame, or
without an arm, its signs are "not measured".
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from dnslab.analyse.arms import UNSENT_AGAIN_MS
from dnslab.analyse.observed import HELD_MS, Numbers
from dnslab.analyse.witnesses import joined
from dnslab.explain import flow_signs
from dnslab.explain.arm_counts import NOT_GROWN, UDP, by_rate, lost_of, sums, unanswered
from dnslab.explain.delay_signs import CONSTANT, FLOW_MS, LONGER, MANY, SHORT_MS, TCP_HELD_NOISE
from dnslab.explain.loss_signs import NEARLY_ALL
from dnslab.explain.sign import BUSY, MIN_EVENTS, Sign, State, hit_too, most, some
from dnslab.sentences import Sentence, signs as said
from dnslab.text import capitalised, time_ms

if TYPE_CHECKING:
    import pandas as pd

#: arms by what their signs are called
ARMS: dict[str, tuple[str, Sentence]] = {
    "a": ("a", said.ARM_A),
    "aaaa": ("aaaa", said.ARM_AAAA),
    "pair": ("pair-one-socket", said.ARM_PAIR),
    "two-sockets": ("pair-two-sockets", said.ARM_TWO),
    "tcp": ("tcp", said.ARM_TCP),
    "standing": ("standing", said.ARM_STANDING),
    "a-second": ("aaaa-then-a", said.ARM_AFTER),
}
#: what happened to a query, by the column that counts it; and how often it happens on a busy machine
_HAPPENED = {
    "lost": ("lost", said.LOST, BUSY["lost"]),
    "late": ("late", said.LATE, BUSY["late"]),
    "errors": ("errors", said.ERRORS, BUSY["errors"]),
    "truncated": ("truncated", said.TRUNCATED, BUSY["truncated"]),
    "sent-late": ("late_sent", said.SENT, 0.05),
}
_COLUMNS = ("arm", "n", *(column for column, _, _ in _HAPPENED.values()))
#: answers that are held up for each one that is late, up to which the late ones tell how long all delays are
_MOST_HELD = 2.0
#: a share of queries on kept sockets that are held up, over which no median is that of a new flow or a kept one
_NOT_STEADY = 0.1
#: a share of short delays over TCP, over which they are no matter of a busy machine
_SHORT_TCP = 0.1
#: a share of lost queries over which a median is theirs
_FEW_LOST = 0.2
#: answers that are held up for each one that is late, from which on a server has little CPU time: those that wait for
#: the end of a pause are late by any part of it
_FEW_LATE = 4
#: answers of an arm from which on their quantile of 99 % says something
_ENOUGH = 100
#: the share of late queries that follow each other where they come together
_TOGETHER = 0.5
NAMES = (
    *(f"raw-{arm}-{what}" for arm in ARMS for what in _HAPPENED),
    *(
        "raw-one-place",
        "raw-a-always",
        "raw-tcp-always",
        "raw-all-late",
        "raw-aaaa-alone-late",
        "raw-errors-grow",
        "raw-flows-slow",
        "raw-held-up",
        "raw-some-held",
        "raw-short",
        "raw-tcp-slow",
        "raw-tcp-short",
    ),
    *("raw-late-together", "raw-late-constant", "raw-tcp-resent", "raw-any-truncated", "raw-refused-quick"),
    *flow_signs.NAMES,
)


def read(arms: pd.DataFrame | None) -> dict[str, Sign]:
    """The signs of ``arms``, by name: ``raw-pair-lost`` and so on."""
    missing = {name: Sign(name, State.NOT_MEASURED, str(said.NO_ARMS)) for name in NAMES}
    if arms is None or not len(arms):
        return missing
    found = {sign.name: sign for sign in _of_arms(arms)}
    others = (
        *(
            _one_place(arms),
            _any_truncated(arms),
            _always(arms, "a", said.ARM_A),
            _always(arms, "tcp", said.ARM_TCP),
            _errors_grow(arms),
            _flows_slow(arms),
        ),
        *(
            _held_up(arms),
            _some_held(arms),
            _short(arms),
            _late_together(arms),
            _late_constant(arms),
            _tcp_resent(arms),
        ),
        *(
            _all_late(arms),
            _aaaa_alone_late(arms),
            _refused_quick(arms),
            _tcp_slow(arms),
            _tcp_short(arms),
            *flow_signs.read(arms),
        ),
    )
    return {**missing, **found, **{sign.name: sign for sign in others}}


def _of_arms(arms: pd.DataFrame) -> Iterator[Sign]:
    arms = unanswered(arms)
    known = [column for column in (*_COLUMNS[1:], "held") if column in arms]
    sums = arms.groupby("arm", observed=True)[known].sum().to_dict("index")
    # Of answers, where they are known by themselves: among few answers, the median of all queries is a lost one.
    by = next((column for column in ("good_p50_ms", "p50_ms") if column in arms), "")
    medians = arms.groupby("arm", observed=True)[by].min().to_dict() if by else {}
    for name, (arm, title) in ARMS.items():
        counts = sums.get(arm)
        if not counts or not counts["n"]:
            continue
        n = int(counts["n"])
        for what, (column, happened, noise) in _HAPPENED.items():
            if column in counts:
                k = int(counts[column])
                claim = said.ARM(arm=str(title), seen=f"{k:,}", n=f"{n:,}", how=str(happened))
                state, median_ms = some(k, n, noise), medians.get(arm, 0.0)
                if what == "late" and HELD_MS <= median_ms < math.inf and _as_the_median(counts):
                    state, claim = State.YES, said.ARM_MEDIAN(arm=capitalised(str(title)), median=time_ms(median_ms))
                if (
                    name == "tcp"
                    and what == "late"
                    and state is not State.YES
                    and _later_than_udp(counts, sums.get("a"))
                ):
                    state = State.YES
                    claim = said.ARM_TCP_HELD(seen=f"{int(counts['held']):,}", n=f"{n:,}", least=time_ms(HELD_MS))
                yield Sign(f"raw-{name}-{what}", state, claim)


def _as_the_median(counts: Mapping[Any, Any]) -> bool:
    """Whether a median that is late is that of the arm: few queries were lost, or nearly all answers were late."""
    lost, n = counts.get("lost", 0), counts["n"]
    return lost < _FEW_LOST * n or most(counts.get("held", 0), n - lost, NEARLY_ALL) is State.YES


def _later_than_udp(tcp: Mapping[Any, Any], udp: Mapping[Any, Any] | None) -> bool:
    """Whether answers over TCP are held up by far more often than over UDP, though by less than is called late."""
    if not udp or "held" not in tcp or some(tcp["held"], tcp["n"], TCP_HELD_NOISE) is not State.YES:
        return False
    return hit_too(tcp["held"], tcp["n"], max(1, udp["held"]), udp["n"], 2.0) is State.YES


def _one_place(arms: pd.DataFrame) -> Sign:
    """Queries over UDP to one address are lost, those to another are spared. TCP may be lost where a server is well."""
    name = "raw-one-place"
    arms = unanswered(arms[arms["arm"] != "tcp"])
    if "place" not in arms or arms["place"].nunique() < 2:
        return Sign(name, State.NOT_MEASURED, str(said.NO_ARMS))
    sums = arms.groupby("place", observed=True)[["n", "lost"]].sum().to_dict("index")
    worst = max(sums, key=lambda place: sums[place]["lost"] / max(1, sums[place]["n"]))
    k, n = int(sums[worst]["lost"]), int(sums[worst]["n"])
    rest_k, rest_n = (
        int(sum(counts[column] for counts in sums.values())) - own for column, own in (("lost", k), ("n", n))
    )
    claim = said.ARM_PLACES(
        bad=str(worst), share=f"{100 * k / max(1, n):.0f} %", other=f"{100 * rest_k / max(1, rest_n):.0f} %"
    )
    if some(k, n) is not State.YES:
        return Sign(name, State.NO, claim)
    return Sign(name, hit_too(rest_k, rest_n, k, n).opposite, claim)


def _any_truncated(arms: pd.DataFrame) -> Sign:
    """Answers over UDP to queries of any arm are truncated: of one arm alone, a small share is too few to tell."""
    k, n = sums(arms, UDP, "truncated")
    claim = said.ARM(arm=str(said.ARM_ANY), seen=f"{k:,}", n=f"{n:,}", how=str(said.TRUNCATED))
    return Sign("raw-any-truncated", some(k, n, BUSY["truncated"]), claim)


def _always(arms: pd.DataFrame, arm: str, title: Sentence) -> Sign:
    """Nearly all queries of an arm are lost."""
    k, n = lost_of(arms, arm)
    claim = said.ARM(arm=str(title), seen=f"{k:,}", n=f"{n:,}", how=str(said.LOST))
    return Sign(f"raw-{arm}-always", most(k, n, NEARLY_ALL), claim)


def _errors_grow(arms: pd.DataFrame) -> Sign:
    """Of more queries a second, a larger share gets an error."""
    name = "raw-errors-grow"
    if "rate_per_s" not in arms or arms["rate_per_s"].nunique() < 2:
        return Sign(name, State.NOT_MEASURED, str(said.NO_ARMS))
    arms = arms[arms["arm"].isin(("a", "tcp", "standing"))]  # all ask for A: what AAAA gets is no matter of the rate
    (k, n), (low_k, low_n) = by_rate(arms, "errors")
    claim = said.ARM_GROWS(
        low=f"{100 * low_k / max(1, low_n):.0f} %",
        low_rate=f"{arms['rate_per_s'].min():g}",
        high=f"{100 * k / max(1, n):.0f} %",
        high_rate=f"{arms['rate_per_s'].max():g}",
    )
    if some(k, n) is not State.YES:
        return Sign(name, State.NOT_MEASURED, claim)
    return Sign(name, hit_too(low_k, low_n, k, n, NOT_GROWN).opposite, claim)


def _flows_slow(arms: pd.DataFrame) -> Sign:
    """A query on a new flow takes longer than on a kept one. The best median counts: a busy machine adds to others."""
    name = "raw-flows-slow"
    if "p50_ms" not in arms or not {"a", "standing"} <= set(arms["arm"]):
        return Sign(name, State.NOT_MEASURED, str(said.NO_ARMS))
    if "held" in arms and any(some(*sums(arms, (arm,), "held"), _NOT_STEADY) is State.YES for arm in ("a", "standing")):
        return Sign(name, State.NOT_MEASURED, str(said.NO_ARMS))  # where all is held up now and then, no median tells
    best = arms.groupby("arm", observed=True)["p50_ms"].min()
    new_ms, kept_ms = float(best["a"]), float(best["standing"])
    if not (math.isfinite(new_ms) and math.isfinite(kept_ms)):
        return Sign(name, State.NOT_MEASURED, str(said.NO_ARMS))
    slow = new_ms > LONGER * kept_ms and new_ms - kept_ms > FLOW_MS
    return Sign(name, State.YES if slow else State.NO, said.ARM_FLOWS(new=time_ms(new_ms), kept=time_ms(kept_ms)))


def _held_up(arms: pd.DataFrame) -> Sign:
    """Queries over UDP are late now and then. They are sent by a small program, which a busy client hardly delays."""
    name = "raw-held-up"
    if "answered_p99_ms" not in arms:
        return Sign(name, State.NOT_MEASURED, str(said.NO_ARMS))
    slowest_ms = _slowest_ms(arms)
    if slowest_ms is None:
        return Sign(name, State.NOT_MEASURED, str(said.NO_ARMS))
    claim = said.ARM_HELD(p99=time_ms(slowest_ms))
    return Sign(name, State.YES if slowest_ms >= HELD_MS else State.NO, claim)


def _some_held(arms: pd.DataFrame) -> Sign:
    """Some queries over UDP are late, by less than is called so: 20 ms; and others are not."""
    name = "raw-some-held"
    if "held" not in arms:
        return Sign(name, State.NOT_MEASURED, str(said.NO_ARMS))
    (k, n), (lost, _) = sums(arms, UDP, "held"), lost_of(arms, *UDP)
    n -= lost
    claim = said.ARM_SOME_HELD(seen=f"{k:,}", n=f"{n:,}", least=time_ms(HELD_MS))
    all_late = most(k, n, NEARLY_ALL) is State.YES
    return Sign(name, State.NO if all_late else some(k, n, TCP_HELD_NOISE), claim)


def _slowest_ms(arms: pd.DataFrame) -> float | None:
    """The largest quantile of 99 % of an arm's answers; None where too few came."""
    rows = arms[arms["arm"].isin(UDP) & (arms["n"] - arms["unanswered"] >= _ENOUGH)]
    return float(rows["answered_p99_ms"].max()) if len(rows) else None


def _short(arms: pd.DataFrame) -> Sign:
    """What is late is late by less than a CPU limit's period or two; or hardly any of it is later, as where a server
    has next to no CPU time."""
    name = "raw-short"
    slowest_ms = _slowest_ms(arms) if "answered_p99_ms" in arms else None
    if slowest_ms is None or slowest_ms < HELD_MS:
        return Sign(name, State.NOT_MEASURED, str(said.NO_BAD))
    held, late = (sums(arms, UDP, column)[0] if column in arms else 0 for column in ("held", "late"))
    short = slowest_ms < SHORT_MS or (slowest_ms < 2 * SHORT_MS and late < held / _FEW_LATE)
    return Sign(name, State.YES if short else State.NO, said.ARM_HELD(p99=time_ms(slowest_ms)))


def _late_together(arms: pd.DataFrame) -> Sign:
    """Of all queries, whatever their arm, those sent next after a late one are late, too."""
    name = "raw-late-together"
    if "after_late" not in arms:
        return Sign(name, State.NOT_MEASURED, str(said.NO_ARMS))
    n, k = int(arms["after_late"].sum()), int(arms["late_after_late"].sum())
    if n < MANY or n > 0.4 * arms["n"].sum():  # where many are late, they follow each other by chance
        return Sign(name, State.NOT_MEASURED, str(said.NO_BAD))
    return Sign(name, most(k, n, _TOGETHER), said.ARM_TOGETHER(share=f"{100 * k / n:.0f} %"))


def _all_late(arms: pd.DataFrame) -> Sign:
    """Nearly all single queries are late, by less than is called so of some: 20 ms."""
    name = "raw-all-late"
    if "held" not in arms:
        return Sign(name, State.NOT_MEASURED, str(said.NO_ARMS))
    (k, n), (lost, _) = sums(arms, ("a",), "held"), lost_of(arms, "a")
    n -= lost
    claim = said.ARM_ALL_LATE(seen=f"{k:,}", n=f"{n:,}", least=time_ms(HELD_MS))
    return Sign(name, most(k, n, NEARLY_ALL), claim)


def _aaaa_alone_late(arms: pd.DataFrame) -> Sign:
    """Nearly all single AAAA queries are late, and most A queries are not."""
    name = "raw-aaaa-alone-late"
    if "held" not in arms:
        return Sign(name, State.NOT_MEASURED, str(said.NO_ARMS))
    found = [(sums(arms, (arm,), "held")[0], *lost_of(arms, arm)) for arm in ("a", "aaaa")]
    (a_held, a_n), (held, n) = ((held, n - lost) for held, lost, n in found)
    counts = {"seen": f"{held:,}", "n": f"{n:,}", "a_seen": f"{a_held:,}", "a": f"{a_n:,}"}
    claim = said.ARM_AAAA_ALONE(**counts, least=time_ms(HELD_MS))
    if a_held > a_n / 2:
        return Sign(name, State.NO, claim)
    return Sign(name, most(held, n, NEARLY_ALL), claim)


def _late_constant(arms: pd.DataFrame) -> Sign:
    """All late answers over UDP took as long, as those that wait for a timeout do; where few are late, all that took
    20 ms or more."""
    name = "raw-late-constant"
    if "late_p90_ms" not in arms:
        return Sign(name, State.NOT_MEASURED, str(said.NO_ARMS))
    udp = arms[arms["arm"].isin(UDP)]
    of = "late" if udp["late"].sum() >= MANY or "held_p90_ms" not in udp else "held"
    rows = udp[udp[of] >= MIN_EVENTS]
    if rows[of].sum() < MANY:
        return Sign(name, State.NOT_MEASURED, str(said.NO_BAD))
    low_ms, high_ms = float(rows[f"{of}_p10_ms"].min()), float(rows[f"{of}_p90_ms"].max())
    if of == "late" and rows["held"].sum() > _MOST_HELD * rows["late"].sum():
        low_ms = HELD_MS  # those that count as late are the longest of many delays
    values = {"low": time_ms(low_ms), "high": time_ms(high_ms)}
    alike = high_ms < CONSTANT * low_ms
    return Sign(name, State.YES if alike else State.NO, (said.DELAY_CONSTANT if alike else said.DELAY_VARIES)(**values))


def _tcp_resent(arms: pd.DataFrame) -> Sign:
    """Over TCP alone, answers come after 1 s: the first packet of the connection was lost and sent again."""
    return _tcp_alone("raw-tcp-resent", arms, _after_1s, how=said.LATE_1S, noise=1e-3, as_udp=(State.YES,))


def _tcp_slow(arms: pd.DataFrame) -> Sign:
    """Over TCP alone, answers come after 150 ms or more, but before a lost first packet would be sent again."""
    not_spared = (State.YES, State.UNCLEAR, State.NOT_MEASURED)
    how, noise = said.LATE_WITHIN_1S, BUSY["late"]
    return _tcp_alone("raw-tcp-slow", arms, _within_1s, how=how, noise=noise, as_udp=not_spared)


def _tcp_short(arms: pd.DataFrame) -> Sign:
    """Answers over TCP are late, but come before a lost packet would have been sent again."""
    name = "raw-tcp-short"
    if "short" not in arms:
        return Sign(name, State.NOT_MEASURED, str(said.NO_ARMS))
    k, n = sums(arms, ("tcp",), "short")
    claim = said.ARM_TCP_SHORT(seen=f"{k:,}", n=f"{n:,}", least=time_ms(HELD_MS), most=time_ms(UNSENT_AGAIN_MS))
    return Sign(name, some(k, n, _SHORT_TCP), claim)


def _after_1s(arms: pd.DataFrame) -> pd.Series[int]:
    """Answers that came after 1 s."""
    after: pd.Series[int] = arms["lost"] - arms["unanswered"]
    return after


def _within_1s(arms: pd.DataFrame) -> pd.Series[int]:
    """Late answers that came within 1 s."""
    within: pd.Series[int] = arms["late"] - _after_1s(arms)
    return within


def _tcp_alone(
    name: str,
    arms: pd.DataFrame,
    count: Callable[[pd.DataFrame], pd.Series[int]],
    *,
    how: Sentence,
    noise: float,
    as_udp: Collection[State],
) -> Sign:
    """Whether more answers over TCP than ``noise`` are among those that ``count`` counts. They are not, if UDP has as
    many: if that is one of ``as_udp``."""
    if "unanswered" not in arms or "tcp" not in set(arms["arm"]):
        return Sign(name, State.NOT_MEASURED, str(said.NO_ARMS))
    counted = arms.assign(k=count(arms))
    k, n = sums(counted, ("tcp",), "k")
    claim = said.ARM(arm=str(said.ARM_TCP), seen=f"{k:,}", n=f"{n:,}", how=str(how))
    state = some(k, n, noise)
    spared = state is not State.YES or hit_too(*sums(counted, UDP, "k"), k, n) not in as_udp
    return Sign(name, state if spared else State.NO, claim)


def _refused_quick(arms: pd.DataFrame) -> Sign:
    """Queries are refused at once, and answered late: the server has no room for more at a time."""
    name = "raw-refused-quick"
    if "error_p50_ms" not in arms:
        return Sign(name, State.NOT_MEASURED, str(said.NO_ARMS))
    rows = arms[arms["arm"].isin(UDP) & (arms["errors"] >= MIN_EVENTS) & (arms["good_p50_ms"] > 0)]
    if rows["errors"].sum() < MANY:
        return Sign(name, State.NOT_MEASURED, str(said.NO_BAD))
    error_ms, good_ms = float(rows["error_p50_ms"].median()), float(rows["good_p50_ms"].median())
    n_refused = sum(rcodes.get("REFUSED", 0) for rcodes in rows["rcodes"])
    claim = said.ARM_REFUSED(refused=time_ms(error_ms), good=time_ms(good_ms))
    quick = good_ms >= HELD_MS and error_ms < good_ms / 2 and n_refused > rows["errors"].sum() / 2
    return Sign(name, State.YES if quick else State.NO, claim)


def so_few_by_chance(asked: Numbers, arms: pd.DataFrame) -> bool:
    """Whether as few lookups stalled as they did although they may lose queries as often as single raw ones do."""
    k, n = lost_of(arms, "a", "aaaa")
    return bool(k) and hit_too(asked.stalls, asked.n, k, n) is not State.NO


def counted_beside(arms: pd.DataFrame | None) -> Numbers | None:
    """What kernels counted while raw queries were sent, with how many were sent, and lost; None where nothing was."""
    if arms is None or "rises" not in arms or not len(arms):
        return None
    rises, asks = joined(arms["rises"]), tuple(arms["place"].unique())
    lost, n = sums(unanswered(arms), tuple(set(arms["arm"])), "lost")
    return Numbers(variant="raw queries", n=n, stalls=lost, rises=rises, asks=asks) if rises and n else None
