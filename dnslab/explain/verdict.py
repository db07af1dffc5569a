"""The verdict on a run: a status, one sentence with one number, and what has to be said beside it.

Pure: a summary in, words out.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from dnslab.analyse.intervals import MIN_ROUNDS, Interval, upper_bound_when_none
from dnslab.analyse.summary import Row, Summary
from dnslab.explain import verification
from dnslab.explain.answers import EXPOSURE_LOST, baselines, leading_baseline, leading_others
from dnslab.explain.diagnosis import NO_DIAGNOSIS, Diagnosis
from dnslab.explain.ranking import LATE_P50_MS, LATE_P99_MS, is_late
from dnslab.explain.validity import voids
from dnslab.explain.veto import Veto
from dnslab.explain.waiting import waited
from dnslab.sentences import Sentence, verdict as said, verification as patched
from dnslab.text import (
    all_of,
    capitalised,
    counted,
    estimate_with_bounds,
    fewer_than,
    listed,
    one_in,
    share_text,
    span_of,
    time_ms,
)

State = Literal["stalls", "slow", "failing", "partial", "delayed", "none", "void", "unknown", "verified"]
Tone = Literal["bad", "good", "warn"]
#: configurations named one by one
MOST_NAMED = 3

_PATCHED: dict[verification.Word, tuple[Sentence, Tone]] = {
    "gone": (patched.GONE, "good"),
    "better but not gone": (patched.NOT_GONE, "warn"),
    "stays": (patched.STAYS, "bad"),
    "worse": (said.PATCH_WORSE, "bad"),
    "not enough data": (said.PATCH_UNSURE, "warn"),
    "not here today": (said.PATCH_NOT_HERE, "warn"),
}


@dataclass(frozen=True)
class Verdict:
    """``strong`` is the part of ``lead`` that carries the number; ``more`` are sentences that follow it."""

    state: State
    tone: Tone
    title: str
    lead: str
    strong: str = ""
    more: tuple[str, ...] = ()

    def __str__(self) -> str:
        return " ".join([f"{self.title}.", self.lead, *self.more])


def judge(summary: Summary, vetoes: Sequence[Veto], diagnosis: Diagnosis = NO_DIAGNOSIS) -> Verdict:
    """The verdict on a run whose sound part is ``summary``, and of which ``diagnosis`` says the causes."""
    void = voids(vetoes)
    if void:
        reason = void[0].seen.removesuffix(".")
        return Verdict("void", "warn", str(said.VOID_TITLE), said.VOID(reason=reason), "", (str(said.VOID_FIGURES),))
    verified = verification.verify(summary)
    if verified and summary.verifies:
        return _verified(verified, verification.Suffered(summary.verifies, summary.limit_ms))
    baseline = leading_baseline(summary)
    if baseline is None:
        names = list(dict.fromkeys(row.variant for row in leading_others(summary)))
        lead = said.NO_BASELINE(names=listed(names)) if names else str(said.NOTHING_MEASURED)
        add = (str(said.NO_BASELINE_MORE),) if names else ()
        return Verdict("unknown", "warn", str(said.UNKNOWN_TITLE), lead, "", add)
    if baseline.is_clean and EXPOSURE_LOST in [veto.name for veto in vetoes]:
        lead = said.EXPOSURE_LOST(lookups=counted(baseline.n, "lookup"), target=baseline.target)
        return Verdict("unknown", "warn", str(said.UNKNOWN_TITLE), lead)
    found = _of_baseline(summary, baseline, diagnosis)
    closed = [str(said.CLOSED_LOOP)] if 0 in summary.closed_loops else []
    # Stalls and failures may both lack an interval for the same reason.
    return replace(found, more=tuple(dict.fromkeys((*found.more, *closed))))


def _verified(verified: Sequence[verification.Verification], suffered: verification.Suffered) -> Verdict:
    title, tone = _PATCHED[verified[0].word]
    several = len(verified) > 1
    lead, *more = [f"{one.libc}: {one.sentence}" if several else one.sentence for one in verified]
    return Verdict("verified", tone, suffered.named(title), lead, "", (*more, suffered.then))


def _of_baseline(summary: Summary, baseline: Row, diagnosis: Diagnosis) -> Verdict:
    if baseline.failed and baseline.failed >= baseline.stalls:
        return _failing(summary, baseline)
    if baseline.stalls:
        found = _stalls(summary, baseline)
        share, *others = found.more
        return replace(found, more=(share, *_own_load(summary, diagnosis), *others))
    if baseline.slow:
        often, length = one_in(baseline.slow_share), span_of(baseline.stall_ms / 1e3)
        lead = said.SLOW(often=often, libc=baseline.libc, length=length)
        more = (_share(summary, baseline, "slow"), *_of_others(summary, baseline))
        return Verdict("slow", "bad", str(said.SLOW_TITLE), lead, often, more)
    partial = _n_partial(diagnosis)
    if partial:
        return _partial(summary, baseline, *partial)
    if {"delay-all", "delay-some"} & _seen(diagnosis) and is_late(baseline):
        return _delayed(baseline)
    found = _none(summary)
    also = [said.ALSO_FOUND(what=one.name) for one in diagnosis.causes if one.kind]
    return replace(found, more=(*found.more, *also), tone="warn" if also else found.tone)


def _seen(diagnosis: Diagnosis) -> set[str]:
    """Names of the signs that were seen."""
    return {name for name, sign in diagnosis.signs.items() if sign.yes}


def _n_partial(diagnosis: Diagnosis) -> tuple[int, int] | None:
    """Lookups that got only A and only AAAA, where they are more than a stray one."""
    if not {"only-a", "only-aaaa"} & _seen(diagnosis):
        return None
    return diagnosis.only_a, diagnosis.only_aaaa


def _how_often(k: int, n: int, some: Sentence, every: Sentence) -> tuple[str, str]:
    """How often something happened, and the sentence with it: ``every`` where it happened each time."""
    often = one_in(k / n)
    if k < n:
        return often, some(often=often)
    often = capitalised(often)
    return often, every(often=often)


def _partial(summary: Summary, baseline: Row, only_a: int, only_aaaa: int) -> Verdict:
    often, lead = _how_often(only_a + only_aaaa, baseline.n, said.PARTIAL, said.PARTIAL_ALL)
    more = [
        sentence(n=counted(n, "lookup"))
        for n, sentence in ((only_aaaa, said.PARTIAL_AAAA), (only_a, said.PARTIAL_A))
        if n
    ]
    more.append(_share(summary, baseline, "partial"))
    return Verdict("partial", "bad", str(said.PARTIAL_TITLE), lead, often, tuple(more))


def _delayed(baseline: Row) -> Verdict:
    median, p99 = time_ms(baseline.p50_ms), time_ms(baseline.p99_ms)
    if baseline.p50_ms >= LATE_P50_MS:
        lead, strong = said.DELAYED_ALL(median=median), median
    else:
        lead, strong = said.DELAYED_SOME(p99=p99, median=median), p99
    limit = said.DELAYED_LIMIT(p50=time_ms(LATE_P50_MS), p99=time_ms(LATE_P99_MS))
    return Verdict("delayed", "warn", str(said.DELAYED_TITLE), lead, strong, (limit,))


def _stalls(summary: Summary, baseline: Row) -> Verdict:
    often = one_in(baseline.stalls_share)
    normal = math.isfinite(baseline.p50_ms) and baseline.p50_ms < baseline.stall_ms
    sentence = said.STALLS if normal else said.STALLS_ALONE
    known = {"often": often, "waited": waited(baseline)}
    lead = sentence(**known, median=time_ms(baseline.p50_ms)) if normal else sentence(**known)
    more = [_share(summary, baseline, "stalls")]
    if baseline.failed:
        more.append(_share(summary, baseline, "failed"))
    more += _of_others(summary, baseline)  # of the target that was named last
    others = [row for row in baselines(summary) if row.libc != baseline.libc and row.stalls]
    worst = max(others, key=lambda row: row.stalls_share, default=None)
    if worst:
        share = share_text(worst.intervals["stalls_share"])
        more.append(said.ALSO_ON(target=worst.target, share=share, waited=waited(worst)))
    return Verdict("stalls", "bad", str(said.STALLS_TITLE), lead, often, tuple(more))


def own_load_matters(summary: Summary, diagnosis: Diagnosis) -> bool:
    """Whether a server lacked room, which may be for the test alone; the lab's servers have no other clients."""
    return summary.backend != "lab" and diagnosis.lacks_room


