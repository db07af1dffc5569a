"""How long lookups take."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import pandas as pd

from dnslab.analyse.sketches import NAMED_LEVELS
from dnslab.analyse.summary import Row, Summary
from dnslab.present.pictures.base import Figure, curves, new_figure, numbers, palette_of, plain_numbers, to_png, worst
from dnslab.present.pictures.curve_labels import name_curves
from dnslab.sentences import pictures as said
from dnslab.text import listed, milliseconds, percent, share_text, time_ms

if TYPE_CHECKING:
    from matplotlib.lines import Line2D


def ecdf(sketches: pd.DataFrame, summary: Summary, load: int = 0) -> Figure:
    """Share of lookups answered within a time, on a log axis; each curve ends at its answered share.

    ``sketches`` are what ``quantiles.sketches`` gives. The vertical axis shows the share *not yet* answered, on a log
    axis too, so that one lookup in ten thousand is as visible as one in ten.
    """
    figure = new_figure(6.2)
    axes = figure.subplots()
    chosen = sketches[sketches["load"] == load]
    # Lookups that failed weigh most, then time.
    frame, more = worst(chosen, chosen["response_ms"] + 1e9 * (1 - chosen["answered_share"]))
    floor = 1e-4
    drawn: list[Line2D] = []
    for label, points, colour, style in curves(frame, palette_of(summary, load)):
        failed = 1 - float(points["answered_share"].iloc[0])
        rest = (1 - points["level"]).clip(lower=floor)
        name = f"{label}, {percent(failed)} failed" if failed > 0 else label
        line_style = {"color": colour, "linestyle": style, "linewidth": 2.2, "label": name}
        drawn += axes.plot(points["response_ms"].clip(lower=0.01), rest, **line_style)
        if failed > 0:
            last = float(points["response_ms"].iloc[-1])
            axes.plot([last], [max(failed, floor)], marker="x", color=colour, markersize=10, markeredgewidth=2.5)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_ylim(floor * 0.8, 1.3)
    axes.set_xlabel("response time, ms (log)")
    axes.set_ylabel("share not answered yet (log)")
    plain_numbers(axes.yaxis, lambda value: f"{value * 100:g} %")
    plain_numbers(axes.xaxis, lambda value: f"{value:,g}")
    name_curves(figure, axes, drawn)
    lost = [_whose(row) for row in summary.measured(load) if row.failed_share == 1]
    caption = " ".join(filter(None, [said.READ_CURVES(), more, said.NO_CURVE(names=listed(lost)) if lost else ""]))
    groups = [points for _, points in frame.groupby(["variant", "target"], sort=False, observed=True)]
    table = numbers([_quantiles(points) for points in groups], "response time, ms")
    return Figure(to_png(figure), f"{said.ALT_CURVES} {_numbers(summary, load)}", caption, table)


def _whose(row: Row) -> str:
    return f"{row.variant} on {row.target}"


def _quantiles(points: pd.DataFrame) -> dict[str, str]:
    """The quantiles of a curve, as a line of the table."""
    first: Any = points.iloc[0]
    reached = {name: points["response_ms"][points["level"] == level] for name, level in NAMED_LEVELS.items()}
    return {
        "configuration": first["variant"],
        "target": first["target"],
        **{f"{name}, ms": milliseconds(float(at.iloc[0]) if len(at) else math.inf) for name, at in reached.items()},
        "slowest answered, ms": milliseconds(float(points["response_ms"].iloc[-1])),
        "failed": percent(1 - float(first["answered_share"])),
    }


def _numbers(summary: Summary, load: int) -> str:
    return " ".join(
        said.ALT_CURVE(
            whose=_whose(row),
            slow=share_text(row.intervals["slow_share"]) if row.slow else "none",
            median=time_ms(row.p50_ms),
            slowest=time_ms(row.max_ms),
            failed=share_text(row.intervals["failed_share"]) if row.failed else "none",
        )
        for row in summary.measured(load)
    )
