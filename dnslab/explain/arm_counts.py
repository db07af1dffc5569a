"""Counts of raw queries, over rows of ``analyse.arms.arm_frame``: what signs are read from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

ONE_SOCKET, TWO_SOCKETS = "pair-one-socket", "pair-two-sockets"
UDP = ("a", "aaaa", ONE_SOCKET, TWO_SOCKETS, "standing")
#: a share at a low rate that is at most this part of the one at a high rate has grown
NOT_GROWN = 0.6


def unanswered(arms: pd.DataFrame) -> pd.DataFrame:
    """The frame with ``lost`` without answers that came after 1 s, where it tells them apart: those were late."""
    return arms.assign(lost=arms["unanswered"]) if "unanswered" in arms else arms


def lost_of(arms: pd.DataFrame, *names: str) -> tuple[int, int]:
    """Queries of these arms that were not answered at all, and all of them."""
    return sums(unanswered(arms), names, "lost")


def by_rate(arms: pd.DataFrame, column: str) -> Iterator[tuple[int, int]]:
    """What ``column`` counts, and all queries: at more than half of the highest rate, then at lower ones."""
    high = arms["rate_per_s"] > arms["rate_per_s"].max() / 2
    return ((int(rows[column].sum()), int(rows["n"].sum())) for rows in (arms[high], arms[~high]))


def sums(arms: pd.DataFrame, names: Sequence[str], column: str) -> tuple[int, int]:
    rows = arms[arms["arm"].isin(names)]
    return int(rows[column].sum()), int(rows["n"].sum())
