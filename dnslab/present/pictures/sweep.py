"""A run in which one thing takes several values."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

import pandas as pd

from dnslab.analyse.intervals import Interval
from dnslab.analyse.summary import Summary
from dnslab.analyse.sweeps import Sweep, swept
from dnslab.present.pictures.base import (
    DOTTED,
    MAX_LINES,
    STYLES,
    Figure,
    Remark,
    colours,
    drawable,
    new_figure,
    numbers,
    to_png,
    whole_decades,
    wrapped,
)
from dnslab.sentences import pictures as said
from dnslab.text import below, milliseconds, percent, share_text, share_with_bounds

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: characters above two panels, and of a name in a legend of two columns
TITLE_WIDTH, LEGEND_WIDTH = 60, 30


def sweep(summary: Summary) -> Figure | Remark:
    """A row of two panels for each configuration: the share that stalled and p99, against what the run sweeps."""
    sweep = swept(summary)
    if sweep is None:
        return Remark("This run has one load and one target: nothing was swept.")
    frame = sweep.frame
    variants = list(dict.fromkeys(row.variant for row in summary.measured() if row.variant in set(frame["variant"])))
    palette = colours(variants)
    figure = new_figure(1.9 * len(variants) + (1.3 if _upright(sweep) else 4))
    panels = figure.subplots(len(variants), 2, sharex=True, sharey="col", squeeze=False)
    for (left, right), variant in zip(panels, variants, strict=True):
        _swept_panels(left, right, frame[frame["variant"] == variant], palette[variant], joined=sweep.scale)
        left.set_title(wrapped(variant, TITLE_WIDTH), fontsize="small", loc="left")
    _swept_axes(panels[-1], sweep)
    panels[0, 0].set_ylim(bottom=0)  # of all; only now, as it ends the scaling to what is drawn
    whole_decades(panels[:, 1], frame["p99_ms"][frame["p99_ms"] < math.inf])
    figure.supxlabel(sweep.name, fontsize="medium")
    if sweep.name != "target" and frame["target"].nunique() > 1:
        figure.legend(*panels[0, 0].get_legend_handles_labels(), loc="outside upper center", ncols=2, frameon=False)
    sentences = "; ".join(f"{variant}: {_in_words(frame[frame['variant'] == variant], sweep)}" for variant in variants)
    closed = str(said.SWEEP_CLOSED) if summary.closed_loops else ""
    caption = " ".join(filter(None, [said.READ_SWEEP(swept=sweep.name), closed]))
    alt = f"Share of lookups that stalled and p99 against {sweep.name}. {sentences}."
    table = numbers([_line(row, sweep.name) for row in frame.to_dict("records")], f"against {sweep.name}")
    return Figure(to_png(figure), alt, caption, table)


def _line(row: Mapping[Any, Any], swept_name: str) -> dict[str, str]:
    return {
        "configuration": row["variant"],
        "target": row["target"],
        swept_name: row["label"],
        "stalled (95 %)": _stalled(row, share_with_bounds) if row["stalls_share"] else f"none ({below(row['high'])})",
        "failed": percent(row["failed_share"]),
        "p99, ms": milliseconds(row["p99_ms"]),
    }


def _stalled(row: Mapping[Any, Any], to_text: Callable[[Interval], str]) -> str:
    return to_text(Interval(row["stalls_share"], row["low"], row["high"]))


def _swept_panels(left: Axes, right: Axes, rows: pd.DataFrame, colour: Any, joined: bool) -> None:
    for i, (target, points) in enumerate(rows.groupby("target", sort=False)):
        style = {**DOTTED, "color": colour, "linestyle": STYLES[i % len(STYLES)] if joined else "none"}
        share = points["stalls_share"] * 100
        left.vlines(points["value"], points["low"] * 100, points["high"] * 100, color=colour, linewidth=2, alpha=0.6)
        left.plot(points["value"], share, label=wrapped(str(target), LEGEND_WIDTH), clip_on=False, zorder=3, **style)
        failed = points[points["failed_share"] > 0]
        left.plot(failed["value"], failed["failed_share"] * 100, "x", color=colour, markersize=9, markeredgewidth=2.5)
        right.plot(
            points["value"],
            points["p99_ms"].where(points["p99_ms"] < math.inf),
            label=wrapped(str(target), LEGEND_WIDTH),
            **style,
        )
    left.set_ylabel("stalled, %", fontsize="small")
    right.set_ylabel("p99, ms", fontsize="small")


def _upright(sweep: Sweep) -> bool:
    """Whether the names of the values fit beside each other."""
    return sweep.scale or sweep.frame["value"].nunique() <= 4


def _swept_axes(bottom: Iterable[Axes], sweep: Sweep) -> None:
    """Put a tick at each value. Use a log axis if low values would otherwise run together."""
    ticks = sweep.frame.drop_duplicates("value")
    low, high = ticks["value"].min(), ticks["value"].max()
    for axes in bottom:
        if sweep.scale and high >= 8 * low > 0:
            axes.set_xscale("log")
        if _upright(sweep):
            names = [textwrap.fill(drawable(name), 12, max_lines=MAX_LINES, placeholder="…") for name in ticks["label"]]
            axes.set_xticks(ticks["value"], names)
        else:
            names = [wrapped(name, 24).replace("\n", "") for name in ticks["label"]]
            axes.set_xticks(ticks["value"], names, rotation=90, fontsize="small")
        axes.minorticks_off()
        if not sweep.scale:
            axes.set_xlim(low - 0.5, high + 0.5)


def _in_words(rows: pd.DataFrame, sweep: Sweep) -> str:
    several = sweep.name != "target" and rows["target"].nunique() > 1
    parts = []
    for row in rows.to_dict("records"):
        where = f"{row['label']} on {row['target']}" if several else row["label"]
        failed = f" and {percent(row['failed_share'])} failed" if row["failed_share"] > 0 else ""
        p99 = milliseconds(row["p99_ms"])
        parts.append(f"{_stalled(row, share_text)}{failed} at {where}, p99 {p99}{'' if p99 == 'failed' else ' ms'}")
    return ", ".join(parts)
