"""Signs of raw queries: what happens to one type, one transport, one socket or two, a new flow or a kept one.

Takes a frame with a row for each arm, place and round; ``ARMS`` are the arms that are known. Without a frame, or
without an arm, its signs are "not measured".
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

from dnslab.analyse.observed import HELD_MS
from dnslab.explain.delay_signs import FLOW_MS, LONGER, MANY, SHORT_MS
from dnslab.explain.loss_signs import NEARLY_ALL
from dnslab.explain.sign import BUSY, Sign, State, hit_too, most, some
from dnslab.sentences import Sentence, signs as said
from dnslab.text import time_ms

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
#: a share of errors at a low rate that is at most this part of the one at a high rate
_NOT_GROWN = 0.75
#: a share of lost queries over which a median is theirs
_FEW_LOST = 0.2
#: queries of an arm from which on its quantile of 99 % says something
_ENOUGH = 100
#: the share of late queries that follow each other where they come together
_TOGETHER = 0.7
_UDP = ("a", "aaaa", "pair-one-socket", "pair-two-sockets", "standing")
NAMES = (
    *(f"raw-{arm}-{what}" for arm in ARMS for what in _HAPPENED),
    *("raw-one-place", "raw-a-always", "raw-errors-grow", "raw-flows-slow", "raw-held-up", "raw-short"),
    *("raw-late-together", "raw-tcp-resent"),
)


def read(arms: pd.DataFrame | None) -> dict[str, Sign]:
    """The signs of ``arms``, by name: ``raw-pair-lost`` and so on."""
    missing = {name: Sign(name, State.NOT_MEASURED, str(said.NO_ARMS)) for name in NAMES}
    if arms is None or not len(arms):
        return missing
    found = {sign.name: sign for sign in _of_arms(arms)}
    others = (
        *(_one_place(arms), _always(arms), _errors_grow(arms), _flows_slow(arms)),
        *(_held_up(arms), _short(arms), _late_together(arms), _tcp_resent(arms)),
    )
    return {**missing, **found, **{sign.name: sign for sign in others}}


def _of_arms(arms: pd.DataFrame) -> Iterator[Sign]:
    arms = _unanswered(arms)
    known = [column for column in _COLUMNS[1:] if column in arms]
    sums = arms.groupby("arm", observed=True)[known].sum().to_dict("index")
    medians = arms.groupby("arm", observed=True)["p50_ms"].min().to_dict() if "p50_ms" in arms else {}
    for name, (arm, title) in ARMS.items():
        counts = sums.get(arm)
        if not counts or not counts["n"]:
            continue
        n = int(counts["n"])
        for what, (column, happened, noise) in _HAPPENED.items():
            if column in counts:
                k = int(counts[column])
                claim = said.ARM(arm=str(title), seen=f"{k:,}", n=f"{n:,}", how=str(happened))
                state = some(k, n, noise)
                answered = counts.get("lost", 0) < _FEW_LOST * n
                if what == "late" and answered and HELD_MS <= medians.get(arm, 0.0) < math.inf:
                    state, claim = State.YES, said.ARM_MEDIAN(arm=str(title), median=time_ms(medians[arm]))
                yield Sign(f"raw-{name}-{what}", state, claim)


def _unanswered(arms: pd.DataFrame) -> pd.DataFrame:
    """The frame with ``lost`` without answers that came after 1 s, where it tells them apart: those were late."""
    return arms.assign(lost=arms["unanswered"]) if "unanswered" in arms else arms


def _one_place(arms: pd.DataFrame) -> Sign:
    """Queries to one address are lost, those to another are spared."""
    name = "raw-one-place"
    arms = _unanswered(arms)
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


def _always(arms: pd.DataFrame) -> Sign:
    """Nearly all single queries are lost."""
    name = "raw-a-always"
    rows = _unanswered(arms)
    rows = rows[rows["arm"] == "a"]
    k, n = int(rows["lost"].sum()), int(rows["n"].sum())
    claim = said.ARM(arm=str(said.ARM_A), seen=f"{k:,}", n=f"{n:,}", how=str(said.LOST))
    return Sign(name, most(k, n, NEARLY_ALL), claim)


def _errors_grow(arms: pd.DataFrame) -> Sign:
    """Of more queries a second, a larger share gets an error."""
    name = "raw-errors-grow"
    if "rate_per_s" not in arms or arms["rate_per_s"].nunique() < 2:
        return Sign(name, State.NOT_MEASURED, str(said.NO_ARMS))
    arms = arms[arms["arm"].isin(("a", "tcp", "standing"))]  # all ask for A: what AAAA gets is no matter of the rate
    high = arms["rate_per_s"] > arms["rate_per_s"].max() / 2
    (k, n), (low_k, low_n) = ((int(rows["errors"].sum()), int(rows["n"].sum())) for rows in (arms[high], arms[~high]))
    claim = said.ARM_GROWS(
        low=f"{100 * low_k / max(1, low_n):.0f} %",
        low_rate=f"{arms['rate_per_s'].min():g}",
        high=f"{100 * k / max(1, n):.0f} %",
        high_rate=f"{arms['rate_per_s'].max():g}",
    )
    if some(k, n) is not State.YES:
        return Sign(name, State.NOT_MEASURED, claim)
    return Sign(name, hit_too(low_k, low_n, k, n, _NOT_GROWN).opposite, claim)


def _flows_slow(arms: pd.DataFrame) -> Sign:
    """A query on a new flow takes longer than on a kept one. The best median counts: a busy machine adds to others."""
    name = "raw-flows-slow"
    if "p50_ms" not in arms or not {"a", "standing"} <= set(arms["arm"]):
        return Sign(name, State.NOT_MEASURED, str(said.NO_ARMS))
    best = arms.groupby("arm", observed=True)["p50_ms"].min()
    new_ms, kept_ms = float(best["a"]), float(best["standing"])
    if not (math.isfinite(new_ms) and math.isfinite(kept_ms)):
        return Sign(name, State.NOT_MEASURED, str(said.NO_ARMS))
    slow = new_ms > LONGER * kept_ms and new_ms - kept_ms > FLOW_MS
    return Sign(name, State.YES if slow else State.NO, said.ARM_FLOWS(new=time_ms(new_ms), kept=time_ms(kept_ms)))


def _held_up(arms: pd.DataFrame) -> Sign:
    """Queries over UDP are late now and then. They are sent by a small program, which a busy client hardly delays."""
    name = "raw-held-up"
    if "p99_ms" not in arms:
        return Sign(name, State.NOT_MEASURED, str(said.NO_ARMS))
    slowest_ms = _slowest_ms(arms)
    if slowest_ms is None:
        return Sign(name, State.NOT_MEASURED, str(said.NO_ARMS))
    claim = said.ARM_HELD(p99=time_ms(slowest_ms))
    return Sign(name, State.YES if slowest_ms >= HELD_MS else State.NO, claim)


def _slowest_ms(arms: pd.DataFrame) -> float | None:
    """The largest quantile of 99 % of an arm that lost hardly any query; None where all did, or too few were sent."""
    rows = arms[arms["arm"].isin(_UDP) & (arms["n"] >= _ENOUGH) & (arms["p99_ms"] < math.inf)]
    return float(rows["p99_ms"].max()) if len(rows) else None


def _short(arms: pd.DataFrame) -> Sign:
    """What is late is late by less than a CPU limit's period or two."""
    name = "raw-short"
    slowest_ms = _slowest_ms(arms) if "p99_ms" in arms else None
    if slowest_ms is None or slowest_ms < HELD_MS:
        return Sign(name, State.NOT_MEASURED, str(said.NO_BAD))
    return Sign(name, State.YES if slowest_ms < SHORT_MS else State.NO, said.ARM_HELD(p99=time_ms(slowest_ms)))


