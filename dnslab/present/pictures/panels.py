"""A panel for each configuration: lookups that stalled by time and worker, and latency round by round."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import pandas as pd

from dnslab.analyse.intervals import Interval
from dnslab.analyse.rounds import LEAST_MS, latencies, usual
from dnslab.analyse.summary import Summary
from dnslab.present.pictures.base import (
    DOTTED,
    Figure,
    Remark,
    label,
    new_figure,
    numbers,
    palette_of,
    to_png,
    whole_decades,
    wrapped,
)
from dnslab.text import milliseconds, rounded

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as MatplotlibFigure

#: what six rows of two hold
MAX_PANELS = 12
#: characters above one of two panels in a row
TITLE_WIDTH = 24


def stall_raster(marks: pd.DataFrame, summary: Summary, load: int = 0) -> Figure | Remark:
    """Time of the trial against worker, with a mark where a lookup stalled and another where one failed.

    ``marks`` are what ``timeline.stall_marks`` gives.
    """
    if summary.loads[load].engine == "wire":
        return Remark("Plain queries were sent, without workers that wait for them: there is no raster of stalls.")
    frame = marks[marks["load"] == load]
    if frame.empty:
        return Remark("Nothing stalled or failed: there is no raster of stalls.")
    panels = [((str(key[0]), str(key[1])), rows) for key, rows in frame.groupby(["variant", "target"], sort=False)]
    panels.sort(key=lambda panel: -_n_bad(panel[1]))
    shown, several = panels[:MAX_PANELS], frame["target"].nunique() > 1
    names = [label(*key, several) for key, _ in shown]
    figure, grid = _grid(names, 2.1)
    palette = palette_of(summary, load)
    length = summary.loads[load]
    for axes, (key, rows) in zip(grid, shown, strict=True):
        _marks(axes, rows, palette[key[0]])
        axes.set_xlim(length.warmup_s, length.total_s)
        axes.set_ylim(-0.5, length.workers - 0.5)
    figure.supxlabel("second of the trial", fontsize="medium")
    figure.supylabel("worker", fontsize="medium")
    table = [
        {
            "configuration": key[0],
            "target": key[1],
            "stalls": f"{rows['stalls'].sum():,}",
            "failed": f"{rows['failed'].sum():,}",
            "most stalls at once": f"{rows['at_once'].iloc[0]} in {rounded(rows['width_s'].iloc[0] * 1e3)} ms",
        }
        for key, rows in shown
    ]
    caption = (
        "How to read it: a dot is where a lookup was due that stalled, a cross one that failed, all rounds together. "
        "Scattered dots mean that each lookup met its trouble alone, a vertical line that something hit all workers at "
        "once, a level line that one worker did badly. On a schedule workers take turns, which makes slanting bands. "
        "Dots closer than the picture's grid are one. It does not show how many lookups a worker did."
    )
    marked = [label(*key, several) for key, _ in panels]
    quiet = [name for row in summary.measured(load) if (name := label(row.variant, row.target, several)) not in marked]
    caption += f" Without a mark: {', '.join(quiet)}." if quiet else ""
    caption += f" {len(panels) - len(shown)} more with marks are not drawn." if len(panels) > len(shown) else ""
    lines = "; ".join(
        f"{name}: {line['stalls']} stalls, {line['failed']} failed, at most {line['most stalls at once']} of one trial"
        for name, line in zip(names, table, strict=True)
    )
    alt = f"Where lookups stalled, by time of the trial and worker. {lines}."
    return Figure(to_png(figure), alt, caption, numbers(table, "stalls by configuration"))


def latency_by_round(summary: Summary, load: int = 0) -> Figure | Remark:
    """p50 and p99 of each round on a log axis, and their geometric mean over rounds with its 95 % interval."""
    frame = latencies(summary, load)
    if frame["round"].nunique() < 2:
        return Remark("There is one round only: nothing to follow from round to round.")
    panels = [((str(key[0]), str(key[1])), rows) for key, rows in frame.groupby(["variant", "target"], sort=False)]
    slowest = sorted(panels, key=lambda panel: -float(panel[1]["p99_ms"].max()))[:MAX_PANELS]
    shown = [panel for panel in panels if any(panel[0] == key for key, _ in slowest)]
    several = frame["target"].nunique() > 1
    names = [label(*key, several) for key, _ in shown]
    figure, grid = _grid(names, 1.9)
    palette = palette_of(summary, load)
    table = []
    for axes, (key, rows) in zip(grid, shown, strict=True):
        typical = {name: usual(rows[name]) for name in ("p50_ms", "p99_ms")}
        _by_round(axes, rows, typical, palette[key[0]])
        worst = rows.nlargest(1, "p99_ms").iloc[0]
        table.append(
            {
                "configuration": key[0],
                "target": key[1],
                "p50 of a usual round, ms (95 %)": _usual(typical["p50_ms"]),
                "p99 of a usual round, ms (95 %)": _usual(typical["p99_ms"]),
                "highest p99, ms": milliseconds(worst["p99_ms"]),
                "in round": f"{worst['round']:.0f}",
            }
        )
    whole_decades(grid, pd.concat([rows[name] for _, rows in shown for name in ("p50_ms", "p99_ms")]))
    widest = max(range(len(shown)), key=lambda i: _gap(shown[i][1]))
    _name_lines(grid[widest], shown[widest][1])
    figure.supxlabel("round", fontsize="medium")
    figure.supylabel("response time, ms (log)", fontsize="medium")
    caption = (
        "How to read it: dots are p50 of each round, squares p99; a band is the 95 % interval of a usual round "
        "(geometric mean, t over rounds; none with fewer than three). Level lines mean that the run was of one kind; a "
        "lone round far off its band, that something happened in it; a slope, that it drifted. Failed lookups count at "
        "the deadline. It does not show what happened within a round."
    )
    more = len(panels) - len(shown)
    caption += f" {more} more are not drawn: those with the slowest round are." if more else ""
    lines = "; ".join(
        f"{name}: p50 {line['p50 of a usual round, ms (95 %)']} ms, p99 {line['p99 of a usual round, ms (95 %)']} ms, "
        f"highest {line['highest p99, ms']} ms in round {line['in round']}"
        for name, line in zip(names, table, strict=True)
    )
    return Figure(to_png(figure), f"Latency round by round. {lines}.", caption, numbers(table, "latency by round"))


def _grid(names: Sequence[str], height: float) -> tuple[MatplotlibFigure, list[Axes]]:
    """Panels with one common scale, each below its name: two in a row, or up to three below each other."""
    n_columns = 1 if len(names) <= 3 else 2
    n_rows = -(-len(names) // n_columns)
    titles = [wrapped(name, TITLE_WIDTH * (3 - n_columns)) for name in names]
    lines = max(title.count("\n") for title in titles)
    figure = new_figure(n_rows * (height + 0.2 * lines) + 0.5)
    grid = figure.subplots(n_rows, n_columns, sharex=True, sharey=True, squeeze=False).ravel()
    for axes, title in zip(grid, titles, strict=False):
        axes.set_title(title, fontsize="small", linespacing=1.0)
    for axes in grid[len(names) :]:
        axes.remove()
        grid[len(names) - 2].tick_params(labelbottom=True)
    return figure, list(grid[: len(names)])


def _n_bad(cells: pd.DataFrame) -> int:
    return int(cells["stalls"].sum() + cells["failed"].sum())


def _marks(axes: Axes, cells: pd.DataFrame, colour: Any) -> None:
    from matplotlib.ticker import MaxNLocator

    size = min(6.0, max(2.5, 80 / math.sqrt(len(cells))))
    stalled, failed = cells[cells["stalls"] > 0], cells[cells["failed"] > 0]
    axes.plot(stalled["at_s"], stalled["worker"], "o", color=colour, markersize=size, markeredgewidth=0)
    axes.plot(failed["at_s"], failed["worker"], "x", color="0.1", markersize=size + 1, markeredgewidth=1.2)
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    axes.yaxis.set_major_locator(MaxNLocator(4, integer=True))


def _by_round(axes: Axes, rows: pd.DataFrame, typical: dict[str, Interval], colour: Any) -> None:
    from matplotlib.ticker import MaxNLocator

    for name, style in (("p50_ms", {"marker": "o", "linestyle": "-"}), ("p99_ms", {"marker": "s", "linestyle": "--"})):
        if math.isfinite(typical[name].low):
            axes.axhspan(typical[name].low, typical[name].high, color=colour, alpha=0.22, linewidth=0)
        axes.plot(rows["round"], rows[name], color=colour, **{**DOTTED, **style})
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))


def _name_lines(axes: Axes, rows: pd.DataFrame) -> None:
    """Names at the lines' first points: between the lines where there is room."""
    first = rows.iloc[0]
    inward = 1 if _gap(rows) > 30 else -1
    for name, up in (("p50", inward), ("p99", -inward)):
        style: dict[str, Any] = {"textcoords": "offset points", "ha": "left", "va": "bottom" if up > 0 else "top"}
        axes.annotate(
            name, (first["round"], max(first[f"{name}_ms"], LEAST_MS)), (-5, 6 * up), fontsize="small", **style
        )


def _gap(rows: pd.DataFrame) -> float:
    first = rows.iloc[0]
    return float(first["p99_ms"] / max(first["p50_ms"], LEAST_MS))


def _usual(typical: Interval) -> str:
    bounds = f" ({milliseconds(typical.low)} to {milliseconds(typical.high)})" if math.isfinite(typical.low) else ""
    return milliseconds(typical.estimate) + bounds
