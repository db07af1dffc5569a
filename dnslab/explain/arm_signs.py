"""Signs of raw queries: what happens to one type, one transport, one socket or two, a new flow or a kept one.

Takes a frame with a row for each arm, place and round; ``ARMS`` are the arms that are known. Without a frame, or
without an arm, its signs are "not measured".
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

from dnslab.explain.sign import Sign, State, hit_too, most, some
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
    "lost": ("lost", said.LOST, 1e-3),
    "late": ("late", said.LATE, 0.01),
    "errors": ("errors", said.ERRORS, 1e-3),
    "truncated": ("truncated", said.TRUNCATED, 1e-3),
    "sent-late": ("late_sent", said.SENT, 0.05),
}
_COLUMNS = ("arm", "n", *(column for column, _, _ in _HAPPENED.values()))
#: nearly all queries
_ALWAYS = 0.95
#: what a query on a new flow takes longer than on a kept one: the factor, and ms, from which on it is clearly slow
_LONGER, _LONGER_MS = 1.4, 0.4
NAMES = (
    *(f"raw-{arm}-{what}" for arm in ARMS for what in _HAPPENED),
    *("raw-one-place", "raw-a-always", "raw-errors-grow", "raw-flows-slow"),
)


def read(arms: pd.DataFrame | None) -> dict[str, Sign]:
    """The signs of ``arms``, by name: ``raw-pair-lost`` and so on."""
    if arms is None or not len(arms):
        return {name: Sign(name, State.NOT_MEASURED, str(said.NO_ARMS)) for name in NAMES}
    found = {sign.name: sign for sign in _of_arms(arms)}
    missing = {name: Sign(name, State.NOT_MEASURED, str(said.NO_ARMS)) for name in NAMES}
    others = (_one_place(arms), _always(arms), _errors_grow(arms), _flows_slow(arms))
    return {**missing, **found, **{sign.name: sign for sign in others}}


def _of_arms(arms: pd.DataFrame) -> Iterator[Sign]:
    arms = _unanswered(arms)
    known = [column for column in _COLUMNS[1:] if column in arms]
    sums = arms.groupby("arm", observed=True)[known].sum().to_dict("index")
    for name, (arm, title) in ARMS.items():
        counts = sums.get(arm)
        if not counts or not counts["n"]:
            continue
        n = int(counts["n"])
        for what, (column, happened, noise) in _HAPPENED.items():
            if column in counts:
                k = int(counts[column])
                claim = said.ARM(arm=str(title), seen=f"{k:,}", n=f"{n:,}", how=str(happened))
                yield Sign(f"raw-{name}-{what}", some(k, n, noise), claim)


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
    return Sign(name, most(k, n, _ALWAYS), claim)


def _errors_grow(arms: pd.DataFrame) -> Sign:
    """Errors come with a higher rate of queries, and hardly without."""
    name = "raw-errors-grow"
    if "rate_per_s" not in arms or arms["rate_per_s"].nunique() < 2:
        return Sign(name, State.NOT_MEASURED, str(said.NO_ARMS))
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
    return Sign(name, hit_too(low_k, low_n, k, n).opposite, claim)


def _flows_slow(arms: pd.DataFrame) -> Sign:
    """A query on a new flow takes longer than on a kept one. The best median counts: a busy machine adds to others."""
    name = "raw-flows-slow"
    if "p50_ms" not in arms or not {"a", "standing"} <= set(arms["arm"]):
        return Sign(name, State.NOT_MEASURED, str(said.NO_ARMS))
    best = arms.groupby("arm", observed=True)["p50_ms"].min()
    new_ms, kept_ms = float(best["a"]), float(best["standing"])
    if not (math.isfinite(new_ms) and math.isfinite(kept_ms)):
        return Sign(name, State.NOT_MEASURED, str(said.NO_ARMS))
    slow = new_ms > _LONGER * kept_ms and new_ms - kept_ms > _LONGER_MS
    return Sign(name, State.YES if slow else State.NO, said.ARM_FLOWS(new=time_ms(new_ms), kept=time_ms(kept_ms)))
