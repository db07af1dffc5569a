"""What all figures share: a picture with its words, one look for each configuration."""

from __future__ import annotations

import base64
import contextlib
import io
import math
import re
import textwrap
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import pandas as pd

from dnslab.analyse.summary import Summary
from dnslab.sentences import pictures as said
from dnslab.text import Table, as_escapes, as_html, as_output, counted, visible

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure as MatplotlibFigure

#: told apart without colour as well
STYLES: Sequence[Any] = (
    *("-", "--", "-.", ":", (0, (5, 1)), (0, (3, 1, 1, 1)), (0, (1, 1))),
    *((0, (8, 2, 2, 2)), (0, (4, 4)), (0, (6, 1, 1, 1, 1, 1))),
)
#: a line over time: each value seen, and which belong together
DOTTED: Mapping[str, Any] = {"linewidth": 2.2, "marker": "o", "markersize": 4}
#: of one name: more of them would leave a picture no room
MAX_LINES = 5
#: curves that the eye tells apart in one picture
MAX_CURVES = len(STYLES)
#: of a host that is not an address: what follows its own name
_DOMAIN = re.compile(r"(@[^@.)]*[A-Za-z][^@.)]*)\.[^)]*")
#: inches across and dots an inch: as wide as a page shows it, with letters that stay readable on a phone
WIDTH, DPI = 6.2, 160


@dataclass(frozen=True)
class Figure:
    """A picture with its text alternative, caption, and the numbers it was drawn from; shows itself as plain HTML."""

    png: bytes
    alt: str
    caption: str
    table: Table

    def _repr_html_(self) -> str:
        data = base64.b64encode(self.png).decode("ascii")
        return as_output(
            f'<figure><img alt="{as_html(self.alt)}" src="data:image/png;base64,{data}">'
            f"<figcaption><p>{as_html(self.caption)}</p><details><summary>{said.ITS_NUMBERS}</summary>"
            f"{self.table._repr_html_()}</details></figcaption></figure>"
        )


@dataclass(frozen=True)
class Remark:
    """A sentence in place of a figure that cannot be drawn, with the reason."""

    text: str

    def _repr_html_(self) -> str:
        return as_output(f"<p>{as_html(self.text)}</p>")


def numbers(rows: Sequence[Mapping[str, str]], name: str) -> Table:
    """The table under a figure: text by column."""
    return Table(pd.DataFrame(rows).fillna(""), f"{said.ITS_NUMBERS}: {name}")


def new_figure(height: float) -> MatplotlibFigure:
    import seaborn as sns
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure as MatplotlibFigure

    # A name with two dollars in it is no formula.
    sns.set_theme(style="whitegrid", context="talk", font_scale=0.8, rc={"text.parse_math": False})
    figure = MatplotlibFigure(figsize=(WIDTH, height), dpi=DPI, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def to_png(figure: MatplotlibFigure) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=DPI)
    return buffer.getvalue()


def label(variant: str, target: str, several: bool) -> str:
    """The name of a curve or a line in a picture, with its target if there are ``several``."""
    return f"{variant} ({target})" if several else variant


@cache
def _glyphs() -> frozenset[int]:
    """The code points that the fonts used in pictures have."""
    from matplotlib import rcParams
    from matplotlib.font_manager import fontManager, get_font

    code_points: set[int] = set()
    for family in rcParams["font.sans-serif"]:
        with contextlib.suppress(ValueError):  # not installed
            code_points.update(get_font(fontManager.findfont(family, fallback_to_default=False)).get_charmap())
    return frozenset(code_points)


def drawable(name: str) -> str:
    """A name for a picture: visible, with escapes for characters that no installed font has."""
    glyphs = _glyphs()
    return "".join(character if ord(character) in glyphs else as_escapes(character) for character in visible(name))


