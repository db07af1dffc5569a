"""Compares what other tools measured: takes rounds, gives numbers and what they cannot show. Reads no files.

Such data has no raw lookups, no flags and no counters, so nothing here names a cause.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from dnslab.analyse import intervals
from dnslab.analyse.effects import judge
from dnslab.analyse.intervals import MIN_ROUNDS, Interval, Verdict, upper_bound_when_none, wilson
from dnslab.analyse.quantiles import quantiles
from dnslab.sentences import imports as sentences
from dnslab.text import (
    Table,
    below,
    counted,
    estimate_with_bounds,
    item,
    milliseconds,
    rounded,
    share_with_bounds,
    span_of,
    visible,
)

VERSION = 1
MEASURES = ("over_limit", "failed")
LEVELS = {"p50_ms": 0.5, "p99_ms": 0.99}
#: when musl first asks again, s (two attempts share its 5 s: res_msend.c)
MUSL_STEP_S = 2.5


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
    """Rounds of one kind. ``what`` names what was counted: requests, queries or lookups. ``notes`` say what it cannot
    show. ``tool`` measured them, ``""`` where that is not known.

    With ``paired``, rounds of equal number belong to one round of one measurement, so that variants are compared within
    it.
    """

    what: str
    rounds: tuple[Round, ...]
    limit_ms: float
    notes: tuple[str, ...]
    paired: bool = False
    tool: str = ""

    def to_frame(self) -> pd.DataFrame:
        """One row for each variant and round, with all but the single latencies."""
        return pd.DataFrame([vars(round_) for round_ in self.rounds]).drop(columns="latencies_ms")


@dataclass(frozen=True, kw_only=True)
class ImportedRow:
    """The imported numbers of one variant; docs/import.md describes each field.

    ``shares`` and ``effects`` are by the count's name; None, or left out, where the data does not tell.
    """

    variant: str
    rounds: int
    n: int
    over_limit: int | None
    failed: int
    over_limit_upper: float | None
    failed_upper: float | None
    min_ms: float
    avg_ms: float
    max_ms: float
    p50_ms: float
    p99_ms: float
    per_s: float
    shares: Mapping[str, Interval | None]
    effects: Mapping[str, Interval]
    verdicts: Mapping[str, Verdict] = field(default_factory=dict)


@dataclass(frozen=True)
class ImportedSummary:
    """Imported rounds in numbers, a row a variant, each compared with ``base``."""

    imported: Imported
    base: str
    rows: tuple[ImportedRow, ...]

    @property
    def table(self) -> Table:
        """The rows for people."""
        lines = []
        for row in self.rows:
            times = {name: milliseconds(getattr(row, f"{name}_ms")) for name in ("min", "avg", "max")}
            levels = {name: milliseconds(getattr(row, name)) for name in LEVELS}
            lines.append(
                {
                    "configuration": row.variant,
                    "rounds": f"{row.rounds}",
                    self.imported.what: f"{row.n:,}",
                    f"≥ {self.imported.limit_ms:g} ms": "" if row.over_limit is None else f"{row.over_limit:,}",
                    "share (95 %)": _share_text(row, "over_limit"),
                    "failed": f"{row.failed:,}",
                    **{f"{name.removesuffix('_ms')} ms": text for name, text in {**times, **levels}.items()},
                    "per s": f"{row.per_s:,.0f}" if math.isfinite(row.per_s) else "",
                }
            )
        frame = pd.DataFrame(lines)
        return Table(frame.loc[:, (frame != "").any()], "figures of imported data")

    @property
    def comparisons(self) -> list[str]:
        """How each variant differs from ``base``, one line for each measure."""
        return [
            f"{row.variant}, {self._name(measure)}: {_difference_text(interval, verdict)}"
            for measure in MEASURES
            for row in self.rows
            if measure in row.effects
            for interval, verdict in [(row.effects[measure], row.verdicts[measure])]
        ]

    def _name(self, measure: str) -> str:
        return "failed" if measure == "failed" else f"≥ {self.imported.limit_ms:g} ms"

    @property
    def notes(self) -> list[str]:
        """What the data cannot show, a sentence or two each."""
        what = self.imported.what
        found = any(row.over_limit for row in self.rows)
        limit_s = self.imported.limit_ms / 1e3
        notes = [
            str(sentences.NO_CAUSE),
            *([sentences.MUSL_UNSEEN(limit=span_of(limit_s))] if limit_s > MUSL_STEP_S else []),
            *([str(sentences.SAME_TABLE)] if found else []),
            *self.imported.notes,
        ]
        if any("*" in _share_text(row, "over_limit") for row in self.rows):
            notes.append(sentences.INDEPENDENT(what=what))
        clean = [row for row in self.rows if row.over_limit == 0]
        if clean:
            fewest = min(row.rounds for row in clean)
            bound = f"{100 * upper_bound_when_none(fewest):.0f} %"
            notes.append(sentences.ROUNDS_ALONE(rounds=counted(fewest, "round"), bound=bound))
        if len(self.rows) > 1 and not self.imported.paired:
            notes.append(str(sentences.UNPAIRED))
        return notes

    def to_text(self, width: int | None = None) -> str:
        """Table, comparisons and notes for a terminal of ``width`` columns."""
        parts = [self.table.to_text(width)]
        if self.comparisons:
            how = sentences.PAIRED_BY_ROUND if self.imported.paired else sentences.UNPAIRED_SHARES
            head = sentences.AGAINST(base=visible(self.base), how=str(how))
            parts.append("\n".join([head, *(f"  {visible(line)}" for line in self.comparisons)]))
        parts.append("\n".join([str(sentences.CANNOT_SHOW), *(item(note, width) for note in self.notes)]))
        return "\n\n".join(parts)

    def to_frame(self) -> pd.DataFrame:
        """The rows as a frame. An interval becomes the columns ``<name>``, ``..._low``, ``..._high``, and ``..._p``."""
        flat = []
        for row in self.rows:
            plain = {key: value for key, value in vars(row).items() if key not in ("shares", "effects", "verdicts")}
            for name, share in row.shares.items():
                if share:
                    plain |= _columns(f"{name}_share", share)
            for name, effect in row.effects.items():
                plain |= {**_columns(f"effect_{name}_share", effect), f"effect_{name}_share_p": effect.p}
            plain |= {f"verdict_{name}": verdict.word for name, verdict in row.verdicts.items()}
            flat.append(plain)
        return pd.DataFrame(flat)

    def to_dict(self) -> dict[str, Any]:
        """As plain data for JSON: the rows of ``to_frame``. A number that is not known is null."""
        head = {"version": VERSION, "what": self.imported.what, "limit_ms": self.imported.limit_ms, "base": self.base}
        frame = self.to_frame().replace({math.inf: "failed"})
        return {**head, "rows": json.loads(frame.to_json(orient="records", double_precision=15)), "notes": self.notes}

    def _repr_html_(self) -> str:
        return self.table._repr_html_()


def _columns(name: str, interval: Interval) -> dict[str, float]:
    return {name: interval.estimate, f"{name}_low": interval.low, f"{name}_high": interval.high}


def _share_text(row: ImportedRow, measure: str) -> str:
    share, upper = row.shares[measure], getattr(row, f"{measure}_upper")
    if share is None:
        return ""
    if upper is not None:
        return f"none ({below(upper)}) *"
    return share_with_bounds(share) + (" *" if row.rounds < MIN_ROUNDS else "")


def _difference_text(effect: Interval, verdict: Verdict) -> str:
    estimate, bounds = estimate_with_bounds(effect, 100, signed=True)
    points = f"{estimate} points"
    if verdict.word == "too few rounds":
        return sentences.FEW_ROUNDS(points=points, least=f"{MIN_ROUNDS}")
    bound = f", none over {rounded(verdict.bound * 100, 2)} points" if verdict.word == "no difference shown" else ""
    return f"{points} ({bounds}), p = {effect.p:.2g}: {verdict.word}{bound}"


def summarise_imported(imported: Imported) -> ImportedSummary:
    """Numbers of each variant, and how it differs from ``baseline``, or from the first variant if there is no baseline.

    A share has an interval over rounds. With fewer than three rounds, or if nothing happened, its bounds treat all
    requests as independent. A difference has an interval if each side has three rounds. Verdicts are corrected for the
    number of variants (Holm).
    """
    by_variant: dict[str, list[Round]] = {}
    for round_ in imported.rounds:
        by_variant.setdefault(round_.variant, []).append(round_)
    base = "baseline" if "baseline" in by_variant else next(iter(by_variant))
    rows = []
    for variant, rounds in by_variant.items():
        effects = {} if variant == base else _effects(rounds, by_variant[base], imported.paired)
        rows.append(_row(variant, rounds, effects))
    given = judge([row.effects for row in rows], [0] * len(rows))
    rows = [replace(row, verdicts=verdicts) for row, verdicts in zip(rows, given, strict=True)]
    return ImportedSummary(imported, base, tuple(rows))


def _row(variant: str, rounds: Sequence[Round], effects: Mapping[str, Interval]) -> ImportedRow:
    n = [round_.n for round_ in rounds]
    over_limit, failed = _counts(rounds, "over_limit"), [round_.failed for round_ in rounds]
    n_timed = sum(round_.n_timed for round_ in rounds)
    timed_ms = sum(round_.avg_ms * round_.n_timed for round_ in rounds if round_.n_timed)
    p50_ms, p99_ms = quantiles(_latencies(rounds), list(LEVELS.values()))
    return ImportedRow(
        variant=variant,
        rounds=len(rounds),
        n=sum(n),
        over_limit=None if over_limit is None else sum(over_limit),
        failed=sum(failed),
        over_limit_upper=None if over_limit is None else _upper(over_limit, n),
        failed_upper=_upper(failed, n),
        min_ms=float(np.min([round_.min_ms for round_ in rounds])),
        avg_ms=timed_ms / n_timed if n_timed else math.nan,
        max_ms=float(np.max([round_.max_ms for round_ in rounds])),
        p50_ms=p50_ms,
        p99_ms=p99_ms,
        per_s=float(np.mean([round_.per_s for round_ in rounds])),
        shares={"over_limit": None if over_limit is None else _share(over_limit, n), "failed": _share(failed, n)},
        effects=effects,
    )


def _upper(counts: Sequence[int], n: Sequence[int]) -> float | None:
    """The exact upper bound of the share if nothing happened, else None."""
    return None if sum(counts) else upper_bound_when_none(sum(n))


def _counts(rounds: Sequence[Round], measure: str) -> list[int] | None:
    """One count for each round; None if a round does not have it."""
    counts = [getattr(round_, measure) for round_ in rounds]
    return None if None in counts else counts


def _latencies(rounds: Sequence[Round]) -> npt.NDArray[np.float64]:
    """Latencies of all rounds, ms; empty if a round kept counts only."""
    kept = [round_.latencies_ms for round_ in rounds if round_.latencies_ms is not None]
    return np.concatenate(kept) if len(kept) == len(rounds) else np.empty(0)


def _share(counts: Sequence[int], n: Sequence[int]) -> Interval:
    if len(n) < MIN_ROUNDS:
        return Interval(sum(counts) / sum(n), *wilson(sum(counts), sum(n)))
    return intervals.share(counts, n)


def _effects(rounds: Sequence[Round], base: Sequence[Round], paired: bool) -> dict[str, Interval]:
    """Differences of shares, by the count's name. A count that one side does not have is left out."""
    compared = intervals.difference if paired else intervals.unpaired_difference
    effects: dict[str, Interval] = {}
    ordered, base = (sorted(side, key=lambda round_: round_.round) for side in (rounds, base))
    for measure in MEASURES:
        counts, base_counts = _counts(ordered, measure), _counts(base, measure)
        if counts is not None and base_counts is not None:
            effects[measure] = compared(
                counts, [round_.n for round_ in ordered], base_counts, [round_.n for round_ in base]
            )
    return effects
