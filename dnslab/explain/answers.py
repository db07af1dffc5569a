"""The answer, question by question: a line each for a reader who sees no more of the page than these.

Pure: rows of ``stats.Summary`` in, words out. Which rows the answer speaks of, ``findings`` decides.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from dnslab.analyse.intervals import MIN_ROUNDS
from dnslab.analyse.summary import Summary
from dnslab.explain.tables import change, milliseconds, percent


def answers(
    summary: Summary, baseline: Mapping[str, Any], others: Sequence[Mapping[str, Any]], notes: Sequence[str]
) -> dict[str, str]:
    """An answer to each question a reader comes with.

    Parameters
    ----------
    summary
        Where the rows are from.
    baseline, others
        Rows of one target under the first load, each with one lookup or more.
    notes
        Names of what stands beside the figures, as ``validity.Veto`` has them.
    """
    return {
        "Is it happening?": _happening(summary, baseline),
        "How sure?": " ".join([_how_sure(summary, baseline), *([f"Noted: {', '.join(notes)}."] if notes else [])]),
        "What helps?": _what_helps(summary, baseline, others),
        "What does it cost?": _what_it_costs(baseline, others),
    }


def _happening(summary: Summary, baseline: Mapping[str, Any]) -> str:
    injected = "" if summary.fault == "none" else f", with the fault {summary.fault} injected"
    where, length = baseline["target"], f"{baseline['stall_ms'] / 1e3:.3g} s or more"
    failed = percent(baseline["failed_share"])
    if baseline["stalls"]:
        also = f", and {failed} failed" if baseline["failed"] else ""
        stalled = percent(baseline["stalls_share"])
        return f"Yes{injected}: {stalled} of baseline's lookups took {length} on {where}{also}."
    slow = f" But {percent(baseline['slow_share'])} took 1 s or more." if baseline["slow"] else ""
    if baseline["failed"]:
        return f"Not a stall{injected}: none took {length}, but {failed} of baseline's lookups failed on {where}.{slow}"
    return f"Not in this run{injected}: no baseline lookup took {length} on {where}, and none failed.{slow}"


def _how_sure(summary: Summary, baseline: Mapping[str, Any]) -> str:
    counted = f"{baseline['n']:,} lookups"
    if not baseline["stalls"] and not baseline["failed"]:
        bound = percent(baseline["stalls_upper"])
        sure = f"With 95 % confidence under {bound} stall, {counted} taken as independent."
    else:
        interval = baseline["intervals"]["stalls_share" if baseline["stalls"] else "failed_share"]
        rounds = f"{baseline['rounds']} round{'' if baseline['rounds'] == 1 else 's'}"
        if math.isfinite(interval.low):
            bounds = f"{percent(interval.low)} to {percent(interval.high)}"
            sure = f"95 % interval {bounds}, from {counted} in {rounds}."
        else:
            sure = f"No interval can be given: {counted} in {rounds}, and it takes {MIN_ROUNDS} rounds."
    return f"{sure} In a closed loop shares count workers, not faults." if 0 in summary.closed_loops else sure


def _compared_by(baseline: Mapping[str, Any]) -> tuple[str, str]:
    """The count that configurations are compared by, and its time: a stall is another time for each, 1 s is not."""
    return ("slow", "1 s") if baseline["slow"] else ("stalls", f"{baseline['stall_ms'] / 1e3:.3g} s")


def _words(row: Mapping[str, Any], count: str) -> set[str]:
    """What may be said of a row against baseline."""
    return {row["verdicts"][name].word for name in (f"{count}_share", "failed_share")} if row["verdicts"] else set()


def _helping(baseline: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    count, _ = _compared_by(baseline)
    return [row for row in rows if {"lower", "higher"} & _words(row, count) == {"lower"}]


def _what_helps(summary: Summary, baseline: Mapping[str, Any], others: Sequence[Mapping[str, Any]]) -> str:
    if not others:
        return f"Only baseline was measured on {baseline['target']}."
    count, time = _compared_by(baseline)
    if not baseline[count] and not baseline["failed"]:
        bad = "; ".join(told(row) for row in others if row["stalls"] or row["failed"])
        return f"Nothing can be shown to help: baseline did not stall or fail.{f' But {bad}.' if bad else ''}"
    if 0 in summary.closed_loops:
        return "Not compared: the load is a closed loop."
    words = {row["variant"]: _words(row, count) for row in others}
    if all(said <= {"too few rounds"} for said in words.values()):
        return f"Not compared: that takes {MIN_ROUNDS} rounds of both."
    helping = _helping(baseline, others)
    moved = {"lower", "higher"}
    groups = {
        "No difference shown": [name for name, said in words.items() if not said & moved],
        "Worse": [name for name, said in words.items() if said & moved == {"higher"}],
        "Fewer slow but more failed, or the reverse": [name for name, said in words.items() if moved <= said],
    }
    parts = [_helped(helping, count, time, summary.fault)] if helping else ["Nothing was shown to help."]
    return " ".join([*parts, *(f"{said}: {listed(names)}." for said, names in groups.items() if names)])


def _helped(rows: Sequence[Mapping[str, Any]], count: str, time: str, fault: str) -> str:
    clean = [row for row in rows if not row[count] and not row["failed"]]
    parts = []
    if clean:
        fewest = f"{min(row['n'] for row in clean):,}{' or more each' if len(clean) > 1 else ''}"
        names = listed([row["variant"] for row in clean])
        parts.append(f"{names}: no lookup of {fewest} took {time} or more, none failed")
    for row in rows:
        if row not in clean:
            failed = f", {percent(row['failed_share'])} failed" if row["failed"] else ""
            parts.append(f"{row['variant']}: {percent(row[f'{count}_share'])} took {time} or more{failed}")
    # As the limits say at length: who reads no further must not take it for what a kernel that drops would show.
    emulated = " The race is emulated, and spares most by construction." if fault.partition(":")[0] == "race" else ""
    return f"{'; '.join(parts)}.{emulated}"


def _what_it_costs(baseline: Mapping[str, Any], others: Sequence[Mapping[str, Any]]) -> str:
    """The median of what helps, the cheapest and the dearest by name; of all others where nothing does."""
    rows = [row for row in _helping(baseline, others) or others if row["effects"]]
    found = [(row["effects"]["p50_ms"], row["variant"]) for row in rows]
    known = sorted([one for one in found if math.isfinite(one[0].low)], key=lambda one: one[0].estimate)
    if not known:
        return "Not compared."
    moved = [f"{name} {change(effect, 1)}" for effect, name in known if effect.low > 0 or effect.high < 0]
    same = [name for effect, name in known if effect.low <= 0 <= effect.high]
    median = baseline["p50_ms"]
    was = f" {milliseconds(median)} ms" if math.isfinite(median) else "'s failed and counted at the deadline"
    ends = " to ".join(dict.fromkeys([*moved[:1], *moved[-1:]]))
    parts = [f"Median response time, baseline{was}: {ends} ms."] if moved else []
    return " ".join([*parts, *([f"No change of the median shown: {listed(same)}."] if same else [])])


def told(row: Mapping[str, Any]) -> str:
    """How a configuration fared: what stalled, what failed."""
    failed = f" and failed in {percent(row['failed_share'])}" if row["failed"] else ""
    return f"{row['variant']} stalled in {percent(row['stalls_share'])}{failed}"


def listed(names: Sequence[str]) -> str:
    """``"a, b and c"``."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