def wrapped(name: str, width: int) -> str:
    """A name for a picture, in lines of at most ``width`` characters: after a plus, before a bracket, at blanks.

    What does not fit in one line loses its host's domain, then its middle, and what is over ``MAX_LINES`` its end;
    tables have it whole.

    >>> wrapped("node-local+use-vc (web@ip-10-0-0-17.compute.internal)", 22)
    'node-local+\\nuse-vc\\n(web@ip-10-0-0-17)'
    """
    name = drawable(name)
    parts = name.replace("+", "+\n").replace(" (", "\n(").split("\n") if len(name) > width else [name]
    lines = [line for part in parts for line in _fitting(part, width)]
    return "\n".join(lines if len(lines) <= MAX_LINES else [*lines[: MAX_LINES - 1], "…"])


def _fitting(part: str, width: int) -> list[str]:
    short = _DOMAIN.sub(r"\1", part) if len(part) > width else part
    pieces = short.replace("@", "\n@").split("\n") if len(short) > width else [short]
    lines = [
        line for piece in pieces for line in textwrap.wrap(piece, width, break_long_words=False, break_on_hyphens=False)
    ]
    return [line if len(line) <= width else f"{line[: width // 2]}…{line[1 - width // 2 :]}" for line in lines]


def colours(variants: Iterable[str]) -> dict[str, Any]:
    """A colour for each variant, by its name, so that a variant looks the same in every picture of a page."""
    import seaborn as sns

    names = sorted(set(variants))
    return dict(zip(names, sns.color_palette("colorblind", n_colors=max(1, len(names))), strict=False))


def palette_of(summary: Summary, load: int) -> dict[str, Any]:
    """A colour for each variant that was measured under ``load``."""
    return colours(row.variant for row in summary.measured(load))


def worst(frame: pd.DataFrame, size: pd.Series[float]) -> tuple[pd.DataFrame, str]:
    """The ``MAX_CURVES`` curves with the largest sums of ``size`` (a value for each row), and a sentence about the
    others."""
    keys = ["variant", "target"]
    sums = size.astype(float).groupby([frame[key] for key in keys], observed=True).sum()
    kept = sums.nlargest(MAX_CURVES).index
    n = len(sums) - len(kept)
    chosen = frame[pd.MultiIndex.from_frame(frame[keys]).isin(kept)]
    return chosen, said.NOT_DRAWN(n=counted(n, "curve")) if n else ""


def curves(frame: pd.DataFrame, palette: Mapping[str, Any]) -> list[tuple[str, pd.DataFrame, Any, Any]]:
    """Label, points, colour and line style of each variant and target, in the order of first appearance."""
    several = frame["target"].nunique() > 1
    groups = list(frame.groupby(["variant", "target"], sort=False, observed=True))
    order = {key: i for i, key in enumerate(sorted(key for key, _ in groups))}
    return [
        (label(str(key[0]), str(key[1]), several), points, palette[str(key[0])], STYLES[order[key] % len(STYLES)])
        for key, points in groups
    ]


def whole_decades(panels: Iterable[Axes], values: pd.Series[float]) -> None:
    """Let log axes begin and end at powers of ten, so that they have two ticks at least. No change without values."""
    if values.empty:
        return
    low, high = math.floor(math.log10(max(values.min(), 0.01))), math.ceil(math.log10(max(values.max(), 0.01)))
    for axes in panels:
        axes.set_yscale("log")
        axes.set_ylim(10.0**low * 0.8, 10.0 ** max(high, low + 1) * 1.25)
        plain_numbers(axes.yaxis, lambda value: f"{value:,g}")


def plain_numbers(axis: Axis, to_text: Callable[[float], str]) -> None:
    """Write the ticks of a log axis as plain text.

    By default ticks within a decade are formulas, which are switched off.
    """
    from matplotlib.ticker import LogFormatter

    axis.set_major_formatter(lambda value, _: to_text(value))
    axis.set_minor_formatter(LogFormatter())
