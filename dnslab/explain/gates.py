"""Limits for pipelines. The interval decides, not the estimate: if the limit is inside, the gate is undecided."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import pandas as pd

from dnslab.analyse import intervals
from dnslab.analyse.effects import SHARES, column
from dnslab.analyse.intervals import MIN_ROUNDS, Interval, upper_bound_when_none
from dnslab.analyse.quantiles import LEVELS
from dnslab.analyse.summary import Row, Summary
from dnslab.errors import RunInvalid, UsageError
from dnslab.explain.validity import voids
from dnslab.explain.veto import VOID, Veto, left_out
from dnslab.sentences import gate as sentences
from dnslab.text import NBSP, Table, as_markdown, below, estimate_with_bounds, listed, visible

MEASURES = (*(f"{name}_share" for name in SHARES), *(name.removesuffix("_ms") for name in LEVELS))
_GATE = re.compile(r"(\w+)\s*(<=?)\s*([0-9.]+)\s*(%|ms|s)")


@dataclass(frozen=True)
class Gate:
    """A measure and its upper limit, a share or ms. With ``strict`` the measure has to be below the limit."""

    measure: str
    limit: float
    strict: bool = False

    @classmethod
    def parse(cls, text: str) -> Gate:
        """From ``slow_share<0.1%`` or ``p99<=100ms``; UsageError for any other form."""
        match = _GATE.fullmatch(text.strip())
        share = match is not None and match[1].endswith("_share")
        if not match or match[1] not in MEASURES or share != (match[4] == "%") or match[3].count(".") > 1:
            raise UsageError(sentences.BAD_GATE(seen=repr(text), measures=", ".join(MEASURES)))
        per = {"%": 100, "ms": 1, "s": 1e-3}[match[4]]
        return cls(match[1], float(match[3]) / per, match[2] == "<")

    @property
    def limit_text(self) -> str:
        """The limit as text, as the user wrote it."""
        value = f"{self.limit * 100:g} %" if self.measure.endswith("_share") else f"{self.limit:g} ms"
        return f"{'<' if self.strict else '<='} {value}"

    def keeps(self, value: float) -> bool:
        """Whether ``value`` keeps the limit."""
        return value < self.limit if self.strict else value <= self.limit


#: what Kubernetes' own scale tests ask of cluster DNS (perf-tests, clusterloader2, DNSPerformanceK8sHostnames)
DEFAULT = (Gate("failed_share", 0.001), Gate("p50", 20.0), Gate("p99", 100.0))


@dataclass(frozen=True)
class Decision:
    """The result of a gate for one row. ``why`` says why it is undecided, else it is ``""``.

    ``measured`` has the bounds that decided: of a share, or of the mean of the rounds' quantiles.
    """

    gate: Gate
    row: Row
    measured: Interval
    word: Literal["passes", "fails", "undecided"]
    why: str = ""


#: vetoes that come from DNS itself: where a part was left out for these, what is left must not pass for all of it
OUTAGES = ("workers exhausted", "workers lost")


@dataclass(frozen=True)
class Gated:
    """Decisions of all gates; why the run cannot be relied on, and what was left out of it, or ``""``.

    ``status`` is for the command line: 1 where one fails, else 4 where one is undecided, or where a part was left out
    for an outage (``outage``).
    """

    decisions: tuple[Decision, ...]
    load_labels: tuple[str, ...]
    void: str
    left_out: str = ""
    outage: bool = False

    @property
    def status(self) -> int:
        """The exit status."""
        words = {decision.word for decision in self.decisions}
        return 1 if "fails" in words else 4 if "undecided" in words or self.outage else 0

    @property
    def table(self) -> Table:
        """A table with a line for each gate, target and load."""
        lines = []
        for decision in self.decisions:
            measure, row = decision.gate.measure, decision.row
            figure, bounds = _texts(measure, decision.measured)
            lines.append(
                {
                    "measure": measure.removesuffix("_share"),
                    "configuration": row.variant,
                    "target": row.target,
                    **({"load": self.load_labels[row.load]} if len(self.load_labels) > 1 else {}),
                    "figure": figure,
                    "95 % interval": bounds,
                    "limit": decision.gate.limit_text,
                    "verdict": decision.word + (f": {decision.why}" if decision.why else ""),
                }
            )
        return Table(pd.DataFrame(lines), "gates")

    @property
    def _headings(self) -> list[str]:
        undecided = str(sentences.OUTAGE) if self.outage else ""
        return list(filter(None, [f"{VOID} {self.void}" if self.void else "", self.left_out, undecided]))

    def to_text(self, width: int | None = None) -> str:
        """For a terminal of ``width`` columns."""
        return "\n\n".join([*map(visible, self._headings), self.table.to_text(width)])

    def to_markdown(self) -> str:
        """For what pipelines show."""
        return "\n\n".join(["## Gates", *map(as_markdown, self._headings), self.table.to_markdown()])


def _texts(measure: str, interval: Interval) -> tuple[str, str]:
    """An estimate and its bounds with their unit, ``""`` where they are not known."""
    is_share = measure.endswith("_share")
    if is_share and not interval.estimate:
        return "none", below(interval.high) if math.isfinite(interval.high) else ""
    unit = "%" if is_share else "ms"
    known = estimate_with_bounds(interval, 100 if is_share else 1)
    estimate, bounds = (f"{text}{NBSP}{unit}" if text else "" for text in known)
    return estimate, bounds


def decide(
    summary: Summary, vetoes: Sequence[Veto] = (), gates: Sequence[Gate] = DEFAULT, variant: str = "baseline"
) -> Gated:
    """Check ``variant`` on each target under each load against ``gates``.

    A gate passes if the whole 95 % interval is on the good side, and fails if all of it is on the bad side. Else it is
    undecided, as it is with too few rounds or when a veto makes the run void. Summary and vetoes as
    ``soundness.examine`` gives them: what it left out is not checked, and is named.

    Raises
    ------
    UsageError
        The run did not measure the variant.
    RunInvalid
        All that was measured of the variant was left out.
    """
    rows = [row for row in summary.measured() if row.variant == variant]
    if not rows and any(name[0] == variant for veto in vetoes if veto.left_out for name in veto.clients):
        raise RunInvalid(sentences.NOTHING_LEFT(run=summary.run, variant=variant, left_out=left_out(vetoes)))
    if not rows:
        names = listed(list(dict.fromkeys(row.variant for row in summary.measured())) or [""])
        some = sentences.NOT_MEASURED(run=summary.run, variant=variant, variants=names)
        raise UsageError(some if names else sentences.NOTHING_MEASURED(run=summary.run))
    void = voids(vetoes)
    unusable = sentences.RUN_VOID(name=void[0].name) if void else ""
    decisions = []
    for gate in gates:
        for row in rows:
            closed = str(sentences.CLOSED_LOOP) if row.load in summary.closed_loops else ""
            decisions.append(_decision(gate, row, unusable or closed))
    outage = any(veto.left_out and veto.name in OUTAGES for veto in vetoes)
    reasons = " ".join(veto.reason for veto in void)
    return Gated(tuple(decisions), summary.load_labels, reasons, left_out(vetoes), outage)


def _decision(gate: Gate, row: Row, unusable: str) -> Decision:
    interval = _measured(gate.measure, row)
    why = unusable or _too_little(gate.measure, row)
    if why or not math.isfinite(interval.low):
        return Decision(gate, row, interval, "undecided", why or str(sentences.NO_INTERVAL))
    low, high = gate.keeps(interval.low), gate.keeps(interval.high)
    if low != high:
        return Decision(gate, row, interval, "undecided", str(sentences.INSIDE))
    return Decision(gate, row, interval, "passes" if high else "fails")


def _measured(measure: str, row: Row) -> Interval:
    if not measure.endswith("_share"):
        return intervals.mean(column(row.by_round, f"{measure}_ms"), floor=0.0)
    if row.n and not getattr(row, measure.removesuffix("_share")):
        return Interval(0.0, 0.0, upper_bound_when_none(row.n))
    return row.intervals[measure]


def _too_little(measure: str, row: Row) -> str:
    """Why no interval may decide, or ``""``. With too few lookups a high quantile is just the slowest lookup."""
    if row.rounds < MIN_ROUNDS:
        return sentences.FEW_ROUNDS(rounds=f"{row.rounds}", least=f"{MIN_ROUNDS}")
    if not measure.endswith("_share"):
        needed = round(1 / (1 - LEVELS[f"{measure}_ms"]))
        fewest = min(numbers.n for numbers in row.by_round)
        if fewest < needed:
            return sentences.FEW_LOOKUPS(fewest=f"{fewest:,}", measure=measure, needed=f"{needed:,}")
    return ""
