"""The answer as one line for each question, for a reader who reads nothing else.

Pure: rows of a summary in, words out. Also decides which rows the answer is about.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from dnslab.analyse.intervals import MIN_ROUNDS
from dnslab.analyse.summary import Row, Summary
from dnslab.text import change, listed, milliseconds, percent, rounded

#: the name of a veto: flows were used again, on which nothing can race
EXPOSURE_LOST = "exposure lost"


def cannot_tell(baseline: Row) -> str:
    """What is said of a clean baseline whose flows were not new."""
    return (
        f"This run cannot tell: none of {baseline.n:,} baseline lookups stalled on {baseline.target}, but too few "
        "opened a new flow, and the race needs one."
    )


def measured(summary: Summary) -> list[Row]:
    """Rows under the first load that have at least one lookup."""
    return [row for row in summary.measured(load=0) if row.n]


def baselines(summary: Summary) -> list[Row]:
    """Baseline's rows under the first load, one for each target."""
    return [row for row in measured(summary) if row.variant == "baseline"]


def leading_baseline(summary: Summary) -> Row | None:
    """Baseline on the target that the answer is about: the one where baseline is worst.

    A target with glibc is preferred, because every configuration applies to it.
    """

    def badness(row: Row) -> tuple[bool, bool, float]:
        bad = row.stalls_share + row.failed_share
        return bool(bad), row.libc == "glibc", bad

    return max(baselines(summary), key=badness, default=None)


def leading_target(summary: Summary) -> str | None:
    """The target that the answer is about."""
    baseline = leading_baseline(summary)
    return baseline.target if baseline else next((row.target for row in measured(summary)), None)


def leading_others(summary: Summary) -> list[Row]:
    """All other rows of the target that the answer is about."""
    target = leading_target(summary)
    return [row for row in measured(summary) if row.target == target and row.variant != "baseline"]


def answers(
    summary: Summary, baseline: Row, others: Sequence[Row], notes: Sequence[str], left_out: str = ""
) -> dict[str, str]:
    """An answer to each question that a reader has.

    Parameters
    ----------
    summary
        Where the rows are from.
    baseline, others
        Rows of one target under the first load, each with one lookup or more.
    notes
        Names of what stands beside the figures, as ``veto.Veto`` has them.
    left_out
        A sentence on what the figures leave out.
    """
    noted = f"Noted: {', '.join(notes)}." if notes else ""
    return {
        "Is it happening?": _happening(summary, baseline, EXPOSURE_LOST in notes),
        "How sure?": " ".join(filter(None, [_how_sure(summary, baseline), left_out, noted])),
        "What helps?": _what_helps(summary, baseline, others),
        "What does it cost?": _what_it_costs(baseline, others),
    }


def _happening(summary: Summary, baseline: Row, exposure_lost: bool) -> str:
    if exposure_lost and baseline.is_clean:
        return cannot_tell(baseline)
    injected = "" if summary.fault == "none" else f", with the fault {summary.fault} injected"
    where, length = baseline.target, f"{rounded(baseline.stall_ms / 1e3)} s or more"
    failed = percent(baseline.failed_share)
    if baseline.stalls:
        also = f", and {failed} failed" if baseline.failed else ""
        stalled = percent(baseline.stalls_share)
        return f"Yes{injected}: {stalled} of baseline's lookups took {length} on {where}{also}."
    slow = f" But {percent(baseline.slow_share)} took 1 s or more." if baseline.slow else ""
    if baseline.failed:
        return f"Not a stall{injected}: none took {length}, but {failed} of baseline's lookups failed on {where}.{slow}"
    return f"Not in this run{injected}: no baseline lookup took {length} on {where}, and none failed.{slow}"


def _how_sure(summary: Summary, baseline: Row) -> str:
    counted = f"{baseline.n:,} lookups"
    if baseline.is_clean:
        bound = percent(baseline.bounds[1])
        sure = f"With 95 % confidence under {bound} stall, {counted} taken as independent."
    else:
        interval = baseline.intervals["stalls_share" if baseline.stalls else "failed_share"]
        rounds = f"{baseline.rounds} round{'' if baseline.rounds == 1 else 's'}"
        if math.isfinite(interval.low):
            bounds = f"{percent(interval.low)} to {percent(interval.high)}"
            sure = f"95 % interval {bounds}, from {counted} in {rounds}."
        else:
            sure = f"No interval can be given: {counted} in {rounds}, and it takes {MIN_ROUNDS} rounds."
    return f"{sure} In a closed loop shares count workers, not faults." if 0 in summary.closed_loops else sure


