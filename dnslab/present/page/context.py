"""What all sections are made from: a run's sound part, its summary and its findings, and what was chosen once."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from dnslab.analyse.costs import costs
from dnslab.analyse.dataset import Run
from dnslab.analyse.intervals import upper_bound_when_none
from dnslab.analyse.summary import Row, Summary
from dnslab.explain.answers import leading_baseline
from dnslab.explain.findings import Findings
from dnslab.explain.ranking import Ranked, Word, ranked, recommended
from dnslab.plan.model import Trouble
from dnslab.plan.variants import BEFORE, Variant
from dnslab.present.page.scales import Scale
from dnslab.present.page.view import Cell, StripRow
from dnslab.sentences import pictures, remedies
from dnslab.text import NBSP, below, decimals_for, estimate_with_bounds, number, without_noise

#: of a change in ms that may be none: a thousandth is enough
MOST_DECIMALS = 3
#: how a configuration is called on the page of a verifying run
PATCHED = {"baseline": "workload now", BEFORE: "before the patch"}


@dataclass(frozen=True)
class Context:
    """A run as the page sees it."""

    run: Run
    summary: Summary
    findings: Findings

    @cached_property
    def baseline(self) -> Row | None:
        """Baseline on the target that the answer is about."""
        return leading_baseline(self.summary)

    @cached_property
    def count(self) -> Trouble:
        """What the page's shares are of."""
        if self.summary.verifies:
            return self.summary.verifies.trouble
        by_state: dict[str, Trouble] = {"failing": "failed", "slow": "slow", "partial": "partial"}
        return by_state.get(self.findings.verdict.state, "stalls")

    @cached_property
    def variants(self) -> dict[str, Variant]:
        """The configurations of the plan, by name."""
        return {name: self.run.plan.variant(name) for name in self.run.plan.variants}

    @cached_property
    def libcs(self) -> list[str]:
        """The C libraries measured, that of the leading target first."""
        rows = [row for row in self.summary.measured(load=0) if row.n]
        found = dict.fromkeys(row.libc for row in rows)
        lead = self.baseline.libc if self.baseline else None
        return sorted(found, key=lambda libc: libc != lead)

    def leading_target(self, libc: str) -> str:
        """The target with this C library where baseline is worst."""
        rows = [row for row in self.summary.measured(load=0) if row.libc == libc and row.n]
        of_baseline = [row for row in rows if row.variant == "baseline"] or rows
        return max(of_baseline, key=lambda row: (row.stalls_share + row.failed_share, row.slow_share)).target

    def rows(self, libc: str) -> list[Ranked]:
        """The measured rows on that target, with their words."""
        target = self.leading_target(libc)
        return ranked(self.summary, [row for row in self.summary.measured(load=0) if row.target == target and row.n])

    @cached_property
    def picked(self) -> Ranked | None:
        """The recommended row, on the target that the answer is about.

        None where a server lacks room: what helps then is room, for all clients.
        """
        if self.baseline is None or self.findings.void or self.summary.verifies or self.lacks_room:
            return None
        return recommended(self.rows(self.baseline.libc), self.variants)

    @cached_property
    def costs(self) -> list[dict[Hashable, Any]]:
        """What each configuration asked of the servers on each target."""
        return costs(self.run, self.summary).to_dict("records")

    @property
    def in_lab(self) -> bool:
        """Whether the run was made in the lab, which says nothing of a cluster."""
        return self.summary.backend == "lab"

    @property
    def hides_errors(self) -> bool:
        """Whether the recommended configuration is a cache, while the servers themselves fail."""
        picked = self.picked
        return bool(picked and self.count == "failed" and self.variants[picked.row.variant].node_local)

    @property
    def lacks_room(self) -> bool:
        """Whether a server's full receive buffer is a cause."""
        return self.findings.diagnosis.lacks_room

    def cleared(self, libc: str) -> list[str]:
        """The configurations that clear it with this C library."""
        return [one.row.variant for one in self.rows(libc) if one.word is Word.CLEARS] if libc in self.libcs else []

    @property
    def emulated(self) -> bool:
        """Whether the run injected a fault."""
        return self.summary.fault != "none"

    def name(self, variant: str) -> str:
        """What a configuration is called."""
        return PATCHED.get(variant, variant) if self.summary.verifies else variant


