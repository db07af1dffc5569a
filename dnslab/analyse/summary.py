"""A run in numbers with intervals: one row for each variant, target and load.

The round is the replicate: lookups of one trial share its minute and its faults, so intervals are over rounds, and
effects are paired by round. Failed lookups stay in every denominator, slower than any answered one.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from dnslab.analyse import intervals, power
from dnslab.analyse.counts import Cell, ClientCounts, RoundCounts, gather
from dnslab.analyse.dataset import Run
from dnslab.analyse.effects import SHARES, column, effects_of, judge
from dnslab.analyse.exposure import exposed_modelled
from dnslab.analyse.intervals import Interval, Verdict, upper_bound_when_none
from dnslab.analyse.quantiles import LEVELS, quantiles
from dnslab.plan.model import MOST_NAMED, Earlier, Load
from dnslab.plan.schedule import not_applicable, wanted
from dnslab.sentences.notebook import COUNTED, INJECTED, STALLED, SUMMARY, SUMMARY_MORE, TRIALS
from dnslab.store.client import Key
from dnslab.text import Facts, counted, first_of

SUMMARY_VERSION = 1


@dataclass(frozen=True)
class NotApplicable:
    """A variant that was left out on a target, and why."""

    variant: str
    target: str
    load: int
    libc: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class Row:
    """What was measured of a variant on a target under a load; docs/summary.md describes each field.

    ``intervals``, ``effects`` and ``verdicts`` are by the measure's name (``"slow_share"``, ``"p50_ms"``). ``effects``
    are against baseline, ``verdicts`` are on them; both are empty where nothing is compared.
    """

    variant: str
    target: str
    load: int
    libc: str
    rounds: int
    n: int
    failed: int
    partial: int
    stalls: int
    flagged_stalls: int
    slow: int
    over_limit: int
    exhausted: int
    late: int
    rcvbuf_errors: int
    stalls_share: float
    slow_share: float
    failed_share: float
    partial_share: float
    over_limit_share: float
    min_ms: float
    avg_ms: float
    max_ms: float
    p50_ms: float
    p99_ms: float
    p999_ms: float
    stall_step_s: float | None
    stalls_at: Mapping[str, int] | None
    stalls_elsewhere: int | None
    stall_ms: float
    deadline_ms: float
    exposed_counted: int | None
    exposed_modelled: float | None
    exposed_share: float | None
    flagged_share: float | None
    stalls_upper: float | None
    stalls_upper_rounds: float | None
    spread: float
    lookups_per_s: float
    intervals: Mapping[str, Interval]
    effects: Mapping[str, Interval]
    verdicts: Mapping[str, Verdict]
    by_round: Sequence[RoundCounts]

    @property
    def key(self) -> Key:
        """Variant, target and load."""
        return self.variant, self.target, self.load

    @property
    def is_clean(self) -> bool:
        """Whether no lookup stalled or failed."""
        return not self.stalls and not self.failed

    @property
    def bounds(self) -> tuple[float, float]:
        """Both bounds of ``stalls_share``: over rounds, NaN with too few; without a stall 0 and the exact bound."""
        if self.stalls_upper is not None:
            return 0.0, self.stalls_upper
        return self.intervals["stalls_share"].low, self.intervals["stalls_share"].high


@dataclass(frozen=True, repr=False)
class Summary:
    """A run in numbers. ``clients`` has an entry for each trial on each target."""

    run: str
    fault: str
    backend: str
    loads: tuple[Load, ...]
    rows: tuple[Row | NotApplicable, ...]
    clients: tuple[ClientCounts, ...]
    n_rounds: int
    limit_ms: float
    #: of a verifying run: what it verifies, and whether baseline's resolv.conf still says what the old one said
    verifies: Earlier | None = None
    unpatched: bool = False
    #: what pods that are like a workload's do not share with them
    not_copied: tuple[str, ...] = ()
    #: names of which it was not known what they should resolve to
    unknown_names: tuple[str, ...] = ()

    @property
    def closed_loops(self) -> frozenset[int]:
        """Indexes of the loads that are closed loops."""
        return frozenset(i for i, load in enumerate(self.loads) if load.loop == "closed")

    @property
    def load_labels(self) -> tuple[str, ...]:
        """Each load in a few words."""
        return tuple(load.label for load in self.loads)

    def measured(self, load: int | None = None) -> list[Row]:
        """The measured rows, in order; with ``load``, only those under it."""
        return [row for row in self.rows if isinstance(row, Row) and load in (None, row.load)]

    @property
    def not_applicable(self) -> list[NotApplicable]:
        """The variants that were left out, and why."""
        return [row for row in self.rows if isinstance(row, NotApplicable)]

    def row(self, variant: str, target: str | None = None, load: int = 0) -> Row | None:
        """The row of a measured variant on ``target`` (default: the first that has it); None if there is none."""
        rows = (row for row in self.measured(load) if row.variant == variant and target in (None, row.target))
        return next(rows, None)

    @property
    def spread(self) -> float:
        """How much more rounds differ than independent lookups would make them: the largest of all baselines, at least
        1."""
        return max((row.spread for row in self.measured() if row.variant == "baseline"), default=1.0)

    def to_frame(self) -> pd.DataFrame:
        """The rows as a frame; a nested effect becomes columns ``effect_<name>``, ``..._low``, ``..._high``."""
        return pd.DataFrame([_flat(row) for row in self.rows])

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON, described in docs/summary.md. A value that is not finite is None or ``"failed"``."""
        rows = [jsonable(_plain(row)) for row in self.rows]
        head = {"version": SUMMARY_VERSION, "run": self.run, "backend": self.backend, "fault": self.fault}
        return {**head, "rounds": self.n_rounds, "limit_ms": self.limit_ms, "rows": rows}

    def by_target(self, load: int = 0) -> pd.DataFrame:
        """The shares on each target under one load, the target with the highest share first.

        Returns
        -------
        DataFrame
            ``target``, ``variant`` (on every target in the plan's order), ``stalls_share`` with its bounds ``low`` and
            ``high`` (``Row.bounds``), ``failed_share``.
        """
        columns = ["target", "variant", "stalls_share", "low", "high", "failed_share"]
        rows = [
            (row.target, row.variant, row.stalls_share, *row.bounds, row.failed_share) for row in self.measured(load)
        ]
        frame = pd.DataFrame(rows, columns=columns)
        worst = frame[["stalls_share", "failed_share"]].max(axis=1).groupby(frame["target"]).max()
        return frame.sort_values("target", key=lambda names: -names.map(worst), kind="stable", ignore_index=True)

    @property
    def facts(self) -> Facts:
        """How much was counted, and how often baseline stalled."""
        rows = self.measured()
        n, stalls, failed = (sum(getattr(row, name) for row in rows) for name in ("n", "stalls", "failed"))
        several = len(self.loads) > 1
        stalled = [
            STALLED(
                variant=f"{row.variant} at {self.load_labels[row.load]}" if several else row.variant,
                target=row.target,
                stalls=f"{row.stalls:,}",
                lookups=counted(row.n, "lookup"),
            )
            for row in rows
            if row.variant == "baseline"
        ]
        variants = list(dict.fromkeys(row.variant for row in self.rows))
        lines = {
            "what": TRIALS(rounds=counted(self.n_rounds, "round"), variants=first_of(variants, MOST_NAMED)),
            "size": COUNTED(lookups=counted(n, "lookup"), stalls=counted(stalls, "stall"), failed=f"{failed:,}"),
            "stalls": "; ".join(stalled[:MOST_NAMED]) + (" ..." if stalled[MOST_NAMED:] else ""),
            "fault": INJECTED(fault=self.fault) if self.fault not in ("", "none") else "",
            "more": str(SUMMARY_MORE),
        }
        return Facts(SUMMARY(name=self.run), lines)

    def __repr__(self) -> str:
        return str(self.facts)

    def _repr_html_(self) -> str:
        return self.facts._repr_html_()


