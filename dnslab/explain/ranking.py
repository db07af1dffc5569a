"""How each configuration did against baseline, in one word, and which one to recommend.

Pure: rows of a summary in, words out.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum

from dnslab.analyse.summary import NotApplicable, Row, Summary
from dnslab.plan.variants import BUILT_IN, Variant
from dnslab.sentences import Sentence, remedies

#: a median, and a quantile of 99 %, from which on lookups are late although they take less than 1 s, ms
LATE_P50_MS, LATE_P99_MS = 20.0, 50.0
#: glibc before 2.41 can wait 5 s for a query that it never sent (its bug 30081)
KNOWN_BUG = frozenset({"single-request"})
_PLAIN_WORDS = {
    "baseline": remedies.CHANGES_NOTHING,
    "use-vc": remedies.CHANGES_USE_VC,
    "single-request": remedies.CHANGES_SINGLE,
    "single-request-reopen": remedies.CHANGES_REOPEN,
    "no-aaaa": remedies.CHANGES_NO_AAAA,
    "node-local": remedies.CHANGES_NODE_LOCAL,
    "node-local+single-request-reopen": remedies.CHANGES_NODE_LOCAL_REOPEN,
    "cluster-dns-direct": remedies.CHANGES_DIRECT,
    "ndots-1": remedies.CHANGES_NDOTS,
    "root-first": remedies.CHANGES_ROOT_FIRST,
    "absolute": remedies.CHANGES_ABSOLUTE,
    "timeout-1": remedies.CHANGES_TIMEOUT,
}


#: part of baseline's median under which a change of it is not worth a word
WORTH_A_WORD = 0.05


class Word(Enum):
    """How a configuration did: the word for readers, and its tone (``good``, ``bad``, ``warn`` or ``mute``)."""

    CLEARS = remedies.CLEARS, "good"
    HELPS = remedies.HELPS, "warn"
    NO_DIFFERENCE = remedies.NO_DIFFERENCE, "mute"
    WORSE = remedies.WORSE, "bad"
    TRADE_OFF = remedies.TRADE_OFF, "warn"
    TOO_FEW_ROUNDS = remedies.TOO_FEW_ROUNDS, "mute"
    NOT_COMPARED = remedies.NOT_COMPARED, "mute"
    NOT_APPLICABLE = remedies.NOT_APPLICABLE, "mute"
    NOT_MEASURED = remedies.NOT_MEASURED, "mute"
    STALLS = remedies.STALLS, "bad"
    FAILS = remedies.FAILS, "bad"
    SLOW = remedies.SLOW, "bad"
    PARTIAL = remedies.PARTIAL, "bad"
    LATE = remedies.LATE, "warn"
    CLEAN = remedies.CLEAN, "good"
    VOID = remedies.VOID, "mute"

    def __str__(self) -> str:
        return str(self.value[0])

    @property
    def tone(self) -> str:
        """Which colour it has."""
        return self.value[1]


@dataclass(frozen=True)
class Ranked:
    """A row with its word."""

    row: Row
    word: Word


def compared_by(baseline: Row) -> str:
    """The count by which configurations are compared.

    It is ``slow`` where baseline has any, because 1 s is the same for all configurations and the limit of a stall is
    not.
    """
    return "slow" if baseline.slow else "stalls"


def how_it_did(summary: Summary, row: Row, baseline: Row | None) -> Word:
    """The word on ``row``, of which ``baseline`` is the one on the same target."""
    if baseline is None or row.variant == "baseline":
        return _by_itself(row)
    clean = row.is_clean and not row.slow
    if not row.verdicts:
        return Word.NOT_COMPARED if row.load in summary.closed_loops else _by_itself(row)
    words = {row.verdicts[name].word for name in (f"{compared_by(baseline)}_share", "failed_share")}
    if {"lower", "higher"} <= words:
        return Word.TRADE_OFF
    for word, meaning in (("higher", Word.WORSE), ("lower", Word.CLEARS if clean else Word.HELPS)):
        if word in words:
            return meaning
    if clean and baseline.is_clean and not baseline.slow:
        return _by_itself(row)
    return Word.TOO_FEW_ROUNDS if words <= {"too few rounds"} else Word.NO_DIFFERENCE


def moves_median(row: Row, baseline: Row | None) -> bool:
    """Whether the median differs from baseline's beyond chance, and by a twentieth of it or more."""
    effect = row.effects.get("p50_ms")
    if effect is None or baseline is None:
        return False
    beyond_chance = effect.low > 0 or effect.high < 0
    least = WORTH_A_WORD * baseline.p50_ms if math.isfinite(baseline.p50_ms) else 0.0
    return beyond_chance and abs(effect.estimate) >= least


def _by_itself(row: Row) -> Word:
    if row.failed and row.failed >= row.stalls:
        return Word.FAILS
    if row.stalls or row.slow:
        return Word.STALLS if row.stalls else Word.SLOW
    return Word.PARTIAL if row.partial else Word.LATE if is_late(row) else Word.CLEAN


def is_late(row: Row) -> bool:
    """Whether lookups take longer than with a healthy DNS server nearby, although no second."""
    return row.p50_ms >= LATE_P50_MS or row.p99_ms >= LATE_P99_MS


def late_from_ms(row: Row) -> float:
    """The time from which on lookups of a late row are late."""
    return LATE_P50_MS if row.p50_ms >= LATE_P50_MS else LATE_P99_MS


def ranked(summary: Summary, rows: Iterable[Row]) -> list[Ranked]:
    """Each row with its word."""
    return [Ranked(row, how_it_did(summary, row, summary.row("baseline", row.target, row.load))) for row in rows]


def recommended(rows: Sequence[Ranked], variants: dict[str, Variant]) -> Ranked | None:
    """The one to recommend among those that clear it, None if none does.

    First what can be applied to one workload alone, then what has no known bug, then the lowest cost at the median.
    What only the program itself can do (``absolute``) is never recommended.
    """

    def order(one: Ranked) -> tuple[bool, bool, float]:
        cost = one.row.effects.get("p50_ms")
        estimate = cost.estimate if cost and math.isfinite(cost.estimate) else math.inf
        return variants[one.row.variant].node_local, one.row.variant in KNOWN_BUG, estimate

    usable = {name for name, variant in variants.items() if not variant.absolute}
    return min((one for one in rows if one.word is Word.CLEARS and one.row.variant in usable), key=order, default=None)


def in_plain_words(variant: Variant) -> str:
    """What a configuration changes."""
    known: Sentence | None = _PLAIN_WORDS.get(variant.name)
    if known and variant.options == BUILT_IN[variant.name].options and variant.whole is None:
        return str(known)
    return variant.summary[:1].upper() + variant.summary[1:]


def left_out(summary: Summary, libc: str, load: int = 0) -> list[NotApplicable]:
    """What does not apply to a C library, once for each variant."""
    found = {row.variant: row for row in summary.not_applicable if row.libc == libc and row.load == load}
    return list(found.values())
