"""What each arm of raw queries shows, in a word: clean, lost, late and so on, by tests against what chance gives.

Pure: a frame of arms in, words out. Knows no cause.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dnslab.explain.sign import BUSY, State, some
from dnslab.plan.arms import CONTROL
from dnslab.plan.ladder import Seen

if TYPE_CHECKING:
    import pandas as pd

#: unanswered queries from which on nothing answers: where every second server is dead, all of as many are lost 1 time
#: in 1,000
MIN_QUERIES = 10
#: by column of the frame, the word for it, and which share a busy machine gives by itself
_WORDS = {
    "lost": ("lost", BUSY["lost"]),
    "errors": ("errors", BUSY["errors"]),
    "truncated": ("truncated", BUSY["truncated"]),
    "late": ("late", BUSY["late"]),
    "late_sent": ("sent late", 0.15),
}
#: a median from which on all answers are slow; inside a cluster an answer takes a few ms
SLOW_MS = 50.0
#: single queries over UDP, on new sockets and on kept ones
SINGLES = ("a", "aaaa", "standing")


@dataclass(frozen=True)
class ArmSeen:
    """What one arm showed at one place, over all rounds. ``words`` are empty where it is clean, and there are too few
    queries for a word where ``unclear``."""

    arm: str
    place: str
    n: int
    counts: dict[str, int]
    p50_ms: float
    p99_ms: float
    words: tuple[str, ...] = ()
    unclear: bool = False

    @property
    def word(self) -> str:
        """All words in one text; ``clean`` where there is none."""
        return ", ".join(self.words) or ("unclear" if self.unclear else "clean")

    @property
    def silent(self) -> bool:
        """No query was answered."""
        return bool(self.n) and self.counts["unanswered"] == self.n

    def to_dict(self) -> dict[str, Any]:
        """As it stands in diagnosis.json."""
        times = {"p50_ms": _finite(self.p50_ms), "p99_ms": _finite(self.p99_ms)}
        return {"arm": self.arm, "place": self.place, "n": self.n, **self.counts, **times, "seen": self.word}


def _finite(value: float) -> float | None:
    return round(value, 3) if math.isfinite(value) else None


def usual_way(arms: pd.DataFrame) -> pd.DataFrame:
    """Rows of ``arms`` that went the way of an application, to the first nameserver; those of the control are left out.

    Without rows there are none.
    """
    asked = arms[arms["arm"] != CONTROL]
    return asked[asked["place"] == asked["place"].iloc[0]] if len(asked) else asked


def seen_by_arm(arms: pd.DataFrame) -> list[ArmSeen]:
    """Each arm at each place, in the order in which they stand in ``arms`` (``analyse.arms.arm_frame``).

    Quantiles are the largest of the rounds.
    """
    if not len(arms):
        return []
    return [_seen(str(arm), str(place), rows) for (arm, place), rows in arms.groupby(["arm", "place"], sort=False)]


def _seen(arm: str, place: str, rows: pd.DataFrame) -> ArmSeen:
    columns = ("lost", "unanswered", "lost_second", "late", "errors", "truncated", "late_sent", "unsent")
    counts = {column: int(rows[column].sum()) for column in columns}
    n, p50_ms, p99_ms = int(rows["n"].sum()), float(rows["p50_ms"].max()), float(rows["p99_ms"].max())
    if n and counts["unanswered"] == n:
        return ArmSeen(arm, place, n, counts, p50_ms, p99_ms, ("silent",))
    words = [word for column, (word, noise) in _WORDS.items() if some(counts[column], n, noise) is State.YES]
    if SLOW_MS <= p50_ms < math.inf:
        words.append("slow")
    unclear = any(counts[column] for column in ("lost", "errors"))
    return ArmSeen(arm, place, n, counts, p50_ms, p99_ms, tuple(words), unclear and not words)


def read_arms(arms: pd.DataFrame) -> Seen:
    """What the arms show of where the ladder goes on; ``too_little`` is not theirs to say."""
    with_control = seen_by_arm(arms)
    all_seen = [seen for seen in with_control if seen.arm != CONTROL]
    asked = all_seen[0].place if all_seen else ""
    here = [seen for seen in all_seen if seen.place == asked]
    at_all = [seen for seen in with_control if seen.place == asked]
    return Seen(
        dead=sum(seen.n for seen in at_all) >= MIN_QUERIES and all(seen.silent for seen in at_all),
        trouble=any(seen.words for seen in all_seen),
        everywhere=bool(here) and all(words for words in _singles(here)),
    )


def _singles(here: list[ArmSeen]) -> Iterator[tuple[str, ...]]:
    by_arm = {seen.arm: seen.words for seen in here}
    return (by_arm.get(arm, ()) for arm in SINGLES)