def _plain(row: Row | NotApplicable) -> dict[str, Any]:
    """The keys of docs/summary.md, in their order."""
    if isinstance(row, NotApplicable):
        names = {name: getattr(row, name) for name in ("variant", "target", "load", "libc")}
        return {**names, "not_applicable": row.reason, "intervals": None, "effects": None, "verdicts": None}
    fields = {field.name: getattr(row, field.name) for field in dataclasses.fields(row)}
    names = {name: fields.pop(name) for name in ("variant", "target", "load", "libc")}
    return {**names, "not_applicable": None, **fields, "effects": row.effects or None, "verdicts": row.verdicts or None}


_NESTED = ("by_round", "effects", "intervals", "stalls_at", "verdicts")


def _flat(row: Row | NotApplicable) -> dict[str, Any]:
    """One line of ``Summary.to_frame``."""
    plain = _plain(row)
    flat = {key: value for key, value in plain.items() if key not in _NESTED}
    for group, prefix in (("intervals", ""), ("effects", "effect_")):
        for name, interval in (plain[group] or {}).items():
            flat |= {f"{prefix}{name}_low": interval.low, f"{prefix}{name}_high": interval.high}
            if prefix:
                flat[f"{prefix}{name}"] = interval.estimate
    flat |= {f"stalls_at_{step}_s": n for step, n in (plain.get("stalls_at") or {}).items()}
    return flat | {f"verdict_{name}": verdict.word for name, verdict in (plain["verdicts"] or {}).items()}


