"""When and where: stalls through the rounds of the run, and by target."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from dnslab.analyse.summary import Row
from dnslab.analyse.timeline import Spell, pooled, run_slices, spells
from dnslab.plan.variants import not_applicable
from dnslab.present.page.context import Context
from dnslab.present.page.view import Bar, Heat, HeatCell, Tick, TimeRow, When
from dnslab.sentences import pictures
from dnslab.text import NBSP, Table, all_of, counted, first_of, rounded, share_text

#: configurations with a line of their own
MOST_LINES = 6
#: targets in the table, the worst first
MOST_TARGETS = 12
#: gap between rounds, as a part of a bar
GAP = 0.6
#: of parts that lie within the band by chance
WITHIN = 0.95


@dataclass(frozen=True)
class _Grid:
    """Where each part of each round stands, percent (left, width), and the share at the top of all bars."""

    places: Mapping[tuple[int, int], tuple[float, float]]
    highest: float


def when(context: Context) -> When | None:
    """The section; None where nothing was measured."""
    slices = run_slices(context.run)
    if slices.empty or not (slices["load"] == 0).any():
        return None
    shown = _by_libc(context, slices[slices["load"] == 0])
    places, rounds = _places(shown)
    highest = _highest(shown)
    rows = _rows(context, shown, _Grid(places, highest))
    worse = spells(pooled(slices, 0))
    bad = bool(shown["bad"].sum())
    if worse:
        intro = " ".join(_spell(context, spell) for spell in worse[:3])
    else:
        quiet = pictures.NOTHING_BUT_SLOW if context.count == "slow" else pictures.NOTHING_WENT_BAD
        intro = str(pictures.STEADY if bad else quiet)
    label = f"{rounded(100 * highest, 2)}{NBSP}%" if bad else ""
    return When(str(pictures.WHEN_HEADING), intro, rows, rounds, label, _heat(context), _table(context, shown))


def _by_libc(context: Context, slices: pd.DataFrame) -> pd.DataFrame:
    """The slices summed over the targets of a C library, in order of time."""
    libcs = {row.target: row.libc for row in context.summary.measured()}
    keyed = slices.assign(libc=slices["target"].map(libcs), part=slices.groupby(_KEYS, observed=True).cumcount())
    keys = ["variant", "libc", "round", "part"]
    sums = {"n": "sum", "bad": "sum", "start_s": "min", "end_s": "max"}
    added = keyed.groupby(keys, sort=False, as_index=False, observed=True).agg(sums)
    return added.sort_values(["round", "part"], kind="stable", ignore_index=True)


_KEYS = ["variant", "target", "round"]


def _places(shown: pd.DataFrame) -> tuple[dict[tuple[int, int], tuple[float, float]], list[Tick]]:
    """Where each part of each round stands, percent: (left, width); and the middle of each round."""
    parts = shown.groupby("round")["part"].max() + 1
    total = float(parts.sum()) + GAP * (len(parts) - 1)
    places, ticks, x = {}, [], 0.0
    step = max(1, math.ceil(len(parts) / 12))
    for index, (number, n) in enumerate(parts.items()):
        for part in range(int(n)):
            places[int(str(number)), part] = (round(100 * (x + part) / total, 2), round(100 * 0.86 / total, 2))
        if index % step == 0:
            ticks.append(Tick(round(100 * (x + n / 2) / total, 2), str(number)))
        x += n + GAP
    return places, ticks


def _highest(shown: pd.DataFrame) -> float:
    """The top of all bars, a round number."""
    most = float((shown["bad"] / shown["n"]).max())
    if not most:
        return 0.01
    unit = 10.0 ** math.floor(math.log10(most))
    return min(1.0, next(unit * factor for factor in (1, 1.5, 2, 3, 4, 5, 6, 8, 10) if unit * factor >= most - 1e-12))


def _rows(context: Context, shown: pd.DataFrame, grid: _Grid) -> list[TimeRow]:
    """A line for each configuration that was bad, those of the first C library first, and one for all others."""
    rows: list[TimeRow] = []
    quiet: list[tuple[str, str, int]] = []
    for libc in context.libcs:
        for name in context.variants:
            part = shown[(shown["variant"] == name) & (shown["libc"] == libc)]
            if part["bad"].sum() and len(rows) < MOST_LINES:
                rows.append(_row(context, (name, libc), part, grid))
            elif len(part) and not part["bad"].sum():
                quiet.append((name, libc, int(part["n"].sum())))
    if not quiet:
        return rows
    name = context.name(quiet[0][0])
    if len(quiet) > 1:
        name = f"{len(quiet)} others" if rows else all_of(len(quiet), "configuration")
    where = first_of(list(dict.fromkeys(libc for _, libc, _ in quiet)), 2)
    n = sum(one[2] for one in quiet)
    title = f"{name}: nothing stalled or failed"
    return [*rows, TimeRow(name, where, "none", f"in {n:,}", "good", [], None, title)]


def _row(context: Context, key: tuple[str, str], part: pd.DataFrame, grid: _Grid) -> TimeRow:
    name, libc = context.name(key[0]), key[1]
    bars = []
    for line in part.to_dict("records"):
        left, width = grid.places[int(line["round"]), int(line["part"])]
        share = line["bad"] / line["n"]
        title = pictures.TIMELINE_PART(
            round=f"{line['round']}",
            start=clock(line["start_s"]),
            bad=f"{int(line['bad']):,}",
            n=f"{int(line['n']):,}",
            share=f"{rounded(100 * share, 2)} %",
        )
        bars.append(Bar(left, width, round(100 * share / grid.highest, 2), title))
    total = float(part["bad"].sum() / part["n"].sum())
    band = _band(total, float(part["n"].median()), grid.highest)
    value = f"{rounded(100 * total, 2)}{NBSP}%"
    title = f"{name} on {libc}: {value} on average"
    return TimeRow(name, libc, value, "on average", "bad", bars, band, title)


def _band(share: float, n: float, highest: float) -> tuple[float, float]:
    """Bottom and height, percent, of where chance alone puts 19 parts in 20: quantiles of a Poisson count."""
    from scipy.special import pdtrik

    low, high = (float(pdtrik(level, share * n)) for level in ((1 - WITHIN) / 2, (1 + WITHIN) / 2))
    low = max(0.0, low if math.isfinite(low) else 0.0)
    bottom, top = (min(100.0, 100 * count / n / highest) for count in (low, high))
    return round(bottom, 2), round(top - bottom, 2)


def clock(seconds: float) -> str:
    """Time since the run's start: ``"1:20"``, from an hour on ``"2:01:20"``."""
    minutes, second = divmod(round(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02d}:{second:02d}" if hours else f"{minute}:{second:02d}"


def _spell(context: Context, spell: Spell) -> str:
    rounds = f"round {spell.first_round}"
    if spell.last_round != spell.first_round:
        rounds = f"rounds {spell.first_round} to {spell.last_round}"
    return pictures.SPELL(
        name=context.name(spell.variant),
        start=clock(spell.start_s),
        end=clock(spell.end_s),
        rounds=rounds,
        share=f"{rounded(100 * spell.share, 2)} %",
        usual=f"{rounded(100 * spell.usual, 2)} %",
    )


def _heat(context: Context) -> Heat | None:
    rows = [row for row in context.summary.measured(load=0) if row.n]
    targets = list(dict.fromkeys(context.summary.by_target()["target"]))
    if len(targets) < 2:
        return None
    variants = list(context.variants)
    found = {(row.variant, row.target): row for row in rows}
    libcs = {row.target: row.libc for row in rows}
    refused = {
        (name, target)
        for name in variants
        for target, libc in libcs.items()
        if libc in ("glibc", "musl") and not_applicable(context.variants[name], "glibc" if libc == "glibc" else "musl")
    }
    lines = [
        (target, [_cell(found.get((name, target)), (name, target) in refused) for name in variants])
        for target in targets[:MOST_TARGETS]
    ]
    note = str(pictures.HEAT)
    if any(row.failed for row in rows):
        note += f" {pictures.HEAT_FAILED}"
    if len(targets) > MOST_TARGETS:
        note += f" {pictures.HEAT_MORE(n=counted(len(targets) - MOST_TARGETS, 'more target'))}"
    return Heat([context.name(name) for name in variants], lines, note)


def _cell(row: Row | None, refused: bool) -> HeatCell:
    if row is None:
        return HeatCell("not applicable" if refused else "not measured", "none")
    text = share_text(row.intervals["stalls_share"]) if row.stalls else "0"
    if row.failed:
        text += f", {share_text(row.intervals['failed_share'])} failed"
    return HeatCell(text, "" if row.is_clean else "hot")


def _table(context: Context, shown: pd.DataFrame) -> Table:
    """The share by round, with a column for each configuration and C library."""
    sums = shown.groupby(["round", "variant", "libc"], as_index=False, observed=True)[["n", "bad"]].sum()
    several = sums["libc"].nunique() > 1
    lines: dict[int, dict[str, str]] = {}
    for line in sums.to_dict("records"):
        name = context.name(str(line["variant"])) + (f" ({line['libc']})" if several else "")
        share = f"{rounded(100 * line['bad'] / line['n'], 2)}{NBSP}%" if line["bad"] else "0"
        lines.setdefault(int(line["round"]), {"round": f"{line['round']}"})[name] = share
    return Table(pd.DataFrame(list(lines.values())).fillna(""), "share that stalled or failed by round")
