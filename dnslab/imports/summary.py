"""What other tools measured, compared: rounds in, figures and what they cannot show out. Reads no files.

Such data has no raw lookups, no flags and no counters, so nothing here names a cause.
"""

from __future__ import annotations

import json
import math
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from dnslab.analyse import intervals
from dnslab.analyse.intervals import MIN_ROUNDS, Interval, Verdict, upper_bound_when_none, wilson
from dnslab.analyse.summary import judge, quantiles
from dnslab.explain import tables
from dnslab.text import visible

VERSION = 1
MEASURES = ("over_limit", "failed")
LEVELS = {"p50_ms": 0.5, "p99_ms": 0.99}

NO_CAUSE = (
    "These figures name no cause. Servers' full receive buffers give the same table without any race: stalls of 5 s, "
    "node-local no better, none with single-request or single-request-reopen. What tells them apart is not in such "
    "data: which of the two answers was lost, and the servers' RcvbufErrors; `dnslab run` records both."
)
INDEPENDENT = (
    "Bounds with * take all {what} for independent. Those of one round share its minute and its faults, so the truth "
    "may lie further out."
)
UNPAIRED = (
    "Rounds are not paired: what else differed between them (hour, order, load, node) is in each difference, too."
)


@dataclass(frozen=True)
class Round:
    """Counts of one variant in one round.

    ``over_limit`` is None where the file does not tell. ``avg_ms`` is over ``n_timed``. ``latencies_ms`` has all ``n``,
    failed ones as ``inf``; None where only counts were kept.
    """

    variant: str
    round: int
    n: int
    failed: int
    over_limit: int | None
    min_ms: float = math.nan
    avg_ms: float = math.nan
    max_ms: float = math.nan
    n_timed: int = 0
    per_s: float = math.nan
    latencies_ms: npt.NDArray[np.float64] | None = None


@dataclass(frozen=True)
class Imported:
    """Rounds of one kind; ``what`` was counted is requests, queries or rows. ``notes``: what they cannot show.

    ``paired`` where rounds of one number are one round of one measurement, so that variants compare within it.
    """

    what: str
    rounds: tuple[Round, ...]
    limit_ms: float
    notes: tuple[str, ...]
    paired: bool = False

    def to_frame(self) -> pd.DataFrame:
        """One row for each variant and round, with all but the single latencies."""
        return pd.DataFrame([vars(one) for one in self.rounds]).drop(columns="latencies_ms")


@dataclass(frozen=True)
class ImportedSummary:
    """Figures of imported rounds, a row a variant (docs/import.md), each compared with ``base``."""

    imported: Imported
    base: str
    rows: tuple[dict[str, Any], ...]

    @property
    def figures(self) -> tables.Table:
        """The rows for people."""
        told = []
        for row in self.rows:
            times = {name: tables.milliseconds(row[f"{name}_ms"]) for name in ("min", "avg", "max")}
            levels = {name: tables.milliseconds(row[name]) for name in LEVELS}
            told.append(
                {
                    "configuration": row["variant"],
                    "rounds": f"{row['rounds']}",
                    self.imported.what: f"{row['n']:,}",
                    f"≥ {self.imported.limit_ms:g} ms": "" if row["over_limit"] is None else f"{row['over_limit']:,}",
                    "share (95 %)": _share_text(row, "over_limit"),
                    "failed": f"{row['failed']:,}",
                    **{f"{name.removesuffix('_ms')} ms": text for name, text in {**times, **levels}.items()},
                    "per s": f"{row['per_s']:,.0f}" if math.isfinite(row["per_s"]) else "",
                }
            )
        frame = pd.DataFrame(told)
        return tables.Table(frame.loc[:, (frame != "").any()], "figures of imported data")

    @property
    def comparisons(self) -> list[str]:
        """What each variant differs in from ``base``, a line a measure."""
        return [
            f"{row['variant']}, {self._name(measure)}: {_difference_text(interval, verdict)}"
            for measure in MEASURES
            for row in self.rows
            if row["effects"] and row["effects"][measure] is not None
            for interval, verdict in [(row["effects"][measure], row["verdicts"][measure])]
        ]

    def _name(self, measure: str) -> str:
        return "failed" if measure == "failed" else f"≥ {self.imported.limit_ms:g} ms"

    @property
    def notes(self) -> list[str]:
        """What the data cannot show, a sentence or two each."""
        what = self.imported.what
        told = [NO_CAUSE, *self.imported.notes]
        if any("*" in _share_text(row, "over_limit") for row in self.rows):
            told.append(INDEPENDENT.format(what=what))
        clean = [row for row in self.rows if row["over_limit"] == 0]
        if clean:
            fewest = min(row["rounds"] for row in clean)
            bound = tables.percent(upper_bound_when_none(fewest))
            told.append(
                f"By rounds alone, none in {fewest} rounds bounds the share of rounds with any at {bound} only."
            )
        if len(self.rows) > 1 and not self.imported.paired:
            told.append(UNPAIRED)
        return told

    def to_text(self, width: int | None = None) -> str:
        """Table, comparisons and notes for a terminal of ``width`` columns."""
        parts = [self.figures.to_text(width)]
        if self.comparisons:
            how = "paired by round, t" if self.imported.paired else "of the rounds' mean shares, Welch's"
            head = f"Against {visible(self.base)} (95 % intervals: {how}; in words after Holm's correction for all):"
            parts.append("\n".join([head, *(f"  {visible(line)}" for line in self.comparisons)]))
        hung = textwrap.TextWrapper(min(width or 100, 100), initial_indent="- ", subsequent_indent="  ")
        parts.append("\n".join(["What this data cannot show:", *(hung.fill(visible(note)) for note in self.notes)]))
        return "\n\n".join(parts)

    def to_frame(self) -> pd.DataFrame:
        """The rows as a frame; an interval becomes columns ``<name>``, ``..._low``, ``..._high``, and ``..._p``."""
        flat = []
        for row in self.rows:
            plain = {key: value for key, value in row.items() if key not in ("shares", "effects", "verdicts")}
            named = {f"{name}_share": one for name, one in row["shares"].items()}
            named |= {f"effect_{name}_share": one for name, one in (row["effects"] or {}).items()}
            for name, one in named.items():
                if one is not None:
                    plain |= {name: one.estimate, f"{name}_low": one.low, f"{name}_high": one.high}
                    plain |= {f"{name}_p": one.p} if name.startswith("effect_") else {}
            plain |= {f"verdict_{name}": verdict.word for name, verdict in (row["verdicts"] or {}).items()}
            flat.append(plain)
        return pd.DataFrame(flat)

    def to_dict(self) -> dict[str, Any]:
        """As plain data for JSON: the rows of ``to_frame``, null where a figure is not known."""
        head = {"version": VERSION, "what": self.imported.what, "limit_ms": self.imported.limit_ms, "base": self.base}
        frame = self.to_frame().replace({math.inf: "failed"})
        return {**head, "rows": json.loads(frame.to_json(orient="records", double_precision=15)), "notes": self.notes}

    def _repr_html_(self) -> str:
        return self.figures._repr_html_()