def jsonable(value: Any) -> Any:
    """Plain data for JSON: an infinite number is ``"failed"``, one that is not known None."""
    if isinstance(value, (Interval, Verdict, RoundCounts)):
        return {key: jsonable(item) for key, item in vars(value).items()}
    if isinstance(value, Mapping):
        return {key: jsonable(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [jsonable(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return "failed" if value > 0 else None
    return value


def summarise(run: Run) -> Summary:
    """Summarise ``run`` in one pass over its raw bytes."""
    cells, clients = gather(run)
    left_out, is_wanted = not_applicable(run.plan, run.targets), wanted(run.plan)
    rows: list[Row | NotApplicable] = []
    for load in range(len(run.plan.loads)):
        for target in run.targets:
            baseline = cells.get(("baseline", target.name, load))
            for variant in run.plan.variants:
                key = (variant, target.name, load)
                if key in cells:
                    # A closed loop has no effects: once workers hang together, it counts workers, not faults.
                    compared = run.plan.loads[load].loop != "closed" and variant != "baseline"
                    effects = effects_of(cells[key], baseline) if compared and baseline else {}
                    rows.append(_row(run, key, cells, effects))
                elif (variant, target.name) in left_out and is_wanted(target.name, variant):
                    rows.append(NotApplicable(*key, target.libc, left_out[variant, target.name]))
    return Summary(
        run.path.name,
        str(run.plan.fault),
        run.plan.backend,
        run.plan.loads,
        tuple(_judged(rows)),
        tuple(clients),
        run.plan.rounds,
        run.plan.limit_ms,
        run.plan.verifies,
        run.unpatched,
        tuple(run.environment.backend.not_copied),
        run.unknown_names,
    )


def _judged(rows: Sequence[Row | NotApplicable]) -> list[Row | NotApplicable]:
    """``rows`` with the verdicts of their effects."""
    given = judge([row.effects if isinstance(row, Row) else {} for row in rows], [row.load for row in rows])
    return [
        replace(row, verdicts=verdicts) if isinstance(row, Row) else row
        for row, verdicts in zip(rows, given, strict=True)
    ]


def _row(run: Run, key: Key, cells: Mapping[Key, Cell], effects: Mapping[str, Interval]) -> Row:
    cell = cells[key]
    totals, n, stalls = cell.totals, cell.totals.n, cell.totals.stalls
    rounds = [cell.rounds[number] for number in sorted(cell.rounds)]
    modelled = exposed_modelled(run, key, cells) if cell.exposed is None else None
    if cell.exposed is None:  # the model is of lookups without the warm-up
        rounds = [
            replace(
                numbers, exposed=None if modelled is None else modelled * numbers.n / n, exposed_stalls=numbers.stalls
            )
            for numbers in rounds
        ]
    exposed_share = _exposed_share(rounds)
    p50_ms, p99_ms, p999_ms = quantiles(np.concatenate(cell.responses_ms), list(LEVELS.values()))
    return Row(
        variant=key[0],
        target=key[1],
        load=key[2],
        libc=cell.libc,
        rounds=len(rounds),
        **vars(totals),
        stalls_share=stalls / n if n else math.nan,
        slow_share=totals.slow / n if n else math.nan,
        failed_share=totals.failed / n if n else math.nan,
        partial_share=totals.partial / n if n else math.nan,
        over_limit_share=totals.over_limit / n if n else math.nan,
        min_ms=cell.min_ms if n else math.nan,
        avg_ms=cell.sum_ms / n if n else math.nan,
        max_ms=cell.max_ms if n else math.nan,
        p50_ms=p50_ms,
        p99_ms=p99_ms,
        p999_ms=p999_ms,
        **_steps(cell),
        stall_ms=cell.stall_ms,
        deadline_ms=cell.deadline_ms,
        exposed_counted=cell.exposed,
        exposed_modelled=modelled,
        exposed_share=exposed_share.estimate if math.isfinite(exposed_share.estimate) else None,
        # Only glibc tells that one of two answers was lost.
        flagged_share=totals.flagged_stalls / stalls if stalls and cell.libc == "glibc" else None,
        stalls_upper=upper_bound_when_none(n) if n and not stalls else None,
        stalls_upper_rounds=upper_bound_when_none(len(rounds)) if rounds and not stalls else None,
        spread=power.spread_of(column(rounds, "stalls"), column(rounds, "n")),
        lookups_per_s=float(np.mean(column(rounds, "lookups_per_s"))) if rounds else math.nan,
        intervals={
            **{
                f"{name}_share": intervals.share(column(rounds, name), column(rounds, "n"))
                for name in (*SHARES, "partial", "over_limit")
            },
            "exposed_share": exposed_share,
            "lookups_per_s": intervals.mean(column(rounds, "lookups_per_s"), floor=0.0),
        },
        effects=effects,
        verdicts={},
        by_round=rounds,
    )


def _steps(cell: Cell) -> dict[str, Any]:
    """When stalls ended, as the fields of ``Row`` about it."""
    if cell.stalls_at is None:
        return dict.fromkeys(("stall_step_s", "stalls_at", "stalls_elsewhere"))
    return {
        "stall_step_s": cell.step_s,
        "stalls_at": {f"{step:g}": cell.stalls_at[step] for step in sorted(cell.stalls_at)},
        "stalls_elsewhere": cell.totals.stalls - cell.stalls_at.total(),
    }


def _exposed_share(rounds: Sequence[RoundCounts]) -> Interval:
    """Stalls as a share of exposed lookups; NaN if none was exposed, or if more stalled than were exposed."""
    stalls, exposed = column(rounds, "exposed_stalls"), column(rounds, "exposed")
    if None in exposed or sum(stalls) > sum(exposed):
        return Interval(math.nan, math.nan, math.nan)
    return intervals.share(stalls, exposed)
