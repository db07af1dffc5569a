"""How long lookups take: for each C library a curve of the share not yet answered, by matplotlib as SVG.

Colours are those of the page (``var(--bad)``), so that a picture is dark on a dark page; text stays text.
"""

from __future__ import annotations

import io
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pandas as pd

from dnslab.analyse.sketches import NAMED_LEVELS, sketches
from dnslab.analyse.summary import Row
from dnslab.explain.ranking import Ranked
from dnslab.plan.stalls import timeout_of_stall_s
from dnslab.present.page.context import Context
from dnslab.present.page.view import Key, Panel, Tails
from dnslab.sentences import pictures
from dnslab.text import NBSP, Table, as_html, counted, first_of, share_text, span_of, time_ms, visible

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: widths of the two pictures, px; the page shows one of them
NARROW_PX, WIDE_PX, ALONE_PX = 320, 450, 920
HEIGHT_PX = 290
#: size of all text, and width that a label needs, px
TEXT_PX, LABEL_PX = 12.5, 39
#: curves that are named; the others are grey together
MOST_NAMED = 5
#: stand-ins that matplotlib writes, and what the page calls these colours
_COLOURS = {
    "#b5380a": "var(--bad)",
    "#00677a": "var(--good)",
    "#828d99": "var(--mute)",
    "#5f6b79": "var(--ink-3)",
    "#dbe0e6": "var(--line)",
    "#465160": "var(--ink-2)",
}
BAD, GOOD, MUTE, LABEL, LINE, OTHER = _COLOURS
#: line styles, told apart without colour as well; the page draws the same in the key
STYLES: dict[str, dict[str, Any]] = {
    "bad": {"color": BAD, "linewidth": 3.0, "linestyle": "-"},
    "good": {"color": GOOD, "linewidth": 2.4, "linestyle": (0, (6, 2))},
    "mute": {"color": MUTE, "linewidth": 1.3, "linestyle": "-"},
    "other1": {"color": OTHER, "linewidth": 1.8, "linestyle": (0, (2, 2))},
    "other2": {"color": OTHER, "linewidth": 1.8, "linestyle": (0, (8, 3, 2, 3))},
    "other3": {"color": OTHER, "linewidth": 1.8, "linestyle": (0, (1, 3))},
}


@dataclass(frozen=True)
class _Curve:
    """A curve: its points, and how it is drawn."""

    row: Row
    style: str
    points: pd.DataFrame


def tails(context: Context) -> Tails | None:
    """The section; None where there is nothing to draw."""
    frame = sketches(context.run)
    frame = frame[frame["load"] == 0]
    libcs = [libc for libc in context.libcs if len(frame[frame["target"] == context.leading_target(libc)])]
    if not libcs:
        return None
    curves = {libc: _curves(context, context.rows(libc), frame) for libc in libcs}
    low = min(float(curve.points["response_ms"].min()) for found in curves.values() for curve in found)
    high = max(float(curve.points["response_ms"].max()) for found in curves.values() for curve in found)
    panels = [_panel(context, libc, curves[libc], (low, high), len(libcs) == 1) for libc in libcs]
    n = max(curve.row.n for found in curves.values() for curve in found)
    stalled = any(curve.row.stalls for found in curves.values() for curve in found)
    ends = pictures.TAILS_ENDS(n=counted(n, "lookup"), end=f"1 in {n:,}")
    return Tails(
        str(pictures.TAILS_HEADING),
        f"{pictures.TAILS_HEAD} {pictures.TAILS_TIMEOUT}" if stalled else str(pictures.TAILS_HEAD),
        panels,
        f"{pictures.TAILS_SCALES} {ends}",
        _table(context, curves),
    )


