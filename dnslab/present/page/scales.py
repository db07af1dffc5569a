"""Axes that rows of a table share, and marks on them. Places are percentages of the width."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

from dnslab.present.page.view import Axis, Mark, Tick
from dnslab.text import MINUS, NBSP, rounded

#: where an axis begins and ends, so that a mark at an end is whole
FIRST, LAST = 3.0, 97.0
#: where a log axis begins: left of it is the lane for 0
LOG_FIRST = 28.0
#: a linear axis shows values that lie within this factor of each other
WITHIN = 20.0
#: ticks of an axis, about
N_TICKS = 4
#: width of the narrowest axis, of a character of its labels, of narrow and wide ones, and of the gap between two
NARROWEST_PX, CHARACTER_PX, GAP_PX = 130.0, 7.3, 7.0
WIDTHS_PX = {".": 3.7, ",": 3.7, NBSP: 3.7, "%": 11.5, "m": 12.0}
#: half of a label that is centred at an end all the same, as it hardly reaches out: a digit
HALF_PX = 4.0


@dataclass(frozen=True)
class Scale:
    """Linear from ``low`` to ``high``, or logarithmic with 0 in a lane left of ``low``."""

    low: float
    high: float
    log: bool = False

    def at(self, value: float) -> float:
        """The place of a value."""
        if self.log:
            if value <= 0:
                return FIRST
            part = math.log(max(value, self.low) / self.low) / math.log(self.high / self.low)
            return round(LOG_FIRST + min(1.0, part) * (LAST - LOG_FIRST), 2)
        part = (value - self.low) / (self.high - self.low)
        return round(FIRST + min(1.0, max(0.0, part)) * (LAST - FIRST), 2)

    def axis(self, unit: str = "", signed: bool = False, narrowest_px: float = NARROWEST_PX) -> Axis:
        """The axis with its ticks, and the labels that have room where it is narrowest."""
        values = self._ticks()
        labels = [_label(value, signed) for value in values]
        labels[-1] += unit
        origin = min(range(len(values)), key=lambda index: abs(values[index]))
        kept = self._labelled(values, labels, origin, narrowest_px)
        ticks = [
            Tick(self.at(value), labels[i] if i in kept else "", self._edge(value, labels[i]))
            for i, value in enumerate(values)
        ]
        return Axis(ticks, self.at(0.0), self.log)

    def _labelled(self, values: Sequence[float], labels: Sequence[str], origin: int, width_px: float) -> list[int]:
        """Which ticks have a label: as many as have room, at even steps if the last one is then among them."""
        last = len(values) - 1
        for step in range(1, last + 1):
            even = [index for index in range(last + 1) if (index - origin) % step == 0]
            pairs = itertools.pairwise(even)
            if even[-1] == last and all(self._apart_px(values, labels, *pair, width_px) >= 0 for pair in pairs):
                return even
        kept: list[int] = []
        for index in dict.fromkeys([origin, last, *range(last)]):
            if all(self._apart_px(values, labels, index, other, width_px) >= 0 for other in kept):
                kept.append(index)
        return kept

    def _edge(self, value: float, label: str) -> str:
        """With which end of the axis a label is flush, so that it reaches into no other cell."""
        at = self.at(value)
        if _width_px(label) / 2 <= HALF_PX:
            return ""
        half = 100 * _width_px(label) / 2 / NARROWEST_PX
        return "start" if at < half else "end" if at > 100 - half else ""

    def _span_px(self, value: float, label: str, width_px: float) -> tuple[float, float]:
        """From where to where a label reaches."""
        width, edge = _width_px(label), self._edge(value, label)
        left = {"start": 0.0, "end": width_px - width}.get(edge, self.at(value) / 100 * width_px - width / 2)
        return left, left + width

    def _apart_px(self, values: Sequence[float], labels: Sequence[str], one: int, other: int, width_px: float) -> float:
        """The room between two labels beyond the least gap."""
        spans = sorted(self._span_px(values[index], labels[index], width_px) for index in (one, other))
        return spans[1][0] - spans[0][1] - GAP_PX

    def _ticks(self) -> list[float]:
        if self.log:
            first, last = math.ceil(math.log10(self.low) - 1e-9), math.floor(math.log10(self.high) + 1e-9)
            every = max(1, math.ceil((last - first) / 3))
            return [0.0, *(10.0**power for power in range(first, last + 1, every))]
        step = _step((self.high - self.low) / N_TICKS)
        start, end = math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9)
        return [number * step for number in range(start, end + 1)]

    def mark(self, estimate: float, low: float, high: float, tone: str, title: str) -> Mark:
        """A mark with its interval; one without bounds has none. An estimate of 0 is open."""
        if not math.isfinite(low) or not math.isfinite(high):
            low = high = estimate
        left, right = self.at(low), self.at(high)
        return Mark(self.at(estimate), left, round(max(0.0, right - left), 2), not estimate, tone, title)


def _width_px(label: str) -> float:
    return sum(WIDTHS_PX.get(character, CHARACTER_PX) for character in label)


def _step(least: float) -> float:
    """The smallest of 1, 2, 2.5 and 5 times a power of ten that is not less."""
    unit = 10.0 ** math.floor(math.log10(least))
    return next(unit * factor for factor in (1, 2, 2.5, 5, 10) if unit * factor >= least * (1 - 1e-9))


def _label(value: float, signed: bool) -> str:
    if abs(value) < 1e-12:
        return "same" if signed else "0"
    return rounded(value, 3, signed).replace("-", MINUS)


def scale_of(estimates: Sequence[float], bounds: Sequence[float] = ()) -> Scale:
    """A scale from 0 for these shares, in percent, and their bounds; logarithmic where they lie far from each other."""
    positive = [value for value in estimates if value > 0 and math.isfinite(value)]
    ends = [value for value in [*positive, *bounds] if value > 0 and math.isfinite(value)]
    if not ends:
        return Scale(0.0, 1.0)
    most = max(ends)
    if len(positive) < 2 or max(positive) <= WITHIN * min(positive):
        step = _step(most * 1.02 / N_TICKS)
        return Scale(0.0, min(100.0, math.ceil(most * 1.02 / step) * step))
    return Scale(10.0 ** math.floor(math.log10(min(positive))), 10.0 ** math.ceil(math.log10(most)), True)


def scale_around_0(values: Sequence[float]) -> Scale:
    """A linear scale that holds 0 and these values."""
    finite = [value for value in values if math.isfinite(value)]
    low, high = min([0.0, *finite]), max([0.0, *finite])
    if low == high:
        return Scale(-1.0, 1.0)
    step = _step((high - low) / N_TICKS)
    room = (high - low) * 0.04
    return Scale(math.floor(low / step) * step if low else -room, math.ceil(high / step) * step if high else room)
