"""What each configuration changes against baseline, and what it costs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pandas as pd

from dnslab.analyse.intervals import Interval
from dnslab.analyse.summary import Row, Summary
from dnslab.present.pictures.base import Figure, Remark, label, new_figure, numbers, palette_of, to_png, wrapped
from dnslab.text import change, rounded

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: rows of a panel: what one look takes in
MAX_ROWS = 8
#: characters beside a row
WIDTH = 22
#: what is shown of an effect: heading, key, factor to what the axis shows, unit
MEASURES = (
    ("share at or over 1 s, points", "slow_share", 100.0, "points"),
    ("p50 of response time, ms", "p50_ms", 1.0, "ms"),
    ("p99 of response time, ms", "p99_ms", 1.0, "ms"),
)
#: words beside a mark
SMALL: Mapping[str, Any] = {"va": "center", "fontsize": "small", "linespacing": 1.0}


def effects_against_baseline(summary: Summary, load: int = 0) -> Figure | Remark:
    """Differences from baseline with intervals and verdicts, a panel for each of ``MEASURES``."""
    compared = [row for row in summary.measured(load) if row.effects]
    if not compared:
        return Remark(_nothing_compared(summary, load))
    rows = _largest(compared, lambda row: abs(row.effects["slow_share"].estimate))
    several = len({row.target for row in rows}) > 1
    names = [wrapped(label(row.variant, row.target, several), WIDTH) for row in rows]
    figure = new_figure(len(MEASURES) * (0.95 + _height(names)))
    palette = palette_of(summary, load)
    for axes, (heading, key, factor, _) in zip(figure.subplots(len(MEASURES)), MEASURES, strict=True):
        _forest(axes, [(_scaled(row.effects[key], factor), palette[row.variant]) for row in rows])
        _rows(axes, names)
        axes.set_title(heading, loc="left", fontsize="medium")
        for y, row in enumerate(rows):
            word = wrapped(row.verdicts[key].word, 13)
            axes.annotate(word, (1.03, y), xycoords=("axes fraction", "data"), **SMALL)
    table = [
        {
            "configuration": row.variant,
            "target": row.target,
            "measure": heading,
            "against baseline (95 %)": change(row.effects[key], factor),
            "verdict": row.verdicts[key].word,
        }
        for row in rows
        for heading, key, factor, _ in MEASURES
    ]
    caption = (
        "How to read it: a point left of the line is less than baseline, right of it more; the bar is the 95 % "
        "interval over rounds, and one that crosses the line shows no change. The word is the verdict, which allows "
        "for the number of comparisons, so that it may show none where a bar just clears the line. At or over 1 s is "
        "what a stall is whatever the time-out; failed lookups count at the deadline. It does not show how large a "
        "difference matters to an application."
    )
    caption += _left_out(len(compared) - len(rows), "the largest changes of the share at or over 1 s are shown")
    alt = "Differences from baseline. " + "; ".join(_in_words(row, several) for row in rows) + "."
    return Figure(to_png(figure), alt, caption, numbers(table, "differences from baseline"))


def cost_of_remedies(costs: pd.DataFrame, summary: Summary, load: int = 0) -> Figure | Remark:
    """The cost of each remedy: how the median changes, and how many queries the DNS servers get.

    ``costs`` are what ``costs.costs`` gives for the same load.
    """
    compared = costs["p50_ms"].notna()
    if not compared.any():
        return Remark(_nothing_compared(summary, load))
    baselines = costs[(costs["variant"] == "baseline") & costs["target"].isin(costs["target"][compared])]
    dearest = _largest(costs[compared].to_dict("records"), lambda row: row["p50_ms"])
    shown = [*baselines.head(1).to_dict("records"), *dearest]
    several = len({row["target"] for row in shown}) > 1
    names = [wrapped(label(row["variant"], row["target"], several), WIDTH) for row in shown]
    figure = new_figure(1.1 + _height(names))
    left, right = figure.subplots(1, 2, sharey=True, width_ratios=(5, 6))
    palette = palette_of(summary, load)
    _paid(left, shown, palette)
    _asked(right, shown, palette)
    _rows(left, names)
    right.tick_params(labelleft=False)
    table = [
        {
            "configuration": row["variant"],
            "target": row["target"],
            "p50 against baseline, ms (95 %)": change(_paid_by(row)),
            "asked of the servers, a lookup": _queries(row),
        }
        for row in shown
    ]
    caption = (
        "How to read it: left what the median lookup pays against baseline, with its 95 % interval over rounds; right "
        "what leaves for the DNS servers for each lookup, warm-up and retries included. Circles are queries over UDP, "
        "squares TCP connections (the queries in one are not counted), diamonds queries that a node-local cache could "
        "not answer itself, which is the most that it asks. Queries lost on the way are counted as well. It does not "
        "show how busy the servers were."
    )
    caption += _left_out(int(compared.sum()) - len(dearest), "the dearest are shown")
    parts = [
        f"{name}: {_paid_told(row)}asked of the servers for each lookup {_queries(row)}"
        for name, row in zip((label(row["variant"], row["target"], several) for row in shown), shown, strict=True)
    ]
    alt = f"Cost of each configuration. {'; '.join(parts)}"
    return Figure(to_png(figure), f"{alt}.", caption, numbers(table, "cost of each configuration"))


def _nothing_compared(summary: Summary, load: int) -> str:
    if load in summary.closed_loops:
        return "A closed loop counts workers rather than faults: no configuration is set against baseline."
    return "Nothing was measured beside baseline that could be set against it."


def _largest(rows: Sequence[Any], size: Any) -> list[Any]:
    """The ``MAX_ROWS`` largest rows, in their original order."""
    kept = {id(row) for row in sorted(rows, key=size, reverse=True)[:MAX_ROWS]}
    return [row for row in rows if id(row) in kept]


def _left_out(n: int, which: str) -> str:
    return f" {n} more are not drawn: {which}." if n > 0 else ""


def _height(names: Sequence[str]) -> float:
    """The height of these rows, inches. Each gets the height of the tallest."""
    return len(names) * (0.06 + 0.21 * max(2, *(name.count("\n") + 1 for name in names)))


def _forest(axes: Axes, effects: Sequence[tuple[Interval, Any]]) -> None:
    for i, (effect, colour) in enumerate(effects):
        axes.plot([effect.low, effect.high], [i, i], color=colour, linewidth=3, solid_capstyle="butt")
        axes.plot([effect.estimate], [i], "o", color=colour, markersize=8, zorder=3)
    _zero(axes)


def _zero(axes: Axes) -> None:
    from matplotlib.ticker import MaxNLocator

    axes.axvline(0, color="0.25", linewidth=1.6, zorder=1)
    axes.margins(x=0.08)
    axes.xaxis.set_major_locator(MaxNLocator(3))
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:+,g}" if value else "0")


def _rows(axes: Axes, names: Sequence[str]) -> None:
    axes.set_yticks(range(len(names)), names, linespacing=1.0)
    axes.set_ylim(len(names) - 0.5, -0.5)


def _paid(axes: Axes, rows: Sequence[Mapping[Any, Any]], palette: Mapping[str, Any]) -> None:
    _forest(axes, [(_paid_by(row), palette[row["variant"]]) for row in rows])
    axes.set_xlabel("p50 against\nbaseline, ms")


def _asked(axes: Axes, rows: Sequence[Mapping[Any, Any]], palette: Mapping[str, Any]) -> None:
    from matplotlib.ticker import MaxNLocator

    highest = 0.0
    for y, row in enumerate(rows):
        rightmost = 0.0
        for name, mark in (("udp_queries", "o"), ("tcp_connections", "s"), ("cache_misses", "D")):
            if row[name] > 0:
                rightmost = max(rightmost, row[name])
                axes.plot([row[name]], [y], mark, color=palette[row["variant"]], markersize=9, zorder=3, clip_on=False)
        highest = max(highest, rightmost)
        box = {"facecolor": "white", "edgecolor": "none", "pad": 1.5}
        text = wrapped(_queries(row), 14)
        axes.annotate(text, (rightmost, y), (10, 0), textcoords="offset points", bbox=box, **SMALL)
    axes.set_xlim(0, 3.0 * highest or 1)
    axes.xaxis.set_major_locator(MaxNLocator(3, prune="upper"))
    axes.set_xlabel("asked of the servers,\na lookup")


def _queries(row: Mapping[Any, Any]) -> str:
    """``"4.16 UDP queries"``; ``"not counted"`` without a counter of this client's own."""
    words = (("udp_queries", "UDP queries"), ("tcp_connections", "TCP connections"))
    parts = [f"{rounded(row[name])} {word}" for name, word in words if row[name] > 0]
    if row["cache_misses"] >= 0:
        parts.append(f"at most {rounded(row['cache_misses'], 2)} queries")
    if not parts and row["udp_queries"] == 0:
        parts.append("nothing")
    return ", ".join(parts) or "not counted"


def _paid_told(row: Mapping[Any, Any]) -> str:
    return f"p50 {change(_paid_by(row))} ms, " if math.isfinite(row["p50_ms"]) else ""


def _paid_by(row: Mapping[Any, Any]) -> Interval:
    return Interval(row["p50_ms"], row["low"], row["high"])


def _in_words(row: Row, several: bool) -> str:
    parts = [
        f"{heading.split(',')[0]} {change(row.effects[key], factor)} {unit}, {row.verdicts[key].word}"
        for heading, key, factor, unit in MEASURES
    ]
    return f"{label(row.variant, row.target, several)}: {', '.join(parts)}"


def _scaled(interval: Interval, factor: float) -> Interval:
    return Interval(interval.estimate * factor, interval.low * factor, interval.high * factor)