def _compared_by(baseline: Row) -> tuple[str, str]:
    """The count by which configurations are compared, and its time limit in words.

    It is ``slow`` where baseline has any, because 1 s is the same for all configurations and the limit of a stall is
    not.
    """
    return ("slow", "1 s") if baseline.slow else ("stalls", f"{rounded(baseline.stall_ms / 1e3)} s")


def _words(row: Row, count: str) -> set[str]:
    """The verdicts on a row against baseline."""
    return {row.verdicts[name].word for name in (f"{count}_share", "failed_share")} if row.verdicts else set()


def _helping(baseline: Row, rows: Sequence[Row]) -> list[Row]:
    count, _ = _compared_by(baseline)
    return [row for row in rows if {"lower", "higher"} & _words(row, count) == {"lower"}]


def _what_helps(summary: Summary, baseline: Row, others: Sequence[Row]) -> str:
    if not others:
        return f"Only baseline was measured on {baseline.target}."
    count, time = _compared_by(baseline)
    if not getattr(baseline, count) and not baseline.failed:
        bad = "; ".join(how_it_fared(row) for row in others if not row.is_clean)
        return f"Nothing can be shown to help: baseline did not stall or fail.{f' But {bad}.' if bad else ''}"
    if 0 in summary.closed_loops:
        return "Not compared: in a closed loop stalled workers ask nothing. Measure with --rate to compare."
    words = {row.variant: _words(row, count) for row in others}
    if all(verdicts <= {"too few rounds"} for verdicts in words.values()):
        return f"Not compared: that takes {MIN_ROUNDS} rounds of both."
    helping = _helping(baseline, others)
    moved = {"lower", "higher"}
    groups = {
        "No difference shown": [name for name, verdicts in words.items() if not verdicts & moved],
        "Worse": [name for name, verdicts in words.items() if verdicts & moved == {"higher"}],
        "Fewer slow but more failed, or the reverse": [name for name, verdicts in words.items() if moved <= verdicts],
    }
    parts = [_helped(helping, count, time, summary.fault)] if helping else ["Nothing was shown to help."]
    return " ".join([*parts, *(f"{heading}: {listed(names)}." for heading, names in groups.items() if names)])


def _helped(rows: Sequence[Row], count: str, time: str, fault: str) -> str:
    clean = [row for row in rows if not getattr(row, count) and not row.failed]
    parts = []
    if clean:
        fewest = f"{min(row.n for row in clean):,}{' or more each' if len(clean) > 1 else ''}"
        names = listed([row.variant for row in clean])
        parts.append(f"{names}: no lookup of {fewest} took {time} or more, none failed")
    for row in rows:
        if row not in clean:
            failed = f", {percent(row.failed_share)} failed" if row.failed else ""
            parts.append(f"{row.variant}: {percent(getattr(row, f'{count}_share'))} took {time} or more{failed}")
    # As the limits say at length: who reads no further must not take it for what a kernel that drops would show.
    emulated = " The race is emulated, and spares most by construction." if fault.partition(":")[0] == "race" else ""
    return f"{'; '.join(parts)}.{emulated}"


def _what_it_costs(baseline: Row, others: Sequence[Row]) -> str:
    """The cost at the median of the cheapest and the most expensive configuration that helps, or of all."""
    rows = _helping(baseline, others) or others
    effects = [(row.effects["p50_ms"], row.variant) for row in rows if row.effects]
    known = sorted([pair for pair in effects if math.isfinite(pair[0].low)], key=lambda pair: pair[0].estimate)
    if not known:
        return "Not compared."
    moved = [f"{name} {change(effect)}" for effect, name in known if effect.low > 0 or effect.high < 0]
    same = [name for effect, name in known if effect.low <= 0 <= effect.high]
    median = baseline.p50_ms
    was = f" {milliseconds(median)} ms" if math.isfinite(median) else "'s failed and counted at the deadline"
    ends = " to ".join(dict.fromkeys([*moved[:1], *moved[-1:]]))
    parts = [f"Median response time, baseline{was}: {ends} ms."] if moved else []
    return " ".join([*parts, *([f"No change of the median shown: {listed(same)}."] if same else [])])


def how_it_fared(row: Row) -> str:
    """How many lookups of a configuration stalled, and how many failed."""
    failed = f" and failed in {percent(row.failed_share)}" if row.failed else ""
    return f"{row.variant} stalled in {percent(row.stalls_share)}{failed}"
