"""Writes each curve's name beside it: near its end, where nothing else is drawn."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from dnslab.present.pictures.base import wrapped

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as MatplotlibFigure
    from matplotlib.lines import Line2D

#: dots across a cell, in which something is drawn or nothing is
CELL = 6
#: farther from its curve than this share of the axes' width, the eye does not find a name
FARTHEST = 0.3
#: what a dot along the curve, away from its end, weighs against one away from the curve
ALONG = 0.3
#: what it weighs in dots when the line to a name touches another curve
TOUCHING = 150.0
#: characters a line
WIDTH = 22

_Dots = npt.NDArray[np.floating[Any]]
_Cells = npt.NDArray[np.bool_]


def name_curves(figure: MatplotlibFigure, axes: Axes, curves: Sequence[Line2D]) -> None:
    """Write each curve's label beside it. If one does not fit, write all of them into a legend below.

    Call it last: it looks at what is already drawn, and only at these curves.
    """
    figure.draw_without_rendering()
    size = np.asarray(axes.get_window_extent().size)
    drawn = [_dots(axes, curve) for curve in curves]
    cells = [_cells(size, dots, dots) for dots in drawn]
    taken = _union([_cells(size, dots - CELL, dots + CELL) for dots in drawn], size)
    placed = []
    for i in sorted(range(len(curves)), key=lambda i: -drawn[i][-1, 0]):
        text = wrapped(str(curves[i].get_label()), WIDTH)
        needed = _size(axes, text)
        place = _place(taken, _union([other for j, other in enumerate(cells) if j != i], size), drawn[i], needed)
        if place is None:
            _legend(figure, curves)
            return
        corner, way = place
        taken |= _cells(size, corner[None], (corner + needed)[None]) | _cells(size, way, way)
        placed.append((curves[i], text, corner / size, way / size))
    for curve, text, corner, way in placed:
        axes.plot(way[:, 0], way[:, 1], color=curve.get_color(), linewidth=1.2, transform=axes.transAxes)
        style: dict[str, Any] = {"transform": axes.transAxes, "fontsize": "small", "linespacing": 1.0, "va": "bottom"}
        axes.text(corner[0], corner[1], text, bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.5}, **style)


def _legend(figure: MatplotlibFigure, curves: Sequence[Line2D]) -> None:
    """Put a legend below the axes without making them lower."""
    names = [wrapped(str(curve.get_label()), 2 * WIDTH) for curve in curves]
    style: dict[str, Any] = {"ncols": 1, "fontsize": "small", "frameon": False, "labelspacing": 0.3}
    figure.legend(list(curves), names, loc="outside lower center", **style)
    figure.set_figheight(figure.get_figheight() + 0.25 * sum(name.count("\n") + 1 for name in names))


def _dots(axes: Axes, curve: Line2D) -> _Dots:
    """Points on the drawn curve, in dots from the axes' corner, at most one cell apart."""
    corners = axes.transData.transform(np.column_stack([curve.get_xdata(), curve.get_ydata()]))
    corners = corners[np.isfinite(corners).all(axis=1)] - axes.get_window_extent().min
    return np.concatenate([corners[:1], *(_between(start, end) for start, end in pairwise(corners))])


def _between(start: _Dots, end: _Dots) -> _Dots:
    n = max(1, int(np.ceil(np.hypot(*(end - start)) / CELL)))
    points: _Dots = start + (end - start) * (np.arange(1, n + 1) / n)[:, None]
    return points


def _size(axes: Axes, text: str) -> _Dots:
    """Width and height of ``text`` in dots, with a little room around it."""
    artist = axes.text(0, 0, text, fontsize="small", linespacing=1.0)
    extent = artist.get_window_extent()
    artist.remove()
    return np.array([extent.width, extent.height]) + CELL


def _cells(size: _Dots, low: _Dots, high: _Dots) -> _Cells:
    """The cells of axes of this size that these rectangles touch, all in dots."""
    touched = np.zeros((size[::-1] // CELL).astype(int), dtype=np.bool_)
    first = np.maximum(low // CELL, 0).astype(int)
    last = np.maximum(high // CELL + 1, 0).astype(int)
    for (left, bottom), (right, top) in zip(first, last, strict=True):
        touched[bottom:top, left:right] = True
    return touched


def _union(parts: Sequence[_Cells], size: _Dots) -> _Cells:
    none = _cells(size, np.empty((0, 2)), np.empty((0, 2)))
    cells: _Cells = np.any([none, *parts], axis=0)
    return cells


def _place(taken: _Cells, other_cells: _Cells, dots: _Dots, needed: _Dots) -> tuple[_Dots, _Dots] | None:
    """Corner of the best free rectangle and its distance from the curve, in dots; None if none is near.

    For each of some dots along the curve, from its end on, the nearest rectangle is a candidate.
    """
    wide, high = np.ceil(needed / CELL).astype(int)
    sums = np.pad(taken, ((1, 0), (1, 0))).cumsum(axis=0).cumsum(axis=1)
    if high >= len(sums) or wide >= len(sums[0]):
        return None
    inside = sums[high:, wide:] - sums[:-high, wide:] - sums[high:, :-wide] + sums[:-high, :-wide]
    corners = np.argwhere(inside == 0)[:, ::-1] * float(CELL)
    candidates = []
    for anchor in dots[:: -max(1, len(dots) // 60)] if len(corners) else ():
        near = np.clip(anchor, corners, corners + needed)
        away = np.hypot(*(near - anchor).T)
        best = int(away.argmin())
        if away[best] <= FARTHEST * CELL * taken.shape[1]:
            way = np.vstack([anchor, _between(anchor, near[best])])
            touches = other_cells[
                tuple((way[:, ::-1] // CELL).astype(int).clip(0, np.array(other_cells.shape) - 1).T)
            ].any()
            cost = float(away[best] + ALONG * np.hypot(*(anchor - dots[-1])) + TOUCHING * touches)
            candidates.append((cost, corners[best], way))
    return min(candidates, key=lambda candidate: candidate[0])[1:] if candidates else None