def _late_together(arms: pd.DataFrame) -> Sign:
    """Of all queries, whatever their arm, those sent next after a late one are late, too."""
    name = "raw-late-together"
    if "after_late" not in arms:
        return Sign(name, State.NOT_MEASURED, str(said.NO_ARMS))
    n, k = int(arms["after_late"].sum()), int(arms["late_after_late"].sum())
    if n < MANY or n > 0.4 * arms["n"].sum():  # where many are late, they follow each other by chance
        return Sign(name, State.NOT_MEASURED, str(said.NO_BAD))
    return Sign(name, most(k, n, _TOGETHER), said.ARM_TOGETHER(share=f"{100 * k / n:.0f} %"))


def _tcp_resent(arms: pd.DataFrame) -> Sign:
    """Over TCP, answers come after 1 s: the first packet of the connection was lost and sent again."""
    name, rows = "raw-tcp-resent", arms[arms["arm"] == "tcp"]
    if "unanswered" not in arms or rows.empty:
        return Sign(name, State.NOT_MEASURED, str(said.NO_ARMS))
    k, n = int((rows["lost"] - rows["unanswered"]).sum()), int(rows["n"].sum())
    return Sign(
        name, some(k, n, 1e-3), said.ARM(arm=str(said.ARM_TCP), seen=f"{k:,}", n=f"{n:,}", how=str(said.LATE_1S))
    )