def _own_load(summary: Summary, diagnosis: Diagnosis) -> Iterator[str]:
    rate = summary.loads[0].rate_per_s
    if own_load_matters(summary, diagnosis):
        yield said.OWN_LOAD(rate=f"{rate:g} lookups/s") if rate else str(said.OWN_LOAD_CLOSED)


def _failing(summary: Summary, baseline: Row) -> Verdict:
    often, lead = _how_often(baseline.failed, baseline.n, said.FAILING, said.FAILING_ALL)
    length = span_of(baseline.stall_ms / 1e3)
    if baseline.stalls:
        share = share_text(baseline.intervals["stalls_share"])
        beside = said.STALLS_BESIDE(share=share, length=length)
    else:
        beside = said.NO_STALL_BESIDE(length=length)
    more = (_share(summary, baseline, "failed"), beside, *_of_others(summary, baseline))
    return Verdict("failing", "bad", str(said.FAILING_TITLE), lead, often, more)


def _none(summary: Summary) -> Verdict:
    rows = baselines(summary)
    n = sum(row.n for row in rows)
    fewer = fewer_than(upper_bound_when_none(n))
    where = f"target {rows[0].target}" if len(rows) == 1 else f"these {len(rows)} targets"
    slowest = max(row.max_ms for row in rows)
    more = [said.NONE_BOUND(where=where), said.SLOWEST(slowest=time_ms(slowest))]
    lead = said.NONE(lookups=counted(n, "lookup"), fewer=fewer)
    return Verdict("none", "good", str(said.NONE_TITLE), lead, fewer, (*more, *_worse_than_clean(summary)))