def share_numbers(row: Row, count: Trouble) -> tuple[float, float, float]:
    """A share with its bounds, in percent: over rounds, or the exact bound where nothing happened."""
    interval = row.intervals[f"{count}_share"]
    if not getattr(row, count):
        return 0.0, 0.0, 100 * upper_bound_when_none(row.n)
    return 100 * interval.estimate, 100 * interval.low, 100 * interval.high


def share_cell(row: Row, count: Trouble, scale: Scale, name: str) -> Cell:
    """A share as it stands in the table of configurations."""
    estimate, low, high = share_numbers(row, count)
    tone = "bad" if estimate else "good"
    if not estimate:
        bound = below(high / 100)
        mark = scale.mark(0.0, 0.0, high, tone, f"{name} on {row.target}: none of {row.n:,}, {bound}")
        return Cell(mark, "none", f"of {row.n:,}", f"({bound})", tone)
    value, bounds = estimate_with_bounds(row.intervals[f"{count}_share"], 100)
    value = f"{value}{NBSP}%"
    rest = f"({bounds})" if bounds else f"({remedies.TOO_FEW_ROUNDS})"
    mark = scale.mark(estimate, low, high, tone, f"{name} on {row.target}: {value} {rest}")
    also = ""
    if count == "stalls" and row.failed:
        also = f"{estimate_with_bounds(row.intervals['failed_share'], 100)[0]}{NBSP}% failed"
    elif count == "failed" and row.stalls:
        also = f"{estimate_with_bounds(row.intervals['stalls_share'], 100)[0]}{NBSP}% stalled"
    return Cell(mark, value, rest, also, tone)


def cost_decimals(rows: Sequence[Row]) -> dict[tuple[str, str], int]:
    """How many decimals the change of the median has, by configuration and target: as its bounds bear.

    Where rows need almost as many, all have as many as the one that needs most, so that a column reads at one glance.
    """
    known = {(row.variant, row.target): row.effects["p50_ms"] for row in rows if "p50_ms" in row.effects}
    found = {
        key: min(decimals_for(effect.low, effect.high), MOST_DECIMALS if effect.low < 0 < effect.high else 9)
        for key, effect in known.items()
        if math.isfinite(effect.low) and math.isfinite(effect.high)
    }
    most = max(found.values(), default=0)
    return {key: most if most - decimals <= 1 else decimals for key, decimals in found.items()}


def cost_cell(row: Row, scale: Scale | None, name: str, decimals: int | None = None) -> Cell:
    """What the median changes by, with so many decimals, or with those that its interval bears."""
    effect = row.effects.get("p50_ms")
    if effect is None or scale is None or not math.isfinite(effect.estimate):
        return Cell(None, "", "not compared")
    value, bounds = estimate_with_bounds(effect, signed=True)
    if bounds and decimals is not None:
        value, low, high = (
            number(without_noise(one), decimals, signed=True) for one in (effect.estimate, effect.low, effect.high)
        )
        bounds = f"{low} to {high}"
    rest = f"({bounds})" if bounds else ""
    mark = scale.mark(effect.estimate, effect.low, effect.high, "soft", f"{name}: median {value} ms {rest}")
    return Cell(replace(mark, open=False), value, rest)


def intervals_note(rows: Sequence[StripRow]) -> str:
    """Which interval is which, where a picture has both kinds; else ``""``."""
    kinds = {row.mark.open for row in rows if row.mark}
    return str(pictures.TWO_INTERVALS) if len(kinds) > 1 else ""


def share_scale_values(rows: Sequence[Row], count: Trouble) -> tuple[list[float], list[float]]:
    """Estimates and bounds of these rows, for a scale."""
    numbers = [share_numbers(row, count) for row in rows]
    return [estimate for estimate, _, _ in numbers], [high for _, _, high in numbers]
