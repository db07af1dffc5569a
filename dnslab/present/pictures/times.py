"""When lookups stall: by the clock of a trial, and of the run."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import pandas as pd

from dnslab.analyse.summary import Summary
from dnslab.present.pictures.base import (
    DOTTED,
    Figure,
    curves,
    drawable,
    label,
    new_figure,
    numbers,
    palette_of,
    to_png,
    worst,
)
from dnslab.present.pictures.curve_labels import name_curves
from dnslab.sentences import pictures as said
from dnslab.text import Table, counted, percent

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.lines import Line2D

#: lines of a figure's table
N_SPANS = 10


def stalls_over_time(seconds: pd.DataFrame, summary: Summary, load: int = 0) -> Figure:
    """Share of lookups that stalled, by the second they were due, all rounds added up.

    ``seconds`` are what ``timeline.stalls_per_second`` gives.
    """
    from matplotlib.ticker import MaxNLocator

    figure = new_figure(5.2)
    axes = figure.subplots()
    chosen = seconds[seconds["load"] == load]
    frame, more = worst(chosen, chosen["stalls"])
    share = frame["stalls"] / frame["n"].where(frame["n"] > 0)
    drawn = _lines(axes, frame.assign(at=frame["second"], share=share), palette_of(summary, load))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("second of the trial")
    axes.set_ylabel("lookups that stalled, %")
    name_curves(figure, axes, drawn)
    rows = summary.measured(load)
    counts = "; ".join(f"{row.variant} on {row.target}: {counted(row.stalls, 'stall')}" for row in rows)
    caption = " ".join(filter(None, [said.READ_SECONDS(), more]))
    alt = f"Share of lookups that stalled, second by second. {counts}."
    spans = frame.assign(at=frame["second"], bad=frame["stalls"])
    table = _by_span(spans, "second", lambda rows: f"{rows['at'].min()} to {rows['at'].max() + 1}")
    return Figure(to_png(figure), alt, caption, table)


def _lines(axes: Axes, frame: pd.DataFrame, palette: Mapping[str, Any]) -> list[Line2D]:
    """Draw ``share`` over ``at``. Lines that stay at 0 would hide each other: they are named above the axes instead."""
    drawn: list[Line2D] = []
    quiet = []
    for name, points, colour, style in curves(frame, palette):
        if points["share"].max() > 0:
            line_style = {**DOTTED, "color": colour, "linestyle": style, "label": name}
            drawn += axes.plot(points["at"], points["share"] * 100, **line_style)
        else:
            quiet.append(name)
    if len(frame):
        axes.plot(frame["at"], frame["at"] * 0, linewidth=0)  # time is time without a line, too
    if quiet:
        text = textwrap.fill(f"None with {drawable(', '.join(quiet))}.", 58, break_on_hyphens=False)
        axes.set_title(text, loc="left", fontsize="small")
    axes.set_ylim(0, None if drawn else 1)
    return drawn


def _by_span(frame: pd.DataFrame, what: str, to_text: Callable[[pd.DataFrame], str]) -> Table:
    """The share ``bad`` of ``n`` in at most ten spans of ``at`` (whole numbers), with a column for each curve."""
    if frame.empty:
        return numbers([], what)
    several = frame["target"].nunique() > 1
    keys = ["variant", "target"]
    labels = [label(variant, target, several) for variant, target in frame[keys].drop_duplicates().to_numpy()]
    width = -(-(int(frame["at"].max()) + 1 - int(frame["at"].min())) // N_SPANS)
    rows = []
    for _, span in frame.groupby((frame["at"] - frame["at"].min()) // width):
        row = {what: to_text(span), **dict.fromkeys(labels, "")}
        for (variant, target), part in span.groupby(keys, observed=True):
            share = percent(part["bad"].sum() / part["n"].sum()) if part["n"].sum() else ""
            row[label(str(variant), str(target), several)] = share
        rows.append(row)
    return numbers(rows, f"share of lookups by {what}")