def _worse_than_clean(summary: Summary) -> Iterator[str]:
    bad: dict[str, Row] = {}
    for row in sorted(summary.measured(load=0), key=lambda row: -(row.stalls_share + row.failed_share)):
        if row.n and not row.is_clean:
            bad.setdefault(row.variant, row)
    if bad:
        fared = [f"{_fared(row)} on {row.target}" for row in list(bad.values())[:MOST_NAMED]]
        yield said.OTHERS_BAD(names="; ".join(fared))


def _of_others(summary: Summary, baseline: Row) -> Iterator[str]:
    """How the other configurations on the same target did."""
    others = leading_others(summary)
    bad = [row for row in others if not row.is_clean or row.slow]
    if others and not bad:
        n = len(others)
        names = all_of(n, "other configuration") if n > 1 else others[0].variant
        yield said.OTHERS_CLEAN(configurations=names)
    elif bad and len(bad) < len(others):
        yield said.OTHERS_BAD(names="; ".join(map(_fared, bad)))


def _fared(row: Row) -> str:
    parts = []
    if row.stalls or not (row.failed or row.slow):
        parts.append(said.STALLED_IN(share=share_text(row.intervals["stalls_share"])))
    if row.failed:
        parts.append(said.FAILED_IN(share=share_text(row.intervals["failed_share"])))
    if not parts:
        parts.append(said.SLOW_IN(share=share_text(row.intervals["slow_share"])))
    return f"{row.variant} {' and '.join(parts)}"


def _share(summary: Summary, row: Row, count: str) -> str:
    """A share with its interval, or why there is none; ``row`` is baseline where it is worst."""
    sentence = {
        "stalls": said.STALLS_SHARE,
        "failed": said.FAILED_SHARE,
        "slow": said.SLOW_SHARE,
        "partial": said.PARTIAL_SHARE,
    }[count]
    interval: Interval = row.intervals[f"{count}_share"]
    if not math.isfinite(interval.low):
        return said.NO_INTERVAL(rounds=counted(row.rounds, "round"), needed=str(MIN_ROUNDS))
    share, bounds = estimate_with_bounds(interval, 100)
    alike = [other for other in baselines(summary) if other.libc == row.libc]
    target = (
        said.WORST_OF(target=row.target, n=counted(len(alike), "target"), libc=row.libc)
        if len(alike) > 1
        else row.target
    )
    return sentence(target=target, share=f"{share} %", lookups=counted(row.n, "lookup"), bounds=f"{bounds} %")