def _curves(context: Context, rows: Sequence[Ranked], frame: pd.DataFrame) -> list[_Curve]:
    """The curves of a target, grey ones first, so that the others lie above them."""
    baseline = [one for one in rows if one.row.variant == "baseline"]
    picked = [one for one in rows if one == context.picked]
    bad = [one for one in rows if one not in (*baseline, *picked) and (not one.row.is_clean or one.row.slow)]
    bad = sorted(bad, key=lambda one: -(one.row.slow_share + one.row.failed_share))[: MOST_NAMED - 2]
    styles = {one.row.variant: "bad" if not one.row.is_clean or one.row.slow else "good" for one in baseline}
    styles |= {one.row.variant: "good" for one in picked}
    styles |= {one.row.variant: f"other{index}" for index, one in enumerate(bad, 1)}
    found = []
    for one in rows:
        points = frame[(frame["variant"] == one.row.variant) & (frame["target"] == one.row.target)]
        if len(points):
            found.append(_Curve(one.row, styles.get(one.row.variant, "mute"), points))
    order = ["mute", "other3", "other2", "other1", "good", "bad"]
    return sorted(found, key=lambda curve: order.index(curve.style))


def _panel(context: Context, libc: str, curves: Sequence[_Curve], span: tuple[float, float], alone: bool) -> Panel:
    target = context.leading_target(libc)
    rows = [curve.row for curve in curves]
    known = {timeout_of_stall_s(row.stall_ms) for row in rows if row.stall_step_s and row.variant == "baseline"}
    steps = sorted(step for step in known if step * 1e3 <= _time_axis(span)[1])
    title = libc if target == libc else f"{libc} ({target})"
    words = "; ".join(f"{context.name(curve.row.variant)}: {_in_words(curve.row)}" for curve in reversed(curves))
    narrow, wide = (
        _draw(curves, steps, span, width, visible(f"{title}. {words}"))
        for width in (NARROW_PX, ALONE_PX if alone else WIDE_PX)
    )
    return Panel(title, narrow, wide, _keys(context, curves, libc, steps))


def _keys(context: Context, curves: Sequence[_Curve], libc: str, steps: Sequence[float]) -> list[Key]:
    named = [curve for curve in reversed(curves) if curve.style != "mute"]
    keys = [Key(context.name(curve.row.variant), _in_words(curve.row), curve.style) for curve in named]
    rest = [curve.row for curve in curves if curve.style == "mute"]
    if rest:
        slowest = time_ms(max(row.max_ms for row in rest))
        name, text = pictures.OTHERS(n=str(len(rest))), pictures.ALL_WITHIN(slowest=slowest)
        if len(rest) == 1:
            name, text = context.name(rest[0].variant), _in_words(rest[0])
        keys.append(Key(name, text, "mute"))
    if steps:
        keys.append(Key(pictures.ASKS_AGAIN(libc=libc, step=span_of(steps[0])), "", "guide"))
    return keys


def _in_words(row: Row) -> str:
    """What a curve shows, in a few words."""
    parts = []
    if row.stalls:
        length = span_of(row.stall_ms / 1e3)
        parts.append(pictures.WAIT_AT(share=share_text(row.intervals["stalls_share"]), length=length))
    elif row.slow:
        share = share_text(row.intervals["slow_share"])
        parts.append(pictures.WAIT_AT(share=share, length=f"1{NBSP}s"))
    if row.failed:
        parts.append(pictures.FAILED_OF(share=share_text(row.intervals["failed_share"])))
    return ", ".join(parts) or pictures.ALL_WITHIN(slowest=time_ms(row.max_ms))


def _draw(
    curves: Sequence[_Curve], steps: Sequence[float], span: tuple[float, float], width_px: int, title: str
) -> str:
    from matplotlib import rc_context, rcParamsDefault
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    rc: Any = {
        "svg.fonttype": "none",
        "svg.hashsalt": f"{title} {width_px}",
        "text.parse_math": False,
        "font.size": TEXT_PX,
    }
    own: dict[Any, Any] = {key: value for key, value in rcParamsDefault.items() if key != "backend"}
    with rc_context({**own, **rc}):  # the same in a notebook whose pictures have another style
        figure = Figure(figsize=(width_px / 72, HEIGHT_PX / 72))
        FigureCanvasSVG(figure)
        axes = figure.add_axes((60 / width_px, 48 / HEIGHT_PX, 1 - 84 / width_px, 1 - 94 / HEIGHT_PX))
        _axes(axes, steps, span, min(curve.row.n for curve in curves), width_px)
        for curve in curves:
            share = 1 - curve.points["level"]
            last = share.clip(lower=0.5 / curve.row.n)  # the slowest lookup: the curve ends there
            axes.plot(curve.points["response_ms"], last, drawstyle="steps-post", **STYLES[curve.style])
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    return _for_page(buffer.getvalue(), title)


