"""Figures: from frame to figure. Each carries a text alternative that states its main number."""

from __future__ import annotations

import base64
import html
import io
import math
import textwrap
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pandas as pd

from dnslab.stats import Summary
from dnslab.sweeps import Sweep, swept
from dnslab.tables import milliseconds, percent
from dnslab.timeline import Spell, pooled, spells

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as MatplotlibFigure

#: told apart without colour as well
STYLES = ("-", "--", "-.", ":", (0, (5, 1)), (0, (3, 1, 1, 1)), (0, (1, 1)))
#: a line over time: each value seen, and which belong together
DOTTED: Mapping[str, Any] = {"linewidth": 2.2, "marker": "o", "markersize": 4}
DPI = 130
#: more targets than this are counted in the caption: six rows are what one look takes in
MAX_PANELS = 12
#: characters above a panel, beside the longest name of a configuration
TITLE_WIDTH = 25
#: steps of a clock's axis, s
CLOCK_STEPS_S = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14_400, 28_800)


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


@dataclass(frozen=True)
class Remark:
    """Stands where a figure would, and says why there is none."""

    text: str

    def _repr_html_(self) -> str:
        return f"<p>{html.escape(self.text)}</p>"


def _new(height: float) -> MatplotlibFigure:
    import seaborn as sns
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure as MatplotlibFigure

    sns.set_theme(style="whitegrid", context="talk", font_scale=0.8)
    figure = MatplotlibFigure(figsize=(7.2, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def _png(figure: MatplotlibFigure) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=DPI)
    return buffer.getvalue()


def _label(row: Mapping[str, Any] | pd.Series[Any], several: bool) -> str:
    return f"{row['variant']} ({row['target']})" if several else str(row["variant"])


def _colours(variants: Iterable[str]) -> dict[str, Any]:
    """By name, not by place: a configuration looks the same in every figure of a page."""
    import seaborn as sns

    names = sorted(set(variants))
    return dict(zip(names, sns.color_palette("colorblind", n_colors=max(1, len(names))), strict=False))


def _curves(frame: pd.DataFrame) -> list[tuple[str, pd.DataFrame, Any, Any]]:
    """Label, points, colour and line style of each variant and target, in the order of first appearance."""
    several = frame["target"].nunique() > 1
    groups = list(frame.groupby(["variant", "target"], sort=False, observed=True))
    order = {key: i for i, key in enumerate(sorted(key for key, _ in groups))}
    colours = _colours(frame["variant"])
    return [
        (_label(points.iloc[0], several), points, colours[str(key[0])], STYLES[order[key] % len(STYLES)])
        for key, points in groups
    ]


def _legend(figure: MatplotlibFigure) -> None:
    figure.legend(loc="outside lower center", ncols=2, fontsize="small", frameon=False)


def ecdf(sketches: pd.DataFrame, summary: Summary, load: int = 0) -> Figure:
    """Share of lookups answered within a time, on a log axis; each curve ends at its answered share.

    Takes what ``stats.sketches`` gives. The vertical axis shows the share *not yet* answered, on a log axis too, so
    that one lookup in ten thousand is as visible as one in ten.
    """
    figure = _new(6.2)
    axes = figure.subplots()
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
        _legend(figure)
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

    figure = _new(5.2)
    axes = figure.subplots()
    frame = seconds[seconds["load"] == load]
    for label, points, colour, style in _curves(frame):
        share = points["stalls"] / points["n"].where(points["n"] > 0)
        axes.plot(points["second"], share * 100, color=colour, linestyle=style, label=label, **DOTTED)
    axes.set_ylim(bottom=0)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("second of the trial")
    axes.set_ylabel("lookups that stalled, %")
    if len(frame):
        _legend(figure)
    rows = [row for row in summary.rows if row["load"] == load and row["not_applicable"] is None]
    counts = "; ".join(f"{row['variant']} on {row['target']}: {row['stalls']:,} stalls" for row in rows)
    caption = (
        "How to read it: a level line means that stalls do not depend on how long a trial runs; one that falls means "
        "that later lookups rode flows of earlier ones. Rounds are added up; the table's intervals keep them apart."
    )
    return Figure(_png(figure), f"Share of lookups that stalled, second by second. {counts}.", caption)


def stalls_by_target(summary: Summary, load: int = 0) -> Figure | Remark:
    """One panel for each target, the worst first: the share that stalled by configuration, of ``Summary.by_target``."""
    frame = summary.by_target(load)
    targets = list(frame["target"].unique())
    if len(targets) < 2:
        return Remark("All of it was measured on one target: there is nothing to set side by side.")
    shown, others = targets[:MAX_PANELS], frame[frame["target"].isin(targets[MAX_PANELS:])]
    variants = list(dict.fromkeys(frame["variant"]))
    colours = _colours(variants)
    n_rows = -(-len(shown) // 2)
    figure = _new(n_rows * (0.9 + 0.36 * len(variants)) + 0.6)
    panels = figure.subplots(n_rows, 2, sharex=True, sharey=True, squeeze=False).ravel()
    for axes, target in zip(panels, shown, strict=False):
        _panel(axes, frame[frame["target"] == target], variants, colours)
        axes.set_title(textwrap.fill(target.replace("@", " @"), TITLE_WIDTH), fontsize="small")
    panels[0].set_xlim(left=0)  # of all; only now, as it ends the scaling to what is drawn
    for axes in panels[len(shown) :]:
        axes.remove()
    figure.supxlabel("lookups that stalled, %; a cross: that failed", fontsize="medium")
    told = "; ".join(f"{target}: {_worst(frame[frame['target'] == target])}" for target in shown)
    caption = (
        "How to read it: one panel for each target, the worst first, all on one scale. A point is the share that "
        "stalled, with its 95 % interval over rounds (without a stall the exact bound); a cross is the share that "
        "failed; a row without either was not measured. What only one panel shows is that target's own, not the "
        "configuration's."
    )
    if len(others):
        caption += f" {len(targets) - MAX_PANELS} more targets are not drawn; the worst: {_worst(others)}."
    return Figure(_png(figure), f"Share of lookups that stalled, target by target, the worst first. {told}.", caption)


def _panel(axes: Axes, rows: pd.DataFrame, variants: list[str], colours: Mapping[str, Any]) -> None:
    for row in rows.to_dict("records"):
        place, share, colour = variants.index(row["variant"]), row["stalls_share"] * 100, colours[row["variant"]]
        axes.plot([row["low"] * 100, row["high"] * 100], [place, place], color=colour, linewidth=3)
        axes.plot([share], [place], "o", color=colour, markersize=8, clip_on=False, zorder=3)
        if row["failed_share"] > 0:
            axes.plot([row["failed_share"] * 100], [place], "x", color=colour, markersize=9, markeredgewidth=2.5)
    axes.set_yticks(range(len(variants)), [name.replace("+", "+\n") for name in variants])
    axes.set_ylim(len(variants) - 0.5, -0.5)
    axes.tick_params(labelbottom=True)


def _worst(rows: pd.DataFrame) -> str:
    """The highest shares among ``rows`` and whose they are."""
    parts = []
    for name, word in (("stalls_share", "stalled"), ("failed_share", "failed")):
        for row in rows.nlargest(1, name).to_dict("records"):
            if row[name] > 0:
                parts.append(f"{percent(row[name])} {word} with {row['variant']}")
    return ", ".join(parts) or "nothing stalled or failed"


def sweep(summary: Summary) -> Figure | Remark:
    """A row of two panels for each configuration: the share that stalled and p99, against what the run sweeps."""
    found = swept(summary)
    if found is None:
        return Remark("This run has one load and one target: nothing was swept.")
    frame = found.frame
    variants = list(dict.fromkeys(row["variant"] for row in summary.rows if row["variant"] in set(frame["variant"])))
    colours = _colours(variants)
    figure = _new(1.9 * len(variants) + 1.3)
    panels = figure.subplots(len(variants), 2, sharex=True, sharey="col", squeeze=False)
    for (left, right), variant in zip(panels, variants, strict=True):
        _swept_panels(left, right, frame[frame["variant"] == variant], colours[variant], joined=found.scale)
        left.set_title(variant, fontsize="small", loc="left")
    _swept_axes(panels[-1], found)
    panels[0, 0].set_ylim(bottom=0)  # of all; only now, as it ends the scaling to what is drawn
    _whole_decades(panels[:, 1], frame["p99_ms"][frame["p99_ms"] < math.inf])
    figure.supxlabel(found.name, fontsize="medium")
    if found.name != "target" and frame["target"].nunique() > 1:
        figure.legend(*panels[0, 0].get_legend_handles_labels(), loc="outside upper center", ncols=2, frameon=False)
    told = "; ".join(f"{variant}: {_swept_told(frame[frame['variant'] == variant], found)}" for variant in variants)
    caption = (
        f"How to read it: one row for each configuration, all on one scale, against {found.name}. Left the share that "
        "stalled, with its 95 % interval over rounds (without a stall the exact bound), and as a cross the share that "
        "failed; right p99 of response time (log), without a point where it falls among failed lookups. A row that "
        "stays level does not depend on what was swept. It does not compare configurations: the table against "
        "baseline does, one load at a time."
    )
    if summary.closed_loops:
        caption += " In a closed loop a worker in a stall asks nothing, so its shares count workers rather than faults."
    return Figure(_png(figure), f"Share of lookups that stalled and p99 against {found.name}. {told}.", caption)


def _swept_panels(left: Axes, right: Axes, rows: pd.DataFrame, colour: Any, joined: bool) -> None:
    for i, (target, points) in enumerate(rows.groupby("target", sort=False)):
        look = {**DOTTED, "color": colour, "linestyle": STYLES[i % len(STYLES)] if joined else "none"}
        share = points["stalls_share"] * 100
        left.vlines(points["value"], points["low"] * 100, points["high"] * 100, color=colour, linewidth=2, alpha=0.6)
        left.plot(points["value"], share, label=target, clip_on=False, zorder=3, **look)
        failed = points[points["failed_share"] > 0]
        left.plot(failed["value"], failed["failed_share"] * 100, "x", color=colour, markersize=9, markeredgewidth=2.5)
        right.plot(points["value"], points["p99_ms"].where(points["p99_ms"] < math.inf), label=target, **look)
    left.set_ylabel("stalled, %", fontsize="small")
    right.set_ylabel("p99, ms", fontsize="small")


def _swept_axes(bottom: Iterable[Axes], found: Sweep) -> None:
    """Ticks where values are; a log axis where they lie that far apart that the low ones would run together."""
    ticks = found.frame.drop_duplicates("value")
    low, high = ticks["value"].min(), ticks["value"].max()
    for axes in bottom:
        if found.scale and high >= 8 * low > 0:
            axes.set_xscale("log")
        axes.set_xticks(ticks["value"], [textwrap.fill(label, 12) for label in ticks["label"]])
        axes.minorticks_off()
        if not found.scale:
            axes.set_xlim(low - 0.5, high + 0.5)


def _whole_decades(panels: Iterable[Axes], values: pd.Series[float]) -> None:
    """Log axes from one power of ten to another, so that there are two ticks at least; as they are without a value."""
    if values.empty:
        return
    low, high = math.floor(math.log10(max(values.min(), 0.01))), math.ceil(math.log10(max(values.max(), 0.01)))
    for axes in panels:
        axes.set_yscale("log")
        axes.set_ylim(10.0**low * 0.8, 10.0 ** max(high, low + 1) * 1.25)
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")


def _swept_told(rows: pd.DataFrame, found: Sweep) -> str:
    several = found.name != "target" and rows["target"].nunique() > 1
    parts = []
    for row in rows.to_dict("records"):
        where = f"{row['label']} on {row['target']}" if several else row["label"]
        failed = f" and {percent(row['failed_share'])} failed" if row["failed_share"] > 0 else ""
        p99 = milliseconds(row["p99_ms"])
        parts.append(f"{percent(row['stalls_share'])}{failed} at {where}, p99 {p99}{'' if p99 == 'failed' else ' ms'}")
    return ", ".join(parts)


def over_the_run(slices: pd.DataFrame, load: int = 0) -> Figure:
    """Share of lookups that stalled or failed against time since the run's start, of ``timeline.run_slices``."""
    figure = _new(5.2)
    axes = figure.subplots()
    frame = pooled(slices, load)
    for label, points, colour, style in _curves(frame.assign(target="all")):
        middle_s, share = (points["start_s"] + points["end_s"]) / 2, points["bad"] / points["n"]
        axes.plot(middle_s, share * 100, color=colour, linestyle=style, label=label, **DOTTED)
    axes.set_ylim(bottom=0)
    axes.set_xlim(0, float(frame["end_s"].max()) if len(frame) else 1)
    _clock_axis(axes)
    axes.set_ylabel("lookups that stalled or failed, %")
    if len(frame):
        _legend(figure)
    worse = spells(frame)
    went = "; ".join(map(_spell, worse)) or "no configuration went bad for a part of the run only"
    totals = frame.groupby("variant", sort=False, observed=True)[["n", "bad"]].sum()
    all_over = "; ".join(f"{name}: {percent(share)}" for name, share in (totals["bad"] / totals["n"]).items())
    caption = (
        "How to read it: what happened at one time, to one configuration or to all, stands out there; a level line "
        "means that time did not matter. A point is a slice of a trial, by the clock; all targets are added up. It "
        f"does not show what happened between trials. Here: {went}."
    )
    alt = f"Share of lookups that stalled or failed, since the run's start. Whole run: {all_over}. Then: {went}."
    return Figure(_png(figure), alt, caption)


def _clock(seconds: float) -> str:
    """Time since the run's start: ``"1:20"``, from an hour on ``"2:01:20"``."""
    minutes, second = divmod(round(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02d}:{second:02d}" if hours else f"{minute}:{second:02d}"


def _clock_axis(axes: Axes) -> None:
    from matplotlib.ticker import MultipleLocator

    end_s = axes.get_xlim()[1]
    step_s = next((step for step in CLOCK_STEPS_S if end_s / step <= 7), end_s / 7)
    axes.xaxis.set_major_locator(MultipleLocator(step_s))
    axes.xaxis.set_major_formatter(lambda value, _: _clock(value))
    axes.set_xlabel("time since the run's start, min:s" if end_s < 3600 else "time since the run's start, h:min:s")


def _spell(spell: Spell) -> str:
    rounds = f"round {spell.first_round}"
    if spell.last_round != spell.first_round:
        rounds = f"rounds {spell.first_round} to {spell.last_round}"
    return (
        f"{spell.variant} went bad from {_clock(spell.start_s)} to {_clock(spell.end_s)} ({rounds}): "
        f"{percent(spell.share)}, else {percent(spell.usual)}"
    )
