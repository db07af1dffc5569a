"""Figures: from frame to figure. Each carries a text alternative that states its main number."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pandas as pd

from dnslab.stats import Summary
from dnslab.tables import milliseconds, percent

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as MatplotlibFigure

#: told apart without colour as well
STYLES = ("-", "--", "-.", ":", (0, (5, 1)), (0, (3, 1, 1, 1)), (0, (1, 1)))
DPI = 130


@dataclass(frozen=True)
class Figure:
    """A picture with its text alternative and caption; shows itself in a notebook as plain HTML."""

    png: bytes
    alt: str
    caption: str

    def _repr_html_(self) -> str:
        data = base64.b64encode(self.png).decode("ascii")
        return (
            f'<figure><img alt="{html.escape(self.alt, quote=True)}" src="data:image/png;base64,{data}">'
            f"<figcaption>{html.escape(self.caption)}</figcaption></figure>"
        )


def _new(height: float) -> tuple[MatplotlibFigure, Axes]:
    import seaborn as sns
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure as MatplotlibFigure

    sns.set_theme(style="whitegrid", context="talk", font_scale=0.8)
    figure = MatplotlibFigure(figsize=(7.2, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure, figure.subplots()


def _png(figure: MatplotlibFigure) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=DPI)
    return buffer.getvalue()


def _label(row: Mapping[str, Any] | pd.Series[Any], several: bool) -> str:
    return f"{row['variant']} ({row['target']})" if several else str(row["variant"])


def _curves(frame: pd.DataFrame) -> list[tuple[str, pd.DataFrame, Any, Any]]:
    """Label, points, colour and line style of each variant and target, in the order of first appearance."""
    import seaborn as sns

    several = frame["target"].nunique() > 1
    groups = list(frame.groupby(["variant", "target"], sort=False, observed=True))
    # By name, not by place: a configuration looks the same in every figure of a page.
    order = {key: i for i, key in enumerate(sorted(key for key, _ in groups))}
    colours = sns.color_palette("colorblind", n_colors=max(1, len(groups)))
    return [
        (_label(points.iloc[0], several), points, colours[order[key]], STYLES[order[key] % len(STYLES)])
        for key, points in groups
    ]


def ecdf(sketches: pd.DataFrame, summary: Summary, load: int = 0) -> Figure:
    """Share of lookups answered within a time, on a log axis; each curve ends at its answered share.

    Takes what ``stats.sketches`` gives. The vertical axis shows the share *not yet* answered, on a log axis too, so
    that one lookup in ten thousand is as visible as one in ten.
    """
    figure, axes = _new(6.2)
    frame = sketches[sketches["load"] == load]
    floor = 1e-4
    for label, points, colour, style in _curves(frame):
        failed = 1 - float(points["answered_share"].iloc[0])
        rest = (1 - points["level"]).clip(lower=floor)
        name = f"{label}, {percent(failed)} failed" if failed > 0 else label
        axes.plot(
            points["response_ms"].clip(lower=0.01), rest, color=colour, linestyle=style, linewidth=2.2, label=name
        )
        if failed > 0:
            last = float(points["response_ms"].iloc[-1])
            axes.plot([last], [max(failed, floor)], marker="x", color=colour, markersize=10, markeredgewidth=2.5)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_ylim(floor * 0.8, 1.3)
    axes.set_xlabel("response time, ms (log)")
    axes.set_ylabel("share not answered yet (log)")
    axes.yaxis.set_major_formatter(lambda value, _: f"{value * 100:g} %")
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    if len(frame):
        figure.legend(loc="outside lower center", ncols=2, fontsize="small", frameon=False)
    alt = "Share of lookups not yet answered against response time. " + _numbers(summary, load)
    caption = (
        "How to read it: a curve that drops early and reaches far down is good; a shelf that ends at a time-out shows "
        "the share of lookups that waited for it. A cross marks the share that failed. It does not show when or why."
    )
    return Figure(_png(figure), alt, caption)


def _numbers(summary: Summary, load: int) -> str:
    parts = []
    for row in summary.rows:
        if row["load"] == load and row["not_applicable"] is None:
            parts.append(
                f"{row['variant']} on {row['target']}: {percent(row['slow_share'])} at or over 1 s, "
                f"median {milliseconds(row['p50_ms'])} ms, slowest {milliseconds(row['max_ms'])} ms, "
                f"{percent(row['failed_share'])} failed"
            )
    return "; ".join(parts) + "."


def stalls_over_time(seconds: pd.DataFrame, summary: Summary, load: int = 0) -> Figure:
    """Share of lookups that stalled, by the second they were due, over all rounds, of ``stats.stalls_per_second``."""
    from matplotlib.ticker import MaxNLocator

    figure, axes = _new(5.2)
    frame = seconds[seconds["load"] == load]
    for label, points, colour, style in _curves(frame):
        share = points["stalls"] / points["n"].where(points["n"] > 0)
        axes.plot(
            points["second"],
            share * 100,
            color=colour,
            linestyle=style,
            linewidth=2.2,
            marker="o",
            markersize=4,
            label=label,
        )
    axes.set_ylim(bottom=0)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("second of the trial")
    axes.set_ylabel("lookups that stalled, %")
    if len(frame):
        figure.legend(loc="outside lower center", ncols=2, fontsize="small", frameon=False)
    rows = [row for row in summary.rows if row["load"] == load and row["not_applicable"] is None]
    counts = "; ".join(f"{row['variant']} on {row['target']}: {row['stalls']:,} stalls" for row in rows)
    caption = (
        "How to read it: a level line means that stalls do not depend on how long a trial runs; one that falls means "
        "that later lookups rode flows of earlier ones. Rounds are added up; the table's intervals keep them apart."
    )
    return Figure(_png(figure), f"Share of lookups that stalled, second by second. {counts}.", caption)