def _axes(axes: Axes, steps: Sequence[float], span: tuple[float, float], n: int, width_px: int) -> None:
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlim(*_time_axis(span))
    first, last = (round(math.log10(end)) for end in _time_axis(span))
    lowest = max(-6, min(-2, math.floor(math.log10(1 / n))))
    axes.set_ylim(0.5 * 10.0**lowest, 1.0)  # so that its label is not beside that of the other axis
    axes.minorticks_off()
    ticks = [10.0**power for power in range(first, last + 1)]
    every = math.ceil(len(ticks) * LABEL_PX / (width_px - 84))
    axes.set_xticks(ticks, ["" if index % every else _time(value) for index, value in enumerate(ticks)])
    levels = [10.0**power for power in range(lowest, 1)]
    axes.set_yticks(levels, [f"{100 * level:g}{NBSP}%" for level in levels])
    axes.set_xlabel("time to an answer", color=LABEL)
    axes.annotate(
        "share that took longer",
        (0, 1),
        (-52, 22),
        "axes fraction",
        textcoords="offset points",
        fontsize=TEXT_PX,
        color=LABEL,
    )
    axes.grid(True, color=LINE, linewidth=1)
    axes.set_axisbelow(True)
    axes.tick_params(colors=LABEL, length=0, pad=6)
    for spine in axes.spines.values():
        spine.set_visible(False)
    for step in steps:
        axes.axvline(step * 1e3, color=LABEL, linewidth=1.2, linestyle=(0, (1, 3)), zorder=1)
        axes.annotate(
            span_of(step),
            (step * 1e3, 1.0),
            (0, 4),
            textcoords="offset points",
            ha="center",
            fontsize=TEXT_PX,
            color=LABEL,
        )


def _time_axis(span: tuple[float, float]) -> tuple[float, float]:
    """From where to where the axis of times reaches, ms: whole decades, two at least."""
    first, last = math.floor(math.log10(max(span[0], 0.01))), math.ceil(math.log10(max(span[1], 0.1)))
    return 10.0**first, 10.0 ** max(last, first + 2)


def _time(value_ms: float) -> str:
    return f"{value_ms / 1e3:g}{NBSP}s" if value_ms >= 1e3 else f"{value_ms:g}{NBSP}ms"


def _for_page(svg: str, title: str) -> str:
    """The SVG element alone: with the page's colours and font, a title, and without ids that another one may have."""
    svg = svg[svg.index("<svg") :]
    # Its style would be the whole page's; the same two properties stand in page.css.
    svg = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>", "", svg, flags=re.S)
    for colour, name in _COLOURS.items():
        svg = svg.replace(colour, name)
    svg = re.sub(r"font(-family)?: ([^;\"']*?)'[^;\"]*(?=[;\"])", _size_only, svg)
    svg = re.sub(r' id="(?:figure|patch|axes|matplotlib|xtick|ytick|line2d|text)[^"]*"', "", svg)
    width, height = re.findall(r'(?:width|height)="([\d.]+)pt"', svg)[:2]
    head = f'<svg class="plot" viewBox="0 0 {width} {height}" role="img" style="--w:{float(width):.0f}px">'
    return head + f"<title>{as_html(title)}</title>" + svg[svg.index(">") + 1 :]


def _size_only(found: re.Match[str]) -> str:
    size = re.search(r"[\d.]+px", found[2])
    return f"font-size: {size[0]}" if size else f"font-size: {TEXT_PX}px"


def _table(context: Context, curves: dict[str, list[_Curve]]) -> Table:
    rows = []
    for found in curves.values():
        for curve in reversed(found):
            points = curve.points
            reached = {name: points["response_ms"][points["level"] == level] for name, level in NAMED_LEVELS.items()}
            times = {
                name: time_ms(float(values.iloc[0])) if len(values) else "failed" for name, values in reached.items()
            }
            names = {"configuration": context.name(curve.row.variant), "target": curve.row.target}
            rows.append({**names, **times, "slowest": time_ms(curve.row.max_ms)})
    return Table(pd.DataFrame(rows), f"times of {first_of(list(curves), 3)}")
