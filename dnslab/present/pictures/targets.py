"""Where lookups stall: target by target."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import pandas as pd

from dnslab.analyse.summary import Summary
from dnslab.present.pictures.base import Figure, Remark, colours, new_figure, numbers, to_png, wrapped
from dnslab.text import percent

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: more targets than this are counted in the caption: six rows are what one look takes in
MAX_PANELS = 12
#: characters above a panel, beside the longest name of a configuration
TITLE_WIDTH = 21


def stalls_by_target(summary: Summary, load: int = 0) -> Figure | Remark:
    """One panel for each target, the worst first: the share of lookups that stalled, by configuration."""
    frame = summary.by_target(load)
    targets = list(frame["target"].unique())
    if len(targets) < 2:
        return Remark("All of it was measured on one target: there is nothing to set side by side.")
    shown, not_drawn = targets[:MAX_PANELS], frame[frame["target"].isin(targets[MAX_PANELS:])]
    variants = list(dict.fromkeys(frame["variant"]))
    palette = colours(variants)
    n_rows = -(-len(shown) // 2)
    figure = new_figure(n_rows * (0.9 + 0.42 * len(variants)) + 0.6)
    panels = figure.subplots(n_rows, 2, sharex=True, sharey=True, squeeze=False).ravel()
    for axes, target in zip(panels, shown, strict=False):
        _panel(axes, frame[frame["target"] == target], variants, palette)
        axes.set_title(wrapped(target, TITLE_WIDTH), fontsize="small")
    panels[0].set_xlim(left=0)  # of all; only now, as it ends the scaling to what is drawn
    for axes in panels[len(shown) :]:
        axes.remove()
    figure.supxlabel("lookups that stalled, %; a cross: that failed", fontsize="medium")
    sentences = "; ".join(f"{target}: {_worst(frame[frame['target'] == target])}" for target in shown)
    caption = (
        "How to read it: one panel for each target, the worst first, all on one scale. A point is the share that "
        "stalled, with its 95 % interval over rounds (without a stall the exact bound); a cross is the share that "
        "failed; a row without either was not measured. What only one panel shows is that target's own, not the "
        "configuration's."
    )
    if len(not_drawn):
        caption += f" {len(targets) - MAX_PANELS} more targets are not drawn; the worst: {_worst(not_drawn)}."
    alt = f"Share of lookups that stalled, target by target, the worst first. {sentences}."
    drawn = frame[frame["target"].isin(shown)].to_dict("records")
    return Figure(to_png(figure), alt, caption, numbers([_line(row) for row in drawn], "share that stalled by target"))


def _line(row: Mapping[Any, Any]) -> dict[str, str]:
    return {
        "target": row["target"],
        "configuration": row["variant"],
        "stalled": percent(row["stalls_share"]),
        "from": percent(row["low"]),
        "to": percent(row["high"]),
        "failed": percent(row["failed_share"]),
    }


def _panel(axes: Axes, rows: pd.DataFrame, variants: list[str], palette: Mapping[str, Any]) -> None:
    for row in rows.to_dict("records"):
        y, share, colour = variants.index(row["variant"]), row["stalls_share"] * 100, palette[row["variant"]]
        axes.plot([row["low"] * 100, row["high"] * 100], [y, y], color=colour, linewidth=3)
        axes.plot([share], [y], "o", color=colour, markersize=8, clip_on=False, zorder=3)
        if row["failed_share"] > 0:
            axes.plot([row["failed_share"] * 100], [y], "x", color=colour, markersize=9, markeredgewidth=2.5)
    axes.set_yticks(range(len(variants)), [wrapped(name, 22) for name in variants], linespacing=1.0)
    axes.set_ylim(len(variants) - 0.5, -0.5)
    axes.tick_params(labelbottom=True)


def _worst(rows: pd.DataFrame) -> str:
    """The highest shares among ``rows``, and the configurations that have them."""
    parts = []
    for name, word in (("stalls_share", "stalled"), ("failed_share", "failed")):
        for row in rows.nlargest(1, name).to_dict("records"):
            if row[name] > 0:
                parts.append(f"{percent(row[name])} {word} with {row['variant']}")
    return ", ".join(parts) or "nothing stalled or failed"
