"""Limits that a run has to keep, for pipelines. Intervals decide, not figures: what could be either is undecided."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import pandas as pd

from dnslab.analyse import intervals
from dnslab.analyse.intervals import MIN_ROUNDS, Interval, upper_bound_when_none
from dnslab.analyse.summary import LEVELS, SHARES, TIMES, Summary
from dnslab.errors import UsageError
from dnslab.explain import tables
from dnslab.explain.validity import Veto
from dnslab.text import as_markdown, visible

MEASURES = (*(f"{name}_share" for name in SHARES), "p50", "p99", "p999")
_GATE = re.compile(r"(\w+)\s*(<=?)\s*([0-9.]+)\s*(%|ms|s)")


@dataclass(frozen=True)
class Gate:
    """A measure and the limit it is to stay under; ``strict``: may not reach. Limits are shares, or ms."""

    measure: str
    limit: float
    strict: bool = False

    @classmethod
    def parse(cls, text: str) -> Gate:
        """From ``slow_share<0.1%`` or ``p99<=100ms``; UsageError for any other form."""
        found = _GATE.fullmatch(text.strip())
        share = found is not None and found[1].endswith("_share")
        if not found or found[1] not in MEASURES or share != (found[4] == "%") or found[3].count(".") > 1:
            raise UsageError(
                f"--gate: expected as slow_share<0.1% or p99<=100ms, of {', '.join(MEASURES)}, saw {text!r}"
            )
        per = {"%": 100, "ms": 1, "s": 1e-3}[found[4]]
        return cls(found[1], float(found[3]) / per, found[2] == "<")

    @property
    def limit_text(self) -> str:
        """The limit as it was given, for reading."""
        value = f"{self.limit * 100:g} %" if self.measure.endswith("_share") else f"{self.limit:g} ms"
        return f"{'<' if self.strict else '<='} {value}"

    def keeps(self, value: float) -> bool:
        """Whether ``value`` is on the good side."""
        return value < self.limit if self.strict else value <= self.limit


#: what Kubernetes' own scale tests ask of cluster DNS (perf-tests, clusterloader2, DNSPerformanceK8sHostnames)
DEFAULT = (Gate("failed_share", 0.001), Gate("p50", 20.0), Gate("p99", 100.0))


@dataclass(frozen=True)
class Decision:
    """What a gate says of a variant on a target under a load; ``why`` it is undecided, or ``""``.

    ``figure`` has the bounds that decided: of a share, or of the mean of the rounds' quantiles.
    """

    gate: Gate
    row: Mapping[str, Any]
    figure: Interval
    word: Literal["passes", "fails", "undecided"]
    why: str = ""


@dataclass(frozen=True)
class Gated:
    """Decisions of all gates, and why the run cannot be relied on, else ``""``.

    ``status`` is for the command line: 1 where one fails, else 4 where one is undecided.
    """

    decisions: tuple[Decision, ...]
    load_labels: tuple[str, ...]
    void: str

    @property
    def status(self) -> int:
        """The exit status."""
        words = {one.word for one in self.decisions}
        return 1 if "fails" in words else 4 if "undecided" in words else 0

    @property
    def table(self) -> tables.Table:
        """A line a gate, for each target and load."""
        told = []
        for one in self.decisions:
            measure, found = one.gate.measure, one.figure
            bounds = f"{_told(measure, found.low)} to {_told(measure, found.high)}" if math.isfinite(found.low) else ""
            told.append(
                {
                    "measure": measure.removesuffix("_share"),
                    "configuration": one.row["variant"],
                    "target": one.row["target"],
                    **({"load": self.load_labels[one.row["load"]]} if len(self.load_labels) > 1 else {}),
                    "figure": _told(measure, found.estimate),
                    "95 % interval": bounds,
                    "limit": one.gate.limit_text,
                    "verdict": one.word + (f": {one.why}" if one.why else ""),
                }
            )
        return tables.Table(pd.DataFrame(told), "gates")

    @property
    def _headings(self) -> list[str]:
        return [f"No conclusion: this run cannot be relied on. {self.void}."] if self.void else []

    def to_text(self, width: int | None = None) -> str:
        """For a terminal of ``width`` columns."""
        return "\n\n".join([*map(visible, self._headings), self.table.to_text(width)])

    def to_markdown(self) -> str:
        """For what pipelines show."""
        return "\n\n".join(["## Gates", *map(as_markdown, self._headings), self.table.to_markdown()])


def _told(measure: str, value: float) -> str:
    if measure.endswith("_share"):
        return tables.percent(value)
    return f"{tables.milliseconds(value)} ms" if math.isfinite(value) else ""


def decide(
    summary: Summary, vetoes: Sequence[Veto] = (), gates: Sequence[Gate] = DEFAULT, variant: str = "baseline"
) -> Gated:
    """What ``gates`` say of ``variant`` on each target under each load.

    A gate passes where the whole 95 % interval is on the good side, fails where all of it is on the bad one, and is
    undecided else, with too few rounds, and where a veto makes the run void.

    Raises
    ------
    UsageError
        The run did not measure the variant.
    """
    rows = [row for row in summary.rows if row["variant"] == variant and row["not_applicable"] is None]
    if not rows:
        there = ", ".join(dict.fromkeys(row["variant"] for row in summary.rows if row["not_applicable"] is None))
        raise UsageError(f"{summary.run} has no lookups of {variant}: there are {there or 'none at all'}")
    void = [veto for veto in vetoes if veto.severity == "void"]
    unusable = f"run void, {void[0].name}" if void else ""
    decisions = []
    for gate in gates:
        for row in rows:
            closed = "a closed loop shows throughput and maximum only" if row["load"] in summary.closed_loops else ""
            decisions.append(_decision(gate, row, unusable or closed))
    return Gated(tuple(decisions), summary.load_labels, "; ".join(f"{veto.name} ({veto.seen})" for veto in void))


def _decision(gate: Gate, row: Mapping[str, Any], unusable: str) -> Decision:
    figure = _figure(gate.measure, row)
    why = unusable or _too_little(gate.measure, row)
    if why or not math.isfinite(figure.low):
        return Decision(gate, row, figure, "undecided", why or "no interval")
    low, high = gate.keeps(figure.low), gate.keeps(figure.high)
    if low != high:
        return Decision(gate, row, figure, "undecided", "the limit is inside the interval")
    return Decision(gate, row, figure, "passes" if high else "fails")


def _figure(measure: str, row: Mapping[str, Any]) -> Interval:
    if not measure.endswith("_share"):
        return intervals.mean([one[f"{measure}_ms"] for one in row["by_round"]], floor=0.0)
    if row["n"] and not row[measure.removesuffix("_share")]:
        return Interval(0.0, 0.0, upper_bound_when_none(row["n"]))
    found: Interval = row["intervals"][measure]
    return found


def _too_little(measure: str, row: Mapping[str, Any]) -> str:
    """Why no interval may decide; with fewer lookups than a level needs its quantile is only the slowest lookup."""
    if row["rounds"] < MIN_ROUNDS:
        return f"too few rounds, {row['rounds']} of {MIN_ROUNDS}"
    if not measure.endswith("_share"):
        needed = round(1 / (1 - LEVELS[TIMES.index(f"{measure}_ms")]))
        fewest = min(one["n"] for one in row["by_round"])
        if fewest < needed:
            return f"{fewest:,} lookups in a round, {measure} takes {needed:,}"
    return ""