def _share_text(row: dict[str, Any], measure: str) -> str:
    share, upper = row["shares"][measure], row[f"{measure}_upper"]
    if share is None:
        return ""
    if upper is not None:
        return f"0 (< {tables.percent(upper)}) *"
    mark = " *" if row["rounds"] < MIN_ROUNDS else ""
    return f"{tables.percent(share.estimate)} ({share.low * 100:.2g} to {share.high * 100:.2g}){mark}"


def _difference_text(found: Interval, verdict: Verdict) -> str:
    points = f"{found.estimate * 100:+.3g} points"
    if verdict.word == "too few rounds":
        return f"{points}; too few rounds for an interval, each side needs {MIN_ROUNDS}"
    bound = f", none over {verdict.bound * 100:.3g} points" if verdict.word == "no difference shown" else ""
    return f"{points} ({found.low * 100:+.3g} to {found.high * 100:+.3g}), p = {found.p:.2g}: {verdict.word}{bound}"


def summarise_imported(imported: Imported) -> ImportedSummary:
    """Figures of each variant, and what it differs in from ``baseline``, or from the first without one.

    A share has its interval over rounds; with fewer than three, and where nothing happened, bounds that take all as
    independent. Differences have an interval from three rounds on each side on. Verdicts are Holm's over all variants.
    """
    by_variant: dict[str, list[Round]] = {}
    for one in imported.rounds:
        by_variant.setdefault(one.variant, []).append(one)
    base = "baseline" if "baseline" in by_variant else next(iter(by_variant))
    rows = []
    for variant, rounds in by_variant.items():
        against = None if variant == base else _effects(rounds, by_variant[base], imported.paired)
        rows.append({**_row(variant, rounds), "effects": against, "verdicts": None})
    judge(rows)
    return ImportedSummary(imported, base, tuple(rows))


def _row(variant: str, rounds: Sequence[Round]) -> dict[str, Any]:
    n = [one.n for one in rounds]
    counts = {measure: _counts(rounds, measure) for measure in MEASURES}
    totals = {measure: None if count is None else sum(count) for measure, count in counts.items()}
    timed = sum(one.n_timed for one in rounds)
    return {
        "variant": variant,
        "rounds": len(rounds),
        "n": sum(n),
        **totals,
        "shares": {measure: None if count is None else _share(count, n) for measure, count in counts.items()},
        **{f"{name}_upper": upper_bound_when_none(sum(n)) if total == 0 else None for name, total in totals.items()},
        "min_ms": float(np.min([one.min_ms for one in rounds])),
        "avg_ms": sum(one.avg_ms * one.n_timed for one in rounds if one.n_timed) / timed if timed else math.nan,
        "max_ms": float(np.max([one.max_ms for one in rounds])),
        **dict(zip(LEVELS, quantiles(_latencies(rounds), list(LEVELS.values())), strict=True)),
        "per_s": float(np.mean([one.per_s for one in rounds])),
    }


def _counts(rounds: Sequence[Round], measure: str) -> list[int] | None:
    """One a round; None where any round does not tell."""
    counts = [getattr(one, measure) for one in rounds]
    return None if None in counts else counts


def _latencies(rounds: Sequence[Round]) -> npt.NDArray[np.float64]:
    """Of all rounds; none where any round kept counts only."""
    kept = [one.latencies_ms for one in rounds if one.latencies_ms is not None]
    return np.concatenate(kept) if len(kept) == len(rounds) else np.empty(0)


def _share(counts: Sequence[int], n: Sequence[int]) -> Interval:
    if len(n) < MIN_ROUNDS:
        return Interval(sum(counts) / sum(n), *wilson(sum(counts), sum(n)))
    return intervals.share(counts, n)


def _effects(rounds: Sequence[Round], base: Sequence[Round], paired: bool) -> dict[str, Interval | None]:
    """Differences of shares; None where one side does not tell."""
    compared = intervals.difference if paired else intervals.unpaired_difference
    effects: dict[str, Interval | None] = {}
    ordered, base = (sorted(side, key=lambda one: one.round) for side in (rounds, base))
    for measure in MEASURES:
        counts, base_counts = _counts(ordered, measure), _counts(base, measure)
        effects[measure] = (
            None
            if counts is None or base_counts is None
            else compared(counts, [one.n for one in ordered], base_counts, [one.n for one in base])
        )
    return effects
