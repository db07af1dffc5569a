"""Tables for people: a summary's rows, and what each configuration changes.

Pure: rows in, a table of text out.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import pandas as pd

from dnslab.analyse.intervals import Interval, Verdict
from dnslab.analyse.summary import NotApplicable, Row, Summary
from dnslab.text import (
    NAMES,
    NOT_APPLICABLE,
    Table,
    below,
    change,
    milliseconds,
    percent,
    rounded,
    share_text,
    share_with_bounds,
    without_noise,
)


def by_configuration(summary: Summary) -> Table:
    """The rows of a summary: one for each variant, target and load."""
    lines: list[dict[str, str]] = []
    for row in summary.rows:
        names = row_names(row, summary.load_labels)
        if isinstance(row, NotApplicable):
            lines.append({**names, "exposed": f"{NOT_APPLICABLE}: {row.reason}"})
            continue
        lines.append(
            {
                **names,
                "lookups": f"{row.n:,}",
                "stalls": f"{row.stalls:,}",
                "stalled (95 %)": stalled(row),
                "flagged": percent(row.flagged_share) if row.flagged_share is not None else "",
                "stalls at": _at_steps(row),
                "≥ 1 s": share_text(row.intervals["slow_share"]),
                "failed": f"{row.failed:,}",
                "partial": f"{row.partial:,}",
                "p50 ms": milliseconds(row.p50_ms),
                "p99 ms": milliseconds(row.p99_ms),
                "p99.9 ms": milliseconds(row.p999_ms),
                "min ms": milliseconds(row.min_ms),
                "avg ms": milliseconds(row.avg_ms),
                "max ms": milliseconds(row.max_ms),
                f"≥ {summary.limit_ms:g} ms": f"{row.over_limit:,}",
                "lookups/s": f"{row.lookups_per_s:,.0f}" if math.isfinite(row.lookups_per_s) else "",
                "exposed": _exposed(row),
            }
        )
    return Table(pd.DataFrame(lines).fillna(""), "figures by configuration")


def row_names(row: Row | NotApplicable, load_labels: Sequence[str]) -> dict[str, str]:
    """The cells that name a row: variant, target and load as far as they differ."""
    load = {"load": load_labels[row.load]} if len(load_labels) > 1 else {}
    return {"configuration": row.variant, "target": row.target, **load}


def stalled(row: Row) -> str:
    """``"6.7 % (4.6 to 9.8)"`` or ``"none (below 0.9 %)"``; ``""`` where there is no lookup."""
    if not row.n:
        return ""
    return share_with_bounds(row.intervals["stalls_share"]) if row.stalls else f"none ({below(row.bounds[1])})"


def _at_steps(row: Row) -> str:
    """``"5 s 24, 10 s 1, else 2"``: when stalls ended."""
    at_steps = [f"{step} s {n:,}" for step, n in (row.stalls_at or {}).items()]
    return ", ".join([*at_steps, *([f"else {row.stalls_elsewhere:,}"] if row.stalls_elsewhere else [])])


def _exposed(row: Row) -> str:
    if row.exposed_counted is not None:
        return f"{row.exposed_counted:,}"
    return "" if row.exposed_modelled is None else f"{row.exposed_modelled:,.0f} (model)"


def side_by_side(tables: Mapping[str, Table]) -> Table:
    """``by_configuration`` of several runs, by the run's name: the rows of one configuration below each other."""
    frames = [table.frame.assign(run=name) for name, table in tables.items()]
    joined = pd.concat(frames, ignore_index=True).fillna("")
    names = [name for name in NAMES if name in joined]
    last = joined.pop("exposed")  # where a reason stands, which must be last
    ordered = joined[[*names, *(name for name in joined if name not in names)]].assign(exposed=last)
    keys = ordered[[name for name in names if name != "run"]].apply(tuple, axis=1)
    rank = {key: i for i, key in enumerate(dict.fromkeys(keys))}
    return Table(ordered.iloc[keys.map(rank).argsort(kind="stable")], "figures by configuration and run")


def against_baseline(summary: Summary) -> Table:
    """What each configuration changes against baseline, paired by round; empty where nothing can be compared."""
    lines = []
    for row in summary.measured():
        if row.effects:
            shares = {
                heading: change(row.effects[f"{name}_share"], 100)
                for heading, name in (("≥ 1 s, points", "slow"), ("failed, points", "failed"))
            }
            times = {
                f"{level} ms": change(row.effects[name])
                for level, name in (("p50", "p50_ms"), ("p99", "p99_ms"), ("p99.9", "p999_ms"))
            }
            verdict = verdict_in_words(row.verdicts["slow_share"], row.effects["slow_share"], 100, " points")
            lines.append({**row_names(row, summary.load_labels), "≥ 1 s": verdict, **shares, **times})
    return Table(pd.DataFrame(lines), "changes against baseline")


def verdict_in_words(verdict: Verdict, interval: Interval, factor: float, unit: str) -> str:
    """A verdict as text. Where it shows no difference, it says how large one could still be.

    An interval is of one difference, a verdict of all that are compared: the first may exclude 0 where the second shows
    nothing.
    """
    if verdict.word != "no difference shown":
        return verdict.word
    low, high = without_noise(interval.low), without_noise(interval.high)
    if low > 0 or high < 0:
        word = "higher" if low > 0 else "lower"
        return f"not shown: {word} by itself, not sure among all that are compared"
    return f"no difference over {rounded(without_noise(factor * verdict.bound), 2)}{unit} shown"
